use thalweg_base::Uuid;
use thalweg_wire::messages::alter_partition_request::{BrokerState, TopicData as AskedTopic};

use super::*;
use crate::tests::cluster::Cluster;

fn asked(cluster: &Cluster, isr: &[i32]) -> Asked {
    let partition = cluster.partition("a", 0);
    let state = |id: &i32| BrokerState { broker_id: *id, broker_epoch: cluster.alive(*id).broker_epoch };
    Asked {
        partition_index: 0,
        leader_epoch: partition.leader_epoch.0,
        new_isr_with_epochs: isr.iter().map(state).collect(),
        leader_recovery_state: partition.leader_recovery_state.id(),
        partition_epoch: partition.partition_epoch.0,
        ..Asked::default()
    }
}

fn ask(cluster: &mut Cluster, broker: i32, partition: Asked) -> PartitionData {
    let topics = vec![AskedTopic { topic_id: cluster.image_of("a").id, partitions: vec![partition] }];
    let broker_epoch = cluster.alive(broker).broker_epoch;
    let request = AlterPartitionRequest { broker_id: broker, broker_epoch, topics };
    let decided = cluster.controller.alter_partition(&cluster.image, &request, 3).expect("the broker is registered");
    cluster.apply(decided).topics.remove(0).partitions.remove(0)
}

fn error(cluster: &mut Cluster, broker: i32, partition: Asked) -> &'static str {
    ErrorCode::from_code(ask(cluster, broker, partition).error_code).name()
}

#[test]
fn the_leader_shrinks_and_grows_its_isr() {
    let mut cluster = Cluster::of(3);
    cluster.topic("a", &[&[1, 2, 3]]);
    let shrink = asked(&cluster, &[1, 3]);
    let answer = ask(&mut cluster, 1, shrink);
    assert_eq!((answer.error_code, answer.isr, answer.partition_epoch), (0, vec![1, 3], 1));
    let grow = asked(&cluster, &[1, 3, 2]);
    let answer = ask(&mut cluster, 1, grow);
    assert_eq!((answer.leader_epoch, answer.partition_epoch), (0, 2), "no new leader epoch");
    assert_eq!(cluster.state("a", 0), "1@0 isr [1, 3, 2] elr [] last []");
}

#[test]
fn what_does_not_fit_the_partition_is_refused() {
    let mut cluster = Cluster::of(3);
    cluster.topic("a", &[&[1, 2]]);
    let good = asked(&cluster, &[1]);
    let with = |change: &dyn Fn(&mut Asked)| {
        let mut partition = good.clone();
        change(&mut partition);
        partition
    };
    assert_eq!(error(&mut cluster, 2, good.clone()), "INVALID_REQUEST");
    assert_eq!(error(&mut cluster, 1, with(&|p| p.leader_epoch = 1)), "NOT_CONTROLLER");
    assert_eq!(error(&mut cluster, 1, with(&|p| p.partition_epoch = 1)), "NOT_CONTROLLER");
    assert_eq!(error(&mut cluster, 1, with(&|p| p.leader_epoch = -1)), "FENCED_LEADER_EPOCH");
    assert_eq!(error(&mut cluster, 1, with(&|p| p.partition_epoch = -1)), "INVALID_UPDATE_VERSION");
    assert_eq!(error(&mut cluster, 1, with(&|p| p.partition_index = 7)), "UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(error(&mut cluster, 1, with(&|p| p.leader_recovery_state = 1)), "INVALID_REQUEST");
    let mut isr = |ids: &[i32]| {
        let partition = asked(&cluster, ids);
        error(&mut cluster, 1, partition)
    };
    assert_eq!(isr(&[2]), "INVALID_REQUEST", "the leader is missing");
    assert_eq!(isr(&[1, 3]), "INVALID_REQUEST", "3 is no replica");
    assert_eq!(isr(&[1, 2, 2]), "INVALID_REQUEST");
    assert_eq!(cluster.state("a", 0), "1@0 isr [1, 2] elr [] last []");
}

#[test]
fn a_fenced_or_restarted_broker_is_not_eligible() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    let old = asked(&cluster, &[1, 2]).new_isr_with_epochs;
    cluster.fence(2);
    let fenced = asked(&cluster, &[1, 2]);
    assert_eq!(error(&mut cluster, 1, fenced), "INELIGIBLE_REPLICA");
    let request = cluster.registration(2, -1);
    cluster.register(&request).expect("it was fenced");
    cluster.heartbeat(&cluster.alive(2)).expect("it is registered");
    let stale = Asked { new_isr_with_epochs: old, ..asked(&cluster, &[]) };
    assert_eq!(error(&mut cluster, 1, stale), "INELIGIBLE_REPLICA", "it has another epoch now");
    let grown = asked(&cluster, &[1, 2]);
    assert_eq!(error(&mut cluster, 1, grown), "NONE");
}

#[test]
fn older_leaders_name_no_epochs() {
    let mut cluster = Cluster::of(2);
    cluster.topic("a", &[&[1, 2]]);
    let partition = Asked { new_isr: vec![1], new_isr_with_epochs: vec![], ..asked(&cluster, &[]) };
    let topics = vec![AskedTopic { topic_id: cluster.image_of("a").id, partitions: vec![partition] }];
    let broker_epoch = cluster.alive(1).broker_epoch;
    let request = AlterPartitionRequest { broker_id: 1, broker_epoch, topics };
    let decided = cluster.controller.alter_partition(&cluster.image, &request, 2).expect("it is registered");
    assert_eq!(decided.response.topics[0].partitions[0].isr, [1]);
}

#[test]
fn an_unknown_topic_is_answered_for_each_partition() {
    let cluster = Cluster::of(1);
    let topics = vec![AskedTopic { topic_id: Uuid([1; 16]), partitions: vec![Asked::default(); 2] }];
    let request = AlterPartitionRequest { broker_id: 1, broker_epoch: cluster.alive(1).broker_epoch, topics };
    let decided = cluster.controller.alter_partition(&cluster.image, &request, 3).expect("it is registered");
    let codes: Vec<i16> = decided.response.topics[0].partitions.iter().map(|p| p.error_code).collect();
    assert_eq!(codes, [ErrorCode::UnknownTopicId.code(); 2]);
}
