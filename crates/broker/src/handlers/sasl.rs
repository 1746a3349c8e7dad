//! SaslHandshake and SaslAuthenticate on a listener where nobody authenticates.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};

use crate::call::Call;

const WRONG_STATE: i16 = ErrorCode::IllegalSaslState.code();

pub(crate) fn handshake(_: &Call, _: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse { error_code: WRONG_STATE, ..SaslHandshakeResponse::default() }
}

pub(crate) fn authenticate(_: &Call, _: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    let text = "SaslAuthenticate request received after successful authentication";
    SaslAuthenticateResponse {
        error_code: WRONG_STATE,
        error_message: Some(text.into()),
        ..SaslAuthenticateResponse::default()
    }
}
