//! Groups that go online from one protocol to the other, and back.

use bytes::Bytes;
use thalweg_coordinator::Ticket;
use thalweg_wire::{Reader, Writer};

use super::*;
use crate::settings::{MigrationPolicy, Settings};

/// What a classic consumer says about itself in its protocol.
fn subscription(topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
    let topic = |(topic, partitions): &(&str, &[i32])| m::consumer_protocol_subscription::TopicPartition {
        topic: (*topic).into(),
        partitions: partitions.to_vec(),
    };
    let subscription = m::ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| ByteString::from(*topic)).collect(),
        owned_partitions: owned.iter().map(topic).collect(),
        ..Default::default()
    };
    let mut w = Writer::new();
    w.i16(1);
    subscription.encode(&mut w, 1).unwrap();
    w.into_bytes()
}

fn assignment(partitions: &[i32]) -> Bytes {
    let topic = m::consumer_protocol_assignment::TopicPartition { topic: "t".into(), partitions: partitions.to_vec() };
    let assigned_partitions = if partitions.is_empty() { Vec::new() } else { vec![topic] };
    let mut w = Writer::new();
    w.i16(1);
    m::ConsumerProtocolAssignment { assigned_partitions, user_data: None }.encode(&mut w, 1).unwrap();
    w.into_bytes()
}

/// The partitions of `t` in an assignment.
fn partitions(assignment: Bytes) -> Vec<i32> {
    let mut r = Reader::new(assignment);
    assert_eq!(r.i16(), 1);
    let assignment = m::ConsumerProtocolAssignment::decode(&mut r, 1).unwrap();
    assignment.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn classic_join(member: &str, owned: &[i32]) -> m::JoinGroupRequest {
    let owned: &[(&str, &[i32])] = if owned.is_empty() { &[] } else { &[("t", owned)] };
    m::JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![m::join_group_request::JoinGroupRequestProtocol {
            name: "cooperative-sticky".into(),
            metadata: subscription(&["t"], owned),
        }],
        ..Default::default()
    }
}

fn joined(bed: &mut Testbed, ticket: Ticket) -> m::JoinGroupResponse {
    match bed.take(ticket) {
        Some(Answer::JoinGroup(response)) => response,
        other => panic!("not the answer to a JoinGroup: {other:?}"),
    }
}

fn sync(bed: &mut Testbed, member: &str, generation_id: i32, given: &[(&str, &[i32])]) -> (ErrorCode, Vec<i32>) {
    let assignments = given.iter().map(|(member, partitions)| m::sync_group_request::SyncGroupRequestAssignment {
        member_id: (*member).into(),
        assignment: assignment(partitions),
    });
    let request = m::SyncGroupRequest {
        group_id: "g".into(),
        generation_id,
        member_id: member.into(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("cooperative-sticky".into()),
        assignments: assignments.collect(),
        ..Default::default()
    };
    match bed.call(5, Request::SyncGroup(request)) {
        Answer::SyncGroup(response) if response.error_code == 0 => (ErrorCode::None, partitions(response.assignment)),
        Answer::SyncGroup(response) => (response.error_code.into(), Vec::new()),
        other => panic!("not the answer to a SyncGroup: {other:?}"),
    }
}

fn heartbeat(bed: &mut Testbed, member: &str, generation_id: i32) -> ErrorCode {
    let request =
        m::HeartbeatRequest { group_id: "g".into(), generation_id, member_id: member.into(), ..Default::default() };
    match bed.call(4, Request::Heartbeat(request)) {
        Answer::Heartbeat(response) => response.error_code.into(),
        other => panic!("not the answer to a Heartbeat: {other:?}"),
    }
}

/// A classic group with one member that has all of the topic `t`: its id. It is in generation 1.
fn classic_group(bed: &mut Testbed) -> String {
    let ticket = bed.ask(9, Request::JoinGroup(classic_join("", &[])));
    let id = joined(bed, ticket).member_id.to_string();
    let ticket = bed.ask(9, Request::JoinGroup(classic_join(&id, &[])));
    bed.pass(3_000);
    assert_eq!(joined(bed, ticket).generation_id, 1);
    assert_eq!(sync(bed, &id, 1, &[(&id, &[0, 1, 2, 3])]), (ErrorCode::None, vec![0, 1, 2, 3]));
    id
}

/// The member `id` of the classic protocol gives up and is given: both members have two partitions then.
fn share(bed: &mut Testbed, id: &str) {
    assert_eq!(heartbeat(bed, id, 1), ErrorCode::RebalanceInProgress);
    let response = bed.call(9, Request::JoinGroup(classic_join(id, &[0, 1, 2, 3])));
    let Answer::JoinGroup(response) = response else { panic!("not the answer to a JoinGroup") };
    assert_eq!((response.error_code, response.generation_id, &*response.leader), (0, 1, ""));
    assert_eq!(sync(bed, id, 1, &[]), (ErrorCode::None, vec![0, 1]));
    assert_eq!(heartbeat(bed, id, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(alive(bed, beat("n", 2)), (2, None));
    let response = bed.call(9, Request::JoinGroup(classic_join(id, &[0, 1])));
    let Answer::JoinGroup(response) = response else { panic!("not the answer to a JoinGroup") };
    assert_eq!((response.error_code, response.generation_id), (0, 2));
    assert_eq!(sync(bed, id, 2, &[]), (ErrorCode::None, vec![0, 1]));
    assert_eq!(heartbeat(bed, id, 2), ErrorCode::None);
    assert_eq!(alive(bed, beat("n", 2)), (2, has(&[(1, &[2, 3])])));
    assert_eq!(state(bed), "Stable");
}

#[test]
fn a_classic_group_becomes_a_consumer_group_and_goes_back_with_its_last_new_member() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    kinds(&mut bed);
    assert_eq!(alive(&mut bed, join("n", &["t"])), (2, has(&[])));
    // The classic group goes, the member comes with what it has, then the new one, and the group moves on.
    assert_eq!(kinds(&mut bed), [-2, 5, 3, 7, 6, 8, 5, 3, 7, 7, 6, 8]);
    bed.fail_over();
    share(&mut bed, &id);
    bed.fail_over();
    assert_eq!(state(&bed), "Stable");
    kinds(&mut bed);
    send(&mut bed, beat("n", -1));
    assert_eq!(kinds(&mut bed), [-8, -8, -7, -7, -6, -5, -5, -4, -3, 2]);
    assert_eq!(state(&bed), "classic");
    // Its member goes on in the classic group, and is told to join again.
    assert_eq!(heartbeat(&mut bed, &id, 2), ErrorCode::RebalanceInProgress);
    let ticket = bed.ask(9, Request::JoinGroup(classic_join(&id, &[0, 1])));
    let response = joined(&mut bed, ticket);
    assert_eq!((response.generation_id, &*response.leader), (3, &*id));
    assert_eq!(sync(&mut bed, &id, 3, &[(&id, &[0, 1, 2, 3])]), (ErrorCode::None, vec![0, 1, 2, 3]));
    bed.fail_over();
    assert_eq!(heartbeat(&mut bed, &id, 3), ErrorCode::None);
}

#[test]
fn a_policy_may_forbid_either_way() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    let set = |bed: &mut Testbed, consumer_migration| {
        bed.shard.set_settings(Settings { consumer_migration, ..Settings::default() });
    };
    set(&mut bed, MigrationPolicy::Downgrade);
    let text = "Cannot upgrade classic group g to consumer group because online upgrade is disabled.";
    assert_eq!(refused(&mut bed, join("n", &["t"])), (ErrorCode::GroupIdNotFound, text.to_owned()));
    assert_eq!(heartbeat(&mut bed, &id, 1), ErrorCode::None);
    set(&mut bed, MigrationPolicy::Upgrade);
    alive(&mut bed, join("n", &["t"]));
    send(&mut bed, beat("n", -1));
    assert_eq!(state(&bed), "Assigning");
    set(&mut bed, MigrationPolicy::Disabled);
    let answer = bed.call(9, Request::JoinGroup(classic_join("", &[])));
    let Answer::JoinGroup(response) = answer else { panic!("not the answer to a JoinGroup") };
    assert_eq!(ErrorCode::from(response.error_code), ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn members_that_wait_for_a_rebalance_are_sent_away_when_the_group_becomes_another() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    let ticket = bed.ask(9, Request::JoinGroup(classic_join("", &[])));
    let other = joined(&mut bed, ticket).member_id.to_string();
    let ticket = bed.ask(9, Request::JoinGroup(classic_join(&other, &[])));
    assert_eq!(bed.take(ticket), None);
    alive(&mut bed, join("n", &["t"]));
    assert_eq!(ErrorCode::from(joined(&mut bed, ticket).error_code), ErrorCode::RebalanceInProgress);
    assert_eq!(heartbeat(&mut bed, &id, 1), ErrorCode::RebalanceInProgress);
    assert_eq!(state(&bed), "Reconciling");
}

#[test]
fn a_group_that_is_not_of_consumers_is_left_alone() {
    let mut bed = coordinator(&[("t", 4)]);
    let request = m::JoinGroupRequest { protocol_type: "connect".into(), ..classic_join("", &[]) };
    let ticket = bed.ask(3, Request::JoinGroup(request));
    bed.pass(3_000);
    assert_eq!(joined(&mut bed, ticket).error_code, 0);
    let text = "Cannot upgrade classic group g to consumer group because the group does not use the consumer embedded protocol.";
    assert_eq!(refused(&mut bed, join("n", &["t"])), (ErrorCode::GroupIdNotFound, text.to_owned()));
}

#[test]
fn a_classic_member_that_does_not_join_again_in_time_is_put_out() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    alive(&mut bed, join("n", &["t"]));
    for _ in 0..3 {
        assert_eq!(heartbeat(&mut bed, &id, 1), ErrorCode::RebalanceInProgress);
        bed.pass(9_999);
        alive(&mut bed, beat("n", 2));
    }
    bed.pass(3);
    assert_eq!(heartbeat(&mut bed, &id, 1), ErrorCode::UnknownMemberId);
    assert_eq!(alive(&mut bed, beat("n", 2)), (3, has(&[(1, &[0, 1, 2, 3])])));
}

#[test]
fn a_classic_member_that_is_not_heard_of_is_put_out_after_its_own_session() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    alive(&mut bed, join("n", &["t"]));
    bed.pass(10_000);
    assert_eq!(heartbeat(&mut bed, &id, 1), ErrorCode::UnknownMemberId);
    let response = bed.call(9, Request::JoinGroup(classic_join(&id, &[])));
    let Answer::JoinGroup(response) = response else { panic!("not the answer to a JoinGroup") };
    assert_eq!(response.error_code, 0);
    // And one that has joined and does not ask for what it has, after its rebalance timeout.
    let mut epoch = 2;
    for _ in 0..4 {
        bed.pass(7_500);
        heartbeat(&mut bed, &id, response.generation_id);
        (epoch, _) = alive(&mut bed, beat("n", epoch));
    }
    assert_eq!(heartbeat(&mut bed, &id, response.generation_id), ErrorCode::UnknownMemberId);
}

#[test]
fn a_classic_member_leaves_a_consumer_group() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    alive(&mut bed, join("n", &["t"]));
    let identity =
        |member: &str| m::leave_group_request::MemberIdentity { member_id: member.into(), ..Default::default() };
    let request = m::LeaveGroupRequest {
        group_id: "g".into(),
        members: vec![identity(&id), identity("nobody")],
        ..Default::default()
    };
    let Answer::LeaveGroup(response) = bed.call(5, Request::LeaveGroup(request)) else { panic!("not its answer") };
    let codes: Vec<ErrorCode> = response.members.iter().map(|member| member.error_code.into()).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownMemberId]);
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, beat("n", 2)), (3, has(&[(1, &[0, 1, 2, 3])])));
    assert_eq!(state(&bed), "Stable");
}

#[test]
fn a_static_member_is_replaced_by_itself_in_the_classic_protocol() {
    let mut bed = coordinator(&[("t", 4)]);
    let id = classic_group(&mut bed);
    let named = |request| Request848 { instance_id: Some("i".into()), ..request };
    alive(&mut bed, named(join("n", &["t"])));
    let request = m::JoinGroupRequest { group_instance_id: Some("i".into()), ..classic_join("", &[]) };
    let ticket = bed.ask(9, Request::JoinGroup(request));
    let response = joined(&mut bed, ticket);
    assert_eq!(response.error_code, 0);
    assert_eq!(state(&bed), "classic");
    bed.fail_over();
    assert_eq!(state(&bed), "classic");
    assert_eq!(heartbeat(&mut bed, &id, 2), ErrorCode::None);
    assert_eq!(heartbeat(&mut bed, "n", 2), ErrorCode::UnknownMemberId);
    assert_eq!(heartbeat(&mut bed, &response.member_id, 2), ErrorCode::None);
}
