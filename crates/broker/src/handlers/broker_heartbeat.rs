//! BrokerHeartbeat: a broker tells the controller that it is alive, and what it wants (KIP-631).

use thalweg_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use crate::call::Call;
use crate::drivers::presence;

pub(crate) async fn handle(call: Call, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let decided = call.broker.metadata.decide(move |d| presence::heartbeat(d, &request)).await;
    decided.unwrap_or_else(|refusal| BrokerHeartbeatResponse {
        error_code: refusal.code.code(),
        ..BrokerHeartbeatResponse::default()
    })
}
