//! Members come, and a generation forms.

use std::time::Duration;

use super::*;

#[test]
fn a_new_member_is_told_its_id_and_joins_with_it() {
    let mut story = Story::new();
    let told = story.join_now(&client());
    assert_eq!(told.error_code, ErrorCode::MemberIdRequired.code());
    assert_eq!((told.member_id.len(), &told.member_id[..7]), (7 + 36, "client-"));
    assert_eq!(story.written(), vec![m::GroupMetadataValue { current_state_timestamp: 1_700_000_000_000, ..empty() }]);
    let ticket = story.join(&client().named(&told.member_id));
    assert_eq!(story.joined(ticket), None);
    story.bed.pass(3_000);
    let joined = story.joined(ticket).unwrap();
    assert_eq!((joined.error_code, joined.generation_id, &*joined.leader), (OK, 1, &*told.member_id));
    assert_eq!((joined.protocol_type.as_deref(), joined.protocol_name.as_deref()), (Some("consumer"), Some("range")));
    assert_eq!(joined.members.len(), 1);
}

fn empty() -> m::GroupMetadataValue {
    m::GroupMetadataValue { protocol: None, leader: None, ..Default::default() }
}

#[test]
fn a_member_of_an_old_version_joins_without_being_told_its_id() {
    let mut story = Story::new();
    let ticket = story.join(&Client { version: 3, ..client() });
    assert_eq!(story.joined(ticket), None);
    story.bed.pass(3_000);
    assert_eq!(story.joined(ticket).unwrap().generation_id, 1);
}

#[test]
fn who_does_not_come_back_with_its_id_is_forgotten_after_its_session() {
    let mut story = Story::new();
    let told = story.join_now(&client());
    story.bed.pass(10_001);
    let refused = story.join_now(&client().named(&told.member_id));
    assert_eq!(refused.error_code, ErrorCode::UnknownMemberId.code());
}

#[test]
fn an_empty_group_waits_longer_as_long_as_members_come_but_not_for_ever() {
    let mut story = Story::new();
    let slow = Client { rebalance_timeout_ms: 8_000, ..client() };
    let mut tickets = vec![story.new_member(&slow).1];
    for _ in 0..3 {
        story.bed.pass(2_500);
        tickets.push(story.new_member(&slow).1);
        assert_eq!(story.joined(tickets[0]), None);
    }
    // Three seconds, three more, and then the two that are left of eight.
    story.bed.pass(499);
    assert_eq!(story.joined(tickets[0]), None);
    story.bed.pass(1);
    let joined: Vec<_> = tickets.into_iter().map(|ticket| story.joined(ticket).unwrap()).collect();
    assert!(joined.iter().all(|joined| joined.generation_id == 1));
    assert_eq!(joined.iter().map(|joined| joined.members.len()).sum::<usize>(), 4);
}

#[test]
fn without_an_initial_delay_the_first_member_has_its_generation_at_once() {
    let mut story = Story::with(Settings { initial_rebalance_delay: Duration::ZERO, ..Settings::default() });
    let (_, ticket) = story.new_member(&client());
    assert_eq!(story.joined(ticket).unwrap().generation_id, 1);
}

#[test]
fn everyone_gets_what_the_leader_gave_and_the_log_has_it_first() {
    let mut story = Story::new();
    let (a, of_a) = story.new_member(&client());
    let (b, of_b) = story.new_member(&client());
    story.bed.pass(6_000);
    let (joined_a, joined_b) = (story.joined(of_a).unwrap(), story.joined(of_b).unwrap());
    assert_eq!((&joined_a.leader, &joined_b.leader), (&a, &a));
    assert_eq!((joined_a.members.len(), joined_b.members.len()), (2, 0));
    assert_eq!(story.state(), "CompletingRebalance");
    let of_b = story.sync(&b, 1, &[]);
    assert_eq!(story.synced(of_b), None);
    story.written();
    let of_a = story.sync(&a, 1, &[(&a, "for a"), (&b, "for b"), (&"stranger".into(), "?")]);
    assert_eq!(story.synced(of_a), Some((OK, Bytes::from_static(b"for a"))));
    assert_eq!(story.synced(of_b), Some((OK, Bytes::from_static(b"for b"))));
    let written = story.written();
    let members: Vec<_> = written[0].members.iter().map(|m| (&m.member_id, m.assignment.clone())).collect();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].generation, written[0].leader.as_ref()), (1, Some(&a)));
    assert!(members.contains(&(&a, Bytes::from_static(b"for a"))) && members.len() == 2);
    // Who asks again gets the same again.
    let again = story.sync(&b, 1, &[]);
    assert_eq!(story.synced(again), Some((OK, Bytes::from_static(b"for b"))));
    assert_eq!(story.heartbeat(&b, 1), OK);
    let described = story.describe();
    assert_eq!((&*described.group_state, &*described.protocol_data), ("Stable", "range"));
    assert_eq!(&*described.members[0].member_metadata, &subscription(&["t"])[..]);
}

#[test]
fn the_protocol_that_most_prefer_of_those_that_all_support_is_taken() {
    let mut story = Story::new();
    let of = |names: &[&'static str]| Client {
        protocols: names.iter().map(|name| (*name, subscription(&["t"]))).collect(),
        ..client()
    };
    let tickets = [
        story.new_member(&of(&["only-me", "roundrobin", "range"])).1,
        story.new_member(&of(&["range", "roundrobin"])).1,
        story.new_member(&of(&["roundrobin", "range", "range"])).1,
    ];
    story.bed.pass(6_000);
    for ticket in tickets {
        assert_eq!(story.joined(ticket).unwrap().protocol_name.as_deref(), Some("roundrobin"));
    }
}

#[test]
fn who_shares_no_protocol_or_is_of_another_kind_may_not_join() {
    let mut story = Story::new();
    let nothing = Client { protocols: vec![], ..client() };
    let no_type = Client { protocol_type: "", ..client() };
    for client in [&nothing, &no_type] {
        assert_eq!(story.join_now(client).error_code, ErrorCode::InconsistentGroupProtocol.code());
    }
    let ids = story.stable(&[client()]);
    let other = Client { protocols: vec![("sticky", vec![])], ..client() };
    let connect = Client { protocol_type: "connect", ..client() };
    for client in [&other, &connect, &other.named(&ids[0])] {
        assert_eq!(story.join_now(client).error_code, ErrorCode::InconsistentGroupProtocol.code());
    }
    assert_eq!(story.heartbeat(&ids[0], 1), OK);
}

#[test]
fn a_new_member_makes_the_others_join_again() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    let (_, of_new) = story.new_member(&client());
    assert_eq!(story.joined(of_new), None);
    assert_eq!(story.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress.code());
    let of_old = story.join(&client().named(&ids[0]));
    let (old, new) = (story.joined(of_old).unwrap(), story.joined(of_new).unwrap());
    assert_eq!((old.generation_id, new.generation_id, old.members.len()), (2, 2, 2));
}

#[test]
fn who_was_told_its_id_is_waited_for() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    let told = story.join_now(&client());
    // The group is still stable: only the second JoinGroup begins a rebalance.
    assert_eq!(story.heartbeat(&ids[0], 1), OK);
    let leader = story.join(&client().named(&ids[0]));
    assert_eq!(story.joined(leader), None);
    let new = story.join(&client().named(&told.member_id));
    assert_eq!(story.joined(leader).unwrap().members.len(), 2);
    assert_eq!(story.joined(new).unwrap().generation_id, 2);
}

#[test]
fn a_rebalance_ends_without_those_who_do_not_join_in_time() {
    let mut story = Story::new();
    let fast = Client { rebalance_timeout_ms: 5_000, ..client() };
    let ids = story.stable(&[fast.clone(), fast.clone()]);
    let leader = story.join(&fast.named(&ids[0]));
    story.bed.pass(4_999);
    assert_eq!(story.joined(leader), None);
    story.bed.pass(1);
    let joined = story.joined(leader).unwrap();
    assert_eq!((joined.generation_id, joined.members.len()), (2, 1));
    assert_eq!(story.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_follower_that_joins_again_unchanged_disturbs_nobody() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    let again = story.join_now(&client().named(&ids[1]));
    assert_eq!((again.error_code, again.generation_id, again.members.len()), (OK, 1, 0));
    assert_eq!(story.heartbeat(&ids[0], 1), OK);
    // With another subscription it does.
    let changed = Client { protocols: vec![("range", subscription(&["u"]))], ..client() };
    let ticket = story.join(&changed.named(&ids[1]));
    assert_eq!(story.joined(ticket), None);
    assert_eq!(story.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress.code());
}

#[test]
fn a_member_that_joins_again_before_the_assignment_is_told_the_same_generation() {
    let mut story = Story::new();
    let (a, of_a) = story.new_member(&client());
    let (b, _) = story.new_member(&client());
    story.bed.pass(6_000);
    assert_eq!(story.joined(of_a).unwrap().generation_id, 1);
    let (again_a, again_b) = (story.join_now(&client().named(&a)), story.join_now(&client().named(&b)));
    assert_eq!((again_a.generation_id, again_a.members.len()), (1, 2));
    assert_eq!((again_b.generation_id, again_b.members.len()), (1, 0));
    let changed = Client { protocols: vec![("range", subscription(&["u"]))], ..client() };
    let ticket = story.join(&changed.named(&b));
    assert_eq!((story.joined(ticket), &*story.state()), (None, "PreparingRebalance"));
}

#[test]
fn a_request_that_is_sent_twice_is_answered_twice() {
    let mut story = Story::new();
    let (id, first) = story.new_member(&client());
    let second = story.join(&client().named(&id));
    assert_eq!(story.joined(first).unwrap().error_code, ErrorCode::RebalanceInProgress.code());
    story.bed.pass(3_000);
    assert_eq!(story.joined(second).unwrap().generation_id, 1);
    let (_, of_other) = story.new_member(&client());
    let of_leader = story.join(&client().named(&id));
    let followers = story.joined(of_other).unwrap();
    assert_eq!(story.joined(of_leader).unwrap().generation_id, 2);
    let first = story.sync(&followers.member_id, 2, &[]);
    let second = story.sync(&followers.member_id, 2, &[]);
    assert_eq!(story.synced(first), Some((ErrorCode::RebalanceInProgress.code(), Bytes::new())));
    assert_eq!(story.synced(second), None);
}

#[test]
fn a_full_group_takes_no_more_members() {
    let mut story = Story::with(Settings { group_size_max: 2, ..Settings::default() });
    let ids = story.stable(&[client(), client()]);
    assert_eq!(story.join_now(&client()).error_code, ErrorCode::GroupMaxSizeReached.code());
    assert_eq!(story.heartbeat(&ids[0], 1), OK);
    // While members join, whoever comes first is in.
    let leader = story.join(&client().named(&ids[0]));
    let (_, new) = story.new_member(&client());
    assert_eq!((story.joined(leader), story.joined(new)), (None, None));
    let late = story.join_now(&client().named(&ids[1]));
    assert_eq!(late.error_code, ErrorCode::GroupMaxSizeReached.code());
    assert_eq!(story.joined(leader).unwrap().generation_id, 2);
    assert_eq!(story.joined(new).unwrap().generation_id, 2);
}

#[test]
fn a_group_that_is_too_large_after_a_failover_begins_a_rebalance() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    story.bed.settings.group_size_max = 1;
    story.bed.fail_over();
    assert_eq!(story.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress.code());
}

#[test]
fn members_go_on_after_a_failover_and_have_their_sessions_anew() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    story.bed.pass(9_000);
    story.bed.fail_over();
    story.bed.pass(9_000);
    assert_eq!(story.heartbeat(&ids[0], 1), OK);
    let synced = story.sync(&ids[1], 1, &[]);
    assert_eq!(story.synced(synced), Some((OK, Bytes::copy_from_slice(ids[1].as_bytes()))));
    let described = story.describe();
    assert_eq!((&*described.group_state, described.members.len()), ("Stable", 2));
    assert_eq!((&*described.members[0].client_host, &*described.members[0].client_id), ("/127.0.0.1", "client"));
}

#[test]
fn metadata_of_unknown_shape_is_carried() {
    let mut story = Story::new();
    let odd = Client { protocols: vec![("range", vec![0, 0, 0xff, 0xff, 0xff])], ..client() };
    let ids = story.stable(&[odd]);
    assert_eq!(&*story.describe().members[0].member_metadata, &[0, 0, 0xff, 0xff, 0xff]);
    let connect = Client { protocol_type: "connect", protocols: vec![("sessioned", vec![9; 40])], ..client() };
    assert_eq!(story.leave(&[(&ids[0], None)]), (OK, vec![OK]));
    story.stable(&[connect]);
    assert_eq!(&*story.describe().members[0].member_metadata, &[9; 40]);
}
