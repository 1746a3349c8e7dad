//! Putting cleaned segments in the place of those that they were made of.

use std::path::PathBuf;

use thalweg_base::Offset;
use thalweg_sys::fs;

use super::Log;
use super::truncate::{Doomed, sync_if_there};
use crate::cleaner::CleanPlan;
use crate::segment::Segment;
use crate::{Fault, names};

/// Segments that are complete and durable, and the bases of those whose place they are to take. Their files are called
/// `.cleaned`.
#[derive(Debug)]
pub struct CleanedGroup {
    dir: PathBuf,
    removals: u64,
    bases: Vec<Offset>,
    segments: Vec<Segment>,
}

impl CleanedGroup {
    pub(crate) fn new(plan: &CleanPlan, bases: Vec<Offset>, segments: Vec<Segment>) -> Self {
        assert!(!bases.is_empty() && !segments.is_empty(), "segments take the place of segments");
        Self { dir: plan.dir.clone(), removals: plan.removals, bases, segments }
    }

    /// Removes the files: they will not be needed.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn discard(self) -> Result<(), Fault> {
        self.segments.iter().try_for_each(Segment::remove_files)
    }
}

/// A group whose files are called `.swap`: once that is durable, a crash completes what was begun.
#[derive(Debug)]
#[must_use]
pub struct Swap {
    group: CleanedGroup,
}

impl Swap {
    /// Makes the names durable, without the log; waits for the disk. Nothing of the old segments may go before that.
    ///
    /// # Errors
    /// After an error the log must go offline.
    pub fn sync(&self) -> Result<(), Fault> {
        fs::sync_dir(&self.group.dir).map_err(Fault::io("sync", &self.group.dir))
    }
}

/// Segments that are in the log, whose files are called `.swap` until no replaced segment can come back.
#[derive(Debug)]
#[must_use]
pub struct Replaced {
    dir: PathBuf,
    /// The bases of the new segments.
    bases: Vec<Offset>,
    doomed: Doomed,
}

impl Replaced {
    /// Makes it durable that the old segments are none any more, without the log; waits for the disk. A new segment that
    /// lost the suffix before that could stand beside one that it replaces after a power failure, and hide its own records.
    ///
    /// # Errors
    /// After an error the log must go offline.
    pub fn sync(&self) -> Result<(), Fault> {
        sync_if_there(&self.dir)
    }
}

/// How a step of a swap ended.
type Swapped<T> = Result<Result<T, CleanedGroup>, Fault>;

impl Log {
    /// Begins to put a group into its place. The inner error gives the group back, to be discarded: the log has changed
    /// meanwhile. Then come [`Swap::sync`], [`Log::replace_segments`], [`Replaced::sync`], [`Log::end_swap`] and
    /// [`Doomed::sync_and_remove`].
    ///
    /// # Errors
    /// When the disk fails: the log is then offline.
    pub fn begin_swap(&mut self, mut group: CleanedGroup) -> Swapped<Swap> {
        if !self.has_place_for(&group) {
            return Ok(Err(group));
        }
        self.guarded(|log| {
            // The last one first: a `.swap` file beyond a `.cleaned` one does not count after a crash.
            let count = group.segments.len();
            for (done, segment) in group.segments.iter_mut().rev().enumerate() {
                segment.change_suffix(names::CLEANED, names::SWAP)?;
                log.swapping.extend(segment.paths().map(ToOwned::to_owned));
                if done + 1 < count {
                    fs::sync_dir(&group.dir).map_err(Fault::io("sync", &group.dir))?;
                }
            }
            Ok(Ok(Swap { group }))
        })
    }

    /// Lets a group take the place of the segments that it was made of.
    ///
    /// # Errors
    /// As [`Log::begin_swap`].
    pub fn replace_segments(&mut self, swap: Swap) -> Swapped<Replaced> {
        let group = swap.group;
        if !self.has_place_for(&group) {
            return Ok(Err(group));
        }
        self.guarded(|log| {
            log.forget_positions();
            let first = log.segments.partition_point(|s| s.base() < group.bases[0]);
            let old: Vec<Segment> = log.segments.drain(first..first + group.bases.len()).collect();
            assert!(old.iter().map(Segment::base).eq(group.bases.iter().copied()), "no segment was removed meanwhile");
            for segment in &old {
                log.doom_files(segment)?;
                if group.segments.iter().all(|new| new.base() != segment.base()) {
                    log.producers.remove_snapshot(&log.dir, segment.base())?;
                }
            }
            let bases = group.segments.iter().map(Segment::base).collect();
            log.segments.splice(first..first, group.segments);
            log.swapping.clear();
            Ok(Ok(Replaced { dir: group.dir, bases, doomed: log.take_doomed() }))
        })
    }

    /// Gives the files of a group's segments their final names. Gives the files of the old segments.
    ///
    /// # Errors
    /// When the disk fails, or the log is offline: the next opening then does this.
    pub fn end_swap(&mut self, replaced: Replaced) -> Result<Doomed, Fault> {
        self.guarded(|log| {
            for segment in &mut log.segments {
                if replaced.bases.contains(&segment.base()) && segment.has_suffix(names::SWAP) {
                    segment.change_suffix(names::SWAP, "")?;
                    log.names_changed += 1;
                }
            }
            Ok(replaced.doomed)
        })
    }

    fn has_place_for(&self, group: &CleanedGroup) -> bool {
        !self.is_offline() && self.removals() == group.removals && self.dir() == group.dir
    }
}
