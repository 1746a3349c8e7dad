//! UnregisterBroker: forgets a broker that will not come back (KIP-631).

use thalweg_base::NodeId;
use thalweg_wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::call::Call;

pub(crate) async fn handle(call: Call, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let id = NodeId(request.broker_id);
    let decided = call.broker.metadata.decide(move |d| d.controller.unregister_broker(d.image, id)).await;
    decided.unwrap_or_else(|refusal| UnregisterBrokerResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..UnregisterBrokerResponse::default()
    })
}
