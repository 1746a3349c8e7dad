//! AllocateProducerIds: a broker asks the controller for a block of producer ids.

use thalweg_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use crate::call::Call;

pub(crate) async fn handle(call: Call, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
    let decided = call.broker.metadata.decide(move |d| d.controller.allocate_producer_ids(d.image, &request)).await;
    decided.unwrap_or_else(|refusal| AllocateProducerIdsResponse {
        error_code: refusal.code.code(),
        ..AllocateProducerIdsResponse::default()
    })
}
