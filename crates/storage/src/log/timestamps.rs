//! From timestamps to offsets: what ListOffsets asks.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::validate::Scratch;
use thalweg_records::{BatchError, BatchView};

use super::Log;
use crate::Fault;
use crate::scan::{Found, Scan};
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
    let view = BatchView::parse(&Bytes::copy_from_slice(scan.raw(found)?)).map_err(corrupt)?;
    let place = |offset_delta, timestamp_delta| (header.timestamp_of(timestamp_delta), header.offset_of(offset_delta));
    let is_wanted = |offset_delta, timestamp_delta| {
        let (timestamp, offset) = place(offset_delta, timestamp_delta);
        wanted(timestamp, offset)
    };
    let record = view.find_record(&mut Scratch::default(), LEGACY_RECORDS_MAX, is_wanted).map_err(corrupt)?;
    Ok(record.map(|(offset_delta, timestamp_delta)| {
        let (timestamp, offset) = place(offset_delta, timestamp_delta);
        TimestampedOffset { timestamp, offset, leader_epoch: header.leader_epoch }
    }))
}
