//! Logging in over a new connection by SASL (KIP-43, KIP-152), for as long as the broker says (KIP-368).

use std::path::{Path, PathBuf};
use std::time::Duration;

use thalweg_access::Secret;
use thalweg_access::jaas::{self, LoginModule};
use thalweg_access::sasl::{SaslClient, SaslMechanism, unsecured_token};
use thalweg_base::Timestamp;
use thalweg_sys::time::{Instant, wall_clock_ms};
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
    mechanism: SaslMechanism,
    credentials: Credentials,
}

/// What a client shows.
#[derive(Clone, Debug)]
enum Credentials {
    /// `username` and `password` of `sasl.jaas.config`, or id and HMAC of a delegation token.
    Password { user: String, password: Secret, is_token: bool },
    /// A token that the client makes for itself, by the options of this module.
    Unsecured(LoginModule),
    /// A token that something else writes into this file (`sasl.oauthbearer.token.endpoint.url=file:...`). It is read for
    /// every login.
    File(PathBuf),
}

impl SaslConfig {
    /// Reads `sasl.mechanism` and `sasl.jaas.config`.
    pub(crate) fn from_properties(properties: &Properties) -> Result<Self, ConfigError> {
        const MECHANISM: &str = "sasl.mechanism";
        let name = properties.text(MECHANISM).unwrap_or("GSSAPI");
        let mechanism = SaslMechanism::by_name(name).ok_or_else(|| {
            invalid(MECHANISM, name, "it is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER")
        })?;
        let token_url = properties.text("sasl.oauthbearer.token.endpoint.url");
        let Some(line) = properties.text("sasl.jaas.config") else { return Self::of_jaas_file(mechanism, token_url) };
        // The value holds a password: it is not repeated.
        let wrong = |reason: &str| invalid("sasl.jaas.config", "[hidden]", reason);
        let module = jaas::parse_line(line).map_err(|error| wrong(&error.to_string()))?;
        Self::from_module(mechanism, &module, token_url).map_err(|error| wrong(&error))
    }

    /// Logs in as the context `KafkaClient` of the JAAS file says that `KAFKA_OPTS` names.
    fn of_jaas_file(mechanism: SaslMechanism, token_url: Option<&str>) -> Result<Self, ConfigError> {
        let wrong = |text: String| ConfigError::Combination(text);
        let options = std::env::var("KAFKA_OPTS").unwrap_or_default();
        let file = jaas::file_of_options(&options).ok_or_else(|| {
            wrong(
                "Could not find a 'KafkaClient' entry in the JAAS configuration. System property \
                 'java.security.auth.login.config' is not set"
                    .to_owned(),
            )
        })?;
        let text =
            thalweg_sys::fs::read_to_string(Path::new(file)).map_err(|e| wrong(format!("cannot read {file}: {e}")))?;
        let contexts = jaas::parse_file(&text).map_err(|e| wrong(format!("{file}: {e}")))?;
        let modules = contexts.get("KafkaClient").map_or(&[][..], Vec::as_slice);
        let module = modules.iter().find(|module| module.class == mechanism.login_module());
        let module = module.ok_or_else(|| {
            wrong(format!("Could not find a 'KafkaClient' entry with {} in {file}", mechanism.login_module()))
        })?;
        Self::from_module(mechanism, module, token_url).map_err(|why| wrong(format!("{file}: {why}")))
    }

    /// Logs in as a login module of a JAAS configuration says. `token_url` is `sasl.oauthbearer.token.endpoint.url`.
    ///
    /// # Errors
    /// When it lacks an option.
    pub fn from_module(
        mechanism: SaslMechanism,
        module: &LoginModule,
        token_url: Option<&str>,
    ) -> Result<Self, String> {
        let option = |name: &str| module.option(name).ok_or_else(|| format!("it has no {name}"));
        let credentials = match (mechanism, token_url) {
            (SaslMechanism::OAuthBearer, None) => {
                unsecured_token(module, Timestamp(wall_clock_ms()))?;
                Credentials::Unsecured(module.clone())
            }
            (SaslMechanism::OAuthBearer, Some(url)) => {
                let path = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:"));
                let path = path.ok_or("sasl.oauthbearer.token.endpoint.url: only files (file:///path) are built")?;
                Credentials::File(PathBuf::from(path))
            }
            _ => Credentials::Password {
                user: option("username")?.to_owned(),
                password: Secret::new(option("password")?),
                is_token: module.option("tokenauth") == Some("true"),
            },
        };
        Ok(Self { mechanism, credentials })
    }

    fn begin(&self) -> Result<SaslClient, String> {
        Ok(match &self.credentials {
            Credentials::Unsecured(module) => {
                SaslClient::oauthbearer(unsecured_token(module, Timestamp(wall_clock_ms()))?)
            }
            Credentials::File(path) => {
                let token = thalweg_sys::fs::read_to_string(path);
                let token = token.map_err(|e| format!("cannot read the token in {}: {e}", path.display()))?;
                SaslClient::oauthbearer(Secret::new(token.trim()))
            }
            Credentials::Password { user, password, is_token } => match self.mechanism {
                SaslMechanism::Scram(mechanism) => {
                    let nonce: String =
                        thalweg_sys::random::bytes16().iter().map(|byte| format!("{byte:02x}")).collect();
                    match is_token {
                        true => SaslClient::scram_token(mechanism, user, password.clone(), nonce),
                        false => SaslClient::scram(mechanism, user, password.clone(), nonce),
                    }
                }
                SaslMechanism::Plain | SaslMechanism::OAuthBearer => SaslClient::plain(user, password.clone()),
            },
        })
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
    let mut exchange = config.begin().map_err(|why| refused(link, why))?;
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
