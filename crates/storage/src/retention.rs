//! Deleting the oldest segments: by age, by size, and below the log's start.

use thalweg_base::{Offset, Timestamp};

use crate::segment::Segment;
use crate::{Fault, Log};

impl Log {
    /// Deletes the segments that `cleanup.policy` and `retention.*` no longer keep, and those wholly below the log's start;
    /// returns how many. None of them holds a record at or above the high watermark. Their files wait in
    /// [`Log::take_doomed`].
    ///
    /// # Errors
    /// When the disk fails: the log is then offline.
    pub fn delete_old_segments(&mut self, high_watermark: Offset, now: Timestamp) -> Result<usize, Fault> {
        let mut deleted = self.delete_oldest(self.below_log_start(high_watermark), now)?;
        if self.config().delete {
            deleted += self.delete_oldest(self.beyond_size(high_watermark), now)?;
            deleted += self.delete_oldest(self.beyond_age(high_watermark, now)?, now)?;
        }
        Ok(deleted)
    }

    fn below_log_start(&self, high_watermark: Offset) -> usize {
        let log_start = self.log_start();
        let below = |end: Option<Offset>, _: &Segment| Ok(end.is_some_and(|end| end <= log_start));
        self.oldest_while(high_watermark, below).unwrap_or(0)
    }

    fn beyond_size(&self, high_watermark: Offset) -> usize {
        let Ok(keep) = u64::try_from(self.config().retention_bytes) else { return 0 };
        let Some(mut surplus) = self.size().checked_sub(keep) else { return 0 };
        let beyond = |_: Option<Offset>, segment: &Segment| {
            let Some(rest) = surplus.checked_sub(segment.size()) else { return Ok(false) };
            surplus = rest;
            Ok(true)
        };
        self.oldest_while(high_watermark, beyond).unwrap_or(0)
    }

    fn beyond_age(&self, high_watermark: Offset, now: Timestamp) -> Result<usize, Fault> {
        let keep_ms = self.config().retention_ms;
        if keep_ms < 0 {
            return Ok(0);
        }
        let beyond =
            |_: Option<Offset>, segment: &Segment| Ok(now.0.saturating_sub(segment.largest_timestamp()?.0) > keep_ms);
        self.oldest_while(high_watermark, beyond)
    }

    /// How many of the oldest segments satisfy `old`, which is told the base of the segment after each. Segments that reach
    /// above the high watermark do not count, nor does an empty last one.
    fn oldest_while(
        &self,
        high_watermark: Offset,
        mut old: impl FnMut(Option<Offset>, &Segment) -> Result<bool, Fault>,
    ) -> Result<usize, Fault> {
        let segments = self.segments();
        let mut count = 0;
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(Segment::base);
            let end = next.unwrap_or(self.log_end());
            let empty_last = next.is_none() && segment.size() == 0;
            if high_watermark < end || empty_last || !old(next, segment)? {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Deletes the `count` oldest segments. When that is all, a new one is begun first.
    fn delete_oldest(&mut self, count: usize, now: Timestamp) -> Result<usize, Fault> {
        if count == 0 {
            return Ok(0);
        }
        if count == self.segments().len() {
            self.roll(self.log_end(), now)?;
        }
        let start = self.segments()[count].base();
        self.advance_log_start(start)?;
        self.drop_first(count)?;
        Ok(count)
    }
}
