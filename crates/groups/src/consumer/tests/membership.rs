//! Joining, revoking before giving, leaving, and members that are not who they say.

use thalweg_wire::ErrorCode;

use super::*;
use crate::settings::Settings;

#[test]
fn the_first_member_has_everything_at_once() {
    let mut bed = coordinator(&[("t", 3)]);
    assert_eq!(alive(&mut bed, join("a", &["t"])), (2, has(&[(1, &[0, 1, 2])])));
    // Member, epoch, target, target's epoch, what it has: in Kafka's order.
    assert_eq!(kinds(&mut bed), [5, 3, 7, 6, 8]);
    assert_eq!(state(&bed), "Stable");
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    assert_eq!(kinds(&mut bed), []);
}

#[test]
fn a_partition_is_given_only_when_it_was_given_up() {
    let mut bed = coordinator(&[("t", 4)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    // The group goes on; the newcomer has nothing as long as the other has not given up.
    assert_eq!(alive(&mut bed, join("b", &["t"])), (3, has(&[])));
    assert_eq!(state(&bed), "Reconciling");
    assert_eq!(alive(&mut bed, beat("b", 3)), (3, None));
    // The first one is told what it keeps, in its old epoch, until it says that it gave up the rest.
    assert_eq!(alive(&mut bed, owning("a", 2, &[(1, &[0, 1, 2, 3])])), (2, has(&[(1, &[0, 1])])));
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    assert_eq!(alive(&mut bed, beat("b", 3)), (3, None));
    assert_eq!(alive(&mut bed, owning("a", 2, &[(1, &[0, 1])])), (3, None));
    assert_eq!(alive(&mut bed, beat("b", 3)), (3, has(&[(1, &[2, 3])])));
    assert_eq!(state(&bed), "Stable");
}

#[test]
fn members_that_join_within_an_interval_are_assigned_to_together() {
    let mut bed = coordinator(&[("t", 4)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(999);
    assert_eq!(alive(&mut bed, join("b", &["t"])), (2, has(&[])));
    assert_eq!(state(&bed), "Assigning");
    bed.pass(1);
    assert_eq!(alive(&mut bed, beat("b", 2)), (3, None));
    assert_eq!(state(&bed), "Reconciling");
}

#[test]
fn a_member_that_missed_an_answer_may_come_with_the_epoch_before() {
    let mut bed = coordinator(&[("t", 4)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    alive(&mut bed, join("b", &["t"]));
    alive(&mut bed, owning("a", 2, &[(1, &[0, 1, 2, 3])]));
    assert_eq!(alive(&mut bed, owning("a", 2, &[(1, &[0, 1])])), (3, None));
    // The same again, as if that answer had been lost.
    assert_eq!(alive(&mut bed, owning("a", 2, &[(1, &[0, 1])])), (3, None));
    let (code, text) = refused(&mut bed, owning("a", 2, &[(1, &[0, 1, 2])]));
    assert_eq!(code, ErrorCode::FencedMemberEpoch);
    assert_eq!(
        text,
        "The consumer group member has a smaller member epoch (2) than the one known by the group coordinator (3). \
         The member must abandon all its partitions and rejoin."
    );
    let (code, text) = refused(&mut bed, beat("a", 4));
    assert_eq!(code, ErrorCode::FencedMemberEpoch);
    assert!(text.contains("has a greater member epoch (4)"), "{text}");
    // A member that was fenced begins afresh under its id.
    assert_eq!(alive(&mut bed, join("a", &["t"])), (3, has(&[(1, &[0, 1])])));
}

#[test]
fn who_is_not_there_is_refused_and_nothing_changes() {
    let mut bed = coordinator(&[("t", 1)]);
    let not_found = (ErrorCode::GroupIdNotFound, "Consumer group g not found.".to_owned());
    assert_eq!(refused(&mut bed, beat("a", 1)), not_found);
    let not_found = (ErrorCode::GroupIdNotFound, "Group g not found.".to_owned());
    assert_eq!(refused(&mut bed, beat("a", -1)), not_found);
    alive(&mut bed, join("a", &["t"]));
    kinds(&mut bed);
    let unknown = (ErrorCode::UnknownMemberId, "Member b is not a member of group g.".to_owned());
    assert_eq!(refused(&mut bed, beat("b", 1)), unknown);
    assert_eq!(refused(&mut bed, beat("b", -1)), unknown);
    let named = |epoch| Request848 { instance_id: Some("i".into()), ..beat("a", epoch) };
    assert_eq!(refused(&mut bed, named(2)), (ErrorCode::UnknownMemberId, "Instance id i is unknown.".to_owned()));
    assert_eq!(refused(&mut bed, named(-2)), (ErrorCode::UnknownMemberId, "Instance id i is unknown.".to_owned()));
    assert_eq!(kinds(&mut bed), []);
}

#[test]
fn a_request_that_contradicts_itself_is_refused_in_kafkas_words() {
    let mut bed = coordinator(&[("t", 1)]);
    let cases = [
        (Request848 { member_id: "".into(), ..join("", &["t"]) }, "MemberId can't be empty."),
        (Request848 { instance_id: Some(" ".into()), ..join("a", &["t"]) }, "InstanceId can't be empty."),
        (Request848 { rack_id: Some("".into()), ..join("a", &["t"]) }, "RackId can't be empty."),
        (
            Request848 { rebalance_timeout_ms: -1, ..join("a", &["t"]) },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            Request848 { topic_partitions: None, ..join("a", &["t"]) },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            Request848 { subscribed_topic_names: None, ..join("a", &[]) },
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (beat("a", -2), "InstanceId can't be null."),
        (beat("a", -3), "MemberEpoch is invalid."),
    ];
    for (request, text) in cases {
        assert_eq!(refused(&mut bed, request), (ErrorCode::InvalidRequest, text.to_owned()));
    }
    let request = Request848 { server_assignor: Some("best".into()), ..join("a", &["t"]) };
    let text = "ServerAssignor best is not supported. Supported assignors: uniform, range.";
    assert_eq!(refused(&mut bed, request), (ErrorCode::UnsupportedAssignor, text.to_owned()));
    assert_eq!(state(&bed), "none");
}

#[test]
fn a_full_group_takes_no_more_members() {
    let mut bed = coordinator(&[("t", 1)]);
    bed.shard.set_settings(Settings { consumer_group_size_max: 1, ..Settings::default() });
    alive(&mut bed, join("a", &["t"]));
    let text = "The consumer group has reached its maximum capacity of 1 members.";
    assert_eq!(refused(&mut bed, join("b", &["t"])), (ErrorCode::GroupMaxSizeReached, text.to_owned()));
    alive(&mut bed, join("a", &["t"]));
}

#[test]
fn what_a_member_leaves_behind_is_given_to_others() {
    let mut bed = coordinator(&[("t", 2)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    alive(&mut bed, join("b", &["t"]));
    kinds(&mut bed);
    let response = send(&mut bed, beat("a", -1));
    assert_eq!((response.error_code, response.member_epoch, response.heartbeat_interval_ms), (0, -1, 0));
    assert_eq!(kinds(&mut bed), [-8, -7, -5, 3]);
    bed.pass(1_000);
    assert_eq!(alive(&mut bed, beat("b", 3)), (4, has(&[(1, &[0, 1])])));
    send(&mut bed, beat("b", -1));
    assert_eq!(state(&bed), "Empty");
}

#[test]
fn a_member_that_is_not_heard_of_is_put_out() {
    let mut bed = coordinator(&[("t", 2)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(44_999);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    bed.pass(44_999);
    assert_eq!(state(&bed), "Stable");
    bed.pass(1);
    assert_eq!(state(&bed), "Empty");
    assert_eq!(refused(&mut bed, beat("a", 2)).0, ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_put_out() {
    let mut bed = coordinator(&[("t", 2)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(1_000);
    alive(&mut bed, join("b", &["t"]));
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, has(&[(1, &[0])])));
    for _ in 0..5 {
        bed.pass(10_000);
        alive(&mut bed, beat("a", 2));
        alive(&mut bed, beat("b", 3));
    }
    bed.pass(9_999);
    alive(&mut bed, beat("a", 2));
    bed.pass(1);
    assert_eq!(refused(&mut bed, beat("a", 2)).0, ErrorCode::UnknownMemberId);
    assert_eq!(alive(&mut bed, beat("b", 3)), (4, has(&[(1, &[0, 1])])));
}

#[test]
fn sessions_begin_again_under_a_new_leader() {
    let mut bed = coordinator(&[("t", 2)]);
    alive(&mut bed, join("a", &["t"]));
    bed.pass(40_000);
    bed.fail_over();
    bed.pass(44_000);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    bed.fail_over();
    bed.pass(45_000);
    assert_eq!(state(&bed), "Empty");
}

#[test]
fn a_static_member_keeps_what_it_has_while_it_is_away() {
    let mut bed = coordinator(&[("t", 2)]);
    let named = |request| Request848 { instance_id: Some("i".into()), ..request };
    alive(&mut bed, named(join("a", &["t"])));
    bed.pass(1_000);
    let (code, text) = refused(&mut bed, named(join("b", &["t"])));
    assert_eq!(code, ErrorCode::UnreleasedInstanceId);
    let expected =
        "Static member b with instance id i cannot join the group because the instance id is owned by a member.";
    assert_eq!(text, expected);
    kinds(&mut bed);
    assert_eq!(send(&mut bed, named(beat("a", -2))).member_epoch, -2);
    assert_eq!(kinds(&mut bed), [8]);
    bed.fail_over();
    assert_eq!(alive(&mut bed, named(join("b", &["t"]))), (2, has(&[(1, &[0, 1])])));
    // The old one goes, the new one comes with what it had, and is where the group is.
    assert_eq!(kinds(&mut bed), [-8, -7, -5, 5, 7, 8, 8]);
    let (code, text) = refused(&mut bed, named(beat("a", 2)));
    assert_eq!(
        (code, &*text),
        (ErrorCode::FencedInstanceId, "Static member a with instance id i was fenced by member b.")
    );
    assert_eq!(state(&bed), "Stable");
}

#[test]
fn a_static_member_that_stays_away_is_put_out() {
    let mut bed = coordinator(&[("t", 2)]);
    let named = |request| Request848 { instance_id: Some("i".into()), ..request };
    alive(&mut bed, named(join("a", &["t"])));
    send(&mut bed, named(beat("a", -2)));
    bed.pass(45_000);
    assert_eq!(state(&bed), "Empty");
}

#[test]
fn a_write_that_is_refused_changes_nothing_and_is_tried_again() {
    let mut bed = coordinator(&[("t", 2)]);
    alive(&mut bed, join("a", &["t"]));
    bed.refuse_writes = Some(ErrorCode::NotEnoughReplicas);
    let (code, _) = refused(&mut bed, beat("a", -1));
    assert_eq!(code, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(alive(&mut bed, beat("a", 2)), (2, None));
    bed.pass(60_000);
    assert_eq!(state(&bed), "Stable");
    bed.refuse_writes = None;
    bed.pass(500);
    assert_eq!(state(&bed), "Empty");
}

#[test]
fn an_empty_classic_group_becomes_a_consumer_group() {
    let mut bed = coordinator(&[("t", 1)]);
    let commit = m::OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![m::offset_commit_request::OffsetCommitRequestTopic {
            name: "t".into(),
            topic_id: topic(1),
            partitions: vec![m::offset_commit_request::OffsetCommitRequestPartition {
                committed_offset: 5,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    bed.call(9, Request::OffsetCommit(commit));
    assert_eq!(state(&bed), "classic");
    alive(&mut bed, join("a", &["t"]));
    assert_eq!(state(&bed), "Stable");
    bed.fail_over();
    assert_eq!(state(&bed), "Stable");
}
