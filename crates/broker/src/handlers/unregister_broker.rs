//! UnregisterBroker: forgets a broker that will not come back (KIP-631).

use thalweg_wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| UnregisterBrokerResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..UnregisterBrokerResponse::default()
    })
}
