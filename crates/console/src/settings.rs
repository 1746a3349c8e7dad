//! What a console is told: how it reaches the cluster, what it may change, and by which names it is called.

use std::net::IpAddr;

use thalweg_client::{ConfigError, Properties};

use crate::Format;

/// What may be changed through the console. Kafdrop's `topic.createEnabled`, `topic.deleteEnabled` and `message.sendEnabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writes {
    /// Topics may be created.
    pub create_topics: bool,
    /// Topics may be deleted.
    pub delete_topics: bool,
    /// Records may be written.
    pub send_messages: bool,
}

impl Writes {
    /// Everything.
    pub const ALL: Self = Self { create_topics: true, delete_topics: true, send_messages: true };
    /// Nothing.
    pub const NONE: Self = Self { create_topics: false, delete_topics: false, send_messages: false };
}

/// What a console is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kafka's properties of clients: `bootstrap.servers` and whatever the cluster asks for.
    pub client: Properties,
    /// What may be changed.
    pub writes: Writes,
    /// How values are read where an address does not say (`message.format`).
    pub format: Format,
    /// How keys are read where an address does not say (`message.keyFormat`).
    pub key_format: Format,
    /// What stands before every path, such as `/kafka`; empty for none.
    pub path: String,
    /// Where it listens.
    pub listens_on: IpAddr,
    /// Names of hosts under which it may be called, besides addresses and names without a dot.
    pub hosts: Vec<String>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A property of the client.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// The path does not begin with a slash.
    #[error("the path `{0}` must begin with a slash and have only letters, digits and -._/")]
    Path(String),
}

impl Settings {
    /// A console of the cluster with these properties that changes nothing and is reached at the root of `listens_on`.
    #[must_use]
    pub fn new(client: Properties, listens_on: IpAddr) -> Self {
        Self {
            client,
            writes: Writes::NONE,
            format: Format::Default,
            key_format: Format::Default,
            path: String::new(),
            listens_on,
            hosts: Vec::new(),
        }
    }

    /// The path without a slash at its end.
    ///
    /// # Errors
    /// When it does not begin with a slash, or has characters that do not belong there.
    pub(crate) fn base(&self) -> Result<String, SettingsError> {
        let path = self.path.trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
        if (path.is_empty() || path.starts_with('/')) && path.chars().all(is_plain) && !path.contains("//") {
            return Ok(path.to_owned());
        }
        Err(SettingsError::Path(self.path.clone()))
    }
}
