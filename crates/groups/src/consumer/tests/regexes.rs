//! Subscriptions by regular expression.

use super::*;

fn matching(request: Request848, regex: &str) -> Request848 {
    Request848 { subscribed_topic_names: None, subscribed_topic_regex: Some(regex.into()), ..request }
}

#[test]
fn a_member_has_the_topics_that_its_expression_matches() {
    let mut bed = coordinator(&[("t-1", 1), ("t-2", 1), ("u", 1)]);
    assert_eq!(alive(&mut bed, matching(join("a", &[]), "t-[0-9]+")), (1, has(&[])));
    assert_eq!(kinds(&mut bed), [5, 8, 16, 3], "the expression is resolved after the answer");
    assert_eq!(alive(&mut bed, beat("a", 1)), (2, has(&[(1, &[0]), (2, &[0])])));
    assert_eq!(kinds(&mut bed), [7, 6, 8]);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    assert_eq!(kinds(&mut bed), []);
    bed.pass(1_000);
    // Another member with the same expression finds it resolved.
    assert_eq!(alive(&mut bed, matching(join("b", &[]), "t-[0-9]+")), (3, has(&[])));
    assert_eq!(kinds(&mut bed), [5, 3, 7, 7, 6, 8]);
}

#[test]
fn an_expression_stands_for_topics_that_its_member_may_describe() {
    let mut bed = coordinator(&[("t-1", 1), ("t-2", 1)]);
    bed.describable = Describable::only(|topic| topic == "t-2");
    alive(&mut bed, matching(join("a", &[]), "t-.*"));
    assert_eq!(alive(&mut bed, beat("a", 1)), (2, has(&[(2, &[0])])));
    bed.describable = Describable::only(|_| false);
    bed.pass(10_001);
    alive(&mut bed, matching(join("b", &[]), "t.*"));
    // Whoever causes it, all of the group's expressions are resolved, as in Kafka: the first member is to give up its topic.
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, has(&[])));
}

/// librdkafka's test 0045 expects it so.
#[test]
fn a_member_has_the_topics_that_it_names_before_those_of_its_expression() {
    let mut bed = coordinator(&[("t-1", 1), ("u", 1)]);
    let request = Request848 { subscribed_topic_regex: Some("u".into()), ..join("a", &["t-1"]) };
    assert_eq!(alive(&mut bed, request), (2, has(&[(1, &[0])])));
    assert_eq!(kinds(&mut bed), [5, 3, 7, 6, 8, 16, 3]);
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, beat("a", 2)), (3, has(&[(1, &[0]), (2, &[0])])));
}

#[test]
fn expressions_that_come_together_are_resolved_together() {
    let mut bed = coordinator(&[("t-1", 1), ("u", 1)]);
    alive(&mut bed, matching(join("a", &[]), "t-.*"));
    alive(&mut bed, beat("a", 1));
    bed.pass(1_000);
    alive(&mut bed, matching(join("b", &[]), "u"));
    kinds(&mut bed);
    bed.pass(9_000);
    alive(&mut bed, beat("a", 2));
    assert_eq!(kinds(&mut bed), [], "not within ten seconds of the last time");
    bed.pass(1);
    alive(&mut bed, beat("a", 2));
    assert_eq!(kinds(&mut bed), [16, 16, 3]);
}

#[test]
fn new_topics_are_held_against_the_expressions_of_a_group() {
    let mut bed = coordinator(&[("t-1", 1)]);
    alive(&mut bed, matching(join("a", &[]), "t-.*"));
    alive(&mut bed, beat("a", 1));
    let mut image = bed.image.clone();
    create(&mut image, 2, "t-2", 1);
    create(&mut image, 3, "u", 1);
    bed.change(image);
    // Not more often than every ten seconds.
    bed.pass(10_000);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    bed.pass(1);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None), "they are resolved after this answer");
    assert_eq!(alive(&mut bed, beat("a", 2)), (3, has(&[(1, &[0]), (2, &[0])])));
    bed.pass(20_000);
    kinds(&mut bed);
    assert_eq!(alive(&mut bed, beat("a", 3)), (3, None));
    assert_eq!(kinds(&mut bed), []);
}

#[test]
fn an_expression_is_forgotten_with_its_last_member() {
    let mut bed = coordinator(&[("t-1", 1), ("u", 1)]);
    alive(&mut bed, matching(join("a", &[]), "t-.*"));
    alive(&mut bed, beat("a", 1));
    bed.pass(1_000);
    kinds(&mut bed);
    let request = Request848 {
        subscribed_topic_regex: Some("".into()),
        subscribed_topic_names: Some(vec!["u".into()]),
        ..owning("a", 2, &[(1, &[0])])
    };
    assert_eq!(alive(&mut bed, request), (2, has(&[])));
    assert_eq!(kinds(&mut bed), [5, -16, 3, 7, 6, 8]);
    alive(&mut bed, owning("a", 2, &[]));
    assert_eq!(state(&bed), "Stable");
    alive(&mut bed, matching(join("b", &[]), "u"));
    alive(&mut bed, beat("b", 3));
    kinds(&mut bed);
    send(&mut bed, beat("b", -1));
    assert_eq!(kinds(&mut bed), [-8, -7, -5, -16, 3]);
}

#[test]
fn what_is_no_expression_is_refused() {
    let mut bed = coordinator(&[]);
    let (code, text) = refused(&mut bed, matching(join("a", &[]), "[a"));
    assert_eq!(code, ErrorCode::InvalidRegularExpression);
    assert_eq!(text, "SubscribedTopicRegex `[a` is not a valid regular expression: missing closing ].");
    assert_eq!(state(&bed), "none");
}
