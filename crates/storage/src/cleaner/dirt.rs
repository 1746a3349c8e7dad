//! How much of a log is worth cleaning.

use thalweg_base::{Offset, Timestamp};

use crate::segment::Segment;
use crate::{Fault, Log};

/// What a look at a compacted log found.
///
/// Invariant: `first_dirty <= first_uncleanable`, and the latter is the base of a segment unless nothing can be cleaned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dirt {
    /// Everything below was cleaned before.
    pub first_dirty: Offset,
    /// From here on nothing may be cleaned yet.
    pub first_uncleanable: Offset,
    /// How many bytes lie below the dirty part.
    pub clean_bytes: u64,
    /// How many bytes the dirty part has that may be cleaned.
    pub cleanable_bytes: u64,
    /// For how many milliseconds something has been waiting beyond `max.compaction.lag.ms`; 0 when nothing has.
    pub overdue_ms: i64,
    /// The offset that was checkpointed is not one of this log: enter `first_dirty` instead.
    pub checkpoint_invalid: bool,
}

impl Dirt {
    /// The share of the bytes that is dirty, from 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        if total == 0 { 0.0 } else { self.cleanable_bytes as f64 / total as f64 }
    }

    /// Whether the log should be cleaned: because enough of it is dirty, or because a record has waited too long.
    #[must_use]
    pub fn is_worth_cleaning(&self, min_cleanable_ratio: f64) -> bool {
        self.cleanable_bytes > 0 && (self.overdue_ms > 0 || self.ratio() > min_cleanable_ratio)
    }
}

impl Log {
    /// Looks how dirty the log is. `cleaned_to` is what the cleaner's checkpoint says of it. Nothing is cleaned at or above
    /// the last stable offset, in the active segment, or younger than `min.compaction.lag.ms`.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub fn dirt(&self, cleaned_to: Option<Offset>, high_watermark: Offset, now: Timestamp) -> Result<Dirt, Fault> {
        let known = cleaned_to.unwrap_or(self.log_start());
        let checkpoint_invalid = known < self.log_start() || known > self.log_end();
        let first_dirty = if checkpoint_invalid { self.log_start() } else { known };
        let segments = self.segments();
        let active = segments.len() - 1;
        let mut bound = self.last_stable_offset(high_watermark).min(segments[active].base());
        let lag_ms = self.config().min_compaction_lag_ms;
        let first_dirty_segment = floor(segments, first_dirty).min(active);
        if lag_ms > 0 {
            for segment in &segments[first_dirty_segment..active] {
                if segment.largest_timestamp()?.0 > now.0.saturating_sub(lag_ms) {
                    bound = bound.min(segment.base());
                    break;
                }
            }
        }
        // A segment is cleaned as a whole, or not yet.
        let uncleanable = floor(segments, bound.max(first_dirty)).min(active);
        let dirty = first_dirty_segment.min(uncleanable);
        let clean = segments.partition_point(|s| s.base() < first_dirty).min(dirty);
        let bytes = |range: &[Segment]| range.iter().map(Segment::size).sum::<u64>();
        Ok(Dirt {
            first_dirty,
            first_uncleanable: segments[uncleanable].base().max(first_dirty),
            clean_bytes: bytes(&segments[..clean]),
            cleanable_bytes: bytes(&segments[dirty..uncleanable]),
            overdue_ms: self.overdue_ms(&segments[dirty..active], now)?,
            checkpoint_invalid,
        })
    }

    /// How long the oldest first batch of these segments has waited beyond `max.compaction.lag.ms`.
    fn overdue_ms(&self, segments: &[Segment], now: Timestamp) -> Result<i64, Fault> {
        let lag_ms = self.config().max_compaction_lag_ms.max(0);
        if lag_ms == i64::MAX {
            return Ok(0);
        }
        let mut oldest = i64::MAX;
        for segment in segments {
            let first = segment.first_timestamp()?.filter(|timestamp| timestamp.0 > 0);
            oldest = first.map_or(oldest, |timestamp| oldest.min(timestamp.0));
        }
        Ok(now.0.saturating_sub(lag_ms).saturating_sub(oldest).max(0))
    }
}

/// The segment that `offset` belongs to; the first one for what lies before it.
fn floor(segments: &[Segment], offset: Offset) -> usize {
    segments.partition_point(|s| s.base() <= offset).saturating_sub(1)
}
