//! AddPartitionsToTxn: what a transaction will write to. Brokers ask for several transactions at once, or whether partitions
//! were added (KIP-890).

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_metadata::{MetadataImage, topic_name};
use thalweg_transactions::{Answer, Partitions, Producer, Request};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use thalweg_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopicResult,
};

use super::transactions::for_version;
use crate::call::Call;
use crate::drivers::transactions::answered;

/// From this version on clients know that producers are fenced (KIP-588).
const FENCED: i16 = 2;
/// From this version on brokers ask, for several transactions.
const BATCHED: i16 = 4;

pub(crate) async fn handle(call: Call, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if call.version < BATCHED {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        let results_by_topic_v3_and_below = added(&call, &transaction).await;
        return AddPartitionsToTxnResponse { results_by_topic_v3_and_below, ..AddPartitionsToTxnResponse::default() };
    }
    let mut results_by_transaction = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let topic_results = added(&call, &transaction).await;
        let transactional_id = transaction.transactional_id;
        results_by_transaction.push(AddPartitionsToTxnResult { transactional_id, topic_results });
    }
    AddPartitionsToTxnResponse { results_by_transaction, ..AddPartitionsToTxnResponse::default() }
}

async fn added(call: &Call, transaction: &AddPartitionsToTxnTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
    let (topics, image) = (&transaction.topics, call.broker.image());
    let unfit = |topic: &str, index| match exists(&image, topic, index) {
        // Markers would be written into what belongs to the coordinators.
        _ if call.version < BATCHED && topic_name::is_internal(topic) => Some(ErrorCode::TopicAuthorizationFailed),
        true => None,
        false => Some(ErrorCode::UnknownTopicOrPartition),
    };
    if topics.iter().any(|topic| topic.partitions.iter().any(|index| unfit(&topic.name, *index).is_some())) {
        // All or nothing.
        return results(topics, |topic, index| unfit(topic, index).unwrap_or(ErrorCode::OperationNotAttempted));
    }
    let mut partitions = Partitions::new();
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        partitions.entry(Box::from(&*topic.name)).or_default().extend(&topic.partitions);
    }
    let transactional_id = transaction.transactional_id.clone();
    let producer =
        Producer { id: ProducerId(transaction.producer_id), epoch: ProducerEpoch(transaction.producer_epoch) };
    let client_version = if call.version >= BATCHED { 2 } else { 0 };
    let asked = match transaction.verify_only {
        true => Request::VerifyPartitions { transactional_id, producer, partitions },
        false => Request::AddPartitions { transactional_id, producer, partitions, client_version },
    };
    match answered(call.broker.transactions.ask(&transaction.transactional_id, asked)).await {
        Ok(Answer::Added(Ok(()))) => results(topics, |_, _| ErrorCode::None),
        Ok(Answer::Verified(Ok(missing))) => results(topics, |topic, index| {
            let is_missing = missing.get(topic).is_some_and(|indexes| indexes.contains(&index));
            if is_missing { ErrorCode::TransactionAbortable } else { ErrorCode::None }
        }),
        Ok(Answer::Added(Err(error)) | Answer::Verified(Err(error))) | Err(error) => {
            let error = for_version(error, call.version, FENCED);
            results(topics, |_, _| error)
        }
        Ok(_) => results(topics, |_, _| ErrorCode::UnknownServerError),
    }
}

fn exists(image: &MetadataImage, topic: &str, index: i32) -> bool {
    image.topics().by_name(topic).is_some_and(|topic| topic.partition(index).is_some())
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&str, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topic = |topic: &AddPartitionsToTxnTopic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic
            .partitions
            .iter()
            .map(|&partition_index| AddPartitionsToTxnPartitionResult {
                partition_index,
                partition_error_code: error(&topic.name, partition_index).code(),
            })
            .collect(),
    };
    topics.iter().filter(|topic| !topic.partitions.is_empty()).map(topic).collect()
}
