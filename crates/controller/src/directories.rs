//! AssignReplicasToDirs: a broker tells in which log directories its replicas are (KIP-858).

use thalweg_base::{BrokerEpoch, NodeId, Uuid};
use thalweg_metadata::image::{BrokerRegistration, TopicImage};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use thalweg_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};

use crate::brokers::check_broker_epoch;
use crate::partition_change::PartitionChange;
use crate::partitions::{default_directory, may_lead};
use crate::{Controller, Outcome, Refusal};

impl Controller {
    /// Notes the directories of a broker's replicas. A replica in a directory that is offline leaves the ISR.
    ///
    /// # Errors
    /// If the broker is not registered with that epoch, or the metadata version is too old.
    pub fn assign_replicas_to_dirs(
        &self,
        image: &MetadataImage,
        request: &AssignReplicasToDirsRequest,
    ) -> Result<Outcome<AssignReplicasToDirsResponse>, Refusal> {
        if image.metadata_version() < MetadataVersion::DIRECTORY_ASSIGNMENT {
            let text = "Directory assignment is not supported yet.";
            return Err(Refusal::because(ErrorCode::UnsupportedVersion, text));
        }
        let broker = check_broker_epoch(image, NodeId(request.broker_id), BrokerEpoch(request.broker_epoch))?;
        let mut records = Vec::new();
        let mut response = AssignReplicasToDirsResponse::default();
        for directory in &request.directories {
            let mut topics = Vec::new();
            for asked in &directory.topics {
                let topic = image.topics().by_id(asked.topic_id);
                let mut one = |index: i32| {
                    let assigned = topic.ok_or(ErrorCode::UnknownTopicId);
                    let assigned = assigned.and_then(|topic| self.assign(image, broker, topic, index, directory.id));
                    let error_code = assigned.as_ref().err().map_or(0, |error| error.code());
                    records.extend(assigned.ok().flatten());
                    PartitionData { partition_index: index, error_code }
                };
                let partitions = asked.partitions.iter().map(|partition| one(partition.partition_index)).collect();
                topics.push(TopicData { topic_id: asked.topic_id, partitions });
            }
            response.directories.push(DirectoryData { id: directory.id, topics });
        }
        Ok(Outcome { records, response })
    }

    fn assign(
        &self,
        image: &MetadataImage,
        broker: &BrokerRegistration,
        topic: &TopicImage,
        index: i32,
        directory: Uuid,
    ) -> Result<Option<MetadataRecord>, ErrorCode> {
        let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if !partition.replicas.contains(&broker.id) {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let online = broker.has_online_directory(directory);
        // Where the replica is now counts, not where it was.
        let acceptable = |id| {
            if id == broker.id { online && image.cluster().is_active(id) } else { may_lead(image, partition, id) }
        };
        let default = |id| default_directory(image, id);
        let mut change = PartitionChange::new(partition, self.rules(image, topic, &acceptable, &default))
            .directory(broker.id, directory);
        if !online {
            change = change
                .election(self.election(image, topic))
                .isr(partition.isr.iter().copied().filter(|id| *id != broker.id).collect());
        }
        Ok(change.build(topic.id, index).map(MetadataRecord::from))
    }
}
