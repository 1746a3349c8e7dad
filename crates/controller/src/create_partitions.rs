//! CreatePartitions.

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_base::NodeId;
use thalweg_metadata::image::TopicImage;
use thalweg_metadata::image::partition::nodes;
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use thalweg_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use thalweg_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::create_topics::{ALL_FENCED, all_fenced, check_assignment, new_partition, usable_brokers};
use crate::placement::place;
use crate::random::Random;
use crate::refusal::parts;
use crate::{Controller, Mutations, Outcome, Refusal};

/// The most partitions that a topic may be given at once: as many as one batch of records holds.
const PARTITIONS_ADDED_MAX: usize = 10_000;

impl Controller {
    /// Gives topics more partitions. Each of them succeeds or fails by itself; with `validate_only` nothing changes.
    pub fn create_partitions(
        &self,
        image: &MetadataImage,
        random: Random<'_>,
        request: &CreatePartitionsRequest,
        mutations: &mut Mutations,
    ) -> Outcome<CreatePartitionsResponse> {
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<&ByteString> =
            request.topics.iter().map(|topic| &topic.name).filter(|name| !seen.insert(*name)).collect();
        let duplicate: Result<(), _> = Err(Refusal::because(ErrorCode::InvalidRequest, "Duplicate topic name."));
        let mut results: Vec<_> = twice.iter().map(|name| result(name, &duplicate)).collect();
        let mut records = Vec::new();
        for topic in request.topics.iter().filter(|topic| !twice.contains(&topic.name)) {
            let added = add_partitions(image, random, topic, mutations);
            results.push(result(&topic.name, &added));
            records.extend(added.unwrap_or_default());
        }
        if request.validate_only {
            records.clear();
        }
        Outcome { records, response: CreatePartitionsResponse { results, ..Default::default() } }
    }
}

fn add_partitions(
    image: &MetadataImage,
    random: Random<'_>,
    request: &CreatePartitionsTopic,
    mutations: &mut Mutations,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let Some(topic) = image.topics().by_name(&request.name) else {
        return Err(Refusal::bare(ErrorCode::UnknownTopicOrPartition));
    };
    let current = topic.partition_count();
    let wanted = usize::try_from(request.count).unwrap_or(0);
    let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidPartitions, text));
    if wanted == current {
        return invalid(format!("Topic already has {current} partition(s)."));
    }
    if wanted < current {
        return invalid(format!(
            "The topic {} currently has {current} partition(s); {} would not be an increase.",
            request.name, request.count
        ));
    }
    let additional = wanted - current;
    if let Some(assigned) = request.assignments.as_ref().map(Vec::len).filter(|assigned| *assigned != additional) {
        let text = format!(
            "Attempted to add {additional} additional partition(s), but only {assigned} assignment(s) were specified."
        );
        return Err(Refusal::because(ErrorCode::InvalidReplicaAssignment, text));
    }
    mutations.take(additional)?;
    if additional > PARTITIONS_ADDED_MAX {
        // Kafka's list of records is full, and it says nothing about it.
        return Err(Refusal::bare(ErrorCode::UnknownServerError));
    }
    let Some(factor) = topic.partitions.values().next().map(|partition| partition.replicas.len()) else {
        return Err(Refusal::bare(ErrorCode::UnknownServerError));
    };
    let replicas = match &request.assignments {
        Some(assignments) => assigned(image, topic, assignments, factor)?,
        None => place(additional, i32::try_from(factor).unwrap_or(i32::MAX), &usable_brokers(image), random)
            .map_err(|error| Refusal::because(ErrorCode::InvalidReplicationFactor, error.to_string()))?,
    };
    let record = |(index, replicas): (usize, Vec<NodeId>)| match new_partition(image, replicas) {
        Some(partition) => {
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            Ok(partition.to_record(topic.id, index, image.metadata_version()).into())
        }
        None => {
            let text = format!("Unable to replicate the partition {factor} time(s): {ALL_FENCED}");
            Err(Refusal::because(ErrorCode::InvalidReplicationFactor, text))
        }
    };
    (current..).zip(replicas).map(record).collect()
}

fn assigned(
    image: &MetadataImage,
    topic: &TopicImage,
    assignments: &[CreatePartitionsAssignment],
    factor: usize,
) -> Result<Vec<Vec<NodeId>>, Refusal> {
    let mut all = Vec::with_capacity(assignments.len());
    for (index, assignment) in (topic.partition_count()..).zip(assignments) {
        let replicas = nodes(&assignment.broker_ids);
        check_assignment(image, &replicas, Some(factor))?;
        if !replicas.iter().any(|id| image.cluster().is_active(*id)) {
            let text = all_fenced(i32::try_from(index).unwrap_or(i32::MAX));
            return Err(Refusal::because(ErrorCode::InvalidReplicaAssignment, text));
        }
        all.push(replicas);
    }
    Ok(all)
}

fn result<T>(name: &ByteString, result: &Result<T, Refusal>) -> CreatePartitionsTopicResult {
    let (error_code, error_message) = parts(result);
    CreatePartitionsTopicResult { name: name.clone(), error_code, error_message }
}

#[cfg(test)]
mod tests;
