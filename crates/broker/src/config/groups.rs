//! Consumer groups and the topic that keeps them.

use std::time::Duration;

use thalweg_groups::{Bounded, MigrationPolicy, Settings, StreamsSettings};
use thalweg_records::Codec;

use super::Refused;
use super::properties::Properties;
use super::values::{bounded, codec};

/// Where groups are kept, and by which rules they live.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupsConfig {
    /// The rules.
    pub rules: Settings,
    /// `offsets.topic.num.partitions`
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`
    pub offsets_topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec`
    pub offsets_topic_codec: Codec,
    /// `offsets.load.buffer.size`: how many bytes of the topic are read at once.
    pub offsets_load_buffer_size: i32,
    /// `offsets.commit.timeout.ms`: how long a write may wait for the replicas.
    pub offsets_commit_timeout_ms: i32,
}

impl GroupsConfig {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        let factor = properties.int("offsets.topic.replication.factor");
        Ok(Self {
            rules: rules(properties),
            offsets_topic_num_partitions: properties.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
            offsets_topic_segment_bytes: properties.int("offsets.topic.segment.bytes"),
            offsets_topic_codec: codec(properties.int("offsets.topic.compression.codec"))?,
            offsets_load_buffer_size: properties.int("offsets.load.buffer.size"),
            offsets_commit_timeout_ms: properties.int("offsets.commit.timeout.ms"),
        })
    }
}

fn rules(properties: &Properties) -> Settings {
    let ms = |name| Duration::from_millis(u64::try_from(properties.int(name)).unwrap_or(0));
    let size = |name| usize::try_from(properties.int(name)).unwrap_or(0);
    let minutes = u64::try_from(properties.int("offsets.retention.minutes")).unwrap_or(0);
    let check = u64::try_from(properties.long("offsets.retention.check.interval.ms")).unwrap_or(0);
    let policy = properties.string("group.consumer.migration.policy");
    Settings {
        initial_rebalance_delay: ms("group.initial.rebalance.delay.ms"),
        session_timeout_min: ms("group.min.session.timeout.ms"),
        session_timeout_max: ms("group.max.session.timeout.ms"),
        group_size_max: size("group.max.size"),
        offset_metadata_max: size("offset.metadata.max.bytes"),
        offsets_retention: Duration::from_secs(minutes * 60),
        offsets_retention_check_interval: Duration::from_millis(check),
        consumer_protocol: properties.list("group.coordinator.rebalance.protocols").iter().any(|p| p == "consumer"),
        consumer_session_timeout: ms("group.consumer.session.timeout.ms"),
        consumer_session_timeout_min: ms("group.consumer.min.session.timeout.ms"),
        consumer_session_timeout_max: ms("group.consumer.max.session.timeout.ms"),
        consumer_heartbeat_interval: ms("group.consumer.heartbeat.interval.ms"),
        consumer_heartbeat_interval_min: ms("group.consumer.min.heartbeat.interval.ms"),
        consumer_heartbeat_interval_max: ms("group.consumer.max.heartbeat.interval.ms"),
        consumer_assignment_interval: ms("group.consumer.assignment.interval.ms"),
        consumer_assignment_interval_min: ms("group.consumer.min.assignment.interval.ms"),
        consumer_assignment_interval_max: ms("group.consumer.max.assignment.interval.ms"),
        consumer_group_size_max: size("group.consumer.max.size"),
        consumer_assignors: properties.list("group.consumer.assignors"),
        consumer_migration: MigrationPolicy::from_name(&policy).unwrap_or(MigrationPolicy::Bidirectional),
        consumer_regex_refresh_interval: ms("group.consumer.regex.refresh.interval.ms"),
        share: super::share::settings(properties),
        streams_protocol: properties.list("group.coordinator.rebalance.protocols").iter().any(|p| p == "streams"),
        streams: streams(properties),
    }
}

/// `group.streams.*`
fn streams(properties: &Properties) -> StreamsSettings {
    let bounded = |name: &str| bounded(properties, "streams", name);
    let unbounded = |name: &str, max: i32| Bounded { value: properties.int(name), min: 0, max };
    StreamsSettings {
        session_timeout_ms: bounded("session.timeout.ms"),
        heartbeat_interval_ms: bounded("heartbeat.interval.ms"),
        assignment_interval_ms: bounded("assignment.interval.ms"),
        standby_replicas: unbounded(
            "group.streams.num.standby.replicas",
            properties.int("group.streams.max.standby.replicas"),
        ),
        initial_rebalance_delay_ms: unbounded("group.streams.initial.rebalance.delay.ms", i32::MAX),
        group_size_max: usize::try_from(properties.int("group.streams.max.size")).unwrap_or(0),
    }
}
