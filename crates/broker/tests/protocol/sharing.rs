//! Share groups: members that share a partition, and what outlives them.

use std::time::Duration;

use thalweg_base::Uuid;
use thalweg_sys::net::TcpStream;
use thalweg_wire::messages as m;
use thalweg_wire::messages::share_fetch_request::{AcknowledgementBatch, FetchPartition, FetchTopic};
use thalweg_wire::messages::share_fetch_response::PartitionData;

use crate::client::{Cluster, exchange};
use crate::producing::{batch_of, produce};

const GROUP: &str = "queue";
/// Members are assigned partitions with every heartbeat.
const QUICK: (&str, &str) = ("group.share.assignment.interval.ms", "0");
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;

/// A member with a connection of its own.
struct Member {
    stream: TcpStream,
    id: String,
    epoch: i32,
    session: i32,
    topic: Uuid,
}

impl Member {
    /// Joins, and waits until it has the partition.
    async fn join(cluster: &Cluster, id: &str, topic: Uuid) -> Self {
        let mut member = Self { stream: cluster.connect().await, id: id.into(), epoch: 0, session: 0, topic };
        // The share coordinator is asked meanwhile.
        for _ in 0..100_000 {
            let response = member.beat().await;
            if response.assignment.is_some_and(|assignment| !assignment.topic_partitions.is_empty()) {
                return member;
            }
        }
        panic!("{id} is given nothing");
    }

    async fn beat(&mut self) -> m::ShareGroupHeartbeatResponse {
        let request = m::ShareGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.as_str().into(),
            member_epoch: self.epoch,
            subscribed_topic_names: Some(vec!["t".into()]),
            ..Default::default()
        };
        let response = exchange(&mut self.stream, &request, 1).await;
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        self.epoch = response.member_epoch;
        response
    }

    /// Fetches for as long as `wait`, and says what becomes of what it was given before.
    async fn fetch(&mut self, wait: Duration, acks: &[(i64, i64, i8)]) -> Option<PartitionData> {
        let batch = |(first, last, ack): &(i64, i64, i8)| AcknowledgementBatch {
            first_offset: *first,
            last_offset: *last,
            acknowledge_types: vec![*ack],
        };
        let partition =
            FetchPartition { acknowledgement_batches: acks.iter().map(batch).collect(), ..Default::default() };
        let request = m::ShareFetchRequest {
            group_id: Some(GROUP.into()),
            member_id: Some(self.id.as_str().into()),
            share_session_epoch: self.session,
            max_wait_ms: i32::try_from(wait.as_millis()).expect("it is short"),
            min_bytes: 1,
            max_bytes: 1 << 20,
            max_records: 500,
            batch_size: 500,
            topics: vec![FetchTopic { topic_id: self.topic, partitions: vec![partition] }],
            ..Default::default()
        };
        let response = exchange(&mut self.stream, &request, 2).await;
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        self.session += 1;
        response.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next())
    }

    /// Fetches until it is given records: first and last offset, and how often they were delivered.
    async fn take(&mut self) -> (i64, i64, i16) {
        let data = self.fetch(Duration::from_secs(60), &[]).await.expect("records");
        let got = data.acquired_records.first().expect("acquired records");
        assert!(data.records.is_some_and(|records| !records.is_empty()));
        (got.first_offset, got.last_offset, got.delivery_count)
    }

    async fn acknowledge(&mut self, first: i64, last: i64, ack: i8) -> i16 {
        use m::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch};
        let batch = AcknowledgementBatch { first_offset: first, last_offset: last, acknowledge_types: vec![ack] };
        let partition = AcknowledgePartition { acknowledgement_batches: vec![batch], ..Default::default() };
        let request = m::ShareAcknowledgeRequest {
            group_id: Some(GROUP.into()),
            member_id: Some(self.id.as_str().into()),
            share_session_epoch: self.session,
            topics: vec![AcknowledgeTopic { topic_id: self.topic, partitions: vec![partition] }],
            ..Default::default()
        };
        let response = exchange(&mut self.stream, &request, 2).await;
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        self.session += 1;
        response.responses[0].partitions[0].error_code
    }
}

async fn start() -> Cluster {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    Cluster::start_in(dir, &[("log.dirs", &log_dirs), QUICK]).await
}

/// A topic `t` that the group reads from its beginning.
async fn prepare(cluster: &mut Cluster) -> Uuid {
    use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config = AlterableConfig {
        name: "share.auto.offset.reset".into(),
        value: Some("earliest".into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource { resource_type: 32, resource_name: GROUP.into(), configs: vec![config] };
    let request = m::IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(cluster.ask(&request, 1).await.responses[0].error_code, 0);
    find_coordinator(cluster).await;
    cluster.create("t", &[]).await
}

/// Waits until the group has a coordinator.
async fn find_coordinator(cluster: &mut Cluster) {
    let request = m::FindCoordinatorRequest { coordinator_keys: vec![GROUP.into()], ..Default::default() };
    while cluster.ask(&request, 6).await.coordinators[0].error_code != 0 {}
}

async fn send(cluster: &mut Cluster, topic: Uuid) {
    let batch = batch_of(b"x");
    assert_eq!(produce(cluster, topic, None, std::slice::from_ref(&batch)).await[0].error_code, 0);
}

#[tokio::test]
async fn a_released_record_reaches_a_member_that_waits_and_an_accepted_one_nobody() {
    let mut cluster = start().await;
    let topic = prepare(&mut cluster).await;
    let mut first = Member::join(&cluster, "first", topic).await;
    let mut second = Member::join(&cluster, "second", topic).await;
    send(&mut cluster, topic).await;
    assert_eq!(first.take().await, (0, 0, 1));
    // The second member waits; nobody sends anything.
    let (taken, released) = tokio::join!(second.take(), async {
        for _ in 0..10 {
            first.beat().await;
        }
        first.acknowledge(0, 0, RELEASE).await
    });
    assert_eq!((taken, released), ((0, 0, 2), 0));
    assert_eq!(first.acknowledge(0, 0, ACCEPT).await, 121, "it is another member's");
    assert_eq!(second.acknowledge(0, 0, ACCEPT).await, 0);
    assert!(first.fetch(Duration::from_millis(50), &[]).await.is_none());
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_accepted_and_rejected_stays_so_after_a_restart_and_the_rest_is_delivered_again() {
    let mut cluster = start().await;
    let topic = prepare(&mut cluster).await;
    let mut member = Member::join(&cluster, "before", topic).await;
    for _ in 0..4 {
        send(&mut cluster, topic).await;
    }
    let mut next = 0;
    while next < 4 {
        next = member.take().await.1 + 1;
    }
    assert_eq!(member.acknowledge(0, 0, ACCEPT).await, 0);
    assert_eq!(member.acknowledge(2, 2, REJECT).await, 0);
    let log_dirs = cluster.dir().display().to_string();
    let dir = cluster.stop_only().await;
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs), QUICK]).await;
    find_coordinator(&mut cluster).await;
    let mut member = Member::join(&cluster, "after", topic).await;
    let data = member.fetch(Duration::from_secs(60), &[]).await.expect("records");
    let got: Vec<_> = data.acquired_records.iter().map(|got| (got.first_offset, got.last_offset)).collect();
    assert_eq!(got, [(1, 1), (3, 3)]);
    let request = m::DescribeShareGroupOffsetsRequest {
        groups: vec![m::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup {
            group_id: GROUP.into(),
            topics: None,
        }],
    };
    let described = cluster.ask(&request, 1).await;
    let partition = &described.groups[0].topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.lag), (0, 2), "{described:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_session_that_does_not_fit_is_refused() {
    let mut cluster = start().await;
    let topic = prepare(&mut cluster).await;
    let fetch = |group: Option<&str>, member: &str, epoch| m::ShareFetchRequest {
        group_id: group.map(Into::into),
        member_id: Some(member.into()),
        share_session_epoch: epoch,
        max_records: 1,
        max_bytes: 1,
        topics: vec![FetchTopic { topic_id: topic, partitions: vec![FetchPartition::default()] }],
        ..Default::default()
    };
    for (request, error) in [
        (fetch(None, "m", 0), 42),
        (fetch(Some("g"), "", 0), 42),
        (fetch(Some("g"), "m", 1), 122),
        (fetch(Some("g"), "m", -1), 122),
        (fetch(Some("g"), "m", 0), 0),
        (fetch(Some("g"), "m", 5), 123),
    ] {
        let response = cluster.ask(&request, 2).await;
        assert_eq!(response.error_code, error, "{:?}", response.error_message);
    }
    cluster.stop().await;
}
