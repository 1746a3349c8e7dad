//! BrokerHeartbeat: a broker tells the controller that it is alive, and what it wants (KIP-631).

use thalweg_base::NodeId;
use thalweg_client::SOFTWARE_NAME;
use thalweg_network::ListenerType;
use thalweg_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse {
    let broker = NodeId(request.broker_id);
    let decided = ask(&call, request).await;
    if decided.is_ok() && call.listener_type == ListenerType::Controller && &*call.origin.software().0 == SOFTWARE_NAME
    {
        call.broker.reports.heard(broker, call.origin.id);
    }
    decided.unwrap_or_else(|refusal| BrokerHeartbeatResponse {
        error_code: refusal.code.code(),
        ..BrokerHeartbeatResponse::default()
    })
}
