//! SCRAM (RFC 5802, RFC 7677): a client proves that it knows a password without sending it, and so does the server.
//! With the extension `tokenauth=true` the password is the HMAC of a delegation token (KIP-48).

pub(super) mod messages;

use std::sync::Arc;

use thalweg_base::{Timestamp, base64};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::ScramCredential;
use thalweg_metadata::scram::{EmptyKey, ITERATIONS_MIN, Mechanism};

use self::messages::{ClientFinal, ClientFirst};
use super::{Authenticated, SaslFailure, Step};
use crate::secret::equal_in_constant_time;
use crate::{Principal, Secret};

/// What a node's SCRAM exchanges share.
#[derive(Clone, Debug)]
pub struct ScramSettings {
    /// A random key of the node. The salts of users that do not exist are made of it: the same for each user, different
    /// on each node, and to a stranger like any other.
    pub decoy_key: Secret,
    /// `delegation.token.secret.key`; without it there are no delegation tokens.
    pub token_key: Option<Secret>,
}

/// The HMAC of a delegation token, as clients get it from CreateDelegationToken and log in with it.
///
/// # Errors
/// If the key is empty.
pub fn token_hmac(token_key: &Secret, token_id: &str) -> Result<Vec<u8>, EmptyKey> {
    Mechanism::Sha512.hmac(token_key.reveal().as_bytes(), token_id.as_bytes())
}

/// The server's side of an exchange.
///
/// A user that does not exist gets a salt and an iteration count like any other and is refused after the proof, so that
/// neither the messages nor their number tell which users there are. (Kafka refuses it after the first message.)
#[derive(Debug)]
pub(super) struct ScramServer {
    mechanism: Mechanism,
    settings: Arc<ScramSettings>,
    nonce: String,
    proving: Option<Proving>,
}

/// What the server keeps between the client's two messages.
#[derive(Debug)]
struct Proving {
    first_bare: String,
    server_first: String,
    nonce: String,
    credential: ScramCredential,
    /// `None` is a user or token that does not exist.
    client: Option<Authenticated>,
}

fn hidden(text: &str) -> SaslFailure {
    SaslFailure::Hidden(text.to_owned())
}

impl ScramServer {
    pub(super) fn new(mechanism: Mechanism, settings: Arc<ScramSettings>, nonce: String) -> Self {
        assert!(nonce.bytes().all(|b| b.is_ascii_graphic() && b != b','), "a nonce is printable, without commas");
        Self { mechanism, settings, nonce, proving: None }
    }

    pub(super) fn respond(
        &mut self,
        message: &[u8],
        image: &MetadataImage,
        now: Timestamp,
    ) -> Result<Step, SaslFailure> {
        match self.proving.take() {
            None => self.first(message, image, now),
            Some(proving) => self.last(message, proving),
        }
    }

    fn first(&mut self, message: &[u8], image: &MetadataImage, now: Timestamp) -> Result<Step, SaslFailure> {
        let first = ClientFirst::parse(message).ok_or_else(|| hidden("Invalid SCRAM client first message format"))?;
        let found = match first.by_token() {
            true => self.token(&first.user, image, now),
            false => self.user(&first.user, image),
        };
        if first.authorization_id.as_ref().is_some_and(|id| *id != first.user) {
            let text = "Authentication failed: Client requested an authorization id that is different from username";
            return Err(SaslFailure::Told(text.to_owned()));
        }
        let (credential, client) = match found {
            Some((credential, client)) => (credential, Some(client)),
            None => (self.decoy(&first.user), None),
        };
        if credential.iterations < ITERATIONS_MIN {
            return Err(hidden("the credential has fewer iterations than the mechanism demands"));
        }
        let nonce = format!("{}{}", first.nonce, self.nonce);
        let server_first = format!("r={nonce},s={},i={}", base64::encode(&credential.salt), credential.iterations);
        let challenge = server_first.clone().into_bytes();
        self.proving = Some(Proving { first_bare: first.bare, server_first, nonce, credential, client });
        Ok(Step::challenge(challenge))
    }

    fn user(&self, user: &str, image: &MetadataImage) -> Option<(ScramCredential, Authenticated)> {
        let credential = image.scram().get(self.mechanism.number(), user)?;
        let client = Authenticated { principal: Principal::user(user), by_token: false, expires_at: None };
        Some((credential.clone(), client))
    }

    /// The owner of a delegation token that is valid now.
    fn token(&self, id: &str, image: &MetadataImage, now: Timestamp) -> Option<(ScramCredential, Authenticated)> {
        let token = image.delegation_tokens().get(id).filter(|token| token.expiration_timestamp > now)?;
        let hmac = token_hmac(self.settings.token_key.as_ref()?, id).ok()?;
        let credential = self.credential(base64::encode(&hmac).as_bytes(), self.salt(id)).ok()?;
        let client = Authenticated {
            principal: token.owner.parse().ok()?,
            by_token: true,
            expires_at: Some(token.expiration_timestamp),
        };
        Some((credential, client))
    }

    /// What the server would keep of a password.
    fn credential(&self, password: &[u8], salt: Vec<u8>) -> Result<ScramCredential, EmptyKey> {
        let salted = self.mechanism.salted_password(password, &salt, ITERATIONS_MIN.unsigned_abs())?;
        let keys = self.mechanism.keys(&salted)?;
        Ok(ScramCredential {
            salt: salt.into(),
            stored_key: keys.stored.into(),
            server_key: keys.server.into(),
            iterations: ITERATIONS_MIN,
        })
    }

    /// A credential that no proof fits.
    fn decoy(&self, user: &str) -> ScramCredential {
        let nothing = vec![0; self.mechanism.hash_len()];
        ScramCredential {
            salt: self.salt(user).into(),
            stored_key: nothing.clone().into(),
            server_key: nothing.into(),
            iterations: ITERATIONS_MIN,
        }
    }

    /// 16 bytes, as many as the salts of `--add-scram` have.
    fn salt(&self, name: &str) -> Vec<u8> {
        let text = format!("{}{name}", self.mechanism.name());
        let key = self.settings.decoy_key.reveal().as_bytes();
        let mut salt = self.mechanism.hmac(key, text.as_bytes()).unwrap_or_else(|EmptyKey| vec![0; 16]);
        salt.truncate(16);
        salt
    }

    fn last(&self, message: &[u8], proving: Proving) -> Result<Step, SaslFailure> {
        let last = ClientFinal::parse(message).ok_or_else(|| hidden("Invalid SCRAM client final message format"))?;
        if last.nonce != proving.nonce {
            return Err(hidden("Invalid client nonce in the final client message."));
        }
        let auth_message = format!("{},{},{}", proving.first_bare, proving.server_first, last.without_proof);
        let credential = &proving.credential;
        let failed = |EmptyKey| hidden("the stored credential is empty");
        let signature = self.mechanism.hmac(&credential.stored_key, auth_message.as_bytes()).map_err(failed)?;
        let stored_key = self.mechanism.hash(&xor(&last.proof, &signature));
        let proved = last.proof.len() == signature.len() && equal_in_constant_time(&stored_key, &credential.stored_key);
        let Some(client) = proving.client.filter(|_| proved) else {
            return Err(hidden("Invalid client credentials"));
        };
        let signature = self.mechanism.hmac(&credential.server_key, auth_message.as_bytes()).map_err(failed)?;
        let challenge = format!("v={}", base64::encode(&signature)).into_bytes();
        Ok(Step { challenge, authenticated: Some(client) })
    }
}

/// The bytes of both, as far as both go.
pub(super) fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(l, r)| l ^ r).collect()
}
