//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).

use std::collections::BTreeSet;

use thalweg_base::NodeId;
use thalweg_metadata::image::partition::{ids, nodes};
use thalweg_metadata::image::{PartitionRegistration, TopicImage};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_partition_reassignments_request::ReassignablePartition;
use thalweg_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use thalweg_wire::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use thalweg_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
};

use crate::create_topics::check_assignment;
use crate::partition_change::PartitionChange;
use crate::partitions::{default_directory, may_lead};
use crate::refusal::parts;
use crate::{Controller, Outcome, Refusal};

/// Whether a reassignment may bring another number of replicas (KIP-860).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Factor {
    Any,
    Same,
}

impl Controller {
    /// Begins, changes or cancels reassignments. Each partition succeeds or fails by itself.
    pub fn alter_partition_reassignments(
        &self,
        image: &MetadataImage,
        request: &AlterPartitionReassignmentsRequest,
    ) -> Outcome<AlterPartitionReassignmentsResponse> {
        let factor = if request.allow_replication_factor_change { Factor::Any } else { Factor::Same };
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for topic in &request.topics {
            let mut one = |target: &ReassignablePartition| {
                let changed = self.reassign(image, &topic.name, target, factor);
                let (error_code, error_message) = parts(&changed);
                records.extend(changed.ok().flatten());
                ReassignablePartitionResponse { partition_index: target.partition_index, error_code, error_message }
            };
            let partitions = topic.partitions.iter().map(&mut one).collect();
            responses.push(ReassignableTopicResponse { name: topic.name.clone(), partitions });
        }
        let response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            responses,
            error_message: None,
            ..Default::default()
        };
        Outcome { records, response }
    }

    fn reassign(
        &self,
        image: &MetadataImage,
        name: &str,
        target: &ReassignablePartition,
        factor: Factor,
    ) -> Result<Option<MetadataRecord>, Refusal> {
        let unknown = |text| Refusal::because(ErrorCode::UnknownTopicOrPartition, text);
        let index = target.partition_index;
        let topic =
            image.topics().by_name(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let partition =
            topic.partition(index).ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        match &target.replicas {
            None => self.cancel(image, topic, index, partition),
            Some(replicas) => self.begin(image, topic, index, partition, nodes(replicas), factor),
        }
    }

    fn begin(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
        target: Vec<NodeId>,
        factor: Factor,
    ) -> Result<Option<MetadataRecord>, Refusal> {
        check_assignment(image, &target, None)?;
        let staying = partition.replicas.iter().filter(|id| !partition.removing_replicas.contains(id)).count();
        if factor == Factor::Same && staying != target.len() {
            let text = format!("The replication factor is changed from {staying} to {}", target.len());
            return Err(Refusal::because(ErrorCode::InvalidReplicationFactor, text));
        }
        let removing = difference(&partition.replicas, &target);
        let adding = difference(&target, &partition.replicas);
        let mut replicas = target;
        replicas.extend(&removing);
        let acceptable = |id| may_lead(image, partition, id);
        let directory = |id| default_directory(image, id);
        let mut change =
            PartitionChange::new(partition, self.rules(image, topic, &acceptable, &directory)).replicas(replicas);
        if !removing.is_empty() {
            change = change.removing(removing);
        }
        if !adding.is_empty() {
            change = change.adding(adding);
        }
        Ok(change.build(topic.id, index).map(MetadataRecord::from))
    }

    /// Takes the new replicas out again. If only new ones are in sync, one of the old ones has to lead although it is
    /// not: that needs the topic's consent.
    fn cancel(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionRegistration,
    ) -> Result<Option<MetadataRecord>, Refusal> {
        if !partition.is_reassigning() {
            return Err(Refusal::bare(ErrorCode::NoReassignmentInProgress));
        }
        let replicas = original(partition);
        let mut isr: Vec<NodeId> = partition.isr.clone();
        isr.retain(|id| !partition.adding_replicas.contains(id));
        if isr.is_empty() {
            let invalid = |text| Refusal::because(ErrorCode::InvalidReplicaAssignment, text);
            let Some(first) = replicas.first() else {
                let text = "Invalid replica assignment: addingReplicas contains all replicas.";
                return Err(invalid(text.to_owned()));
            };
            if !self.unclean_election_enabled(image, &topic.name) {
                return Err(invalid(format!(
                    "Unable to revert partition assignment for {}:{index} because it would require an unclean leader \
                     election.",
                    topic.name
                )));
            }
            isr.push(*first);
        }
        let acceptable = |id| may_lead(image, partition, id);
        let directory = |id| default_directory(image, id);
        let change = PartitionChange::new(partition, self.rules(image, topic, &acceptable, &directory))
            .election(self.election(image, topic))
            .isr(isr)
            .replicas(replicas)
            .removing(Vec::new())
            .adding(Vec::new())
            .build(topic.id, index);
        Ok(change.map(MetadataRecord::from))
    }
}

/// The reassignments that are under way: all, or those of the partitions that the request names.
#[must_use]
pub fn list_partition_reassignments(
    image: &MetadataImage,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let mut topics = Vec::new();
    match &request.topics {
        None => topics.extend(
            image.topics().iter_by_name("").map(|topic| ongoing(topic, topic.partitions.keys().copied().collect())),
        ),
        Some(named) => topics.extend(named.iter().filter_map(|asked| {
            let topic = image.topics().by_name(&asked.name)?;
            Some(ongoing(topic, asked.partition_indexes.iter().copied().collect()))
        })),
    }
    topics.retain(|topic| !topic.partitions.is_empty());
    ListPartitionReassignmentsResponse { topics, error_message: None, ..Default::default() }
}

fn ongoing(topic: &TopicImage, indexes: BTreeSet<i32>) -> OngoingTopicReassignment {
    let one = |index: i32| {
        let partition = topic.partition(index).filter(|partition| partition.is_reassigning())?;
        Some(OngoingPartitionReassignment {
            partition_index: index,
            replicas: ids(&partition.replicas),
            adding_replicas: ids(&partition.adding_replicas),
            removing_replicas: ids(&partition.removing_replicas),
        })
    };
    OngoingTopicReassignment { name: (&*topic.name).into(), partitions: indexes.into_iter().filter_map(one).collect() }
}

/// The replicas without those that a reassignment is adding.
fn original(partition: &PartitionRegistration) -> Vec<NodeId> {
    let mut replicas = partition.replicas.clone();
    replicas.retain(|id| !partition.adding_replicas.contains(id));
    replicas
}

fn difference(a: &[NodeId], b: &[NodeId]) -> Vec<NodeId> {
    let only: BTreeSet<NodeId> = a.iter().filter(|id| !b.contains(id)).copied().collect();
    only.into_iter().collect()
}

#[cfg(test)]
mod tests;
