//! AllocateProducerIds: a broker asks the controller for a block of producer ids.

use thalweg_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| AllocateProducerIdsResponse {
        error_code: refusal.code.code(),
        ..AllocateProducerIdsResponse::default()
    })
}
