//! AddOffsetsToTxn: a transaction will commit offsets of a group.

use std::collections::BTreeSet;

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_metadata::topic_name::CONSUMER_OFFSETS;
use thalweg_transactions::{Answer, Partitions, Producer, Request};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::transactions::for_version;
use crate::call::Call;
use crate::drivers::transactions::answered;

/// From this version on clients know that producers are fenced (KIP-588).
const FENCED: i16 = 2;

pub(crate) async fn handle(call: Call, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let index = call.broker.groups.partition_of(&request.group_id);
    let asked = Request::AddPartitions {
        transactional_id: request.transactional_id.clone(),
        producer: Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) },
        partitions: Partitions::from([(CONSUMER_OFFSETS.into(), BTreeSet::from([index]))]),
        // Clients that know more add the partition by the way.
        client_version: 0,
    };
    let error = match answered(call.broker.transactions.ask(&request.transactional_id, asked)).await {
        Ok(Answer::Added(Ok(()))) => ErrorCode::None,
        Ok(Answer::Added(Err(error))) | Err(error) => error,
        Ok(_) => ErrorCode::UnknownServerError,
    };
    let error_code = for_version(error, call.version, FENCED).code();
    AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() }
}
