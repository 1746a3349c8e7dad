//! Delegation tokens (KIP-48, KIP-373): asked for by clients that have authenticated with something else than a token.

use thalweg_access::acl::{Operation, Resource, ResourceType};
use thalweg_access::sasl::token_hmac;
use thalweg_access::{Principal, Secret};
use thalweg_controller::Ask;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::DelegationToken;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::describe_delegation_token_response::{
    DescribedDelegationToken, DescribedDelegationTokenRenewer,
};
use thalweg_wire::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};

use super::authorization::Gate;
use super::controller::ask;
use crate::call::Call;
use crate::config::SecurityProtocol;

/// The time of what is not there.
const NO_TIME: i64 = -1;
/// From this version on whoever asks may ask for somebody else (KIP-373).
const REQUESTERS: i16 = 3;

/// Whether the client may ask for tokens at all: it has authenticated, and not with a token. Of a forwarded request the broker
/// has made sure.
fn may_ask(call: &Call) -> bool {
    let protocol = call.broker.config.network.protocols.get(&*call.listener);
    let is_authenticated = match protocol {
        _ if call.origin.is_forwarded => true,
        None | Some(SecurityProtocol::Plaintext) => false,
        Some(SecurityProtocol::Ssl) => !call.identity.principal.is_anonymous(),
        Some(SecurityProtocol::SaslPlaintext | SecurityProtocol::SaslSsl) => true,
    };
    is_authenticated && !call.identity.by_token
}

pub(crate) async fn create(call: Call, request: CreateDelegationTokenRequest) -> CreateDelegationTokenResponse {
    let owner = match request.owner_principal_name.as_ref().filter(|name| !name.is_empty()) {
        Some(name) => {
            let kind = request.owner_principal_type.as_deref().unwrap_or_default();
            Principal { kind: kind.into(), name: (&**name).into() }
        }
        None => call.principal(),
    };
    let refused = |error: ErrorCode| CreateDelegationTokenResponse {
        error_code: error.code(),
        principal_type: (&*owner.kind).into(),
        principal_name: (&*owner.name).into(),
        token_requester_principal_type: (&*call.identity.principal.kind).into(),
        token_requester_principal_name: (&*call.identity.principal.name).into(),
        issue_timestamp_ms: NO_TIME,
        expiry_timestamp_ms: NO_TIME,
        max_timestamp_ms: NO_TIME,
        ..CreateDelegationTokenResponse::default()
    };
    let may_for_others = || {
        let name = owner.to_string();
        let user = Resource { kind: ResourceType::User, name: &name };
        Gate::of(&call).is_none_or(|gate| gate.may(Operation::CreateTokens, user))
    };
    let mut response = if !may_ask(&call) {
        refused(ErrorCode::DelegationTokenRequestNotAllowed)
    } else if owner != call.identity.principal && !may_for_others() {
        refused(ErrorCode::DelegationTokenAuthorizationFailed)
    } else if request.renewers.iter().any(|renewer| &*renewer.principal_type != Principal::USER) {
        refused(ErrorCode::InvalidPrincipalType)
    } else {
        ask(&call, request).await.unwrap_or_else(|refusal| refused(refusal.code))
    };
    if call.version < REQUESTERS {
        response.token_requester_principal_type = Default::default();
        response.token_requester_principal_name = Default::default();
    }
    response
}

pub(crate) async fn renew(call: Call, request: RenewDelegationTokenRequest) -> RenewDelegationTokenResponse {
    forward(&call, request, |error| RenewDelegationTokenResponse {
        error_code: error.code(),
        expiry_timestamp_ms: NO_TIME,
        throttle_time_ms: 0,
    })
    .await
}

pub(crate) async fn expire(call: Call, request: ExpireDelegationTokenRequest) -> ExpireDelegationTokenResponse {
    forward(&call, request, |error| ExpireDelegationTokenResponse {
        error_code: error.code(),
        expiry_timestamp_ms: NO_TIME,
        throttle_time_ms: 0,
    })
    .await
}

/// Has the controller answer a client that may ask for tokens.
async fn forward<Q: Ask>(call: &Call, request: Q, refused: impl Fn(ErrorCode) -> Q::Response) -> Q::Response {
    if !may_ask(call) {
        return refused(ErrorCode::DelegationTokenRequestNotAllowed);
    }
    ask(call, request).await.unwrap_or_else(|refusal| refused(refusal.code))
}

pub(crate) fn describe(call: &Call, request: DescribeDelegationTokenRequest) -> DescribeDelegationTokenResponse {
    let refused = |error: ErrorCode| DescribeDelegationTokenResponse {
        error_code: error.code(),
        ..DescribeDelegationTokenResponse::default()
    };
    if !may_ask(call) {
        return refused(ErrorCode::DelegationTokenRequestNotAllowed);
    }
    let Some(secret) = &call.broker.config.access.tokens.secret else {
        return refused(ErrorCode::DelegationTokenAuthDisabled);
    };
    let owners: Option<Vec<String>> = request.owners.map(|owners| {
        owners.iter().map(|owner| format!("{}:{}", owner.principal_type, owner.principal_name)).collect()
    });
    let image = call.broker.image();
    let tokens = visible(call, &image, owners.as_deref());
    let described = tokens.filter_map(|(id, token)| described(call, secret, id, token));
    DescribeDelegationTokenResponse { tokens: described.collect(), ..DescribeDelegationTokenResponse::default() }
}

/// Whether a token is a principal's own: it owns it, has asked for it, or may prolong it.
fn is_own(token: &DelegationToken, principal: &str) -> bool {
    [&token.owner, &token.requester].into_iter().chain(&token.renewers).any(|own| **own == *principal)
}

/// The tokens that the client may see, of those that belong to `owners`: its own, those that it may prolong, and those that
/// ACLs show it.
fn visible<'a>(
    call: &'a Call,
    image: &'a MetadataImage,
    owners: Option<&'a [String]>,
) -> impl Iterator<Item = (&'a str, &'a DelegationToken)> {
    let (gate, asker) = (Gate::of(call), call.identity.principal.to_string());
    image.delegation_tokens().iter().map(|(id, token)| (&**id, &**token)).filter(move |(id, token)| {
        if owners.is_some_and(|owners| !owners.iter().any(|owner| is_own(token, owner))) {
            return false;
        }
        is_own(token, &asker)
            || gate.as_ref().is_none_or(|gate| {
                gate.may(Operation::Describe, Resource { kind: ResourceType::DelegationToken, name: id })
                    || gate.may(Operation::DescribeTokens, Resource { kind: ResourceType::User, name: &token.owner })
            })
    })
}

fn described(call: &Call, secret: &Secret, id: &str, token: &DelegationToken) -> Option<DescribedDelegationToken> {
    let owner: Principal = token.owner.parse().ok()?;
    let requester: Principal = token.requester.parse().ok()?;
    let renewer = |text: &str| {
        let Principal { kind, name } = text.parse().ok()?;
        Some(DescribedDelegationTokenRenewer { principal_type: (&*kind).into(), principal_name: (&*name).into() })
    };
    let with_requester = call.version >= REQUESTERS;
    let shown = |text: &str| if with_requester { text.into() } else { Default::default() };
    Some(DescribedDelegationToken {
        principal_type: (&*owner.kind).into(),
        principal_name: (&*owner.name).into(),
        token_requester_principal_type: shown(&requester.kind),
        token_requester_principal_name: shown(&requester.name),
        issue_timestamp: token.issue_timestamp.0,
        expiry_timestamp: token.expiration_timestamp.0,
        max_timestamp: token.max_timestamp.0,
        token_id: id.into(),
        hmac: token_hmac(secret, id).ok()?.into(),
        renewers: token.renewers.iter().filter_map(|text| renewer(text)).collect(),
    })
}
