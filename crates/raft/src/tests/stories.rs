//! What one replica does, step by step.

use std::time::Duration;

use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset};

use super::cluster::voter;
use crate::*;

const FETCH_TIMEOUT: i64 = 2000;

fn key(id: usize) -> ReplicaKey {
    voter(id).key
}

fn end(offset: i64, epoch: i32) -> OffsetAndEpoch {
    OffsetAndEpoch { offset: Offset(offset), epoch: LeaderEpoch(epoch) }
}

/// Node 0 of three static voters with this memory, and a log of `records` records of `log_epoch`, at moment 0.
fn one_of_three(election: Option<ElectionState>, records: i64, log_epoch: i32) -> (Quorum, Effects) {
    let epochs = match records {
        0 => Vec::new(),
        _ => vec![EpochStart { epoch: LeaderEpoch(log_epoch), start: Offset(0) }],
    };
    let log = LocalLog { end: Offset(records), epochs, ..LocalLog::default() };
    start(0, 3, election, log)
}

fn start(id: usize, voters: usize, election: Option<ElectionState>, log: LocalLog) -> (Quorum, Effects) {
    let start = Start {
        local: voter(id),
        may_become_voter: true,
        election,
        log,
        static_voters: Voters::new((0..voters).map(voter)),
        bootstrap: (0..voters).map(|id| Peer::Node(key(id).id)).collect(),
        settings: Settings::default(),
        seed: 7,
    };
    Quorum::start(start, Moment(0))
}

fn fresh() -> Quorum {
    one_of_three(None, 0, 0).0
}

fn remembers(epoch: i32, leader: Option<i32>, voted: Option<usize>) -> ElectionState {
    ElectionState { epoch: LeaderEpoch(epoch), leader: leader.map(NodeId), voted: voted.map(key) }
}

fn vote(candidate: usize, epoch: i32, log_end: OffsetAndEpoch, pre_vote: bool) -> VoteRequest {
    VoteRequest { epoch: LeaderEpoch(epoch), candidate: key(candidate), voter: Some(key(0)), log_end, pre_vote }
}

fn begin(leader: usize, epoch: i32) -> BeginQuorumEpochRequest {
    let endpoints = voter(leader).endpoints;
    BeginQuorumEpochRequest { epoch: LeaderEpoch(epoch), leader: key(leader).id, voter: Some(key(0)), endpoints }
}

fn fetch(replica: usize, epoch: i32, log_end: OffsetAndEpoch) -> FetchRequest {
    FetchRequest { replica: key(replica), epoch: LeaderEpoch(epoch), log_end, high_watermark: None }
}

fn reply<T>(epoch: i32, leader: Option<usize>, result: Result<T, QuorumError>) -> Reply<T> {
    let endpoints = leader.map(|id| voter(id).endpoints).unwrap_or_default();
    Reply { epoch: LeaderEpoch(epoch), leader: leader.map(|id| key(id).id), endpoints, result }
}

fn sent(effects: &[Effect]) -> Vec<(Peer, RequestId, Request)> {
    let sends = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, id, request } => Some((*to, *id, request.clone())),
        _ => None,
    });
    sends.collect()
}

/// Lets time pass until the deadline; returns what happens then, and when that is.
fn wait(quorum: &mut Quorum) -> (Effects, Moment) {
    let now = quorum.deadline().expect("something is due");
    (quorum.tick(now), now)
}

/// Waits until the replica stands in this role.
fn until(quorum: &mut Quorum, state: &str) -> (Effects, Moment) {
    for _ in 0..200 {
        let (effects, now) = wait(quorum);
        if quorum.state_name() == state {
            return (effects, now);
        }
    }
    panic!("never {state}, but {}", quorum.state_name());
}

/// Answers every request among `effects` for a vote in this epoch.
fn grant(quorum: &mut Quorum, effects: &[Effect], epoch: i32, now: Moment) -> Effects {
    let mut all = Vec::new();
    for (_, id, request) in sent(effects) {
        if matches!(request, Request::Vote(_)) {
            all.extend(quorum.answered(id, Response::Vote(reply(epoch, None, Ok(Ballot::Granted))), now));
        }
    }
    all
}

/// Node 0 as leader of epoch 1, its leader change appended and flushed, nothing fetched.
fn leader() -> (Quorum, Moment) {
    let mut quorum = fresh();
    let (effects, now) = until(&mut quorum, "prospective");
    let effects = grant(&mut quorum, &effects, 0, now);
    let effects = grant(&mut quorum, &effects, 1, now);
    assert!(effects.contains(&Effect::BecameLeader { epoch: LeaderEpoch(1), start: Offset(0) }));
    assert!(quorum.appended(Offset(1), now).is_empty());
    assert!(quorum.flushed(Offset(1), now).is_empty(), "one of three is no majority");
    (quorum, now)
}

#[test]
fn a_voter_asks_before_it_disturbs() {
    let mut quorum = fresh();
    let (effects, now) = until(&mut quorum, "prospective");
    let asked: Vec<_> = sent(&effects).into_iter().map(|(to, _, request)| (to, request)).collect();
    let pre_vote = |to: usize| {
        let request = VoteRequest { candidate: key(0), voter: Some(key(to)), ..vote(0, 0, end(0, 0), true) };
        (Peer::Node(key(to).id), Request::Vote(request))
    };
    assert_eq!(asked, [pre_vote(1), pre_vote(2)]);
    let effects = grant(&mut quorum, &effects, 0, now);
    assert_eq!(effects[0], Effect::Persist(remembers(1, None, Some(0))), "first it remembers its own vote");
    assert_eq!(quorum.state_name(), "candidate");
}

#[test]
fn a_majority_elects() {
    let (quorum, _) = leader();
    assert_eq!((quorum.leader(), quorum.epoch()), (Some(NodeId(0)), LeaderEpoch(1)));
}

#[test]
fn a_lost_prospect_goes_back_to_its_leader() {
    let mut quorum = fresh();
    let _ = quorum.begin_quorum_epoch_requested(&begin(1, 4), Moment(1));
    let (effects, now) = until(&mut quorum, "prospective");
    for (_, id, _) in sent(&effects) {
        let _ = quorum.answered(id, Response::Vote(reply(4, Some(1), Ok(Ballot::Rejected))), now);
    }
    assert_eq!((quorum.state_name(), quorum.epoch()), ("follower", LeaderEpoch(4)));
}

#[test]
fn a_voter_without_pre_vote_is_asked_for_its_vote() {
    let mut quorum = fresh();
    let (effects, now) = until(&mut quorum, "prospective");
    let (_, id, _) = sent(&effects)[0];
    let effects = quorum.answered(id, Response::Failed(QuorumError::UnsupportedVersion), now);
    assert_eq!(effects[0], Effect::Persist(remembers(1, None, Some(0))));
}

#[test]
fn one_vote_per_epoch() {
    let mut quorum = fresh();
    let answered = quorum.vote_requested(&vote(1, 1, end(0, 0), false), Moment(1));
    assert_eq!(answered.reply.result, Ok(Ballot::Granted));
    assert!(answered.effects.contains(&Effect::Persist(remembers(1, None, Some(1)))));
    let mut result = |candidate, epoch| {
        let request = vote(candidate, epoch, end(0, 0), false);
        quorum.vote_requested(&request, Moment(2)).reply.result
    };
    assert_eq!(result(2, 1), Ok(Ballot::Rejected));
    assert_eq!(result(1, 1), Ok(Ballot::Granted), "the same one again");
    assert_eq!(result(2, 2), Ok(Ballot::Granted));
    assert_eq!(result(1, 1), Err(QuorumError::FencedLeaderEpoch));
}

#[test]
fn a_candidate_must_have_all_that_the_voter_has() {
    let (mut quorum, _) = one_of_three(None, 10, 3);
    let mut result = |log_end, epoch| quorum.vote_requested(&vote(1, epoch, log_end, false), Moment(1)).reply.result;
    assert_eq!(result(end(9, 3), 5), Ok(Ballot::Rejected));
    assert_eq!(result(end(20, 2), 6), Ok(Ballot::Rejected));
    assert_eq!(result(end(1, 4), 7), Ok(Ballot::Granted));
    assert_eq!(result(end(10, 8), 8), Err(QuorumError::InvalidRequest), "no candidate has records of its own epoch");
}

#[test]
fn a_vote_for_another_replica_is_not_ours() {
    let mut quorum = fresh();
    let request = VoteRequest { voter: Some(key(2)), ..vote(1, 1, end(0, 0), false) };
    assert_eq!(quorum.vote_requested(&request, Moment(1)).reply.result, Err(QuorumError::InvalidVoterKey));
}

#[test]
fn who_hears_from_its_leader_refuses_even_a_pre_vote() {
    let mut quorum = fresh();
    let effects = quorum.begin_quorum_epoch_requested(&begin(1, 1), Moment(1)).effects;
    let pre_vote = vote(2, 1, end(0, 0), true);
    assert_eq!(quorum.vote_requested(&pre_vote, Moment(2)).reply.result, Ok(Ballot::Granted));
    let (to, id, _) = sent(&effects).remove(0);
    assert_eq!(to, Peer::Node(NodeId(1)));
    let fetched = reply(1, Some(1), Ok(Fetched::Records { high_watermark: None }));
    let _ = quorum.answered(id, Response::Fetch { reply: fetched, has_records: false }, Moment(3));
    assert_eq!(quorum.vote_requested(&pre_vote, Moment(4)).reply.result, Ok(Ballot::Rejected));
    assert_eq!(quorum.epoch(), LeaderEpoch(1), "a pre-vote raises no epoch");
}

#[test]
fn a_voter_whose_leader_is_gone_waits_no_whole_fetch_timeout_for_it() {
    let lost = |error: QuorumError| {
        let mut quorum = fresh();
        let effects = quorum.begin_quorum_epoch_requested(&begin(1, 1), Moment(0)).effects;
        let (_, id, _) = sent(&effects).remove(0);
        let _ = quorum.answered(id, Response::Failed(error), Moment(0));
        until(&mut quorum, "prospective").1
    };
    assert_eq!(lost(QuorumError::ConnectionLost), Moment(500));
    assert_eq!(lost(QuorumError::Other), Moment(2000), "an answer may only be late");
}

#[test]
fn a_leader_comes_back_as_resigned() {
    let (quorum, effects) = one_of_three(Some(remembers(3, Some(0), None)), 5, 3);
    assert_eq!(quorum.state_name(), "resigned");
    let asked = sent(&effects);
    assert!(matches!(asked[0].2, Request::EndQuorumEpoch(_)));
    let (mut quorum, _) = one_of_three(Some(remembers(3, Some(0), None)), 5, 3);
    let (effects, _) = until(&mut quorum, "unattached");
    assert_eq!(effects[0], Effect::Persist(remembers(4, None, None)), "it does not write in epoch 3 again");
}

#[test]
fn a_log_that_is_ahead_of_quorum_state_counts() {
    let (quorum, effects) = one_of_three(Some(remembers(2, Some(1), None)), 5, 3);
    assert_eq!((quorum.state_name(), quorum.epoch()), ("unattached", LeaderEpoch(3)));
    assert_eq!(effects[0], Effect::Persist(remembers(3, None, None)));
}

#[test]
fn nothing_is_committed_before_a_record_of_the_epoch_is() {
    let (quorum, _) = one_of_three(Some(remembers(3, None, None)), 5, 3);
    let mut quorum = quorum;
    let (effects, now) = until(&mut quorum, "prospective");
    let effects = grant(&mut quorum, &effects, 3, now);
    let _ = grant(&mut quorum, &effects, 4, now);
    let _ = quorum.appended(Offset(6), now);
    let _ = quorum.flushed(Offset(6), now);
    let answered = quorum.fetch_requested(&fetch(1, 4, end(5, 3)), now);
    assert_eq!(answered.reply.result, Ok(Fetched::Records { high_watermark: None }));
    let answered = quorum.fetch_requested(&fetch(1, 4, end(6, 4)), now);
    assert_eq!(answered.effects, [Effect::HighWatermark(Offset(6))]);
    assert_eq!(answered.reply.result, Ok(Fetched::Records { high_watermark: Some(Offset(6)) }));
}

#[test]
fn the_leader_itself_counts_with_what_is_durable() {
    let (mut quorum, now) = leader();
    let _ = quorum.appended(Offset(4), now);
    let answered = quorum.fetch_requested(&fetch(1, 1, end(4, 1)), now);
    assert_eq!(answered.effects, [Effect::HighWatermark(Offset(1))]);
    assert_eq!(quorum.flushed(Offset(4), now), [Effect::HighWatermark(Offset(4))]);
}

#[test]
fn a_follower_with_other_records_is_told_where_it_diverges() {
    let (mut quorum, now) = leader();
    let mut result = |request| quorum.fetch_requested(&request, now).reply.result;
    assert_eq!(result(fetch(1, 1, end(3, 1))), Ok(Fetched::Diverging(end(1, 1))));
    assert_eq!(result(fetch(1, 0, end(0, 0))), Err(QuorumError::FencedLeaderEpoch));
    assert_eq!(result(fetch(1, 2, end(0, 0))), Err(QuorumError::UnknownLeaderEpoch));
    assert_eq!(result(fetch(1, 1, end(0, 2))), Err(QuorumError::InvalidRequest));
    assert_eq!(result(fetch(1, 1, end(-1, 0))), Err(QuorumError::InvalidRequest));
}

#[test]
fn a_leader_that_no_majority_fetches_from_steps_down() {
    let (mut quorum, now) = leader();
    let later = Moment(now.0 + FETCH_TIMEOUT);
    let _ = quorum.fetch_requested(&fetch(1, 1, end(1, 1)), later);
    let _ = quorum.tick(Moment(now.0 + FETCH_TIMEOUT * 3 / 2 + 1));
    assert!(quorum.is_leader(), "one follower and itself are a majority");
    let effects = quorum.tick(Moment(later.0 + FETCH_TIMEOUT * 3 / 2));
    assert_eq!(effects[0], Effect::LostLeadership);
    assert_eq!(quorum.state_name(), "resigned");
}

#[test]
fn who_steps_down_names_the_best_successor() {
    let (mut quorum, now) = leader();
    let _ = quorum.fetch_requested(&fetch(2, 1, end(1, 1)), now);
    let effects = quorum.shut_down(now);
    let requests: Vec<_> = sent(&effects).into_iter().map(|(_, _, request)| request).collect();
    let Request::EndQuorumEpoch(request) = &requests[0] else { panic!("{requests:?}") };
    assert_eq!(request.preferred, [key(2), key(1)]);
    assert!(!quorum.is_quiet());
}

#[test]
fn the_best_successor_does_not_wait() {
    let mut waits = Vec::new();
    for preferred in [vec![key(0), key(1)], vec![key(1), key(0)], vec![key(1), key(2)], vec![]] {
        let mut quorum = fresh();
        let _ = quorum.begin_quorum_epoch_requested(&begin(1, 1), Moment(1));
        let endpoints = voter(1).endpoints;
        let epoch = LeaderEpoch(1);
        let request = EndQuorumEpochRequest { epoch, leader: NodeId(1), preferred, endpoints };
        let _ = quorum.end_quorum_epoch_requested(&request, Moment(10));
        let prospective = quorum.state_name() == "prospective";
        waits.push(if prospective { Moment(10) } else { quorum.deadline().expect("it is a voter") });
    }
    assert_eq!(waits, [Moment(10), Moment(510), Moment(1010), Moment(10)]);
}

#[test]
fn a_voter_fetches_only_from_where_it_is_durable() {
    let mut quorum = fresh();
    let effects = quorum.begin_quorum_epoch_requested(&begin(1, 1), Moment(1)).effects;
    let (_, id, _) = sent(&effects).remove(0);
    let fetched = reply(1, Some(1), Ok(Fetched::Records { high_watermark: Some(Offset(9)) }));
    let effects = quorum.answered(id, Response::Fetch { reply: fetched, has_records: true }, Moment(2));
    assert_eq!(effects, [Effect::AppendFetched(LeaderEpoch(1))]);
    let epochs = [EpochStart { epoch: LeaderEpoch(1), start: Offset(0) }];
    let effects = quorum.replicated(Offset(3), &epochs, Vec::new(), Moment(3));
    assert_eq!(effects, [Effect::HighWatermark(Offset(3))], "what is not here is not committed here");
    let effects = quorum.flushed(Offset(3), Moment(4));
    let (_, _, request) = sent(&effects).remove(0);
    let expected = FetchRequest { high_watermark: Some(Offset(3)), ..fetch(0, 1, end(3, 1)) };
    assert_eq!(request, Request::Fetch(expected));
}

#[test]
fn a_follower_truncates_but_never_what_is_committed() {
    let (mut quorum, _) = one_of_three(Some(remembers(3, None, None)), 5, 3);
    let diverge = |quorum: &mut Quorum, effects: &[Effect], to| {
        let (_, id, _) = sent(effects).remove(0);
        let reply = reply(4, Some(1), Ok(Fetched::Diverging(to)));
        quorum.answered(id, Response::Fetch { reply, has_records: false }, Moment(2))
    };
    let effects = quorum.begin_quorum_epoch_requested(&begin(1, 4), Moment(1)).effects;
    let effects = diverge(&mut quorum, &effects, end(4, 3));
    assert_eq!(effects[0], Effect::Truncate(Offset(4)));
    let (_, id, _) = sent(&effects).remove(0);
    let committed = reply(4, Some(1), Ok(Fetched::Records { high_watermark: Some(Offset(4)) }));
    let effects = quorum.answered(id, Response::Fetch { reply: committed, has_records: false }, Moment(3));
    let effects = diverge(&mut quorum, &effects, end(2, 3));
    let truncates = |effect: &Effect| matches!(effect, Effect::Truncate(_));
    assert!(!effects.iter().any(truncates), "that leader has lost its log");
    assert_eq!(sent(&effects).remove(0).0, Peer::Node(NodeId(2)), "somebody else may know a better one");
}

#[test]
fn a_snapshot_is_fetched_piece_by_piece() {
    let mut quorum = fresh();
    let effects = quorum.begin_quorum_epoch_requested(&begin(1, 2), Moment(1)).effects;
    let (_, id, _) = sent(&effects).remove(0);
    let snapshot = end(50, 2);
    let named = Response::Fetch { reply: reply(2, Some(1), Ok(Fetched::Snapshot(snapshot))), has_records: false };
    let mut effects = quorum.answered(id, named, Moment(2));
    for position in [0, 40, 80] {
        let (_, id, request) = sent(&effects).pop().expect("it fetches on");
        let expected = FetchSnapshotRequest { replica: key(0), epoch: LeaderEpoch(2), snapshot, position };
        assert_eq!(request, Request::FetchSnapshot(expected));
        let piece = SnapshotPiece { snapshot, size: 100, position, length: (100 - position).min(40) };
        effects = quorum.answered(id, Response::FetchSnapshot(reply(2, Some(1), Ok(piece))), Moment(3));
        assert_eq!(effects[0], Effect::WriteSnapshot { snapshot, position });
    }
    assert_eq!(effects[1..], [Effect::InstallSnapshot(snapshot)]);
    let effects = quorum.snapshot_installed(snapshot, Vec::new(), Moment(4));
    assert_eq!(effects[0], Effect::HighWatermark(Offset(50)));
    let (_, _, request) = sent(&effects).remove(0);
    let expected = FetchRequest { high_watermark: Some(Offset(50)), ..fetch(0, 2, end(50, 2)) };
    assert_eq!(request, Request::Fetch(expected));
}

#[test]
fn who_is_far_behind_is_sent_to_the_snapshot() {
    let epochs = vec![EpochStart { epoch: LeaderEpoch(2), start: Offset(50) }];
    let snapshots = Some((end(50, 2), end(60, 2)));
    let log = LocalLog { start: Offset(50), end: Offset(70), epochs, snapshots, changes: Vec::new() };
    let (mut quorum, _) = start(0, 1, Some(remembers(2, Some(0), None)), log);
    assert!(quorum.is_leader(), "a single voter");
    let _ = quorum.appended(Offset(71), Moment(1));
    let mut result = |log_end| quorum.fetch_requested(&fetch(5, 3, log_end), Moment(1)).reply.result;
    assert_eq!(result(end(0, 0)), Ok(Fetched::Snapshot(end(60, 2))));
    assert_eq!(result(end(49, 2)), Ok(Fetched::Snapshot(end(60, 2))));
    assert_eq!(result(end(60, 1)), Ok(Fetched::Snapshot(end(60, 2))));
    assert_eq!(result(end(50, 2)), Ok(Fetched::Records { high_watermark: None }));
    assert_eq!(result(end(75, 2)), Ok(Fetched::Diverging(end(70, 2))));
}

#[test]
fn an_observer_finds_the_leader_and_never_votes_for_itself() {
    let (mut quorum, effects) = start(7, 3, None, LocalLog::default());
    let (to, id, _) = sent(&effects).remove(0);
    assert!(matches!(to, Peer::Node(_)));
    let redirect = reply(6, Some(2), Err(QuorumError::NotLeaderOrFollower));
    let effects = quorum.answered(id, Response::Fetch { reply: redirect, has_records: false }, Moment(1));
    assert_eq!(effects[0], Effect::Persist(remembers(6, Some(2), None)));
    assert_eq!(effects[1], Effect::NewLeader { epoch: LeaderEpoch(6), leader: NodeId(2) });
    assert_eq!(sent(&effects)[0].0, Peer::Node(NodeId(2)));
    for _ in 0..100 {
        let _ = wait(&mut quorum);
    }
    assert_eq!(quorum.state_name(), "observer");
}

#[test]
fn a_leader_cannot_be_two_nodes() {
    let mut quorum = fresh();
    let _ = quorum.begin_quorum_epoch_requested(&begin(1, 1), Moment(1));
    let answered = quorum.begin_quorum_epoch_requested(&begin(2, 1), Moment(2));
    assert_eq!(answered.reply.result, Err(QuorumError::InvalidRequest));
    assert_eq!(answered.reply.leader, Some(NodeId(1)));
    let answered = quorum.begin_quorum_epoch_requested(&begin(0, 1), Moment(2));
    assert_eq!(answered.reply.result, Err(QuorumError::InvalidRequest), "nor is it this one");
}

#[test]
fn an_answer_that_is_late_or_doubled_changes_nothing() {
    let mut quorum = fresh();
    let (effects, now) = until(&mut quorum, "prospective");
    let (_, id, _) = sent(&effects)[0];
    let granted = Response::Vote(reply(0, None, Ok(Ballot::Granted)));
    let first = quorum.answered(id, granted.clone(), now);
    assert!(!first.is_empty());
    assert!(quorum.answered(id, granted, now).is_empty());
    assert_eq!(quorum.state_name(), "candidate");
}

#[test]
fn a_single_voter_writes_its_voters_into_the_log() {
    let voters = Voters::new([voter(0)]);
    let changes =
        vec![(Offset(-1), Change::KRaftVersion(KRaftVersion::DYNAMIC)), (Offset(-1), Change::Voters(voters.clone()))];
    let snapshots = Some((OffsetAndEpoch::default(), OffsetAndEpoch::default()));
    let log = LocalLog { snapshots, changes, ..LocalLog::default() };
    let (mut quorum, effects) = start(0, 0, None, log);
    let leader_change =
        ControlRecord::LeaderChange { leader: NodeId(0), voters: vec![NodeId(0)], granting: vec![NodeId(0)] };
    let records = vec![
        leader_change.clone(),
        ControlRecord::KRaftVersion(KRaftVersion::DYNAMIC),
        ControlRecord::Voters(voters.clone()),
    ];
    assert_eq!(effects.last(), Some(&Effect::Append(records)));
    let _ = quorum.appended(Offset(3), Moment(0));
    assert_eq!(quorum.flushed(Offset(3), Moment(0)), [Effect::HighWatermark(Offset(3))]);
    assert_eq!(quorum.deadline(), None, "nothing is ever due");

    let changes = vec![(Offset(1), Change::KRaftVersion(KRaftVersion::DYNAMIC)), (Offset(2), Change::Voters(voters))];
    let epochs = vec![EpochStart { epoch: LeaderEpoch(1), start: Offset(0) }];
    let log = LocalLog { end: Offset(3), epochs, snapshots, changes, ..LocalLog::default() };
    let (_, effects) = start(0, 0, Some(remembers(1, Some(0), None)), log);
    assert_eq!(effects.last(), Some(&Effect::Append(vec![leader_change])), "once is enough");
}

#[test]
fn voters_change_one_at_a_time() {
    let voters = Voters::new([voter(0)]);
    let changes = vec![(Offset(-1), Change::KRaftVersion(KRaftVersion::DYNAMIC)), (Offset(-1), Change::Voters(voters))];
    let log = LocalLog { changes, ..LocalLog::default() };
    let (mut quorum, _) = start(0, 0, None, log);
    let now = Moment(0);
    let _ = quorum.appended(Offset(3), now);
    assert_eq!(quorum.add_voter(voter(1), now), Err(VoterRefusal::NoHighWatermark));
    let _ = quorum.flushed(Offset(3), now);
    assert_eq!(quorum.add_voter(voter(1), now), Err(VoterRefusal::Lagging));
    let _ = quorum.fetch_requested(&fetch(1, 1, end(3, 1)), now);
    assert_eq!(quorum.add_voter(voter(0), now), Err(VoterRefusal::DuplicateVoter));
    assert_eq!(quorum.add_voter(Voter { endpoints: Vec::new(), ..voter(1) }, now), Err(VoterRefusal::InvalidVoter));
    assert_eq!(quorum.remove_voter(&key(0), now), Err(VoterRefusal::VoterNotFound), "somebody has to vote");

    let both = Voters::new([voter(0), voter(1)]);
    let (offset, effects) = quorum.add_voter(voter(1), now).expect("it may vote");
    assert_eq!((offset, effects), (Offset(3), vec![Effect::Append(vec![ControlRecord::Voters(both.clone())])]));
    assert_eq!(quorum.remove_voter(&key(1), now), Err(VoterRefusal::ChangePending));
    let effects = quorum.appended(Offset(4), now);
    assert!(sent(&effects).is_empty(), "the new voter has fetched just now");
    assert_eq!(quorum.voters(), &both, "it counts before it is committed");
    assert_eq!(quorum.flushed(Offset(4), now), [], "two of two are needed now");
    assert_eq!(quorum.remove_voter(&key(1), now), Err(VoterRefusal::ChangePending));
    let answered = quorum.fetch_requested(&fetch(1, 1, end(4, 1)), now);
    assert_eq!(answered.effects, [Effect::HighWatermark(Offset(4))]);

    let (_, _) = quorum.remove_voter(&key(0), now).expect("a leader may go");
    let _ = quorum.appended(Offset(5), now);
    let effects = quorum.fetch_requested(&fetch(1, 1, end(5, 1)), now).effects;
    assert_eq!(effects[..2], [Effect::HighWatermark(Offset(5)), Effect::LostLeadership]);
}

#[test]
fn a_peer_that_does_not_answer_is_asked_again_after_a_pause() {
    let mut quorum = fresh();
    let (effects, now) = until(&mut quorum, "prospective");
    let (to, id, _) = sent(&effects)[0];
    let effects = quorum.answered(id, Response::Failed(QuorumError::Other), now);
    assert!(sent(&effects).is_empty());
    let pause = now.after(Settings::default().retry_backoff);
    assert_eq!(quorum.deadline(), Some(pause));
    assert_eq!(sent(&quorum.tick(pause)).first().map(|(peer, _, _)| *peer), Some(to));
    assert_eq!(Settings::default().retry_backoff, Duration::from_millis(20));
}

#[test]
fn an_upgrade_writes_what_the_voters_have_told() {
    let configured = |id| Voter {
        key: ReplicaKey { directory: None, ..key(id) },
        kraft_version_max: KRaftVersion::STATIC,
        ..voter(id)
    };
    let start = Start {
        local: voter(0),
        may_become_voter: true,
        election: Some(remembers(1, None, Some(0))),
        log: LocalLog::default(),
        static_voters: Voters::new((0..2).map(configured)),
        bootstrap: vec![Peer::Node(NodeId(1))],
        settings: Settings::default(),
        seed: 7,
    };
    let now = Moment(0);
    let (mut quorum, effects) = Quorum::start(start, now);
    let _ = grant(&mut quorum, &effects, 1, now);
    let _ = quorum.appended(Offset(1), now);
    let _ = quorum.flushed(Offset(1), now);
    assert_eq!(quorum.upgrade(KRaftVersion::DYNAMIC, now), Err(VersionRefusal::VoterLacksVersion));
    let request = UpdateVoterRequest { epoch: LeaderEpoch(1), voter: voter(1) };
    assert_eq!(quorum.update_voter_requested(&request, now).reply.result, Ok(()));
    let stranger = UpdateVoterRequest { epoch: LeaderEpoch(1), voter: voter(5) };
    assert_eq!(quorum.update_voter_requested(&stranger, now).reply.result, Err(QuorumError::VoterNotFound));

    let voters = Voters::new((0..2).map(voter));
    let records = vec![ControlRecord::KRaftVersion(KRaftVersion::DYNAMIC), ControlRecord::Voters(voters.clone())];
    let upgraded = quorum.upgrade(KRaftVersion::DYNAMIC, now);
    assert_eq!(upgraded, Ok(Some((Offset(2), vec![Effect::Append(records)]))));
    let _ = quorum.appended(Offset(3), now);
    assert_eq!((quorum.kraft_version(), quorum.voters()), (KRaftVersion::DYNAMIC, &voters));
    assert_eq!(quorum.upgrade(KRaftVersion::DYNAMIC, now), Ok(None));
    assert_eq!(quorum.upgrade(KRaftVersion::STATIC, now), Err(VersionRefusal::Downgrade));
}

#[test]
fn a_controller_that_may_joins_by_itself() {
    let predecessor = Voter { key: ReplicaKey { directory: key(9).directory, ..key(7) }, ..voter(7) };
    for (voters, expected) in [
        (Voters::new((0..2).map(voter)), Request::AddVoter(voter(7))),
        (Voters::new([voter(0), predecessor.clone()]), Request::RemoveVoter(predecessor.key)),
    ] {
        let changes =
            vec![(Offset(-1), Change::KRaftVersion(KRaftVersion::DYNAMIC)), (Offset(-1), Change::Voters(voters))];
        let log = LocalLog { changes, ..LocalLog::default() };
        let (mut quorum, _) = start(7, 0, None, log);
        quorum.join_by_itself();
        let request = BeginQuorumEpochRequest { voter: None, ..begin(0, 3) };
        let effects = quorum.begin_quorum_epoch_requested(&request, Moment(0)).effects;
        let mut asked = sent(&effects).remove(0);
        for millis in (500..5000).step_by(500) {
            if !matches!(asked.2, Request::Fetch(_)) {
                break;
            }
            let fetched = reply(3, Some(0), Ok(Fetched::Records { high_watermark: None }));
            let response = Response::Fetch { reply: fetched, has_records: false };
            asked = sent(&quorum.answered(asked.1, response, Moment(millis))).remove(0);
        }
        assert_eq!(asked.2, expected);
    }
}

#[test]
fn what_stood_in_a_log_that_a_snapshot_replaces_is_forgotten() {
    let mut quorum = fresh();
    let effects = quorum.begin_quorum_epoch_requested(&begin(1, 1), Moment(1)).effects;
    let (_, id, _) = sent(&effects).remove(0);
    let fetched = reply(1, Some(1), Ok(Fetched::Records { high_watermark: None }));
    let _ = quorum.answered(id, Response::Fetch { reply: fetched, has_records: true }, Moment(2));
    let epochs = [EpochStart { epoch: LeaderEpoch(1), start: Offset(0) }];
    let changes = vec![(Offset(8), Change::KRaftVersion(KRaftVersion::DYNAMIC))];
    let _ = quorum.replicated(Offset(9), &epochs, changes, Moment(3));
    assert_eq!(quorum.kraft_version(), KRaftVersion::DYNAMIC);
    let _ = quorum.snapshot_installed(end(5, 2), Vec::new(), Moment(4));
    assert_eq!(quorum.kraft_version(), KRaftVersion::STATIC, "the upgrade was never committed");
}

#[test]
fn nobody_is_led_to_the_end_of_all_epochs() {
    let mut quorum = fresh();
    let answered = quorum.vote_requested(&vote(1, i32::MAX, end(0, 0), false), Moment(1));
    assert_eq!(answered.reply.result, Err(QuorumError::InvalidRequest));
    let (effects, now) = until(&mut quorum, "prospective");
    let (_, id, _) = sent(&effects)[0];
    let _ = quorum.answered(id, Response::Vote(reply(i32::MAX, None, Ok(Ballot::Rejected))), now);
    assert_eq!(quorum.epoch(), LeaderEpoch(0));
}
