use thalweg_base::LeaderEpoch;
use thalweg_metadata::image::partition::nodes;

use super::*;

/// A partition on brokers 1 to 3, led by 1, all in sync.
fn partition() -> PartitionRegistration {
    PartitionRegistration {
        replicas: nodes(&[1, 2, 3]),
        directories: vec![Uuid([9; 16]); 3],
        isr: nodes(&[1, 2, 3]),
        leader: NodeId(1),
        leader_epoch: LeaderEpoch(5),
        ..PartitionRegistration::default()
    }
}

fn build(
    partition: &PartitionRegistration,
    alive: &[i32],
    version: i16,
    set: impl FnOnce(PartitionChange<'_>) -> PartitionChange<'_>,
) -> Option<PartitionChangeRecord> {
    let acceptable = |id: NodeId| alive.contains(&id.0);
    let default_directory = |_| Uuid([8; 16]);
    let version = MetadataVersion(version);
    let elr_enabled = version >= MetadataVersion(26);
    let rules =
        Rules { acceptable: &acceptable, default_directory: &default_directory, version, elr_enabled, isr_min: 2 };
    set(PartitionChange::new(partition, rules)).build(Uuid([1; 16]), 0)
}

#[test]
fn nothing_changes_while_all_is_well() {
    assert_eq!(build(&partition(), &[1, 2, 3], 30, |change| change), None);
}

#[test]
fn a_shrinking_isr_needs_a_new_epoch_only_before_3_6() {
    let shrink = |version| build(&partition(), &[1, 2, 3], version, |c| c.isr(nodes(&[1, 2]))).expect("it changes");
    assert_eq!((shrink(30).leader, shrink(30).isr), (NO_LEADER_CHANGE, Some(vec![1, 2])));
    assert_eq!(shrink(11).leader, 1);
}

#[test]
fn who_leaves_an_isr_that_is_too_small_stays_eligible() {
    let record = build(&partition(), &[1, 2, 3], 30, |c| c.isr(nodes(&[1]))).expect("it changes");
    assert_eq!(record.eligible_leader_replicas, Some(vec![2, 3]));
    let small = partition().changed(&record);
    let record = build(&small, &[1, 2, 3], 30, |c| c.isr(nodes(&[1, 3]))).expect("it changes");
    assert_eq!(record.eligible_leader_replicas, Some(vec![]), "two are enough");
}

#[test]
fn an_eligible_replica_leads_when_the_isr_is_empty() {
    let small = PartitionRegistration { isr: nodes(&[1]), elr: nodes(&[2, 3]), ..partition() };
    let record = build(&small, &[3], 30, |c| c.isr(nodes(&[]))).expect("it changes");
    let after = small.changed(&record);
    assert_eq!((after.leader, after.isr, after.elr), (NodeId(3), nodes(&[3]), nodes(&[1, 2])));
    assert_eq!(after.leader_recovery_state, LeaderRecoveryState::Recovered, "it lost nothing");
}

#[test]
fn an_unclean_election_is_only_made_when_allowed() {
    let alone = PartitionRegistration { isr: nodes(&[1]), ..partition() };
    let online = build(&alone, &[2], 25, |c| c).expect("it loses its leader");
    assert_eq!((online.leader, online.isr), (-1, None));
    let unclean = build(&alone, &[2], 25, |c| c.election(Election::Unclean)).expect("it changes");
    assert_eq!((unclean.leader, unclean.isr, unclean.leader_recovery_state), (2, Some(vec![2]), 1));
}

#[test]
fn the_preferred_replica_takes_over_when_it_is_in_sync() {
    let led_by_2 = PartitionRegistration { leader: NodeId(2), ..partition() };
    let preferred = |alive: &[i32]| build(&led_by_2, alive, 30, |c| c.election(Election::Preferred));
    assert_eq!(preferred(&[1, 2, 3]).map(|record| record.leader), Some(1));
    assert_eq!(preferred(&[2, 3]), None);
}

#[test]
fn a_reassignment_ends_when_every_new_replica_is_in_sync() {
    let moving = PartitionRegistration {
        replicas: nodes(&[4, 5, 1, 2, 3]),
        directories: vec![Uuid([9; 16]); 5],
        removing_replicas: nodes(&[1, 2, 3]),
        adding_replicas: nodes(&[4, 5]),
        ..partition()
    };
    let with = |isr: &[i32]| build(&moving, &[1, 2, 3, 4, 5], 30, |c| c.isr(nodes(isr))).expect("it changes");
    assert_eq!(with(&[1, 2, 3, 4]).replicas, None, "one is missing");
    let record = with(&[1, 2, 3, 4, 5]);
    let after = moving.changed(&record);
    assert_eq!((after.replicas, after.isr, after.leader), (nodes(&[4, 5]), nodes(&[4, 5]), NodeId(4)));
    assert_eq!((after.leader_epoch, after.directories.len()), (LeaderEpoch(6), 2));
    assert!(after.removing_replicas.is_empty() && after.adding_replicas.is_empty());
}

#[test]
fn a_new_replica_gets_a_directory() {
    let record = build(&partition(), &[1, 2, 3, 4], 30, |c| c.replicas(nodes(&[1, 2, 3, 4])).adding(nodes(&[4])));
    let directories = record.expect("it changes").directories.expect("they change");
    assert_eq!(directories, [Uuid([9; 16]), Uuid([9; 16]), Uuid([9; 16]), Uuid([8; 16])]);
}
