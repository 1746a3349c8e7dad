//! Produce.

use bytes::Bytes;
use m::produce_request::{PartitionProduceData, TopicProduceData};
use m::produce_response::PartitionProduceResponse;
use thalweg_base::{ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::Cluster;

/// One record with this value.
pub(crate) fn batch_of(value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(1), None, Some(value), &[]);
    builder.build().expect("a batch")
}

fn batch(count: u8, key: Option<&[u8]>) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..count {
        builder.append(Timestamp(1), key, Some(b"value"), &[]);
    }
    builder.build().expect("a batch")
}

pub(crate) async fn produce(
    cluster: &mut Cluster,
    topic_id: Uuid,
    transactional_id: Option<&str>,
    batches: &[Bytes],
) -> Vec<PartitionProduceResponse> {
    let data = |records: &Bytes| PartitionProduceData { index: 0, records: Some(records.clone()) };
    let partition_data = batches.iter().map(data).collect();
    let request = m::ProduceRequest {
        transactional_id: transactional_id.map(Into::into),
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData { topic_id, partition_data, ..TopicProduceData::default() }],
    };
    cluster.ask(&request, 13).await.responses.remove(0).partition_responses
}

#[tokio::test]
async fn of_two_batches_for_a_partition_the_last_counts() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    let answers = produce(&mut cluster, topic, None, &[batch(1, None), batch(2, None)]).await;
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].error_code, answers[0].base_offset), (0, 0));
    let next = produce(&mut cluster, topic, None, &[batch(1, None)]).await;
    assert_eq!(next[0].base_offset, 2);
    cluster.stop().await;
}

#[tokio::test]
async fn a_transactional_id_does_not_make_a_batch_transactional() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    let answers = produce(&mut cluster, topic, Some("id"), &[batch(1, None)]).await;
    assert_eq!((answers[0].error_code, answers[0].base_offset), (0, 0));
    cluster.stop().await;
}

#[tokio::test]
async fn a_refused_record_is_answered_with_the_start_of_the_log() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[("cleanup.policy", "compact")]).await;
    let answers = produce(&mut cluster, topic, None, &[batch(1, None)]).await;
    assert_eq!(answers[0].error_code, ErrorCode::InvalidRecord.code());
    assert_eq!((answers[0].base_offset, answers[0].log_start_offset), (-1, 0));
    assert_eq!(answers[0].record_errors.len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_batch_are_refused_in_kafkas_words() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    let mut bytes = batch(1, None).to_vec();
    bytes[16] = 3;
    let answers = produce(&mut cluster, topic, None, &[bytes.into()]).await;
    let expected = PartitionProduceResponse {
        error_code: ErrorCode::CorruptMessage.code(),
        base_offset: -1,
        error_message: Some("Invalid magic found in record: 3".into()),
        ..PartitionProduceResponse::default()
    };
    assert_eq!(answers, [expected]);
    let answers = produce(&mut cluster, topic, None, &[Bytes::new()]).await;
    let expected = PartitionProduceResponse {
        error_code: ErrorCode::InvalidRecord.code(),
        base_offset: -1,
        ..PartitionProduceResponse::default()
    };
    assert_eq!(answers, [expected]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_transaction_without_an_id_is_not_allowed() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    let mut builder = BatchBuilder::new(BatchOptions { transactional: true, ..BatchOptions::default() });
    builder.append(Timestamp(1), None, Some(b"value"), &[]);
    let answers = produce(&mut cluster, topic, None, &[builder.build().expect("a batch")]).await;
    assert_eq!(answers[0].error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
    cluster.stop().await;
}

#[tokio::test]
async fn a_producer_names_its_id_and_epoch_together() {
    let mut cluster = Cluster::start().await;
    for (producer_id, producer_epoch) in [(5, -1), (-1, 5)] {
        let request = m::InitProducerIdRequest { producer_id, producer_epoch, ..m::InitProducerIdRequest::default() };
        let request = m::InitProducerIdRequest { transactional_id: None, ..request };
        let response = cluster.ask(&request, 4).await;
        assert_eq!((response.error_code, response.producer_id), (ErrorCode::InvalidRequest.code(), -1));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn producers_expire_from_the_start_on_without_the_delay_of_other_work_on_logs() {
    use m::describe_producers_request::TopicRequest;
    const LONGER_THAN_THE_TEST_MS: &str = "600000";
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [
        ("log.dirs", &*log_dirs),
        ("log.initial.task.delay.ms", LONGER_THAN_THE_TEST_MS),
        ("producer.id.expiration.ms", "1000"),
        ("producer.id.expiration.check.interval.ms", "100"),
    ];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let topic = cluster.create("t", &[]).await;
    let named =
        m::InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1, ..Default::default() };
    let producer_id = cluster.ask(&named, 4).await.producer_id;
    let (producer_id, producer_epoch) = (ProducerId(producer_id), ProducerEpoch(0));
    let producer = BatchOptions { producer_id, producer_epoch, base_sequence: 0, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(producer);
    builder.append(Timestamp(1), None, Some(b"value"), &[]);
    assert_eq!(produce(&mut cluster, topic, None, &[builder.build().expect("a batch")]).await[0].error_code, 0);

    let asked = TopicRequest { name: "t".into(), partition_indexes: vec![0] };
    let request = m::DescribeProducersRequest { topics: vec![asked] };
    let expired =
        async { while !cluster.ask(&request, 0).await.topics[0].partitions[0].active_producers.is_empty() {} };
    tokio::time::timeout(std::time::Duration::from_secs(120), expired).await.expect("the producer expires");
    cluster.stop().await;
}
