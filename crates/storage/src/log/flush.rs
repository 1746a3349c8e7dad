//! Making the log durable, on whatever thread may wait for the disk.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_base::{Offset, Timestamp};
use thalweg_sys::fs::{self, File};

use super::Log;
use crate::open_files::ClosableFile;
use crate::{Fault, names};

/// How much is flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The segments that will not be written to any more: what is due after a roll.
    Finished,
    /// Every batch.
    All,
    /// Every batch and every index, for a log that is being closed.
    Closing,
}

/// What must be synced so that the log is durable up to an offset. Several plans of a log may be carried out at once.
///
/// It keeps no file open: thousands of segments may wait for a flush.
#[derive(Debug)]
pub struct FlushPlan {
    up_to: Offset,
    truncations: u64,
    logs: Vec<ClosableFile>,
    indexes: Vec<ClosableFile>,
    /// The segments whose indexes are among `indexes`.
    bases: Vec<Offset>,
    /// The length of the active segment's index of aborted transactions, if that is among `indexes`.
    active_txns: Option<(Offset, u64)>,
    snapshots: Vec<PathBuf>,
    /// The epochs' file, as it was at this count of changes.
    epochs: Option<(u64, String)>,
    epochs_written: Arc<Mutex<u64>>,
    dir: PathBuf,
    /// The names are to be synced, as they were at this count of changes.
    names: Option<u64>,
    /// A file had another name, or was gone, when it was to be synced.
    missed: AtomicBool,
}

impl FlushPlan {
    /// Syncs everything; waits for the disk. It needs nothing of the log, which may go on meanwhile.
    ///
    /// # Errors
    /// After an error nothing is known of what was written: the log must go offline (see [`Log::flush_failed`]).
    pub fn execute(&self) -> Result<(), Fault> {
        for file in self.logs.iter().chain(&self.indexes) {
            match file.open() {
                Ok(open) => open.file().sync_data().map_err(Fault::io("sync", open.path()))?,
                // Its segment was deleted, or the directory has another name: the recovery point does not move then.
                Err(Fault::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    self.missed.store(true, Ordering::Relaxed);
                }
                Err(fault) => return Err(fault),
            }
        }
        // From here on names are used: they are gone when the directory was renamed for its deletion meanwhile.
        match self.execute_by_name() {
            Err(Fault::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn execute_by_name(&self) -> Result<(), Fault> {
        for path in &self.snapshots {
            match File::open(path) {
                Ok(file) => file.sync_data().map_err(Fault::io("sync", path))?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Fault::io("open", path)(e)),
            }
        }
        if let Some((changes, text)) = &self.epochs {
            let mut written = self.epochs_written.lock().unwrap_or_else(PoisonError::into_inner);
            if *written <= *changes {
                let path = self.dir.join(names::LEADER_EPOCHS);
                fs::write_atomic(&path, text.as_bytes()).map_err(Fault::io("write", &path))?;
                *written = *changes;
            }
        }
        if self.names.is_none() {
            return Ok(());
        }
        let topic_id = self.dir.join(names::PARTITION_METADATA);
        match File::open(&topic_id) {
            Ok(file) => file.sync_data().map_err(Fault::io("sync", &topic_id))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Fault::io("open", &topic_id)(e)),
        }
        fs::sync_dir(&self.dir).map_err(Fault::io("sync", &self.dir))?;
        match self.dir.parent() {
            Some(parent) => fs::sync_dir(parent).map_err(Fault::io("sync", parent)),
            None => Ok(()),
        }
    }
}

impl Log {
    /// What to sync now; `None` when nothing is to be done. Carry it out with [`FlushPlan::execute`], then report with
    /// [`Log::flushed`].
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn flush_plan(&mut self, flush: Flush) -> Result<Option<FlushPlan>, Fault> {
        self.ensure_usable()?;
        let active = self.segments.len() - 1;
        let closing = flush == Flush::Closing;
        let up_to = if flush == Flush::Finished { self.active().base() } else { self.log_end };
        let mut plan = FlushPlan {
            up_to,
            truncations: self.truncations,
            logs: Vec::new(),
            indexes: Vec::new(),
            bases: Vec::new(),
            active_txns: None,
            snapshots: std::mem::take(&mut self.unsynced_snapshots),
            epochs: None,
            epochs_written: Arc::clone(&self.epochs_written),
            dir: self.dir.clone(),
            names: (self.names_changed > self.names_synced).then_some(self.names_changed),
            missed: AtomicBool::new(false),
        };
        for (at, segment) in self.segments.iter().enumerate() {
            let end = self.segments.get(at + 1).map_or(self.log_end, |next| next.base());
            if segment.base() < up_to && end > self.recovery_point {
                plan.logs.push(segment.log_closable());
            }
            // A crash has the active segment's indexes built anew, whatever they hold.
            if segment.has_dirty_indexes() && (at < active || closing) {
                plan.indexes.push(segment.offsets.closable());
                plan.indexes.push(segment.times.closable());
                plan.indexes.extend(segment.txns.closable());
                plan.bases.push(segment.base());
            }
        }
        // The next segment may begin where this flush ends: then nobody reads this one again after a crash.
        let txns = &self.active().txns;
        if flush == Flush::All && txns.is_unsynced() {
            plan.indexes.extend(txns.closable());
            plan.active_txns = Some((self.active().base(), txns.bytes()));
        }
        if self.epochs_changed > self.epochs_synced && (up_to > self.recovery_point || closing) {
            plan.epochs = Some((self.epochs_changed, self.epochs.to_text()));
        }
        let files = plan.logs.len() + plan.indexes.len() + plan.snapshots.len();
        let ahead = up_to > self.recovery_point || (closing && plan.names.is_some());
        let needed = files > 0 || plan.epochs.is_some() || ahead;
        Ok(needed.then_some(plan))
    }

    /// A plan was carried out: the recovery point moves to where it began.
    pub fn flushed(&mut self, plan: &FlushPlan, now: Timestamp) {
        let epochs = plan.epochs.as_ref().map_or(0, |(changes, _)| *changes);
        self.epochs_synced = self.epochs_synced.max(epochs);
        self.last_flush = now;
        if plan.truncations != self.truncations || plan.missed.load(Ordering::Relaxed) {
            return;
        }
        for segment in &mut self.segments {
            if let Some((_, len)) = plan.active_txns.filter(|(base, _)| *base == segment.base()) {
                segment.txns.synced(len);
            }
            if plan.bases.contains(&segment.base()) {
                segment.indexes_synced();
                if segment.base() < plan.up_to {
                    segment.rest();
                }
            }
        }
        self.names_synced = self.names_synced.max(plan.names.unwrap_or(0));
        self.recovery_point = self.recovery_point.max(plan.up_to);
        self.check_invariants();
    }

    /// Carries out the plan for `flush` here and now, waiting for the disk.
    ///
    /// # Errors
    /// When the disk fails: the log is then offline.
    pub fn flush(&mut self, flush: Flush, now: Timestamp) -> Result<(), Fault> {
        self.guarded(|log| {
            if let Some(plan) = log.flush_plan(flush)? {
                plan.execute()?;
                log.flushed(&plan, now);
            }
            Ok(())
        })
    }

    /// A plan failed: the log is offline from now on.
    pub fn flush_failed(&mut self) {
        self.failed = true;
    }

    /// Whether `flush.messages` or `flush.ms` ask for a flush of everything now.
    #[must_use]
    pub fn is_flush_due(&self, now: Timestamp) -> bool {
        let unflushed = self.log_end.0 - self.recovery_point.0;
        let waited = now.0.saturating_sub(self.last_flush.0);
        unflushed > 0 && (unflushed >= self.config.flush_messages || waited >= self.config.flush_ms)
    }
}
