use thalweg_wire::messages::alter_partition_reassignments_request::ReassignableTopic;
use thalweg_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

use super::*;
use crate::tests::cluster::Cluster;

fn ask(cluster: &mut Cluster, partition: i32, replicas: Option<&[i32]>, any_factor: bool) -> String {
    let partition = ReassignablePartition { partition_index: partition, replicas: replicas.map(<[i32]>::to_vec) };
    let request = AlterPartitionReassignmentsRequest {
        allow_replication_factor_change: any_factor,
        topics: vec![ReassignableTopic { name: "a".into(), partitions: vec![partition] }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let decided = cluster.controller.alter_partition_reassignments(&cluster.image, &request);
    let result = cluster.apply(decided).responses.remove(0).partitions.remove(0);
    format!("{} {}", ErrorCode::from_code(result.error_code).name(), result.error_message.as_deref().unwrap_or("-"))
}

/// Replicas, adding, removing.
fn replicas(cluster: &Cluster) -> [Vec<i32>; 3] {
    let p = cluster.partition("a", 0);
    [ids(&p.replicas), ids(&p.adding_replicas), ids(&p.removing_replicas)]
}

#[test]
fn a_partition_moves_when_its_new_replicas_are_in_sync() {
    let mut cluster = Cluster::of(4);
    cluster.topic("a", &[&[1, 2]]);
    assert_eq!(ask(&mut cluster, 0, Some(&[3, 2]), true), "NONE -");
    assert_eq!(replicas(&cluster), [vec![3, 2, 1], vec![3], vec![1]]);
    let listed = list_partition_reassignments(&cluster.image, &ListPartitionReassignmentsRequest::default());
    assert_eq!(listed.topics[0].partitions[0].adding_replicas, [3]);
    let other = ListPartitionReassignmentsTopics { name: "a".into(), partition_indexes: vec![5] };
    let request = ListPartitionReassignmentsRequest { topics: Some(vec![other]), ..Default::default() };
    assert!(list_partition_reassignments(&cluster.image, &request).topics.is_empty());
}

#[test]
fn a_reassignment_can_be_cancelled() {
    let mut cluster = Cluster::of(4);
    cluster.topic("a", &[&[1, 2]]);
    assert_eq!(ask(&mut cluster, 0, None, true), "NO_REASSIGNMENT_IN_PROGRESS -");
    ask(&mut cluster, 0, Some(&[3, 4]), true);
    assert_eq!(replicas(&cluster), [vec![3, 4, 1, 2], vec![3, 4], vec![1, 2]]);
    assert_eq!(ask(&mut cluster, 0, None, true), "NONE -");
    assert_eq!(replicas(&cluster), [vec![1, 2], vec![], vec![]]);
    assert_eq!(cluster.state("a", 0), "1@1 isr [1, 2] elr [] last []");
}

#[test]
fn what_cannot_be_reassigned_is_refused() {
    let mut cluster = Cluster::of(3);
    cluster.topic("a", &[&[1, 2]]);
    assert_eq!(
        ask(&mut cluster, 0, Some(&[9]), true),
        "INVALID_REPLICA_ASSIGNMENT The manual partition assignment includes broker 9, but no such broker is registered."
    );
    assert_eq!(
        ask(&mut cluster, 0, Some(&[3]), false),
        "INVALID_REPLICATION_FACTOR The replication factor is changed from 2 to 1"
    );
    assert_eq!(ask(&mut cluster, 7, Some(&[3]), true), "UNKNOWN_TOPIC_OR_PARTITION Unable to find partition a:7.");
}
