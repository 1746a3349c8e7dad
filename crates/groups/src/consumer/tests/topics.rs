//! Topics that appear, grow and go away, and members that change their minds.

use super::*;

#[test]
fn a_topic_that_grows_moves_the_group() {
    let mut bed = coordinator(&[("t", 1)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    kinds(&mut bed);
    let mut image = bed.image.clone();
    grow(&mut image, 1, 1..3);
    bed.change(image);
    assert_eq!(alive(&mut bed, beat("a", 2)), (3, has(&[(1, &[0, 1, 2])])));
    assert_eq!(kinds(&mut bed), [3, 7, 6, 8]);
    assert_eq!(alive(&mut bed, beat("a", 3)), (3, None));
    assert_eq!(kinds(&mut bed), []);
}

#[test]
fn a_topic_that_appears_later_is_given_then() {
    let mut bed = coordinator(&[]);
    assert_eq!(alive(&mut bed, join("a", &["t"])), (2, has(&[])));
    bed.pass(1_000);
    let mut image = bed.image.clone();
    create(&mut image, 1, "t", 2);
    create(&mut image, 2, "other", 2);
    bed.change(image);
    assert_eq!(alive(&mut bed, beat("a", 2)), (3, has(&[(1, &[0, 1])])));
}

#[test]
fn a_topic_that_is_deleted_is_given_up() {
    let mut bed = coordinator(&[("t", 1), ("u", 1)]);
    alive(&mut bed, join("a", &["t", "u"]));
    bed.pass(1_000);
    let mut image = bed.image.clone();
    delete(&mut image, 1);
    bed.change(image);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, has(&[(2, &[0])])));
    assert_eq!(alive(&mut bed, owning("a", 2, &[(2, &[0])])), (3, None));
    // Created again under its name it is another topic.
    bed.pass(1_000);
    let mut image = bed.image.clone();
    create(&mut image, 7, "t", 1);
    bed.change(image);
    assert_eq!(alive(&mut bed, beat("a", 3)), (4, has(&[(2, &[0]), (7, &[0])])));
}

#[test]
fn what_changed_while_nobody_led_is_seen_after_a_failover() {
    let mut bed = coordinator(&[("t", 1)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    grow(&mut bed.image, 1, 1..2);
    bed.fail_over();
    assert_eq!(alive(&mut bed, beat("a", 2)), (3, has(&[(1, &[0, 1])])));
}

#[test]
fn a_member_that_subscribes_to_other_topics_gives_up_the_old_ones_first() {
    let mut bed = coordinator(&[("t", 1), ("u", 1)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    let request = Request848 { subscribed_topic_names: Some(vec!["u".into()]), ..owning("a", 2, &[(1, &[0])]) };
    assert_eq!(alive(&mut bed, request), (2, has(&[])));
    assert_eq!(alive(&mut bed, owning("a", 2, &[])), (3, has(&[(2, &[0])])));
}

#[test]
fn range_gives_members_the_same_partitions_of_topics_alike() {
    let mut bed = coordinator(&[("t", 3), ("u", 3)]);
    let range = |request| Request848 { server_assignor: Some("range".into()), ..request };
    alive(&mut bed, range(join("a", &["t", "u"])));
    bed.pass(1_000);
    alive(&mut bed, range(join("b", &["t", "u"])));
    alive(&mut bed, beat("a", 2));
    assert_eq!(alive(&mut bed, owning("a", 2, &[(1, &[0, 1]), (2, &[0, 1])])), (3, None));
    assert_eq!(alive(&mut bed, beat("b", 3)), (3, has(&[(1, &[2]), (2, &[2])])));
}
