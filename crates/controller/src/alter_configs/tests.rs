use thalweg_wire::messages::alter_configs_request;
use thalweg_wire::messages::incremental_alter_configs_request::AlterConfigsResource;

use super::*;
use crate::tests::cluster::{Cluster, all_short};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

fn resource(kind: i8, name: &str, configs: &[(&str, i8, Option<&str>)]) -> AlterConfigsResource {
    let config = |(name, operation, value): &(&str, i8, Option<&str>)| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
    };
    AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: configs.iter().map(config).collect(),
    }
}

fn request(resources: Vec<AlterConfigsResource>) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest { resources, ..IncrementalAlterConfigsRequest::default() }
}

/// What is written, or why the only resource is refused.
fn alter(cluster: &mut Cluster, kind: i8, name: &str, configs: &[(&str, i8, Option<&str>)]) -> Vec<String> {
    let request = request(vec![resource(kind, name, configs)]);
    let decided = cluster.controller.incremental_alter_configs(&cluster.image, &request);
    let records = all_short(&decided.records);
    let response = cluster.apply(decided).responses.remove(0);
    match response.error_message {
        Some(text) => vec![format!("{}: {text}", ErrorCode::from_code(response.error_code).name())],
        None => records,
    }
}

fn topic(cluster: &mut Cluster, configs: &[(&str, i8, Option<&str>)]) -> Vec<String> {
    alter(cluster, TOPIC, "a", configs)
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::of(1);
    cluster.topic("a", &[&[1]]);
    cluster
}

#[test]
fn values_are_set_and_deleted() {
    let mut cluster = cluster();
    let both = [("segment.ms", SET, Some("600000")), ("retention.ms", SET, Some("1"))];
    assert_eq!(topic(&mut cluster, &both), ["config 2/a retention.ms=1", "config 2/a segment.ms=600000"]);
    assert_eq!(topic(&mut cluster, &[("retention.ms", SET, Some("1"))]), [""; 0], "it has that value");
    assert_eq!(topic(&mut cluster, &[("retention.ms", DELETE, None)]), ["config 2/a retention.ms=(deleted)"]);
    assert_eq!(topic(&mut cluster, &[("retention.ms", DELETE, None)]), [""; 0], "it has none");
    assert_eq!(cluster.image.configs().topic("a", "segment.ms").map(|v| &**v), Some("600000"));
    assert_eq!(topic(&mut cluster, &[("no.such.config", DELETE, None)]), [""; 0]);
}

#[test]
fn lists_grow_and_shrink() {
    let mut cluster = cluster();
    let policy = |operation, value| [("cleanup.policy", operation, Some(value))];
    assert_eq!(topic(&mut cluster, &policy(APPEND, "compact")), ["config 2/a cleanup.policy=delete,compact"]);
    assert_eq!(topic(&mut cluster, &policy(SUBTRACT, "delete,nothing")), ["config 2/a cleanup.policy=compact"]);
    assert_eq!(topic(&mut cluster, &policy(APPEND, "compact")), [""; 0]);
    assert_eq!(
        topic(&mut cluster, &[("retention.ms", APPEND, Some("1"))]),
        ["INVALID_CONFIG: Can't APPEND to key retention.ms because its type is not LIST."]
    );
}

#[test]
fn refusals_are_kafkas() {
    let mut cluster = cluster();
    assert_eq!(
        topic(&mut cluster, &[("retention.ms", SET, Some("abc"))]),
        ["INVALID_CONFIG: Invalid value abc for configuration retention.ms: Not a number of type LONG"]
    );
    assert_eq!(
        topic(&mut cluster, &[("no.such.config", SET, Some("1"))]),
        ["INVALID_CONFIG: Unknown topic config name: no.such.config"]
    );
    let mut named = |name| alter(&mut cluster, TOPIC, name, &[("retention.ms", SET, Some("1"))]);
    assert_eq!(named("nothing"), ["UNKNOWN_TOPIC_OR_PARTITION: The topic 'nothing' does not exist."]);
    assert_eq!(named(""), ["INVALID_REQUEST: Default topic resources are not allowed."]);
    assert!(named("bad name")[0].starts_with("INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'bad name' contains"));
    let long = "x".repeat(40_000);
    assert_eq!(
        topic(&mut cluster, &[("leader.replication.throttled.replicas", SET, Some(&long))]),
        ["INVALID_CONFIG: The configuration value cannot be added because it exceeds the maximum value size of 32767 \
          bytes."]
    );
    let unknown = request(vec![resource(TOPIC, "a", &[("retention.ms", 9, None)])]);
    let decided = cluster.controller.incremental_alter_configs(&cluster.image, &unknown);
    assert_eq!((decided.response.responses[0].error_code, &decided.response.responses[0].error_message), (-1, &None));
    assert_eq!(alter(&mut cluster, 99, "a", &[]), ["UNSUPPORTED_VERSION: Unknown resource type 99."]);
    assert_eq!(alter(&mut cluster, GROUP, "", &[]), ["INVALID_REQUEST: Default group resources are not allowed."]);
    assert_eq!(alter(&mut cluster, BROKER, "9", &[]), ["BROKER_ID_NOT_REGISTERED: No node with id 9 found."]);
    assert_eq!(cluster.image.configs().iter().count(), 1, "only the cluster's own is there");
}

#[test]
fn one_resource_fails_alone() {
    let mut cluster = cluster();
    let bad = resource(TOPIC, "b", &[("retention.ms", SET, Some("1"))]);
    let good = resource(TOPIC, "a", &[("retention.ms", SET, Some("2"))]);
    let twice = resource(GROUP, "g", &[]);
    let request = request(vec![bad, twice.clone(), good, twice]);
    let decided = cluster.controller.incremental_alter_configs(&cluster.image, &request);
    assert_eq!(all_short(&decided.records), ["config 2/a retention.ms=2"]);
    let answers: Vec<_> = decided.response.responses.iter().map(|r| (&*r.resource_name, r.error_code)).collect();
    assert_eq!(answers, [("b", 3), ("g", 42), ("a", 0)]);
    cluster.apply(decided);
}

#[test]
fn validating_changes_nothing() {
    let mut cluster = cluster();
    let mut request = request(vec![resource(TOPIC, "a", &[("retention.ms", SET, Some("2"))])]);
    request.validate_only = true;
    let decided = cluster.controller.incremental_alter_configs(&cluster.image, &request);
    assert!(decided.records.is_empty());
    assert_eq!(cluster.apply(decided).responses[0].error_code, 0);
}

#[test]
fn brokers_get_a_record_even_for_the_same_value() {
    let mut cluster = cluster();
    let value = [("message.max.bytes", SET, Some("5"))];
    assert_eq!(alter(&mut cluster, BROKER, "", &value), ["config 4/ message.max.bytes=5"]);
    assert_eq!(alter(&mut cluster, BROKER, "", &value), ["config 4/ message.max.bytes=5"]);
}

#[test]
fn min_insync_replicas_is_the_clusters_while_elrs_are_kept() {
    let mut cluster = cluster();
    let mut broker =
        |name, operation, value| alter(&mut cluster, BROKER, name, &[(MIN_INSYNC_REPLICAS, operation, value)]);
    assert_eq!(
        broker("1", SET, Some("2")),
        ["INVALID_CONFIG: Broker-level min.insync.replicas cannot be altered while ELR is enabled."]
    );
    assert_eq!(
        broker("", DELETE, None),
        ["INVALID_CONFIG: Cluster-level min.insync.replicas cannot be removed while ELR is enabled."]
    );
    assert_eq!(broker("", SET, Some("2")), ["config 4/ min.insync.replicas=2", "clear elr "]);
    let own = [(MIN_INSYNC_REPLICAS, SET, Some("2"))];
    assert_eq!(topic(&mut cluster, &own), ["config 2/a min.insync.replicas=2", "clear elr a"]);
}

#[test]
fn the_older_request_replaces_everything() {
    let mut cluster = cluster();
    topic(&mut cluster, &[("segment.ms", SET, Some("600000")), ("retention.ms", SET, Some("1"))]);
    let config = alter_configs_request::AlterableConfig { name: "retention.ms".into(), value: Some("2".into()) };
    let resource = alter_configs_request::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "a".into(),
        configs: vec![config],
    };
    let request = AlterConfigsRequest { resources: vec![resource], ..AlterConfigsRequest::default() };
    let decided = cluster.controller.alter_configs(&cluster.image, &request);
    assert_eq!(all_short(&decided.records), ["config 2/a retention.ms=2", "config 2/a segment.ms=(deleted)"]);
    assert_eq!(cluster.apply(decided).responses[0].error_code, 0);
    let again = cluster.controller.alter_configs(&cluster.image, &request);
    assert_eq!(all_short(&again.records), [""; 0]);
}

#[test]
fn a_broker_refuses_first_what_it_can() {
    let node = NodeId(1);
    let good = resource(TOPIC, "a", &[("retention.ms", SET, Some("1"))]);
    let resources = vec![
        resource(TOPIC, "n", &[("retention.ms", SET, None), ("x", DELETE, None)]),
        resource(TOPIC, "d", &[("x", SET, Some("1")), ("x", SET, Some("2"))]),
        good.clone(),
        resource(BROKER, "2", &[]),
        resource(BROKER, "x", &[]),
        resource(GROUP, "g", &[]),
        resource(GROUP, "g", &[]),
        resource(7, "u", &[]),
    ];
    let image = MetadataImage::default();
    let receiver = Receiver {
        node,
        role: ReceiverRole::Broker,
        image: &image,
        could_run: &|_, _| Ok(()),
        loggers: &|_| Err(Refusal::bare(ErrorCode::InvalidConfig)),
    };
    let preprocessed = preprocess(receiver, &request(resources));
    assert_eq!(preprocessed.rest.resources, [good]);
    let cluster = cluster();
    let decided = cluster.controller.incremental_alter_configs(&cluster.image, &preprocessed.rest);
    let response = preprocessed.complete(Ok(decided.response));
    let texts: Vec<_> = response.responses.iter().map(|r| r.error_message.as_deref().unwrap_or("-")).collect();
    let expected = [
        "Null value not supported for : retention.ms",
        "Error due to duplicate config keys",
        "-",
        "Unexpected broker id, expected 1, but received 2",
        "Node id must be an integer, but it is: x",
        "Each resource must appear at most once.",
        "Each resource must appear at most once.",
        "Unknown resource type 7",
    ];
    assert_eq!(texts, expected);
    assert!(response.responses.iter().all(|r| r.error_code == 42 || r.error_code == 0));
}
