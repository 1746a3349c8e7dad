//! What a log needs to know of its topic's configuration.

use crate::OpenFiles;

/// The settings of one log, with Kafka's defaults. Negative times and sizes mean "no limit" where Kafka says so.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it would grow beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when a record is this much younger than the segment's first batch.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: at most this much is taken off `segment_ms`, another amount for each segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: the largest size of an index file; a full index rolls the segment.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: how much of the log lies between two index entries.
    pub index_interval_bytes: u32,
    /// `flush.messages`: so many records may be unflushed.
    pub flush_messages: i64,
    /// `flush.ms`: so long may a record be unflushed.
    pub flush_ms: i64,
    /// `retention.ms`; -1 keeps segments of any age.
    pub retention_ms: i64,
    /// `retention.bytes`; -1 keeps logs of any size.
    pub retention_bytes: i64,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `min.cleanable.dirty.ratio`: so large a share of the log must be dirty before it is cleaned.
    pub min_cleanable_ratio: f64,
    /// `min.compaction.lag.ms`: so long a record is not cleaned away.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: after so long a record is looked at by the cleaner, however clean the log is.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: so long tombstones stay after they were first cleaned.
    pub delete_retention_ms: i64,
    /// `producer.id.expiration.ms`: a producer that wrote nothing for so long is forgotten.
    pub producer_id_expiration_ms: i64,
    /// Which files may stay open, shared by all logs of a node.
    pub open_files: OpenFiles,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_ms: 7 * DAY_MS,
            retention_bytes: -1,
            delete: true,
            compact: false,
            min_cleanable_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: DAY_MS,
            producer_id_expiration_ms: DAY_MS,
            open_files: OpenFiles::default(),
        }
    }
}
