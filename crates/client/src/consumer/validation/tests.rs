//! Consumers whose leader is replaced by one with another log, played by a test.

use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_base::{Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions};
use thalweg_wire::Records;
use thalweg_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use thalweg_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use thalweg_wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use thalweg_wire::messages::{FetchRequest, FetchResponse, MetadataResponse};

use super::*;
use crate::fake::{Arrived, Fake, Script, soon};
use crate::{ClientConfig, ConsumerConfig, Peer};

const TOPIC: Uuid = Uuid([7; 16]);

/// What the played leader has.
#[derive(Clone, Default)]
struct Log {
    epoch: i32,
    /// The epoch and the value of each record, by offset.
    records: Vec<(i32, &'static str)>,
}

/// One node, which leads the only partition of `t`; a test replaces its log.
#[derive(Clone)]
struct Leader {
    log: Arc<Mutex<Log>>,
    peer: Peer,
}

impl Leader {
    async fn start(epoch: i32, records: &[(i32, &'static str)]) -> Self {
        let (fake, peer) = Fake::listen().await;
        let leader = Self { log: Arc::default(), peer };
        leader.becomes(epoch, records);
        let served = leader.clone();
        thalweg_sys::task::spawn(async move {
            loop {
                let (script, leader) = (fake.accept().await, served.clone());
                thalweg_sys::task::spawn(async move { leader.serve(script).await });
            }
        });
        leader
    }

    fn becomes(&self, epoch: i32, records: &[(i32, &'static str)]) {
        *self.log.lock() = Log { epoch, records: records.to_vec() };
    }

    async fn serve(&self, mut script: Script) {
        script.negotiate().await;
        while let Some(mut request) = script.next().await {
            let log = self.log.lock().clone();
            match request.api {
                ApiKey::Metadata => script.answer(&request, &self.metadata(&log)).await,
                ApiKey::OffsetForLeaderEpoch => {
                    let response = end(&log, &mut request);
                    script.answer(&request, &response).await;
                }
                _ => {
                    let response = fetched(&log, &mut request);
                    script.answer(&request, &response).await;
                }
            }
        }
    }

    fn metadata(&self, log: &Log) -> MetadataResponse {
        let broker = MetadataResponseBroker {
            node_id: 7,
            host: self.peer.host.to_string().into(),
            port: self.peer.port.into(),
            ..MetadataResponseBroker::default()
        };
        let partition =
            MetadataResponsePartition { leader_id: 7, leader_epoch: log.epoch, ..MetadataResponsePartition::default() };
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: TOPIC,
            partitions: vec![partition],
            ..MetadataResponseTopic::default()
        };
        MetadataResponse { brokers: vec![broker], topics: vec![topic], ..MetadataResponse::default() }
    }
}

/// Where the asked epoch, or the last one before it, ends.
fn end(log: &Log, request: &mut Arrived) -> OffsetForLeaderEpochResponse {
    let asked = OffsetForLeaderEpochRequest::decode(&mut request.body, request.version).expect("a request");
    assert_eq!(asked.replica_id, CONSUMER);
    let asked = &asked.topics[0].partitions[0];
    let known = log.records.iter().map(|(epoch, _)| *epoch).filter(|epoch| *epoch <= asked.leader_epoch).max();
    let mut answer = EpochEndOffset { leader_epoch: -1, end_offset: -1, ..EpochEndOffset::default() };
    if asked.current_leader_epoch != log.epoch {
        answer.error_code = ErrorCode::FencedLeaderEpoch.code();
    } else if let Some(epoch) = known {
        answer.leader_epoch = epoch;
        answer.end_offset = log.records.iter().filter(|(other, _)| *other <= epoch).count() as i64;
    }
    let topic = OffsetForLeaderTopicResult { topic: "t".into(), partitions: vec![answer] };
    OffsetForLeaderEpochResponse { topics: vec![topic], ..OffsetForLeaderEpochResponse::default() }
}

/// The next record, if the consumer knows the leader's epoch.
fn fetched(log: &Log, request: &mut Arrived) -> FetchResponse {
    let asked = FetchRequest::decode(&mut request.body, request.version).expect("a request");
    let asked = &asked.topics[0].partitions[0];
    let mut data = PartitionData { preferred_read_replica: -1, ..PartitionData::default() };
    let at = usize::try_from(asked.fetch_offset).expect("an offset");
    if asked.current_leader_epoch != log.epoch {
        data.error_code = ErrorCode::FencedLeaderEpoch.code();
    } else if at > log.records.len() {
        data.error_code = ErrorCode::OffsetOutOfRange.code();
    } else if let Some((epoch, value)) = log.records.get(at) {
        let mut batch = BatchBuilder::new(BatchOptions {
            base_offset: Offset(asked.fetch_offset),
            leader_epoch: LeaderEpoch(*epoch),
            ..BatchOptions::default()
        });
        batch.append(Timestamp(5), None, Some(value.as_bytes()), &[]);
        data.records = Some(Records::Here(batch.build().expect("a batch")));
    }
    let topic = FetchableTopicResponse { topic: "t".into(), topic_id: TOPIC, partitions: vec![data] };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

fn consumer(leader: &Leader, offset_reset: OffsetReset) -> Consumer {
    let client = ClientConfig::new(vec![leader.peer.clone()]);
    let mut consumer = Consumer::new(ConsumerConfig { offset_reset, ..ConsumerConfig::new(client) });
    consumer.assign([(TopicPartition::new("t", 0), Start::At(Offset::ZERO))]);
    consumer
}

async fn read(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        let records = consumer.poll(soon()).await.expect("records");
        assert!(!records.is_empty(), "only {values:?} came");
        values.extend(
            records.iter().map(|one| String::from_utf8_lossy(one.value.as_deref().unwrap_or(b"")).into_owned()),
        );
    }
    values
}

const OLD: &[(i32, &str)] = &[(1, "a"), (1, "b"), (2, "lost c"), (2, "lost d")];
const NEW: &[(i32, &str)] = &[(1, "a"), (1, "b"), (3, "c"), (3, "d"), (3, "e"), (3, "f")];

#[tokio::test]
async fn records_that_took_the_place_of_lost_ones_are_read() {
    let leader = Leader::start(2, OLD).await;
    let mut consumer = consumer(&leader, OffsetReset::Earliest);
    assert_eq!(read(&mut consumer, 4).await, ["a", "b", "lost c", "lost d"]);
    leader.becomes(3, NEW);
    assert_eq!(read(&mut consumer, 4).await, ["c", "d", "e", "f"]);
}

#[tokio::test]
async fn without_a_policy_a_truncation_is_an_error_that_says_where() {
    let leader = Leader::start(2, OLD).await;
    let mut consumer = consumer(&leader, OffsetReset::None);
    read(&mut consumer, 4).await;
    leader.becomes(3, NEW);
    let error = consumer.poll(soon()).await.expect_err("records are gone");
    assert_eq!(error.to_string(), "partition t-0: the log was truncated to offset 2 before position 4");
    consumer.seek(&TopicPartition::new("t", 0), Start::At(Offset(2)));
    assert_eq!(read(&mut consumer, 4).await, ["c", "d", "e", "f"]);
}

#[tokio::test]
async fn a_log_without_any_epoch_of_the_position_counts_as_truncated() {
    let leader = Leader::start(2, OLD).await;
    let mut consumer = consumer(&leader, OffsetReset::None);
    read(&mut consumer, 4).await;
    leader.becomes(3, &[(3, "other")]);
    let error = consumer.poll(soon()).await.expect_err("records are gone");
    assert_eq!(error.to_string(), "partition t-0: the log was truncated to an unknown offset before position 4");
}

#[tokio::test]
async fn a_new_leader_with_the_same_log_is_read_on() {
    let leader = Leader::start(2, OLD).await;
    let mut consumer = consumer(&leader, OffsetReset::None);
    assert_eq!(read(&mut consumer, 4).await.len(), 4);
    let mut longer = OLD.to_vec();
    longer.extend([(4, "next"), (5, "last")]);
    leader.becomes(5, &longer);
    assert_eq!(read(&mut consumer, 2).await, ["next", "last"]);
    assert_eq!(consumer.positions()[&TopicPartition::new("t", 0)], (Offset(6), LeaderEpoch(5)));
}
