//! Every config of Kafka 4.3: names, types, defaults, ranges, and how topics, brokers and groups get their values.
//!
//! The facts come from Kafka's own definitions (`tables/*.tbl`, taken over by `cargo xtask import-configs`), the
//! descriptions are ours (`tables/*_docs.tbl`). Messages of refused values are Kafka's, because tools print them and
//! scripts read them.

mod client_metrics_rules;
mod describe;
mod group_rules;
mod kind;
mod number;
mod table;
mod topic;
mod topic_rules;
mod validate;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use client_metrics_rules::{InvalidSubscription, validate_client_metrics};
pub use describe::{Entry, EntrySynonym, Source, describe_broker, describe_broker_defaults, describe_topic};
pub use describe::{describe_client_metrics, describe_group, effective_topic_configs};
pub use group_rules::validate_group;
pub use kind::Kind;
pub use table::{ConfigDef, ConfigTable, DefaultValue, Importance, Synonym, Unit, UpdateMode};
pub use topic::{CleanupPolicy, MessageTimestampType, TopicCompression, TopicConfig};
pub use topic_rules::{validate_broker_topic_defaults, validate_topic};
pub use validate::{Bound, Validator, parse_bootstrap_server, parse_voter};
pub use value::Value;

/// Config texts by name: the overrides of one topic, the properties of one broker.
pub type ConfigMap = imbl::OrdMap<Arc<str>, Arc<str>>;

/// Where a broker's configs come from, besides their defaults.
#[derive(Clone, Copy, Debug)]
pub struct BrokerConfigs<'a> {
    /// Set at run time for this node: the strongest.
    pub dynamic_node: &'a ConfigMap,
    /// Set at run time for every node of the cluster.
    pub dynamic_cluster: &'a ConfigMap,
    /// The node's own properties file and command line.
    pub static_node: &'a ConfigMap,
}

impl<'a> BrokerConfigs<'a> {
    /// The sources from the strongest to the weakest.
    fn layers(&self) -> [(Source, &'a ConfigMap); 3] {
        [
            (Source::DynamicBroker, self.dynamic_node),
            (Source::DynamicDefaultBroker, self.dynamic_cluster),
            (Source::StaticBroker, self.static_node),
        ]
    }

    /// The text that counts for `name` alone, its synonyms left aside; `None` when only the default is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.layers().into_iter().find_map(|(_, layer)| layer.get(name)).map(|text| &**text)
    }
}

/// A refused config, with Kafka's message. It is `INVALID_CONFIG` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// What Kafka would say.
    pub message: String,
}

impl ConfigError {
    /// A refusal with this message as it stands.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The refusal of one value: `Invalid value V for configuration N: why`.
    #[must_use]
    pub fn invalid(name: &str, value: &str, why: &str) -> Self {
        Self::new(format!("Invalid value {value} for configuration {name}: {why}"))
    }
}
