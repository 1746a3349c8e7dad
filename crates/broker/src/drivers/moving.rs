//! Moving a log to another log directory of this node (KIP-113): a copy grows beside it in a `-future` directory, and takes
//! its place when it has caught up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use thalweg_base::{LeaderEpoch, Offset, Timestamp, TopicPartition, Uuid};
use thalweg_records::BatchHeader;
use thalweg_storage::names::{self, DirKind};
use thalweg_storage::{AppendError, Fault, FirstBatch, Flush, Log, OpenHints, ReadError, ReadRefusal};
use thalweg_sys::time::{Duration, sleep};
use thalweg_sys::{fs, task};
use thalweg_wire::ErrorCode;
use tracing::{error, info, warn};

use super::partition::Partition;
use super::partitions::{Partitions, now};
use super::removing::remove;

/// So many bytes are copied at once.
const CHUNK: usize = 1 << 20;
/// A copy that is so close behind takes the log's place: what is missing is copied while nobody appends.
const BEHIND_MAX: i64 = 1000;
/// So long a move waits for the cleaner to finish with the log.
const CLEANER_PAUSE: Duration = Duration::from_millis(100);

/// A copy that is being made.
#[derive(Debug)]
pub(crate) struct Move {
    /// The directory that the log goes to, by index.
    dir: usize,
    path: PathBuf,
    log_end: AtomicI64,
    size: AtomicU64,
    cancelled: AtomicBool,
}

impl Move {
    pub(super) fn dir(&self) -> usize {
        self.dir
    }

    /// How many bytes the copy has.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Where the copy ends.
    pub(super) fn log_end(&self) -> Offset {
        Offset(self.log_end.load(Ordering::Relaxed))
    }
}

/// The copies that are being made, by partition.
pub(crate) type Moves = Mutex<BTreeMap<(Uuid, i32), Arc<Move>>>;

/// Why a copy came to nothing.
enum Stopped {
    /// The partition is gone, or goes elsewhere.
    Cancelled,
    /// The directory that was written to has failed.
    Target(Fault),
    /// The log itself cannot be read.
    Source(Fault),
}

impl Partitions {
    /// The log directory at `path`, if it can be used.
    pub(crate) fn check_dir(&self, path: &Path) -> Result<usize, ErrorCode> {
        let dir = self.dirs().iter().position(|dir| dir.path == path);
        let known = dir.is_some() || self.dirs().lost().iter().any(|lost| lost == path);
        let usable = dir.filter(|dir| !self.dirs()[*dir].health.is_failed());
        usable.ok_or(if known { ErrorCode::KafkaStorageError } else { ErrorCode::LogDirNotFound })
    }

    /// Begins to move a partition's log into the log directory `path`. Where it is there already, a move elsewhere ends.
    pub(crate) fn move_to(self: &Arc<Self>, partition: &Arc<Partition>, path: &Path) -> Result<(), ErrorCode> {
        let dir = self.check_dir(path)?;
        if partition.is_offline() || self.dirs().is_any_offline() {
            // A copy might be anywhere: none is begun before all directories are there.
            return Err(ErrorCode::KafkaStorageError);
        }
        let key = (partition.topic_id, partition.id.partition);
        let mut moves = self.moves().lock();
        if let Some(running) = moves.get(&key) {
            if running.dir == dir {
                return Ok(());
            }
            running.cancelled.store(true, Ordering::Relaxed);
            moves.remove(&key);
        }
        if self.dir_of(partition).is_none_or(|place| place.path == path) {
            return Ok(());
        }
        let name = names::renamed_dir_name(&partition.id, DirKind::Future, thalweg_sys::random::bytes16());
        let moving = Arc::new(Move {
            dir,
            path: path.join(name),
            log_end: AtomicI64::new(0),
            size: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        });
        moves.insert(key, Arc::clone(&moving));
        task::spawn(carry_out(Arc::clone(self), Arc::clone(partition), moving));
        Ok(())
    }

    /// The log is where it was to go.
    fn moved(&self, partition: &Partition, moving: &Arc<Move>) {
        let from = self.dir_of(partition);
        let to = &self.dirs()[moving.dir];
        if let Some(from) = from {
            to.set_cleaned(&partition.id, from.cleaned_to(&partition.id));
            from.set_cleaned(&partition.id, None);
        }
        self.set_place(partition, moving.dir);
        // The recovery point of the new place counts from now on.
        self.checkpoint();
    }

    fn end_move(&self, partition: &Partition, moving: &Arc<Move>) {
        let key = (partition.topic_id, partition.id.partition);
        let mut moves = self.moves().lock();
        if moves.get(&key).is_some_and(|running| Arc::ptr_eq(running, moving)) {
            moves.remove(&key);
        }
    }
}

async fn carry_out(partitions: Arc<Partitions>, partition: Arc<Partition>, moving: Arc<Move>) {
    while !partition.begin_cleaning() {
        if partition.is_offline() || partition.has_given_up_cleaning() {
            break;
        }
        sleep(CLEANER_PAUSE).await;
    }
    let (all, one, copy) = (Arc::clone(&partitions), Arc::clone(&partition), Arc::clone(&moving));
    let done = task::blocking(move || copy_and_swap(&all, &one, &copy)).await;
    partition.end_cleaning();
    partitions.end_move(&partition, &moving);
    let (id, to) = (&partition.id, moving.path.display());
    match done {
        Ok(Ok(())) => info!(partition = %id, "the log has moved to another directory"),
        Ok(Err(stopped)) => {
            match stopped {
                Stopped::Cancelled => info!(partition = %id, "the log stays where it is"),
                Stopped::Target(fault) => partitions.dirs()[moving.dir].health.fail(&fault),
                Stopped::Source(fault) => warn!(partition = %id, error = %fault, "the log cannot be copied to {to}"),
            }
            if fs::exists(&moving.path) {
                let _ = task::blocking(move || remove(&moving.path)).await;
            }
        }
        Err(e) => error!(partition = %id, error = %e, "copying the log was interrupted"),
    }
}

fn copy_and_swap(partitions: &Partitions, partition: &Arc<Partition>, moving: &Arc<Move>) -> Result<(), Stopped> {
    let settings = partition.settings();
    let hints = OpenHints { clean_shutdown: true, ..OpenHints::UNKNOWN };
    let opened = Log::open(&moving.path, Some(partition.topic_id), settings.log.clone(), &hints, now());
    let mut copy = Copy { log: opened.map_err(Stopped::Target)?.0, begun: false };
    loop {
        if moving.cancelled.load(Ordering::Relaxed) {
            return Err(Stopped::Cancelled);
        }
        let end = partition.with_log(|log| Ok(log.log_end())).ok_or(Stopped::Cancelled)?;
        if copy.begun && end.0 - copy.log.log_end().0 <= BEHIND_MAX {
            break;
        }
        let from = copy.next();
        let chunk = partition.with_log(|log| Ok(read(log, from))).ok_or(Stopped::Cancelled)??;
        copy.take(chunk)?;
        moving.log_end.store(copy.log.log_end().0, Ordering::Relaxed);
        moving.size.store(copy.log.size(), Ordering::Relaxed);
    }
    copy.log.flush(Flush::All, now()).map_err(Stopped::Target)?;
    let target = &partitions.dirs()[moving.dir];
    let old =
        partition.replace_log(&target.health, |log| copy.finish(log, &partition.id)).ok_or(Stopped::Cancelled)??;
    partitions.moved(partition, moving);
    put_aside(old, &partition.id);
    Ok(())
}

/// What is to be copied next.
enum Chunk {
    /// Batches.
    Batches(bytes::Bytes),
    /// The log begins here now; nothing before it can be copied.
    Begins(Offset),
    Nothing,
}

/// Reads what follows `from`; `None` is the log's beginning.
fn read(log: &Log, from: Option<Offset>) -> Result<Chunk, Stopped> {
    let from = from.unwrap_or(log.log_start());
    match log.read(from, log.log_end(), CHUNK, FirstBatch::Whole) {
        Ok(plan) if plan.is_empty() => Ok(Chunk::Nothing),
        Ok(plan) => plan.read().map(Chunk::Batches).map_err(Stopped::Source),
        Err(ReadError::Refused(ReadRefusal::OffsetOutOfRange { log_start, .. })) => Ok(Chunk::Begins(log_start)),
        Err(ReadError::Fault(fault)) => Err(Stopped::Source(fault)),
    }
}

struct Copy {
    log: Log,
    /// Something was copied, or there was nothing to copy.
    begun: bool,
}

impl Copy {
    fn next(&self) -> Option<Offset> {
        self.begun.then(|| self.log.log_end())
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        match chunk {
            Chunk::Nothing => self.begun = true,
            Chunk::Begins(offset) => {
                self.log.truncate_fully_and_start_at(offset, now()).map_err(Stopped::Target)?;
                self.begun = false;
            }
            Chunk::Batches(bytes) => {
                if !self.begun
                    && let Ok(first) = BatchHeader::parse(&bytes)
                {
                    // The first batch may begin before the log does.
                    self.log.truncate_fully_and_start_at(first.base_offset, now()).map_err(Stopped::Target)?;
                }
                self.begun = true;
                self.append(bytes)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, bytes: bytes::Bytes) -> Result<(), Stopped> {
        match self.log.append_as_follower(bytes, LeaderEpoch(i32::MAX), now()) {
            Ok(_) => Ok(()),
            Err(AppendError::Fault(fault)) => Err(Stopped::Target(fault)),
            Err(AppendError::Refused(refusal)) => {
                let file = self.log.dir().to_owned();
                Err(Stopped::Source(Fault::Corrupt { file, reason: refusal.to_string() }))
            }
        }
    }

    /// Nobody appends just now: copies what is missing, and gives the copy the log's name. If the node ends before the log
    /// itself is put aside, both are found at the next start, and they are the same.
    fn finish(mut self, log: &mut Log, id: &TopicPartition) -> Result<Log, Stopped> {
        while self.log.log_end() < log.log_end() {
            match read(log, self.next())? {
                Chunk::Nothing => break,
                Chunk::Begins(_) => return Err(Stopped::Cancelled),
                chunk => self.take(chunk)?,
            }
        }
        let settle = |copy: &mut Log, now: Timestamp| {
            copy.begin_at(log.log_end(), now)?;
            copy.advance_log_start(log.log_start())?;
            for entry in log.leader_epochs().entries() {
                if copy.latest_epoch().is_none_or(|latest| latest < entry.epoch) {
                    copy.assign_epoch(entry.epoch, entry.start_offset);
                }
            }
            copy.flush(Flush::All, now)?;
            copy.rename_dir(&names::dir_name(id))?;
            let parent = copy.dir().parent().unwrap_or(Path::new("."));
            fs::sync_dir(parent).map_err(|source| Fault::Io { doing: "sync", file: parent.to_owned(), source })
        };
        settle(&mut self.log, now()).map_err(Stopped::Target)?;
        Ok(self.log)
    }
}

/// The log that was copied is not needed any more.
fn put_aside(mut old: Log, id: &TopicPartition) {
    let name = names::renamed_dir_name(id, DirKind::Deleted, thalweg_sys::random::bytes16());
    if let Err(fault) = old.rename_dir(&name) {
        error!(partition = %id, error = %fault, "the log has moved, and the old one cannot be removed");
        return;
    }
    let path = old.dir().to_owned();
    drop(old);
    remove(&path);
}
