//! Logging in over a new connection by SASL (KIP-43, KIP-152), for as long as the broker says (KIP-368).

use std::time::Duration;

use thalweg_access::Secret;
use thalweg_access::jaas::{self, LoginModule};
use thalweg_access::sasl::{SaslClient, SaslMechanism};
use thalweg_sys::time::Instant;
use thalweg_wire::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use thalweg_wire::{ApiKey, ErrorCode, Request};

use super::link::Link;
use super::start;
use crate::error::Api;
use crate::properties::invalid;
use crate::{ApiVersions, ConfigError, Error, Properties};

/// How a client logs in.
#[derive(Clone, Debug)]
pub struct SaslConfig {
    /// `sasl.mechanism`: PLAIN or a SCRAM one.
    pub mechanism: SaslMechanism,
    /// `username` of `sasl.jaas.config`; the id of a delegation token.
    pub user: String,
    /// `password` of `sasl.jaas.config`; the HMAC of a delegation token.
    pub password: Secret,
    /// `tokenauth` of `sasl.jaas.config`: whether user and password are those of a delegation token.
    pub is_token: bool,
}

impl SaslConfig {
    /// Reads `sasl.mechanism` and `sasl.jaas.config`.
    pub(crate) fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        const MECHANISM: &str = "sasl.mechanism";
        let name = properties.text(MECHANISM).unwrap_or("GSSAPI");
        let mechanism = SaslMechanism::by_name(name).filter(|mechanism| *mechanism != SaslMechanism::OAuthBearer);
        let mechanism = mechanism
            .ok_or_else(|| invalid(MECHANISM, name, "it is none of PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"))?;
        let line = properties.text("sasl.jaas.config").ok_or_else(|| {
            ConfigError::Combination("sasl.jaas.config must be set when security.protocol is a SASL one".to_owned())
        })?;
        // The value holds a password: it is not repeated.
        let wrong = |reason: &str| invalid("sasl.jaas.config", "[hidden]", reason);
        let module = jaas::parse_line(line).map_err(|error| wrong(&error.to_string()))?;
        Self::from_module(mechanism, &module).map_err(|error| wrong(&error))
    }

    /// Logs in as a login module of a JAAS configuration says.
    ///
    /// # Errors
    /// When it lacks an option.
    pub fn from_module(mechanism: SaslMechanism, module: &LoginModule) -> Result<Self, String> {
        let option = |name: &str| module.option(name).ok_or_else(|| format!("it has no {name}"));
        Ok(Self {
            mechanism,
            user: option("username")?.to_owned(),
            password: Secret::new(option("password")?),
            is_token: module.option("tokenauth") == Some("true"),
        })
    }

    fn begin(&self) -> SaslClient {
        match self.mechanism {
            SaslMechanism::Scram(mechanism) => {
                let nonce: String = thalweg_sys::random::bytes16().iter().map(|byte| format!("{byte:02x}")).collect();
                let (user, password) = (&self.user, self.password.clone());
                match self.is_token {
                    true => SaslClient::scram_token(mechanism, user, password, nonce),
                    false => SaslClient::scram(mechanism, user, password, nonce),
                }
            }
            SaslMechanism::Plain | SaslMechanism::OAuthBearer => SaslClient::plain(&self.user, self.password.clone()),
        }
    }
}

/// Logs in; gives how long that holds, if not for ever.
pub(super) async fn log_in(
    link: &Link,
    versions: &ApiVersions,
    config: &SaslConfig,
    deadline: Instant,
) -> Result<Option<Duration>, Error> {
    let handshake = SaslHandshakeRequest { mechanism: config.mechanism.name().into() };
    let answer = ask(link, versions, &handshake, deadline).await?;
    if ErrorCode::from(answer.error_code).is_error() {
        let offered: Vec<String> = answer.mechanisms.iter().map(ToString::to_string).collect();
        let name = config.mechanism.name();
        return Err(refused(link, format!("{name} is not enabled there; enabled are: {}", offered.join(", "))));
    }
    let mut exchange = config.begin();
    let mut message = exchange.initial();
    loop {
        let request = SaslAuthenticateRequest { auth_bytes: message.into() };
        let answer = ask(link, versions, &request, deadline).await?;
        let code = ErrorCode::from(answer.error_code);
        if code.is_error() {
            let words = answer.error_message.as_deref().unwrap_or_else(|| code.message());
            return Err(refused(link, words.to_owned()));
        }
        let next = exchange.respond(&answer.auth_bytes).map_err(|refusal| refused(link, refusal.to_string()))?;
        match next {
            Some(next) => message = next,
            None => {
                let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|millis| *millis > 0);
                return Ok(lifetime.map(Duration::from_millis));
            }
        }
    }
}

async fn ask<Q: Request>(
    link: &Link,
    versions: &ApiVersions,
    request: &Q,
    deadline: Instant,
) -> Result<Q::Response, Error> {
    // Before Kafka 1.0 the exchange had no request headers: those brokers are older than the oldest that is supported.
    let version = versions.highest(Q::API).filter(|version| *version >= 1 || Q::API != ApiKey::SaslHandshake);
    let version = version.ok_or_else(|| Error::UnsupportedVersion {
        peer: link.peer().clone(),
        api: Api(Q::API),
        version: None,
        theirs: versions.theirs(Q::API),
    })?;
    start(link, request, version, deadline).await?.response().await
}

fn refused(link: &Link, reason: String) -> Error {
    Error::Authentication { peer: link.peer().clone(), reason: reason.into() }
}
