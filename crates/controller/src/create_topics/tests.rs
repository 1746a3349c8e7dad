use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{BrokerHeartbeatRequest, CreateTopicsRequest};

use crate::tests::cluster::{Cluster, Seeded, all_short, assigned, counted, with_config};

/// The refusal of a topic: its error code and its sentence.
fn refusal(cluster: &mut Cluster, topic: thalweg_wire::messages::create_topics_request::CreatableTopic) -> String {
    let result = cluster.create_one(topic);
    format!("{}: {}", ErrorCode::from_code(result.error_code).name(), result.error_message.unwrap_or_default())
}

#[test]
fn a_topic_is_created_with_the_defaults() {
    let mut cluster = Cluster::of(1);
    let result = cluster.create_one(counted("a", -1, -1));
    assert_eq!((result.error_code, result.error_message), (0, None));
    assert_eq!((result.num_partitions, result.replication_factor), (1, 1));
    assert_eq!(cluster.image_of("a").id, result.topic_id);
    assert_eq!(cluster.state("a", 0), "1@0 isr [1] elr [] last []");
    let configs = result.configs.expect("the answer tells the configs");
    assert!(configs.windows(2).all(|pair| pair[0].name < pair[1].name), "they are sorted");
    let retention = configs.iter().find(|config| &*config.name == "retention.ms").expect("every topic has it");
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("604800000"), 5));
    let isr = configs.iter().find(|config| &*config.name == "min.insync.replicas").expect("every topic has it");
    assert_eq!((isr.value.as_deref(), isr.config_source), (Some("1"), 3), "the cluster's, since it keeps ELRs");
}

#[test]
fn the_records_are_topic_configs_partitions() {
    let cluster = Cluster::of(1);
    let topic = with_config(counted("a", 2, 1), "retention.ms", Some("1000"));
    let topic = with_config(topic, "min.insync.replicas", Some("1"));
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let mut random = Seeded(7);
    let decided = cluster
        .controller
        .create_topics(&cluster.image, &mut || random.next(), &request, &mut crate::Mutations::unlimited())
        .expect("it fits");
    let expected = [
        "Topic",
        "config 2/a min.insync.replicas=1",
        "config 2/a retention.ms=1000",
        "clear elr a",
        "Partition",
        "Partition",
    ];
    assert_eq!(all_short(&decided.records), expected);
}

#[test]
fn validating_creates_nothing() {
    let mut cluster = Cluster::of(1);
    let request =
        CreateTopicsRequest { topics: vec![counted("a", 3, 1)], validate_only: true, ..CreateTopicsRequest::default() };
    let response = cluster.create(&request);
    assert_eq!((response.topics[0].error_code, response.topics[0].num_partitions), (0, 3));
    assert!(cluster.image.topics().is_empty());
}

#[test]
fn names_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::of(1);
    cluster.topic("with.dots", &[&[1]]);
    let mut name = |name| refusal(&mut cluster, counted(name, 1, 1));
    assert_eq!(name("with.dots"), "TOPIC_ALREADY_EXISTS: Topic 'with.dots' already exists.");
    assert_eq!(name("with_dots"), "INVALID_TOPIC_EXCEPTION: Topic 'with_dots' collides with existing topic: with.dots");
    assert_eq!(name("."), "INVALID_TOPIC_EXCEPTION: Topic name is invalid: '.' is not allowed");
    assert_eq!(
        name("__cluster_metadata"),
        "INVALID_REQUEST: Creation of internal topic __cluster_metadata is prohibited."
    );
}

#[test]
fn a_name_that_stands_twice_is_refused_once() {
    let mut cluster = Cluster::of(1);
    let topics = vec![counted("a", 1, 1), counted("b", 1, 1), counted("a", 2, 1), counted("a", 3, 1)];
    let response = cluster.create(&CreateTopicsRequest { topics, ..CreateTopicsRequest::default() });
    let texts: Vec<_> = response.topics.iter().map(|t| (&*t.name, t.error_code, t.error_message.as_deref())).collect();
    assert_eq!(texts, [("b", 0, None), ("a", 42, Some("Duplicate topic name."))]);
}

#[test]
fn numbers_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::of(1);
    assert_eq!(
        refusal(&mut cluster, counted("a", 1, 2)),
        "INVALID_REPLICATION_FACTOR: Unable to replicate the partition 2 time(s): The target replication factor of 2 \
         cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories \
         cordoned."
    );
    assert_eq!(
        refusal(&mut cluster, counted("a", 1, 0)),
        "INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value."
    );
    assert_eq!(
        refusal(&mut cluster, counted("a", 0, 1)),
        "INVALID_PARTITIONS: Number of partitions was set to an invalid non-positive value."
    );
    cluster.fence(1);
    assert_eq!(
        refusal(&mut cluster, counted("a", 1, 1)),
        "INVALID_REPLICATION_FACTOR: Unable to replicate the partition 1 time(s): All brokers are currently fenced, or \
         have all their log directories cordoned."
    );
}

#[test]
fn too_many_partitions_refuse_the_whole_request() {
    let cluster = Cluster::of(1);
    let topics = vec![counted("a", 9_999, 1), counted("b", 2, 1)];
    let request = CreateTopicsRequest { topics, ..CreateTopicsRequest::default() };
    let refused = cluster
        .controller
        .create_topics(&cluster.image, &mut || 1, &request, &mut crate::Mutations::unlimited())
        .map_err(|e| e.to_string());
    assert_eq!(refused, Err("POLICY_VIOLATION: Excessively large number of partitions per request.".to_owned()));
}

#[test]
fn manual_assignments_are_checked() {
    let mut cluster = Cluster::of(2);
    let mut assign = |assignments: &[&[i32]]| refusal(&mut cluster, assigned("a", assignments));
    let manual = "INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes";
    assert_eq!(assign(&[&[9]]), format!("{manual} broker 9, but no such broker is registered."));
    assert_eq!(assign(&[&[1, 1]]), format!("{manual} the broker 1 more than once."));
    assert_eq!(assign(&[&[]]), format!("{manual} an empty replica list."));
    assert_eq!(
        assign(&[&[1], &[1, 2]]),
        format!(
            "{manual} a partition with 2 replica(s), but this is not consistent with previous partitions, which have 1 \
             replica(s)."
        )
    );
    let mut both = assigned("a", &[&[1]]);
    both.num_partitions = 1;
    assert_eq!(
        refusal(&mut cluster, both),
        "INVALID_REQUEST: A manual partition assignment was specified, but numPartitions was not set to -1."
    );
    let mut gap = assigned("a", &[&[1], &[2]]);
    gap.assignments[1].partition_index = 2;
    assert_eq!(
        refusal(&mut cluster, gap),
        "INVALID_REPLICA_ASSIGNMENT: partitions should be a consecutive 0-based integer sequence"
    );
    let mut twice = assigned("a", &[&[1], &[2]]);
    twice.assignments[1].partition_index = 0;
    assert_eq!(
        refusal(&mut cluster, twice),
        "INVALID_REPLICA_ASSIGNMENT: Found multiple manual partition assignments for partition 0"
    );
}

#[test]
fn a_fenced_replica_is_not_in_the_first_isr() {
    let mut cluster = Cluster::of(2);
    cluster.fence(1);
    cluster.topic("a", &[&[1, 2]]);
    assert_eq!(cluster.state("a", 0), "2@0 isr [2] elr [] last []");
    assert_eq!(
        refusal(&mut cluster, assigned("b", &[&[1]])),
        "INVALID_REPLICA_ASSIGNMENT: All brokers specified in the manual partition assignment for partition 0 are \
         fenced or in controlled shutdown."
    );
}

/// As in Kafka, where a broker that has stopped counts like any other that is fenced.
#[test]
fn a_broker_that_has_stopped_gets_replicas_and_one_that_stops_does_not() {
    let mut cluster = Cluster::of(3);
    // It leads something, so that it may not stop at once.
    cluster.topic("led", &[&[3, 1]]);
    let leaving = BrokerHeartbeatRequest { want_shut_down: true, ..cluster.alive(3) };
    cluster.heartbeat(&leaving).expect("it may hand over");
    assert!(refusal(&mut cluster, counted("t", 1, 3)).contains("only 2 broker(s) are registered"));
    cluster.fence(3);
    assert_eq!(cluster.create_one(counted("t", 1, 3)).error_code, 0);
}

#[test]
fn configs_are_checked_before_anything_is_created() {
    let mut cluster = Cluster::of(1);
    let mut config = |name, value| refusal(&mut cluster, with_config(counted("a", 1, 1), name, value));
    assert_eq!(config("no.such.config", Some("1")), "INVALID_CONFIG: Unknown topic config name: no.such.config");
    assert_eq!(
        config("retention.ms", Some("abc")),
        "INVALID_CONFIG: Invalid value abc for configuration retention.ms: Not a number of type LONG"
    );
    assert_eq!(
        config("retention.ms", None),
        "INVALID_CONFIG: Null value not supported for topic configs: retention.ms"
    );
    assert!(cluster.image.topics().is_empty() && cluster.image.configs().topic("a", "retention.ms").is_none());
}
