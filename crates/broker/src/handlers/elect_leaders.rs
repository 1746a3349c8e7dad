//! ElectLeaders: has preferred, or any, replicas take the lead (KIP-460).

use thalweg_wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::dispatch::Call;

pub(crate) async fn handle(call: Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let version = call.version;
    let decided = call.broker.metadata.decide(move |d| d.controller.elect_leaders(d.image, &request)).await;
    decided.unwrap_or_else(|refusal| ElectLeadersResponse {
        error_code: if version >= 1 { refusal.code.code() } else { 0 },
        ..ElectLeadersResponse::default()
    })
}
