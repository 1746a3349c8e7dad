//! Compaction: of all records with one key, the last one stays.
//!
//! A [`Dirt`] says what a cleaning would be worth, a [`CleanPlan`] what it needs to know, a [`Cleaning`] does the reading
//! and writing in steps, without the log: appends, reads and rolls go on. When a group of segments is done, its result
//! takes the place of the group by a [`Swap`](crate::Swap), which needs the log only for renames. Offsets never change; what was
//! removed leaves gaps.
//!
//! The names of the files say after a crash how far a cleaning was: `.cleaned` files go away, `.swap` files are complete
//! and take their place when the log is opened. Apache Kafka does the same with them.

mod dirt;
mod filter;
mod groups;
mod offset_map;
mod output;
mod plan;
mod transactions;

use std::ops::Range;

use thalweg_base::{Offset, Timestamp};
use thalweg_records::BatchError;

pub use dirt::Dirt;
use filter::{Filter, Kept, control_kind};
use offset_map::{KeyHash, OffsetMap};
use output::Output;
pub use plan::CleanPlan;
use plan::Source;
use transactions::Transactions;

use crate::scan::{Found, Scan, Step, is_plausible};
use crate::{CleanedGroup, Fault};

/// A batch that decompresses to more than this is not looked into: it stays as it is.
const RECORDS_MAX: usize = 256 << 20;
/// So many bytes are read in one step: a fraction of a second's work.
const STEP_BYTES: u64 = 4 << 20;

/// How much memory a cleaning takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerLimits {
    /// For the table of keys: `log.cleaner.dedupe.buffer.size`, divided by the threads.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: so full the table gets.
    pub load_factor: f64,
}

/// What a step of a cleaning has come to.
#[derive(Debug)]
pub enum Progress {
    /// So many bytes were read and written; there is more to do.
    Worked {
        /// How many.
        bytes: u64,
    },
    /// These segments are to take their place, see [`Swap`](crate::Swap); then go on.
    Swap(CleanedGroup),
    /// All is done.
    Done(Cleaned),
}

/// What a cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Where the dirty part began.
    pub from: Offset,
    /// Everything below is clean now: what the checkpoint is to say.
    pub to: Offset,
    /// How many keys the dirty part had.
    pub keys: u64,
    /// How many bytes of batches were looked at.
    pub bytes_read: u64,
    /// How many of them are left.
    pub bytes_written: u64,
    /// How many records were looked at.
    pub records_read: u64,
    /// How many of them are left.
    pub records_written: u64,
    /// How many had no key and were dropped.
    pub records_invalid: u64,
}

/// A cleaning under way. It touches only files of its own; dropped, it leaves `.cleaned` files that the next opening of the
/// log removes (or [`Cleaning::abandon`] now).
#[derive(Debug)]
pub struct Cleaning {
    plan: CleanPlan,
    map: OffsetMap,
    filter: Filter,
    phase: Phase,
    stats: Cleaned,
    now: Timestamp,
}

#[derive(Debug)]
enum Phase {
    /// Reads which keys the dirty segments have, in source `at` from `position` on.
    Mapping { at: usize, position: u64, transactions: Transactions },
    /// Copies what stays of the first of `groups`, in source `at` from `position` on.
    Copying { groups: Vec<Range<usize>>, at: usize, position: u64, output: Box<Output> },
    /// Begins with the first of `groups`.
    Between { groups: Vec<Range<usize>> },
}

impl Cleaning {
    /// Begins to clean. Takes the memory for the keys, and nothing else.
    #[must_use]
    pub fn begin(plan: CleanPlan, limits: CleanerLimits, now: Timestamp) -> Self {
        let first_dirty = plan.dirt.first_dirty;
        let at = plan.sources[..plan.cleanable].partition_point(|s| s.base <= first_dirty).saturating_sub(1);
        let records = plan.dirt.first_uncleanable.0.saturating_sub(first_dirty.0);
        let records = u64::try_from(records).unwrap_or(0);
        Self {
            map: OffsetMap::new(limits.dedupe_buffer_bytes, limits.load_factor, records),
            filter: Filter::new(now, Timestamp::NONE),
            phase: Phase::Mapping { at, position: 0, transactions: Transactions::default() },
            stats: Cleaned { from: first_dirty, to: first_dirty, ..Cleaned::default() },
            plan,
            now,
        }
    }

    /// What is being cleaned: ask the log with [`crate::Log::is_current`] whether to go on.
    #[must_use]
    pub fn plan(&self) -> &CleanPlan {
        &self.plan
    }

    /// Works on, for a moment; waits for the disk.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when a segment holds what is no valid batch: the log cannot be cleaned. [`Fault::Io`] when the disk
    /// fails, or when segments are gone because the log has changed: ask it.
    pub fn step(&mut self) -> Result<Progress, Fault> {
        match &mut self.phase {
            Phase::Mapping { .. } => self.map_some(),
            Phase::Copying { .. } => self.copy_some(),
            Phase::Between { .. } => self.begin_group(),
        }
    }

    /// Removes what has been written so far and is in no log.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn abandon(self) -> Result<(), Fault> {
        match self.phase {
            Phase::Copying { output, .. } => output.discard(),
            Phase::Mapping { .. } | Phase::Between { .. } => Ok(()),
        }
    }

    /// Reads a while in the source that is next.
    fn map_some(&mut self) -> Result<Progress, Fault> {
        let Self { plan, map, phase, .. } = self;
        let Phase::Mapping { at, position, transactions } = phase else { unreachable!("it is being mapped") };
        let (from, source) = (plan.dirt.first_dirty, &plan.sources[*at]);
        if *position == 0 {
            transactions.expect(plan.aborted(*at, source.base.max(from), source.next)?);
        }
        let mut scan = Scan::bodies(source.open()?, *position, source.size);
        let mut next = source.base;
        while scan.position() < source.size && scan.position() - *position < STEP_BYTES {
            let found = next_batch(&mut scan, source, &mut next)?;
            if !map_batch(map, transactions, &mut scan, &found, from)? {
                return self.mapped();
            }
        }
        let bytes = scan.position() - *position;
        *position = scan.position();
        if *position >= source.size {
            // The last offsets of a segment may be gone from it.
            map.set_latest(Offset(source.next.0 - 1));
            (*at, *position) = (*at + 1, 0);
            if *at == plan.cleanable {
                return self.mapped();
            }
        }
        Ok(Progress::Worked { bytes })
    }

    /// The keys are known as far as they fit: what is below the last of them is clean afterwards.
    fn mapped(&mut self) -> Result<Progress, Fault> {
        let plan = &self.plan;
        self.stats.to = self.map.latest().next().max(self.stats.from);
        self.stats.keys = self.map.len() as u64;
        let cleaned_before = plan.sources[..plan.cleanable].partition_point(|s| s.base < plan.dirt.first_dirty);
        let legacy_horizon = match cleaned_before.checked_sub(1) {
            Some(last) => plan.sources[last].modified()?.0.saturating_sub(plan.config.delete_retention_ms),
            None => 0,
        };
        self.filter = Filter::new(self.now, Timestamp(legacy_horizon));
        let to_clean = plan.sources[..plan.cleanable].partition_point(|s| s.base < self.stats.to);
        self.phase = Phase::Between { groups: groups::of(plan, to_clean) };
        Ok(Progress::Worked { bytes: 0 })
    }

    fn begin_group(&mut self) -> Result<Progress, Fault> {
        let Phase::Between { groups } = &mut self.phase else { unreachable!("no group has begun") };
        let groups = std::mem::take(groups);
        let Some(group) = groups.first() else {
            let filter = &self.filter;
            self.stats.records_read = filter.records_read;
            self.stats.records_written = filter.records_kept;
            self.stats.records_invalid = filter.records_invalid;
            return Ok(Progress::Done(self.stats));
        };
        let at = group.start;
        let output = Box::new(Output::begin(&self.plan, self.plan.sources[at].base, self.now)?);
        self.phase = Phase::Copying { groups, at, position: 0, output };
        Ok(Progress::Worked { bytes: 0 })
    }

    /// Copies a while from the source that is next.
    fn copy_some(&mut self) -> Result<Progress, Fault> {
        let Self { plan, map, filter, phase, stats, now } = self;
        let Phase::Copying { groups, at, position, output } = phase else { unreachable!("it is being copied") };
        let source = &plan.sources[*at];
        let modified = source.modified()?;
        if *position == 0 {
            filter.transactions.expect(plan.aborted(*at, source.base, source.next)?);
        }
        filter.begin_segment(modified);
        let mut scan = Scan::bodies(source.open()?, *position, source.size);
        let mut next = source.base;
        let before = output.bytes();
        while scan.position() < source.size && scan.position() - *position < STEP_BYTES {
            let found = next_batch(&mut scan, source, &mut next)?;
            copy_batch(plan, map, filter, output, &mut scan, &found, *now)?;
        }
        let (read, written) = (scan.position() - *position, output.bytes() - before);
        stats.bytes_read += read;
        stats.bytes_written += written;
        *position = scan.position();
        if *position >= source.size {
            if *at + 1 == groups[0].end {
                return self.end_group(modified);
            }
            (*at, *position) = (*at + 1, 0);
        }
        Ok(Progress::Worked { bytes: read + written })
    }

    /// All sources of the first group were copied.
    fn end_group(&mut self, modified: Timestamp) -> Result<Progress, Fault> {
        let between = Phase::Between { groups: Vec::new() };
        let Phase::Copying { mut groups, output, .. } = std::mem::replace(&mut self.phase, between) else {
            unreachable!("it was being copied")
        };
        let segments = output.finish(&self.plan, modified)?;
        let group = groups.remove(0);
        let bases = self.plan.sources[group].iter().map(|source| source.base).collect();
        self.phase = Phase::Between { groups };
        Ok(Progress::Swap(CleanedGroup::new(&self.plan, bases, segments)))
    }
}

/// The next batch of a segment that was written whole, of which `next` is the lowest possible offset: bytes that are none
/// are damage.
fn next_batch(scan: &mut Scan, source: &Source, next: &mut Offset) -> Result<Found, Fault> {
    let at = scan.position();
    let found = match scan.step()? {
        Step::Batch(found) => found,
        Step::End => return Err(scan.corrupt(at, &"it ends inside a batch")),
        Step::Bad(error) => return Err(scan.corrupt(at, &error)),
    };
    if !is_plausible(&found.header, *next) || found.header.last_offset() >= source.next {
        return Err(scan.corrupt(at, &"a batch's offsets are impossible here"));
    }
    *next = found.header.next_offset();
    match scan.verify(&found)? {
        // A batch that is too large to be looked into stays as it is.
        Ok(()) | Err(BatchError::TooLarge { .. }) => Ok(found),
        Err(error) => Err(scan.corrupt(at, &error)),
    }
}

/// Enters the keys of a batch; false when there is no more room for them.
fn map_batch(
    map: &mut OffsetMap,
    transactions: &mut Transactions,
    scan: &mut Scan,
    found: &Found,
    from: Offset,
) -> Result<bool, Fault> {
    let header = &found.header;
    let view = match scan.view(found)? {
        Err(BatchError::TooLarge { .. }) => None,
        other => Some(other.map_err(|error| scan.corrupt(found.position, &error))?),
    };
    let skip = match &view {
        Some(view) if header.attributes.is_control() => {
            let kind = control_kind(view).map_err(|error| scan.corrupt(found.position, &error))?;
            transactions.control(header, kind);
            true
        }
        _ => transactions.batch(header),
    };
    if let Some(view) = view.filter(|_| !skip) {
        let records = match view.records(RECORDS_MAX) {
            Err(BatchError::TooLarge { .. }) => None,
            other => Some(other.map_err(|error| scan.corrupt(found.position, &error))?),
        };
        for record in records.into_iter().flatten() {
            let record = record.map_err(|error| scan.corrupt(found.position, &error))?;
            let offset = header.offset_of(record.offset_delta);
            let Some(key) = record.key.filter(|_| offset >= from) else { continue };
            if offset.0 < 0 {
                return Err(scan.corrupt(found.position, &"a record has a negative offset"));
            }
            if !map.put(KeyHash::of(&key), offset) {
                return Ok(false);
            }
        }
    }
    if header.last_offset() >= from {
        map.set_latest(header.last_offset());
    }
    Ok(true)
}

/// Writes what stays of a batch.
fn copy_batch(
    plan: &CleanPlan,
    map: &OffsetMap,
    filter: &mut Filter,
    output: &mut Output,
    scan: &mut Scan,
    found: &Found,
    now: Timestamp,
) -> Result<(), Fault> {
    let view = match scan.view(found)? {
        Err(BatchError::TooLarge { .. }) => {
            filter.transactions.batch(&found.header);
            return output.append(plan, &found.header, scan.raw(found)?, now);
        }
        other => other.map_err(|error| scan.corrupt(found.position, &error))?,
    };
    let (kept, aborted) = filter.batch(&view, map, plan).map_err(|error| scan.corrupt(found.position, &error))?;
    match kept {
        Kept::Original => output.append(plan, view.header(), view.bytes(), now)?,
        Kept::Rebuilt(bytes) => {
            let header = thalweg_records::BatchHeader::parse(&bytes).map_err(|e| scan.corrupt(found.position, &e))?;
            output.append(plan, &header, &bytes, now)?;
        }
        Kept::Nothing => {}
    }
    aborted.map_or(Ok(()), |txn| output.aborted(&txn))
}

#[cfg(test)]
mod tests;
