//! Members go: by leaving, by silence, by not asking for what they were given.

use super::*;

#[test]
fn a_silent_member_is_out_when_its_session_ends_and_the_others_rebalance() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    // The last sign of both was their SyncGroup.
    let errors = pass_with_heartbeats(&mut story, 9_000, &ids[..1], 1);
    assert!(errors.iter().all(|error| *error == OK));
    story.bed.pass(1_000);
    assert_eq!(story.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress.code());
    let ticket = story.join(&client().named(&ids[0]));
    let joined = story.joined(ticket).unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (2, 1));
    assert_eq!(story.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_member_that_leaves_is_gone_at_once() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    assert_eq!(story.leave(&[(&ids[1], None)]), (OK, vec![OK]));
    assert_eq!(story.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress.code());
    assert_eq!(story.leave(&[(&ids[1], None)]), (OK, vec![ErrorCode::UnknownMemberId.code()]));
}

#[test]
fn the_last_member_leaves_an_empty_group_of_a_further_generation() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    story.bed.pass(5_000);
    assert_eq!(story.leave(&[(&ids[0], None)]), (OK, vec![OK]));
    let since = crate::tests::testbed::BEGIN + story.bed.now_ms();
    let expected = m::GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 2,
        protocol: None,
        leader: None,
        current_state_timestamp: since,
        members: vec![],
    };
    assert_eq!(story.written(), vec![expected]);
    assert_eq!(story.state(), "Empty");
    story.bed.fail_over();
    assert_eq!(story.state(), "Empty");
    let (_, ticket) = story.new_member(&client());
    story.bed.pass(3_000);
    assert_eq!(story.joined(ticket).unwrap().generation_id, 3);
}

#[test]
fn leaving_while_the_group_waits_for_joins_ends_the_waiting() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    let ticket = story.join(&client().named(&ids[0]));
    assert_eq!(story.joined(ticket), None);
    assert_eq!(story.leave(&[(&ids[1], None)]), (OK, vec![OK]));
    assert_eq!(story.joined(ticket).unwrap().members.len(), 1);
}

#[test]
fn a_join_that_waits_is_refused_when_its_member_leaves() {
    let mut story = Story::new();
    let (id, ticket) = story.new_member(&client());
    assert_eq!(story.leave(&[(&id, None)]), (OK, vec![OK]));
    assert_eq!(story.joined(ticket).unwrap().error_code, ErrorCode::UnknownMemberId.code());
    story.bed.pass(3_000);
    assert_eq!(story.state(), "Empty");
}

#[test]
fn who_was_only_told_its_id_may_leave_too() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    let told = story.join_now(&client());
    let leader = story.join(&client().named(&ids[0]));
    assert_eq!(story.joined(leader), None);
    assert_eq!(story.leave(&[(&told.member_id, None)]), (OK, vec![OK]));
    assert_eq!(story.joined(leader).unwrap().generation_id, 2);
}

#[test]
fn an_old_version_names_the_one_member_that_leaves_beside_the_group() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    let mut leave = |member_id: &ByteString| {
        let member_id = member_id.clone();
        let request = m::LeaveGroupRequest { group_id: "g".into(), member_id, ..Default::default() };
        match story.bed.call(2, Request::LeaveGroup(request)) {
            Answer::LeaveGroup(response) => (response.error_code, response.members[0].error_code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(leave(&"nobody".into()), (OK, ErrorCode::UnknownMemberId.code()));
    assert_eq!(leave(&ids[0]), (OK, OK));
}

#[test]
fn who_does_not_ask_for_its_assignment_is_out_after_the_rebalance_timeout() {
    let mut story = Story::new();
    let fast = Client { rebalance_timeout_ms: 7_000, ..client() };
    let (a, of_a) = story.new_member(&fast);
    let (b, _) = story.new_member(&fast);
    story.bed.pass(6_000);
    assert_eq!(story.joined(of_a).unwrap().members.len(), 2);
    let ticket = story.sync(&a, 1, &[(&a, "a"), (&b, "b")]);
    assert_eq!(story.synced(ticket), Some((OK, Bytes::from_static(b"a"))));
    // Its heartbeats do not help.
    let errors = pass_with_heartbeats(&mut story, 6_000, &[a.clone(), b.clone()], 1);
    assert!(errors.iter().all(|error| *error == OK));
    story.bed.pass(1_000);
    assert_eq!(story.heartbeat(&b, 1), ErrorCode::UnknownMemberId.code());
    assert_eq!(story.heartbeat(&a, 1), ErrorCode::RebalanceInProgress.code());
}

#[test]
fn the_leader_that_does_not_assign_is_out_and_another_leads() {
    let mut story = Story::new();
    let fast = Client { rebalance_timeout_ms: 7_000, ..client() };
    let (a, of_a) = story.new_member(&fast);
    let (b, of_b) = story.new_member(&fast);
    story.bed.pass(7_000);
    let leader = story.joined(of_a).unwrap().leader;
    let follower = if leader == a { b } else { a };
    story.joined(of_b);
    let waiting = story.sync(&follower, 1, &[]);
    story.bed.pass(7_000);
    assert_eq!(story.synced(waiting), Some((ErrorCode::RebalanceInProgress.code(), Bytes::new())));
    let ticket = story.join(&fast.named(&follower));
    let joined = story.joined(ticket).unwrap();
    assert_eq!((joined.generation_id, &joined.leader), (2, &follower));
}

#[test]
fn a_member_that_waits_for_us_is_not_silent() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    let ticket = story.join(&client().named(&ids[0]));
    let errors = pass_with_heartbeats(&mut story, 30_000, &ids[1..], 1);
    assert!(errors.iter().all(|error| *error == ErrorCode::RebalanceInProgress.code()));
    assert_eq!(story.joined(ticket), None);
    let other = story.join(&client().named(&ids[1]));
    assert_eq!(story.joined(ticket).unwrap().members.len(), 2);
    assert_eq!(story.joined(other).unwrap().generation_id, 2);
}

#[test]
fn a_rebalance_that_the_log_refuses_begins_again() {
    let mut story = Story::new();
    let (a, of_a) = story.new_member(&client());
    story.bed.pass(3_000);
    story.joined(of_a);
    story.bed.refuse_writes = Some(ErrorCode::NotEnoughReplicas);
    let ticket = story.sync(&a, 1, &[(&a, "a")]);
    assert_eq!(story.synced(ticket), Some((ErrorCode::CoordinatorNotAvailable.code(), Bytes::new())));
    assert_eq!(story.heartbeat(&a, 1), ErrorCode::RebalanceInProgress.code());
    story.bed.refuse_writes = None;
    let ticket = story.join(&client().named(&a));
    assert_eq!(story.joined(ticket).unwrap().generation_id, 2);
    let ticket = story.sync(&a, 2, &[(&a, "a")]);
    assert_eq!(story.synced(ticket), Some((OK, Bytes::from_static(b"a"))));
}
