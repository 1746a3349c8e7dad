//! Writing the segments that take the place of a group.

use std::io::IoSlice;

use thalweg_base::{Offset, Timestamp};
use thalweg_records::BatchHeader;
use thalweg_sys::fs;

use super::plan::CleanPlan;
use crate::segment::{Segment, remove_if_exists};
use crate::{AbortedTxn, Fault, names};

/// So many bytes are written at once.
const BUFFER: usize = 1 << 20;
/// Positions in a segment have 31 bits.
const SEGMENT_LEN_MAX: u64 = i32::MAX as u64;

/// The segment that is being written, and those that are finished. Usually there is only one: batches that were rebuilt
/// may be larger than they were, and then do not fit.
#[derive(Debug)]
pub(crate) struct Output {
    finished: Vec<Segment>,
    segment: Segment,
    /// Bytes that are entered into the segment's indexes and not yet in its file.
    buffer: Vec<u8>,
    written: u64,
}

impl Output {
    /// Begins a segment at `base`. What a cleaning before has left is removed: after a crash it would be taken for a part of
    /// this group that is not finished.
    pub(crate) fn begin(plan: &CleanPlan, base: Offset, now: Timestamp) -> Result<Self, Fault> {
        for entry in fs::read_dir(&plan.dir).map_err(Fault::io("list", &plan.dir))? {
            if entry.name.ends_with(names::CLEANED) && !entry.is_dir {
                remove_if_exists(&plan.dir.join(&entry.name))?;
            }
        }
        let segment = Segment::create_as(&plan.dir, base, names::CLEANED, now, &plan.config.open_files)?;
        Ok(Self { finished: Vec::new(), segment, buffer: Vec::new(), written: 0 })
    }

    /// How many bytes of batches it was given.
    pub(crate) fn bytes(&self) -> u64 {
        self.written
    }

    /// Adds one batch.
    pub(crate) fn append(
        &mut self,
        plan: &CleanPlan,
        header: &BatchHeader,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), Fault> {
        let mut position = self.segment.size() + self.buffer.len() as u64;
        let fits = position + bytes.len() as u64 <= SEGMENT_LEN_MAX && self.segment.reaches(header.last_offset());
        if position > 0 && !fits {
            self.flush()?;
            let next = Segment::create_as(&plan.dir, header.base_offset, names::CLEANED, now, &plan.config.open_files)?;
            let full = std::mem::replace(&mut self.segment, next);
            self.finished.push(full);
            position = 0;
        }
        self.segment.enter(header, position, plan.config.index_interval_bytes)?;
        self.buffer.extend_from_slice(bytes);
        self.written += bytes.len() as u64;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// The last batch is the marker of this transaction.
    pub(crate) fn aborted(&mut self, txn: &AbortedTxn) -> Result<(), Fault> {
        self.segment.txns.append(txn)
    }

    /// Makes everything durable, the names too. `modified` is when the last of the sources was written.
    pub(crate) fn finish(mut self, plan: &CleanPlan, modified: Timestamp) -> Result<Vec<Segment>, Fault> {
        self.flush()?;
        let mut segments = self.finished;
        segments.push(self.segment);
        for segment in &mut segments {
            segment.finish()?;
            segment.seal(modified)?;
        }
        fs::sync_dir(&plan.dir).map_err(Fault::io("sync", &plan.dir))?;
        Ok(segments)
    }

    /// Removes what was written.
    pub(crate) fn discard(self) -> Result<(), Fault> {
        self.finished.iter().chain([&self.segment]).try_for_each(Segment::remove_files)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let len = self.buffer.len() as u64;
        self.segment.write(&mut [IoSlice::new(&self.buffer)], len).map_err(|(fault, _)| fault)?;
        self.buffer.clear();
        Ok(())
    }
}
