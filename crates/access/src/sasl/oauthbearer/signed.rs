//! Tokens that an identity provider signed: checked with the provider's public keys, a JWKS (RFC 7517).

use std::collections::BTreeSet;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, crypto, decode_header};
use thalweg_base::Timestamp;

use super::claims::{Claims, InvalidToken, Token};

/// How signed tokens are checked.
#[derive(Clone, Debug)]
pub struct SignedTokens {
    /// `sasl.oauthbearer.expected.audience`: a token for none of these is refused. Empty takes any token, which an
    /// operator has to allow explicitly.
    pub audiences: Vec<String>,
    /// `sasl.oauthbearer.expected.issuer`.
    pub issuer: Option<String>,
    /// `sasl.oauthbearer.clock.skew.seconds`, in milliseconds.
    pub clock_skew_ms: i64,
    /// `sasl.oauthbearer.scope.claim.name`.
    pub scope_claim: String,
    /// `sasl.oauthbearer.sub.claim.name`.
    pub principal_claim: String,
    /// The provider's keys.
    keys: JwkSet,
}

impl SignedTokens {
    /// Tokens signed by one of the keys of a JWKS document, with Kafka's defaults for everything else.
    ///
    /// # Errors
    /// If the document is not a JWKS.
    pub fn new(jwks: &str) -> Result<Self, String> {
        Self::without_keys().with_keys(jwks)
    }

    /// Kafka's defaults, and no key yet: no token is valid.
    #[must_use]
    pub fn without_keys() -> Self {
        Self {
            audiences: Vec::new(),
            issuer: None,
            clock_skew_ms: 30_000,
            scope_claim: "scope".to_owned(),
            principal_claim: "sub".to_owned(),
            keys: JwkSet { keys: Vec::new() },
        }
    }

    /// The same checks with the keys of another JWKS document.
    ///
    /// # Errors
    /// If the document is not a JWKS.
    pub fn with_keys(&self, jwks: &str) -> Result<Self, String> {
        let keys = serde_json::from_str(jwks).map_err(|e| format!("the JWKS cannot be read: {e}"))?;
        Ok(Self { keys, ..self.clone() })
    }

    /// Whether the token names a key that is not here: the provider may have new keys.
    #[must_use]
    pub fn lacks_key_of(&self, token: &str) -> bool {
        decode_header(token).is_ok_and(|header| self.candidates(header.kid.as_deref()).next().is_none())
    }

    fn candidates(&self, key_id: Option<&str>) -> impl Iterator<Item = &Jwk> {
        self.keys.keys.iter().filter(move |key| key_id.is_none() || key.common.key_id.as_deref() == key_id)
    }

    pub(super) fn validate(&self, token: &str, now: Timestamp) -> Result<Token, InvalidToken> {
        let header = decode_header(token).map_err(|e| InvalidToken::because(format!("malformed header: {e}")))?;
        let (message, signature) =
            token.rsplit_once('.').ok_or_else(|| InvalidToken::because("the token has no signature"))?;
        let signed =
            self.candidates(header.kid.as_deref()).any(|key| is_signed(message.as_bytes(), signature, key, header.alg));
        if !signed {
            return Err(InvalidToken::because("no key of the JWKS has signed the token"));
        }
        let claims = message.split_once('.').map_or("", |(_, claims)| claims);
        self.check(&Claims::parse(claims)?, now)
    }

    fn check(&self, claims: &Claims, now: Timestamp) -> Result<Token, InvalidToken> {
        let expires_at = claims.check_times(now, self.clock_skew_ms)?;
        if claims.time_ms("iat")?.is_none() {
            return Err(InvalidToken::because("Required claim missing: iat"));
        }
        let audiences = claims.texts("aud")?;
        if !self.audiences.is_empty() && !audiences.iter().any(|own| self.audiences.iter().any(|one| one == own)) {
            return Err(InvalidToken::because(format!("the token is for {audiences:?}, not for this cluster")));
        }
        if self.issuer.is_some() && claims.text("iss")? != self.issuer.as_deref() {
            return Err(InvalidToken::because("the token's issuer is not the expected one"));
        }
        let scopes = claims.texts(&self.scope_claim)?;
        let distinct: BTreeSet<&str> = scopes.iter().map(|scope| scope.trim()).collect();
        if distinct.len() != scopes.len() || distinct.contains("") {
            return Err(InvalidToken::because("the token has an empty or repeated scope"));
        }
        Ok(Token { principal: claims.principal(&self.principal_claim)?, expires_at })
    }
}

/// Whether this key has signed the message by that algorithm. A key is only used for algorithms of its own kind: a
/// public key is no secret that an HMAC could be made with.
fn is_signed(message: &[u8], signature: &str, key: &Jwk, algorithm: Algorithm) -> bool {
    let Ok(decoding) = DecodingKey::from_jwk(key) else { return false };
    let algorithm_fits = key.common.key_algorithm.is_none_or(|own| own.to_string() == format!("{algorithm:?}"));
    algorithm_fits
        && decoding.family() == algorithm.family()
        && crypto::verify(signature, message, &decoding, algorithm).unwrap_or(false)
}
