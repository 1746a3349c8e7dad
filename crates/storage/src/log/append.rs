//! Appending batches: checks first, then one write, then what follows from it.

use std::io::IoSlice;

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::{BatchError, BatchHeader, BatchView, HEAD, PreparedBatch, TimestampType, batches};

use super::{Log, LogPosition};
use crate::Fault;
use crate::producer_entry::{Marker, Origin, ProducerRefusal, WrittenBatch};
use crate::scan::{is_plausible, marker_of};
use crate::segment::Segment;

/// So many slices of a write stand on the stack: eight batches, each a head and a tail.
const SLICES_INLINE: usize = 16;

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub first_offset: Offset,
    /// The offset of the last record.
    pub last_offset: Offset,
    /// The timestamp that the broker gave the records, where the topic wants that.
    pub log_append_time: Option<Timestamp>,
    /// The largest timestamp of the records.
    pub max_timestamp: Timestamp,
    /// A segment was finished: its flush is due, see [`super::Flush::Finished`].
    pub rolled: bool,
}

/// A batch that its producer sent again, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The offset of its first record.
    pub first_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
}

/// How an append ended that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The batches are in the log.
    Appended(Appended),
    /// They were in the log before.
    Duplicate(Duplicate),
}

/// Why batches are not appended. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefusal {
    /// A producer's batch may not come now.
    #[error(transparent)]
    Producer(#[from] ProducerRefusal),
    /// `RECORD_LIST_TOO_LARGE`: the batches do not fit into one segment.
    #[error("message batch size is {size} bytes, which exceeds the maximum configured segment size of {segment_bytes}")]
    LargerThanSegment {
        /// The size of all batches.
        size: u64,
        /// `segment.bytes`.
        segment_bytes: u32,
    },
    /// Batches that bring their offsets do not follow what is in the log, or each other.
    #[error("unexpected offset {offset} in append, the next offset is {expected}")]
    UnexpectedOffset {
        /// The offending batch's first offset.
        offset: Offset,
        /// The lowest offset that is possible there.
        expected: Offset,
    },
    /// `CORRUPT_MESSAGE`: bytes that are no batch, or whose checksum is wrong.
    #[error("{0}")]
    Corrupt(#[from] BatchError),
}

/// Why an append did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It may not.
    #[error(transparent)]
    Refused(#[from] AppendRefusal),
    /// It cannot: the log is offline, or was cut back to what it was.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ProducerRefusal> for AppendError {
    fn from(refusal: ProducerRefusal) -> Self {
        Self::Refused(refusal.into())
    }
}

/// The sum of the batches of one append.
struct Summary {
    first: Offset,
    last: Offset,
    max_timestamp: Timestamp,
    log_append_time: Option<Timestamp>,
    len: u64,
}

impl Summary {
    /// Nothing yet, to be appended at `first`.
    fn new(first: Offset) -> Self {
        let max_timestamp = Timestamp::NONE;
        Self { first, last: Offset(first.0.saturating_sub(1)), max_timestamp, log_append_time: None, len: 0 }
    }

    fn add(&mut self, header: &BatchHeader) {
        self.last = header.last_offset();
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
            self.log_append_time = Some(header.max_timestamp);
        }
        self.len += header.size() as u64;
    }
}

impl Log {
    /// Appends batches as a leader: they get the next offsets and `leader_epoch`. All of them are written, or none.
    ///
    /// A batch that its producer sent before is not written again; then nothing of the call is.
    ///
    /// # Errors
    /// [`AppendError::Refused`] when they may not be appended. [`AppendError::Fault`] when the disk fails: the log was
    /// then cut back to what it was, or is offline.
    ///
    /// # Panics
    /// When `batches` is empty.
    pub fn append(
        &mut self,
        batches: &mut [PreparedBatch],
        leader_epoch: LeaderEpoch,
        origin: Origin,
        now: Timestamp,
    ) -> Result<AppendOutcome, AppendError> {
        assert!(!batches.is_empty(), "an append has a batch");
        self.ensure_usable()?;
        let mut summary = Summary::new(self.log_end);
        for batch in batches.iter_mut() {
            batch.assign(summary.last.next(), leader_epoch);
            let header = batch.header();
            if !is_plausible(&header, summary.last.next()) {
                return Err(AppendRefusal::from(BatchError::Record("the last offset delta is impossible")).into());
            }
            summary.add(&header);
        }
        let segment_bytes = self.config.segment_bytes;
        if summary.len > u64::from(segment_bytes) {
            return Err(AppendRefusal::LargerThanSegment { size: summary.len, segment_bytes }.into());
        }
        self.changes.clear();
        for batch in batches.iter() {
            if let Some(duplicate) = self.prepare(batch, origin)? {
                return Ok(AppendOutcome::Duplicate(duplicate));
            }
        }
        self.write(batches, &summary, now).map(AppendOutcome::Appended)
    }

    /// Appends batches that bring their offsets and epochs: what a follower fetched, or what the metadata quorum's leader
    /// built. A partial batch at the end is left out, as is everything from the first batch with an epoch above
    /// `leader_epoch`. `None` when nothing is left to append.
    ///
    /// # Errors
    /// As [`Log::append`]; batches must be whole, with right checksums and growing offsets from the log's end on. An empty
    /// log whose leader's first batch begins earlier is refused with [`AppendRefusal::UnexpectedOffset`]: restart it there
    /// with [`Log::truncate_fully_and_start_at`].
    pub fn append_as_follower(
        &mut self,
        bytes: Bytes,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        self.ensure_usable()?;
        let mut prepared = Vec::new();
        let mut summary = Summary::new(self.log_end);
        for view in batches(bytes) {
            let view = match view {
                Err(error) if error.is_truncated() => break,
                other => other.map_err(AppendRefusal::from)?,
            };
            if view.header().leader_epoch > leader_epoch {
                break;
            }
            self.accept(&view, &mut summary, prepared.is_empty())?;
            prepared.push(PreparedBatch::from_view(&view).map_err(AppendRefusal::from)?);
        }
        if prepared.is_empty() {
            return Ok(None);
        }
        self.changes.clear();
        for batch in &prepared {
            self.prepare(batch, Origin::Replication)?;
        }
        self.write(&prepared, &summary, now).map(Some)
    }

    /// Checks a batch that brings its offsets, and adds it to the sum.
    fn accept(&self, view: &BatchView, summary: &mut Summary, first: bool) -> Result<(), AppendRefusal> {
        let header = view.header();
        let expected = if first { self.log_end } else { summary.last.next() };
        if !is_plausible(header, expected) {
            return Err(AppendRefusal::UnexpectedOffset { offset: header.base_offset, expected });
        }
        view.verify_crc()?;
        if first {
            summary.first = header.base_offset;
        }
        summary.add(header);
        if summary.last.0 - summary.first.0 > i64::from(i32::MAX) {
            return Err(AppendRefusal::Corrupt(BatchError::Record("the offsets span more than one segment can hold")));
        }
        Ok(())
    }

    /// Checks one batch against the state of its producer. Its changes wait in `self.changes`.
    fn prepare(&mut self, batch: &PreparedBatch, origin: Origin) -> Result<Option<Duplicate>, AppendError> {
        let header = batch.header();
        if !header.has_producer_id() {
            return Ok(None);
        }
        if origin == Origin::Client
            && let Some(written) = self.producers.duplicate_of(&header)
        {
            return Ok(Some(duplicate(&written)));
        }
        let marker = marker_in(batch, &header).map_err(AppendRefusal::from)?;
        self.producers.prepare(&header, marker, origin, &mut self.changes)?;
        Ok(None)
    }

    /// Writes batches that may be written, and then lets everything know of them.
    fn write(&mut self, batches: &[PreparedBatch], sum: &Summary, now: Timestamp) -> Result<Appended, AppendError> {
        let config = &self.config;
        let rolled = self.active().should_roll(config, sum.len, sum.max_timestamp, sum.last, now)?;
        if rolled {
            self.roll(sum.first, now)?;
        }
        let mut inline = [IoSlice::new(&[]); SLICES_INLINE];
        let mut listed = Vec::new();
        let slices: &mut [IoSlice<'_>] = if batches.len() * 2 <= SLICES_INLINE {
            &mut inline[..batches.len() * 2]
        } else {
            listed.resize(batches.len() * 2, IoSlice::new(&[]));
            &mut listed
        };
        for (pair, batch) in slices.chunks_exact_mut(2).zip(batches) {
            pair[0] = IoSlice::new(batch.head());
            pair[1] = IoSlice::new(batch.tail());
        }
        let position = self.active().size();
        if let Err((fault, usable)) = self.active_mut().write(slices, sum.len) {
            self.failed = !usable;
            return Err(fault.into());
        }
        self.guarded(|log| log.written(batches, sum, position))?;
        Ok(Appended {
            first_offset: sum.first,
            last_offset: sum.last,
            log_append_time: sum.log_append_time,
            max_timestamp: sum.max_timestamp,
            rolled,
        })
    }

    /// The batches are in the file, from `position` on.
    fn written(&mut self, batches: &[PreparedBatch], sum: &Summary, mut position: u64) -> Result<(), Fault> {
        let interval = self.config.index_interval_bytes;
        for batch in batches {
            let header = batch.header();
            self.active_mut().enter(&header, position, interval)?;
            self.epochs_changed += u64::from(self.epochs.assign(header.leader_epoch, header.base_offset));
            position += header.size() as u64;
        }
        self.log_end = sum.last.next();
        let active = self.segments.len() - 1;
        let Segment { txns, .. } = &mut self.segments[active];
        let had_txns = !txns.is_empty();
        self.producers.apply(&mut self.changes, self.log_end, |txn| txns.append(&txn))?;
        // The first aborted transaction creates the file.
        self.names_changed += u64::from(!had_txns && !txns.is_empty());
        let base = self.active().base();
        self.remember(self.log_end, LogPosition { base, position });
        Ok(())
    }

    /// Finishes the active segment and begins a new one at the log's end, or at `first` if that is beyond it.
    pub(crate) fn roll(&mut self, first: Offset, now: Timestamp) -> Result<(), Fault> {
        self.guarded_but_for_descriptors(|log| {
            let base = first.max(log.log_end);
            assert!(base > log.active().base(), "a segment begins at {base} already");
            log.active_mut().finish()?;
            log.producers.set_map_end(base);
            let snapshot = log.producers.take_snapshot(&log.dir)?;
            log.unsynced_snapshots.extend(snapshot);
            let segment = Segment::create(&log.dir, base, now, &log.config.open_files)?;
            log.segments.push(segment);
            log.names_changed += 1;
            // The new segment may begin beyond the end of the log until its first batch is written.
            log.log_end = base;
            log.remember(base, LogPosition { base, position: 0 });
            Ok(())
        })
    }
}

fn duplicate(written: &WrittenBatch) -> Duplicate {
    Duplicate { first_offset: written.first_offset(), last_offset: written.last_offset, timestamp: written.timestamp }
}

/// The transaction marker in a control batch.
fn marker_in(batch: &PreparedBatch, header: &BatchHeader) -> Result<Option<Marker>, BatchError> {
    if !header.attributes.is_control() || batch.len() == HEAD {
        return Ok(None);
    }
    marker_of(&BatchView::parse(&batch.to_bytes())?)
}
