//! Delegation tokens (KIP-48, KIP-373): how they are issued, prolonged and ended.
//!
//! The HMAC of a token, which is its password, stands nowhere: it is computed of the token's id with a secret that all nodes
//! have.

use std::fmt;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Timestamp;
use thalweg_metadata::image::DelegationToken;
use thalweg_metadata::scram::Mechanism;
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DelegationTokenRecord, ExpireDelegationTokenRequest,
    ExpireDelegationTokenResponse, RemoveDelegationTokenRecord, RenewDelegationTokenRequest,
    RenewDelegationTokenResponse,
};

use crate::random::{Random, uuid};
use crate::{Controller, Outcome, Principal};

/// So many expired tokens are removed at once; the rest follows at the next look.
const REMOVED_MAX: usize = 1000;

/// What tokens are made with.
#[derive(Clone, Default)]
pub struct TokenSettings {
    /// `delegation.token.secret.key`; without it there are no tokens.
    pub secret: Option<Arc<str>>,
    /// `delegation.token.max.lifetime.ms`
    pub lifetime_max_ms: i64,
    /// `delegation.token.expiry.time.ms`
    pub renewal_ms: i64,
}

impl fmt::Debug for TokenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lifetime_max_ms, renewal_ms, .. } = self;
        write!(f, "TokenSettings({lifetime_max_ms} ms, {renewal_ms} ms)")
    }
}

impl TokenSettings {
    /// The HMAC of a token.
    fn hmac(&self, token_id: &str) -> Option<Vec<u8>> {
        Mechanism::Sha512.hmac(self.secret.as_ref()?.as_bytes(), token_id.as_bytes()).ok()
    }
}

impl Controller {
    /// Issues a token for whoever asks, or for the owner that is named: whether that is allowed was looked at before.
    #[must_use]
    pub fn create_delegation_token(
        &self,
        image: &MetadataImage,
        random: Random<'_>,
        requester: &Principal,
        now: Timestamp,
        request: &CreateDelegationTokenRequest,
    ) -> Outcome<CreateDelegationTokenResponse> {
        let owner = owner(requester, request);
        let refused = |error: ErrorCode| {
            Outcome::unchanged(CreateDelegationTokenResponse {
                error_code: error.code(),
                principal_type: owner.kind.clone(),
                principal_name: owner.name.clone(),
                token_requester_principal_type: requester.kind.clone(),
                token_requester_principal_name: requester.name.clone(),
                ..CreateDelegationTokenResponse::default()
            })
        };
        if let Err(error) = self.check_tokens(image) {
            return refused(error);
        }
        if request.renewers.iter().any(|renewer| &*renewer.principal_type != "User") {
            return refused(ErrorCode::InvalidPrincipalType);
        }
        let settings = &self.settings().tokens;
        let token_id: ByteString = uuid(random).to_string().into();
        let Some(hmac) = settings.hmac(&token_id) else { return refused(ErrorCode::UnknownServerError) };
        let lifetime = within(settings.lifetime_max_ms, request.max_lifetime_ms);
        let max_timestamp = now.0.saturating_add(lifetime);
        let expiration_timestamp = max_timestamp.min(now.0.saturating_add(settings.renewal_ms));
        let renewers = request.renewers.iter();
        let record = DelegationTokenRecord {
            owner: text(&owner),
            requester: text(requester),
            renewers: renewers.map(|r| format!("{}:{}", r.principal_type, r.principal_name).into()).collect(),
            issue_timestamp: now.0,
            max_timestamp,
            expiration_timestamp,
            token_id: token_id.clone(),
        };
        let response = CreateDelegationTokenResponse {
            issue_timestamp_ms: now.0,
            expiry_timestamp_ms: expiration_timestamp,
            max_timestamp_ms: max_timestamp,
            token_id,
            hmac: hmac.into(),
            ..refused(ErrorCode::None).response
        };
        Outcome { records: vec![record.into()], response }
    }

    /// Prolongs a token, at most to the end of its lifetime.
    #[must_use]
    pub fn renew_delegation_token(
        &self,
        image: &MetadataImage,
        asker: &Principal,
        now: Timestamp,
        request: &RenewDelegationTokenRequest,
    ) -> Outcome<RenewDelegationTokenResponse> {
        let renewed = || {
            let (id, token) = self.find_token(image, &request.hmac)?;
            if is_over(token, now) {
                return Err(ErrorCode::DelegationTokenExpired);
            }
            check_renewer(token, asker)?;
            let period = within(self.settings().tokens.renewal_ms, request.renew_period_ms);
            let expires = token.max_timestamp.0.min(now.0.saturating_add(period));
            Ok((expires, record(id, token, expires)))
        };
        match renewed() {
            Ok((expiry_timestamp_ms, record)) => {
                let response = RenewDelegationTokenResponse { expiry_timestamp_ms, ..Default::default() };
                Outcome { records: vec![record], response }
            }
            Err(error) => {
                Outcome::unchanged(RenewDelegationTokenResponse { error_code: error.code(), ..Default::default() })
            }
        }
    }

    /// Ends a token at once, or earlier or later than it would end.
    #[must_use]
    pub fn expire_delegation_token(
        &self,
        image: &MetadataImage,
        asker: &Principal,
        now: Timestamp,
        request: &ExpireDelegationTokenRequest,
    ) -> Outcome<ExpireDelegationTokenResponse> {
        let expired = || {
            let (id, token) = self.find_token(image, &request.hmac)?;
            check_renewer(token, asker)?;
            if request.expiry_time_period_ms < 0 {
                return Ok((now.0, MetadataRecord::from(RemoveDelegationTokenRecord { token_id: (&**id).into() })));
            }
            if is_over(token, now) {
                return Err(ErrorCode::DelegationTokenExpired);
            }
            let expires = token.max_timestamp.0.min(now.0.saturating_add(request.expiry_time_period_ms));
            Ok((expires, record(id, token, expires)))
        };
        match expired() {
            Ok((expiry_timestamp_ms, record)) => {
                let response = ExpireDelegationTokenResponse { expiry_timestamp_ms, ..Default::default() };
                Outcome { records: vec![record], response }
            }
            Err(error) => {
                Outcome::unchanged(ExpireDelegationTokenResponse { error_code: error.code(), ..Default::default() })
            }
        }
    }

    /// Removes tokens that have ended.
    #[must_use]
    pub fn remove_expired_tokens(&self, image: &MetadataImage, now: Timestamp) -> Vec<MetadataRecord> {
        let expired = image.delegation_tokens().iter().filter(|(_, token)| is_over(token, now));
        expired
            .take(REMOVED_MAX)
            .map(|(id, _)| RemoveDelegationTokenRecord { token_id: (&**id).into() }.into())
            .collect()
    }

    fn check_tokens(&self, image: &MetadataImage) -> Result<(), ErrorCode> {
        if self.settings().tokens.secret.is_none() {
            return Err(ErrorCode::DelegationTokenAuthDisabled);
        }
        match image.metadata_version() < MetadataVersion::DELEGATION_TOKENS {
            true => Err(ErrorCode::UnsupportedVersion),
            false => Ok(()),
        }
    }

    /// The token with that HMAC.
    fn find_token<'a>(
        &self,
        image: &'a MetadataImage,
        hmac: &[u8],
    ) -> Result<(&'a Arc<str>, &'a Arc<DelegationToken>), ErrorCode> {
        self.check_tokens(image)?;
        let settings = &self.settings().tokens;
        let mut tokens = image.delegation_tokens().iter();
        // Whoever knows an HMAC has the token: how long the search takes tells nothing about others.
        let found = tokens.find(|(id, _)| settings.hmac(id).is_some_and(|own| own == hmac));
        found.ok_or(ErrorCode::DelegationTokenNotFound)
    }
}

fn owner(requester: &Principal, request: &CreateDelegationTokenRequest) -> Principal {
    match request.owner_principal_name.as_ref().filter(|name| !name.is_empty()) {
        Some(name) => Principal { kind: request.owner_principal_type.clone().unwrap_or_default(), name: name.clone() },
        None => requester.clone(),
    }
}

fn text(principal: &Principal) -> ByteString {
    format!("{}:{}", principal.kind, principal.name).into()
}

/// What is asked for, but no more than the limit; 0 and less ask for the limit.
fn within(limit: i64, asked: i64) -> i64 {
    if asked > 0 { asked.min(limit) } else { limit }
}

fn is_over(token: &DelegationToken, now: Timestamp) -> bool {
    token.max_timestamp < now || token.expiration_timestamp < now
}

fn check_renewer(token: &DelegationToken, asker: &Principal) -> Result<(), ErrorCode> {
    let asker = text(asker);
    let may = *token.owner == *asker || token.renewers.iter().any(|renewer| **renewer == *asker);
    if may { Ok(()) } else { Err(ErrorCode::DelegationTokenOwnerMismatch) }
}

fn record(id: &str, token: &DelegationToken, expiration_timestamp: i64) -> MetadataRecord {
    DelegationTokenRecord {
        owner: (&*token.owner).into(),
        requester: (&*token.requester).into(),
        renewers: token.renewers.iter().map(|renewer| (&**renewer).into()).collect(),
        issue_timestamp: token.issue_timestamp.0,
        max_timestamp: token.max_timestamp.0,
        expiration_timestamp,
        token_id: id.into(),
    }
    .into()
}

#[cfg(test)]
mod tests;
