//! Removing records: the newest when a leader never had them, the oldest when nobody needs them.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use thalweg_base::{Offset, Timestamp};
use thalweg_sys::fs;

use super::Log;
use crate::segment::{Segment, remove_if_exists};
use crate::{Fault, names, recovery};

/// Files that no longer belong to a log. Removing a large file may take a while: do it where that hurts nobody. Those that
/// are not removed are when the log is opened next.
#[derive(Debug, Default)]
#[must_use]
pub struct Doomed {
    files: Vec<PathBuf>,
}

impl Doomed {
    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Makes it durable that they have other names now, and removes them: what has taken their place stays, whatever
    /// happens, and no segment comes back without its indexes. One that is gone already is no error.
    ///
    /// # Errors
    /// After an error the log must go offline.
    pub fn sync_and_remove(self) -> Result<(), Fault> {
        if let Some(dir) = self.files.first().and_then(|file| file.parent()) {
            sync_if_there(dir)?;
        }
        self.files.iter().try_for_each(|path| remove_if_exists(path))
    }
}

/// Makes the names in a directory durable, unless the whole directory was renamed for its deletion meanwhile.
pub(super) fn sync_if_there(dir: &Path) -> Result<(), Fault> {
    match fs::sync_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Fault::io("sync", dir)),
    }
}

impl Log {
    /// Removes all records at and above `offset`, and says whether there were any. Below the first segment, the log
    /// becomes empty and begins at `offset`.
    ///
    /// The recovery point moves back: enter it into the checkpoint before anything is appended, or a crash then trusts
    /// segments that were never flushed.
    ///
    /// # Errors
    /// When the disk fails: the log is then offline.
    pub fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Result<bool, Fault> {
        assert!(offset.0 >= 0, "a log cannot be truncated to {offset}");
        if offset >= self.log_end {
            self.ensure_usable()?;
            // An epoch that began at the end and has no records may be one that the leader does not know.
            self.epochs_changed += u64::from(self.epochs.truncate_from_end(self.log_end));
            return Ok(false);
        }
        if offset < self.segments[0].base() {
            self.truncate_fully_and_start_at(offset, now)?;
            return Ok(true);
        }
        self.guarded(|log| {
            log.positions_changed()?;
            let keep = log.segments.partition_point(|s| s.base() <= offset);
            // The newest goes first, so that a crash leaves no gap.
            let drops = log.segments.len() > keep;
            while log.segments.len() > keep {
                log.drop_last()?;
            }
            if drops {
                log.sync_names()?;
            }
            log.active_mut().truncate_to(offset, now)?;
            log.log_end = offset;
            log.log_start = log.log_start.min(offset);
            log.recovery_point = log.recovery_point.min(offset);
            if log.epochs.truncate_from_end(offset) {
                log.replace_epochs()?;
            }
            log.reload_producers(now)
        })?;
        Ok(true)
    }

    /// Removes all records; the log then begins and ends at `offset`. Checkpoints are to be written as after
    /// [`Log::truncate_to`].
    ///
    /// # Errors
    /// When the disk fails: the log is then offline.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), Fault> {
        assert!(offset.0 >= 0, "a log cannot begin at {offset}");
        self.guarded(|log| {
            log.positions_changed()?;
            while !log.segments.is_empty() {
                log.drop_last()?;
            }
            log.sync_names()?;
            log.segments.push(Segment::create(&log.dir, offset, now, &log.config.open_files)?);
            log.names_changed += 1;
            log.log_start = offset;
            log.log_end = offset;
            log.recovery_point = log.recovery_point.min(offset);
            log.epochs.clear();
            log.replace_epochs()?;
            log.producers.restart(&log.dir, offset)
        })
    }

    /// The log goes on at `offset`, if it does not end there already: what lies between is a gap.
    ///
    /// # Errors
    /// When the disk fails: the log is then offline.
    pub fn begin_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), Fault> {
        self.ensure_usable()?;
        if offset <= self.log_end {
            return Ok(());
        }
        if self.active().size() == 0 {
            return self.truncate_fully_if_empty(offset, now);
        }
        self.roll(offset, now)
    }

    /// An active segment without batches gives way to one that begins further on.
    fn truncate_fully_if_empty(&mut self, offset: Offset, now: Timestamp) -> Result<(), Fault> {
        if self.segments.len() == 1 {
            return self.truncate_fully_and_start_at(offset, now);
        }
        self.guarded(|log| {
            log.drop_last()?;
            log.segments.push(Segment::create(&log.dir, offset, now, &log.config.open_files)?);
            log.log_end = offset;
            Ok(())
        })
    }

    /// Records below `offset` are no longer readable; their segments go with the next [`Log::delete_old_segments`]. The
    /// caller has checked that `offset` is not above the high watermark. Says whether that is news: an offset that is not
    /// above the log's start, or beyond its end, changes nothing.
    ///
    /// # Errors
    /// When the log is offline.
    pub fn advance_log_start(&mut self, offset: Offset) -> Result<bool, Fault> {
        self.ensure_usable()?;
        if offset <= self.log_start || offset > self.log_end {
            return Ok(false);
        }
        self.log_start = offset;
        self.recovery_point = self.recovery_point.max(offset);
        self.epochs_changed += u64::from(self.epochs.truncate_from_start(offset));
        self.producers.log_start_moved(offset);
        self.check_invariants();
        Ok(true)
    }

    /// The files that wait for their removal.
    pub fn take_doomed(&mut self) -> Doomed {
        Doomed { files: std::mem::take(&mut self.doomed) }
    }

    /// Takes the `count` oldest segments out of the log.
    pub(crate) fn drop_first(&mut self, count: usize) -> Result<(), Fault> {
        assert!(count < self.segments.len(), "the active segment stays");
        self.guarded(|log| {
            log.segments_go()?;
            for _ in 0..count {
                let segment = log.segments.remove(0);
                log.doom(&segment)?;
            }
            Ok(())
        })
    }

    fn drop_last(&mut self) -> Result<(), Fault> {
        match self.segments.pop() {
            Some(segment) => self.doom(&segment),
            None => Ok(()),
        }
    }

    /// What comes next takes the offsets of segments that were dropped: after a power failure they must not be there behind it.
    fn sync_names(&mut self) -> Result<(), Fault> {
        fs::sync_dir(&self.dir).map_err(Fault::io("sync", &self.dir))
    }

    /// Lets go of a segment and of the producers' state at its beginning.
    fn doom(&mut self, segment: &Segment) -> Result<(), Fault> {
        self.producers.remove_snapshot(&self.dir, segment.base())?;
        self.doom_files(segment)
    }

    /// Renames a segment's files, so that they are none of a log any more.
    pub(super) fn doom_files(&mut self, segment: &Segment) -> Result<(), Fault> {
        self.names_changed += 1;
        for path in segment.paths() {
            let mut doomed = path.as_os_str().to_owned();
            doomed.push(names::DELETED);
            let doomed = PathBuf::from(doomed);
            match fs::rename(path, &doomed) {
                Ok(()) => self.doomed.push(doomed),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Fault::io("rename", path)(e)),
            }
        }
        Ok(())
    }

    /// Writes the epochs so that no killed process leaves ones that were truncated. They are synced with the next flush.
    pub(super) fn replace_epochs(&mut self) -> Result<(), Fault> {
        self.epochs_changed += 1;
        // A flush that began before must not bring the old ones back.
        let mut written = self.epochs_written.lock().unwrap_or_else(PoisonError::into_inner);
        *written = self.epochs_changed;
        let path = self.dir.join(names::LEADER_EPOCHS);
        let tmp = path.with_extension("tmp");
        fs::write(&tmp, self.epochs.to_text().as_bytes()).map_err(Fault::io("write", &tmp))?;
        fs::rename(&tmp, &path).map_err(Fault::io("rename", &tmp))
    }

    fn positions_changed(&mut self) -> Result<(), Fault> {
        self.truncations += 1;
        self.generation.end();
        self.forget_positions();
        self.segments_go()
    }

    /// Goes back to what the producers were at the log's end, by the newest snapshot and the batches after it.
    fn reload_producers(&mut self, now: Timestamp) -> Result<(), Fault> {
        let expiration_ms = self.config.producer_id_expiration_ms;
        self.producers.reload(&self.dir, self.log_start, self.log_end, now, expiration_ms)?;
        recovery::replay_producers(&mut self.producers, &self.segments, self.log_start, self.log_end)?;
        let snapshot = self.producers.take_snapshot(&self.dir)?;
        self.unsynced_snapshots.extend(snapshot);
        Ok(())
    }
}
