//! A topic's configs as values with names: what storage and replication read.

use super::describe::topic_value;
use super::kind::Kind;
use super::table::ConfigTable;
use super::value::Value;
use super::{BrokerConfigs, ConfigError, ConfigMap};

/// What happens to a topic's old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// Only the last value of each key is kept.
    pub compact: bool,
}

/// How the batches of a topic are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer compressed them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip, at `compression.gzip.level`.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4, at `compression.lz4.level`.
    Lz4,
    /// zstd, at `compression.zstd.level`.
    Zstd,
}

/// Whose clock a record's timestamp is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, when it appends.
    LogAppendTime,
}

/// All configs of a topic, resolved. Every field has the name, the unit and the range of Kafka's config; -1 means no
/// limit where Kafka says so.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`
    pub compression_type: TopicCompression,
    /// `compression.gzip.level`
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`
    pub compression_zstd_level: i32,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `follower.replication.throttled.replicas`
    pub follower_replication_throttled_replicas: Vec<String>,
    /// `index.interval.bytes`
    pub index_interval_bytes: i32,
    /// `internal.segment.bytes`: counts instead of `segment.bytes` when set, and has no lower bound.
    pub internal_segment_bytes: Option<i32>,
    /// `leader.replication.throttled.replicas`
    pub leader_replication_throttled_replicas: Vec<String>,
    /// `local.retention.bytes`: -2 is `retention.bytes`.
    pub local_retention_bytes: i64,
    /// `local.retention.ms`: -2 is `retention.ms`.
    pub local_retention_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: i32,
    /// `message.timestamp.after.max.ms`
    pub message_timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.type`
    pub message_timestamp_type: MessageTimestampType,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `preallocate`
    pub preallocate: bool,
    /// `remote.log.copy.disable`
    pub remote_log_copy_disable: bool,
    /// `remote.log.delete.on.disable`
    pub remote_log_delete_on_disable: bool,
    /// `remote.storage.enable`
    pub remote_storage_enable: bool,
    /// `retention.bytes`: -1 is no limit.
    pub retention_bytes: i64,
    /// `retention.ms`: -1 is no limit.
    pub retention_ms: i64,
    /// `segment.bytes`; ask [`TopicConfig::segment_size`] for the one that counts.
    pub segment_bytes: i32,
    /// `segment.index.bytes`
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election_enable: bool,
}

impl TopicConfig {
    /// Resolves a topic's configs: its own overrides, then the broker's, then the defaults.
    ///
    /// # Errors
    /// The first value that its config does not take; names that are no topic config are passed over.
    pub fn resolve(topic: &ConfigMap, broker: &BrokerConfigs<'_>) -> Result<Self, ConfigError> {
        let values = Values { topic, broker };
        let policy = values.list("cleanup.policy")?;
        Ok(Self {
            cleanup_policy: CleanupPolicy {
                delete: policy.iter().any(|p| p == "delete"),
                compact: policy.iter().any(|p| p == "compact"),
            },
            compression_type: compression(&values.string("compression.type")?),
            compression_gzip_level: values.int("compression.gzip.level")?,
            compression_lz4_level: values.int("compression.lz4.level")?,
            compression_zstd_level: values.int("compression.zstd.level")?,
            delete_retention_ms: values.long("delete.retention.ms")?,
            file_delete_delay_ms: values.long("file.delete.delay.ms")?,
            flush_messages: values.long("flush.messages")?,
            flush_ms: values.long("flush.ms")?,
            follower_replication_throttled_replicas: values.list("follower.replication.throttled.replicas")?,
            index_interval_bytes: values.int("index.interval.bytes")?,
            internal_segment_bytes: values.optional_int("internal.segment.bytes")?,
            leader_replication_throttled_replicas: values.list("leader.replication.throttled.replicas")?,
            local_retention_bytes: values.long("local.retention.bytes")?,
            local_retention_ms: values.long("local.retention.ms")?,
            max_compaction_lag_ms: values.long("max.compaction.lag.ms")?,
            max_message_bytes: values.int("max.message.bytes")?,
            message_timestamp_after_max_ms: values.long("message.timestamp.after.max.ms")?,
            message_timestamp_before_max_ms: values.long("message.timestamp.before.max.ms")?,
            message_timestamp_type: match values.string("message.timestamp.type")?.as_str() {
                "LogAppendTime" => MessageTimestampType::LogAppendTime,
                _ => MessageTimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio")?,
            min_compaction_lag_ms: values.long("min.compaction.lag.ms")?,
            min_insync_replicas: values.int("min.insync.replicas")?,
            preallocate: values.boolean("preallocate")?,
            remote_log_copy_disable: values.boolean("remote.log.copy.disable")?,
            remote_log_delete_on_disable: values.boolean("remote.log.delete.on.disable")?,
            remote_storage_enable: values.boolean("remote.storage.enable")?,
            retention_bytes: values.long("retention.bytes")?,
            retention_ms: values.long("retention.ms")?,
            segment_bytes: values.int("segment.bytes")?,
            segment_index_bytes: values.int("segment.index.bytes")?,
            segment_jitter_ms: values.long("segment.jitter.ms")?,
            segment_ms: values.long("segment.ms")?,
            unclean_leader_election_enable: values.boolean("unclean.leader.election.enable")?,
        })
    }

    /// The size in bytes at which a segment is full.
    #[must_use]
    pub fn segment_size(&self) -> i32 {
        self.internal_segment_bytes.unwrap_or(self.segment_bytes)
    }

    /// The age in milliseconds at which a segment is closed: a compacted topic's may not outlive
    /// `max.compaction.lag.ms`, because the open segment is never compacted.
    #[must_use]
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_policy.compact && self.max_compaction_lag_ms > 0 {
            return self.segment_ms.min(self.max_compaction_lag_ms);
        }
        self.segment_ms
    }
}

impl Default for TopicConfig {
    /// What a topic without overrides has on a broker without properties.
    fn default() -> Self {
        let none = ConfigMap::new();
        let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &none };
        match Self::resolve(&none, &broker) {
            Ok(config) => config,
            Err(error) => unreachable!("the table has a default that it does not take: {error}"),
        }
    }
}

fn compression(name: &str) -> TopicCompression {
    match name {
        "uncompressed" => TopicCompression::Uncompressed,
        "gzip" => TopicCompression::Gzip,
        "snappy" => TopicCompression::Snappy,
        "lz4" => TopicCompression::Lz4,
        "zstd" => TopicCompression::Zstd,
        _ => TopicCompression::Producer,
    }
}

/// The values of one topic, by name and type. Names and types are those of the table: asking for others is a bug.
pub(super) struct Values<'a> {
    pub(super) topic: &'a ConfigMap,
    pub(super) broker: &'a BrokerConfigs<'a>,
}

impl Values<'_> {
    fn get(&self, name: &str, kind: Kind) -> Result<Option<Value>, ConfigError> {
        let def = ConfigTable::TOPIC.get(name);
        assert!(def.is_some_and(|def| def.kind == kind), "{name} is a topic config of type {kind:?}");
        def.map_or(Ok(None), |def| Ok(topic_value(def, self.topic, self.broker)?.0))
    }

    pub(super) fn long(&self, name: &str) -> Result<i64, ConfigError> {
        Ok(self.get(name, Kind::Long)?.and_then(|v| v.as_i64()).unwrap_or_default())
    }

    fn optional_int(&self, name: &str) -> Result<Option<i32>, ConfigError> {
        match self.get(name, Kind::Int)? {
            Some(Value::Int(n)) => Ok(Some(n)),
            _ => Ok(None),
        }
    }

    fn int(&self, name: &str) -> Result<i32, ConfigError> {
        Ok(self.optional_int(name)?.unwrap_or_default())
    }

    fn double(&self, name: &str) -> Result<f64, ConfigError> {
        Ok(self.get(name, Kind::Double)?.and_then(|v| v.as_f64()).unwrap_or_default())
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        Ok(self.get(name, Kind::Boolean)?.and_then(|v| v.as_bool()).unwrap_or_default())
    }

    fn string(&self, name: &str) -> Result<String, ConfigError> {
        Ok(self.get(name, Kind::String)?.map(|v| v.to_text()).unwrap_or_default())
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        match self.get(name, Kind::List)? {
            Some(Value::List(elements)) => Ok(elements),
            _ => Ok(Vec::new()),
        }
    }
}
