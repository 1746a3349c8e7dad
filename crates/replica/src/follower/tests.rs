use super::*;

const LEADER: NodeId = NodeId(1);

/// A follower in epoch 3 with a log from 2 to 10, high watermark 6, whose last record is of epoch 2.
fn follower() -> Follower {
    let log = LogEnds { start: Offset(2), end: Offset(10), high_watermark: Offset(6) };
    Follower::start(LEADER, LeaderEpoch(3), log, Some(LeaderEpoch(2)))
}

fn end(epoch: i32, end: i64) -> EpochEnd {
    EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end) }
}

fn records(high_watermark: i64, log_start: i64) -> LeaderAnswer {
    LeaderAnswer::Records { high_watermark: Offset(high_watermark), log_start: Offset(log_start) }
}

#[test]
fn asks_from_its_end_with_its_last_epoch() {
    let expected = FetchFrom {
        leader: LEADER,
        leader_epoch: LeaderEpoch(3),
        fetch_offset: Offset(10),
        last_fetched_epoch: Some(LeaderEpoch(2)),
        log_start: Offset(2),
    };
    assert_eq!(follower().next_fetch(), Some(expected));
}

#[test]
fn only_what_is_here_is_committed_here() {
    let mut follower = follower();
    assert!(follower.answered(records(20, 8)).append);
    let effects = follower.appended(Offset(15), Some(LeaderEpoch(3)));
    let expected =
        FollowerEffects { high_watermark: Some(Offset(15)), log_start: Some(Offset(8)), ..FollowerEffects::default() };
    assert_eq!(effects, expected);
    let effects = follower.appended(Offset(25), Some(LeaderEpoch(3)));
    assert_eq!(effects, FollowerEffects { high_watermark: Some(Offset(20)), ..FollowerEffects::default() });
}

#[test]
fn a_diverging_epoch_truncates_and_the_next_fetch_asks_again() {
    let mut follower = follower();
    let fetch = follower.next_fetch().expect("it fetches");
    let effects = follower.answered(LeaderAnswer::Diverging { leaders: end(2, 8), own: Some(end(2, 10)) });
    assert_eq!(effects, FollowerEffects { truncate_to: Some(Offset(8)), ..FollowerEffects::default() });
    follower.truncated(Some(LeaderEpoch(1)));
    assert!(!follower.is_current(&fetch), "an answer that is on its way is out of date");
    let next = follower.next_fetch().expect("it fetches");
    assert_eq!((next.fetch_offset, next.last_fetched_epoch), (Offset(8), Some(LeaderEpoch(1))));
}

#[test]
fn an_unclean_truncation_lowers_the_high_watermark() {
    let effects = follower().answered(LeaderAnswer::Diverging { leaders: end(2, 4), own: Some(end(2, 10)) });
    let to = Some(Offset(4));
    assert_eq!(effects, FollowerEffects { truncate_to: to, high_watermark: to, ..FollowerEffects::default() });
}

#[test]
fn out_of_range_follows_the_leaders_ends() {
    let out_of_range =
        |start, end| follower().answered(LeaderAnswer::OutOfRange { start: Offset(start), end: Offset(end) });
    let nothing = FollowerEffects::default();
    assert_eq!(out_of_range(0, 9), FollowerEffects { truncate_to: Some(Offset(9)), ..nothing });
    assert_eq!(out_of_range(0, 12), nothing, "the next fetch is in range");
    let at = Some(Offset(11));
    assert_eq!(out_of_range(11, 12), FollowerEffects { start_over_at: at, high_watermark: at, ..nothing });
    let at = Some(Offset(1));
    assert_eq!(out_of_range(0, 1), FollowerEffects { start_over_at: at, high_watermark: at, ..nothing });
}

#[test]
fn a_fenced_follower_waits_for_a_newer_leader() {
    let mut follower = follower();
    let _ = follower.answered(LeaderAnswer::Fenced);
    assert_eq!(follower.next_fetch(), None);
    follower.led_by(NodeId(2), LeaderEpoch(3));
    assert_eq!(follower.next_fetch(), None, "that epoch is the fenced one");
    follower.led_by(NodeId(2), LeaderEpoch(4));
    assert_eq!(follower.next_fetch().map(|fetch| fetch.leader), Some(NodeId(2)));
}
