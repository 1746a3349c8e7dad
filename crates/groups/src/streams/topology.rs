//! What a streams application consists of, and what that means for the topics that there are: how many tasks each
//! subtopology has, and which internal topics are missing.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::topic_name;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use thalweg_wire::messages::streams_group_topology_value::{CopartitionGroup, Subtopology, TopicConfig, TopicInfo};

use super::validate::Status;
use crate::consumer::{Refusal, copy};
use crate::walk;

/// So many topics are named in a status at most.
const NAMES_MAX: usize = 3;
/// A topology has no more subtopologies than that, and a subtopology no more topics of each kind. Kafka has no limit;
/// applications have tens.
const PARTS_MAX: usize = 10_000;
/// No topic has more partitions than that, as in the controller.
const PARTITIONS_MAX: i32 = 10_000_000;

/// A topology as its record has it, and which subtopology reads which topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Topology {
    pub(crate) epoch: i32,
    pub(crate) subtopologies: BTreeMap<ByteString, Subtopology>,
}

/// What could be made of a topology.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfiguredTopology {
    pub(crate) epoch: i32,
    /// `None` if the topics that there are contradict the topology.
    pub(crate) subtopologies: Option<BTreeMap<ByteString, ConfiguredSubtopology>>,
    /// Internal topics that are missing.
    pub(crate) missing: Vec<CreatableTopic>,
    /// Why the members cannot work yet.
    pub(crate) problem: Option<(Status, String)>,
}

/// A subtopology whose topics have their numbers of partitions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConfiguredSubtopology {
    pub(crate) tasks: i32,
    pub(crate) source_topics: BTreeSet<ByteString>,
    pub(crate) repartition_source_topics: BTreeMap<ByteString, InternalTopic>,
    pub(crate) repartition_sink_topics: BTreeSet<ByteString>,
    pub(crate) changelog_topics: BTreeMap<ByteString, InternalTopic>,
}

/// A topic that the coordinator has created, or is to create.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InternalTopic {
    pub(crate) partitions: i32,
    /// 0 for the broker's default.
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<(ByteString, ByteString)>,
}

/// Why a topology cannot be configured.
enum Fault {
    /// Its members are told with every heartbeat, and it may come right.
    Problem(Status, String),
    /// The heartbeat is refused.
    Refused(Refusal),
}

impl Fault {
    fn invalid(message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(ErrorCode::StreamsInvalidTopology, message))
    }

    /// What Kafka does not expect of a client either.
    fn unexpected(message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(ErrorCode::UnknownServerError, message))
    }

    fn mismatch(message: String) -> Self {
        Self::Problem(Status::IncorrectlyPartitionedTopics, message)
    }
}

impl ConfiguredTopology {
    /// Whether members can be given tasks.
    pub(crate) fn is_ready(&self) -> bool {
        self.problem.is_none()
    }
}

impl Topology {
    /// The topology of a heartbeat.
    ///
    /// # Errors
    /// If it names a subtopology twice or is larger than any application.
    pub(crate) fn from_heartbeat(topology: &m::streams_group_heartbeat_request::Topology) -> Result<Self, Refusal> {
        let parts = topology.subtopologies.iter().flat_map(|of| {
            [of.source_topics.len(), of.repartition_source_topics.len(), of.state_changelog_topics.len()]
        });
        if parts.chain([topology.subtopologies.len()]).any(|count| count > PARTS_MAX) {
            return Err(Refusal::new(ErrorCode::StreamsInvalidTopology, "The topology has too many parts."));
        }
        let mut subtopologies = BTreeMap::new();
        for subtopology in &topology.subtopologies {
            let id = copy(&subtopology.subtopology_id);
            if subtopologies.insert(id.clone(), recorded(subtopology)).is_some() {
                return Err(Refusal::new(ErrorCode::UnknownServerError, format!("Duplicate key {id}")));
            }
        }
        Ok(Self { epoch: topology.epoch, subtopologies })
    }

    /// The topology of a record.
    pub(crate) fn from_record(value: m::StreamsGroupTopologyValue) -> Self {
        let subtopologies = value.subtopologies.into_iter().map(|of| (copy(&of.subtopology_id), of));
        Self { epoch: value.epoch, subtopologies: subtopologies.collect() }
    }

    /// Every topic that tasks read or write.
    pub(crate) fn required_topics(&self) -> BTreeSet<&ByteString> {
        let topics = self.subtopologies.values().flat_map(|of| {
            let infos = of.repartition_source_topics.iter().chain(&of.state_changelog_topics);
            of.source_topics.iter().chain(infos.map(|info| &info.name))
        });
        topics.collect()
    }

    /// The subtopology whose tasks read a topic.
    pub(crate) fn reader_of(&self, topic: &str) -> Option<&ByteString> {
        let reads = |of: &Subtopology| {
            of.source_topics.iter().any(|name| **name == *topic)
                || of.repartition_source_topics.iter().any(|info| *info.name == *topic)
        };
        self.subtopologies.iter().find(|(_, of)| reads(of)).map(|(id, _)| id)
    }

    /// Says how many tasks there are, and which internal topics are missing.
    ///
    /// # Errors
    /// If the topology contradicts itself.
    pub(crate) fn configure(&self, image: &MetadataImage) -> Result<ConfiguredTopology, Refusal> {
        match self.try_configure(image) {
            Ok(configured) => Ok(configured),
            Err(Fault::Problem(status, message)) => Ok(ConfiguredTopology {
                epoch: self.epoch,
                subtopologies: None,
                missing: Vec::new(),
                problem: Some((status, message)),
            }),
            Err(Fault::Refused(refusal)) => Err(refusal),
        }
    }

    fn try_configure(&self, image: &MetadataImage) -> Result<ConfiguredTopology, Fault> {
        self.check_source_topics(image)?;
        let decided = Decided { image, counts: self.repartition_counts(image)? }.settle(self)?;
        let mut subtopologies = BTreeMap::new();
        for (id, subtopology) in &self.subtopologies {
            subtopologies.insert(id.clone(), configured(subtopology, &decided)?);
        }
        let missing = missing(&subtopologies, image)?;
        let problem = (!missing.is_empty()).then(|| {
            let names = missing.iter().map(|topic| &*topic.name);
            (Status::MissingInternalTopics, format!("Internal topics are missing: {}", summary(names)))
        });
        Ok(ConfiguredTopology { epoch: self.epoch, subtopologies: Some(subtopologies), missing, problem })
    }

    fn check_source_topics(&self, image: &MetadataImage) -> Result<(), Fault> {
        let topics = self.subtopologies.values().flat_map(|of| &of.source_topics);
        let missing: BTreeSet<&str> =
            topics.filter(|name| image.topics().by_name(name).is_none()).map(|name| &**name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("Source topics {} are missing.", summary(missing.into_iter()));
        Err(Fault::Problem(Status::MissingSourceTopics, message))
    }

    /// The numbers of partitions of repartition topics: those that the application fixes, and for the others the largest
    /// of the topics that are read where they are written.
    fn repartition_counts(&self, image: &MetadataImage) -> Result<BTreeMap<ByteString, i32>, Fault> {
        let all = || self.subtopologies.values();
        let sources = || all().flat_map(|of| &of.repartition_source_topics);
        let fixed = sources().filter(|info| info.partitions != 0);
        let mut counts: BTreeMap<ByteString, i32> = fixed.map(|info| (info.name.clone(), info.partitions)).collect();
        loop {
            let (mut progress, mut needed) = (false, false);
            for subtopology in all() {
                for sink in &subtopology.repartition_sink_topics {
                    if counts.contains_key(sink) {
                        continue;
                    }
                    let repartitioned = subtopology.repartition_source_topics.iter();
                    let repartitioned = repartitioned.filter_map(|info| counts.get(&info.name).copied());
                    let external = subtopology.source_topics.iter().filter_map(|name| partitions(image, name));
                    match repartitioned.chain(external).max() {
                        Some(count) => {
                            progress = true;
                            counts.insert(sink.clone(), count);
                        }
                        None => needed = true,
                    }
                }
            }
            if !needed {
                break;
            }
            if !progress {
                return Err(Fault::invalid(
                    "Failed to compute number of partitions for all repartition topics. There may be loops in the topology \
                     that cannot be resolved.",
                ));
            }
        }
        if sources().any(|info| !counts.contains_key(&info.name)) {
            return Err(Fault::invalid(
                "Failed to compute number of partitions for all repartition topics, because a repartition source topic is \
                 never used as a sink topic.",
            ));
        }
        Ok(counts)
    }
}

/// Numbers of partitions: those of topics that exist, and those decided for internal ones.
struct Decided<'a> {
    image: &'a MetadataImage,
    counts: BTreeMap<ByteString, i32>,
}

impl Decided<'_> {
    fn count(&self, topic: &ByteString) -> Option<i32> {
        partitions(self.image, topic).or_else(|| self.counts.get(topic).copied())
    }

    fn count_or_fault(&self, topic: &ByteString) -> Result<i32, Fault> {
        self.count(topic)
            .ok_or_else(|| Fault::unexpected(format!("Number of partitions is not set for topic: {topic}")))
    }

    /// Topics that are read together have as many partitions as each other, and changelogs as many as there are tasks.
    fn settle(mut self, topology: &Topology) -> Result<Self, Fault> {
        let sources = || topology.subtopologies.values().flat_map(|of| &of.repartition_source_topics);
        let names = |fixed: bool| -> BTreeSet<&ByteString> {
            sources().filter(|info| (info.partitions != 0) == fixed).map(|info| &info.name).collect()
        };
        let (fixed, flexible) = (names(true), names(false));
        for subtopology in topology.subtopologies.values() {
            for group in &subtopology.copartition_groups {
                let together = copartitioned(subtopology, group)?;
                let counts = self.enforce(&together, &fixed, &flexible)?;
                self.counts.extend(counts);
            }
        }
        for (id, subtopology) in &topology.subtopologies {
            let tasks = self.tasks(id, subtopology)?;
            self.counts.extend(subtopology.state_changelog_topics.iter().map(|info| (info.name.clone(), tasks)));
        }
        Ok(self)
    }

    /// As many tasks as the source topic with the most partitions has.
    fn tasks(&self, id: &str, subtopology: &Subtopology) -> Result<i32, Fault> {
        let repartitioned = subtopology.repartition_source_topics.iter().map(|info| &info.name);
        let mut most = None;
        for topic in subtopology.source_topics.iter().chain(repartitioned) {
            most = most.max(Some(self.count_or_fault(topic)?));
        }
        most.ok_or_else(|| Fault::invalid(format!("No source topics found for subtopology {id}")))
    }

    /// The numbers of partitions of the repartition topics among topics that are read together.
    fn enforce(
        &self,
        together: &BTreeSet<&ByteString>,
        fixed: &BTreeSet<&ByteString>,
        flexible: &BTreeSet<&ByteString>,
    ) -> Result<BTreeMap<ByteString, i32>, Fault> {
        let mut repartitioned = BTreeMap::new();
        let mut external = BTreeMap::new();
        for topic in together {
            let count = self.count_or_fault(topic)?;
            let is_internal = fixed.contains(topic) || flexible.contains(topic);
            let counts = if is_internal { &mut repartitioned } else { &mut external };
            counts.insert(*topic, count);
        }
        let used = match (external.values().next(), repartitioned.values().max()) {
            (None, None) => return Ok(BTreeMap::new()),
            (Some(first), _) => {
                if external.values().any(|count| count != first) {
                    return Err(Fault::mismatch(format!(
                        "Following topics do not have the same number of partitions: [{}]",
                        counted(&external)
                    )));
                }
                *first
            }
            (None, Some(most)) if fixed.is_empty() => *most,
            (None, Some(_)) => self.fixed_count(fixed, &repartitioned)?,
        };
        for (topic, count) in &repartitioned {
            if fixed.contains(topic) && *count != used {
                return Err(Fault::mismatch(format!(
                    "Number of partitions [{count}] of repartition topic [{topic}] doesn't match number of partitions \
                     [{used}] of the source topic."
                )));
            }
        }
        Ok(repartitioned.into_keys().map(|topic| (topic.clone(), used)).collect())
    }

    /// The number of partitions that all fixed repartition topics have.
    fn fixed_count(
        &self,
        fixed: &BTreeSet<&ByteString>,
        repartitioned: &BTreeMap<&ByteString, i32>,
    ) -> Result<i32, Fault> {
        let mut used = None;
        for topic in fixed {
            let count = self.count_or_fault(topic)?;
            if *used.get_or_insert(count) != count {
                return Err(Fault::mismatch(format!(
                    "Following topics do not have the same number of partitions: [{}]",
                    counted(repartitioned)
                )));
            }
        }
        used.ok_or_else(|| Fault::unexpected("no repartition topic is fixed"))
    }
}

/// Topics with their numbers of partitions, as Java writes a map.
fn counted(counts: &BTreeMap<&ByteString, i32>) -> String {
    let entries: Vec<String> = counts.iter().map(|(topic, count)| format!("{topic}={count}")).collect();
    format!("{{{}}}", entries.join(", "))
}

/// The topics of a copartition group, which names them by their places.
fn copartitioned<'a>(
    subtopology: &'a Subtopology,
    group: &CopartitionGroup,
) -> Result<BTreeSet<&'a ByteString>, Fault> {
    let at = |index: &i16, count: usize| {
        let place = usize::try_from(*index).ok().filter(|place| *place < count);
        place.ok_or_else(|| Fault::unexpected(format!("Index {index} out of bounds for length {count}")))
    };
    let (sources, repartitioned) = (&subtopology.source_topics, &subtopology.repartition_source_topics);
    let mut together = BTreeSet::new();
    for index in &group.source_topics {
        together.insert(&sources[at(index, sources.len())?]);
    }
    for index in &group.repartition_source_topics {
        together.insert(&repartitioned[at(index, repartitioned.len())?].name);
    }
    Ok(together)
}

fn configured(subtopology: &Subtopology, decided: &Decided<'_>) -> Result<ConfiguredSubtopology, Fault> {
    let internal = |infos: &[TopicInfo]| -> Result<BTreeMap<ByteString, InternalTopic>, Fault> {
        let mut topics = BTreeMap::new();
        for info in infos {
            let partitions = match info.partitions {
                0 => decided.counts.get(&info.name).copied().ok_or_else(|| {
                    Fault::unexpected(format!("Number of partitions must be set for topic {}", info.name))
                })?,
                fixed => fixed,
            };
            if let Err(invalid) = topic_name::validate(&info.name) {
                return Err(Fault::Refused(Refusal::new(ErrorCode::InvalidTopicException, invalid.to_string())));
            }
            if !(1..=PARTITIONS_MAX).contains(&partitions) {
                return Err(Fault::unexpected("Number of partitions must be at least 1."));
            }
            let configs = info.topic_configs.iter().map(|config| (config.key.clone(), config.value.clone())).collect();
            let topic = InternalTopic { partitions, replication_factor: info.replication_factor, configs };
            topics.insert(info.name.clone(), topic);
        }
        Ok(topics)
    };
    Ok(ConfiguredSubtopology {
        tasks: decided.tasks(&subtopology.subtopology_id, subtopology)?,
        source_topics: subtopology.source_topics.iter().cloned().collect(),
        repartition_source_topics: internal(&subtopology.repartition_source_topics)?,
        repartition_sink_topics: subtopology.repartition_sink_topics.iter().cloned().collect(),
        changelog_topics: internal(&subtopology.state_changelog_topics)?,
    })
}

/// The internal topics that do not exist. Those that exist must have as many partitions as they should.
fn missing(
    subtopologies: &BTreeMap<ByteString, ConfiguredSubtopology>,
    image: &MetadataImage,
) -> Result<Vec<CreatableTopic>, Fault> {
    let internal =
        subtopologies.values().flat_map(|of| of.repartition_source_topics.iter().chain(&of.changelog_topics));
    let internal: BTreeMap<&ByteString, &InternalTopic> = internal.collect();
    let mut missing = Vec::new();
    for (name, topic) in internal {
        match partitions(image, name) {
            None => missing.push(creatable(name, topic)),
            Some(found) if found != topic.partitions => {
                let expected = topic.partitions;
                return Err(Fault::mismatch(format!(
                    "Existing topic {name} has different number of partitions: expected {expected}, found {found}"
                )));
            }
            Some(_) => {}
        }
    }
    walk::sort_as_java(&mut missing, |topic| &topic.name);
    Ok(missing)
}

fn creatable(name: &ByteString, topic: &InternalTopic) -> CreatableTopic {
    let config = |(name, value): &(ByteString, ByteString)| CreatableTopicConfig {
        name: name.clone(),
        value: Some(value.clone()),
    };
    CreatableTopic {
        name: name.clone(),
        num_partitions: topic.partitions,
        replication_factor: if topic.replication_factor == 0 { -1 } else { topic.replication_factor },
        assignments: Vec::new(),
        configs: topic.configs.iter().map(config).collect(),
    }
}

fn partitions(image: &MetadataImage, topic: &str) -> Option<i32> {
    image.topics().by_name(topic).map(|topic| i32::try_from(topic.partition_count()).unwrap_or(i32::MAX))
}

/// The first names, and how many others there are.
fn summary<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let shown: Vec<&str> = names.take(NAMES_MAX).collect();
    let rest = count.saturating_sub(NAMES_MAX);
    let rest = if rest > 0 { format!(" and {rest} additional topics") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// A subtopology as its record has it: copied, since the group outlives the frame.
fn recorded(of: &m::streams_group_heartbeat_request::Subtopology) -> Subtopology {
    let copies = |names: &[ByteString]| names.iter().map(copy).collect::<Vec<_>>();
    let infos = |infos: &[m::streams_group_heartbeat_request::TopicInfo]| {
        let config = |config: &m::streams_group_heartbeat_request::KeyValue| TopicConfig {
            key: copy(&config.key),
            value: copy(&config.value),
        };
        let info = |info: &m::streams_group_heartbeat_request::TopicInfo| TopicInfo {
            name: copy(&info.name),
            partitions: info.partitions,
            replication_factor: info.replication_factor,
            topic_configs: info.topic_configs.iter().map(config).collect(),
        };
        infos.iter().map(info).collect::<Vec<_>>()
    };
    let group = |group: &m::streams_group_heartbeat_request::CopartitionGroup| CopartitionGroup {
        source_topics: group.source_topics.clone(),
        source_topic_regex: group.source_topic_regex.clone(),
        repartition_source_topics: group.repartition_source_topics.clone(),
    };
    Subtopology {
        subtopology_id: copy(&of.subtopology_id),
        source_topics: copies(&of.source_topics),
        source_topic_regex: copies(&of.source_topic_regex),
        state_changelog_topics: infos(&of.state_changelog_topics),
        repartition_sink_topics: copies(&of.repartition_sink_topics),
        repartition_source_topics: infos(&of.repartition_source_topics),
        copartition_groups: of.copartition_groups.iter().map(group).collect(),
    }
}
