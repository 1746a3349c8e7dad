//! InitProducerId: an id for an idempotent producer (KIP-98).

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::dispatch::Call;

pub(crate) async fn handle(call: Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refuse = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if let Some(id) = &request.transactional_id {
        // There is no transaction coordinator yet; an empty id is invalid in any case.
        return refuse(if id.is_empty() { ErrorCode::InvalidRequest } else { ErrorCode::CoordinatorNotAvailable });
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refuse(ErrorCode::InvalidRequest);
    }
    // A producer that has an id and asks again, after an error, gets another one: its old sequences end with it.
    match call.broker.producer_ids.next(&call.broker.metadata).await {
        Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..InitProducerIdResponse::default() },
        Err(error) => refuse(error),
    }
}
