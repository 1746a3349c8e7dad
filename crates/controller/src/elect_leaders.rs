//! ElectLeaders, and leaders that go back to their preferred replicas.

use thalweg_base::NodeId;
use thalweg_metadata::image::TopicImage;
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use thalweg_wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::partition_change::{Election, PartitionChange};
use crate::partitions::{default_directory, may_lead};
use crate::{Controller, Outcome, Refusal};

impl Controller {
    /// Elects leaders as an operator asks for it. Each partition succeeds or fails by itself; when all partitions are
    /// meant, those that need no election are not in the response.
    ///
    /// # Errors
    /// If there is no such kind of election.
    pub fn elect_leaders(
        &self,
        image: &MetadataImage,
        request: &ElectLeadersRequest,
    ) -> Result<Outcome<ElectLeadersResponse>, Refusal> {
        let election = match request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            other => {
                let text = format!("Unknown election type {other}");
                return Err(Refusal::because(ErrorCode::InvalidRequest, text));
            }
        };
        let mut records = Vec::new();
        let mut elect = |topic: &str, index: i32| {
            let elected = self.elect(image, topic, index, election);
            let (error_code, error_message) = crate::refusal::parts(&elected);
            records.extend(elected.ok());
            PartitionResult { partition_id: index, error_code, error_message }
        };
        let mut results = Vec::new();
        match &request.topic_partitions {
            Some(topics) => results.extend(topics.iter().map(|topic| {
                let partition_result = topic.partitions.iter().map(|index| elect(&topic.topic, *index)).collect();
                ReplicaElectionResult { topic: topic.topic.clone(), partition_result }
            })),
            None => results.extend(image.topics().iter_by_name("").map(|topic| {
                let all = topic.partitions.keys().map(|index| elect(&topic.name, *index));
                let needed = all.filter(|result| result.error_code != ErrorCode::ElectionNotNeeded.code()).collect();
                ReplicaElectionResult { topic: (&*topic.name).into(), partition_result: needed }
            })),
        }
        let response = ElectLeadersResponse { replica_election_results: results, ..Default::default() };
        Ok(Outcome { records, response })
    }

    fn elect(
        &self,
        image: &MetadataImage,
        name: &str,
        index: i32,
        election: Election,
    ) -> Result<MetadataRecord, Refusal> {
        let unknown = |text| Refusal::because(ErrorCode::UnknownTopicOrPartition, text);
        let topic = image.topics().by_name(name).ok_or_else(|| unknown(format!("No such topic as {name}")))?;
        let partition =
            topic.partition(index).ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
        let (needed, unavailable) = match election {
            Election::Unclean => (!partition.has_leader(), ErrorCode::EligibleLeadersNotAvailable),
            _ => (partition.leader != partition.preferred_replica(), ErrorCode::PreferredLeaderNotAvailable),
        };
        if !needed {
            return Err(Refusal::usual(ErrorCode::ElectionNotNeeded));
        }
        self.election_record(image, topic, index, election).ok_or_else(|| Refusal::usual(unavailable))
    }

    /// Gives leaderships back to preferred replicas that can lead again (`auto.leader.rebalance.enable`), at most
    /// `max` of them. If there are as many records, there may be more to do.
    #[must_use]
    pub fn balance_leaders(&self, image: &MetadataImage, max: usize) -> Vec<MetadataRecord> {
        let all = image.topics().iter().flat_map(|topic| topic.partitions.iter().map(move |(i, p)| (topic, *i, p)));
        all.filter(|(_, _, partition)| partition.leader != partition.preferred_replica())
            .filter(|(_, _, partition)| {
                let preferred = partition.preferred_replica();
                partition.isr.contains(&preferred) && may_lead(image, partition, preferred)
            })
            .filter_map(|(topic, index, _)| self.election_record(image, topic, index, Election::Preferred))
            .take(max)
            .collect()
    }

    /// Elects leaders among replicas that may lack records, for partitions without a leader whose topics allow it
    /// (`unclean.leader.election.enable`), at most `max` of them. Whoever allows it may do so when there is no leader any more.
    #[must_use]
    pub fn elect_unclean_leaders(&self, image: &MetadataImage, max: usize) -> Vec<MetadataRecord> {
        let leaderless = image.topics().iter().flat_map(|topic| {
            let partitions = topic.partitions.iter().filter(|(_, partition)| partition.leader == NodeId::NONE);
            partitions.map(move |(index, _)| (topic, *index))
        });
        leaderless
            .filter(|(topic, _)| self.unclean_election_enabled(image, &topic.name))
            .filter_map(|(topic, index)| self.election_record(image, topic, index, Election::Unclean))
            .take(max)
            .collect()
    }

    fn election_record(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        index: i32,
        election: Election,
    ) -> Option<MetadataRecord> {
        let partition = topic.partition(index)?;
        let acceptable = |id| may_lead(image, partition, id);
        let directory = |id| default_directory(image, id);
        let change = PartitionChange::new(partition, self.rules(image, topic, &acceptable, &directory))
            .election(election)
            .build(topic.id, index)?;
        Some(change.into())
    }
}

#[cfg(test)]
mod tests;
