//! The log directories of a node: one lock and one `meta.properties` each, and the checkpoint files that the logs in a
//! directory share.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use thalweg_base::metrics::Times;
use thalweg_base::{Offset, TopicPartition, Uuid};
use thalweg_storage::checkpoints::{
    CLEANER_OFFSETS, HIGH_WATERMARKS, LOCK, LOG_START_OFFSETS, RECOVERY_POINTS, Shutdown, mark_clean_shutdown,
    read_offsets, take_clean_shutdown, write_offsets,
};
use thalweg_storage::{Fault, OpenHints};
use thalweg_sys::fs::{self, Lock};
use tokio::sync::Notify;
use tracing::error;

use crate::config::StorageConfig;

/// A log directory that this process owns.
#[derive(Debug)]
pub(crate) struct LogDir {
    pub(crate) path: PathBuf,
    /// From `meta.properties`.
    pub(crate) id: Uuid,
    /// What its checkpoint files said when the node started.
    pub(crate) checkpoints: Checkpoints,
    /// Whether its disk still works.
    pub(crate) health: Arc<Health>,
    /// Up to where the cleaner has cleaned each log.
    cleaned: Mutex<BTreeMap<TopicPartition, Offset>>,
    _lock: Lock,
}

/// Whether the disk of a log directory works. It fails once: nothing in a directory that has failed is trusted until the
/// node is started again.
#[derive(Debug)]
pub(crate) struct Health {
    path: PathBuf,
    failed: AtomicBool,
    /// Something has changed that the checkpoint files tell: while nobody writes, nobody looks through thousands of logs.
    touched: AtomicBool,
    /// How long it took to sync a log.
    pub(crate) flushes: Times,
    /// Told when a directory of the node fails.
    noticed: Arc<Notify>,
}

impl Health {
    pub(crate) fn new(path: &Path, noticed: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            failed: AtomicBool::new(false),
            touched: AtomicBool::new(true),
            flushes: Times::default(),
            noticed: Arc::clone(noticed),
        })
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// What the checkpoint files tell has changed.
    pub(crate) fn touch(&self) {
        self.touched.store(true, Ordering::Release);
    }

    /// Whether it has, since this was asked last.
    pub(crate) fn take_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Acquire)
    }

    /// The disk has failed. It is said once.
    pub(crate) fn fail(&self, fault: &dyn Display) {
        if self.failed.swap(true, Ordering::Relaxed) {
            return;
        }
        error!(
            dir = %self.path.display(),
            error = %fault,
            "the log directory goes offline with every partition in it: mend the disk, or make room on it, and restart the node"
        );
        self.noticed.notify_one();
    }
}

/// The log directories of a node.
#[derive(Debug)]
pub(crate) struct LogDirs {
    /// Those that partitions are put into, as far as they could be opened.
    dirs: Vec<LogDir>,
    /// Those of `log.dirs` that could not.
    lost: Vec<PathBuf>,
    metadata_dir: PathBuf,
    /// `None` if it could not be read.
    metadata_id: Option<Uuid>,
    /// The metadata directory, if no partitions are put into it.
    _apart: Option<Lock>,
    noticed: Arc<Notify>,
}

impl LogDirs {
    /// `locks` are those of all directories that could be locked, `ids` those whose `meta.properties` could be read.
    pub(crate) fn open(
        storage: &StorageConfig,
        mut locks: BTreeMap<PathBuf, Lock>,
        ids: &BTreeMap<PathBuf, Uuid>,
    ) -> Self {
        let noticed = Arc::new(Notify::new());
        let (mut dirs, mut lost) = (Vec::new(), Vec::new());
        for path in &storage.log_dirs {
            let Some((id, lock)) = ids.get(path).zip(locks.remove(path)) else {
                lost.push(path.clone());
                continue;
            };
            match LogDir::open(path.clone(), *id, lock, &noticed) {
                Ok(dir) => dirs.push(dir),
                Err(fault) => {
                    Health::new(path, &noticed).fail(&fault);
                    lost.push(path.clone());
                }
            }
        }
        let _apart = locks.remove(&storage.metadata_log_dir);
        let metadata_dir = storage.metadata_log_dir.clone();
        Self { dirs, lost, metadata_id: ids.get(&metadata_dir).copied(), metadata_dir, _apart, noticed }
    }

    /// The id of the directory of the metadata log, which need not be one of `log.dirs`.
    pub(crate) fn metadata_id(&self) -> Option<Uuid> {
        self.metadata_id
    }

    /// Those of `log.dirs` that could not be opened.
    pub(crate) fn lost(&self) -> &[PathBuf] {
        &self.lost
    }

    /// Told when a directory fails, or when the controller is to be told of one.
    pub(crate) fn noticed(&self) -> &Arc<Notify> {
        &self.noticed
    }

    pub(crate) fn is_any_offline(&self) -> bool {
        !self.lost.is_empty() || self.dirs.iter().any(|dir| dir.health.is_failed())
    }

    /// The ids of the directories that have failed since the node started.
    pub(crate) fn failed_ids(&self) -> Vec<Uuid> {
        self.dirs.iter().filter(|dir| dir.health.is_failed()).map(|dir| dir.id).collect()
    }

    /// Why the node cannot go on with the directories that are left, if so.
    pub(crate) fn fatal(&self) -> Option<String> {
        let failed: Vec<&LogDir> = self.dirs.iter().filter(|dir| dir.health.is_failed()).collect();
        if self.metadata_id.is_none()
            || self.lost.contains(&self.metadata_dir)
            || failed.iter().any(|dir| dir.path == self.metadata_dir)
        {
            let dir = self.metadata_dir.display();
            return Some(format!("the metadata log dir {dir} has failed: without it this node cannot serve"));
        }
        if failed.len() < self.dirs.len() {
            return None;
        }
        let all: Vec<String> =
            self.dirs.iter().map(|dir| &dir.path).chain(&self.lost).map(|dir| dir.display().to_string()).collect();
        Some(format!("all log dirs in {} have failed", all.join(", ")))
    }
}

impl std::ops::Deref for LogDirs {
    type Target = [LogDir];

    fn deref(&self) -> &[LogDir] {
        &self.dirs
    }
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
    fs::create_dir_all_durably(path).map_err(failed)?;
    let lock = Lock::try_acquire(&path.join(LOCK)).map_err(failed)?;
    lock.ok_or_else(|| DirError::Taken { path: path.to_owned() })
}

/// What the checkpoint files of a directory said when the node started.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    pub(crate) offsets: Offsets,
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
            recovery_point: of(&self.offsets.recovery_points),
            log_start_offset: of(&self.offsets.log_starts),
            clean_shutdown: matches!(self.shutdown, Shutdown::Clean { .. }),
        }
    }

    pub(crate) fn high_watermark(&self, partition: &TopicPartition) -> Offset {
        self.offsets.high_watermarks.get(partition).copied().unwrap_or(Offset::ZERO)
    }
}

/// The offsets in the checkpoint files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) recovery_points: BTreeMap<TopicPartition, Offset>,
    pub(crate) log_starts: BTreeMap<TopicPartition, Offset>,
    pub(crate) high_watermarks: BTreeMap<TopicPartition, Offset>,
}

impl LogDir {
    /// Reads the checkpoint files. From here on the directory counts as not cleanly shut down.
    pub(crate) fn open(path: PathBuf, id: Uuid, lock: Lock, noticed: &Arc<Notify>) -> Result<Self, Fault> {
        let offsets = Offsets {
            recovery_points: read_offsets(&path.join(RECOVERY_POINTS))?,
            log_starts: read_offsets(&path.join(LOG_START_OFFSETS))?,
            high_watermarks: read_offsets(&path.join(HIGH_WATERMARKS))?,
        };
        let checkpoints = Checkpoints { offsets, shutdown: take_clean_shutdown(&path)? };
        let cleaned = Mutex::new(read_offsets(&path.join(CLEANER_OFFSETS))?);
        let health = Health::new(&path, noticed);
        Ok(Self { path, id, checkpoints, health, cleaned, _lock: lock })
    }

    /// Replaces the checkpoint files.
    pub(crate) fn write(&self, offsets: &Offsets) -> Result<(), Fault> {
        write_offsets(&self.path.join(RECOVERY_POINTS), &offsets.recovery_points)?;
        write_offsets(&self.path.join(LOG_START_OFFSETS), &offsets.log_starts)?;
        write_offsets(&self.path.join(HIGH_WATERMARKS), &offsets.high_watermarks)
    }

    /// Up to where a log was cleaned.
    pub(crate) fn cleaned_to(&self, partition: &TopicPartition) -> Option<Offset> {
        self.cleaned.lock().get(partition).copied()
    }

    /// A log was cleaned up to `offset`; `None` when it is not in this directory any more. The checkpoint file follows.
    pub(crate) fn set_cleaned(&self, partition: &TopicPartition, offset: Option<Offset>) {
        let mut cleaned = self.cleaned.lock();
        let before = match offset {
            Some(offset) => cleaned.insert(partition.clone(), offset),
            None => cleaned.remove(partition),
        };
        if before == offset || self.health.is_failed() {
            return;
        }
        if let Err(fault) = write_offsets(&self.path.join(CLEANER_OFFSETS), &cleaned) {
            self.health.fail(&fault);
        }
    }

    /// Every log was closed.
    pub(crate) fn mark_clean(&self, broker_epoch: i64) -> Result<(), Fault> {
        mark_clean_shutdown(&self.path, broker_epoch)
    }
}
