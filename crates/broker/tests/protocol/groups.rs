//! Groups: what the node does around their rules.

use m::find_coordinator_response::Coordinator;
use m::join_group_request::JoinGroupRequestProtocol;
use m::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use m::sync_group_request::SyncGroupRequestAssignment;
use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use tokio::io::AsyncWriteExt as _;

use crate::client::{Cluster, exchange};
use crate::producing::{batch_of, produce};

const OFFSETS: &str = "__consumer_offsets";

/// A node whose groups do not wait for more members.
async fn start() -> Cluster {
    start_with(&[]).await
}

async fn start_with(properties: &[(&str, &str)]) -> Cluster {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    let always = [("log.dirs", log_dirs.as_str()), ("group.initial.rebalance.delay.ms", "0")];
    Cluster::start_in(dir, &[&always, properties].concat()).await
}

async fn find(cluster: &mut Cluster, key_type: i8, keys: &[&str]) -> Vec<Coordinator> {
    let coordinator_keys = keys.iter().map(|key| (*key).into()).collect();
    let request = m::FindCoordinatorRequest { key_type, coordinator_keys, ..m::FindCoordinatorRequest::default() };
    cluster.ask(&request, 6).await.coordinators
}

fn join(group: &str, member: &str) -> m::JoinGroupRequest {
    m::JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: "m".into() }],
        ..m::JoinGroupRequest::default()
    }
}

/// Joins as the only member; gives its id and the generation.
async fn join_alone(cluster: &mut Cluster, group: &str) -> (String, i32) {
    let named = cluster.ask(&join(group, ""), 9).await;
    assert_eq!(named.error_code, ErrorCode::MemberIdRequired.code());
    let joined = cluster.ask(&join(group, &named.member_id), 9).await;
    assert_eq!((joined.error_code, joined.leader == joined.member_id), (0, true));
    let sync = m::SyncGroupRequest {
        group_id: group.into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: "all of it".into(),
        }],
        ..m::SyncGroupRequest::default()
    };
    let synced = cluster.ask(&sync, 5).await;
    assert_eq!((synced.error_code, &*synced.assignment), (0, &b"all of it"[..]));
    (joined.member_id.to_string(), joined.generation_id)
}

async fn heartbeat(cluster: &mut Cluster, group: &str, member: &str, generation_id: i32) -> i16 {
    let request = m::HeartbeatRequest {
        group_id: group.into(),
        member_id: member.into(),
        generation_id,
        ..m::HeartbeatRequest::default()
    };
    cluster.ask(&request, 4).await.error_code
}

/// Commits without a group's protocol, by the topic's id; gives the error of each partition.
async fn commit(
    cluster: &mut Cluster,
    group: &str,
    topic_id: Uuid,
    partitions: &[i32],
    offset: i64,
) -> Vec<(i32, i16)> {
    let partition = |partition_index: &i32| OffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: offset,
        committed_metadata: Some("note".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let partitions = partitions.iter().map(partition).collect();
    let request = m::OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic { topic_id, partitions, ..OffsetCommitRequestTopic::default() }],
        ..m::OffsetCommitRequest::default()
    };
    let response = cluster.ask(&request, 10).await;
    let answers = response.topics.into_iter().flat_map(|topic| topic.partitions);
    answers.map(|partition| (partition.partition_index, partition.error_code)).collect()
}

/// The offset of partition 0, by the topic's id, for each group.
async fn fetch(cluster: &mut Cluster, groups: &[&str], topic_id: Uuid) -> Vec<(i16, i64, i16)> {
    let group = |group: &&str| OffsetFetchRequestGroup {
        group_id: (*group).into(),
        topics: Some(vec![OffsetFetchRequestTopics {
            topic_id,
            partition_indexes: vec![0],
            ..OffsetFetchRequestTopics::default()
        }]),
        ..OffsetFetchRequestGroup::default()
    };
    let groups = groups.iter().map(group).collect();
    let request = m::OffsetFetchRequest { groups, require_stable: true, ..m::OffsetFetchRequest::default() };
    let response = cluster.ask(&request, 10).await;
    let answer = |group: m::offset_fetch_response::OffsetFetchResponseGroup| {
        let partition = group.topics.first().and_then(|topic| topic.partitions.first());
        partition.map_or((group.error_code, -2, 0), |p| (group.error_code, p.committed_offset, p.error_code))
    };
    response.groups.into_iter().map(answer).collect()
}

#[tokio::test]
async fn the_first_search_for_a_coordinator_creates_the_topic_of_groups() {
    let mut cluster = start_with(&[("offsets.topic.num.partitions", "7")]).await;
    let heard = heartbeat(&mut cluster, "g", "m", 1).await;
    assert_eq!(heard, ErrorCode::NotCoordinator.code(), "nobody coordinates before");
    let found = find(&mut cluster, 0, &["g", "", "another"]).await;
    let answers: Vec<_> = found.iter().map(|one| (&*one.key, one.error_code, one.node_id, &*one.host)).collect();
    assert_eq!(answers, [("g", 0, 1, "127.0.0.1"), ("", 0, 1, "127.0.0.1"), ("another", 0, 1, "127.0.0.1")]);

    let topics = vec![m::metadata_request::MetadataRequestTopic {
        name: Some(OFFSETS.into()),
        ..m::metadata_request::MetadataRequestTopic::default()
    }];
    let metadata = cluster.ask(&m::MetadataRequest { topics: Some(topics), ..Default::default() }, 12).await;
    assert_eq!((metadata.topics[0].is_internal, metadata.topics[0].partitions.len()), (true, 7));
    let resource = m::describe_configs_request::DescribeConfigsResource {
        resource_type: 2,
        resource_name: OFFSETS.into(),
        configuration_keys: Some(vec!["cleanup.policy".into(), "compression.type".into(), "segment.bytes".into()]),
    };
    let described =
        cluster.ask(&m::DescribeConfigsRequest { resources: vec![resource], ..Default::default() }, 4).await;
    let configs: Vec<_> = described.results[0].configs.iter().filter_map(|config| config.value.as_deref()).collect();
    assert_eq!(configs, ["compact", "producer", "104857600"]);
    cluster.stop().await;
}

#[tokio::test]
async fn every_kind_of_coordinator_is_found_by_its_kind_of_key() {
    let mut cluster = start().await;
    let errors = |found: Vec<Coordinator>| found.iter().map(|one| one.error_code).collect::<Vec<_>>();
    assert_eq!(errors(find(&mut cluster, 1, &["transaction"]).await), [0]);
    let share = ["g:AAAAAAAAAAAAAAAAAAAAAQ:0", "g"];
    assert_eq!(errors(find(&mut cluster, 2, &share).await), [0, ErrorCode::InvalidRequest.code()]);
    assert_eq!(errors(find(&mut cluster, 9, &["x"]).await), [ErrorCode::InvalidRequest.code()]);
    let old = cluster.ask(&m::FindCoordinatorRequest { key: "g".into(), ..Default::default() }, 3).await;
    assert_eq!((old.error_code, old.error_message.as_deref(), old.node_id), (0, Some("NONE"), 1));
    cluster.stop().await;
}

#[tokio::test]
async fn clients_may_not_write_to_the_topic_of_groups() {
    let mut cluster = start().await;
    find(&mut cluster, 0, &["g"]).await;
    let listed = cluster.ask(&m::MetadataRequest { topics: None, ..Default::default() }, 12).await;
    let id = listed.topics[0].topic_id;
    let refused = produce(&mut cluster, id, None, &[batch_of(b"x")]).await;
    assert_eq!(refused[0].error_code, ErrorCode::InvalidTopicException.code());
    cluster.stop().await;
}

#[tokio::test]
async fn a_member_joins_stays_and_leaves() {
    let mut cluster = start().await;
    find(&mut cluster, 0, &["g"]).await;
    let (member, generation) = join_alone(&mut cluster, "g").await;
    assert_eq!(heartbeat(&mut cluster, "g", &member, generation).await, 0);
    let wrong = heartbeat(&mut cluster, "g", &member, generation + 1).await;
    assert_eq!(wrong, ErrorCode::IllegalGeneration.code());

    let request =
        m::DescribeGroupsRequest { groups: vec!["g".into(), "no".into()], include_authorized_operations: true };
    let described = cluster.ask(&request, 6).await.groups;
    assert_eq!((&*described[0].group_state, described[0].authorized_operations), ("Stable", 3400));
    assert_eq!((&*described[0].members[0].client_id, &*described[0].members[0].client_host), ("test", "/127.0.0.1"));
    assert_eq!(described[1].error_code, ErrorCode::GroupIdNotFound.code());

    let leave = m::LeaveGroupRequest { group_id: "g".into(), member_id: member.as_str().into(), ..Default::default() };
    assert_eq!(cluster.ask(&leave, 2).await.error_code, 0);
    assert_eq!(cluster.ask(&leave, 2).await.error_code, ErrorCode::UnknownMemberId.code());
    let listed = cluster.ask(&m::ListGroupsRequest::default(), 5).await.groups;
    let listed: Vec<_> =
        listed.iter().map(|group| (&*group.group_id, &*group.group_state, &*group.group_type)).collect();
    assert_eq!(listed, [("g", "Empty", "classic")]);
    let delete = m::DeleteGroupsRequest { groups_names: vec!["g".into(), "g".into(), "no".into()] };
    let deleted = cluster.ask(&delete, 2).await.results;
    let deleted: Vec<_> = deleted.iter().map(|result| (&*result.group_id, result.error_code)).collect();
    assert_eq!(deleted, [("g", 0), ("no", ErrorCode::GroupIdNotFound.code())]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_while_it_joins_holds_up_nobody_else() {
    let mut cluster = start().await;
    find(&mut cluster, 0, &["g"]).await;
    let (member, generation) = join_alone(&mut cluster, "g").await;
    let mut other = cluster.connect().await;
    let named = exchange(&mut other, &join("g", ""), 9).await;
    // It waits for the first member to join again, and does not wait for long.
    let joining = join("g", &named.member_id);
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(1), exchange(&mut other, &joining, 9));
    assert!(waiting.await.is_err(), "the answer has to wait");
    other.shutdown().await.expect("closed");
    drop(other);
    while heartbeat(&mut cluster, "g", &member, generation).await == 0 {}
    assert_eq!(heartbeat(&mut cluster, "g", &member, generation).await, ErrorCode::RebalanceInProgress.code());
    let joined = cluster.ask(&join("g", &member), 9).await;
    assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, generation + 1, 2));
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_lets_waiting_members_go() {
    let cluster = start_with(&[("group.initial.rebalance.delay.ms", "60000")]).await;
    let mut member = cluster.connect().await;
    let request =
        m::FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..m::FindCoordinatorRequest::default() };
    exchange(&mut member, &request, 6).await;
    let named = exchange(&mut member, &join("g", ""), 9).await;
    let joining = join("g", &named.member_id);
    let joined = async move { exchange(&mut member, &joining, 9).await };
    let mut joined = Box::pin(joined);
    let mut other = cluster.connect().await;
    let seen = async {
        let is_joining = |group: &m::list_groups_response::ListedGroup| &*group.group_state == "PreparingRebalance";
        while !exchange(&mut other, &m::ListGroupsRequest::default(), 5).await.groups.iter().any(is_joining) {}
    };
    tokio::select! {
        joined = &mut joined => panic!("a new group waits for more members: {joined:?}"),
        () = seen => {}
    }
    let (joined, ()) = tokio::join!(joined, cluster.stop());
    assert_eq!(joined.error_code, ErrorCode::NotCoordinator.code());
}

#[tokio::test]
async fn commits_and_members_are_there_after_a_restart() {
    let mut cluster = start().await;
    find(&mut cluster, 0, &["g"]).await;
    let topic = cluster.create("t", &[]).await;
    let unknown = Uuid::from_random([7; 16]);
    assert_eq!(commit(&mut cluster, "simple", topic, &[0, 1], 41).await, [(1, 3), (0, 0)], "partition 1 is unknown");
    assert_eq!(commit(&mut cluster, "simple", unknown, &[0], 1).await, [(0, ErrorCode::UnknownTopicId.code())]);
    assert_eq!(commit(&mut cluster, "simple", topic, &[0], 42).await, [(0, 0)]);
    let (member, generation) = join_alone(&mut cluster, "g").await;
    let expected = [(0, 42, 0), (0, -1, 0)];
    assert_eq!(fetch(&mut cluster, &["simple", "none"], topic).await, expected);

    let dir = cluster.stop_only().await;
    let log_dirs = dir.path().display().to_string();
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs)]).await;
    // Loading takes no time here, but some.
    while fetch(&mut cluster, &["simple"], topic).await[0].0 == ErrorCode::CoordinatorLoadInProgress.code() {}
    assert_eq!(fetch(&mut cluster, &["simple", "none"], topic).await, expected);
    assert_eq!(fetch(&mut cluster, &["simple"], unknown).await, [(0, -1, ErrorCode::UnknownTopicId.code())]);
    assert_eq!(heartbeat(&mut cluster, "g", &member, generation).await, 0, "the member does not notice");
    cluster.stop().await;
}

#[tokio::test]
async fn answers_wait_for_the_disk_where_every_record_is_to_be_flushed() {
    let mut cluster = start_with(&[("log.flush.interval.messages", "1")]).await;
    find(&mut cluster, 0, &["g"]).await;
    let topic = cluster.create("t", &[]).await;
    assert_eq!(commit(&mut cluster, "g", topic, &[0], 5).await, [(0, 0)]);
    join_alone(&mut cluster, "h").await;
    assert_eq!(fetch(&mut cluster, &["g"], topic).await, [(0, 5, 0)]);
    cluster.stop().await;
}

#[tokio::test]
async fn groups_lose_their_coordinator_with_their_topic() {
    let mut cluster = start().await;
    find(&mut cluster, 0, &["g"]).await;
    let (member, generation) = join_alone(&mut cluster, "g").await;
    let delete = m::DeleteTopicsRequest { topic_names: vec![OFFSETS.into()], timeout_ms: 1000, ..Default::default() };
    assert_eq!(cluster.ask(&delete, 4).await.responses[0].error_code, 0);
    let heard = heartbeat(&mut cluster, "g", &member, generation).await;
    assert_eq!(heard, ErrorCode::NotCoordinator.code());
    find(&mut cluster, 0, &["g"]).await;
    let heard = heartbeat(&mut cluster, "g", &member, generation).await;
    assert_eq!(heard, ErrorCode::UnknownMemberId.code(), "the new topic knows nobody");
    cluster.stop().await;
}

#[tokio::test]
async fn the_consumer_protocol_is_served_unless_it_is_switched_off() {
    let request = m::ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "AAAAAAAAAAAAAAAAAAAAAQ".into(),
        rebalance_timeout_ms: 5000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..m::ConsumerGroupHeartbeatRequest::default()
    };
    let describe = m::ConsumerGroupDescribeRequest { group_ids: vec!["g".into(), "".into()], ..Default::default() };
    let mut cluster = start().await;
    find(&mut cluster, 0, &["g"]).await;
    let topic = cluster.create("t", &[]).await;
    let joined = cluster.ask(&request, 1).await;
    assert_eq!((joined.error_code, joined.member_epoch, joined.heartbeat_interval_ms), (0, 2, 5000));
    let given = joined.assignment.expect("an assignment").topic_partitions;
    assert_eq!((given[0].topic_id, &given[0].partitions[..]), (topic, &[0][..]));
    let described = cluster.ask(&describe, 1).await.groups;
    assert_eq!((described[0].error_code, &*described[0].group_state, described[0].group_epoch), (0, "Stable", 2));
    assert_eq!(described[1].error_code, ErrorCode::InvalidGroupId.code());
    cluster.stop().await;

    let mut cluster = start_with(&[("group.coordinator.rebalance.protocols", "classic")]).await;
    find(&mut cluster, 0, &["g"]).await;
    assert_eq!(cluster.ask(&request, 1).await.error_code, ErrorCode::UnsupportedVersion.code());
    let described = cluster.ask(&describe, 1).await.groups;
    assert!(described.iter().all(|group| group.error_code == ErrorCode::UnsupportedVersion.code()));
    cluster.stop().await;
}
