//! `--add-scram`: the SCRAM credentials (RFC 5802) of the users that a cluster begins with.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_base::base64::{self, Alphabet};
use thalweg_metadata::MetadataVersion;
use thalweg_metadata::scram::{EmptyKey, ITERATIONS_MAX, ITERATIONS_MIN, Mechanism};
use thalweg_sys::random;
use thalweg_wire::messages::UserScramCredentialRecord;

use super::FormatError;

/// The records of the credentials that were asked for. What cannot be done is refused in Kafka's order and with its
/// messages.
pub(super) fn records(
    arguments: &[String],
    version: MetadataVersion,
) -> Result<Vec<UserScramCredentialRecord>, FormatError> {
    if !arguments.is_empty() && version < MetadataVersion::SCRAM {
        return Err(FormatError::terse(format!(
            "SCRAM is only supported in metadata.version {} or later.",
            MetadataVersion::SCRAM
        )));
    }
    arguments.iter().map(|argument| Credential::parse(argument)?.record()).collect()
}

/// The record as Kafka's tool prints it: Java shows bytes as signed numbers.
pub(super) fn text(record: &UserScramCredentialRecord) -> String {
    let signed = |bytes: &Bytes| bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<i8>>();
    format!(
        "UserScramCredentialRecord(name='{}', mechanism={}, salt={:?}, storedKey={:?}, serverKey={:?}, iterations={})",
        record.name,
        record.mechanism,
        signed(&record.salt),
        signed(&record.stored_key),
        signed(&record.server_key),
        record.iterations
    )
}

/// What one argument asks for.
struct Credential {
    mechanism: Mechanism,
    name: String,
    /// A random one when none was given.
    salt: Option<Vec<u8>>,
    iterations: i32,
    secret: Secret,
}

/// What the keys are made of.
enum Secret {
    Password(String),
    /// A password that somebody has hashed already, with the salt and iterations of the credential.
    Salted(Vec<u8>),
}

impl Credential {
    /// Reads `MECHANISM=[name=NAME,password=PASSWORD]` and its relatives.
    fn parse(argument: &str) -> Result<Self, FormatError> {
        let argument = argument.trim_matches(|c: char| c <= ' ');
        let (mechanism, config) = argument
            .split_once('=')
            .ok_or_else(|| FormatError::terse(format!("Failed to find equals sign in SCRAM argument '{argument}'")))?;
        let mechanism = Mechanism::by_name(mechanism)
            .ok_or_else(|| FormatError::terse(format!("The add-scram mechanism {mechanism} is not supported.")))?;
        let config = config
            .strip_prefix('[')
            .ok_or_else(|| FormatError::terse("Expected configuration string to start with ["))?;
        let config = config
            .strip_suffix(']')
            .ok_or_else(|| FormatError::terse("Expected configuration string to end with ]"))?;
        let mut parts = parts(config)?;
        let name =
            parts.remove("name").ok_or_else(|| FormatError::terse("You must supply 'name' to add-scram"))?.to_owned();
        let salt = parts.remove("salt").map(|salt| decode("salt", salt)).transpose()?;
        let iterations = parts.remove("iterations").map_or(Ok(ITERATIONS_MIN), |text| {
            text.parse().map_err(|_| FormatError::terse(format!("Failed to parse iterations count: {text}")))
        })?;
        let secret = match (parts.remove("password"), parts.remove("saltedpassword")) {
            (Some(password), _) => Secret::Password(password.to_owned()),
            (None, Some(_)) if salt.is_none() => {
                return Err(FormatError::terse("You must supply 'salt' with 'saltedpassword' to add-scram"));
            }
            (None, Some(salted)) => Secret::Salted(decode("saltedPassword", salted)?),
            (None, None) => {
                return Err(FormatError::terse("You must supply one of 'password' or 'saltedpassword' to add-scram"));
            }
        };
        if !parts.is_empty() {
            let keys: Vec<&str> = parts.into_keys().collect();
            return Err(FormatError::terse(format!("Unknown SCRAM configurations: {}", keys.join(", "))));
        }
        Ok(Self { mechanism, name, salt, iterations, secret })
    }

    fn record(self) -> Result<UserScramCredentialRecord, FormatError> {
        let out_of_range = |sign: &str, bound: i32| {
            let mechanism = self.mechanism.java_name();
            Err(FormatError::terse(format!(
                "The 'iterations' value must be {sign} {bound} for add-scram using {mechanism}"
            )))
        };
        if self.iterations < ITERATIONS_MIN {
            return out_of_range(">=", ITERATIONS_MIN);
        }
        if self.iterations > ITERATIONS_MAX {
            return out_of_range("<=", ITERATIONS_MAX);
        }
        let salt = self.salt.unwrap_or_else(|| random::bytes16().to_vec());
        // What Java's HMAC says of such a key, and Kafka lets through.
        let refuse = |EmptyKey| FormatError::illegal("Empty key");
        let salted = match self.secret {
            Secret::Salted(salted) => salted,
            Secret::Password(password) => self
                .mechanism
                .salted_password(password.as_bytes(), &salt, self.iterations.unsigned_abs())
                .map_err(refuse)?,
        };
        let keys = self.mechanism.keys(&salted).map_err(refuse)?;
        Ok(UserScramCredentialRecord {
            name: self.name.into(),
            mechanism: self.mechanism.number(),
            salt: salt.into(),
            stored_key: keys.stored.into(),
            server_key: keys.server.into(),
            iterations: self.iterations,
        })
    }
}

/// What stands between the brackets. A value may be in double quotes; it never holds a comma.
fn parts(config: &str) -> Result<BTreeMap<&str, &str>, FormatError> {
    let mut parts = BTreeMap::new();
    // As Java splits: commas at the end separate nothing, but an empty text is one empty part.
    let trimmed = config.trim_end_matches(',');
    if trimmed.is_empty() && !config.is_empty() {
        return Ok(parts);
    }
    for part in trimmed.split(',') {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| FormatError::terse(format!("No equals sign found in SCRAM component: {part}")))?;
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        parts.insert(key, unquoted.unwrap_or(value));
    }
    Ok(parts)
}

fn decode(what: &str, text: &str) -> Result<Vec<u8>, FormatError> {
    base64::decode(Alphabet::Standard, text)
        .ok_or_else(|| FormatError::terse(format!("Failed to decode given {what}: {text}")))
}
