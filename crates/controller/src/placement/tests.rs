use std::collections::BTreeSet;

use super::*;
use crate::tests::cluster::Seeded;

fn broker(id: i32, rack: Option<&str>) -> UsableBroker {
    UsableBroker { id: NodeId(id), rack: rack.map(Into::into), fenced: false }
}

fn fenced(id: i32) -> UsableBroker {
    UsableBroker { fenced: true, ..broker(id, None) }
}

fn placed(seed: u64, partitions: usize, replicas: i32, brokers: &[UsableBroker]) -> Vec<Vec<NodeId>> {
    let mut random = Seeded(seed);
    place(partitions, replicas, brokers, &mut || random.next()).expect("there are enough brokers")
}

#[test]
fn replicas_of_a_partition_are_on_different_brokers() {
    for seed in 1..200 {
        let count = 1 + i32::try_from(seed % 7).expect("it is small");
        let brokers: Vec<_> = (0..count).map(|id| broker(id, [None, Some("a"), Some("b")][id as usize % 3])).collect();
        for replicas in placed(seed, 40, 1 + count / 2, &brokers) {
            let distinct: BTreeSet<_> = replicas.iter().collect();
            assert_eq!(distinct.len(), replicas.len(), "seed {seed}");
        }
    }
}

#[test]
fn leaders_are_spread_evenly() {
    let brokers: Vec<_> = (0..5).map(|id| broker(id, None)).collect();
    for seed in 1..50 {
        let placed = placed(seed, 20, 3, &brokers);
        for id in 0..5 {
            assert_eq!(placed.iter().filter(|replicas| replicas[0] == NodeId(id)).count(), 4, "seed {seed}");
        }
    }
}

#[test]
fn replicas_are_in_as_many_racks_as_there_are() {
    let brokers: Vec<_> = (0..6).map(|id| broker(id, Some(["a", "b", "c"][id as usize % 3]))).collect();
    for seed in 1..50 {
        for replicas in placed(seed, 30, 3, &brokers) {
            let racks: BTreeSet<_> = replicas.iter().map(|id| id.0 % 3).collect();
            assert_eq!(racks.len(), 3, "seed {seed}: {replicas:?}");
        }
    }
}

#[test]
fn a_fenced_broker_never_leads_and_comes_last() {
    let brokers = [broker(1, None), fenced(2), broker(3, None)];
    for seed in 1..50 {
        for replicas in placed(seed, 9, 2, &brokers) {
            assert!(!replicas.contains(&NodeId(2)), "two others are there");
        }
        for replicas in placed(seed, 9, 3, &brokers) {
            assert_eq!(replicas[2], NodeId(2));
        }
    }
}

#[test]
fn small_topics_do_not_all_begin_on_the_same_broker() {
    let brokers: Vec<_> = (0..4).map(|id| broker(id, None)).collect();
    let leaders: BTreeSet<_> = (1..40).map(|seed| placed(seed, 1, 1, &brokers)[0][0]).collect();
    assert_eq!(leaders.len(), 4);
}

#[test]
fn what_cannot_be_placed_is_refused_in_kafkas_words() {
    let refused = |replicas, brokers: &[UsableBroker]| {
        place(1, replicas, brokers, &mut || 1).map_err(|error| error.to_string()).expect_err("it is refused")
    };
    assert_eq!(
        refused(0, &[broker(1, None)]),
        "Invalid replication factor 0: the replication factor must be positive."
    );
    assert_eq!(
        refused(1, &[fenced(1)]),
        "All brokers are currently fenced, or have all their log directories cordoned."
    );
    assert_eq!(
        refused(2, &[broker(1, None)]),
        "The target replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers \
         have all their log directories cordoned."
    );
}
