//! BrokerRegistration: a broker asks the controller to take it in (KIP-631).

use thalweg_wire::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse};

use crate::call::Call;
use crate::drivers::presence;

pub(crate) async fn handle(call: Call, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    let version = call.version;
    let decided = call.broker.metadata.decide(move |d| presence::register(d, &request, version)).await;
    decided.unwrap_or_else(|refusal| BrokerRegistrationResponse {
        error_code: refusal.code.code(),
        ..BrokerRegistrationResponse::default()
    })
}
