//! TxnOffsetCommit: how far a group has read, once a transaction is committed.

use std::collections::BTreeSet;

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_coordinator::refused_write;
use thalweg_groups::{Answer, Request};
use thalweg_metadata::topic_name::CONSUMER_OFFSETS;
use thalweg_replica::TopicRef;
use thalweg_transactions::{Partitions, Producer};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::txn_offset_commit_request::{TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic};
use thalweg_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use super::groups::caller;
use super::transactions::Membership;
use crate::call::Call;
use crate::drivers::groups::{Asked, Outcome};
use crate::drivers::guard::Guard;
use crate::drivers::transactions::answered;

/// From this version on clients understand that they have to abort, and after it the group's partition is added by the way.
const ABORTABLE: i16 = 4;
/// From this version on clients wait while a coordinator is loading (KAFKA-7296).
const WAITS_FOR_LOAD: i16 = 2;

pub(crate) async fn handle(call: Call, mut request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let image = call.broker.image();
    let mut response = TxnOffsetCommitResponse::default();
    let mut known = Vec::with_capacity(request.topics.len());
    for mut topic in std::mem::take(&mut request.topics) {
        let found = image.topics().by_name(&topic.name);
        let exists = |index| found.is_some_and(|found| found.partition(index).is_some());
        let (valid, unknown) =
            std::mem::take(&mut topic.partitions).into_iter().partition(|p| exists(p.partition_index));
        topic.partitions = unknown;
        add(&mut response, &topic, ErrorCode::UnknownTopicOrPartition);
        topic.partitions = valid;
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    if known.is_empty() {
        return response;
    }
    request.topics.clone_from(&known);
    match commit(&call, request).await {
        Ok(Answer::TxnOffsetCommit(committed)) => {
            for topic in committed.topics {
                match response.topics.iter_mut().find(|refused| refused.name == topic.name) {
                    Some(refused) => refused.partitions.extend(topic.partitions),
                    None => response.topics.push(topic),
                }
            }
        }
        Ok(_) => known.iter().for_each(|topic| add(&mut response, topic, ErrorCode::UnknownServerError)),
        Err(ErrorCode::CoordinatorLoadInProgress) if call.version < WAITS_FOR_LOAD => {
            known.iter().for_each(|topic| add(&mut response, topic, ErrorCode::CoordinatorNotAvailable));
        }
        Err(error) => known.iter().for_each(|topic| add(&mut response, topic, error)),
    }
    response
}

/// Asks the transaction's coordinator and then the group's.
async fn commit(call: &Call, request: TxnOffsetCommitRequest) -> Outcome {
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let producer = Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) };
    let guard = verify(call, &request, producer).await?;
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask_in_transaction(
        &group,
        (producer.id, producer.epoch, guard),
        &caller(call),
        Request::TxnOffsetCommit(request),
    );
    match asked {
        Asked::Now(outcome) => outcome,
        Asked::Later(receiver) => receiver.await.unwrap_or(Err(ErrorCode::NotCoordinator)),
    }
}

/// By what right the offsets are written.
async fn verify(call: &Call, request: &TxnOffsetCommitRequest, producer: Producer) -> Result<Guard, ErrorCode> {
    let index = call.broker.groups.partition_of(&request.group_id);
    let place = call.broker.partitions.find(TopicRef::Name(CONSUMER_OFFSETS), index).map_err(refused_write)?;
    let membership = Membership::of(call.version, ABORTABLE);
    if membership != Membership::Added && !call.broker.partitions.verifies_transactions() {
        return Ok(Guard::Unchecked);
    }
    let Some(guard) = place.begin_verification(producer.id, producer.epoch, None).map_err(refused_write)? else {
        return Ok(Guard::Open);
    };
    let partitions = Partitions::from([(CONSUMER_OFFSETS.into(), BTreeSet::from([index]))]);
    let asked = membership.ask(&call.broker.transactions, &request.transactional_id, producer, partitions);
    match membership.missing(answered(asked).await) {
        Ok((missing, _)) if missing.is_empty() => Ok(guard),
        Ok((_, error)) | Err(error) => Err(refused_write(error)),
    }
}

fn add(response: &mut TxnOffsetCommitResponse, topic: &TxnOffsetCommitRequestTopic, error: ErrorCode) {
    if topic.partitions.is_empty() {
        return;
    }
    let partition = |partition_index| TxnOffsetCommitResponsePartition { partition_index, error_code: error.code() };
    let partitions = topic.partitions.iter().map(|p| partition(p.partition_index)).collect();
    response.topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions });
}
