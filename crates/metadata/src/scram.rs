//! The keys of a SCRAM credential (RFC 5802, section 3; RFC 7677): what a server keeps instead of a password.

use hmac::{EagerHash, Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// How often a password is hashed when nothing else was asked for, and the fewest times that may be asked for.
pub const ITERATIONS_MIN: i32 = 4096;
/// The most times that may be asked for: each login of a client costs it as much.
pub const ITERATIONS_MAX: i32 = 16384;

/// A SCRAM mechanism: the hash function that everything is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `SCRAM-SHA-256`
    Sha256,
    /// `SCRAM-SHA-512`
    Sha512,
}

/// What a server needs to check a client and to prove itself. Neither is enough to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// `H(HMAC(SaltedPassword, "Client Key"))`
    pub stored: Vec<u8>,
    /// `HMAC(SaltedPassword, "Server Key")`
    pub server: Vec<u8>,
}

/// A password, or salted password, without a single byte: clients in Java cannot log in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyKey;

impl Mechanism {
    /// The mechanism of that name in SASL.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "SCRAM-SHA-256" => Some(Self::Sha256),
            "SCRAM-SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// The mechanism of that number in requests and records (KIP-554).
    #[must_use]
    pub fn by_number(number: i8) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|mechanism| mechanism.number() == number)
    }

    /// What stands for it in requests and records (KIP-554).
    #[must_use]
    pub fn number(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// How Kafka's messages write it.
    #[must_use]
    pub fn java_name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM_SHA_256",
            Self::Sha512 => "SCRAM_SHA_512",
        }
    }

    /// How many bytes its hash has.
    #[must_use]
    pub fn hash_len(self) -> usize {
        match self {
            Self::Sha256 => <Sha256 as Digest>::output_size(),
            Self::Sha512 => <Sha512 as Digest>::output_size(),
        }
    }

    /// The name of the mechanism in SASL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// `H(text)`.
    #[must_use]
    pub fn hash(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    /// `HMAC(key, text)`.
    ///
    /// # Errors
    /// If the key is empty.
    pub fn hmac(self, key: &[u8], text: &[u8]) -> Result<Vec<u8>, EmptyKey> {
        match self {
            Self::Sha256 => hmac::<Sha256>(key, text),
            Self::Sha512 => hmac::<Sha512>(key, text),
        }
    }

    /// `Hi(password, salt, iterations)`, which is PBKDF2 with this hash's HMAC and an output of its length.
    ///
    /// The password is taken as it is: Kafka does not apply `SASLprep` either.
    ///
    /// # Errors
    /// If the password is empty.
    pub fn salted_password(self, password: &[u8], salt: &[u8], iterations: u32) -> Result<Vec<u8>, EmptyKey> {
        match self {
            Self::Sha256 => hi::<Sha256>(password, salt, iterations),
            Self::Sha512 => hi::<Sha512>(password, salt, iterations),
        }
    }

    /// The two keys that are made of a salted password.
    ///
    /// # Errors
    /// If it is empty.
    pub fn keys(self, salted_password: &[u8]) -> Result<Keys, EmptyKey> {
        match self {
            Self::Sha256 => keys::<Sha256>(salted_password),
            Self::Sha512 => keys::<Sha512>(salted_password),
        }
    }
}

fn hi<D: EagerHash>(password: &[u8], salt: &[u8], iterations: u32) -> Result<Vec<u8>, EmptyKey> {
    if password.is_empty() {
        return Err(EmptyKey);
    }
    let mut salted = vec![0; <D as Digest>::output_size()];
    pbkdf2::pbkdf2_hmac::<D>(password, salt, iterations, &mut salted);
    Ok(salted)
}

fn keys<D: EagerHash>(salted_password: &[u8]) -> Result<Keys, EmptyKey> {
    let client = hmac::<D>(salted_password, b"Client Key")?;
    Ok(Keys { stored: D::digest(client).to_vec(), server: hmac::<D>(salted_password, b"Server Key")? })
}

fn hmac<D: EagerHash>(key: &[u8], text: &[u8]) -> Result<Vec<u8>, EmptyKey> {
    if key.is_empty() {
        return Err(EmptyKey);
    }
    // An HMAC takes keys of any other length.
    let mut hmac = <Hmac<D> as KeyInit>::new_from_slice(key).map_err(|_| EmptyKey)?;
    hmac.update(text);
    Ok(hmac.finalize().into_bytes().to_vec())
}
