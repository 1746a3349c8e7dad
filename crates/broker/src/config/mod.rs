//! A node's configuration, from Kafka's own `server.properties`.
//!
//! Every key of Kafka 4.3 is known: it is honoured, or accepted with a [`Notice`] that it has no effect here, or refused
//! with the reason (`support.tbl` says which). A value that Kafka refuses is refused with Kafka's message.

mod access;
mod areas;
mod groups;
mod listeners;
mod properties;
mod providers;
pub mod reference;
mod rules;
mod share;
mod support;
mod transactions;
mod values;

#[cfg(test)]
mod tests;

use std::fmt;

use thalweg_base::NodeId;
use thalweg_metadata::config::{ConfigError, ConfigMap};
use thalweg_wire::Unstable;

pub use access::{AccessConfig, TokenConfig};
pub use areas::{
    ConsoleAccess, FetchConfig, NetworkConfig, QuorumConfig, ReplicationConfig, StorageConfig, TopicsConfig,
};
pub use groups::GroupsConfig;
pub use listeners::{Listener, SecurityProtocol};
pub use share::ShareConfig;
pub use transactions::TransactionsConfig;

use listeners::Listeners;
use properties::Properties;

/// Where metrics and health are served over HTTP, as `host:port`: a key of ours, which Apache Kafka passes over.
pub const HTTP_LISTEN: &str = "thalweg.http.listen";
/// Whether the console is served where metrics are: a key of ours, which Apache Kafka passes over.
pub const CONSOLE: &str = "thalweg.console";
/// What is logged, as `--log-level` takes it: a key of ours, which Apache Kafka passes over.
pub const LOG_LEVEL: &str = "thalweg.log.level";

/// How many bytes the records of a compressed batch may have when they are decompressed: a key of ours, which Apache Kafka
/// passes over.
pub const DECOMPRESSED_MAX: &str = "thalweg.batch.decompressed.max.bytes";

/// The roles of a node; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It keeps partitions and serves clients.
    pub broker: bool,
    /// It takes part in the metadata quorum.
    pub controller: bool,
}

/// Everything that a node is told at its start. Fields have the names and the units of Kafka's configs.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// `node.id`
    pub node_id: NodeId,
    /// `process.roles`
    pub roles: Roles,
    /// `broker.rack`
    pub rack: Option<String>,
    /// Where clients and other nodes reach this one, and how many of them.
    pub network: NetworkConfig,
    /// The metadata quorum.
    pub quorum: QuorumConfig,
    /// The data directories and what happens in them.
    pub storage: StorageConfig,
    /// What topics get that nobody says more about.
    pub topics: TopicsConfig,
    /// Who may do what.
    pub access: AccessConfig,
    /// Limits of fetches.
    pub fetch: FetchConfig,
    /// Replicas and brokers that fall behind.
    pub replication: ReplicationConfig,
    /// Consumer groups and the topic that keeps them.
    pub groups: GroupsConfig,
    /// Share groups and the topic that keeps their state.
    pub share: ShareConfig,
    /// Transactions and the topic that keeps them.
    pub transactions: TransactionsConfig,
    /// `unstable.api.versions.enable`
    pub unstable_apis: Unstable,
    /// `unstable.feature.versions.enable`
    pub unstable_features: Unstable,
    /// The properties as they were written, `broker.id` and `node.id` each standing for the other: what
    /// `DescribeConfigs` shows, and where topics take their defaults from.
    pub properties: ConfigMap,
}

impl NodeConfig {
    /// Reads a node's configuration. A key that stands twice counts as it stands last; `overrides` count over `entries`.
    ///
    /// # Errors
    /// The first thing that Kafka would refuse, or that this node cannot do.
    pub fn from_properties(
        entries: &[(String, String)],
        overrides: &[(String, String)],
    ) -> Result<(Self, Vec<Notice>), Refused> {
        let (config, properties, mut notices) = read(entries, overrides)?;
        rules::topic_defaults(&config, &properties)?;
        notices.extend(support::notices(&properties)?);
        Ok((config, notices))
    }

    /// Reads a node's configuration as Kafka does, without asking whether this node can do what it says: for the tool
    /// that only formats directories.
    ///
    /// # Errors
    /// The first thing that Kafka would refuse.
    pub fn for_formatting(entries: &[(String, String)]) -> Result<Self, Refused> {
        read(entries, &[]).map(|(config, ..)| config)
    }

    /// What a node has that was given no file: broker and controller in one, on the loopback addresses, with its data in the working
    /// directory.
    #[must_use]
    pub fn default_entries() -> Vec<(String, String)> {
        let entries = [
            ("process.roles", "broker,controller"),
            ("node.id", "1"),
            ("controller.quorum.bootstrap.servers", "127.0.0.1:0"),
            ("listeners", "PLAINTEXT://localhost:9092,CONTROLLER://127.0.0.1:9093"),
            ("controller.listener.names", "CONTROLLER"),
            ("log.dirs", "./thalweg-data"),
            ("offsets.topic.replication.factor", "1"),
            ("transaction.state.log.replication.factor", "1"),
            ("transaction.state.log.min.isr", "1"),
            ("share.coordinator.state.topic.replication.factor", "1"),
            ("share.coordinator.state.topic.min.isr", "1"),
        ];
        entries.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec()
    }
}

fn read(
    entries: &[(String, String)],
    overrides: &[(String, String)],
) -> Result<(NodeConfig, Properties, Vec<Notice>), Refused> {
    let properties = Properties::read(entries.iter().chain(overrides))?;
    let roles = properties.list("process.roles");
    let roles = Roles {
        broker: roles.iter().any(|role| role == "broker"),
        controller: roles.iter().any(|role| role == "controller"),
    };
    let listeners = Listeners::read(&properties)?;
    let config = NodeConfig {
        node_id: NodeId(properties.int("node.id")),
        roles,
        rack: properties.optional_string("broker.rack"),
        quorum: QuorumConfig::read(&properties)?,
        storage: StorageConfig::read(&properties)?,
        topics: TopicsConfig::read(&properties),
        access: AccessConfig::read(&properties)?,
        fetch: FetchConfig::read(&properties),
        replication: ReplicationConfig::read(&properties),
        groups: GroupsConfig::read(&properties)?,
        share: ShareConfig::read(&properties)?,
        transactions: TransactionsConfig::read(&properties),
        network: NetworkConfig::read(&properties, listeners)?,
        unstable_apis: unstable(&properties, "unstable.api.versions.enable"),
        unstable_features: unstable(&properties, "unstable.feature.versions.enable"),
        properties: properties.texts().clone(),
    };
    let notices = rules::check(&config, &properties)?;
    Ok((config, properties, notices))
}

fn unstable(properties: &Properties, name: &str) -> Unstable {
    if properties.boolean(name) { Unstable::Shown } else { Unstable::Hidden }
}

/// Something that whoever starts the node should know, and that does not keep it from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A known key whose value makes no difference here.
    NoEffect {
        /// The key.
        key: String,
        /// Why.
        reason: &'static str,
    },
    /// A key that is none of Kafka 4.3's.
    Unknown {
        /// The key.
        key: String,
        /// When Kafka had it, and took it away.
        removed: bool,
    },
    /// What Kafka warns of too.
    Warning(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEffect { key, reason } => write!(f, "{key} has no effect here: {reason}"),
            Self::Unknown { key, removed: false } => {
                write!(f, "{key} is no known config and has no effect")?;
                match reference::suggestions(key).first() {
                    Some(near) => write!(f, "; did you mean {near}?"),
                    None => Ok(()),
                }
            }
            Self::Unknown { key, removed: true } => {
                write!(f, "{key} is no known config and has no effect: Kafka 4.0 removed it")
            }
            Self::Warning(text) => f.write_str(text),
        }
    }
}

/// The kinds of refusal that Kafka tells apart by Java classes; its tools print the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedKind {
    /// A value that its config does not take.
    Config,
    /// Values that do not go together.
    IllegalArgument,
    /// Text where a number should be, outside the table's types.
    NumberFormat,
    /// Anything else that Kafka fails on.
    Kafka,
    /// What Kafka takes and this node cannot do.
    NotBuilt,
}

/// Why a node does not start with this configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Which kind of refusal.
    pub kind: RefusedKind,
    /// Kafka's message, or ours.
    pub message: String,
}

impl Refused {
    fn config(message: impl Into<String>) -> Self {
        Self { kind: RefusedKind::Config, message: message.into() }
    }

    fn illegal(message: impl Into<String>) -> Self {
        Self { kind: RefusedKind::IllegalArgument, message: message.into() }
    }

    /// What Kafka's tools print for it on an exception that nobody caught.
    #[must_use]
    pub fn java_text(&self) -> String {
        let class = match self.kind {
            RefusedKind::Config => "org.apache.kafka.common.config.ConfigException",
            RefusedKind::IllegalArgument | RefusedKind::NotBuilt => "java.lang.IllegalArgumentException",
            RefusedKind::NumberFormat => "java.lang.NumberFormatException",
            RefusedKind::Kafka => "org.apache.kafka.common.KafkaException",
        };
        format!("{class}: {}", self.message)
    }
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::config(error.message)
    }
}

/// Kafka's `require`: the message says that it was one.
fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused::illegal(format!("requirement failed: {}", message()))) }
}
