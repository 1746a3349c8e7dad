//! What members may do with offsets, and what happens to the offsets of their group.

use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use thalweg_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use thalweg_wire::messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};

use super::*;

const HOUR: i64 = 3_600_000;

/// A story in which offsets are kept for seven hours.
fn hours() -> Story {
    Story::with(Settings { offsets_retention: std::time::Duration::from_hours(7), ..Settings::default() })
}

impl Story {
    fn commit(&mut self, id: &str, generation: i32, topic: &str) -> i16 {
        self.commit_as(id, None, generation, topic)
    }

    fn commit_as(&mut self, id: &str, instance_id: Option<&str>, generation: i32, topic: &str) -> i16 {
        let partitions = vec![OffsetCommitRequestPartition::default()];
        let request = m::OffsetCommitRequest {
            group_id: "g".into(),
            member_id: id.into(),
            group_instance_id: instance_id.map(Into::into),
            generation_id_or_member_epoch: generation,
            topics: vec![OffsetCommitRequestTopic { name: topic.into(), partitions, ..Default::default() }],
            ..Default::default()
        };
        match self.bed.call(9, Request::OffsetCommit(request)) {
            Answer::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    fn txn_commit(&mut self, id: &str, generation: i32) -> i16 {
        let partitions = vec![TxnOffsetCommitRequestPartition::default()];
        let request = m::TxnOffsetCommitRequest {
            group_id: "g".into(),
            producer_id: 5,
            member_id: id.into(),
            generation_id: generation,
            topics: vec![TxnOffsetCommitRequestTopic { name: "t".into(), partitions }],
            ..Default::default()
        };
        match self.bed.call(5, Request::TxnOffsetCommit(request)) {
            Answer::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }

    fn delete_offset(&mut self, topic: &str) -> (i16, i16) {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
        let topics = vec![OffsetDeleteRequestTopic { name: topic.into(), partitions }];
        match self.bed.call(0, Request::OffsetDelete(m::OffsetDeleteRequest { group_id: "g".into(), topics })) {
            Answer::OffsetDelete(response) => {
                (response.error_code, response.topics.first().map_or(OK, |topic| topic.partitions[0].error_code))
            }
            other => panic!("{other:?}"),
        }
    }

    fn topics_with_offsets(&mut self) -> Vec<String> {
        let group =
            OffsetFetchRequestGroup { group_id: "g".into(), topics: None, member_epoch: -1, ..Default::default() };
        match self.bed.call(9, Request::OffsetFetch { group, require_stable: false }) {
            Answer::OffsetFetch(response) => response.topics.iter().map(|topic| topic.name.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn delete_group(&mut self) -> i16 {
        match self.bed.call(2, Request::DeleteGroup("g".into())) {
            Answer::DeleteGroup(result) => result.error_code,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn members_commit_in_their_generation_and_nobody_else_does() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), static_client("i")]);
    assert_eq!(story.commit(&ids[0], 1, "t"), OK);
    assert_eq!(story.commit_as(&ids[1], Some("i"), 1, "t"), OK);
    story.bed.take_records();
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!(story.commit(&ids[0], 0, "t"), ErrorCode::IllegalGeneration.code());
    assert_eq!(story.commit(&ids[0], -1, "t"), ErrorCode::IllegalGeneration.code());
    assert_eq!(story.commit("x", 1, "t"), unknown);
    assert_eq!(story.commit("", -1, "t"), unknown);
    assert_eq!(story.commit_as(&ids[0], Some("i"), 1, "t"), ErrorCode::FencedInstanceId.code());
    assert!(story.bed.take_records().is_empty());
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    for _ in 0..5 {
        story.bed.pass(9_000);
        assert_eq!(story.commit(&ids[0], 1, "t"), OK);
    }
    assert_eq!(story.heartbeat(&ids[0], 1), OK);
}

#[test]
fn members_commit_while_others_join_but_not_before_they_have_their_assignment() {
    let mut story = Story::new();
    let ids = story.stable(&[client(), client()]);
    let leader = story.join(&client().named(&ids[0]));
    assert_eq!(story.state(), "PreparingRebalance");
    assert_eq!(story.commit(&ids[1], 1, "t"), OK);
    story.join(&client().named(&ids[1]));
    assert_eq!(story.joined(leader).unwrap().generation_id, 2);
    assert_eq!(story.state(), "CompletingRebalance");
    assert_eq!(story.commit(&ids[1], 2, "t"), ErrorCode::RebalanceInProgress.code());
    assert_eq!(story.txn_commit(&ids[1], 2), OK);
}

#[test]
fn a_transaction_of_an_old_producer_says_nothing_about_members() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    assert_eq!(story.txn_commit("", -1), OK);
    assert_eq!(story.txn_commit(&ids[0], 1), OK);
    assert_eq!(story.txn_commit(&ids[0], 2), ErrorCode::IllegalGeneration.code());
    assert_eq!(story.txn_commit("x", 1), ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    story.commit(&ids[0], 1, "t");
    assert_eq!(story.delete_group(), ErrorCode::NonEmptyGroup.code());
    story.leave(&[(&ids[0], None)]);
    assert_eq!(story.delete_group(), OK);
    assert_eq!((story.state(), story.topics_with_offsets()), ("Dead".into(), vec![]));
    story.bed.fail_over();
    assert_eq!(story.state(), "Dead");
}

#[test]
fn offsets_are_deleted_of_topics_that_no_member_reads() {
    let mut story = Story::new();
    let ids = story.stable(&[client()]);
    for topic in ["t", "u"] {
        assert_eq!(story.commit(&ids[0], 1, topic), OK);
    }
    assert_eq!(story.delete_offset("t"), (OK, ErrorCode::GroupSubscribedToTopic.code()));
    assert_eq!(story.delete_offset("u"), (OK, OK));
    assert_eq!(story.topics_with_offsets(), ["t"]);
    // Of other clients nobody knows what they read.
    let mut story = Story::new();
    story.stable(&[Client { protocol_type: "connect", ..client() }]);
    assert_eq!(story.delete_offset("t"), (ErrorCode::NonEmptyGroup.code(), OK));
    let mut story = Story::new();
    story.stable(&[Client { protocols: vec![("range", vec![1])], ..client() }]);
    assert_eq!(story.delete_offset("t"), (OK, ErrorCode::GroupSubscribedToTopic.code()));
}

#[test]
fn offsets_expire_their_time_after_the_last_member_has_left() {
    let mut story = hours();
    let ids = story.stable(&[client()]);
    assert_eq!(story.commit(&ids[0], 1, "t"), OK);
    for _ in 0..9 {
        pass_with_heartbeats(&mut story, HOUR, &ids, 1);
    }
    assert_eq!(story.topics_with_offsets(), ["t"]);
    story.leave(&[(&ids[0], None)]);
    story.bed.pass(6 * HOUR);
    story.bed.fail_over();
    story.bed.pass(HOUR - 600_000);
    assert_eq!(story.topics_with_offsets(), ["t"]);
    story.bed.pass(1_200_000);
    assert_eq!((story.topics_with_offsets(), story.state()), (vec![], "Dead".into()));
}

#[test]
fn offsets_of_topics_that_members_no_longer_read_expire_their_time_after_their_commit() {
    let mut story = hours();
    let ids = story.stable(&[client()]);
    for topic in ["t", "u"] {
        story.commit(&ids[0], 1, topic);
    }
    for _ in 0..8 {
        pass_with_heartbeats(&mut story, HOUR, &ids, 1);
    }
    assert_eq!((story.topics_with_offsets(), story.state()), (vec!["t".into()], "Stable".into()));
}
