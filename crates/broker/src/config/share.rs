//! Share groups and the topic that keeps their state.

use std::time::Duration;

use thalweg_groups::ShareSettings;
use thalweg_records::Codec;
use thalweg_share::state::Settings;

use super::Refused;
use super::properties::Properties;
use super::values::{bounded, codec};

/// Where the state of share groups is kept, and by which rules.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareConfig {
    /// The rules.
    pub rules: Settings,
    /// `share.coordinator.state.topic.num.partitions`
    pub topic_num_partitions: i32,
    /// `share.coordinator.state.topic.replication.factor`
    pub topic_replication_factor: i16,
    /// `share.coordinator.state.topic.segment.bytes`
    pub topic_segment_bytes: i32,
    /// `share.coordinator.state.topic.min.isr`
    pub topic_min_isr: i32,
    /// `share.coordinator.state.topic.compression.codec`
    pub topic_codec: Codec,
    /// `share.coordinator.load.buffer.size`: how many bytes of the topic are read at once.
    pub load_buffer_bytes: i32,
    /// `share.coordinator.write.timeout.ms`: how long a write may wait for the replicas.
    pub write_timeout: Duration,
}

impl ShareConfig {
    pub(super) fn read(properties: &Properties) -> Result<Self, Refused> {
        let ms = |name| Duration::from_millis(u64::try_from(properties.int(name)).unwrap_or(0));
        let short = |name| i16::try_from(properties.int(name)).unwrap_or(i16::MAX);
        Ok(Self {
            rules: Settings {
                updates_per_snapshot: properties.int("share.coordinator.snapshot.update.records.per.snapshot"),
                cold_snapshot_interval: ms("share.coordinator.cold.partition.snapshot.interval.ms"),
                prune_interval: ms("share.coordinator.state.topic.prune.interval.ms"),
            },
            topic_num_partitions: properties.int("share.coordinator.state.topic.num.partitions"),
            topic_replication_factor: short("share.coordinator.state.topic.replication.factor"),
            topic_segment_bytes: properties.int("share.coordinator.state.topic.segment.bytes"),
            topic_min_isr: properties.int("share.coordinator.state.topic.min.isr"),
            topic_codec: codec(properties.int("share.coordinator.state.topic.compression.codec"))?,
            load_buffer_bytes: properties.int("share.coordinator.load.buffer.size"),
            write_timeout: ms("share.coordinator.write.timeout.ms"),
        })
    }
}

/// `group.share.*`, as the groups need it.
pub(super) fn settings(properties: &Properties) -> ShareSettings {
    let size = |name| usize::try_from(properties.int(name)).unwrap_or(0);
    let bounded = |name: &str| bounded(properties, "share", name);
    let retry = properties.int("group.share.initialize.retry.interval.ms");
    ShareSettings {
        session_timeout_ms: bounded("session.timeout.ms"),
        heartbeat_interval_ms: bounded("heartbeat.interval.ms"),
        assignment_interval_ms: bounded("assignment.interval.ms"),
        record_lock_duration_ms: bounded("record.lock.duration.ms"),
        delivery_count_limit: bounded("delivery.count.limit"),
        partition_max_record_locks: bounded("partition.max.record.locks"),
        group_size_max: size("group.share.max.size"),
        sessions_max: size("group.share.max.share.sessions"),
        initialize_retry_interval: Duration::from_millis(u64::try_from(retry).unwrap_or(0)),
    }
}
