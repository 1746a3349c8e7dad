//! SASL (RFC 4422) as Kafka uses it: the server's and the client's side of each mechanism, one exchange at a time.
//!
//! A listener keeps one [`Verifier`] for each enabled mechanism. Each exchange is a [`SaslServer`]: it takes the
//! client's messages one by one, and after each says what to send back and whether the client is authenticated.

mod client;
mod oauthbearer;
mod plain;
mod scram;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use thalweg_base::Timestamp;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::scram::Mechanism as ScramMechanism;

pub use client::{SaslClient, ServerRefusal};
pub use oauthbearer::claims::InvalidToken;
pub use oauthbearer::{SignedTokens, TokenValidator, UnsecuredTokens, bearer_token, unsecured_token};
pub use plain::PlainUsers;
pub use scram::{ScramSettings, token_hmac};

use crate::Principal;
use oauthbearer::OAuthBearerServer;
use scram::ScramServer;

/// A SASL mechanism that Kafka knows and Thalweg speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// `PLAIN` (RFC 4616).
    Plain,
    /// `SCRAM-SHA-256` and `SCRAM-SHA-512` (RFC 5802).
    Scram(ScramMechanism),
    /// `OAUTHBEARER` (RFC 7628).
    OAuthBearer,
}

impl SaslMechanism {
    /// The Java class of its login module, by which a JAAS file tells mechanisms apart.
    #[must_use]
    pub fn login_module(self) -> &'static str {
        match self {
            Self::Plain => "org.apache.kafka.common.security.plain.PlainLoginModule",
            Self::Scram(_) => "org.apache.kafka.common.security.scram.ScramLoginModule",
            Self::OAuthBearer => "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
        }
    }

    /// The mechanism of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Self::Plain),
            "OAUTHBEARER" => Some(Self::OAuthBearer),
            _ => ScramMechanism::by_name(name).map(Self::Scram),
        }
    }

    /// Its name in handshakes and configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(mechanism) => mechanism.name(),
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

/// How a listener checks the clients of one mechanism. All connections share it.
#[derive(Clone, Debug)]
pub enum Verifier {
    /// By user names and passwords of the configuration.
    Plain(Arc<PlainUsers>),
    /// By the SCRAM credentials and delegation tokens of the cluster.
    Scram(ScramMechanism, Arc<ScramSettings>),
    /// By tokens that clients bring.
    OAuthBearer(Arc<TokenValidator>),
}

impl Verifier {
    /// The mechanism.
    #[must_use]
    pub fn mechanism(&self) -> SaslMechanism {
        match self {
            Self::Plain(_) => SaslMechanism::Plain,
            Self::Scram(mechanism, _) => SaslMechanism::Scram(*mechanism),
            Self::OAuthBearer(_) => SaslMechanism::OAuthBearer,
        }
    }

    /// Begins an exchange. `nonce` is unpredictable printable ASCII without commas, new for each exchange; only SCRAM
    /// uses it.
    #[must_use]
    pub fn begin(&self, nonce: String) -> SaslServer {
        let exchange = match self {
            Self::Plain(users) => Exchange::Plain(Arc::clone(users)),
            Self::Scram(mechanism, settings) => {
                Exchange::Scram(Box::new(ScramServer::new(*mechanism, Arc::clone(settings), nonce)))
            }
            Self::OAuthBearer(validator) => Exchange::OAuthBearer(OAuthBearerServer::new(Arc::clone(validator))),
        };
        SaslServer { mechanism: self.mechanism(), exchange, state: State::UnderWay }
    }
}

/// An authenticated client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub principal: Principal,
    /// Whether it logged in by a delegation token: such clients cannot create or renew tokens (KIP-48).
    pub by_token: bool,
    /// When the credentials end: of a token, not of a password.
    pub expires_at: Option<Timestamp>,
}

impl Authenticated {
    /// How long the session lasts, in milliseconds, before the client has to authenticate again (KIP-368): until the
    /// credentials end, and at most `connections.max.reauth.ms` if that is positive. `None` is without end, which
    /// SaslAuthenticate writes as 0.
    #[must_use]
    pub fn session_lifetime_ms(&self, now: Timestamp, max_reauth_ms: i64) -> Option<i64> {
        let credentials = self.expires_at.map(|at| at.0.saturating_sub(now.0).max(0));
        let configured = Some(max_reauth_ms).filter(|max| *max > 0);
        match (credentials, configured) {
            (Some(left), Some(max)) => Some(left.min(max)),
            (left, max) => left.or(max),
        }
    }
}

/// The answer to one message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to send back; may be empty.
    pub challenge: Vec<u8>,
    /// The client, if this was the last message.
    pub authenticated: Option<Authenticated>,
}

impl Step {
    fn challenge(challenge: Vec<u8>) -> Self {
        Self { challenge, authenticated: None }
    }
}

/// Why a client is not authenticated. The exchange is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslFailure {
    /// The client is told this sentence.
    Told(String),
    /// Only the log has the reason: it could reveal which users exist. The client is told that its credentials are
    /// invalid.
    Hidden(String),
}

impl SaslFailure {
    /// The message of SaslAuthenticate's answer.
    #[must_use]
    pub fn client_message(&self, mechanism: SaslMechanism, occasion: Occasion) -> String {
        match self {
            Self::Told(text) => text.clone(),
            Self::Hidden(_) => format!(
                "Authentication failed during {occasion} due to invalid credentials with SASL mechanism {}",
                mechanism.name()
            ),
        }
    }
}

impl fmt::Display for SaslFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(text) | Self::Hidden(text) => f.write_str(text),
        }
    }
}

/// Whether a client authenticates for the first time on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It does.
    Authentication,
    /// It renews its session (KIP-368).
    ReAuthentication,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authentication => "authentication",
            Self::ReAuthentication => "re-authentication",
        })
    }
}

/// The server's side of one exchange.
///
/// Invariant: once it has authenticated or refused its client, it refuses every further message.
#[derive(Debug)]
pub struct SaslServer {
    mechanism: SaslMechanism,
    exchange: Exchange,
    state: State,
}

#[derive(Debug)]
enum Exchange {
    Plain(Arc<PlainUsers>),
    Scram(Box<ScramServer>),
    OAuthBearer(OAuthBearerServer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    Over,
}

impl SaslServer {
    /// The mechanism that the client chose.
    #[must_use]
    pub fn mechanism(&self) -> SaslMechanism {
        self.mechanism
    }

    /// Takes the client's next message.
    ///
    /// # Errors
    /// If the client is refused.
    pub fn respond(&mut self, message: &[u8], image: &MetadataImage, now: Timestamp) -> Result<Step, SaslFailure> {
        if self.state == State::Over {
            return Err(SaslFailure::Hidden("a message after the end of the exchange".to_owned()));
        }
        let step = match &mut self.exchange {
            Exchange::Plain(users) => users.respond(message),
            Exchange::Scram(server) => server.respond(message, image, now),
            Exchange::OAuthBearer(server) => server.respond(message, now),
        };
        if !matches!(&step, Ok(Step { authenticated: None, .. })) {
            self.state = State::Over;
        }
        step
    }
}
