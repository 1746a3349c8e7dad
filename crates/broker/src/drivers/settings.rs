//! A topic's configuration, cut to what the parts of a partition need.

use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{NodeId, TopicPartition};
use thalweg_metadata::config::{
    BrokerConfigs, ConfigTable, MessageTimestampType, TopicCompression, TopicConfig, Value,
};
use thalweg_records::validate::{self, Rules};
use thalweg_records::{Codec, Compression, TimestampType};
use thalweg_replica::Limits;
use thalweg_storage::{LogConfig, OpenFiles};

/// See the module. Made anew whenever the configuration changes.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the log is told.
    pub(crate) log: LogConfig,
    /// What batches must obey.
    pub(crate) rules: Rules,
    /// What the leader obeys.
    pub(crate) limits: Limits,
    /// Whether copying this replica is throttled (KIP-73).
    pub(crate) throttled: Throttled,
}

/// How copying a replica is throttled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// `leader.replication.throttled.replicas` names it.
    pub(crate) as_leader: bool,
    /// `follower.replication.throttled.replicas` names it.
    pub(crate) as_follower: bool,
}

/// What a broker adds to a topic's configuration.
#[derive(Clone, Debug)]
pub(crate) struct BrokerLimits {
    /// `replica.lag.time.max.ms`.
    pub(crate) replica_lag_max: Duration,
    /// `producer.id.expiration.ms`.
    pub(crate) producer_id_expiration_ms: i64,
    /// `num.recovery.threads.per.data.dir`
    pub(crate) recovery_threads: usize,
    /// `thalweg.batch.decompressed.max.bytes`
    pub(crate) decompressed_bytes_max: usize,
    /// How many files its logs keep open.
    pub(crate) open_files: OpenFiles,
}

impl Settings {
    pub(crate) fn new(
        node: NodeId,
        partition: &TopicPartition,
        topic: &TopicConfig,
        broker: &BrokerLimits,
    ) -> Arc<Self> {
        let own = format!("{}:{node}", partition.partition);
        let names_it = |replicas: &[String]| replicas.iter().any(|replica| *replica == own || replica == "*");
        Arc::new(Self {
            log: log_config(topic, broker),
            rules: rules(partition, topic, broker),
            limits: Limits {
                min_isr: usize::try_from(topic.min_insync_replicas).unwrap_or(1),
                lag_max: broker.replica_lag_max,
            },
            throttled: Throttled {
                as_leader: names_it(&topic.leader_replication_throttled_replicas),
                as_follower: names_it(&topic.follower_replication_throttled_replicas),
            },
        })
    }

    /// Kafka's defaults, for when nothing that is configured can be used.
    pub(crate) fn fallback(partition: &TopicPartition, broker: &BrokerLimits) -> Arc<Self> {
        let log = LogConfig { open_files: broker.open_files.clone(), ..LogConfig::default() };
        Arc::new(Self {
            log,
            rules: Rules::new(partition.clone()),
            limits: Limits::default(),
            throttled: Throttled::default(),
        })
    }
}

/// What a broker config of this name is now.
pub(super) fn value(broker: &BrokerConfigs<'_>, name: &str) -> Option<Value> {
    let def = ConfigTable::BROKER.get(name);
    assert!(def.is_some(), "{name} is a broker config");
    let def = def?;
    // What was stored by another program and is invalid counts as not there.
    let set = broker.get(name).and_then(|text| def.parse(text).ok());
    set.or_else(|| def.default_text().and_then(|text| def.parse(text).ok()))
}

fn log_config(topic: &TopicConfig, broker: &BrokerLimits) -> LogConfig {
    let bytes = |value: i32| u32::try_from(value).unwrap_or(0);
    LogConfig {
        segment_bytes: bytes(topic.segment_size()),
        segment_ms: topic.segment_ms_max(),
        segment_jitter_ms: topic.segment_jitter_ms,
        segment_index_bytes: bytes(topic.segment_index_bytes),
        index_interval_bytes: bytes(topic.index_interval_bytes),
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes,
        delete: topic.cleanup_policy.delete,
        compact: topic.cleanup_policy.compact,
        min_cleanable_ratio: topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        producer_id_expiration_ms: broker.producer_id_expiration_ms,
        open_files: broker.open_files.clone(),
    }
}

fn rules(partition: &TopicPartition, topic: &TopicConfig, broker: &BrokerLimits) -> Rules {
    let codec = |compression, level: Option<i32>| {
        let default = Codec::from(compression);
        validate::TopicCompression::Fixed(Codec { level: level.unwrap_or(default.level), ..default })
    };
    Rules {
        compacted: topic.cleanup_policy.compact,
        timestamp_type: match topic.message_timestamp_type {
            MessageTimestampType::CreateTime => TimestampType::CreateTime,
            MessageTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: topic.message_timestamp_before_max_ms,
        timestamp_after_max_ms: topic.message_timestamp_after_max_ms,
        message_bytes_max: usize::try_from(topic.max_message_bytes).unwrap_or(0),
        compression: match topic.compression_type {
            TopicCompression::Producer => validate::TopicCompression::Producer,
            TopicCompression::Uncompressed => codec(Compression::None, None),
            TopicCompression::Gzip => codec(Compression::Gzip, Some(topic.compression_gzip_level)),
            TopicCompression::Snappy => codec(Compression::Snappy, None),
            TopicCompression::Lz4 => codec(Compression::Lz4, Some(topic.compression_lz4_level)),
            TopicCompression::Zstd => codec(Compression::Zstd, Some(topic.compression_zstd_level)),
        },
        decompressed_bytes_max: broker.decompressed_bytes_max,
        ..Rules::new(partition.clone())
    }
}
