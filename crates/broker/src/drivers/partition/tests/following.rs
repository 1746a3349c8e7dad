//! Two replicas of a partition: what passes between a leader and its follower, without the network between them.

use thalweg_replica::FetchFrom;

use super::super::reading::{Answering, FollowerFetch, OffsetQuery, Position, Turn};
use super::*;

const OTHER: NodeId = NodeId(2);
const BOTH: [NodeId; 2] = [ME, OTHER];

/// The two replicas, of which one leads.
struct Replicas {
    _dir: tempfile::TempDir,
    mine: Arc<Partition>,
    others: Arc<Partition>,
    /// What the follower asks for next.
    next: Option<FetchFrom>,
}

impl Replicas {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: fn(&mut LogConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = || settings(change);
        let (mine, others) = (dir.path().join("1"), dir.path().join("2"));
        let (mine, others) = (hosted(&mine, ME, settings()), hosted(&others, OTHER, settings()));
        Self { _dir: dir, mine, others, next: None }
    }

    fn elect(&mut self, leader: NodeId, epoch: i32) {
        for partition in [&self.mine, &self.others] {
            match partition.assign(&registration(leader, epoch, &BOTH), &ClusterImage::default()) {
                FollowedUp::Next(next, BeforeNext::Nothing) => self.next = Some(next),
                other => assert_eq!(other, FollowedUp::Stop),
            }
        }
    }

    /// One fetch of the follower, as its request and the leader's answer would do it.
    fn fetch(&mut self) -> FollowedUp {
        let asked = self.next.expect("somebody follows");
        let (leader, follower) =
            if asked.leader == ME { (&self.mine, &self.others) } else { (&self.others, &self.mine) };
        let params = FetchParams {
            fetch_offset: asked.fetch_offset,
            log_start: asked.log_start,
            max_bytes: 1000,
            current_leader_epoch: Some(asked.leader_epoch),
            last_fetched_epoch: asked.last_fetched_epoch,
        };
        let fetch = FollowerFetch { follower: follower.local.id, broker_epoch: None, turn: Turn::First };
        let look = leader.look(&params, 1000, FirstBatch::Whole, Reader::Follower(fetch), Isolation::LogEnd);
        let fetched = match (look.error, look.diverging) {
            (ErrorCode::None, Some(end)) => Fetched::Diverging(end),
            (ErrorCode::None, None) => Fetched::Records {
                bytes: look.read.map(|plan| plan.read().expect("records")).unwrap_or_default(),
                high_watermark: look.high_watermark,
                log_start: look.log_start,
            },
            (error, _) => Fetched::Failed(error),
        };
        let done = follower.follow_up(&asked, fetched);
        if let FollowedUp::Next(next, _) = done {
            self.next = Some(next);
        }
        done
    }
}

/// Every byte of a log.
fn bytes(partition: &Partition) -> bytes::Bytes {
    let read = partition.with_log(|log| {
        let plan = log.read(log.log_start(), log.log_end(), usize::MAX, FirstBatch::Whole);
        plan.expect("a plan").read()
    });
    read.expect("a log")
}

fn ends(partition: &Partition) -> (Option<Offset>, Option<Offset>) {
    (partition.high_watermark(), partition.with_log(|log| Ok(log.log_end())))
}

fn offsets(high_watermark: i64, end: i64) -> (Option<Offset>, Option<Offset>) {
    (Some(Offset(high_watermark)), Some(Offset(end)))
}

#[tokio::test]
async fn a_follower_has_its_leaders_bytes_and_what_both_have_is_committed() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    let appended = append(&replicas.mine, 0, Acks::All);
    assert_eq!(appended.ack, Ack::Waiting);
    replicas.fetch();
    assert_eq!(ends(&replicas.mine), offsets(0, 1), "the leader does not know yet that it arrived");
    replicas.fetch();
    assert_eq!(ends(&replicas.mine), offsets(1, 1));
    assert_eq!(ends(&replicas.others), offsets(1, 1));
    assert_eq!(replicas.mine.ack(appended.end, appended.epoch, Acks::All), Ok(Ack::Committed));
    assert_eq!(bytes(&replicas.mine), bytes(&replicas.others));
}

#[tokio::test]
async fn a_high_watermark_survives_every_change_of_the_leader() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::All);
    replicas.fetch();
    replicas.fetch();
    append(&replicas.mine, 1, Acks::All);
    replicas.fetch();
    replicas.elect(OTHER, 1);
    assert_eq!(
        ends(&replicas.others),
        offsets(1, 2),
        "the new leader does not know whether the last record is committed"
    );
    assert_eq!(ends(&replicas.mine), offsets(1, 2));
    assert!(replicas.others.leads() && !replicas.mine.leads());
    let refused = replicas.mine.append(&mut [batch(2)], Origin::Client, Acks::All, NOW, Moment(0));
    assert!(matches!(refused, Err(AppendRefused::Error(ErrorCode::NotLeaderOrFollower))));
    replicas.fetch();
    assert_eq!(ends(&replicas.others), offsets(2, 2));
    replicas.elect(NodeId::NONE, 2);
    assert_eq!(ends(&replicas.others), offsets(2, 2));
    replicas.elect(ME, 3);
    assert_eq!(ends(&replicas.mine).0, Some(Offset(2)));
}

#[tokio::test]
async fn what_no_leader_has_is_cut_off() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::All);
    replicas.fetch();
    replicas.fetch();
    // Two records that never reach the follower, which becomes the leader.
    append(&replicas.mine, 1, Acks::Leader);
    append(&replicas.mine, 2, Acks::Leader);
    replicas.elect(OTHER, 1);
    append(&replicas.others, 1, Acks::Leader);
    assert!(matches!(replicas.fetch(), FollowedUp::Next(_, BeforeNext::Checkpoint)));
    assert_eq!(ends(&replicas.mine), offsets(1, 1));
    replicas.fetch();
    assert_eq!(bytes(&replicas.mine), bytes(&replicas.others));
    assert_eq!(ends(&replicas.mine).1, Some(Offset(2)));
}

#[tokio::test]
async fn a_follower_flushes_before_it_asks_on_where_the_topic_wants_that() {
    let mut replicas = Replicas::with(|log| log.flush_messages = 1);
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::All);
    assert!(matches!(replicas.fetch(), FollowedUp::Next(_, BeforeNext::Flush)));
    replicas.others.flush(Flush::All);
    assert!(matches!(replicas.fetch(), FollowedUp::Next(_, BeforeNext::Nothing)));
}

#[tokio::test]
async fn an_answer_to_an_older_question_changes_nothing() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::All);
    let first = replicas.next;
    replicas.fetch();
    let second = replicas.next;
    replicas.next = first;
    assert_eq!(replicas.fetch(), FollowedUp::Next(second.expect("a question"), BeforeNext::Nothing));
    assert_eq!(bytes(&replicas.mine), bytes(&replicas.others));
}

#[tokio::test]
async fn followers_serve_only_those_that_know_of_them() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::All);
    replicas.fetch();
    replicas.fetch();
    let params = FetchParams {
        fetch_offset: Offset(0),
        log_start: Offset(-1),
        max_bytes: 1000,
        current_leader_epoch: Some(LeaderEpoch(0)),
        last_fetched_epoch: None,
    };
    let look = |reader| replicas.others.look(&params, 1000, FirstBatch::Whole, reader, Isolation::ReadUncommitted);
    assert_eq!(look(Reader::Consumer).error, ErrorCode::NotLeaderOrFollower);
    let newer = FetchParams { current_leader_epoch: Some(LeaderEpoch(1)), ..params };
    let refused = replicas.others.look(&newer, 1000, FirstBatch::Whole, Reader::Consumer, Isolation::ReadUncommitted);
    assert_eq!(refused.error, ErrorCode::UnknownLeaderEpoch);
    let ended = |known| replicas.others.end_of_epoch(LeaderEpoch(0), Some(LeaderEpoch(known))).map(|_| ());
    assert_eq!(ended(0), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(ended(1), Err(ErrorCode::UnknownLeaderEpoch));
    let found = look(Reader::ConsumerOfAnyReplica);
    assert_eq!((found.error, found.high_watermark, found.read.is_some()), (ErrorCode::None, Offset(1), true));
}

#[tokio::test]
async fn followers_tell_the_ends_of_their_own_logs_to_those_that_look_for_faults() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::Leader);
    append(&replicas.mine, 1, Acks::Leader);
    replicas.fetch();
    append(&replicas.mine, 2, Acks::Leader);
    let end = |answering, epoch: i32| {
        let epoch = Some(LeaderEpoch(epoch));
        match replicas.others.position(OffsetQuery::Latest, Isolation::LogEnd, epoch, answering)? {
            Position::Known(known) => Ok(known.map(|known| (known.offset, known.leader_epoch))),
            Position::Search(_) => panic!("the end is known"),
        }
    };
    assert_eq!(end(Answering::Leader, 0), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(end(Answering::AnyReplica, 0), Ok(Some((Offset(2), LeaderEpoch(0)))));
    for answering in [Answering::Leader, Answering::AnyReplica] {
        assert_eq!(end(answering, 1), Err(ErrorCode::UnknownLeaderEpoch), "the epoch is looked at first");
    }
    let query = OffsetQuery::MaxTimestamp;
    let Ok(Position::Search(search)) = replicas.others.position(query, Isolation::LogEnd, None, Answering::AnyReplica)
    else {
        panic!("records have to be read")
    };
    assert!(replicas.others.search(&search).expect("the records are there").is_some());
}

#[tokio::test]
async fn a_plan_from_before_a_truncation_never_takes_the_directory_offline() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    append(&replicas.mine, 0, Acks::Leader);
    let read = |log: &mut Log| Ok(log.read(Offset(0), log.log_end(), 1000, FirstBatch::Whole));
    let plan = replicas.mine.with_log(read).expect("a log").expect("a plan");
    replicas.elect(OTHER, 1);
    append(&replicas.others, 1, Acks::Leader);
    replicas.fetch();
    let fault = plan.read().expect_err("the file is shorter now");
    assert_eq!(replicas.mine.read_failed(&plan, &fault), ErrorCode::NotLeaderOrFollower);
    assert!(!replicas.mine.is_offline());
}

#[tokio::test]
async fn what_was_cut_off_is_not_acknowledged_when_other_records_stand_there() {
    let mut replicas = Replicas::new();
    replicas.elect(ME, 0);
    let cut = append(&replicas.mine, 0, Acks::All);
    assert_eq!(cut.ack, Ack::Waiting);
    replicas.elect(OTHER, 1);
    let stays = append(&replicas.others, 0, Acks::All);
    assert_eq!(stays.base, cut.base);
    for _ in 0..3 {
        replicas.fetch();
    }
    assert_eq!(bytes(&replicas.mine), bytes(&replicas.others));
    replicas.elect(ME, 2);
    replicas.fetch();
    replicas.fetch();
    assert_eq!(ends(&replicas.mine), offsets(1, 1));
    assert_eq!(replicas.mine.ack(cut.end, cut.epoch, Acks::All), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(replicas.mine.ack(stays.end, LeaderEpoch(2), Acks::All), Ok(Ack::Committed));
}
