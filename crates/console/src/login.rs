//! Who visits: the name and the password that a request carries (HTTP Basic, RFC 7617), and the users of a console's own.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use thalweg_base::base64::{self, Alphabet};
use thalweg_metadata::scram::Mechanism;

/// How visitors log in.
#[derive(Clone, Debug, Default)]
pub enum LogIn {
    /// They do not.
    #[default]
    Open,
    /// With a password of the console's own.
    Users(Users),
    /// With the user and the password that the cluster knows (SASL): each visitor has the rights of that user there.
    Cluster,
}

/// The users of a console, with what it takes to check their passwords.
#[derive(Clone)]
pub struct Users(BTreeMap<String, User>);

#[derive(Clone)]
struct User {
    /// The hash of the password: comparing hashes takes as long for a password that begins rightly as for any other.
    hash: Vec<u8>,
    role: Role,
}

/// What a user of a console may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Look.
    Reader,
    /// Change what the console's switches allow.
    Writer,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Users {
    /// Reads a properties file with a line for each user: `user_NAME=PASSWORD`, as in Kafka's `PlainLoginModule`, or
    /// `reader_NAME=PASSWORD` for one who may only look.
    ///
    /// # Errors
    /// When a line is neither, a password is empty, or there is nobody.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut users = BTreeMap::new();
        for (key, password) in thalweg_base::properties::parse(text) {
            let (role, name) = match (key.strip_prefix("user_"), key.strip_prefix("reader_")) {
                (Some(name), _) => (Role::Writer, name),
                (None, Some(name)) => (Role::Reader, name),
                (None, None) => return Err(format!("{key} is neither user_NAME nor reader_NAME")),
            };
            if name.is_empty() || name.contains(':') || password.is_empty() {
                return Err(format!("{key}: the name is empty or has a colon, or the password is empty"));
            }
            let user = User { hash: hash(&password), role };
            if users.insert(name.to_owned(), user).is_some() {
                return Err(format!("user {name} is named twice"));
            }
        }
        if users.is_empty() {
            return Err("it names no user: a line for each is user_NAME=PASSWORD or reader_NAME=PASSWORD".to_owned());
        }
        Ok(Self(users))
    }

    /// What the user with this name and password may do; `None` if there is none.
    pub(crate) fn role_of(&self, credentials: &Credentials) -> Option<Role> {
        let hash = hash(&credentials.password);
        self.0.get(&credentials.user).filter(|user| user.hash == hash).map(|user| user.role)
    }
}

fn hash(password: &str) -> Vec<u8> {
    Mechanism::Sha256.hash(password.as_bytes())
}

/// The longest name and password that are looked at.
const CREDENTIALS_BYTES_MAX: usize = 1024;

/// A name and a password. They are in no log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Credentials {
    /// What a request carries; `None` if that is nothing, or cannot be read.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > CREDENTIALS_BYTES_MAX {
            return None;
        }
        let text = String::from_utf8(base64::decode(Alphabet::Standard, encoded.trim())?).ok()?;
        let (user, password) = text.split_once(':')?;
        let is_plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
        (is_plain(user) && is_plain(password)).then(|| Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// What stands for both in a map whose keys tell nobody the password.
    pub(crate) fn digest(&self) -> Vec<u8> {
        // A name has no colon (RFC 7617), so that no two pairs have the same text.
        hash(&format!("{}:{}", self.user, self.password))
    }

    /// The value of `sasl.jaas.config` that logs in with them, by the module of this mechanism.
    pub(crate) fn jaas(&self, mechanism: &str) -> String {
        let module = match mechanism {
            "PLAIN" => "org.apache.kafka.common.security.plain.PlainLoginModule",
            _ => "org.apache.kafka.common.security.scram.ScramLoginModule",
        };
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{module} required username=\"{}\" password=\"{}\";", quoted(&self.user), quoted(&self.password))
    }
}

/// An extension of a request: who sent it, if visitors log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Visitor(pub(crate) Option<String>);

impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("nobody"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.to_owned(), password: password.to_owned() }
    }

    fn of(value: &str) -> Option<Credentials> {
        Credentials::of(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().expect("a header"))]))
    }

    #[test]
    fn a_user_has_a_role_and_a_stranger_none() {
        let users = Users::parse("user_ann=secret\nreader_bob=a:b\n").expect("users");
        assert_eq!(users.role_of(&credentials("ann", "secret")), Some(Role::Writer));
        assert_eq!(users.role_of(&credentials("bob", "a:b")), Some(Role::Reader));
        assert_eq!(users.role_of(&credentials("ann", "Secret")), None);
        assert_eq!(users.role_of(&credentials("carl", "secret")), None);
        assert_eq!(format!("{users:?}"), r#"["ann", "bob"]"#, "no password is shown");
    }

    #[test]
    fn a_file_that_lets_nobody_in_or_anybody_is_refused() {
        for wrong in ["", "# nobody", "ann=secret", "user_=x", "user_ann=", "user_ann=x\nreader_ann=y", "user_a\\:b=x"]
        {
            assert!(Users::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_request_carries_is_read_or_nothing_is() {
        let header = |text: &str| format!("Basic {}", base64::encode(text.as_bytes()));
        assert!(of(&header("ann:a:b")) == Some(credentials("ann", "a:b")));
        assert!(of(&header("ann:grün").replace("Basic", "bASIC")) == Some(credentials("ann", "grün")));
        for wrong in ["ann", "ann:", ":secret", "ann:a\nb"] {
            assert!(of(&header(wrong)).is_none(), "{wrong}");
        }
        assert!(of("Basic ???").is_none() && of("Bearer x").is_none() && of("Basic").is_none());
        assert!(of(&header(&format!("ann:{}", "x".repeat(2000)))).is_none());
    }

    #[test]
    fn a_password_cannot_leave_its_quotes() {
        let jaas = credentials("ann", "a\" tokenauth=\"true\\").jaas("SCRAM-SHA-256");
        assert!(jaas.ends_with(r#"username="ann" password="a\" tokenauth=\"true\\";"#), "{jaas}");
    }
}
