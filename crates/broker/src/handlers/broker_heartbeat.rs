//! BrokerHeartbeat: a broker tells the controller that it is alive, and what it wants (KIP-631).

use thalweg_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| BrokerHeartbeatResponse {
        error_code: refusal.code.code(),
        ..BrokerHeartbeatResponse::default()
    })
}
