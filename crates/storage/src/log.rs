//! A partition's log.

mod append;
mod flush;
mod position_hints;
mod read;
mod swap;
mod timestamps;
mod truncate;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_sys::fs;

use crate::checkpoints::{read_topic_id, write_topic_id};
use crate::leader_epochs::LeaderEpochs;
use crate::producer_entry::Producer;
use crate::producer_state::{Changes, ProducerState};
use crate::recovery::{self, OpenHints, Recovered};
use crate::segment::{Segment, remove_if_exists};
use crate::{Fault, LogConfig, names};

pub use append::{AppendError, AppendOutcome, AppendRefusal, Appended, Duplicate};
pub use flush::{Flush, FlushPlan};
use position_hints::{LogPosition, PositionHints};
pub use read::{FirstBatch, ReadError, ReadPlan, ReadRefusal};
pub use swap::{CleanedGroup, Replaced, Swap};
pub use timestamps::{TimeQuery, TimeSearch, TimestampedOffset};
pub use truncate::Doomed;

/// Tells whoever carries out a plan whether the log was truncated since: files may be shorter then, or hold other records.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    newest: Arc<AtomicU64>,
    planned: u64,
}

impl Generation {
    /// Whether nothing was truncated since the plan was made.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.newest.load(Ordering::Acquire) == self.planned
    }

    /// The log is about to be truncated.
    fn end(&mut self) {
        self.planned += 1;
        self.newest.store(self.planned, Ordering::Release);
    }
}

/// One partition's log: a directory of segments.
///
/// Whoever owns it calls `&mut self` methods to change it and `&self` methods to look; [`ReadPlan`]s and [`FlushPlan`]s
/// are carried out elsewhere. After a [`Fault`] that leaves the files in an unknown state every further change answers
/// [`Fault::Offline`].
///
/// Invariants:
/// - there is at least one segment, their bases grow, and only the last one is written to;
/// - `log_start <= log_end` and `recovery_point <= log_end`;
/// - what producers, epochs and indexes say is derived from batches that are in the files.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    topic_id: Option<Uuid>,
    config: LogConfig,
    segments: Vec<Segment>,
    log_start: Offset,
    log_end: Offset,
    recovery_point: Offset,
    epochs: LeaderEpochs,
    /// Counts changes of the epochs.
    epochs_changed: u64,
    /// The count up to which they are durable.
    epochs_synced: u64,
    /// The count up to which the epochs stand in their file. Whoever writes the file holds the lock.
    epochs_written: Arc<Mutex<u64>>,
    producers: ProducerState,
    /// Snapshot files that were written and not yet synced.
    unsynced_snapshots: Vec<PathBuf>,
    /// Counts changes of names in the directory, its own included.
    names_changed: u64,
    /// The count up to which they are durable.
    names_synced: u64,
    /// Files that were renamed and wait for their removal.
    doomed: Vec<PathBuf>,
    hints: Mutex<PositionHints>,
    /// Counts truncations and deletions of segments, so that a cleaning that began before one brings nothing back.
    removals: u64,
    /// Counts changes of where batches stand, so that nothing is concluded from where they stood.
    layout: u64,
    /// Files of a cleaning that would take the place of segments after a crash.
    swapping: Vec<PathBuf>,
    /// Counts truncations, so that a flush that began before one does not claim what was written after it.
    truncations: u64,
    /// Which truncation what is planned belongs to.
    generation: Generation,
    last_flush: Timestamp,
    failed: bool,
    changes: Changes,
}

impl Log {
    /// Opens the log in `dir`, and creates it when the directory is missing or empty. `topic_id` is written to
    /// `partition.metadata` when there is none; `None` keeps a log without one (Kafka's metadata log has none of its own).
    ///
    /// A log that ends before the recovery point of `hints` has a lower one: enter it into the checkpoint before anything is
    /// appended, or the next crash trusts records that were never flushed.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the directory belongs to another topic id.
    pub fn open(
        dir: &Path,
        topic_id: Option<Uuid>,
        config: LogConfig,
        hints: &OpenHints,
        now: Timestamp,
    ) -> Result<(Self, Recovered), Fault> {
        let existed = fs::exists(dir);
        if !existed {
            fs::create_dir_all(dir).map_err(Fault::io("create", dir))?;
        }
        let stored = if existed { read_topic_id(dir)? } else { None };
        match (stored, topic_id) {
            (Some(stored), Some(asked)) if stored != asked => {
                let path = dir.join(names::PARTITION_METADATA);
                return Err(Fault::corrupt(&path, format!("topic id is {stored} and should be {asked}")));
            }
            (None, Some(asked)) => write_topic_id(dir, asked)?,
            _ => {}
        }
        let (loaded, recovered) = recovery::load(dir, &config, hints, now)?;
        let log = Self {
            dir: dir.to_owned(),
            topic_id: stored.or(topic_id),
            config,
            segments: loaded.segments,
            log_start: loaded.log_start,
            log_end: loaded.log_end,
            recovery_point: loaded.recovery_point,
            epochs: loaded.epochs,
            epochs_changed: u64::from(loaded.epochs_dirty),
            epochs_synced: 0,
            epochs_written: Arc::default(),
            producers: loaded.producers,
            unsynced_snapshots: Vec::new(),
            names_changed: u64::from(!existed || !hints.clean_shutdown),
            names_synced: 0,
            doomed: Vec::new(),
            hints: Mutex::default(),
            removals: 0,
            layout: 0,
            swapping: Vec::new(),
            truncations: 0,
            generation: Generation::default(),
            last_flush: now,
            failed: false,
            changes: Changes::default(),
        };
        log.check_invariants();
        Ok((log, recovered))
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The topic id that the directory is marked with.
    #[must_use]
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Replaces the settings; they count from the next call on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The first offset that may be read.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset that the next record will get.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// Everything below is durable, and need not be looked at after a crash.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// How many bytes all segments have.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// How many bytes the segments have that hold records at or above `offset`: what DescribeLogDirs and lag reports want.
    #[must_use]
    pub fn size_from(&self, offset: Offset) -> u64 {
        let from = self.segment_at(offset).unwrap_or(0);
        self.segments[from..].iter().map(Segment::size).sum()
    }

    /// How many segments there are.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The base offsets of the segments, in order.
    #[must_use]
    pub fn segment_bases(&self) -> Vec<Offset> {
        self.segments.iter().map(Segment::base).collect()
    }

    /// Where a segment ends before the next one begins. A compaction leaves such gaps, and so does a power failure between
    /// whole batches of a segment that was never synced.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn gaps(&self) -> Result<Vec<(Offset, Offset)>, Fault> {
        let mut found = Vec::new();
        for pair in self.segments.windows(2) {
            let (end, next) = (pair[0].end()?.0, pair[1].base());
            if end < next {
                found.push((end, next));
            }
        }
        Ok(found)
    }

    /// Whether a fault has left the log unusable.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.failed
    }

    /// The leader epochs.
    #[must_use]
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// The newest leader epoch.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|e| e.epoch)
    }

    /// Where the epoch ended; see [`LeaderEpochs::end_offset_for`].
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, self.log_end)
    }

    /// The epoch in which the record at `offset` was appended.
    #[must_use]
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for(offset)
    }

    /// A new leader epoch begins at `start_offset`: what a broker enters when it becomes leader, before any append.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch, start_offset: Offset) {
        self.epochs_changed += u64::from(self.epochs.assign(epoch, start_offset));
    }

    /// One producer's state.
    #[must_use]
    pub fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(id)
    }

    /// All producers, by id.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = (ProducerId, &Producer)> {
        self.producers.iter()
    }

    /// Whether the producer has a transaction open in this epoch.
    #[must_use]
    pub fn has_ongoing_txn(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.has_ongoing_txn(id, epoch)
    }

    /// Forgets producers that wrote nothing for `producer.id.expiration.ms`.
    pub fn remove_expired_producers(&mut self, now: Timestamp) {
        self.producers.remove_expired(now, self.config.producer_id_expiration_ms);
    }

    /// How far consumers of committed records may read, where `high_watermark` is replicated (KIP-98).
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        let unstable = self.producers.first_unstable(high_watermark);
        unstable.map_or(high_watermark, |offset| offset.max(self.log_start).min(high_watermark))
    }

    /// The high watermark moved on: transactions that ended below it are no longer remembered. Says whether there were
    /// such: then readers of committed records may go on, with records that were there before. To be called with each
    /// advance; it costs nothing when there are no transactions.
    pub fn replicated(&mut self, high_watermark: Offset) -> bool {
        self.producers.replicated(high_watermark)
    }

    /// Follows the directory to a new name in the same log directory, as a deletion does first.
    ///
    /// # Errors
    /// When the operating system refuses; then everything is as before.
    pub fn rename_dir(&mut self, name: &str) -> Result<(), Fault> {
        let to = self.dir.with_file_name(name);
        fs::rename(&self.dir, &to).map_err(Fault::io("rename", &self.dir))?;
        for segment in &mut self.segments {
            segment.moved(&to);
        }
        for path in self.doomed.iter_mut().chain(&mut self.unsynced_snapshots) {
            if let Some(file) = path.file_name() {
                *path = to.join(file);
            }
        }
        self.dir = to;
        self.names_changed += 1;
        Ok(())
    }

    /// Closes the log so that it can be opened without recovery: completes the indexes, writes a producer snapshot at its
    /// end and syncs everything. The recovery point is then the log's end.
    ///
    /// # Errors
    /// When something cannot be written; then the log must be opened as after a crash.
    pub fn close(mut self) -> Result<Offset, Fault> {
        self.ensure_usable()?;
        let snapshot = self.producers.take_snapshot(&self.dir)?;
        self.unsynced_snapshots.extend(snapshot);
        self.active_mut().finish()?;
        self.flush(Flush::Closing, self.last_flush)?;
        self.take_doomed().sync_and_remove()?;
        Ok(self.recovery_point)
    }

    /// As [`Log::close`], but syncs nothing: whoever closes thousands of logs syncs their whole file system once, before it
    /// says anywhere that they were closed.
    ///
    /// # Errors
    /// As [`Log::close`].
    pub fn close_unsynced(mut self) -> Result<Offset, Fault> {
        self.ensure_usable()?;
        self.producers.take_snapshot(&self.dir)?;
        self.active_mut().finish()?;
        if self.epochs_changed > self.epochs_synced {
            self.replace_epochs()?;
        }
        self.take_doomed().sync_and_remove()?;
        Ok(self.log_end)
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn removals(&self) -> u64 {
        self.removals
    }

    /// Segments are about to be removed or cut: what a cleaning has made of them counts no more, even after a crash.
    fn segments_go(&mut self) -> Result<(), Fault> {
        self.removals += 1;
        std::mem::take(&mut self.swapping).iter().try_for_each(|path| remove_if_exists(path))
    }

    fn active(&self) -> &Segment {
        &self.segments[self.segments.len() - 1]
    }

    fn active_mut(&mut self) -> &mut Segment {
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    /// The index of the segment that `offset` belongs to; `None` below the first.
    fn segment_at(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|s| s.base() <= offset).checked_sub(1)
    }

    pub(crate) fn ensure_usable(&self) -> Result<(), Fault> {
        if self.failed { Err(Fault::Offline { dir: self.dir.clone() }) } else { Ok(()) }
    }

    /// Runs a change; when it faults, the log is offline.
    fn guarded<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.ensure_usable()?;
        let result = change(self);
        self.failed |= result.is_err();
        if result.is_ok() {
            self.check_invariants();
        }
        result
    }

    /// As [`Log::guarded`], for a change that can be begun anew when there was no file descriptor for a part of it.
    fn guarded_but_for_descriptors<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let result = self.guarded(change);
        if matches!(result, Err(Fault::Descriptors { .. })) {
            self.failed = false;
        }
        result
    }

    fn check_invariants(&self) {
        assert!(!self.segments.is_empty(), "a log has a segment");
        assert!(self.log_start <= self.log_end, "log start {} is beyond the end {}", self.log_start, self.log_end);
        assert!(self.recovery_point <= self.log_end, "recovery point {} is beyond the end", self.recovery_point);
        assert!(self.active().base() <= self.log_end, "the active segment begins beyond the end");
    }

    fn remember(&self, offset: Offset, position: LogPosition) {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).remember(offset, position);
    }

    fn recall(&self, offset: Offset) -> Option<LogPosition> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).recall(offset)
    }

    fn forget_positions(&mut self) {
        self.layout += 1;
        *self.hints.get_mut().unwrap_or_else(PoisonError::into_inner) = PositionHints::default();
    }
}

#[cfg(test)]
mod tests;
