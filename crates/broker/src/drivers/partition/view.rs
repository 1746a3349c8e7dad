//! A partition as the metrics tell of it.

use thalweg_base::{Offset, TopicPartition, Uuid};

use crate::metrics::Total;

/// A partition as the metrics tell of it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: TopicPartition,
    pub(crate) topic_id: Uuid,
    /// `None` while the log is offline or closed.
    pub(crate) log: Option<LogView>,
    /// `None` while this node does not lead.
    pub(crate) high_watermark: Option<Offset>,
    /// How many committed records of the leader are not here yet; `None` while this node does not follow.
    pub(crate) lag: Option<u64>,
    /// Its log cannot be used.
    pub(crate) offline: bool,
    /// `min.insync.replicas`
    pub(crate) min_in_sync: usize,
    pub(crate) traffic: Total,
}

/// A log as the metrics tell of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogView {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// For the high watermark, or the end where this node does not lead.
    pub(crate) last_stable: Offset,
    pub(crate) bytes: u64,
    pub(crate) segments: usize,
    pub(crate) producers: usize,
}
