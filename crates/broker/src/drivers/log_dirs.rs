//! The log directories of a node: one lock and one `meta.properties` each, and the checkpoint files that the logs in a
//! directory share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thalweg_base::{Offset, TopicPartition, Uuid};
use thalweg_storage::checkpoints::{
    HIGH_WATERMARKS, LOCK, LOG_START_OFFSETS, RECOVERY_POINTS, Shutdown, mark_clean_shutdown, read_offsets,
    take_clean_shutdown, write_offsets,
};
use thalweg_storage::{Fault, OpenHints};
use thalweg_sys::fs::{self, Lock};

/// A log directory that this process owns.
#[derive(Debug)]
pub(crate) struct LogDir {
    pub(crate) path: PathBuf,
    /// From `meta.properties`.
    pub(crate) id: Uuid,
    /// What its checkpoint files said when the node started.
    pub(crate) checkpoints: Checkpoints,
    _lock: Lock,
}

/// Why a log directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirError {
    #[error("cannot use the log directory {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("another node is running on the log directory {}: stop it, or give this one another directory (log.dirs)", path.display())]
    Taken { path: PathBuf },
}

/// Takes a directory for this process, creating it when it is missing.
pub(crate) fn lock(path: &Path) -> Result<Lock, DirError> {
    let failed = |source| DirError::Io { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(failed)?;
    let lock = Lock::try_acquire(&path.join(LOCK)).map_err(failed)?;
    lock.ok_or_else(|| DirError::Taken { path: path.to_owned() })
}

/// What the checkpoint files of a directory said when the node started.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    recovery_points: BTreeMap<TopicPartition, Offset>,
    log_starts: BTreeMap<TopicPartition, Offset>,
    high_watermarks: BTreeMap<TopicPartition, Offset>,
    shutdown: Shutdown,
}

impl Checkpoints {
    /// The epoch of the broker that shut the directory down cleanly, if that is known.
    pub(crate) fn previous_broker_epoch(&self) -> Option<i64> {
        match self.shutdown {
            Shutdown::Clean { broker_epoch } => broker_epoch,
            Shutdown::Unclean => None,
        }
    }

    /// What to tell a log that is opened.
    pub(crate) fn hints(&self, partition: &TopicPartition) -> OpenHints {
        let of = |map: &BTreeMap<_, _>| map.get(partition).copied().unwrap_or(Offset::ZERO);
        OpenHints {
            recovery_point: of(&self.recovery_points),
            log_start_offset: of(&self.log_starts),
            clean_shutdown: matches!(self.shutdown, Shutdown::Clean { .. }),
        }
    }

    pub(crate) fn high_watermark(&self, partition: &TopicPartition) -> Offset {
        self.high_watermarks.get(partition).copied().unwrap_or(Offset::ZERO)
    }
}

/// The offsets that are written to the checkpoint files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) recovery_points: BTreeMap<TopicPartition, Offset>,
    pub(crate) log_starts: BTreeMap<TopicPartition, Offset>,
    pub(crate) high_watermarks: BTreeMap<TopicPartition, Offset>,
}

impl LogDir {
    /// Reads the checkpoint files. From here on the directory counts as not cleanly shut down.
    pub(crate) fn open(path: PathBuf, id: Uuid, lock: Lock) -> Result<Self, Fault> {
        let checkpoints = Checkpoints {
            recovery_points: read_offsets(&path.join(RECOVERY_POINTS))?,
            log_starts: read_offsets(&path.join(LOG_START_OFFSETS))?,
            high_watermarks: read_offsets(&path.join(HIGH_WATERMARKS))?,
            shutdown: take_clean_shutdown(&path)?,
        };
        Ok(Self { path, id, checkpoints, _lock: lock })
    }

    /// Replaces the checkpoint files.
    pub(crate) fn write(&self, offsets: &Offsets) -> Result<(), Fault> {
        write_offsets(&self.path.join(RECOVERY_POINTS), &offsets.recovery_points)?;
        write_offsets(&self.path.join(LOG_START_OFFSETS), &offsets.log_starts)?;
        write_offsets(&self.path.join(HIGH_WATERMARKS), &offsets.high_watermarks)
    }

    /// Every log was closed.
    pub(crate) fn mark_clean(&self, broker_epoch: i64) -> Result<(), Fault> {
        mark_clean_shutdown(&self.path, broker_epoch)
    }
}
