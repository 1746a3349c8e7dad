use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DeleteTopicsRequest;
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;

use crate::Controller;
use crate::tests::cluster::{Cluster, counted, with_config};

fn states(topics: &[(Option<&str>, Uuid)]) -> DeleteTopicsRequest {
    let state =
        |(name, topic_id): &(Option<&str>, Uuid)| DeleteTopicState { name: name.map(Into::into), topic_id: *topic_id };
    DeleteTopicsRequest { topics: topics.iter().map(state).collect(), ..DeleteTopicsRequest::default() }
}

/// Name, error and sentence of each answer.
fn delete(cluster: &mut Cluster, request: &DeleteTopicsRequest) -> Vec<String> {
    let decided = cluster
        .controller
        .delete_topics(&cluster.image, request, 6, &mut crate::Mutations::unlimited())
        .expect("deletion is enabled");
    let response = cluster.apply(decided);
    let text = |r: &thalweg_wire::messages::delete_topics_response::DeletableTopicResult| {
        let code = ErrorCode::from_code(r.error_code).name();
        format!("{} {code} {}", r.name.as_deref().unwrap_or("-"), r.error_message.as_deref().unwrap_or("-"))
    };
    response.responses.iter().map(text).collect()
}

#[test]
fn a_topic_goes_with_its_configs() {
    let mut cluster = Cluster::of(1);
    let topic = with_config(counted("a", 3, 1), "retention.ms", Some("1"));
    let id = cluster.create_one(topic).topic_id;
    assert_eq!(delete(&mut cluster, &states(&[(Some("a"), Uuid::ZERO)])), ["a NONE -"]);
    assert!(cluster.image.topics().by_id(id).is_none() && cluster.image.topics().by_name("a").is_none());
    assert!(cluster.image.configs().topic("a", "retention.ms").is_none());
    let again = cluster.create_one(counted("a", 1, 1)).topic_id;
    assert_ne!(again, id, "a new topic of the same name has another id");
}

#[test]
fn topics_are_deleted_by_id_and_by_the_older_list_of_names() {
    let mut cluster = Cluster::of(1);
    let id = cluster.topic("a", &[&[1]]);
    cluster.topic("b", &[&[1]]);
    assert_eq!(delete(&mut cluster, &states(&[(None, id)])), ["a NONE -"]);
    let old = DeleteTopicsRequest { topic_names: vec!["b".into()], ..DeleteTopicsRequest::default() };
    assert_eq!(delete(&mut cluster, &old), ["b NONE -"]);
    assert!(cluster.image.topics().is_empty());
}

#[test]
fn what_is_named_wrongly_is_answered_one_by_one() {
    let mut cluster = Cluster::of(1);
    let id = cluster.topic("a", &[&[1]]);
    let other = Uuid([9; 16]);
    let request = states(&[
        (None, Uuid::ZERO),
        (Some("a"), id),
        (Some("x"), Uuid::ZERO),
        (Some("twice"), Uuid::ZERO),
        (Some("twice"), Uuid::ZERO),
        (None, other),
    ]);
    let expected = [
        "- INVALID_REQUEST Neither topic name nor id were specified.",
        "a INVALID_REQUEST You may not specify both topic name and topic id.",
        "twice INVALID_REQUEST Duplicate topic name.",
        "- UNKNOWN_TOPIC_ID This server does not host this topic ID.",
        "x UNKNOWN_TOPIC_OR_PARTITION This server does not host this topic-partition.",
    ];
    assert_eq!(delete(&mut cluster, &request), expected);
    let both = states(&[(None, id), (Some("a"), Uuid::ZERO)]);
    let text = "a INVALID_REQUEST The provided topic name maps to an ID that was already supplied.";
    assert_eq!(delete(&mut cluster, &both), [text]);
    assert_eq!(cluster.image.topics().len(), 1);
}

#[test]
fn a_cluster_may_forbid_deletion() {
    let cluster = Cluster::of(1);
    let mut settings = cluster.controller.settings().clone();
    settings.delete_topic_enable = false;
    let controller = Controller::new(settings);
    let code = |version| {
        controller
            .delete_topics(&cluster.image, &states(&[]), version, &mut crate::Mutations::unlimited())
            .map_err(|e| e.code)
    };
    assert_eq!(code(6), Err(ErrorCode::TopicDeletionDisabled));
    assert_eq!(code(1), Err(ErrorCode::InvalidRequest));
}
