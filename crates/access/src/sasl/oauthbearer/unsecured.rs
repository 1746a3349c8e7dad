//! Unsecured JWTs (RFC 7515, appendix A.5), as Kafka's validator for tests takes them.

use thalweg_base::Timestamp;

use super::claims::{Claims, InvalidToken, Token};
use crate::jaas::LoginModule;

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
