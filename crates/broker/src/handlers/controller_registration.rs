//! ControllerRegistration: a controller tells the active one where it listens and what it supports (KIP-919).

use thalweg_wire::messages::{ControllerRegistrationRequest, ControllerRegistrationResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: ControllerRegistrationRequest) -> ControllerRegistrationResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| ControllerRegistrationResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..ControllerRegistrationResponse::default()
    })
}
