//! The JSON documents of Kafdrop's addresses, with Kafdrop's names, so that programs written for it go on working.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use thalweg_client::ConsumerRecord;

use crate::kafka::{self, Leaders, Progress, Range, Snapshot};
use crate::text;
use crate::values::Formats;

/// The document of `/`.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterInfo<'a> {
    summary: ClusterSummary,
    brokers: Vec<Broker<'a>>,
    topics: Vec<Topic<'a>>,
}

/// Counts over all topics.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterSummary {
    topic_count: usize,
    partition_count: usize,
    under_replicated_count: usize,
    preferred_replica_percent: f64,
    broker_leader_partition_count: BTreeMap<i32, usize>,
    broker_preferred_leader_partition_count: BTreeMap<i32, usize>,
    expected_broker_ids: BTreeSet<i32>,
}

/// A broker.
#[derive(Debug, Serialize)]
pub(crate) struct Broker<'a> {
    id: i32,
    host: &'a str,
    port: i32,
    rack: Option<&'a str>,
    controller: bool,
}

/// What was set of a topic, by name.
pub(crate) type SetConfigs = BTreeMap<String, Option<String>>;

/// A topic.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Topic<'a> {
    name: &'a str,
    partitions: Vec<Partition>,
    config: SetConfigs,
    available_size: i64,
    preferred_replica_percent: f64,
    total_size: i64,
    under_replicated_partitions: Vec<Partition>,
}

/// A partition; -1 stands for offsets that were not asked for, or are not known.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    id: i32,
    replicas: Vec<Replica>,
    size: i64,
    first_offset: i64,
    leader: Option<Replica>,
    preferred_leader: Option<Replica>,
    leader_preferred: bool,
    in_sync_replicas: Vec<Replica>,
    offline_replicas: Vec<Replica>,
    under_replicated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Replica {
    id: i32,
}

/// The first and the last offset of a partition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartitionOffsets {
    partition: i32,
    first_offset: i64,
    last_offset: i64,
}

/// A record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    partition: i32,
    offset: i64,
    message: String,
    key: String,
    headers: BTreeMap<String, Option<String>>,
    timestamp: String,
    headers_formatted: String,
}

/// How far a group has read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Consumer {
    group_id: String,
    topics: Vec<ConsumerTopic>,
}

#[derive(Debug, Serialize)]
struct ConsumerTopic {
    topic: String,
    partitions: Vec<ConsumerPartition>,
    lag: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsumerPartition {
    topic: String,
    partition_id: i32,
    offset: i64,
    size: i64,
    first_offset: i64,
    lag: i64,
}

impl<'a> ClusterInfo<'a> {
    /// The whole cluster; `configs` has what was set of each topic. Offsets are not asked for, as in Kafdrop.
    pub(crate) fn new(snapshot: &'a Snapshot, configs: &mut BTreeMap<String, SetConfigs>) -> Self {
        Self { summary: ClusterSummary::of(snapshot), brokers: brokers(snapshot), topics: topics(snapshot, configs) }
    }
}

/// All brokers.
pub(crate) fn brokers(snapshot: &Snapshot) -> Vec<Broker<'_>> {
    snapshot.brokers.iter().map(|broker| Broker::of(snapshot, broker)).collect()
}

/// All topics.
pub(crate) fn topics<'a>(snapshot: &'a Snapshot, configs: &mut BTreeMap<String, SetConfigs>) -> Vec<Topic<'a>> {
    let topics = snapshot.topics.iter();
    topics.map(|(name, topic)| Topic::new(name, topic, configs.remove(&**name).unwrap_or_default(), None)).collect()
}

impl ClusterSummary {
    fn of(snapshot: &Snapshot) -> Self {
        let Leaders { led, preferred } = snapshot.leaders();
        let topics = snapshot.topics.len();
        let percents: f64 = snapshot.topics.values().map(preferred_percent).sum();
        Self {
            topic_count: topics,
            partition_count: snapshot.partition_count(),
            under_replicated_count: snapshot.topics.values().map(kafka::Topic::under_replicated).sum(),
            preferred_replica_percent: if topics == 0 { 0.0 } else { percents / topics as f64 },
            expected_broker_ids: preferred.keys().copied().collect(),
            broker_leader_partition_count: led,
            broker_preferred_leader_partition_count: preferred,
        }
    }
}

fn preferred_percent(topic: &kafka::Topic) -> f64 {
    if topic.partitions.is_empty() {
        return 0.0;
    }
    let preferred = topic.partitions.iter().filter(|partition| partition.is_leader_preferred()).count();
    preferred as f64 / topic.partitions.len() as f64
}

impl<'a> Broker<'a> {
    /// One broker.
    pub(crate) fn of(snapshot: &Snapshot, broker: &'a kafka::Broker) -> Self {
        Self {
            id: broker.id,
            host: &broker.host,
            port: broker.port,
            rack: broker.rack.as_deref(),
            controller: snapshot.controller == Some(broker.id),
        }
    }
}

impl<'a> Topic<'a> {
    /// A topic; `ranges` are its offsets, if they were asked for.
    pub(crate) fn new(
        name: &'a str,
        topic: &kafka::Topic,
        config: SetConfigs,
        ranges: Option<&[Option<Range>]>,
    ) -> Self {
        let range = |at: usize| ranges.and_then(|ranges| ranges.get(at).copied().flatten());
        let numbered = topic.partitions.iter().enumerate();
        let partitions: Vec<Partition> = numbered.map(|(at, it)| Partition::new(it, range(at))).collect();
        let under_replicated = partitions.iter().filter(|partition| partition.under_replicated).cloned().collect();
        Self {
            name,
            config,
            available_size: partitions.iter().map(|partition| partition.size - partition.first_offset).sum(),
            preferred_replica_percent: preferred_percent(topic),
            total_size: partitions.iter().map(|partition| partition.size).sum(),
            under_replicated_partitions: under_replicated,
            partitions,
        }
    }
}

impl Partition {
    fn new(partition: &kafka::Partition, range: Option<Range>) -> Self {
        let sorted = |ids: &[i32]| {
            let mut replicas: Vec<Replica> = ids.iter().map(|id| Replica { id: *id }).collect();
            replicas.sort_unstable();
            replicas
        };
        let replica = |id: i32| Replica { id };
        Self {
            id: partition.id,
            replicas: partition.replicas.iter().copied().map(replica).collect(),
            size: range.map_or(-1, |range| range.end),
            first_offset: range.map_or(-1, |range| range.first),
            leader: partition.leader.map(replica),
            preferred_leader: partition.replicas.first().copied().map(replica),
            leader_preferred: partition.is_leader_preferred(),
            in_sync_replicas: sorted(&partition.in_sync),
            offline_replicas: sorted(&partition.offline),
            under_replicated: partition.is_under_replicated(),
        }
    }
}

/// The offsets of each partition of a topic.
pub(crate) fn partition_offsets(topic: &kafka::Topic, ranges: &[Option<Range>]) -> Vec<PartitionOffsets> {
    let pairs = topic.partitions.iter().zip(ranges);
    let offsets = |(partition, range): (&kafka::Partition, &Option<Range>)| PartitionOffsets {
        partition: partition.id,
        first_offset: range.map_or(-1, |range| range.first),
        last_offset: range.map_or(-1, |range| range.end),
    };
    pairs.map(offsets).collect()
}

impl Message {
    /// A record, its key and value read as told.
    pub(crate) fn new(record: &ConsumerRecord, formats: &Formats) -> Self {
        let empty = || "empty".to_owned();
        let (key, value) = formats.texts(record);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers: BTreeMap<String, Option<String>> =
            record.headers.iter().map(|header| (text(&header.key), header.value.as_deref().map(text))).collect();
        let formatted =
            |(name, value): (&String, &Option<String>)| format!("{name}: {}", value.as_deref().unwrap_or("null"));
        let all: Vec<String> = headers.iter().map(formatted).collect();
        Self {
            partition: record.partition,
            offset: record.offset.0,
            message: value.unwrap_or_else(empty),
            key: key.unwrap_or_else(empty),
            timestamp: text::time(record.timestamp.0),
            headers_formatted: if headers.is_empty() { "empty".to_owned() } else { all.join(", ") },
            headers,
        }
    }
}

impl Consumer {
    /// A group that has committed offsets.
    pub(crate) fn new(group: &str, progress: &Progress) -> Self {
        let mut topics: BTreeMap<&str, Vec<ConsumerPartition>> = BTreeMap::new();
        for (partition, offset) in &progress.committed {
            let range = progress.ranges.get(partition);
            topics.entry(&partition.topic).or_default().push(ConsumerPartition {
                topic: partition.topic.to_string(),
                partition_id: partition.partition,
                offset: *offset,
                size: range.map_or(-1, |range| range.end),
                first_offset: range.map_or(-1, |range| range.first),
                lag: progress.lag(partition).unwrap_or(0),
            });
        }
        let topic = |(topic, partitions): (&str, Vec<ConsumerPartition>)| ConsumerTopic {
            topic: topic.to_owned(),
            lag: progress.topic_lag(topic),
            partitions,
        };
        Self { group_id: group.to_owned(), topics: topics.into_iter().map(topic).collect() }
    }
}
