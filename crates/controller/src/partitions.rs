//! What the coming and going of brokers means for the partitions.

use thalweg_base::{NodeId, Uuid};
use thalweg_metadata::image::partition::directory;
use thalweg_metadata::image::{PartitionRegistration, TopicImage};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};

use crate::Controller;
use crate::partition_change::{Election, PartitionChange, Rules};

/// What happens to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerEvent {
    /// It may not lead nor be in an ISR any more.
    Leaves(NodeId),
    /// It may lead again, although the image does not say so yet.
    Returns(NodeId),
    /// It lost what it had not flushed.
    CrashedUncleanly(NodeId),
}

impl BrokerEvent {
    fn removed(self) -> Option<NodeId> {
        match self {
            Self::Leaves(id) | Self::CrashedUncleanly(id) => Some(id),
            Self::Returns(_) => None,
        }
    }
}

impl Controller {
    /// The records that follow from a broker's coming or going, for the partitions that `concerned` picks. Every
    /// partition of the cluster is looked at: brokers come and go seldom.
    pub(crate) fn partitions_follow(
        &self,
        image: &MetadataImage,
        event: BrokerEvent,
        concerned: impl Fn(&PartitionRegistration) -> bool,
    ) -> Vec<MetadataRecord> {
        let active = |id: NodeId| match event {
            _ if event.removed() == Some(id) => false,
            BrokerEvent::Returns(returns) if returns == id => true,
            _ => image.cluster().is_active(id),
        };
        let mut records = Vec::new();
        for topic in image.topics().iter() {
            for (&index, partition) in &topic.partitions {
                if concerned(partition) {
                    records.extend(self.partition_follows(image, event, &active, topic, index, partition));
                }
            }
        }
        records
    }

    fn partition_follows(
        &self,
        image: &MetadataImage,
        event: BrokerEvent,
        active: &dyn Fn(NodeId) -> bool,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
    ) -> Option<MetadataRecord> {
        let unclean_shutdown = match event {
            BrokerEvent::CrashedUncleanly(id) => Some(id),
            BrokerEvent::Leaves(_) | BrokerEvent::Returns(_) => None,
        };
        let isr = partition.isr.iter().copied().filter(|id| event.removed() != Some(*id)).collect();
        let acceptable = |id| active(id) && has_online_replica(image, partition, id);
        let default_directory = |id| default_directory(image, id);
        let rules = self.rules(image, topic, &acceptable, &default_directory);
        let change = PartitionChange::new(partition, rules)
            .election(self.election(image, topic))
            .unclean_shutdown(unclean_shutdown)
            .isr(isr)
            .build(topic.id, index)?;
        Some(change.into())
    }

    /// What changes of a topic's partitions depend on.
    pub(crate) fn rules<'a>(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        acceptable: &'a dyn Fn(NodeId) -> bool,
        default_directory: &'a dyn Fn(NodeId) -> Uuid,
    ) -> Rules<'a> {
        let replicas = topic.partition(0).map_or(1, |partition| partition.replicas.len());
        Rules {
            acceptable,
            default_directory,
            version: image.metadata_version(),
            elr_enabled: image.features().elr_enabled(),
            isr_min: self.min_insync_replicas(image, &topic.name).min(replicas),
        }
    }

    /// How a topic's leaders are elected when nobody asks for a kind of election.
    pub(crate) fn election(&self, image: &MetadataImage, topic: &TopicImage) -> Election {
        match self.unclean_election_enabled(image, &topic.name) {
            true => Election::Unclean,
            false => Election::Online,
        }
    }
}

/// Whether a broker holds a replica of the partition in a directory that is online.
pub(crate) fn has_online_replica(image: &MetadataImage, partition: &PartitionRegistration, id: NodeId) -> bool {
    let Some(broker) = image.cluster().broker(id) else { return false };
    partition.directory(id).is_some_and(|directory| broker.has_online_directory(directory))
}

/// Whether a broker is active and holds a replica of the partition in a directory that is online.
pub(crate) fn may_lead(image: &MetadataImage, partition: &PartitionRegistration, id: NodeId) -> bool {
    image.cluster().is_active(id) && has_online_replica(image, partition, id)
}

/// The directory in which a broker will have a new replica, as far as that is known: if it has only one, that.
pub(crate) fn default_directory(image: &MetadataImage, id: NodeId) -> Uuid {
    if image.metadata_version() < MetadataVersion::DIRECTORY_ASSIGNMENT {
        return directory::MIGRATING;
    }
    match image.cluster().broker(id).map(|broker| &broker.directories[..]) {
        Some([]) => directory::MIGRATING,
        Some([only]) => *only,
        _ => directory::UNASSIGNED,
    }
}
