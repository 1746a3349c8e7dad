//! Walking over the batches of a segment's file: by their headers alone, or with their records and checksums.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_base::Offset;
use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchError, BatchHeader, BatchView, HEAD, crc32c, frame_size};

use crate::producer_entry::Marker;
use crate::{Fault, SegmentFile};

/// So much is read at once when only headers are wanted: a page, with many headers when batches are small.
const HEADER_CHUNK: usize = 4096;
/// So much is read at once when whole batches are wanted.
const BODY_CHUNK: usize = 1 << 20;
/// Where the checksummed part of a magic 2 batch begins.
const CRC_FROM: usize = 21;
/// The fewest bytes that tell a batch's size and format.
const HEADER_MIN: u64 = 17;
/// A batch of an old format or a control batch beyond this size is not one.
const SPECIAL_BATCH_MAX: usize = 64 << 20;

/// A batch in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Found {
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.size() as u64
    }
}

/// What stands at a position of a file.
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole batch, by its header.
    Batch(Found),
    /// The end, or a batch that is not wholly there.
    End,
    /// Bytes that begin no batch.
    Bad(BatchError),
}

/// Walks over the batches in `at..end` of a file.
pub(crate) struct Scan {
    file: Arc<SegmentFile>,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    chunk: usize,
}

impl Scan {
    /// A walk that reads little more than headers.
    pub(crate) fn headers(file: Arc<SegmentFile>, at: u64, end: u64) -> Self {
        Self { file, at, end, buffer: Vec::new(), buffer_at: at, chunk: HEADER_CHUNK }
    }

    /// A walk whose batches are also looked into.
    pub(crate) fn bodies(file: Arc<SegmentFile>, at: u64, end: u64) -> Self {
        Self { chunk: BODY_CHUNK, ..Self::headers(file, at, end) }
    }

    /// Where the next step looks.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Goes back or on to a position; what was read there before is not read again.
    pub(crate) fn go_to(&mut self, at: u64) {
        self.at = at;
    }

    /// Steps over the next batch.
    pub(crate) fn step(&mut self) -> Result<Step, Fault> {
        let left = self.end.saturating_sub(self.at);
        if left <= HEADER_MIN {
            return Ok(Step::End);
        }
        let (at, want) = (self.at, HEAD.min(usize::try_from(left).unwrap_or(HEAD)));
        let head = self.bytes(at, want)?;
        let size = match frame_size(head) {
            Ok(size) => size as u64,
            Err(error) => return Ok(Step::Bad(error)),
        };
        if size > left {
            return Ok(Step::End);
        }
        match BatchHeader::parse(head) {
            Ok(header) => {
                self.at += size;
                Ok(Step::Batch(Found { position: at, header }))
            }
            Err(error) => Ok(Step::Bad(error)),
        }
    }

    /// The next batch, or `None` at the end and at bytes that begin no batch.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, Fault> {
        match self.step()? {
            Step::Batch(found) => Ok(Some(found)),
            Step::End | Step::Bad(_) => Ok(None),
        }
    }

    /// Compares a batch's stored checksum with its bytes.
    pub(crate) fn verify(&mut self, found: &Found) -> Result<Result<(), BatchError>, Fault> {
        if found.header.magic != 2 {
            return Ok(self.view(found)?.and_then(|view| view.verify_crc()));
        }
        let mut computed = 0;
        let mut at = found.position + CRC_FROM as u64;
        while at < found.end() {
            let len = usize::try_from(found.end() - at).unwrap_or(BODY_CHUNK).min(BODY_CHUNK);
            computed = crc32c(computed, self.bytes(at, len)?);
            at += len as u64;
        }
        let stored = found.header.crc;
        Ok(if computed == stored { Ok(()) } else { Err(BatchError::Crc { stored, computed }) })
    }

    /// A copy of the whole batch.
    pub(crate) fn view(&mut self, found: &Found) -> Result<Result<BatchView, BatchError>, Fault> {
        let size = found.header.size();
        if size > SPECIAL_BATCH_MAX {
            return Ok(Err(BatchError::TooLarge { limit: SPECIAL_BATCH_MAX }));
        }
        let bytes = Bytes::copy_from_slice(self.bytes(found.position, size)?);
        Ok(BatchView::parse(&bytes))
    }

    /// The bytes of a batch, however large.
    pub(crate) fn raw(&mut self, found: &Found) -> Result<&[u8], Fault> {
        self.bytes(found.position, found.header.size())
    }

    /// The fault of a file that holds no batch at a position where one must be.
    pub(crate) fn corrupt(&self, at: u64, reason: &dyn std::fmt::Display) -> Fault {
        Fault::corrupt(self.file.path(), format!("at {at}: {reason}"))
    }

    /// The transaction marker in a control batch of a producer; `None` when the batch is none or is empty.
    pub(crate) fn marker(&mut self, found: &Found) -> Result<Result<Option<Marker>, BatchError>, Fault> {
        if !found.header.attributes.is_control() || found.header.count == 0 {
            return Ok(Ok(None));
        }
        Ok(self.view(found)?.and_then(|view| marker_of(&view)))
    }

    /// `len` bytes at `at`, which lie inside the file. Whatever is near is read with them.
    fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8], Fault> {
        let buffered = self.buffer_at..self.buffer_at + self.buffer.len() as u64;
        if !(buffered.contains(&at) && at + len as u64 <= buffered.end) {
            let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
            self.buffer.resize(self.chunk.max(len).min(left.max(len)), 0);
            self.buffer_at = at;
            if let Err(e) = self.file.file().read_exact_at(&mut self.buffer, at) {
                self.buffer.clear();
                return Err(Fault::io("read", self.file.path())(e));
            }
        }
        let from = usize::try_from(at - self.buffer_at).unwrap_or(0);
        Ok(&self.buffer[from..from + len])
    }
}

/// The transaction marker in a control batch; `None` when its first record is another kind of control record.
pub(crate) fn marker_of(view: &BatchView) -> Result<Option<Marker>, BatchError> {
    let Some(record) = view.records(SPECIAL_BATCH_MAX)?.next().transpose()? else { return Ok(None) };
    let key = record.key.ok_or(BatchError::Record("a control record has no key"))?;
    let aborted = match ControlType::parse_key(&key)? {
        Some(ControlType::Abort) => true,
        Some(ControlType::Commit) => false,
        _ => return Ok(None),
    };
    let value = record.value.ok_or(BatchError::Record("a transaction marker has no value"))?;
    let coordinator_epoch = EndTxnMarker::parse(&value)?.coordinator_epoch;
    Ok(Some(Marker { aborted, coordinator_epoch, timestamp: view.header().timestamp_of(record.timestamp_delta) }))
}

/// Whether a header's numbers can be those of a batch that follows `next`, the first offset that is still free.
pub(crate) fn is_plausible(header: &BatchHeader, next: Offset) -> bool {
    let last = header.base_offset.0.checked_add(i64::from(header.last_offset_delta));
    header.base_offset >= next && header.last_offset_delta >= 0 && last.is_some_and(|last| last < i64::MAX)
}
