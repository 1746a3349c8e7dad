//! Stories of committed offsets.

use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use thalweg_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use thalweg_wire::messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use thalweg_wire::messages::{PartitionRecord, RemoveTopicRecord, TopicRecord};

use crate::records::Record;
use crate::request::{Answer, Request};
use crate::settings::Settings;
use crate::tests::testbed::{BEGIN, Testbed};

const OK: i16 = 0;
const DAY: i64 = 24 * 3_600_000;

fn bed() -> Testbed {
    Testbed::new(Settings::default())
}

fn request(group: &str, topic: &str, partition: i32, offset: i64) -> m::OffsetCommitRequest {
    let partitions = vec![OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: 3,
        committed_metadata: Some("note".into()),
    }];
    let topics = vec![OffsetCommitRequestTopic { name: topic.into(), partitions, ..Default::default() }];
    m::OffsetCommitRequest { group_id: group.into(), topics, ..Default::default() }
}

fn send(bed: &mut Testbed, version: i16, request: m::OffsetCommitRequest) -> i16 {
    match bed.call(version, Request::OffsetCommit(request)) {
        Answer::OffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn commit(bed: &mut Testbed, group: &str, topic: &str, partition: i32, offset: i64) {
    assert_eq!(send(bed, 9, request(group, topic, partition, offset)), OK);
}

fn fetch_group(
    bed: &mut Testbed,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> Vec<(String, i32, i64, i16)> {
    let Answer::OffsetFetch(response) = bed.call(9, Request::OffsetFetch { group, require_stable }) else { panic!() };
    assert_eq!(response.error_code, OK);
    let topics = response.topics.iter();
    topics
        .flat_map(|t| {
            t.partitions.iter().map(|p| (t.name.to_string(), p.partition_index, p.committed_offset, p.error_code))
        })
        .collect()
}

/// All offsets of a group, as topic, partition and offset.
fn all(bed: &mut Testbed, group: &str) -> Vec<(String, i32, i64)> {
    let group =
        OffsetFetchRequestGroup { group_id: group.into(), topics: None, member_epoch: -1, ..Default::default() };
    fetch_group(bed, group, false).into_iter().map(|(topic, partition, offset, _)| (topic, partition, offset)).collect()
}

/// The offset of one partition and its error.
fn fetch(bed: &mut Testbed, group: &str, topic: &str, partition: i32, require_stable: bool) -> (i64, i16) {
    let topics =
        vec![OffsetFetchRequestTopics { name: topic.into(), partition_indexes: vec![partition], ..Default::default() }];
    let group = OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: Some(topics),
        member_epoch: -1,
        ..Default::default()
    };
    let found = fetch_group(bed, group, require_stable);
    (found[0].2, found[0].3)
}

fn txn_commit(bed: &mut Testbed, producer: i64, group: &str, partition: i32, offset: i64) -> i16 {
    let partitions = vec![TxnOffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        ..Default::default()
    }];
    let topics = vec![TxnOffsetCommitRequestTopic { name: "t".into(), partitions }];
    let request = m::TxnOffsetCommitRequest {
        transactional_id: "x".into(),
        group_id: group.into(),
        producer_id: producer,
        generation_id: -1,
        topics,
        ..Default::default()
    };
    match bed.call(5, Request::TxnOffsetCommit(request)) {
        Answer::TxnOffsetCommit(response) => response.topics[0].partitions[0].error_code,
        other => panic!("{other:?}"),
    }
}

fn groups(bed: &mut Testbed) -> Vec<(String, String, String)> {
    let Answer::ListGroups(listed) = bed.call(5, Request::ListGroups(m::ListGroupsRequest::default())) else {
        panic!()
    };
    listed.iter().map(|g| (g.group_id.to_string(), g.group_state.to_string(), g.group_type.to_string())).collect()
}

fn delete_group(bed: &mut Testbed, group: &str) -> i16 {
    match bed.call(2, Request::DeleteGroup(group.into())) {
        Answer::DeleteGroup(result) => result.error_code,
        other => panic!("{other:?}"),
    }
}

fn delete(bed: &mut Testbed, group: &str, topic: &str, partition: i32) -> (i16, Option<i16>) {
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: partition }];
    let topics = vec![OffsetDeleteRequestTopic { name: topic.into(), partitions }];
    match bed.call(0, Request::OffsetDelete(m::OffsetDeleteRequest { group_id: group.into(), topics })) {
        Answer::OffsetDelete(response) => {
            (response.error_code, response.topics.first().map(|topic| topic.partitions[0].error_code))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_is_kept_over_a_failover_with_what_the_client_said() {
    let mut bed = bed();
    commit(&mut bed, "g", "t", 7, 42);
    let expected = m::OffsetCommitValue {
        offset: 42,
        leader_epoch: 3,
        metadata: "note".into(),
        commit_timestamp: BEGIN,
        expire_timestamp: -1,
        topic_id: Uuid::default(),
    };
    let key = m::OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 7 };
    assert_eq!(bed.take_records(), vec![(key, expected).into()]);
    bed.fail_over();
    let group = OffsetFetchRequestGroup { group_id: "g".into(), member_epoch: -1, ..Default::default() };
    let request =
        Request::OffsetFetch { group: OffsetFetchRequestGroup { topics: None, ..group }, require_stable: true };
    let Answer::OffsetFetch(response) = bed.call(9, request) else { panic!() };
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.committed_offset, partition.committed_leader_epoch), (42, 3));
    assert_eq!(partition.metadata.as_deref(), Some("note"));
    assert_eq!(groups(&mut bed), vec![("g".into(), "Empty".into(), "classic".into())]);
}

#[test]
fn what_was_not_committed_is_minus_one_and_no_error() {
    let mut bed = bed();
    assert_eq!(fetch(&mut bed, "nobody", "t", 0, true), (-1, OK));
    assert_eq!(all(&mut bed, "nobody"), vec![]);
    commit(&mut bed, "g", "t", 0, 5);
    assert_eq!(fetch(&mut bed, "g", "t", 1, true), (-1, OK));
    assert_eq!(fetch(&mut bed, "g", "u", 0, true), (-1, OK));
}

#[test]
fn a_client_that_is_no_member_commits_while_there_are_none() {
    let mut bed = bed();
    let member = |generation| m::OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: "m".into(),
        ..request("g", "t", 0, 5)
    };
    assert_eq!(send(&mut bed, 8, member(1)), ErrorCode::IllegalGeneration.code());
    assert_eq!(send(&mut bed, 9, member(1)), ErrorCode::GroupIdNotFound.code());
    assert_eq!(send(&mut bed, 8, request("g", "t", 0, 5)), OK);
    assert_eq!(send(&mut bed, 9, member(1)), ErrorCode::UnknownMemberId.code());
    assert_eq!(fetch(&mut bed, "g", "t", 0, false), (5, OK));
    // A group without a name can have offsets, and nothing else.
    commit(&mut bed, "", "t", 0, 6);
    assert_eq!(fetch(&mut bed, "", "t", 0, false), (6, OK));
}

#[test]
fn metadata_is_limited_as_java_counts_and_the_other_partitions_are_committed() {
    let mut bed = Testbed::new(Settings { offset_metadata_max: 4, ..Settings::default() });
    let mut commit = request("g", "t", 0, 5);
    let partition = commit.topics[0].partitions[0].clone();
    let with = |index, text: &str| OffsetCommitRequestPartition {
        partition_index: index,
        committed_metadata: Some(text.into()),
        ..partition.clone()
    };
    // A character outside the basic plane counts twice.
    commit.topics[0].partitions = vec![with(0, "12345"), with(1, "éééé"), with(2, "🦀🦀🦀"), with(3, "🦀🦀")];
    let Answer::OffsetCommit(response) = bed.call(9, Request::OffsetCommit(commit)) else { panic!() };
    let errors: Vec<_> = response.topics[0].partitions.iter().map(|p| p.error_code).collect();
    let large = ErrorCode::OffsetMetadataTooLarge.code();
    assert_eq!(errors, vec![large, OK, large, OK]);
    assert_eq!(all(&mut bed, "g").len(), 2);
}

#[test]
fn a_commit_that_the_log_refuses_is_refused_and_changes_nothing() {
    let mut bed = bed();
    commit(&mut bed, "g", "t", 0, 5);
    for (refused, told) in [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    ] {
        bed.refuse_writes = Some(refused);
        assert_eq!(send(&mut bed, 9, request("g", "t", 0, 6)), told.code());
    }
    assert_eq!(fetch(&mut bed, "g", "t", 0, false), (5, OK));
}

#[test]
fn offsets_of_a_former_topic_of_that_name_are_not_given() {
    let mut bed = bed();
    let (old, new) = (Uuid([1; 16]), Uuid([2; 16]));
    let mut commit = request("g", "t", 0, 5);
    commit.topics[0].topic_id = old;
    assert_eq!(send(&mut bed, 10, commit), OK);
    let mut fetch = |topic_id| {
        let topics = vec![OffsetFetchRequestTopics { name: "t".into(), topic_id, partition_indexes: vec![0] }];
        let group = OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(topics),
            member_epoch: -1,
            ..Default::default()
        };
        fetch_group(&mut bed, group, false)[0].2
    };
    assert_eq!((fetch(old), fetch(new), fetch(Uuid::default())), (5, -1, 5));
}

#[test]
fn a_transactions_offsets_count_once_it_is_committed() {
    let mut bed = bed();
    commit(&mut bed, "g", "t", 0, 5);
    assert_eq!(txn_commit(&mut bed, 9, "g", 0, 8), OK);
    for _ in 0..2 {
        assert_eq!(fetch(&mut bed, "g", "t", 0, false), (5, OK));
        assert_eq!(fetch(&mut bed, "g", "t", 0, true), (-1, ErrorCode::UnstableOffsetCommit.code()));
        bed.fail_over();
    }
    bed.end_transaction(9, true);
    for _ in 0..2 {
        assert_eq!(fetch(&mut bed, "g", "t", 0, true), (8, OK));
        bed.fail_over();
    }
    txn_commit(&mut bed, 9, "g", 0, 11);
    bed.end_transaction(9, false);
    assert_eq!(fetch(&mut bed, "g", "t", 0, true), (8, OK));
}

#[test]
fn an_offset_never_goes_back_because_an_older_transaction_was_decided_later() {
    let mut bed = bed();
    txn_commit(&mut bed, 9, "g", 0, 8);
    txn_commit(&mut bed, 10, "g", 0, 9);
    commit(&mut bed, "g", "t", 0, 20);
    bed.end_transaction(9, true);
    assert_eq!(fetch(&mut bed, "g", "t", 0, true).1, ErrorCode::UnstableOffsetCommit.code());
    bed.end_transaction(10, true);
    assert_eq!(fetch(&mut bed, "g", "t", 0, true), (20, OK));
    bed.fail_over();
    assert_eq!(fetch(&mut bed, "g", "t", 0, true), (20, OK));
}

#[test]
fn offsets_are_deleted_also_those_that_are_not_decided() {
    let mut bed = bed();
    assert_eq!(delete(&mut bed, "g", "t", 0), (ErrorCode::GroupIdNotFound.code(), None));
    assert_eq!(delete(&mut bed, "", "t", 0), (ErrorCode::InvalidGroupId.code(), None));
    commit(&mut bed, "g", "t", 0, 5);
    txn_commit(&mut bed, 9, "g", 1, 8);
    bed.take_records();
    for partition in 0..3 {
        assert_eq!(delete(&mut bed, "g", "t", partition), (OK, Some(OK)));
    }
    assert_eq!(bed.take_records().len(), 2);
    bed.end_transaction(9, true);
    assert_eq!(all(&mut bed, "g"), vec![]);
    assert_eq!(fetch(&mut bed, "g", "t", 1, true), (-1, OK));
}

#[test]
fn a_deleted_group_is_gone_with_its_offsets() {
    let mut bed = bed();
    assert_eq!(delete_group(&mut bed, "g"), ErrorCode::GroupIdNotFound.code());
    commit(&mut bed, "g", "t", 0, 5);
    commit(&mut bed, "g", "u", 1, 6);
    txn_commit(&mut bed, 9, "g", 2, 7);
    commit(&mut bed, "h", "t", 0, 5);
    assert_eq!(delete_group(&mut bed, "g"), OK);
    for _ in 0..2 {
        assert_eq!(all(&mut bed, "g"), vec![]);
        assert_eq!(groups(&mut bed).len(), 1);
        bed.fail_over();
    }
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut bed = bed();
    commit(&mut bed, "g", "t", 0, 5);
    let mut count = |states: &[&str], types: &[&str]| {
        let states_filter = states.iter().map(|&state| state.into()).collect();
        let types_filter = types.iter().map(|&kind| kind.into()).collect();
        let request = m::ListGroupsRequest { states_filter, types_filter };
        match bed.call(5, Request::ListGroups(request)) {
            Answer::ListGroups(listed) => listed.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(count(&[], &[]), 1);
    assert_eq!(count(&[" empty "], &["CLASSIC"]), 1);
    assert_eq!(count(&["Stable", "Empty"], &["consumer", "classic"]), 1);
    assert_eq!(count(&["Stable"], &[]), 0);
    assert_eq!(count(&["nonsense"], &[]), 0);
    assert_eq!(count(&[], &["Share"]), 0);
    assert_eq!(count(&[], &["nonsense"]), 0);
}

#[test]
fn offsets_without_members_expire_a_week_after_their_commit() {
    let mut bed = bed();
    commit(&mut bed, "g", "t", 0, 5);
    bed.pass(3 * DAY);
    commit(&mut bed, "g", "t", 1, 6);
    bed.pass(4 * DAY - 1);
    assert_eq!(all(&mut bed, "g").len(), 2);
    // They are looked through every ten minutes.
    bed.pass(600_000);
    assert_eq!(all(&mut bed, "g"), vec![("t".into(), 1, 6)]);
    bed.take_records();
    bed.pass(3 * DAY + 600_000);
    assert_eq!((all(&mut bed, "g"), groups(&mut bed)), (vec![], vec![]));
    let key = m::GroupMetadataKey { group: "g".into() };
    assert_eq!(bed.take_records().last(), Some(&Record::from(key)));
}

#[test]
fn a_client_of_old_says_itself_when_its_offsets_expire() {
    let mut bed = bed();
    let own = |retention_time_ms| m::OffsetCommitRequest { retention_time_ms, ..request("g", "t", 0, 5) };
    assert_eq!(send(&mut bed, 4, own(DAY)), OK);
    bed.pass(DAY - 600_000);
    assert_eq!(all(&mut bed, "g").len(), 1);
    bed.fail_over();
    bed.pass(1_200_000);
    assert_eq!(all(&mut bed, "g"), vec![]);
    assert_eq!(send(&mut bed, 4, own(30 * DAY)), OK);
    bed.pass(20 * DAY);
    assert_eq!(all(&mut bed, "g").len(), 1);
}

#[test]
fn an_undecided_offset_keeps_the_group() {
    let mut bed = bed();
    txn_commit(&mut bed, 9, "g", 0, 8);
    commit(&mut bed, "g", "t", 0, 5);
    bed.pass(30 * DAY);
    assert_eq!(all(&mut bed, "g").len(), 1);
    bed.end_transaction(9, false);
    bed.pass(DAY);
    assert_eq!(groups(&mut bed), vec![]);
}

#[test]
fn many_offsets_expire_in_batches_of_bounded_size() {
    let mut bed = bed();
    for group in 0..13 {
        let mut commit = request(&format!("g{group}"), "t", 0, 5);
        let partition = commit.topics[0].partitions[0].clone();
        commit.topics[0].partitions = (0..1_001)
            .map(|index| OffsetCommitRequestPartition { partition_index: index, ..partition.clone() })
            .collect();
        assert_eq!(send(&mut bed, 9, commit), OK);
    }
    bed.batches.clear();
    bed.pass(8 * DAY);
    assert!(bed.batches.iter().all(|batch| batch.len() <= 1_000));
    assert_eq!((bed.take_records().len(), groups(&mut bed)), (13 * 1_002, vec![]));
}

#[test]
fn offsets_go_with_their_topic() {
    let mut bed = bed();
    let topic = |id: u8| TopicRecord { name: "t".into(), topic_id: Uuid([id; 16]) };
    let mut with = bed.image.clone();
    with.replay(&topic(1).into(), thalweg_base::Offset(1));
    let partition = PartitionRecord { partition_id: 0, topic_id: Uuid([1; 16]), ..Default::default() };
    with.replay(&partition.into(), thalweg_base::Offset(2));
    bed.change(with.clone());
    commit(&mut bed, "g", "t", 0, 5);
    commit(&mut bed, "g", "u", 0, 5);
    txn_commit(&mut bed, 9, "h", 0, 5);
    let mut of_another = request("i", "t", 0, 6);
    of_another.topics[0].topic_id = Uuid([2; 16]);
    assert_eq!(send(&mut bed, 10, of_another), OK);
    let mut without = with;
    without.replay(&RemoveTopicRecord { topic_id: Uuid([1; 16]) }.into(), thalweg_base::Offset(3));
    bed.change(without);
    bed.end_transaction(9, true);
    assert_eq!(all(&mut bed, "g"), vec![("u".into(), 0, 5)]);
    assert_eq!(all(&mut bed, "h"), vec![]);
    assert_eq!(all(&mut bed, "i"), vec![("t".into(), 0, 6)]);
}

#[test]
fn who_watches_sees_what_there_is_and_what_has_happened() {
    let mut bed = bed();
    commit(&mut bed, "g", "t", 0, 5);
    commit(&mut bed, "g", "t", 1, 6);
    commit(&mut bed, "g", "t", 1, 7);
    let census = bed.shard.census();
    assert_eq!((census.offsets, census.classic.clone()), (2, [("Empty", 1)].into()));
    assert_eq!(bed.shard.tally().offset_commits, 3);
    bed.fail_over();
    assert_eq!(bed.shard.census(), census);
    assert_eq!(bed.shard.tally().offset_commits, 0, "what was loaded did not happen here");
}
