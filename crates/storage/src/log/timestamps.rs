//! From timestamps to offsets: what ListOffsets asks.

use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::BatchError;

use super::Log;
use crate::Fault;
use crate::scan::{Found, Scan};
use crate::segment::Segment;

/// A batch that decompresses to more than this is not looked into.
const RECORDS_MAX: usize = 256 << 20;

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

    /// The first record whose timestamp is `target` or later; `None` when there is none.
    ///
    /// # Errors
    /// When the disk fails, or a batch on it cannot be decompressed.
    pub fn offset_for_timestamp(&self, target: Timestamp) -> Result<Option<TimestampedOffset>, Fault> {
        for segment in &self.segments {
            if segment.largest_timestamp()? >= target
                && let Some(record) = first_since(segment, target, self.log_start)?
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp of all (KIP-734); `None` when no record has one.
    ///
    /// # Errors
    /// As [`Log::offset_for_timestamp`].
    pub fn max_timestamp(&self) -> Result<Option<TimestampedOffset>, Fault> {
        let mut best: Option<(&Segment, Timestamp)> = None;
        for segment in &self.segments {
            let newest = segment.newest()?.timestamp;
            if best.is_none_or(|(_, timestamp)| newest > timestamp) {
                best = Some((segment, newest));
            }
        }
        let Some((segment, timestamp)) = best.filter(|(_, timestamp)| timestamp.0 >= 0) else { return Ok(None) };
        let mut scan = segment.scan_bodies_near(segment.newest()?.offset)?;
        while let Some(found) = scan.next()? {
            if found.header.max_timestamp != timestamp {
                continue;
            }
            if let Some(record) = first_record(&mut scan, &found, segment, |at, _| at == timestamp)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

fn first_since(segment: &Segment, target: Timestamp, from: Offset) -> Result<Option<TimestampedOffset>, Fault> {
    let floor = segment.times.lookup(target)?;
    let mut scan = segment.scan_bodies_near(floor.offset.max(from))?;
    while let Some(found) = scan.next()? {
        if found.header.max_timestamp < target {
            continue;
        }
        let record = first_record(&mut scan, &found, segment, |at, offset| at >= target && offset >= from)?;
        if record.is_some() {
            return Ok(record);
        }
    }
    Ok(None)
}

/// The first record of a batch whose timestamp and offset are wanted.
fn first_record(
    scan: &mut Scan,
    found: &Found,
    segment: &Segment,
    wanted: impl Fn(Timestamp, Offset) -> bool,
) -> Result<Option<TimestampedOffset>, Fault> {
    let corrupt = |error: BatchError| Fault::corrupt(segment.path(), format!("at {}: {error}", found.position));
    let header = &found.header;
    let view = scan.view(found)?.map_err(corrupt)?;
    for record in view.records(RECORDS_MAX).map_err(corrupt)? {
        let record = record.map_err(corrupt)?;
        let (timestamp, offset) = (header.timestamp_of(record.timestamp_delta), header.offset_of(record.offset_delta));
        if wanted(timestamp, offset) {
            return Ok(Some(TimestampedOffset { timestamp, offset, leader_epoch: header.leader_epoch }));
        }
    }
    Ok(None)
}
