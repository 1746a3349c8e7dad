//! OAUTHBEARER (RFC 7628): a client brings a token, a JWT (RFC 7519).

pub(super) mod claims;
mod signed;
mod unsecured;

use std::sync::Arc;

use thalweg_base::Timestamp;

pub use self::signed::SignedTokens;
pub use self::unsecured::{UnsecuredTokens, unsecured_token};

use self::claims::{InvalidToken, Token};
use super::{Authenticated, SaslFailure, Step};
use crate::Principal;

/// Separates the parts of a client's message.
const SEPARATOR: char = '\u{1}';

/// How a listener checks tokens.
#[derive(Clone, Debug)]
pub enum TokenValidator {
    /// Unsigned tokens, for tests: anybody can make one (Kafka's default validator).
    Unsecured(UnsecuredTokens),
    /// Tokens that an identity provider signed.
    Signed(SignedTokens),
}

impl TokenValidator {
    fn validate(&self, token: &str, now: Timestamp) -> Result<Token, InvalidToken> {
        match self {
            Self::Unsecured(tokens) => tokens.validate(token, now),
            Self::Signed(tokens) => tokens.validate(token, now),
        }
    }
}

/// The server's side of an exchange.
///
/// A client with a bad token is first sent the reason as JSON, and refused when it has answered that (section 3.2.3).
#[derive(Debug)]
pub(super) struct OAuthBearerServer {
    validator: Arc<TokenValidator>,
    error: Option<String>,
}

impl OAuthBearerServer {
    pub(super) fn new(validator: Arc<TokenValidator>) -> Self {
        Self { validator, error: None }
    }

    pub(super) fn respond(&mut self, message: &[u8], now: Timestamp) -> Result<Step, SaslFailure> {
        if let Some(error) = self.error.take()
            && message == [1]
        {
            return Err(SaslFailure::Told(error));
        }
        let first = ClientFirst::parse(message)
            .ok_or_else(|| SaslFailure::Hidden("Invalid OAUTHBEARER client first message".to_owned()))?;
        let token = match self.validator.validate(&first.token, now) {
            Ok(token) => token,
            Err(invalid) => {
                let error = invalid.to_json();
                self.error = Some(error.clone());
                return Ok(Step::challenge(error.into_bytes()));
            }
        };
        if first.authorization_id.as_ref().is_some_and(|id| *id != token.principal) {
            return Err(SaslFailure::Told(format!(
                "Authentication failed: Client requested an authorization id ({}) that is different from the token's \
                 principal name ({})",
                first.authorization_id.unwrap_or_default(),
                token.principal
            )));
        }
        let authenticated = Authenticated {
            principal: Principal::user(token.principal),
            by_token: false,
            expires_at: Some(token.expires_at),
        };
        Ok(Step { challenge: Vec::new(), authenticated: Some(authenticated) })
    }
}

/// The token of a client's first message, if it has one.
#[must_use]
pub fn bearer_token(message: &[u8]) -> Option<String> {
    ClientFirst::parse(message).map(|first| first.token)
}

/// `n,[a=AUTHZID],^Aauth=Bearer TOKEN^A[KEY=VALUE^A]...^A`
struct ClientFirst {
    authorization_id: Option<String>,
    token: String,
}

impl ClientFirst {
    fn parse(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?.strip_prefix("n,")?;
        let (authorization_id, text) = text.split_once(',')?;
        let authorization_id = match authorization_id.strip_prefix("a=") {
            Some(id) => Some(sasl_name(id)?.to_owned()),
            None if authorization_id.is_empty() => None,
            None => return None,
        };
        let pairs = text.strip_prefix(SEPARATOR)?.strip_suffix(SEPARATOR)?;
        let mut auth = None;
        // Each pair ends with a separator.
        for pair in pairs.split_terminator(SEPARATOR) {
            let (key, value) = pair.split_once('=')?;
            let valid_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphabetic());
            let valid_value = !value.is_empty() && value.bytes().all(is_value_byte);
            (valid_key && valid_value).then_some(())?;
            if key == "auth" {
                auth = Some(value);
            }
        }
        let (scheme, token) = auth.filter(|_| pairs.ends_with(SEPARATOR))?.split_once(' ')?;
        let token = token.trim_start_matches(' ');
        let body = token.trim_end_matches('=');
        let valid = !body.is_empty() && body.bytes().all(is_token_byte);
        (valid && scheme.eq_ignore_ascii_case("bearer")).then(|| Self { authorization_id, token: token.to_owned() })
    }
}

/// A name with its escapes, which Kafka compares as they are.
fn sasl_name(text: &str) -> Option<&str> {
    let unescaped = text.replace("=2C", "").replace("=3D", "");
    let valid = unescaped.bytes().all(|byte| (1..=0x7f).contains(&byte) && byte != b'=');
    (valid && !text.is_empty()).then_some(text)
}

fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'+' | b'/' | b'.')
}

/// The first message of a client.
pub(super) fn client_message(token: &str) -> Vec<u8> {
    format!("n,,{SEPARATOR}auth=Bearer {token}{SEPARATOR}{SEPARATOR}").into_bytes()
}
