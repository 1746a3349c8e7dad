//! What a token says, and the checks that signed and unsecured tokens share.

use serde_json::{Map, Value};
use thalweg_base::Timestamp;
use thalweg_base::base64::{self, Alphabet};

/// A valid token, as far as authentication needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sasl) struct Token {
    pub(in crate::sasl) principal: String,
    pub(in crate::sasl) expires_at: Timestamp,
}

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidToken {
    /// For the log.
    pub reason: String,
    /// The scope that it lacks, as the client is told.
    pub scope: Option<String>,
}

impl InvalidToken {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), scope: None }
    }

    /// What the client is told (RFC 7628, section 3.2.2), written as Kafka writes it.
    pub(in crate::sasl) fn to_json(&self) -> String {
        match &self.scope {
            None => "{\"status\":\"invalid_token\"}".to_owned(),
            Some(scope) => format!("{{\"status\":\"insufficient_scope\", \"scope\":\"{scope}\"}}"),
        }
    }
}

/// The claims of a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Reads a part of a token: base64url of a JSON object.
    pub(super) fn parse(part: &str) -> Result<Self, InvalidToken> {
        let json = base64::decode(Alphabet::UrlSafe, part)
            .ok_or_else(|| InvalidToken::because("malformed Base64 URL encoded value"))?;
        match serde_json::from_slice(&json) {
            Ok(Value::Object(claims)) => Ok(Self(claims)),
            _ => Err(InvalidToken::because("malformed JSON")),
        }
    }

    /// A claim that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, InvalidToken> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(InvalidToken::because(format!("The {name} claim had the incorrect type"))),
        }
    }

    /// A claim that is a time, in milliseconds; JWTs have seconds, also with fractions.
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<f64>, InvalidToken> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64().map(|seconds| seconds * 1000.0)),
            Some(_) => Err(InvalidToken::because(format!("The {name} claim had the incorrect type"))),
        }
    }

    /// A claim that is a text or a list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, InvalidToken> {
        let wrong = || InvalidToken::because(format!("The {name} claim had the incorrect type"));
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(list)) => list.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// The principal's name.
    pub(super) fn principal(&self, claim: &str) -> Result<String, InvalidToken> {
        let name = self.text(claim)?.map(str::trim).filter(|name| !name.is_empty());
        name.map(str::to_owned).ok_or_else(|| InvalidToken::because(format!("Required claim missing: {claim}")))
    }

    /// Checks `exp`, which must be there, and `iat` and `nbf` if they are.
    pub(super) fn check_times(&self, now: Timestamp, skew_ms: i64) -> Result<Timestamp, InvalidToken> {
        let expires = self.time_ms("exp")?.ok_or_else(|| InvalidToken::because("Required claim missing: exp"))?;
        let issued = self.time_ms("iat")?;
        let (now, skew) = (now.0 as f64, skew_ms as f64);
        if issued.is_some_and(|issued| issued > now + skew) {
            return Err(InvalidToken::because("the token's iat claim is in the future"));
        }
        if self.time_ms("nbf")?.is_some_and(|begins| begins > now + skew) {
            return Err(InvalidToken::because("the token's nbf claim is in the future"));
        }
        if now - skew >= expires {
            return Err(InvalidToken::because("the token has expired"));
        }
        if issued.is_some_and(|issued| expires <= issued) {
            return Err(InvalidToken::because("the token's exp claim is not after its iat claim"));
        }
        // Saturates, as conversions of floating point numbers do.
        Ok(Timestamp(expires.round() as i64))
    }
}
