//! InitProducerId: an id for an idempotent producer (KIP-98), or who a transactional one is from now on.

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_transactions::{Producer, Request};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::transactions::{for_version, producer};
use crate::call::Call;

/// From this version on clients know that producers are fenced (KIP-588).
const FENCED: i16 = 4;

pub(crate) async fn handle(call: Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match initialized(&call, request).await {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id.0,
            producer_epoch: producer.epoch.0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: for_version(error, call.version, FENCED).code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    }
}

async fn initialized(call: &Call, request: InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let expected = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => return Err(ErrorCode::InvalidRequest),
        (id, epoch) => Some(Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }),
    };
    let Some(transactional_id) = request.transactional_id else {
        // A producer that has an id and asks again, after an error, gets another one: its old sequences end with it.
        let id = call.broker.producer_ids.next(&call.broker.metadata).await?;
        return Ok(Producer { id, epoch: ProducerEpoch(0) });
    };
    // No coordinator keeps a transaction without a name: that is said wherever it would be.
    if transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let ask = |fresh| Request::InitProducerId {
        transactional_id: transactional_id.clone(),
        timeout_ms: request.transaction_timeout_ms,
        two_phase: request.enable2_pc,
        keep_prepared: request.keep_prepared_txn,
        expected,
        fresh,
    };
    producer(call, &transactional_id, ask).await
}
