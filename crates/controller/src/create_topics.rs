//! CreateTopics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, NodeId, Uuid};
use thalweg_metadata::config::{ConfigMap, effective_topic_configs};
use thalweg_metadata::image::partition::nodes;
use thalweg_metadata::image::{BrokerRegistration, LeaderRecoveryState, PartitionEpoch, PartitionRegistration};
use thalweg_metadata::{MetadataImage, MetadataRecord, topic_name};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_topics_request::CreatableTopic;
use thalweg_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use thalweg_wire::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicRecord};

use crate::partitions::default_directory;
use crate::placement::{UsableBroker, place};
use crate::random::{Random, uuid};
use crate::{Controller, Mutations, Outcome, Refusal};

/// The most partitions that one request may create. The limit is Kafka's; it bounds what one batch of records takes.
const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// The topic that a request is to create, and its records.
struct NewTopic {
    id: Uuid,
    configs: ConfigMap,
    config_records: Vec<MetadataRecord>,
    partitions: Vec<PartitionRegistration>,
}

impl Controller {
    /// Creates topics, as far as `mutations` allow. Each of them succeeds or fails by itself; with `validate_only` nothing is created.
    ///
    /// The response says everything about each topic, its configurations included: whoever may not see them must not
    /// be told.
    ///
    /// # Errors
    /// If the request is for too many partitions.
    pub fn create_topics(
        &self,
        image: &MetadataImage,
        random: Random<'_>,
        request: &CreateTopicsRequest,
        mutations: &mut Mutations,
    ) -> Result<Outcome<CreateTopicsResponse>, Refusal> {
        let asked: usize = request.topics.iter().map(|topic| self.partitions_asked(topic)).sum();
        if asked > PARTITIONS_PER_REQUEST_MAX {
            let text = "Excessively large number of partitions per request.";
            return Err(Refusal::because(ErrorCode::PolicyViolation, text));
        }
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<&str> =
            request.topics.iter().map(|topic| &*topic.name).filter(|name| !seen.insert(*name)).collect();
        let mut records = Vec::new();
        let mut response = CreateTopicsResponse::default();
        // Names that share a metric name with a topic of the same request collide only once that topic exists.
        for topic in request.topics.iter().filter(|topic| !twice.contains(&*topic.name)) {
            let created = self.create_topic(image, random, topic);
            let allowed = created.and_then(|new| mutations.take(new.partitions.len()).map(|()| new));
            let result = match allowed.and_then(|new| Ok((self.created(image, topic, &new)?, new))) {
                Ok((result, new)) => {
                    new.write(image, topic, &mut records);
                    result
                }
                Err(refusal) => refused(&topic.name, &refusal),
            };
            response.topics.push(result);
        }
        let duplicate = Refusal::because(ErrorCode::InvalidRequest, "Duplicate topic name.");
        response.topics.extend(twice.iter().map(|name| refused(name, &duplicate)));
        if request.validate_only {
            records.clear();
        }
        Ok(Outcome { records, response })
    }

    fn partitions_asked(&self, topic: &CreatableTopic) -> usize {
        let number = match topic.num_partitions {
            -1 => self.settings().partitions_default,
            number => number,
        };
        match topic.assignments.len() {
            0 => usize::try_from(number).unwrap_or(0),
            assigned => assigned,
        }
    }

    fn create_topic(
        &self,
        image: &MetadataImage,
        random: Random<'_>,
        topic: &CreatableTopic,
    ) -> Result<NewTopic, Refusal> {
        check_name(image, &topic.name)?;
        let nulls: Vec<&str> =
            topic.configs.iter().filter(|config| config.value.is_none()).map(|config| &*config.name).collect();
        if !nulls.is_empty() {
            let text = format!("Null value not supported for topic configs: {}", nulls.join(","));
            return Err(Refusal::because(ErrorCode::InvalidConfig, text));
        }
        let named = topic.configs.iter().filter_map(|config| Some((&*config.name, config.value.as_deref()?)));
        let configs: ConfigMap = named.map(|(name, value)| (Arc::from(name), Arc::from(value))).collect();
        let config_records = self.set_new_topic_configs(image, &topic.name, &configs)?;
        let partitions = match topic.assignments.is_empty() {
            true => self.place_topic(image, random, topic)?,
            false => assigned_topic(image, topic)?,
        };
        assert!(!partitions.is_empty(), "a topic has partitions");
        Ok(NewTopic { id: uuid(random), configs, config_records, partitions })
    }

    /// Chooses brokers for a topic that names only numbers.
    fn place_topic(
        &self,
        image: &MetadataImage,
        random: Random<'_>,
        topic: &CreatableTopic,
    ) -> Result<Vec<PartitionRegistration>, Refusal> {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            let text = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::because(ErrorCode::InvalidReplicationFactor, text));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            let text = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::because(ErrorCode::InvalidPartitions, text));
        }
        let factor = match topic.replication_factor {
            -1 => self.settings().replication_factor_default,
            factor => factor,
        };
        let unable = |why: &dyn std::fmt::Display| {
            let text = format!("Unable to replicate the partition {factor} time(s): {why}");
            Refusal::because(ErrorCode::InvalidReplicationFactor, text)
        };
        let placed = place(self.partitions_asked(topic), i32::from(factor), &usable_brokers(image), random)
            .map_err(|error| unable(&error))?;
        let partition = |replicas| {
            let partition = new_partition(image, replicas);
            partition.ok_or_else(|| unable(&ALL_FENCED))
        };
        placed.into_iter().map(partition).collect()
    }

    fn created(
        &self,
        image: &MetadataImage,
        topic: &CreatableTopic,
        new: &NewTopic,
    ) -> Result<CreatableTopicResult, Refusal> {
        let broker = self.broker_configs(image);
        let mut entries = effective_topic_configs(&new.configs, &broker)
            .map_err(|error| Refusal::because(ErrorCode::InvalidConfig, error.message))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let config = |entry: thalweg_metadata::config::Entry| CreatableTopicConfigs {
            name: entry.name.into(),
            value: entry.value.filter(|_| !entry.is_sensitive).map(Into::into),
            read_only: entry.read_only,
            config_source: entry.source.code(),
            is_sensitive: entry.is_sensitive,
        };
        let factor = new.partitions.first().map_or(0, |partition| partition.replicas.len());
        Ok(CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: new.id,
            error_message: None,
            num_partitions: i32::try_from(new.partitions.len()).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            configs: Some(entries.into_iter().map(config).collect()),
            ..CreatableTopicResult::default()
        })
    }
}

impl NewTopic {
    /// The topic, then its configurations, then its partitions: the order in which readers expect them.
    fn write(self, image: &MetadataImage, topic: &CreatableTopic, records: &mut Vec<MetadataRecord>) {
        records.push(TopicRecord { name: topic.name.clone(), topic_id: self.id }.into());
        records.extend(self.config_records);
        for (index, partition) in (0..).zip(&self.partitions) {
            records.push(partition.to_record(self.id, index, image.metadata_version()).into());
        }
    }
}

pub(crate) const ALL_FENCED: &str = "All brokers are currently fenced or in controlled shutdown.";

fn check_name(image: &MetadataImage, name: &str) -> Result<(), Refusal> {
    if name == topic_name::CLUSTER_METADATA {
        let text = format!("Creation of internal topic {name} is prohibited.");
        return Err(Refusal::because(ErrorCode::InvalidRequest, text));
    }
    if image.topics().by_name(name).is_some() {
        let text = format!("Topic '{name}' already exists.");
        return Err(Refusal::because(ErrorCode::TopicAlreadyExists, text));
    }
    if let Some(other) = image.topics().colliding_with(name) {
        let text = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Refusal::because(ErrorCode::InvalidTopicException, text));
    }
    topic_name::validate(name)
        .map_err(|invalid| Refusal::because(ErrorCode::InvalidTopicException, invalid.to_string()))
}

/// The brokers that may get new replicas.
pub(crate) fn usable_brokers(image: &MetadataImage) -> Vec<UsableBroker> {
    // A broker that has stopped may come back and is taken as those that are fenced; one that is about to stop is not.
    let stops = |b: &BrokerRegistration| b.in_controlled_shutdown && !b.fenced;
    let usable = image.cluster().brokers().filter(|b| !stops(b) && b.has_uncordoned_directory());
    usable.map(|b| UsableBroker { id: b.id, rack: b.rack.clone(), fenced: b.fenced }).collect()
}

/// A partition on those brokers, led by the first one that is active; `None` if none is.
pub(crate) fn new_partition(image: &MetadataImage, replicas: Vec<NodeId>) -> Option<PartitionRegistration> {
    let isr: Vec<NodeId> = replicas.iter().copied().filter(|id| image.cluster().is_active(*id)).collect();
    Some(PartitionRegistration {
        directories: replicas.iter().map(|id| default_directory(image, *id)).collect(),
        leader: *isr.first()?,
        replicas,
        isr,
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
    })
}

/// Checks an assignment that names the brokers itself. `factor` is the replication factor that it must have.
pub(crate) fn check_assignment(
    image: &MetadataImage,
    replicas: &[NodeId],
    factor: Option<usize>,
) -> Result<(), Refusal> {
    let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidReplicaAssignment, text));
    if replicas.is_empty() {
        return invalid("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for id in &sorted {
        let Some(broker) = image.cluster().broker(*id) else {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        };
        if !broker.has_uncordoned_directory() {
            return invalid(format!(
                "The manual partition assignment includes broker {id}, but all its log directories are cordoned."
            ));
        }
        if previous == Some(id) {
            return invalid(format!("The manual partition assignment includes the broker {id} more than once."));
        }
        previous = Some(id);
    }
    match factor {
        Some(factor) if factor != replicas.len() => invalid(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with \
             previous partitions, which have {factor} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

/// The partitions of a topic that names the brokers of each itself.
fn assigned_topic(image: &MetadataImage, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, Refusal> {
    let both = |what: &str| {
        let text = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Refusal::because(ErrorCode::InvalidRequest, text))
    };
    if topic.replication_factor != -1 {
        return both("replication factor");
    }
    if topic.num_partitions != -1 {
        return both("numPartitions");
    }
    let invalid = |text: String| Refusal::because(ErrorCode::InvalidReplicaAssignment, text);
    let mut partitions = BTreeMap::new();
    let mut factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        if partitions.contains_key(&index) {
            return Err(invalid(format!("Found multiple manual partition assignments for partition {index}")));
        }
        let replicas = nodes(&assignment.broker_ids);
        check_assignment(image, &replicas, factor)?;
        factor = Some(replicas.len());
        let partition = new_partition(image, replicas).ok_or_else(|| invalid(all_fenced(index)))?;
        partitions.insert(index, partition);
    }
    if !partitions.keys().copied().eq((0..).take(partitions.len())) {
        return Err(invalid("partitions should be a consecutive 0-based integer sequence".to_owned()));
    }
    Ok(partitions.into_values().collect())
}

pub(crate) fn all_fenced(index: i32) -> String {
    format!(
        "All brokers specified in the manual partition assignment for partition {index} are fenced or in controlled \
         shutdown."
    )
}

fn refused(name: &str, refusal: &Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.into(),
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..CreatableTopicResult::default()
    }
}

#[cfg(test)]
mod tests;
