use super::*;

const ME: NodeId = NodeId(1);
const A: NodeId = NodeId(2);
const B: NodeId = NodeId(3);
const LAG: i64 = 30_000;

fn assignment(replicas: &[NodeId], isr: &[NodeId], version: i32) -> Assignment {
    Assignment {
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(version),
        replicas: replicas.to_vec(),
        isr: isr.to_vec(),
    }
}

fn ends(start: i64, end: i64, high_watermark: i64) -> LogEnds {
    LogEnds { start: Offset(start), end: Offset(end), high_watermark: Offset(high_watermark) }
}

/// A leader of `replicas` with an empty log, at moment 0, whose followers are registered with epoch 7.
fn leader(replicas: &[NodeId], isr: &[NodeId], min_isr: usize) -> Leader {
    let limits = Limits { min_isr, ..Limits::default() };
    let (mut leader, _) = Leader::start(ME, &assignment(replicas, isr, 0), ends(0, 0, 0), limits, Moment(0));
    for &id in replicas {
        let _ = leader.broker_changed(id, BrokerState::Active(BrokerEpoch(7)), Moment(0));
    }
    leader
}

fn fetch(leader: &mut Leader, follower: NodeId, offset: i64, at: i64) -> Effects {
    leader.fetched(by(follower, offset), Moment(at)).expect("the fetch is taken")
}

fn by(follower: NodeId, offset: i64) -> FetchedBy {
    let broker_epoch = Some(BrokerEpoch(7));
    FetchedBy { follower, broker_epoch, fetch_offset: Offset(offset), log_start: Offset(0) }
}

fn high_watermark(offset: i64) -> Effects {
    Effects { high_watermark: Some(Offset(offset)), ..Effects::default() }
}

fn proposed(effects: Effects) -> Option<Vec<i32>> {
    effects.propose_isr.map(|proposal| proposal.isr.iter().map(|member| member.broker.0).collect())
}

#[test]
fn alone_everything_is_committed_at_once() {
    let (mut leader, effects) =
        Leader::start(ME, &assignment(&[ME], &[ME], 0), ends(2, 10, 5), Limits::default(), Moment(0));
    assert_eq!(effects, Effects { low_watermark: Some(Offset(2)), ..high_watermark(10) });
    assert_eq!(leader.appended(Offset(12), Moment(0)), high_watermark(12));
    assert_eq!(leader.ack(Offset(12), Acks::All), Ack::Committed);
    assert_eq!(leader.deadline(), None);
    assert_eq!(leader.tick(Moment(LAG * 9)), Effects::default());
}

#[test]
fn what_must_be_synced_is_neither_committed_nor_acknowledged_before() {
    let mut leader = leader(&[ME], &[ME], 1);
    assert_eq!(leader.appended_unsynced(Offset(2), Moment(0)), Effects::default());
    assert_eq!(leader.appended_unsynced(Offset(4), Moment(0)), Effects::default());
    assert_eq!(leader.appended(Offset(5), Moment(0)), Effects::default());
    assert_eq!(leader.ack(Offset(2), Acks::Leader), Ack::Unsynced);
    assert_eq!(leader.synced(Offset(2), Moment(1)), high_watermark(2));
    assert_eq!(leader.ack(Offset(2), Acks::All), Ack::Committed);
    assert_eq!(leader.ack(Offset(4), Acks::All), Ack::Unsynced);
    assert_eq!(leader.ack(Offset(5), Acks::Leader), Ack::Unsynced, "it stands behind what is not synced");
    assert_eq!(leader.synced(Offset(4), Moment(2)), high_watermark(5), "nobody asked for the last one to be synced");
    assert!(!leader.waits_for_sync());
}

#[test]
fn a_synced_append_still_waits_for_followers() {
    let mut leader = leader(&[ME, A], &[ME, A], 1);
    let _ = leader.appended_unsynced(Offset(3), Moment(0));
    assert_eq!(fetch(&mut leader, A, 3, 1), Effects::default(), "a follower may have it earlier");
    assert_eq!(leader.synced(Offset(3), Moment(2)), high_watermark(3));
    let _ = leader.appended_unsynced(Offset(6), Moment(3));
    assert_eq!(leader.synced(Offset(6), Moment(4)), Effects::default());
    assert_eq!(leader.ack(Offset(6), Acks::Leader), Ack::Committed);
    assert_eq!(leader.ack(Offset(6), Acks::All), Ack::Waiting);
}

#[test]
fn commits_only_what_the_slowest_follower_has() {
    let mut leader = leader(&[ME, A, B], &[ME, A, B], 1);
    assert_eq!(leader.appended(Offset(10), Moment(1)), Effects::default());
    assert_eq!(fetch(&mut leader, A, 10, 2), Effects::default());
    assert_eq!(leader.ack(Offset(4), Acks::All), Ack::Waiting);
    assert_eq!(fetch(&mut leader, B, 4, 3).high_watermark, Some(Offset(4)));
    assert_eq!(leader.ack(Offset(4), Acks::All), Ack::Committed);
    assert_eq!(fetch(&mut leader, B, 10, 3), high_watermark(10));
}

#[test]
fn an_in_sync_follower_that_never_fetched_holds_the_high_watermark() {
    let mut leader = leader(&[ME, A], &[ME, A], 1);
    assert_eq!(leader.appended(Offset(1), Moment(0)), Effects::default());
    assert_eq!(leader.high_watermark(), Offset(0));
}

#[test]
fn a_lagging_follower_leaves_only_when_the_controller_says_so() {
    let mut leader = leader(&[ME, A], &[ME, A], 1);
    let _ = fetch(&mut leader, A, 0, 0);
    let _ = leader.appended(Offset(5), Moment(1));
    assert_eq!(leader.deadline(), Some(Moment(LAG + 1)));
    assert_eq!(leader.tick(Moment(LAG)), Effects::default());
    assert_eq!(proposed(leader.tick(Moment(LAG + 1))), Some(vec![1]));
    assert_eq!(leader.deadline(), None, "one proposal at a time");
    assert_eq!(leader.high_watermark(), Offset(0), "it counts until the controller has agreed");
    let effects = leader.isr_committed(LeaderEpoch(0), &[ME], PartitionEpoch(1), Moment(LAG + 2));
    assert_eq!(effects, high_watermark(5));
}

#[test]
fn small_appends_in_quick_succession_are_no_lag() {
    let mut leader = leader(&[ME, A], &[ME, A], 1);
    for round in 0..10 {
        let _ = leader.appended(Offset(round + 1), Moment(round * LAG / 2));
        let _ = fetch(&mut leader, A, round, round * LAG / 2 + 1);
        assert_eq!(proposed(leader.tick(Moment(round * LAG / 2 + 2))), None);
    }
}

#[test]
fn a_follower_joins_when_it_has_all_that_is_committed() {
    let mut leader = leader(&[ME, A], &[ME], 1);
    assert_eq!(leader.appended(Offset(10), Moment(1)), high_watermark(10));
    assert_eq!(proposed(fetch(&mut leader, A, 9, 2)), None);
    let proposal = fetch(&mut leader, A, 10, 3).propose_isr.expect("it has caught up");
    let broker_epoch = Some(BrokerEpoch(7));
    let isr = vec![IsrMember { broker: ME, broker_epoch: None }, IsrMember { broker: A, broker_epoch }];
    let leader_epoch = LeaderEpoch(0);
    assert_eq!(proposal, IsrProposal { leader_epoch, partition_epoch: PartitionEpoch(0), isr });
    assert_eq!(leader.appended(Offset(11), Moment(4)), Effects::default(), "it counts from the proposal on");
    assert_eq!(proposed(fetch(&mut leader, A, 10, 4)), None, "one proposal at a time");
    let _ = leader.isr_committed(LeaderEpoch(0), &[ME, A], PartitionEpoch(1), Moment(5));
    assert_eq!(leader.isr(), [ME, A]);
}

#[test]
fn a_caught_up_follower_is_waited_for_before_it_is_in_sync() {
    let mut leader = leader(&[ME, A, B], &[ME], 1);
    let _ = leader.appended(Offset(10), Moment(1));
    // A joins; B is caught up, but there can be only one proposal.
    assert_eq!(proposed(fetch(&mut leader, A, 10, 2)), Some(vec![1, 2]));
    let _ = fetch(&mut leader, B, 10, 2);
    let _ = leader.appended(Offset(11), Moment(3));
    assert_eq!(fetch(&mut leader, A, 11, 4), Effects::default());
    assert_eq!(fetch(&mut leader, B, 11, 4), high_watermark(11));
}

#[test]
fn nobody_joins_who_lacks_records_of_older_epochs() {
    let limits = Limits::default();
    let (mut leader, _) = Leader::start(ME, &assignment(&[ME, A, B], &[ME, B], 0), ends(0, 10, 4), limits, Moment(0));
    let _ = leader.broker_changed(A, BrokerState::Active(BrokerEpoch(7)), Moment(0));
    assert_eq!(proposed(fetch(&mut leader, A, 9, 1)), None, "beyond the high watermark is not enough");
    assert_eq!(proposed(fetch(&mut leader, A, 10, 1)), Some(vec![1, 3, 2]));
}

#[test]
fn fenced_leaving_and_restarted_brokers_do_not_join() {
    let mut leader = leader(&[ME, A], &[ME], 1);
    for state in
        [BrokerState::Unavailable, BrokerState::ShuttingDown(BrokerEpoch(7)), BrokerState::Active(BrokerEpoch(6))]
    {
        let _ = leader.broker_changed(A, state, Moment(0));
        assert_eq!(proposed(fetch(&mut leader, A, 0, 1)), None, "{state:?}");
    }
    let effects = leader.broker_changed(A, BrokerState::Active(BrokerEpoch(7)), Moment(1));
    assert_eq!(proposed(effects), Some(vec![1, 2]));
    let _ = leader.broker_changed(A, BrokerState::Active(BrokerEpoch(8)), Moment(2));
    assert_eq!(leader.fetched(by(A, 0), Moment(3)), Err(Refusal::StaleBrokerEpoch));
}

#[test]
fn strangers_and_offsets_ahead_are_refused() {
    let mut leader = leader(&[ME, A], &[ME, A], 1);
    assert_eq!(leader.fetched(by(B, 0), Moment(1)), Err(Refusal::NotAReplica));
    assert_eq!(leader.fetched(by(A, 1), Moment(1)), Err(Refusal::OffsetOutOfRange));
    assert_eq!(leader.check_epoch(Some(LeaderEpoch(1))), Err(Refusal::UnknownLeaderEpoch));
    assert_eq!(leader.check_epoch(Some(LeaderEpoch(-1))), Err(Refusal::FencedLeaderEpoch));
    assert_eq!(leader.check_epoch(None), Ok(()));
}

#[test]
fn below_min_isr_nothing_is_appended_for_all_or_committed() {
    let mut leader = leader(&[ME, A, B], &[ME, A], 3);
    assert_eq!(leader.may_append(Acks::All), Err(Refusal::NotEnoughReplicas));
    assert_eq!(leader.may_append(Acks::Leader), Ok(()));
    let _ = leader.appended(Offset(5), Moment(0));
    assert_eq!(fetch(&mut leader, A, 5, 1), Effects::default());
    assert_eq!(leader.limits_changed(Limits { min_isr: 2, ..Limits::default() }, Moment(2)), high_watermark(5));
}

#[test]
fn an_append_that_was_committed_by_too_few_says_so() {
    let mut leader = leader(&[ME, A], &[ME, A], 2);
    let _ = leader.appended(Offset(5), Moment(0));
    let _ = fetch(&mut leader, A, 5, 1);
    let _ = leader.assigned(&assignment(&[ME, A], &[ME], 1), Moment(2));
    assert_eq!(leader.ack(Offset(5), Acks::All), Ack::NotEnoughReplicasAfterAppend);
}

#[test]
fn more_min_isr_than_replicas_means_all_of_them() {
    assert_eq!(leader(&[ME], &[ME], 3).may_append(Acks::All), Ok(()));
}

#[test]
fn an_answer_to_an_older_proposal_changes_nothing() {
    let mut leader = leader(&[ME, A], &[ME], 1);
    let _ = fetch(&mut leader, A, 0, 0);
    let _ = leader.assigned(&assignment(&[ME, A, B], &[ME], 4), Moment(1));
    let _ = leader.isr_committed(LeaderEpoch(0), &[ME, A], PartitionEpoch(1), Moment(2));
    assert_eq!((leader.isr(), leader.partition_epoch()), (&[ME][..], PartitionEpoch(4)));
    let _ = leader.assigned(&assignment(&[ME, A], &[ME, A], 3), Moment(1));
    assert_eq!(leader.isr(), [ME], "nor does an older assignment");
}

#[test]
fn a_refused_proposal_is_dropped_kept_or_repeated() {
    let mut leader = leader(&[ME, A], &[ME], 1);
    let proposal = fetch(&mut leader, A, 0, 0).propose_isr;
    let again = leader.isr_refused(PartitionEpoch(0), IsrRefusal::Unknown, Moment(1));
    assert_eq!(again.propose_isr, proposal);
    assert_eq!(leader.isr_refused(PartitionEpoch(0), IsrRefusal::OutOfDate, Moment(1)), Effects::default());
    assert_eq!(proposed(fetch(&mut leader, A, 0, 1)), None, "newer metadata must come first");
    let _ = leader.isr_refused(PartitionEpoch(0), IsrRefusal::NotApplied, Moment(2));
    assert_eq!(proposed(fetch(&mut leader, A, 0, 3)), Some(vec![1, 2]));
}

#[test]
fn a_new_epoch_begins_at_the_log_end_and_gives_followers_time() {
    let mut leader = leader(&[ME, A], &[ME, A], 1);
    let _ = leader.appended(Offset(5), Moment(0));
    let _ = fetch(&mut leader, A, 3, 1);
    let next = Assignment { leader_epoch: LeaderEpoch(1), ..assignment(&[ME, A], &[ME, A], 1) };
    let _ = leader.assigned(&next, Moment(LAG * 2));
    assert_eq!(leader.leader_epoch(), LeaderEpoch(1));
    assert_eq!(proposed(leader.tick(Moment(LAG * 2 + 1))), None);
    assert_eq!(leader.deadline(), Some(Moment(LAG * 3 + 1)));
}

#[test]
fn deletion_waits_for_every_live_replica() {
    let mut leader = leader(&[ME, A, B], &[ME, A], 1);
    let _ = leader.broker_changed(B, BrokerState::Unavailable, Moment(0));
    let _ = leader.appended(Offset(10), Moment(0));
    let _ = fetch(&mut leader, A, 10, 1);
    assert_eq!(leader.may_delete_to(None), Ok(Offset(10)));
    assert_eq!(leader.may_delete_to(Some(Offset(11))), Err(Refusal::OffsetOutOfRange));
    assert_eq!(leader.log_start_moved(Offset(6)), Effects::default());
    let moved = FetchedBy { log_start: Offset(6), ..by(A, 10) };
    let effects = leader.fetched(moved, Moment(2)).expect("the fetch is taken");
    assert_eq!(effects, Effects { low_watermark: Some(Offset(6)), ..Effects::default() });
}
