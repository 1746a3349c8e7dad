//! Reading: where the bytes are. The bytes themselves are read by the caller, outside of any lock.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_base::Offset;
use thalweg_records::{BatchHeader, HEAD, LOG_OVERHEAD, frame_size};

use super::{Generation, Log, LogPosition};
use crate::segment::Segment;
use crate::txn_index::AbortedTxn;
use crate::{Fault, SegmentFile};

/// Why nothing can be read from an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefusal {
    /// `OFFSET_OUT_OF_RANGE`.
    #[error("offset {offset} is not in {log_start}..={log_end}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset there is.
        log_start: Offset,
        /// The offset after the last one.
        log_end: Offset,
    },
}

/// Why a read was not planned.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log.
    #[error(transparent)]
    Refused(#[from] ReadRefusal),
    /// The disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A range of a segment's file that holds what was asked for: whole batches, but the last may be cut where the limit on
/// bytes is, as Kafka does.
///
/// The range was written when the plan was made. A truncation may take it away before it is read: reading then fails
/// with `UnexpectedEof`, or returns what was appended instead: ask [`ReadPlan::is_current`].
#[derive(Clone, Debug)]
pub struct ReadPlan {
    file: Option<Arc<SegmentFile>>,
    start: LogPosition,
    len: usize,
    /// The range ends because of the limit on bytes.
    cut: bool,
    first_too_large: bool,
    layout: u64,
    generation: Generation,
}

impl ReadPlan {
    /// Whether the log was not truncated since: else what is read may be anything, and an error says nothing of the disk.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.generation.is_current()
    }

    /// The file, and the position in it from which [`ReadPlan::len`] bytes are to be read; `None` when there is nothing.
    #[must_use]
    pub fn source(&self) -> Option<(&Arc<SegmentFile>, u64)> {
        self.file.as_ref().map(|file| (file, self.start.position))
    }

    /// How many bytes are to be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the range ends because of the limit on bytes: the reader will come back for what follows.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Nothing is planned because the first batch is larger than `max_bytes`.
    #[must_use]
    pub fn is_first_batch_too_large(&self) -> bool {
        self.first_too_large
    }

    /// Reads the bytes, waiting for the disk if it must.
    ///
    /// # Errors
    /// As the operating system says; see [`ReadPlan`] for truncations. [`Fault::Corrupt`] if no batch begins there.
    pub fn read(&self) -> Result<Bytes, Fault> {
        let mut bytes = vec![0; self.len];
        self.read_at(0, &mut bytes)?;
        self.check(&bytes)?;
        Ok(bytes.into())
    }

    /// As [`ReadPlan::read`], if that needs no wait for the disk; `None` if it does.
    ///
    /// # Errors
    /// As [`ReadPlan::read`].
    pub fn read_cached(&self) -> Result<Option<Bytes>, Fault> {
        let mut bytes = vec![0; self.len];
        if !self.read_cached_at(0, &mut bytes)? {
            return Ok(None);
        }
        self.check(&bytes)?;
        Ok(Some(bytes.into()))
    }

    /// A plan begins where a batch does. Readers are not shown what cannot be one, as in Kafka.
    fn check(&self, bytes: &[u8]) -> Result<(), Fault> {
        match (self.source(), frame_size(bytes)) {
            (Some((file, position)), Err(error)) if bytes.len() >= LOG_OVERHEAD && self.is_current() => {
                Err(Fault::corrupt(file.path(), format!("at {position}: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Fills `buf` with what stands `from` bytes behind the plan's begin, waiting for the disk if it must.
    ///
    /// # Errors
    /// As [`ReadPlan::read`].
    pub fn read_at(&self, from: usize, buf: &mut [u8]) -> Result<(), Fault> {
        let Some((file, position)) = self.source() else { return Ok(()) };
        file.file().read_exact_at(buf, position + from as u64).map_err(Fault::io("read", file.path()))
    }

    /// As [`ReadPlan::read_at`], if that needs no wait for the disk; says whether it did. When it did not, the bytes of
    /// `buf` are unspecified.
    ///
    /// # Errors
    /// As [`ReadPlan::read`].
    pub fn read_cached_at(&self, from: usize, buf: &mut [u8]) -> Result<bool, Fault> {
        let Some((file, position)) = self.source() else { return Ok(true) };
        file.file().read_exact_cached_at(buf, position + from as u64).map_err(Fault::io("read", file.path()))
    }
}

/// What to do with a first batch that is larger than the limit on bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBatch {
    /// Plan it whole, so that the reader gets on (KIP-74).
    Whole,
    /// Plan nothing.
    Fitting,
}

impl Log {
    /// Plans to read about `max_bytes` from the batch that holds `from`, and nothing at or beyond `limit`: the log's end for
    /// a follower, the high watermark for a consumer, the last stable offset for one that reads committed records.
    ///
    /// # Errors
    /// [`ReadRefusal::OffsetOutOfRange`] below the log's start and beyond its end.
    pub fn read(
        &self,
        from: Offset,
        limit: Offset,
        max_bytes: usize,
        first: FirstBatch,
    ) -> Result<ReadPlan, ReadError> {
        let (log_start, log_end) = (self.log_start, self.log_end);
        if from < log_start || from > log_end {
            return Err(ReadRefusal::OffsetOutOfRange { offset: from, log_start, log_end }.into());
        }
        if from >= limit {
            return Ok(self.nothing());
        }
        let Some((at, start)) = self.locate(from)? else { return Ok(self.nothing()) };
        let end = self.limit_position(at, limit)?;
        let available = usize::try_from(end.saturating_sub(start.position)).unwrap_or(usize::MAX);
        if available == 0 {
            return Ok(self.nothing());
        }
        let mut plan = ReadPlan { start, len: available, ..self.nothing() };
        if available > max_bytes {
            let size = self.batch_size(&self.segments[at], start.position)?;
            if size > max_bytes && first == FirstBatch::Fitting {
                return Ok(ReadPlan { first_too_large: true, ..self.nothing() });
            }
            plan.len = max_bytes.max(size).min(available);
            plan.cut = plan.len < available;
        }
        plan.file = Some(self.segments[at].log()?);
        Ok(plan)
    }

    /// Tells the log what a plan's bytes were, so that it knows where the reader will go on. It is worth a call only
    /// when the reader will come back; nothing depends on it.
    pub fn has_read(&self, plan: &ReadPlan, bytes: &[u8]) {
        if !plan.cut || plan.layout != self.layout {
            return;
        }
        let (mut at, mut next) = (0, None);
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEAD)
            && let Ok(header) = BatchHeader::parse(rest)
            && header.size() <= rest.len()
        {
            at += header.size();
            next = Some(header.next_offset());
        }
        if let Some(next) = next {
            self.remember(next, LogPosition { position: plan.start.position + at as u64, ..plan.start });
        }
    }

    /// The transactions among the records of a plan that were aborted: a consumer of committed records skips them. It
    /// is to be asked under the same lock under which the plan was made: a cleaning in between would have forgotten
    /// transactions whose records the plan still reads.
    ///
    /// # Errors
    /// When a transaction index cannot be read.
    pub fn aborted_txns(&self, from: Offset, plan: &ReadPlan) -> Result<Vec<AbortedTxn>, Fault> {
        let mut found = Vec::new();
        let Some(at) = self.segment_at(plan.start.base).filter(|_| !plan.is_empty()) else { return Ok(found) };
        let end = plan.start.position + plan.len as u64;
        let bound = match self.segments[at].offsets.first_at_or_after(end)? {
            Some(offset) => offset,
            None => self.segments.get(at + 1).map_or(self.log_end, Segment::base),
        };
        for segment in &self.segments[at..] {
            if segment.txns.collect(from, bound, &mut found)? {
                break;
            }
        }
        Ok(found)
    }

    /// How many bytes lie between two offsets, if that is known without looking at the disk; what parked fetches want.
    #[must_use]
    pub fn bytes_between(&self, from: Offset, to: Offset) -> Option<u64> {
        let (from, to) = (self.recall(from)?, self.recall(to)?);
        (from.base == to.base).then(|| to.position.saturating_sub(from.position))
    }

    fn nothing(&self) -> ReadPlan {
        let start = LogPosition::default();
        ReadPlan {
            file: None,
            start,
            len: 0,
            cut: false,
            first_too_large: false,
            layout: self.layout,
            generation: self.generation.clone(),
        }
    }

    /// The segment and position of the first batch that ends at or after `offset`; `None` when there is none.
    fn locate(&self, offset: Offset) -> Result<Option<(usize, LogPosition)>, Fault> {
        if let Some(known) = self.recall(offset)
            && let Ok(at) = self.segments.binary_search_by_key(&known.base, Segment::base)
            && known.position < self.segments[at].size()
        {
            return Ok(Some((at, known)));
        }
        let Some(first) = self.segment_at(offset) else { return Ok(None) };
        for (at, segment) in self.segments.iter().enumerate().skip(first) {
            let position = if segment.size() == 0 {
                None
            } else if segment.base() >= offset {
                Some(0)
            } else {
                segment.find(offset)?.map(|found| found.position)
            };
            if let Some(position) = position {
                let known = LogPosition { base: segment.base(), position };
                self.remember(offset, known);
                return Ok(Some((at, known)));
            }
        }
        Ok(None)
    }

    /// Where, in a segment, the first batch begins that holds `limit` or what follows it.
    fn limit_position(&self, at: usize, limit: Offset) -> Result<u64, Fault> {
        let segment = &self.segments[at];
        let next = self.segments.get(at + 1).map_or(self.log_end, Segment::base);
        if limit >= next {
            return Ok(segment.size());
        }
        if let Some(known) = self.recall(limit).filter(|known| known.base == segment.base()) {
            return Ok(known.position.min(segment.size()));
        }
        let position = segment.find(limit)?.map_or(segment.size(), |found| found.position);
        self.remember(limit, LogPosition { base: segment.base(), position });
        Ok(position)
    }

    /// The size of the batch at a position.
    fn batch_size(&self, segment: &Segment, position: u64) -> Result<usize, Fault> {
        let mut head = [0; LOG_OVERHEAD];
        segment.log()?.file().read_exact_at(&mut head, position).map_err(Fault::io("read", segment.path()))?;
        frame_size(&head).map_err(|error| Fault::corrupt(segment.path(), format!("at {position}: {error}")))
    }
}
