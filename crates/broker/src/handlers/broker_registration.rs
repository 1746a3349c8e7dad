//! BrokerRegistration: a broker asks the controller to take it in (KIP-631).

use thalweg_wire::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| BrokerRegistrationResponse {
        error_code: refusal.code.code(),
        ..BrokerRegistrationResponse::default()
    })
}
