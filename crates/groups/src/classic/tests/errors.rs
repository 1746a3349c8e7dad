//! Requests that are wrong, and change nothing.

use super::*;

#[test]
fn a_group_without_a_name_is_no_group() {
    let mut story = Story::new();
    let invalid = ErrorCode::InvalidGroupId.code();
    let answers = [
        story.bed.call(9, Request::JoinGroup(m::JoinGroupRequest { session_timeout_ms: 10_000, ..Default::default() })),
        story.bed.call(5, Request::SyncGroup(m::SyncGroupRequest::default())),
        story.bed.call(4, Request::Heartbeat(m::HeartbeatRequest::default())),
        story.bed.call(5, Request::LeaveGroup(m::LeaveGroupRequest::default())),
    ];
    for answer in answers {
        let error = match &answer {
            Answer::JoinGroup(response) => response.error_code,
            Answer::SyncGroup(response) => response.error_code,
            Answer::Heartbeat(response) => response.error_code,
            Answer::LeaveGroup(response) => response.error_code,
            other => panic!("{other:?}"),
        };
        assert_eq!(error, invalid, "{answer:?}");
    }
    assert!(story.bed.take_records().is_empty());
}

#[test]
fn a_session_may_be_neither_too_short_nor_too_long() {
    let settings = Settings::default();
    for wrong in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        assert!(!settings.allows_session_timeout(wrong), "{wrong}");
    }
    for right in [6_000, 45_000, 1_800_000] {
        assert!(settings.allows_session_timeout(right), "{right}");
    }
}

#[test]
fn nobody_knows_the_members_of_a_group_that_does_not_exist() {
    let mut story = Story::new();
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!(story.join_now(&client().named(&"x".into())).error_code, unknown);
    assert_eq!(story.heartbeat(&"x".into(), 1), unknown);
    let ticket = story.sync(&"x".into(), 1, &[]);
    assert_eq!(story.synced(ticket), Some((unknown, Bytes::new())));
    assert_eq!(story.leave(&[("x", None), ("", Some("i"))]), (OK, vec![unknown, unknown]));
    let described = story.describe();
    assert_eq!((described.error_code, &*described.group_state), (ErrorCode::GroupIdNotFound.code(), "Dead"));
    assert_eq!(described.error_message.as_deref(), Some("Group g not found."));
    let Answer::DescribeGroup(old) = story.bed.call(5, Request::DescribeGroup("g".into())) else { panic!() };
    assert_eq!((old.error_code, &*old.group_state, old.error_message), (OK, "Dead", None));
    assert!(story.bed.take_records().is_empty());
}

#[test]
fn a_wrong_generation_protocol_or_instance_is_refused_and_changes_nothing() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), static_client("i")]);
    let (unknown, illegal) = (ErrorCode::UnknownMemberId.code(), ErrorCode::IllegalGeneration.code());
    for generation in [0, 2, -1, i32::MAX] {
        assert_eq!(story.heartbeat(&ids[0], generation), illegal);
        let ticket = story.sync(&ids[0], generation, &[(&ids[0], "mine")]);
        assert_eq!(story.synced(ticket), Some((illegal, Bytes::new())));
    }
    assert_eq!(story.heartbeat(&"x".into(), 1), unknown);
    assert_eq!(story.heartbeat_as(&ids[0], Some("x"), 1), unknown);
    assert_eq!(story.heartbeat_as(&ids[0], Some("i"), 1), ErrorCode::FencedInstanceId.code());
    assert_eq!(story.join_now(&client().named(&"x".into())).error_code, unknown);
    assert_eq!(story.join_now(&static_client("i").named(&ids[0])).error_code, ErrorCode::FencedInstanceId.code());
    for (protocol_type, protocol_name) in [(Some("connect"), None), (None, Some("sticky"))] {
        let request = m::SyncGroupRequest {
            group_id: "g".into(),
            generation_id: 1,
            member_id: ids[0].clone(),
            protocol_type: protocol_type.map(Into::into),
            protocol_name: protocol_name.map(Into::into),
            ..Default::default()
        };
        let Answer::SyncGroup(response) = story.bed.call(5, Request::SyncGroup(request)) else { panic!() };
        assert_eq!(response.error_code, ErrorCode::InconsistentGroupProtocol.code());
    }
    assert!(story.bed.take_records().is_empty());
    assert_eq!((story.heartbeat(&ids[0], 1), story.heartbeat_as(&ids[1], Some("i"), 1)), (OK, OK));
}

#[test]
fn who_was_told_its_id_does_not_come_back_as_a_static_member() {
    let mut story = Story::new();
    let told = story.join_now(&client());
    let refused = story.join_now(&static_client("i").named(&told.member_id));
    assert_eq!(refused.error_code, ErrorCode::UnknownServerError.code());
}

#[test]
fn a_sync_before_everyone_has_joined_is_refused() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    story.join(&client().named(&ids[0]));
    let ticket = story.sync(&ids[1], 1, &[]);
    assert_eq!(story.synced(ticket), Some((ErrorCode::RebalanceInProgress.code(), Bytes::new())));
}

#[test]
fn a_client_whose_name_leaves_no_room_for_a_member_id_is_refused() {
    let mut story = Story::new();
    let long = "n".repeat(i16::MAX as usize);
    let refused = story.join_now(&static_client(&long));
    assert_eq!(refused.error_code, ErrorCode::UnknownServerError.code());
}
