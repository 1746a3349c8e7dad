//! From timestamps to offsets: what ListOffsets asks.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::BatchView;
use thalweg_records::validate::Scratch;

use super::{Generation, Log};
use crate::Fault;
use crate::scan::Scan;
use crate::segment::Segment;

/// Compressed messages of magic 0 and 1 that decompress to more than this are not looked into.
const LEGACY_RECORDS_MAX: usize = 256 << 20;

/// A record's place in time and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// Its timestamp; -1 for the log's ends.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// The epoch in which it was appended; -1 when that is not known.
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// The beginning of the log. The epoch is that of the first record, as far as it is known.
    #[must_use]
    pub fn earliest(&self) -> TimestampedOffset {
        let first = self.epochs.earliest().filter(|e| e.start_offset <= self.log_start);
        let leader_epoch = first.map_or(LeaderEpoch::NONE, |e| e.epoch);
        TimestampedOffset { timestamp: Timestamp::NONE, offset: self.log_start, leader_epoch }
    }

    /// The end of the log, with the newest epoch.
    #[must_use]
    pub fn latest(&self) -> TimestampedOffset {
        let leader_epoch = self.latest_epoch().unwrap_or(LeaderEpoch::NONE);
        TimestampedOffset { timestamp: Timestamp::NONE, offset: self.log_end, leader_epoch }
    }

    /// The first record whose timestamp is `target` or later; `None` when there is none. Reads here and now: who holds a lock
    /// plans a [`Log::time_search`] under it instead.
    ///
    /// # Errors
    /// When the disk fails, or a batch on it cannot be decompressed.
    pub fn offset_for_timestamp(&self, target: Timestamp) -> Result<Option<TimestampedOffset>, Fault> {
        self.search_all(TimeQuery::Since(target))
    }

    /// The first record that has the largest timestamp of all (KIP-734); `None` when no record has one.
    ///
    /// # Errors
    /// As [`Log::offset_for_timestamp`].
    pub fn max_timestamp(&self) -> Result<Option<TimestampedOffset>, Fault> {
        self.search_all(TimeQuery::Newest)
    }

    fn search_all(&self, query: TimeQuery) -> Result<Option<TimestampedOffset>, Fault> {
        let mut after = None;
        while let Some(search) = self.time_search(query, after)? {
            after = Some(search.base());
            if let Some(found) = search.run()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Plans to look for a record in the first segment that may have it, or in the first such segment behind the one that
    /// begins at `after`, where it was not. Looks at indexes only; `None` if no segment is left.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn time_search(&self, query: TimeQuery, after: Option<Offset>) -> Result<Option<TimeSearch>, Fault> {
        let is_left = |segment: &&Segment| after.is_none_or(|after| segment.base() > after);
        let generation = self.generation.clone();
        match query {
            TimeQuery::Since(target) => {
                for segment in self.segments.iter().filter(is_left) {
                    if segment.largest_timestamp()? >= target {
                        let floor = segment.times.lookup(target)?.offset.max(self.log_start);
                        let scan = segment.scan_bodies_near(floor)?;
                        let wanted = Wanted { at_least: target, at_most: None, from: self.log_start };
                        return Ok(Some(TimeSearch { base: segment.base(), scan, wanted, generation }));
                    }
                }
                Ok(None)
            }
            // It is in one segment or nowhere.
            TimeQuery::Newest if after.is_some() => Ok(None),
            TimeQuery::Newest => {
                let mut best: Option<(&Segment, Timestamp)> = None;
                for segment in &self.segments {
                    let newest = segment.newest()?.timestamp;
                    if best.is_none_or(|(_, timestamp)| newest > timestamp) {
                        best = Some((segment, newest));
                    }
                }
                let Some((segment, timestamp)) = best.filter(|(_, timestamp)| timestamp.0 >= 0) else {
                    return Ok(None);
                };
                let scan = segment.scan_bodies_near(segment.newest()?.offset)?;
                let wanted = Wanted { at_least: timestamp, at_most: Some(timestamp), from: Offset::ZERO };
                Ok(Some(TimeSearch { base: segment.base(), scan, wanted, generation }))
            }
        }
    }
}

/// What is looked for by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeQuery {
    /// The first record that is not older than this.
    Since(Timestamp),
    /// The first record that has the largest timestamp of all.
    Newest,
}

/// What a record must be like.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    at_least: Timestamp,
    at_most: Option<Timestamp>,
    from: Offset,
}

impl Wanted {
    fn takes(&self, timestamp: Timestamp, offset: Offset) -> bool {
        timestamp >= self.at_least && self.at_most.is_none_or(|most| timestamp <= most) && offset >= self.from
    }
}

/// A search through a segment, planned by [`Log::time_search`]. It reads and decompresses, needs nothing of the log, and
/// takes little memory: one batch as it is stored.
pub struct TimeSearch {
    base: Offset,
    scan: Scan,
    wanted: Wanted,
    generation: Generation,
}

impl TimeSearch {
    /// Where the segment begins.
    #[must_use]
    pub fn base(&self) -> Offset {
        self.base
    }

    /// Whether the log was truncated since the search was planned: what it reads may be anything then, errors included.
    pub fn generation(&self) -> Generation {
        self.generation.clone()
    }

    /// Searches; waits for the disk.
    ///
    /// # Errors
    /// When the disk fails, or a batch on it cannot be decompressed.
    pub fn run(mut self) -> Result<Option<TimestampedOffset>, Fault> {
        let mut scratch = Scratch::default();
        while let Some(found) = self.scan.next()? {
            let (header, wanted) = (found.header, self.wanted);
            let newest = header.max_timestamp;
            if newest < wanted.at_least || wanted.at_most.is_some_and(|most| newest != most) {
                continue;
            }
            let place =
                |offset_delta, timestamp_delta| (header.timestamp_of(timestamp_delta), header.offset_of(offset_delta));
            let is_wanted = |offset_delta, timestamp_delta| {
                let (timestamp, offset) = place(offset_delta, timestamp_delta);
                wanted.takes(timestamp, offset)
            };
            let batch = Bytes::copy_from_slice(self.scan.raw(&found)?);
            let view = BatchView::parse(&batch);
            let record = view.and_then(|view| view.find_record(&mut scratch, LEGACY_RECORDS_MAX, is_wanted));
            let record = record.map_err(|error| self.scan.corrupt(found.position, &error))?;
            if let Some((offset_delta, timestamp_delta)) = record {
                let (timestamp, offset) = place(offset_delta, timestamp_delta);
                return Ok(Some(TimestampedOffset { timestamp, offset, leader_epoch: header.leader_epoch }));
            }
        }
        Ok(None)
    }
}
