//! Decides changes to the cluster, and says them as metadata records.
//!
//! A decision looks at a [`MetadataImage`] and changes nothing: it returns an [`Outcome`] with records and a response,
//! or a [`Refusal`]. Its driver appends the records to the metadata log, replays them at once into the image that the
//! next decision looks at, and answers when the quorum has committed them. Readers get the image that is committed.
//! A controller that takes over replays the log, and nothing else: [`Sessions`] is the only state besides it.
//!
//! Error codes and sentences are those of Kafka 4.3, since tools print them.

mod acls;
mod activation;
mod alter_configs;
mod alter_partition;
mod brokers;
mod client_quotas;
mod create_partitions;
mod create_topics;
mod delegation_tokens;
mod delete_topics;
mod directories;
mod elect_leaders;
mod mutations;
mod partition_change;
mod partitions;
pub mod placement;
mod producer_ids;
mod random;
mod reassign;
mod refusal;
mod request;
mod scram;
mod sessions;
mod update_features;

use std::sync::Arc;

use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, ConfigTable};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};
use thalweg_wire::Unstable;

pub use acls::AclFilter;
pub use alter_configs::{
    ConfigsRequest, LoggerChange, Preprocessed, Receiver, ReceiverRole, preprocess, refuse_configs,
};
pub use brokers::RegistrationContext;
pub use delegation_tokens::TokenSettings;
pub use mutations::Mutations;
pub use random::Random;
pub use reassign::list_partition_reassignments;
pub use refusal::{Outcome, Refusal};
pub use request::{Ask, Cluster, Contact, Context, Decision, Principal, Request, Response, SessionChange};
pub use sessions::{SessionTimes, Sessions};
pub use update_features::KRaftFeature;

/// What a controller is told when it is made: its node's own properties and what follows from them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The controller's `node.id`.
    pub node_id: NodeId,
    /// The cluster's id.
    pub cluster_id: String,
    /// The node's properties: what topics get that say nothing, after the dynamic configurations of brokers.
    pub static_configs: ConfigMap,
    /// `num.partitions`: the partitions of a topic whose creator names no number.
    pub partitions_default: i32,
    /// `default.replication.factor`: the replicas of a topic whose creator names no number.
    pub replication_factor_default: i16,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// Whether the cluster has remote storage at all (`remote.log.storage.system.enable`).
    pub remote_storage_enable: bool,
    /// What delegation tokens are made with.
    pub tokens: TokenSettings,
    /// `unstable.feature.versions.enable`: which levels of features it takes.
    pub unstable_features: Unstable,
}

/// Decides changes to the cluster. It holds no state: all of it is in the image.
#[derive(Clone, Debug)]
pub struct Controller {
    settings: Arc<Settings>,
    none: ConfigMap,
}

impl Controller {
    /// A controller with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), none: ConfigMap::new() }
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The broker configurations that topics fall back to.
    fn broker_configs<'a>(&'a self, image: &'a MetadataImage) -> BrokerConfigs<'a> {
        let node = ConfigResource { kind: ConfigResourceType::Broker, name: self.settings.node_id.to_string().into() };
        BrokerConfigs {
            dynamic_node: image.configs().get(&node).unwrap_or(&self.none),
            dynamic_cluster: image.configs().get(&ConfigResource::cluster()).unwrap_or(&self.none),
            static_node: &self.settings.static_configs,
        }
    }

    /// The text of a topic's configuration, be it the topic's own, a broker's, or the default. It must have the same
    /// name for brokers.
    fn effective<'a>(&'a self, image: &'a MetadataImage, topic: &str, name: &str) -> Option<&'a str> {
        let own = image.configs().topic(topic, name).map(|text| &**text);
        let inherited = || self.broker_configs(image).get(name);
        own.or_else(inherited).or_else(|| ConfigTable::TOPIC.get(name).and_then(|def| def.default_text()))
    }

    fn min_insync_replicas(&self, image: &MetadataImage, topic: &str) -> usize {
        let text = self.effective(image, topic, "min.insync.replicas");
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(1)
    }

    fn unclean_election_enabled(&self, image: &MetadataImage, topic: &str) -> bool {
        let text = self.effective(image, topic, "unclean.leader.election.enable");
        text.is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests;
