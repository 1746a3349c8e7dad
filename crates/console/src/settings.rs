//! What a console is told: how it reaches the cluster, what it may change, and by which names it is called.

use std::net::IpAddr;

use thalweg_client::{ConfigError, Properties};

use crate::history::VitalsSource;
use crate::login::LogIn;
use crate::masks::Masks;
use crate::trouble::Trouble;
use crate::values::Format;

/// What may be changed through the console, each by a switch of its own. The first three switches are Kafdrop's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writes {
    /// `topic.createEnabled`: topics may be created.
    pub create_topics: bool,
    /// `topic.deleteEnabled`: topics and records may be deleted.
    pub delete_topics: bool,
    /// `message.sendEnabled`: records may be written.
    pub send_messages: bool,
    /// `topic.alterEnabled`: configs of topics may be changed, and partitions added.
    pub alter_topics: bool,
    /// `group.alterEnabled`: offsets of groups may be reset, and groups deleted.
    pub alter_groups: bool,
    /// `cluster.alterEnabled`: transactions may be aborted, and ACLs, quotas and users changed.
    pub alter_cluster: bool,
}

/// A switch of [`Writes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    CreateTopics,
    DeleteTopics,
    SendMessages,
    AlterTopics,
    AlterGroups,
    AlterCluster,
}

impl Switch {
    /// Its name among the settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateTopics => "topic.createEnabled",
            Self::DeleteTopics => "topic.deleteEnabled",
            Self::SendMessages => "message.sendEnabled",
            Self::AlterTopics => "topic.alterEnabled",
            Self::AlterGroups => "group.alterEnabled",
            Self::AlterCluster => "cluster.alterEnabled",
        }
    }
}

impl Writes {
    /// Everything.
    pub const ALL: Self = Self::all(true);
    /// Nothing.
    pub const NONE: Self = Self::all(false);

    const fn all(on: bool) -> Self {
        Self {
            create_topics: on,
            delete_topics: on,
            send_messages: on,
            alter_topics: on,
            alter_groups: on,
            alter_cluster: on,
        }
    }

    /// Refuses what is switched off.
    pub(crate) fn check(self, switch: Switch) -> Result<(), Trouble> {
        let is_on = match switch {
            Switch::CreateTopics => self.create_topics,
            Switch::DeleteTopics => self.delete_topics,
            Switch::SendMessages => self.send_messages,
            Switch::AlterTopics => self.alter_topics,
            Switch::AlterGroups => self.alter_groups,
            Switch::AlterCluster => self.alter_cluster,
        };
        let name = switch.name();
        let off = || Trouble::Forbidden(format!("this is switched off: see {name} in the console's settings"));
        is_on.then_some(()).ok_or_else(off)
    }
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
    /// How visitors log in.
    pub login: LogIn,
    /// What is hidden of records.
    pub masks: Masks,
    /// Names of hosts under which it may be called, besides addresses and names without a dot.
    pub hosts: Vec<String>,
    /// The numbers of the node beside which it runs; without them it keeps no history.
    pub vitals: Option<VitalsSource>,
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
            login: LogIn::Open,
            masks: Masks::default(),
            hosts: Vec::new(),
            vitals: None,
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
