//! What a cleaning needs to know of a log, so that it can go on without it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::dirt::Dirt;
use crate::segment::Segment;
use crate::txn_index::TxnIndex;
use crate::{AbortedTxn, Fault, Log, LogConfig, SegmentFile};

/// One segment as it was when the plan was made.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) base: Offset,
    /// The base of the segment after it, or the end of what may be cleaned.
    pub(crate) next: Offset,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) offset_index_bytes: u64,
    pub(crate) time_index_bytes: u64,
    txns: TxnIndex,
}

impl Source {
    pub(crate) fn open(&self) -> Result<Arc<SegmentFile>, Fault> {
        SegmentFile::open(&self.path).map(Arc::new)
    }

    /// When its file was written last.
    pub(crate) fn modified(&self) -> Result<Timestamp, Fault> {
        thalweg_sys::fs::modified_ms(&self.path).map(Timestamp).map_err(Fault::io("look at", &self.path))
    }
}

/// What of a producer must stay in the log, so that a restart knows it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// The last offset of its last batch of records in its current epoch.
    pub(crate) data: Option<Offset>,
    pub(crate) epoch: ProducerEpoch,
}

/// A log as its cleaning sees it. The log itself goes on: what is planned lies below its active segment.
#[derive(Debug)]
pub struct CleanPlan {
    pub(crate) dir: PathBuf,
    pub(crate) config: LogConfig,
    pub(crate) dirt: Dirt,
    pub(crate) high_watermark: Offset,
    /// The segments that may be cleaned, then those after them: their indexes know of transactions that end there.
    pub(crate) sources: Vec<Source>,
    /// So many of `sources` may be cleaned.
    pub(crate) cleanable: usize,
    pub(crate) producers: BTreeMap<ProducerId, LastRecord>,
    /// The log's count of removals when the plan was made.
    pub(crate) removals: u64,
}

impl CleanPlan {
    /// The transactions that were aborted and touch `from..to`, by the indexes of the segment at `at` and those after it.
    pub(crate) fn aborted(&self, at: usize, from: Offset, to: Offset) -> Result<Vec<AbortedTxn>, Fault> {
        let mut found = Vec::new();
        for source in &self.sources[at..] {
            if source.txns.collect(from, to, &mut found)? {
                break;
            }
        }
        Ok(found)
    }
}

impl Log {
    /// What is to be cleaned, if there is something.
    ///
    /// # Errors
    /// When the log is offline.
    pub fn clean_plan(&self, dirt: Dirt, high_watermark: Offset) -> Result<Option<CleanPlan>, Fault> {
        self.ensure_usable()?;
        let segments = self.segments();
        let cleanable = segments.partition_point(|s| s.base() < dirt.first_uncleanable).min(segments.len() - 1);
        if dirt.cleanable_bytes == 0 || cleanable == 0 {
            return Ok(None);
        }
        let next = |at: usize| segments.get(at + 1).map_or(self.log_end(), Segment::base);
        let sources = segments.iter().enumerate().map(|(at, segment)| Source {
            base: segment.base(),
            next: next(at),
            path: segment.path().to_owned(),
            size: segment.size(),
            offset_index_bytes: segment.offsets.bytes(),
            time_index_bytes: segment.times.bytes(),
            txns: TxnIndex::existing(segment.txns.path().to_owned(), segment.txns.bytes(), &self.config().open_files),
        });
        let producers = self.producers().map(|(id, producer)| {
            (id, LastRecord { data: producer.last_batch().map(|batch| batch.last_offset), epoch: producer.epoch() })
        });
        Ok(Some(CleanPlan {
            dir: self.dir().to_owned(),
            config: self.config().clone(),
            dirt,
            high_watermark,
            sources: sources.collect(),
            cleanable,
            producers: producers.collect(),
            removals: self.removals(),
        }))
    }

    /// Whether what was planned is still in the log: truncations and deletions end a cleaning.
    #[must_use]
    pub fn is_current(&self, plan: &CleanPlan) -> bool {
        !self.is_offline() && self.removals() == plan.removals && self.dir() == plan.dir
    }
}
