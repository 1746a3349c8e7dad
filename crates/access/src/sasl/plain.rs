//! PLAIN (RFC 4616): a user name and a password in clear text.

use std::collections::BTreeMap;

use thalweg_metadata::scram::Mechanism;

use super::{Authenticated, SaslFailure, Step};
use crate::jaas::LoginModule;
use crate::secret::equal_in_constant_time;
use crate::{Principal, Secret};

/// What the options of a login module that name users begin with: `user_alice="alice-secret"`.
const USER_PREFIX: &str = "user_";

/// The users that may log in, with digests of their passwords: all digests have one length, so that a comparison takes
/// as long for every user, known or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainUsers {
    digests: BTreeMap<String, Vec<u8>>,
}

impl PlainUsers {
    /// The users that a line of `sasl.jaas.config` names.
    #[must_use]
    pub fn from_module(module: &LoginModule) -> Self {
        let users = module.options.iter().filter_map(|(key, value)| Some((key.strip_prefix(USER_PREFIX)?, value)));
        Self::new(users.map(|(name, password)| (name.to_owned(), password.clone())))
    }

    /// Users with their passwords.
    pub fn new(users: impl IntoIterator<Item = (String, Secret)>) -> Self {
        let digests = users.into_iter().map(|(name, password)| (name, digest(password.reveal())));
        Self { digests: digests.collect() }
    }

    /// Checks the one message of a client.
    pub(super) fn respond(&self, message: &[u8]) -> Result<Step, SaslFailure> {
        let told = |text: &str| SaslFailure::Told(text.to_owned());
        let text = String::from_utf8_lossy(message);
        // One part more than there should be is enough to refuse the message.
        let parts: Vec<&str> = text.splitn(5, '\0').take(4).collect();
        let &[authorization_id, user, password] = parts.as_slice() else {
            let text = format!("Invalid SASL/PLAIN response: expected 3 tokens, got {}", parts.len());
            return Err(SaslFailure::Told(text));
        };
        if user.is_empty() {
            return Err(told("Authentication failed: username not specified"));
        }
        if password.is_empty() {
            return Err(told("Authentication failed: password not specified"));
        }
        if !self.matches(user, password) {
            return Err(told("Authentication failed: Invalid username or password"));
        }
        if !authorization_id.is_empty() && authorization_id != user {
            let text = "Authentication failed: Client requested an authorization id that is different from username";
            return Err(told(text));
        }
        let authenticated = Authenticated { principal: Principal::user(user), by_token: false, expires_at: None };
        Ok(Step { challenge: Vec::new(), authenticated: Some(authenticated) })
    }

    fn matches(&self, user: &str, password: &str) -> bool {
        let nobody = vec![0; Mechanism::Sha256.hash_len()];
        let known = self.digests.get(user);
        let same = equal_in_constant_time(&digest(password), known.unwrap_or(&nobody));
        same && known.is_some()
    }
}

fn digest(password: &str) -> Vec<u8> {
    Mechanism::Sha256.hash(password.as_bytes())
}

/// The one message of a client.
pub(super) fn client_message(user: &str, password: &Secret) -> Vec<u8> {
    format!("\0{user}\0{}", password.reveal()).into_bytes()
}
