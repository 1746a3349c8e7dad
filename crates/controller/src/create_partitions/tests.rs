use thalweg_wire::ErrorCode;
use thalweg_wire::messages::CreatePartitionsRequest;
use thalweg_wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};

use crate::tests::cluster::Cluster;

fn grow(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsTopic {
    let assignment = |ids: &&[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec() };
    CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: assignments.map(|all| all.iter().map(assignment).collect()),
    }
}

fn ask(cluster: &mut Cluster, topics: Vec<CreatePartitionsTopic>) -> Vec<String> {
    let request = CreatePartitionsRequest { topics, ..CreatePartitionsRequest::default() };
    let random = &mut cluster.random;
    let decided = cluster.controller.create_partitions(
        &cluster.image,
        &mut || random.next(),
        &request,
        &mut crate::Mutations::unlimited(),
    );
    let response = cluster.apply(decided);
    let text = |r: &thalweg_wire::messages::create_partitions_response::CreatePartitionsTopicResult| {
        let code = ErrorCode::from_code(r.error_code).name();
        format!("{} {code} {}", r.name, r.error_message.as_deref().unwrap_or("-"))
    };
    response.results.iter().map(text).collect()
}

#[test]
fn a_topic_grows() {
    let mut cluster = Cluster::of(3);
    cluster.topic("a", &[&[1, 2]]);
    assert_eq!(ask(&mut cluster, vec![grow("a", 3, None)]), ["a NONE -"]);
    assert_eq!(cluster.image_of("a").partition_count(), 3);
    assert_eq!(cluster.partition("a", 2).replicas.len(), 2, "new partitions have as many replicas as the old ones");
    assert_eq!(ask(&mut cluster, vec![grow("a", 4, Some(&[&[3, 1]]))]), ["a NONE -"]);
    assert_eq!(cluster.state("a", 3), "3@0 isr [3, 1] elr [] last []");
}

#[test]
fn a_topic_never_shrinks() {
    let mut cluster = Cluster::of(1);
    cluster.topic("a", &[&[1], &[1]]);
    assert_eq!(ask(&mut cluster, vec![grow("a", 2, None)]), ["a INVALID_PARTITIONS Topic already has 2 partition(s)."]);
    assert_eq!(
        ask(&mut cluster, vec![grow("a", 1, None)]),
        ["a INVALID_PARTITIONS The topic a currently has 2 partition(s); 1 would not be an increase."]
    );
    assert_eq!(ask(&mut cluster, vec![grow("b", 2, None)]), ["b UNKNOWN_TOPIC_OR_PARTITION -"]);
}

#[test]
fn assignments_must_fit() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1]]);
    assert_eq!(
        ask(&mut cluster, vec![grow("a", 3, Some(&[&[1]]))]),
        ["a INVALID_REPLICA_ASSIGNMENT Attempted to add 2 additional partition(s), but only 1 assignment(s) were \
          specified."]
    );
    assert_eq!(
        ask(&mut cluster, vec![grow("a", 2, Some(&[&[1, 2]]))]),
        ["a INVALID_REPLICA_ASSIGNMENT The manual partition assignment includes a partition with 2 replica(s), but \
          this is not consistent with previous partitions, which have 1 replica(s)."]
    );
    assert_eq!(
        ask(&mut cluster, vec![grow("a", 2, None), grow("a", 3, None)]),
        ["a INVALID_REQUEST Duplicate topic name."]
    );
    assert_eq!(cluster.image_of("a").partition_count(), 1);
}

#[test]
fn validating_adds_nothing() {
    let mut cluster = Cluster::of(1);
    cluster.topic("a", &[&[1]]);
    let request = CreatePartitionsRequest {
        topics: vec![grow("a", 2, None)],
        validate_only: true,
        ..CreatePartitionsRequest::default()
    };
    let decided =
        cluster.controller.create_partitions(&cluster.image, &mut || 1, &request, &mut crate::Mutations::unlimited());
    assert_eq!((decided.records.len(), decided.response.results[0].error_code), (0, 0));
}
