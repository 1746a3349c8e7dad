//! The client's side of an exchange: for connections to other nodes, and for tools.

use thalweg_base::base64;
use thalweg_metadata::scram::{EmptyKey, Mechanism};

use super::scram::messages::{ServerFinal, ServerFirst, escape};
use super::scram::xor;
use super::{oauthbearer, plain};
use crate::Secret;
use crate::secret::equal_in_constant_time;

/// The most iterations that a server may ask for: each is a hash, and a hostile server could ask for billions.
const ITERATIONS_MAX: u32 = 1_000_000;

/// Why a client ends an exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServerRefusal(pub String);

/// One exchange.
#[derive(Debug)]
pub struct SaslClient {
    exchange: Exchange,
    complete: bool,
}

#[derive(Debug)]
enum Exchange {
    Plain { user: String, password: Secret },
    Scram(Box<ScramClient>),
    OAuthBearer { token: Secret },
}

#[derive(Debug)]
struct ScramClient {
    mechanism: Mechanism,
    password: Secret,
    nonce: String,
    first_bare: String,
    /// The signature by which the server proves itself, once the client has sent its own proof.
    server_signature: Option<Vec<u8>>,
}

impl SaslClient {
    /// Logs in by PLAIN.
    #[must_use]
    pub fn plain(user: &str, password: Secret) -> Self {
        Self { exchange: Exchange::Plain { user: user.to_owned(), password }, complete: false }
    }

    /// Logs in by SCRAM. `nonce` is unpredictable printable ASCII without commas, new for each exchange.
    #[must_use]
    pub fn scram(mechanism: Mechanism, user: &str, password: Secret, nonce: String) -> Self {
        Self::scram_with(mechanism, user, password, nonce, "")
    }

    /// Logs in by a delegation token: its id, and its HMAC in base64.
    #[must_use]
    pub fn scram_token(mechanism: Mechanism, token_id: &str, hmac: Secret, nonce: String) -> Self {
        Self::scram_with(mechanism, token_id, hmac, nonce, ",tokenauth=true")
    }

    fn scram_with(mechanism: Mechanism, user: &str, password: Secret, nonce: String, extensions: &str) -> Self {
        let first_bare = format!("n={},r={nonce}{extensions}", escape(user));
        let client = ScramClient { mechanism, password, nonce, first_bare, server_signature: None };
        Self { exchange: Exchange::Scram(Box::new(client)), complete: false }
    }

    /// Logs in by a JWT.
    #[must_use]
    pub fn oauthbearer(token: Secret) -> Self {
        Self { exchange: Exchange::OAuthBearer { token }, complete: false }
    }

    /// The first message.
    #[must_use]
    pub fn initial(&self) -> Vec<u8> {
        match &self.exchange {
            Exchange::Plain { user, password } => plain::client_message(user, password),
            Exchange::Scram(client) => format!("n,,{}", client.first_bare).into_bytes(),
            Exchange::OAuthBearer { token } => oauthbearer::client_message(token.reveal()),
        }
    }

    /// Whether the server has authenticated this client and, by SCRAM, has proved itself.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the server's answer and returns the next message, if one is due.
    ///
    /// # Errors
    /// If the server sends what the mechanism does not allow, or does not prove itself.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, ServerRefusal> {
        if self.complete {
            return Err(ServerRefusal("the server sent a challenge after the end of the exchange".to_owned()));
        }
        match &mut self.exchange {
            Exchange::Scram(client) => {
                let next = client.respond(challenge)?;
                self.complete = next.is_none();
                Ok(next)
            }
            // The answer to a bad token is its reason; the server refuses the client after this byte.
            Exchange::OAuthBearer { .. } if !challenge.is_empty() => Ok(Some(vec![1])),
            Exchange::Plain { .. } | Exchange::OAuthBearer { .. } if challenge.is_empty() => {
                self.complete = true;
                Ok(None)
            }
            _ => Err(ServerRefusal("the server sent a challenge that the mechanism does not have".to_owned())),
        }
    }
}

impl ScramClient {
    fn respond(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, ServerRefusal> {
        match self.server_signature.take() {
            None => self.prove(challenge).map(Some),
            Some(expected) => check_server(challenge, &expected).map(|()| None),
        }
    }

    fn prove(&mut self, challenge: &[u8]) -> Result<Vec<u8>, ServerRefusal> {
        let refuse = |text: &str| ServerRefusal(text.to_owned());
        let first = ServerFirst::parse(challenge).ok_or_else(|| refuse("invalid SCRAM server first message"))?;
        if !first.nonce.starts_with(&self.nonce) {
            return Err(refuse("the server's nonce does not begin with the client's"));
        }
        let least = thalweg_metadata::scram::ITERATIONS_MIN.unsigned_abs();
        if !(least..=ITERATIONS_MAX).contains(&first.iterations) {
            return Err(ServerRefusal(format!("the server asks for {} iterations", first.iterations)));
        }
        let server_first = std::str::from_utf8(challenge).map_err(|_| refuse("invalid SCRAM server first message"))?;
        let without_proof = format!("c={},r={}", base64::encode(b"n,,"), first.nonce);
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare);
        let empty = |EmptyKey| refuse("the password is empty");
        let salted = self
            .mechanism
            .salted_password(self.password.reveal().as_bytes(), &first.salt, first.iterations)
            .map_err(empty)?;
        let client_key = self.mechanism.hmac(&salted, b"Client Key").map_err(empty)?;
        let keys = self.mechanism.keys(&salted).map_err(empty)?;
        let signature = self.mechanism.hmac(&keys.stored, auth_message.as_bytes()).map_err(empty)?;
        self.server_signature = Some(self.mechanism.hmac(&keys.server, auth_message.as_bytes()).map_err(empty)?);
        let proof = base64::encode(&xor(&client_key, &signature));
        Ok(format!("{without_proof},p={proof}").into_bytes())
    }
}

fn check_server(challenge: &[u8], expected: &[u8]) -> Result<(), ServerRefusal> {
    match ServerFinal::parse(challenge) {
        Some(ServerFinal::Signature(signature)) if equal_in_constant_time(&signature, expected) => Ok(()),
        Some(ServerFinal::Signature(_)) => Err(ServerRefusal("the server does not know the password".to_owned())),
        Some(ServerFinal::Error(error)) => Err(ServerRefusal(format!("the server refused the login: {error}"))),
        None => Err(ServerRefusal("invalid SCRAM server final message".to_owned())),
    }
}
