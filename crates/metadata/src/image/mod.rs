//! The cluster as one immutable value.
//!
//! A [`MetadataImage`] is what all records of the metadata log up to some offset add up to. It is cheap to clone, so
//! that readers hold one for as long as they like while the next one is made beside it by [`MetadataImage::replay`].

pub mod acls;
mod cluster;
mod configs;
mod features;
pub mod partition;
mod quotas;
mod security;
mod topics;

use std::sync::Arc;

use thalweg_base::{BrokerEpoch, LeaderEpoch, NodeId, Offset, ProducerId, Timestamp};
use thalweg_wire::messages::{BrokerRegistrationChangeRecord, ProducerIdsRecord};

pub use acls::{Acl, AclsImage};
pub use cluster::{
    BrokerRegistration, ClusterImage, ControllerRegistration, Endpoint, FENCE, IN_CONTROLLED_SHUTDOWN,
    SecurityProtocol, UNFENCE, VersionRange,
};
pub use configs::{ConfigResource, ConfigResourceType, Configs, ConfigsImage};
pub use features::FeaturesImage;
pub use partition::{LeaderRecoveryState, PartitionEpoch, PartitionRegistration};
pub use quotas::{ClientQuotasImage, QuotaEntity};
pub use security::{DelegationToken, DelegationTokensImage, ScramCredential, ScramImage};
pub use topics::{TopicImage, TopicsImage};

use crate::{MetadataRecord, MetadataVersion};

/// Up to where in the metadata log an image goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The offset of the last record that is in the image; -1 if none is.
    pub offset: Offset,
    /// The epoch of the quorum's leader that wrote it.
    pub epoch: LeaderEpoch,
    /// When it was written.
    pub timestamp: Timestamp,
}

impl Default for Provenance {
    fn default() -> Self {
        Self { offset: Offset(-1), epoch: LeaderEpoch::NONE, timestamp: Timestamp::NONE }
    }
}

/// Everything that the metadata log says.
///
/// Two images are equal if a snapshot of them would hold the same, wherever they come from.
#[derive(Clone, Debug, Default)]
pub struct MetadataImage {
    features: FeaturesImage,
    cluster: ClusterImage,
    topics: TopicsImage,
    configs: ConfigsImage,
    client_quotas: ClientQuotasImage,
    /// The first producer id that has not been handed out; `None` before the first block.
    next_producer_id: Option<ProducerId>,
    acls: AclsImage,
    scram: ScramImage,
    delegation_tokens: DelegationTokensImage,
    provenance: Provenance,
    /// The image from before the metadata transaction that is under way (KIP-868).
    before_transaction: Option<Arc<MetadataImage>>,
}

impl PartialEq for MetadataImage {
    fn eq(&self, other: &Self) -> bool {
        self.features == other.features
            && self.cluster == other.cluster
            && self.topics == other.topics
            && self.configs == other.configs
            && self.client_quotas == other.client_quotas
            && self.next_producer_id == other.next_producer_id
            && self.acls == other.acls
            && self.scram == other.scram
            && self.delegation_tokens == other.delegation_tokens
    }
}

impl MetadataImage {
    /// Applies one record. It cannot fail: records come from the log, where a record about something unknown changes
    /// nothing.
    pub fn replay(&mut self, record: &MetadataRecord, offset: Offset) {
        self.provenance.offset = offset;
        match record {
            MetadataRecord::FeatureLevel(r) => self.features.replay(r),
            MetadataRecord::Topic(r) => self.topics.replay_topic(r),
            MetadataRecord::Partition(r) => self.topics.replay_partition(r),
            MetadataRecord::PartitionChange(r) => self.topics.replay_partition_change(r),
            MetadataRecord::RemoveTopic(r) => {
                if let Some(name) = self.topics.remove(r.topic_id) {
                    self.configs.remove_topic(name);
                }
            }
            MetadataRecord::ClearElr(r) => self.topics.replay_clear_elr(&r.topic_name),
            MetadataRecord::Config(r) => self.configs.replay(r),
            MetadataRecord::ClientQuota(r) => self.client_quotas.replay(r),
            MetadataRecord::ProducerIds(r) => self.next_producer_id = Some(ProducerId(r.next_producer_id)),
            MetadataRecord::AccessControlEntry(r) => self.acls.replay(r),
            MetadataRecord::RemoveAccessControlEntry(r) => self.acls.remove(r.id),
            MetadataRecord::UserScramCredential(r) => self.scram.replay(r),
            MetadataRecord::RemoveUserScramCredential(r) => self.scram.remove(r.mechanism, &r.name),
            MetadataRecord::DelegationToken(r) => self.delegation_tokens.replay(r),
            MetadataRecord::RemoveDelegationToken(r) => self.delegation_tokens.remove(&r.token_id),
            MetadataRecord::BeginTransaction(_) => self.begin_transaction(),
            MetadataRecord::EndTransaction(_) => self.before_transaction = None,
            MetadataRecord::AbortTransaction(_) => self.abort_transaction(),
            MetadataRecord::NoOp(_) | MetadataRecord::ZkMigrationState(_) => {}
            _ => self.replay_registration(record, offset),
        }
    }

    fn replay_registration(&mut self, record: &MetadataRecord, offset: Offset) {
        let fencing = |broker_id, broker_epoch, fenced| BrokerRegistrationChangeRecord {
            broker_id,
            broker_epoch,
            fenced,
            ..BrokerRegistrationChangeRecord::default()
        };
        match record {
            MetadataRecord::RegisterBroker(r) => self.cluster.replay_register_broker(r, offset),
            MetadataRecord::UnregisterBroker(r) => {
                self.cluster.replay_unregister_broker(NodeId(r.broker_id), BrokerEpoch(r.broker_epoch));
            }
            MetadataRecord::BrokerRegistrationChange(r) => self.cluster.replay_broker_change(r),
            MetadataRecord::FenceBroker(r) => self.cluster.replay_broker_change(&fencing(r.id, r.epoch, FENCE)),
            MetadataRecord::UnfenceBroker(r) => self.cluster.replay_broker_change(&fencing(r.id, r.epoch, UNFENCE)),
            MetadataRecord::RegisterController(r) => self.cluster.replay_register_controller(r),
            _ => {}
        }
    }

    fn begin_transaction(&mut self) {
        if self.before_transaction.is_none() {
            self.before_transaction = Some(Arc::new(self.clone()));
        }
    }

    fn abort_transaction(&mut self) {
        if let Some(before) = self.before_transaction.take() {
            let provenance = self.provenance;
            *self = Self { provenance, ..(*before).clone() };
        }
    }

    /// Notes from which batch of the log the last replayed record was.
    pub fn set_provenance(&mut self, provenance: Provenance) {
        self.provenance = provenance;
    }

    /// Up to where in the log this image goes.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// What readers may see: this image, or, inside a metadata transaction, the one from before it began.
    #[must_use]
    pub fn visible(&self) -> &Self {
        self.before_transaction.as_deref().unwrap_or(self)
    }

    /// Whether a metadata transaction has begun and neither ended nor been aborted.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.before_transaction.is_some()
    }

    /// Whether no record has said anything yet: a new log.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The level of `metadata.version`, or the oldest one that there is as long as the log names none.
    #[must_use]
    pub fn metadata_version(&self) -> MetadataVersion {
        self.features.metadata_version().unwrap_or(MetadataVersion::MINIMUM)
    }

    /// The finalized features.
    #[must_use]
    pub fn features(&self) -> &FeaturesImage {
        &self.features
    }

    /// The registered brokers and controllers.
    #[must_use]
    pub fn cluster(&self) -> &ClusterImage {
        &self.cluster
    }

    /// The topics.
    #[must_use]
    pub fn topics(&self) -> &TopicsImage {
        &self.topics
    }

    /// The dynamic configurations.
    #[must_use]
    pub fn configs(&self) -> &ConfigsImage {
        &self.configs
    }

    /// The client quotas.
    #[must_use]
    pub fn client_quotas(&self) -> &ClientQuotasImage {
        &self.client_quotas
    }

    /// The first producer id that has not been handed out.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id.unwrap_or(ProducerId(0))
    }

    /// The ACLs.
    #[must_use]
    pub fn acls(&self) -> &AclsImage {
        &self.acls
    }

    /// The SCRAM credentials.
    #[must_use]
    pub fn scram(&self) -> &ScramImage {
        &self.scram
    }

    /// The delegation tokens.
    #[must_use]
    pub fn delegation_tokens(&self) -> &DelegationTokensImage {
        &self.delegation_tokens
    }

    /// The records of a snapshot: replayed into an empty image they give this image again. Their order is Kafka's,
    /// the features first, so that a reader knows the metadata version before anything else.
    #[must_use]
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let version = self.metadata_version();
        let mut out = Vec::new();
        self.features.write(&mut out);
        self.cluster.write(version, &mut out);
        self.topics.write(version, &mut out);
        self.configs.write(&mut out);
        self.client_quotas.write(&mut out);
        if let Some(next) = self.next_producer_id {
            let record = ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: next.0 };
            out.push(record.into());
        }
        self.acls.write(&mut out);
        self.scram.write(version, &mut out);
        self.delegation_tokens.write(version, &mut out);
        out
    }
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
