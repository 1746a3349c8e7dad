//! Moving a log to another log directory of this node (KIP-113): a copy grows beside it in a `-future` directory, and takes
//! its place when it has caught up. A copy that was being made when the node ended is found at the next start and goes on.

use std::path::Path;
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use thalweg_records::BatchHeader;
use thalweg_storage::names::{self, DirKind};
use thalweg_storage::{AppendError, Fault, FirstBatch, Flush, Log, OpenHints, ReadError, ReadRefusal};
use thalweg_sys::time::{Duration, sleep};
use thalweg_sys::{fs, task};
use thalweg_wire::ErrorCode;
use tracing::{error, info, warn};

use super::found::Found;
use super::moves::Move;
use super::partition::Partition;
use super::partitions::Partitions;
use super::removing::remove;
use crate::drivers::clock::timestamp;

/// At most so many bytes are copied at once.
const CHUNK: u64 = 1 << 20;
/// A copy that is so close behind takes the log's place: what is missing is copied while nobody appends.
const BEHIND_MAX: i64 = 1000;
/// So long a move waits for the cleaner to finish with the log.
const CLEANER_PAUSE: Duration = Duration::from_millis(100);

/// Why a copy came to nothing.
enum Stopped {
    /// The partition is gone, or goes elsewhere.
    Cancelled,
    /// The log is offline, or the node closes: the copy goes on when the node starts again.
    Interrupted,
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

    /// A partition that is not here is to be made in the log directory `path` once it is.
    pub(crate) fn want_in(&self, partition: TopicPartition, path: &Path) {
        if let Ok(dir) = self.check_dir(path) {
            self.moves().want(partition, dir);
        }
    }

    /// Begins to move a partition's log into the log directory `path`. Where it is there already, a move elsewhere ends.
    pub(crate) fn move_to(self: &Arc<Self>, partition: &Arc<Partition>, path: &Path) -> Result<(), ErrorCode> {
        let dir = self.check_dir(path)?;
        if partition.is_offline() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let mut running = self.moves().running.lock();
        let key = (partition.topic_id, partition.id.partition);
        if let Some(other) = running.get(&key) {
            if other.dir == dir {
                return Ok(());
            }
            other.cancel();
            running.remove(&key);
        }
        if self.dir_of(partition).is_none_or(|place| place.path == path) {
            return Ok(());
        }
        let name = names::renamed_dir_name(&partition.id, DirKind::Future, thalweg_sys::random::bytes16());
        let moving = Move::new(dir, path.join(name), None);
        running.insert(key, Arc::clone(&moving));
        task::spawn(carry_out(Arc::clone(self), Arc::clone(partition), moving));
        Ok(())
    }

    /// Goes on with a copy that was found when the node started. It is to be called before anything is appended.
    pub(super) fn resume(self: &Arc<Self>, partition: &Arc<Partition>, found: Found) {
        let Some(end) = partition.with_log(|log| Ok(log.log_end())) else { return };
        let key = (partition.topic_id, partition.id.partition);
        let mut running = self.moves().running.lock();
        let is_there = self.dir_of(partition).is_some_and(|place| place.path == self.dirs()[found.dir].path);
        if is_there || running.contains_key(&key) {
            warn!(partition = %partition.id, copy = %found.path.display(), "a copy of the log that nobody needs is removed");
            remove(&found.path);
            return;
        }
        info!(partition = %partition.id, copy = %found.path.display(), "the log goes on moving to another directory");
        let moving = Move::new(found.dir, found.path, Some(end));
        running.insert(key, Arc::clone(&moving));
        task::spawn(carry_out(Arc::clone(self), Arc::clone(partition), moving));
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
}

async fn carry_out(partitions: Arc<Partitions>, partition: Arc<Partition>, moving: Arc<Move>) {
    while !partition.begin_cleaning() {
        if partition.is_offline() || partition.has_given_up_cleaning() || moving.is_cancelled() {
            break;
        }
        sleep(CLEANER_PAUSE).await;
    }
    let done = copy_and_swap(&partitions, &partition, &moving).await;
    partition.end_cleaning();
    partitions.moves().end(&partition, &moving);
    let (id, to) = (&partition.id, moving.path.display());
    let ended = done.map_err(|stopped| match stopped {
        // Closing takes the logs away, as a deletion does.
        Stopped::Cancelled if partitions.moves().is_closed() && !moving.is_cancelled() => Stopped::Interrupted,
        other => other,
    });
    match ended {
        Ok(()) => info!(partition = %id, "the log has moved to another directory"),
        Err(Stopped::Cancelled) => {
            info!(partition = %id, "the log stays where it is");
            if fs::exists(&moving.path) {
                let _ = task::blocking(move || remove(&moving.path)).await;
            }
        }
        Err(Stopped::Interrupted) => info!(partition = %id, "the log goes on moving when the node starts again"),
        Err(Stopped::Target(fault)) => partitions.dirs()[moving.dir].health.fail(&fault),
        Err(Stopped::Source(fault)) => warn!(partition = %id, error = %fault, "the log cannot be copied to {to}"),
    }
}

/// Work that may block; a panic in it ends the move.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Stopped> + Send + 'static) -> Result<T, Stopped> {
    task::blocking(work).await.unwrap_or_else(|e| {
        error!(error = %e, "copying a log was interrupted");
        Err(Stopped::Interrupted)
    })
}

async fn copy_and_swap(
    partitions: &Arc<Partitions>,
    partition: &Arc<Partition>,
    moving: &Arc<Move>,
) -> Result<(), Stopped> {
    let (one, this) = (Arc::clone(partition), Arc::clone(moving));
    let mut copy = blocking(move || Copy::open(&one, &this)).await?;
    loop {
        if partitions.moves().is_closed() {
            return Err(Stopped::Interrupted);
        }
        let (one, this, chunk) = (Arc::clone(partition), Arc::clone(moving), partitions.moves().share().min(CHUNK));
        let (back, bytes) = blocking(move || copy.step(&one, &this, chunk)).await?;
        copy = back;
        let Some(bytes) = bytes else { break };
        partitions.moves().rest(moving, bytes).await;
    }
    let (all, one, this) = (Arc::clone(partitions), Arc::clone(partition), Arc::clone(moving));
    blocking(move || swap(&all, &one, &this, copy)).await
}

/// The copy has nearly caught up: lets it take the log's place.
fn swap(
    partitions: &Partitions,
    partition: &Arc<Partition>,
    moving: &Arc<Move>,
    mut copy: Copy,
) -> Result<(), Stopped> {
    copy.log.flush(Flush::All, timestamp()).map_err(Stopped::Target)?;
    let target = &partitions.dirs()[moving.dir];
    let finished = partition.replace_log(&target.health, |log| {
        if moving.is_cancelled() { Err(Stopped::Cancelled) } else { copy.finish(log, &partition.id) }
    });
    let old = finished.ok_or_else(|| gone(partition))??;
    partitions.moved(partition, moving);
    put_aside(old, &partition.id);
    Ok(())
}

/// The log is not there any more: its disk has failed, or it was deleted.
fn gone(partition: &Partition) -> Stopped {
    if partition.is_offline() { Stopped::Interrupted } else { Stopped::Cancelled }
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
fn read(log: &Log, from: Option<Offset>, bytes_max: u64) -> Result<Chunk, Stopped> {
    let from = from.unwrap_or(log.log_start());
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    match log.read(from, log.log_end(), bytes_max, FirstBatch::Whole) {
        Ok(plan) if plan.is_empty() => Ok(Chunk::Nothing),
        Ok(plan) => plan.read().map(Chunk::Batches).map_err(Stopped::Source),
        Err(ReadError::Refused(ReadRefusal::OffsetOutOfRange { log_start, .. })) => Ok(Chunk::Begins(log_start)),
        Err(ReadError::Fault(fault)) => Err(Stopped::Source(fault)),
    }
}

/// Up to where an older copy has what the log has: their epochs tell where they part (KIP-101), and from `end_max` on they
/// do, since there the log ended when the node started, or the copy lacks something.
fn common_end(log: &Log, copy: &Log, end_max: Offset) -> Offset {
    let known = |epoch| log.leader_epochs().entries().iter().any(|entry| entry.epoch == epoch);
    let newest = copy.leader_epochs().entries().iter().map(|entry| entry.epoch).rfind(|epoch| known(*epoch));
    let end_in = |of: &Log| newest.and_then(|epoch| of.end_offset_for_epoch(epoch)).map(|(_, end)| end);
    let common = end_in(log).zip(end_in(copy)).map_or(Offset::ZERO, |(ours, its)| ours.min(its));
    common.min(end_max).min(copy.log_end())
}

/// Where an older copy first lacks what the log has: a power failure may have left less of one segment than of the next.
fn first_gap(log: &Log, copy: &Log, gaps: &[(Offset, Offset)]) -> Result<Option<Offset>, Stopped> {
    for (from, to) in [(log.log_start(), copy.log_start())].iter().chain(gaps) {
        let from = *from.max(&log.log_start());
        if from < *to
            && let Chunk::Batches(bytes) = read(log, Some(from), 1)?
            && BatchHeader::parse(&bytes).is_ok_and(|next| next.base_offset < *to)
        {
            return Ok(Some(from));
        }
    }
    Ok(None)
}

struct Copy {
    log: Log,
    /// Something was copied, or there was nothing to copy.
    begun: bool,
    /// The last step came to where the log ended when it began. What is missing now was appended since.
    reached: bool,
}

impl Copy {
    /// Opens what there is of a copy, or begins one.
    fn open(partition: &Partition, moving: &Move) -> Result<Self, Stopped> {
        let settings = partition.settings();
        let is_new = moving.found_at.is_none();
        // Nothing says how much of an older copy has reached the disk: all of it is looked at.
        let hints = OpenHints { clean_shutdown: is_new, ..OpenHints::UNKNOWN };
        let opened = Log::open(&moving.path, Some(partition.topic_id), settings.log.clone(), &hints, timestamp());
        let mut copy = Self { log: opened.map_err(Stopped::Target)?.0, begun: false, reached: false };
        if let Some(end) = moving.found_at {
            let gaps = copy.log.gaps().map_err(Stopped::Target)?;
            let common = partition.with_log(|log| {
                let gap = first_gap(log, &copy.log, &gaps);
                Ok(gap.map(|gap| common_end(log, &copy.log, gap.map_or(end, |gap| gap.min(end)))))
            });
            let common = common.ok_or_else(|| gone(partition))??;
            copy.log.truncate_to(common, timestamp()).map_err(Stopped::Target)?;
            copy.begun = copy.log.size() > 0;
            moving.note(&copy.log);
        }
        Ok(copy)
    }

    /// Copies some of what is missing, and says how many bytes that were; `None` when it has nearly caught up.
    fn step(mut self, partition: &Partition, moving: &Move, bytes_max: u64) -> Result<(Self, Option<u64>), Stopped> {
        if moving.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        let end = partition.with_log(|log| Ok(log.log_end())).ok_or_else(|| gone(partition))?;
        if self.begun && self.reached && end.0 - self.log.log_end().0 <= BEHIND_MAX {
            return Ok((self, None));
        }
        let (from, before) = (self.next(), self.log.size());
        let chunk = partition.with_log(|log| Ok(read(log, from, bytes_max))).ok_or_else(|| gone(partition))??;
        let is_at_end = matches!(chunk, Chunk::Nothing);
        self.take(chunk)?;
        self.reached = is_at_end || self.log.log_end() >= end;
        moving.note(&self.log);
        let copied = self.log.size().saturating_sub(before);
        Ok((self, Some(copied)))
    }

    fn next(&self) -> Option<Offset> {
        self.begun.then(|| self.log.log_end())
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        match chunk {
            Chunk::Nothing => self.begun = true,
            Chunk::Begins(offset) => {
                self.log.truncate_fully_and_start_at(offset, timestamp()).map_err(Stopped::Target)?;
                self.begun = false;
            }
            Chunk::Batches(bytes) => {
                if !self.begun
                    && let Ok(first) = BatchHeader::parse(&bytes)
                {
                    // The first batch may begin before the log does.
                    self.log.truncate_fully_and_start_at(first.base_offset, timestamp()).map_err(Stopped::Target)?;
                }
                self.begun = true;
                self.append(bytes)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, bytes: bytes::Bytes) -> Result<(), Stopped> {
        match self.log.append_as_follower(bytes, LeaderEpoch(i32::MAX), timestamp()) {
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
            match read(log, self.next(), CHUNK)? {
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
            rename(copy, &names::dir_name(id))
        };
        settle(&mut self.log, timestamp()).map_err(Stopped::Target)?;
        Ok(self.log)
    }
}

/// Gives a log's directory another name, durably.
fn rename(log: &mut Log, name: &str) -> Result<(), Fault> {
    log.rename_dir(name)?;
    let parent = log.dir().parent().unwrap_or(Path::new("."));
    fs::sync_dir(parent).map_err(|source| Fault::Io { doing: "sync", file: parent.to_owned(), source })
}

/// The log that was copied is not needed any more, not even after a power failure.
fn put_aside(mut old: Log, id: &TopicPartition) {
    let name = names::renamed_dir_name(id, DirKind::Deleted, thalweg_sys::random::bytes16());
    if let Err(fault) = rename(&mut old, &name) {
        error!(partition = %id, error = %fault, "the log has moved, and the old one cannot be removed");
        return;
    }
    let path = old.dir().to_owned();
    drop(old);
    remove(&path);
}
