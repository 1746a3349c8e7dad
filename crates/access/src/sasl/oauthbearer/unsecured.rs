//! Unsecured JWTs (RFC 7515, appendix A.5), as Kafka's validator for tests takes them.

use serde_json::{Map, Value};
use thalweg_base::{Timestamp, base64};

use super::claims::{Claims, InvalidToken, Token};
use crate::Secret;
use crate::jaas::LoginModule;

/// How long a token lasts that a client makes for itself, in seconds, unless it says something else.
const LIFETIME_DEFAULT_SECONDS: i64 = 3600;

/// The token that a client makes for itself by the options `unsecuredLogin...` of its login module, as Kafka's clients do for
/// tests: nobody has signed it.
///
/// # Errors
/// When the options make no token.
pub fn unsecured_token(module: &LoginModule, now: Timestamp) -> Result<Secret, String> {
    let mut claims = Map::new();
    let seconds = match module.option("unsecuredLoginLifetimeSeconds") {
        None => LIFETIME_DEFAULT_SECONDS,
        Some(text) => text.trim().parse().map_err(|_| format!("unsecuredLoginLifetimeSeconds is no number: {text}"))?,
    };
    let issued = now.0 / 1000;
    claims.insert("iat".to_owned(), issued.into());
    claims.insert("exp".to_owned(), issued.saturating_add(seconds).into());
    for (name, value) in &module.options {
        if let Some(claim) = name.strip_prefix("unsecuredLoginStringClaim_") {
            claims.insert(claim.to_owned(), value.reveal().into());
        } else if let Some(claim) = name.strip_prefix("unsecuredLoginNumberClaim_") {
            let number: f64 = value.reveal().trim().parse().map_err(|_| format!("{name} is no number"))?;
            claims.insert(claim.to_owned(), number.into());
        } else if let Some(claim) = name.strip_prefix("unsecuredLoginListClaim_") {
            claims.insert(claim.to_owned(), list(value.reveal()).into());
        }
    }
    let principal = module.option("unsecuredLoginPrincipalClaimName").unwrap_or("sub");
    if !claims.contains_key(principal) {
        return Err(format!("it has no unsecuredLoginStringClaim_{principal}"));
    }
    let encode = |json: &str| url_safe(&base64::encode(json.as_bytes()));
    Ok(Secret::new(format!("{}.{}.", encode("{\"alg\":\"none\"}"), encode(&Value::Object(claims).to_string()))))
}

/// A list, whose first character separates the others.
fn list(text: &str) -> Vec<&str> {
    let mut rest = text.chars();
    rest.next().map_or_else(Vec::new, |separator| rest.as_str().split(separator).collect())
}

fn url_safe(encoded: &str) -> String {
    encoded.trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// How unsigned tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsecuredTokens {
    /// The claim that names the principal.
    pub principal_claim: String,
    /// The claim that lists scopes.
    pub scope_claim: String,
    /// The scopes that a token needs.
    pub required_scope: Vec<String>,
    /// By how much clocks may differ.
    pub clock_skew_ms: i64,
}

impl Default for UnsecuredTokens {
    fn default() -> Self {
        Self {
            principal_claim: "sub".to_owned(),
            scope_claim: "scope".to_owned(),
            required_scope: Vec::new(),
            clock_skew_ms: 0,
        }
    }
}

impl UnsecuredTokens {
    /// What the options `unsecuredValidator...` of a login module say.
    ///
    /// # Errors
    /// If `unsecuredValidatorAllowableClockSkewMs` is not a number from 0.
    pub fn from_module(module: &LoginModule) -> Result<Self, String> {
        let option = |name: &str| {
            let value = module.options.get(&format!("unsecuredValidator{name}"))?.reveal().trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let default = Self::default();
        let clock_skew_ms = option("AllowableClockSkewMs").map_or(Ok(0), |text| match text.parse::<i32>() {
            Ok(skew) if skew >= 0 => Ok(i64::from(skew)),
            _ => Err(format!("Allowable clock skew millis must not be negative: {text}")),
        })?;
        let scope = option("RequiredScope").unwrap_or_default();
        Ok(Self {
            principal_claim: option("PrincipalClaimName").unwrap_or(default.principal_claim),
            scope_claim: option("ScopeClaimName").unwrap_or(default.scope_claim),
            required_scope: scope.split_whitespace().map(str::to_owned).collect(),
            clock_skew_ms,
        })
    }

    pub(super) fn validate(&self, token: &str, now: Timestamp) -> Result<Token, InvalidToken> {
        let parts: Vec<&str> = token.split('.').collect();
        let &[header, claims, signature] = parts.as_slice() else {
            let text = "Unsecured JWS compact serializations must have 3 dot-separated Base64URL-encoded values";
            return Err(InvalidToken::because(text));
        };
        if Claims::parse(header)?.text("alg")? != Some("none") {
            return Err(InvalidToken::because("Unsecured JWS must have 'none' for an algorithm"));
        }
        if !signature.is_empty() {
            return Err(InvalidToken::because("Unsecured JWS must not contain a digital signature"));
        }
        let claims = Claims::parse(claims)?;
        let principal = claims.principal(&self.principal_claim)?;
        let expires_at = claims.check_times(now, self.clock_skew_ms)?;
        let scopes = claims.texts(&self.scope_claim)?;
        if let Some(missing) = self.required_scope.iter().find(|scope| !scopes.iter().any(|own| own.trim() == **scope))
        {
            return Err(InvalidToken {
                reason: format!("the token lacks the scope {missing}"),
                scope: Some(format!("[{}]", self.required_scope.join(", "))),
            });
        }
        Ok(Token { principal, expires_at })
    }
}
