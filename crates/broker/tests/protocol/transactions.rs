//! Transactions.

use bytes::Bytes;
use m::produce_request::{PartitionProduceData, TopicProduceData};
use thalweg_base::{ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions};
use thalweg_sys::net::TcpStream;
use thalweg_sys::task;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::{Cluster, exchange};
use crate::controllers::registration;

const ID: &str = "id";

fn batch(producer: (i64, i16), sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(producer.0),
        producer_epoch: ProducerEpoch(producer.1),
        base_sequence: sequence,
        transactional: true,
        ..BatchOptions::default()
    });
    builder.append(Timestamp(1), None, Some(b"value"), &[]);
    builder.build().expect("a batch")
}

/// A node with a topic, whose producer has begun.
async fn begun(configs: &[(&str, &str)]) -> (Cluster, Uuid, (i64, i16)) {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", configs).await;
    let find = m::FindCoordinatorRequest { key_type: 1, coordinator_keys: vec![ID.into()], ..Default::default() };
    assert_eq!(cluster.ask(&find, 6).await.coordinators[0].error_code, 0);
    let producer = init(&mut cluster).await.expect("a producer");
    (cluster, topic, producer)
}

async fn init(cluster: &mut Cluster) -> Result<(i64, i16), ErrorCode> {
    let request = m::InitProducerIdRequest {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: 60_000,
        ..m::InitProducerIdRequest::default()
    };
    let given = cluster.ask(&request, 5).await;
    match ErrorCode::from(given.error_code) {
        ErrorCode::None => Ok((given.producer_id, given.producer_epoch)),
        error => Err(error),
    }
}

/// Produces at a version that names topics, or at the newest.
async fn produce(cluster: &mut Cluster, topic_id: Uuid, version: i16, records: Bytes) -> (ErrorCode, Option<String>) {
    let partition_data = vec![PartitionProduceData { index: 0, records: Some(records) }];
    let (name, topic_id) = if version < 13 { ("t".into(), Uuid::default()) } else { (String::new(), topic_id) };
    let request = m::ProduceRequest {
        transactional_id: Some(ID.into()),
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData { name: name.into(), topic_id, partition_data }],
    };
    let answer = cluster.ask(&request, version).await.responses.remove(0).partition_responses.remove(0);
    (answer.error_code.into(), answer.error_message.map(|message| message.to_string()))
}

async fn end(cluster: &mut Cluster, producer: (i64, i16), committed: bool) -> (ErrorCode, (i64, i16)) {
    let request = m::EndTxnRequest {
        transactional_id: ID.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        committed,
    };
    let ended = cluster.ask(&request, 5).await;
    (ended.error_code.into(), (ended.producer_id, ended.producer_epoch))
}

/// Where readers of all and of committed records stop.
async fn ends(cluster: &mut Cluster) -> (i64, i64) {
    let mut found = [0; 2];
    for (isolation_level, found) in (0..).zip(&mut found) {
        let partition = m::list_offsets_request::ListOffsetsPartition { timestamp: -1, ..Default::default() };
        let topic = m::list_offsets_request::ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
        let request = m::ListOffsetsRequest { replica_id: -1, isolation_level, topics: vec![topic], timeout_ms: 0 };
        *found = cluster.ask(&request, 10).await.topics[0].partitions[0].offset;
    }
    found.into()
}

#[tokio::test]
async fn a_partition_is_added_with_its_first_record_and_each_transaction_has_an_epoch() {
    for configs in [&[][..], &[("flush.messages", "1")]] {
        let (mut cluster, topic, producer) = begun(configs).await;
        assert_eq!(produce(&mut cluster, topic, 13, batch(producer, 0)).await, (ErrorCode::None, None));
        assert_eq!(ends(&mut cluster).await, (1, 0));
        let (error, next) = end(&mut cluster, producer, true).await;
        assert_eq!((error, next), (ErrorCode::None, (producer.0, producer.1 + 1)));
        let late = produce(&mut cluster, topic, 13, batch(producer, 1)).await;
        let refusals = [ErrorCode::InvalidProducerEpoch, ErrorCode::ConcurrentTransactions];
        assert!(refusals.contains(&late.0), "{late:?}");
        let answered = produce(&mut cluster, topic, 13, batch(next, 0)).await;
        assert_eq!(answered, (ErrorCode::None, None), "it waits until the transaction before is complete");
        assert_eq!(ends(&mut cluster).await, (3, 2));
        assert_eq!(end(&mut cluster, next, false).await.0, ErrorCode::None);
        cluster.stop().await;
    }
}

#[tokio::test]
async fn records_of_a_producer_without_history_begin_with_the_first() {
    let (mut cluster, topic, producer) = begun(&[]).await;
    let refused = produce(&mut cluster, topic, 13, batch(producer, 1)).await;
    assert_eq!(refused.0, ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(produce(&mut cluster, topic, 13, batch(producer, 0)).await.0, ErrorCode::None);
    cluster.stop().await;
}

#[tokio::test]
async fn older_clients_write_only_what_they_have_added() {
    let (mut cluster, topic, producer) = begun(&[]).await;
    let message = Some("Partition was not added to the transaction".to_owned());
    assert_eq!(produce(&mut cluster, topic, 11, batch(producer, 0)).await, (ErrorCode::TransactionAbortable, None));
    assert_eq!(produce(&mut cluster, topic, 10, batch(producer, 0)).await, (ErrorCode::InvalidTxnState, message));
    let stranger = (producer.0 + 1, producer.1);
    assert_eq!(produce(&mut cluster, topic, 10, batch(stranger, 0)).await.0, ErrorCode::InvalidProducerIdMapping);
    let younger = (producer.0, producer.1 + 1);
    assert_eq!(produce(&mut cluster, topic, 10, batch(younger, 0)).await.0, ErrorCode::InvalidProducerEpoch);
    let add = |name: &str| m::AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.into(),
        v3_and_below_producer_id: producer.0,
        v3_and_below_producer_epoch: producer.1,
        v3_and_below_topics: ["t", name]
            .into_iter()
            .map(|name| m::add_partitions_to_txn_request::AddPartitionsToTxnTopic {
                name: name.into(),
                partitions: vec![0],
            })
            .collect(),
        ..m::AddPartitionsToTxnRequest::default()
    };
    let errors = |answer: m::AddPartitionsToTxnResponse| {
        let topics = answer.results_by_topic_v3_and_below.into_iter();
        topics.map(|topic| ErrorCode::from(topic.results_by_partition[0].partition_error_code)).collect::<Vec<_>>()
    };
    let all_or_nothing = [ErrorCode::OperationNotAttempted, ErrorCode::UnknownTopicOrPartition];
    assert_eq!(errors(cluster.ask(&add("missing"), 3).await), all_or_nothing);
    cluster.create("other", &[]).await;
    assert_eq!(errors(cluster.ask(&add("other"), 3).await), [ErrorCode::None; 2]);
    assert_eq!(produce(&mut cluster, topic, 10, batch(producer, 0)).await, (ErrorCode::None, None));
    assert_eq!(init(&mut cluster).await, Err(ErrorCode::ConcurrentTransactions), "what is open is aborted first");
    assert_eq!(init(&mut cluster).await, Ok((producer.0, producer.1 + 2)));
    assert_eq!(ends(&mut cluster).await, (2, 2));
    cluster.stop().await;
}

#[tokio::test]
async fn offsets_of_a_transaction_count_once_it_is_committed() {
    use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
    use m::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
    let (mut cluster, _, mut producer) = begun(&[]).await;
    let find = m::FindCoordinatorRequest { coordinator_keys: vec!["g".into()], ..Default::default() };
    assert_eq!(cluster.ask(&find, 6).await.coordinators[0].error_code, 0);
    for (offset, committed, counts) in [(5, true, 5), (9, false, 5)] {
        let partition = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
        let commit = m::TxnOffsetCommitRequest {
            transactional_id: ID.into(),
            group_id: "g".into(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            topics: vec![TxnOffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] }],
            ..m::TxnOffsetCommitRequest::default()
        };
        let unadded = cluster.ask(&commit, 4).await.topics[0].partitions[0].error_code;
        assert_eq!(ErrorCode::from(unadded), ErrorCode::TransactionAbortable);
        assert_eq!(cluster.ask(&commit, 5).await.topics[0].partitions[0].error_code, 0);
        let topic = OffsetFetchRequestTopics { name: "t".into(), partition_indexes: vec![0], ..Default::default() };
        let group = OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(vec![topic]), ..Default::default() };
        let fetch = m::OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
        let open = cluster.ask(&fetch, 9).await.groups.remove(0).topics.remove(0).partitions.remove(0);
        assert_eq!(ErrorCode::from(open.error_code), ErrorCode::UnstableOffsetCommit);
        let (error, next) = end(&mut cluster, producer, committed).await;
        assert_eq!(error, ErrorCode::None);
        producer = next;
        let ended = cluster.ask(&fetch, 9).await.groups.remove(0).topics.remove(0).partitions.remove(0);
        assert_eq!((ended.error_code, ended.committed_offset), (0, counts));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn an_administrator_ends_what_hangs() {
    use m::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
    let (mut cluster, topic, producer) = begun(&[]).await;
    assert_eq!(produce(&mut cluster, topic, 13, batch(producer, 0)).await.0, ErrorCode::None);
    let topics = ["t", "missing"];
    let topics =
        topics.into_iter().map(|name| WritableTxnMarkerTopic { name: name.into(), partition_indexes: vec![0] });
    let marker = WritableTxnMarker {
        producer_id: producer.0,
        producer_epoch: producer.1,
        topics: topics.collect(),
        ..WritableTxnMarker::default()
    };
    let answer = cluster.ask(&m::WriteTxnMarkersRequest { markers: vec![marker] }, 1).await.markers.remove(0);
    let errors: Vec<_> = answer.topics.iter().map(|topic| (&*topic.name, topic.partitions[0].error_code)).collect();
    assert_eq!(errors, [("missing", ErrorCode::UnknownTopicOrPartition.code()), ("t", 0)]);
    assert_eq!(ends(&mut cluster).await, (2, 2));
    cluster.stop().await;
}

/// A whole transaction of one record, by a client of its own. Gives the producer's next epoch.
async fn transact(stream: &mut TcpStream, id: &str, topic_id: Uuid, producer: (i64, i16)) -> (i64, i16) {
    let partition_data = vec![PartitionProduceData { index: 0, records: Some(batch(producer, 0)) }];
    let request = m::ProduceRequest {
        transactional_id: Some(id.into()),
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData { topic_id, partition_data, ..Default::default() }],
    };
    loop {
        let answer = exchange(stream, &request, 13).await.responses.remove(0).partition_responses.remove(0);
        match ErrorCode::from(answer.error_code) {
            ErrorCode::None => break,
            ErrorCode::ConcurrentTransactions => {}
            other => panic!("{id} in epoch {}: {other:?}", producer.1),
        }
    }
    let (producer_id, producer_epoch) = producer;
    let request = m::EndTxnRequest { transactional_id: id.into(), producer_id, producer_epoch, committed: true };
    let ended = exchange(stream, &request, 5).await;
    assert_eq!(ended.error_code, 0, "{id} in epoch {producer_epoch}");
    (ended.producer_id, ended.producer_epoch)
}

/// Creates a topic that no marker is written to until `min.insync.replicas` is 1: its other replica is on a broker that
/// does not run.
async fn topic_with_too_few_in_sync(cluster: &mut Cluster) -> Uuid {
    use m::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
    let described = cluster.ask(&m::DescribeClusterRequest::default(), 1).await;
    let registered = cluster.ask_controller(&registration(&described.cluster_id, 2, 7), 4).await;
    assert_eq!(registered.error_code, 0);
    let topic = CreatableTopic {
        name: "t".into(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1, 2] }],
        configs: vec![CreatableTopicConfig { name: "min.insync.replicas".into(), value: Some("2".into()) }],
    };
    let request = m::CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
    let created = cluster.ask(&request, 7).await.topics.remove(0);
    assert_eq!(created.error_code, 0, "{:?}", created.error_message);
    created.topic_id
}

/// The end of a transaction reaches a partition while the first record of the next one waits for its coordinator.
#[tokio::test]
async fn a_record_that_waits_for_the_end_of_the_transaction_before_is_part_of_the_next() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", &*log_dirs), ("add.partitions.to.txn.retry.backoff.max.ms", "30000")];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let topic = topic_with_too_few_in_sync(&mut cluster).await;
    let find = m::FindCoordinatorRequest { key_type: 1, coordinator_keys: vec![ID.into()], ..Default::default() };
    assert_eq!(cluster.ask(&find, 6).await.coordinators[0].error_code, 0);
    let producer = init(&mut cluster).await.expect("a producer");
    let produced = |producer, acks| m::ProduceRequest {
        transactional_id: Some(ID.into()),
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            topic_id: topic,
            partition_data: vec![PartitionProduceData { index: 0, records: Some(batch(producer, 0)) }],
            ..Default::default()
        }],
    };
    let first = cluster.ask(&produced(producer, 1), 13).await.responses.remove(0).partition_responses.remove(0);
    assert_eq!(first.error_code, 0);
    let (error, next) = end(&mut cluster, producer, true).await;
    assert_eq!(error, ErrorCode::None);
    let mut client = cluster.connect().await;
    let request = produced(next, 1);
    let waiting = task::spawn(async move { exchange(&mut client, &request, 13).await });
    let config = m::incremental_alter_configs_request::AlterableConfig {
        name: "min.insync.replicas".into(),
        config_operation: 0,
        value: Some("1".into()),
    };
    let resource = m::incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![config],
    };
    // Everything runs in one thread: meanwhile the coordinator is asked in vain.
    for _ in 0..100 {
        assert_eq!(ends(&mut cluster).await.1, 0);
    }
    assert!(!waiting.is_finished(), "the transaction before is not complete");
    let request = m::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    assert_eq!(cluster.ask(&request, 1).await.responses[0].error_code, 0);
    let second = waiting.await.expect("an answer").responses.remove(0).partition_responses.remove(0);
    assert_eq!((second.error_code, second.base_offset), (0, 2));
    cluster.stop().await;
}

#[tokio::test]
async fn producers_of_one_partition_do_not_disturb_one_another() {
    const PRODUCERS: usize = 6;
    const TRANSACTIONS: i16 = 12;
    let dir = tempfile::tempdir().expect("a directory");
    // Each coordinator waits for the disk, so that much happens while a partition is being added.
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", &*log_dirs), ("log.flush.interval.messages", "1")];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let topic = cluster.create("t", &[]).await;
    let ids: Vec<String> = (0..PRODUCERS).map(|at| format!("id-{at}")).collect();
    let keys = ids.iter().map(|id| id.as_str().into()).collect();
    let find = m::FindCoordinatorRequest { key_type: 1, coordinator_keys: keys, ..Default::default() };
    assert_eq!(cluster.ask(&find, 6).await.coordinators[0].error_code, 0);
    let mut clients = Vec::new();
    for id in ids {
        let mut stream = cluster.connect().await;
        clients.push(task::spawn(async move {
            let request = m::InitProducerIdRequest {
                transactional_id: Some(id.as_str().into()),
                transaction_timeout_ms: 60_000,
                ..m::InitProducerIdRequest::default()
            };
            let given = exchange(&mut stream, &request, 5).await;
            assert_eq!(given.error_code, 0);
            let mut producer = (given.producer_id, given.producer_epoch);
            for _ in 0..TRANSACTIONS {
                producer = transact(&mut stream, &id, topic, producer).await;
            }
        }));
    }
    for client in clients {
        client.await.expect("a client that is not refused");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_waiting_reader_of_committed_records_is_told_of_the_end_of_a_transaction() {
    use m::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
    let (mut cluster, topic, producer) = begun(&[]).await;
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(producer.0),
        producer_epoch: ProducerEpoch(producer.1),
        base_sequence: 0,
        transactional: true,
        ..BatchOptions::default()
    });
    builder.append(Timestamp(1), None, Some(&[7; 4000]), &[]);
    let records = builder.build().expect("a batch");
    let mut reader = cluster.connect().await;
    let fetched = task::spawn(async move {
        // Less than the records, and far more than a marker.
        let partition = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
        let topics = vec![FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() }];
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: 120_000,
            min_bytes: 2000,
            max_bytes: 1 << 20,
            isolation_level: 1,
            topics,
            ..Default::default()
        };
        exchange(&mut reader, &request, 12).await.responses.remove(0).partitions.remove(0)
    });
    assert_eq!(produce(&mut cluster, topic, 13, records).await, (ErrorCode::None, None));
    // By now it has looked, and found nothing.
    assert_eq!(ends(&mut cluster).await, (1, 0));
    assert_eq!(end(&mut cluster, producer, true).await.0, ErrorCode::None);
    let patience = thalweg_sys::time::Duration::from_secs(60);
    let fetched = thalweg_sys::time::timeout(patience, fetched).await.expect("it does not wait for its time to pass");
    assert_eq!(fetched.expect("an answer").last_stable_offset, 2);
    cluster.stop().await;
}

#[tokio::test]
async fn clients_do_not_add_internal_topics_by_themselves() {
    let (mut cluster, _, producer) = begun(&[]).await;
    let topics = ["__transaction_state", "t"].map(|name| m::add_partitions_to_txn_request::AddPartitionsToTxnTopic {
        name: name.into(),
        partitions: vec![0],
    });
    let request = m::AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.into(),
        v3_and_below_producer_id: producer.0,
        v3_and_below_producer_epoch: producer.1,
        v3_and_below_topics: topics.into(),
        ..m::AddPartitionsToTxnRequest::default()
    };
    let answer = cluster.ask(&request, 3).await.results_by_topic_v3_and_below;
    let errors: Vec<_> =
        answer.iter().map(|topic| ErrorCode::from(topic.results_by_partition[0].partition_error_code)).collect();
    assert_eq!(errors, [ErrorCode::TopicAuthorizationFailed, ErrorCode::OperationNotAttempted]);
    cluster.stop().await;
}

#[tokio::test]
async fn records_do_not_overtake_the_first_ones_of_their_producer() {
    let (mut cluster, topic, producer) = begun(&[]).await;
    let add = m::AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID.into(),
        v3_and_below_producer_id: producer.0,
        v3_and_below_producer_epoch: producer.1,
        v3_and_below_topics: vec![m::add_partitions_to_txn_request::AddPartitionsToTxnTopic {
            name: "t".into(),
            partitions: vec![0],
        }],
        ..m::AddPartitionsToTxnRequest::default()
    };
    // The first one is not verified, and the producer writes it again only after the second.
    assert_eq!(produce(&mut cluster, topic, 11, batch(producer, 0)).await.0, ErrorCode::TransactionAbortable);
    assert_eq!(
        cluster.ask(&add, 3).await.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code,
        0
    );
    assert_eq!(produce(&mut cluster, topic, 11, batch(producer, 1)).await.0, ErrorCode::OutOfOrderSequenceNumber);
    for sequence in [0, 1] {
        assert_eq!(produce(&mut cluster, topic, 11, batch(producer, sequence)).await, (ErrorCode::None, None));
    }
    cluster.stop().await;
}

#[tokio::test]
async fn an_open_transaction_outlives_its_node_and_a_topic_that_is_deleted_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", &*log_dirs)];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let (topic, other) = (cluster.create("t", &[]).await, cluster.create("other", &[]).await);
    let find = m::FindCoordinatorRequest { key_type: 1, coordinator_keys: vec![ID.into()], ..Default::default() };
    assert_eq!(cluster.ask(&find, 6).await.coordinators[0].error_code, 0);
    let producer = init(&mut cluster).await.expect("a producer");
    for topic in [topic, other] {
        assert_eq!(produce(&mut cluster, topic, 13, batch(producer, 0)).await, (ErrorCode::None, None));
    }
    let mut cluster = Cluster::start_in(cluster.stop_only().await, &properties).await;
    assert_eq!(ends(&mut cluster).await, (1, 0));
    assert_eq!(produce(&mut cluster, topic, 13, batch(producer, 1)).await, (ErrorCode::None, None));
    cluster.delete("other").await;
    let again = cluster.create("other", &[]).await;
    let (error, next) = loop {
        // The coordinator may still be loading.
        match end(&mut cluster, producer, true).await {
            (ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator, _) => {}
            other => break other,
        }
    };
    assert_eq!((error, next), (ErrorCode::None, (producer.0, producer.1 + 1)));
    for topic in [topic, again] {
        let answered = loop {
            match produce(&mut cluster, topic, 13, batch(next, 0)).await {
                (ErrorCode::ConcurrentTransactions, _) => {}
                other => break other,
            }
        };
        assert_eq!(answered, (ErrorCode::None, None), "the transaction before is complete");
    }
    assert_eq!(ends(&mut cluster).await, (4, 3));
    cluster.stop().await;
}
