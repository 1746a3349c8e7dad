//! Members that keep their place while they are away (KIP-345).

use super::*;

#[test]
fn a_static_member_needs_no_id_and_comes_back_without_a_rebalance() {
    let mut story = Story::new();
    let ids = story.stable(&[static_client("i"), client()]);
    assert_eq!(&ids[0][..2], "i-");
    let back = story.join_now(&static_client("i"));
    assert_eq!((back.error_code, back.generation_id), (OK, 1));
    assert_ne!(back.member_id, ids[0]);
    // It leads, and is not to assign anything.
    assert_eq!((&back.leader, back.members.len(), back.skip_assignment), (&back.member_id, 2, true));
    assert_eq!(story.written().len(), 1);
    assert_eq!(story.heartbeat(&ids[1], 1), OK);
    let ticket = story.sync(&back.member_id, 1, &[]);
    assert_eq!(story.synced(ticket), Some((OK, Bytes::copy_from_slice(ids[0].as_bytes()))));
    // Its former self is fenced, with its instance id and without.
    assert_eq!(story.heartbeat_as(&ids[0], Some("i"), 1), ErrorCode::FencedInstanceId.code());
    assert_eq!(story.heartbeat(&ids[0], 1), ErrorCode::UnknownMemberId.code());
    story.bed.fail_over();
    assert_eq!(story.heartbeat_as(&back.member_id, Some("i"), 1), OK);
}

#[test]
fn a_leader_of_an_old_version_that_comes_back_does_not_take_itself_for_the_leader() {
    let mut story = Story::new();
    let old = Client { version: 8, ..static_client("i") };
    let ids = story.stable(&[old.clone(), client()]);
    let back = story.join_now(&old);
    assert_eq!((&back.leader, back.members.len(), back.skip_assignment), (&ids[0], 0, false));
}

#[test]
fn a_static_member_with_another_preference_makes_a_rebalance_only_if_the_protocol_changes() {
    let of = |names: &[&'static str]| Client {
        protocols: names.iter().map(|name| (*name, subscription(&["t"]))).collect(),
        ..static_client("i")
    };
    let mut story = Story::new();
    story.stable(&[of(&["range", "roundrobin"])]);
    assert_eq!(story.join_now(&of(&["range"])).generation_id, 1);
    let changed = story.join(&of(&["roundrobin", "range"]));
    // The group is of it alone: the new generation begins at once.
    assert_eq!(story.joined(changed).unwrap().generation_id, 2);
}

#[test]
fn a_static_member_that_comes_back_before_the_assignment_makes_all_join_again() {
    let mut story = Story::new();
    let first = story.join(&static_client("i"));
    let (b, of_b) = story.new_member(&client());
    story.bed.pass(6_000);
    let first = story.joined(first).unwrap();
    story.joined(of_b);
    let follower = if first.leader == b { first.member_id.clone() } else { b.clone() };
    let waiting = story.sync(&follower, 1, &[]);
    let back = story.join(&static_client("i"));
    assert_eq!(story.joined(back), None);
    let expected = if follower == b { ErrorCode::RebalanceInProgress } else { ErrorCode::FencedInstanceId };
    assert_eq!(story.synced(waiting).unwrap().0, expected.code());
    let ticket = story.join(&client().named(&b));
    assert_eq!(story.joined(ticket).unwrap().generation_id, 2);
    assert_eq!(story.joined(back).unwrap().generation_id, 2);
}

#[test]
fn the_join_of_its_former_self_is_fenced() {
    let mut story = Story::new();
    let first = story.join(&static_client("i"));
    let second = story.join(&static_client("i"));
    assert_eq!(story.joined(first).unwrap().error_code, ErrorCode::FencedInstanceId.code());
    story.bed.pass(6_000);
    assert_eq!(story.joined(second).unwrap().members.len(), 1);
}

#[test]
fn a_static_member_whose_return_the_log_refuses_is_who_it_was() {
    let mut story = Story::new();
    let ids = story.stable(&[static_client("i")]);
    story.bed.refuse_writes = Some(ErrorCode::NotLeaderOrFollower);
    let refused = story.join_now(&static_client("i"));
    assert_eq!((refused.error_code, &*refused.member_id), (ErrorCode::NotCoordinator.code(), ""));
    assert_eq!(story.heartbeat_as(&ids[0], Some("i"), 1), OK);
}

#[test]
fn a_rebalance_keeps_static_members_that_have_not_joined() {
    let mut story = Story::new();
    let fast = Client { rebalance_timeout_ms: 7_000, ..client() };
    let away = Client { rebalance_timeout_ms: 7_000, ..static_client("i") };
    let ids = story.stable(&[fast.clone(), away]);
    let (_, new) = story.new_member(&fast);
    let old = story.join(&fast.named(&ids[0]));
    story.heartbeat_as(&ids[1], Some("i"), 1);
    story.bed.pass(7_000);
    let joined = story.joined(old).unwrap();
    assert_eq!((joined.generation_id, story.joined(new).unwrap().generation_id), (2, 2));
    assert_eq!(story.describe().members.len(), 3);
    // Who has not joined does not lead.
    assert_ne!(joined.leader, ids[1]);
    // Then its session ends.
    story.bed.pass(10_000);
    assert_eq!(story.heartbeat_as(&ids[1], Some("i"), 2), ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_static_member_leaves_by_its_instance_id_alone() {
    let mut story = Story::new();
    let ids = story.stable(&[static_client("i"), static_client("j"), client()]);
    let unknown = ErrorCode::UnknownMemberId.code();
    let fenced = ErrorCode::FencedInstanceId.code();
    let errors = story.leave(&[("", Some("i")), ("", Some("nobody")), ("", None), (&ids[2], Some("j"))]);
    assert_eq!(errors, (OK, vec![OK, unknown, unknown, fenced]));
    assert_eq!(story.heartbeat_as(&ids[0], Some("i"), 1), unknown);
    assert_eq!(story.heartbeat_as(&ids[1], Some("j"), 1), ErrorCode::RebalanceInProgress.code());
}

#[test]
fn an_expired_static_member_comes_back_as_a_new_one() {
    let mut story = Story::new();
    let ids = story.stable(&[static_client("i")]);
    story.bed.pass(10_001);
    assert_eq!(story.state(), "Empty");
    assert_eq!(story.heartbeat_as(&ids[0], Some("i"), 1), ErrorCode::UnknownMemberId.code());
    let ticket = story.join(&static_client("i"));
    story.bed.pass(3_000);
    assert_eq!(story.joined(ticket).unwrap().generation_id, 3);
}
