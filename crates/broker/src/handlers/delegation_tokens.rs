//! Delegation tokens (KIP-48): whoever asks over a connection without authentication is refused, and there are no others
//! yet.

use bytes::Bytes;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};

use crate::call::Call;

const REFUSED: i16 = ErrorCode::DelegationTokenRequestNotAllowed.code();
/// The time of what is not there.
const NO_TIME: i64 = -1;
/// From this version on whoever asks may ask for somebody else (KIP-373).
const REQUESTERS: i16 = 3;
/// Who has not said who they are.
const ANONYMOUS: (&str, &str) = ("User", "ANONYMOUS");

pub(crate) fn create(call: &Call, request: CreateDelegationTokenRequest) -> CreateDelegationTokenResponse {
    let named = request.owner_principal_name.filter(|name| !name.is_empty());
    let (kind, name) = match named {
        Some(name) => (request.owner_principal_type.unwrap_or_default(), name),
        None => (ANONYMOUS.0.into(), ANONYMOUS.1.into()),
    };
    let requester = if call.version >= REQUESTERS { ANONYMOUS } else { ("", "") };
    CreateDelegationTokenResponse {
        error_code: REFUSED,
        principal_type: kind,
        principal_name: name,
        token_requester_principal_type: requester.0.into(),
        token_requester_principal_name: requester.1.into(),
        issue_timestamp_ms: NO_TIME,
        expiry_timestamp_ms: NO_TIME,
        max_timestamp_ms: NO_TIME,
        token_id: "".into(),
        hmac: Bytes::new(),
        throttle_time_ms: 0,
    }
}

pub(crate) fn renew(_: &Call, _: RenewDelegationTokenRequest) -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse { error_code: REFUSED, expiry_timestamp_ms: NO_TIME, throttle_time_ms: 0 }
}

pub(crate) fn expire(_: &Call, _: ExpireDelegationTokenRequest) -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse { error_code: REFUSED, expiry_timestamp_ms: NO_TIME, throttle_time_ms: 0 }
}

pub(crate) fn describe(_: &Call, _: DescribeDelegationTokenRequest) -> DescribeDelegationTokenResponse {
    DescribeDelegationTokenResponse { error_code: REFUSED, ..DescribeDelegationTokenResponse::default() }
}
