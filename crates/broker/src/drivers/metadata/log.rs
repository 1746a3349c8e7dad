//! `__cluster_metadata-0` on disk: the log, its snapshots, and the file that remembers elections.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp, Uuid};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion, Provenance};
use thalweg_raft::{Change, ControlRecord, ElectionState, EpochStart, KRaftVersion, LocalLog, OffsetAndEpoch, Voters};
use thalweg_records::{BatchBuilder, BatchError, BatchOptions, BatchView, PreparedBatch, batches};
use thalweg_storage::{
    AppendError, AppendRefusal, Doomed, Fault, FirstBatch, Flush, FlushPlan, Log, LogConfig, OpenHints, Origin,
    ReadError, ReadPlan,
};
use thalweg_sys::fs;
use thalweg_wire::EncodeError;

use super::control;
use super::load_error::{BATCH_BYTES_MAX, LoadError};
use super::snapshots::{self, FetchedSnapshot, Retention, Snapshot};
use crate::format::{METADATA_LOG, read_bootstrap_file};

const QUORUM_STATE: &str = "quorum-state";
/// So much of the log is read at once while it is replayed.
const READ_BYTES: usize = 1 << 20;
/// What there was when the log was opened.
pub(crate) struct Loaded {
    pub(crate) log: MetadataLog,
    /// Every record of the snapshot and the log, committed or not.
    pub(crate) image: MetadataImage,
    /// The log as the quorum starts with it.
    pub(crate) local: LocalLog,
    /// What `quorum-state` says.
    pub(crate) election: Option<ElectionState>,
    /// What a new cluster begins with.
    pub(crate) bootstrap: Vec<MetadataRecord>,
}

/// An image, what changes the quorum itself and where, and how many bytes of the log were read for it.
type Replayed = (MetadataImage, Vec<(Offset, Change)>, u64);

/// The metadata log with its snapshots, in one directory.
pub(crate) struct MetadataLog {
    dir: PathBuf,
    log: Log,
    /// The snapshots that are there, oldest first; the newest is whole.
    snapshots: Vec<Snapshot>,
    /// How many bytes of records were read and appended since the log was opened.
    appended: u64,
    /// How many of them the newest snapshot holds.
    snapshotted: u64,
}

/// What nobody needs any more.
#[must_use]
pub(crate) struct Cleaned {
    segments: Doomed,
    snapshots: Vec<Snapshot>,
}

impl Cleaned {
    /// Removes the files. It may block.
    pub(crate) fn remove(self) -> Result<(), LoadError> {
        self.segments.sync_and_remove()?;
        self.snapshots.iter().try_for_each(remove)
    }
}

fn remove(snapshot: &Snapshot) -> Result<(), LoadError> {
    let removed = fs::remove_file(&snapshot.path);
    removed.map_err(|source| LoadError::Io { doing: "remove", path: snapshot.path.clone(), source })
}

impl MetadataLog {
    /// Opens, or creates, the metadata log in `log_dir` and replays it.
    pub(crate) fn open(log_dir: &Path, config: LogConfig, now: Timestamp) -> Result<Loaded, LoadError> {
        let dir = log_dir.join(METADATA_LOG);
        let (log, _) = Log::open(&dir, Some(Uuid::ONE), config, &OpenHints::UNKNOWN, now)?;
        let mut snapshots = snapshots::list(&dir)?;
        let whole = snapshots::newest_whole(&snapshots)?;
        // Damaged ones that are newer stay where they are, for whoever wants to look at them.
        let damaged = snapshots.split_off(whole.as_ref().map_or(0, |(at, _)| at + 1));
        reaches(&log, snapshots.last(), damaged.last())?;
        let mut this = Self { dir, log, snapshots, appended: 0, snapshotted: 0 };
        this.catch_up_with_snapshot(now)?;
        let mut local = LocalLog { start: this.log.log_start(), end: this.log.log_end(), ..LocalLog::default() };
        let (image, changes, read) = this.replay(whole.map(|(_, bytes)| bytes))?;
        this.appended = read;
        local.changes = changes;
        this.forget_snapshots_before(this.log.log_start()).iter().try_for_each(remove)?;
        local.snapshots = this.kept();
        let epochs =
            this.log.leader_epochs().entries().iter().map(|e| EpochStart { epoch: e.epoch, start: e.start_offset });
        local.epochs = epochs.collect();
        let election = this.election()?;
        let bootstrap = read_bootstrap_file(log_dir).map_err(|reason| this.state(reason))?;
        Ok(Loaded { log: this, image, local, election, bootstrap })
    }

    /// A snapshot that is ahead of the log replaces it: the log was lost, or never reached so far.
    fn catch_up_with_snapshot(&mut self, now: Timestamp) -> Result<(), LoadError> {
        if let Some(Snapshot { id: newest, .. }) = self.snapshots.last()
            && newest.offset > self.log.log_end()
        {
            self.log.truncate_fully_and_start_at(newest.offset, now)?;
        }
        Ok(())
    }

    /// The image of everything in the newest snapshot and in the log. It may block.
    pub(crate) fn read_image(&self) -> Result<MetadataImage, LoadError> {
        let bytes = self.snapshots.last().map(Snapshot::read).transpose()?;
        self.replay(bytes).map(|(image, ..)| image)
    }

    /// Replays the newest snapshot, which holds `bytes`, and the log behind it. Gives the image, what changes the quorum
    /// itself, and how many bytes of the log were read.
    fn replay(&self, bytes: Option<Bytes>) -> Result<Replayed, LoadError> {
        let mut image = MetadataImage::default();
        let mut changes = Vec::new();
        if let (Some(Snapshot { id: newest, path, .. }), Some(bytes)) = (self.snapshots.last(), bytes) {
            changes = replay_snapshot(path, bytes, *newest, &mut image)?;
        }
        let read = self.replay_log(&mut image, &mut changes)?;
        Ok((image, changes, read))
    }

    fn replay_log(&self, image: &mut MetadataImage, changes: &mut Vec<(Offset, Change)>) -> Result<u64, LoadError> {
        let end = self.log.log_end();
        let in_snapshot = image.provenance().offset.next();
        let mut read = 0;
        if in_snapshot < self.log.log_start() {
            let reason = "begins behind every whole snapshot, so that earlier decisions are lost: put the newest back";
            return Err(self.state(reason.to_owned()));
        }
        let mut at = in_snapshot;
        while at < end {
            let plan = self.log.read(at, end, READ_BYTES, FirstBatch::Whole).map_err(|e| match e {
                ReadError::Fault(fault) => LoadError::Fault(fault),
                ReadError::Refused(refusal) => self.state(refusal.to_string()),
            })?;
            let bytes = plan.read()?;
            read += bytes.len() as u64;
            let next = replay(&self.dir, bytes, image, |offset, change| changes.push((offset, change)))?;
            if next <= at {
                return Err(self.state(format!("cannot be read at offset {at}")));
            }
            at = next;
        }
        Ok(read)
    }

    fn state(&self, reason: String) -> LoadError {
        LoadError::State { path: self.dir.clone(), reason }
    }

    fn election(&self) -> Result<Option<ElectionState>, LoadError> {
        let path = self.dir.join(QUORUM_STATE);
        if !fs::exists(&path) {
            return Ok(None);
        }
        let text =
            fs::read_to_string(&path).map_err(|source| LoadError::Io { doing: "read", path: path.clone(), source })?;
        ElectionState::parse(&text).map(Some).map_err(|e| LoadError::State { path, reason: e.to_string() })
    }

    /// What writes `quorum-state` durably. It blocks.
    pub(crate) fn persist(
        &self,
        state: &ElectionState,
        version: KRaftVersion,
        voters: &Voters,
    ) -> impl FnOnce() -> Result<(), LoadError> + Send + use<> {
        let path = self.dir.join(QUORUM_STATE);
        let text = state.to_text(version, voters.ids());
        move || {
            fs::write_atomic(&path, text.as_bytes()).map_err(|source| LoadError::Io { doing: "write", path, source })
        }
    }

    /// The offset that the next record gets.
    pub(crate) fn end(&self) -> Offset {
        self.log.log_end()
    }

    /// Appends records as one batch.
    pub(crate) fn append(
        &mut self,
        records: &[MetadataRecord],
        version: MetadataVersion,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Offset, WriteError> {
        let mut builder = BatchBuilder::new(BatchOptions { leader_epoch: epoch, ..BatchOptions::default() });
        let mut bytes = 0;
        for record in records {
            let value = record.encode_at(version)?;
            bytes += value.len();
            builder.append(now, None, Some(&value), &[]);
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(WriteError::TooLarge);
        }
        let batch = builder.build()?;
        if batch.len() > BATCH_BYTES_MAX {
            return Err(WriteError::TooLarge);
        }
        self.append_batch(PreparedBatch::parse(&batch)?, epoch, now)
    }

    /// Appends the quorum's own records as one batch.
    pub(crate) fn append_control(
        &mut self,
        records: &[ControlRecord],
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Offset, WriteError> {
        let batch = control::batch(records, epoch, now).ok_or(WriteError::TooLarge)?;
        self.append_batch(batch, epoch, now)
    }

    fn append_batch(&mut self, batch: PreparedBatch, epoch: LeaderEpoch, now: Timestamp) -> Result<Offset, WriteError> {
        self.appended += batch.len() as u64;
        self.log.append(&mut [batch], epoch, Origin::Replication, now)?;
        self.log.assign_epoch(epoch, self.log.log_end());
        Ok(self.log.log_end())
    }

    /// Appends what was fetched, up to the first batch of a later epoch than `epoch`, and replays it into `image`. Batches
    /// that cannot be read are not appended: they come from another node, and end nothing here.
    pub(crate) fn append_fetched(
        &mut self,
        bytes: &Bytes,
        epoch: LeaderEpoch,
        image: &mut MetadataImage,
        now: Timestamp,
    ) -> Result<Fetched, WriteError> {
        let mut fetched = Fetched::default();
        let mut replayed = image.clone();
        let (mut len, mut next) = (0, self.log.log_end());
        for view in batches(bytes.clone()) {
            let view = match view {
                Err(error) if error.is_truncated() => break,
                other => other?,
            };
            let header = view.header();
            if header.leader_epoch > epoch {
                break;
            }
            let (base, own) = (header.base_offset, header.leader_epoch);
            view.verify_crc()?;
            if base != next {
                let expected = next;
                return Err(AppendError::from(AppendRefusal::UnexpectedOffset { offset: base, expected }).into());
            }
            replay_batch(&view, &self.dir, &mut replayed, &mut |offset, change| fetched.changes.push((offset, change)))
                .map_err(WriteError::Unreadable)?;
            if fetched.epochs.last().is_none_or(|last: &EpochStart| last.epoch < own) {
                fetched.epochs.push(EpochStart { epoch: own, start: base });
            }
            (fetched.epoch, fetched.timestamp) = (own, header.max_timestamp);
            (len, next) = (len + header.size(), view.next_offset());
        }
        if len > 0 {
            let appended = self.log.append_as_follower(bytes.slice(..len), epoch, now)?;
            assert_eq!(appended.map(|appended| appended.last_offset.next()), Some(next), "what was read is appended");
            self.appended += len as u64;
            *image = replayed;
        }
        Ok(fetched)
    }

    /// Drops every record from `to` on. It may block.
    pub(crate) fn truncate(&mut self, to: Offset, now: Timestamp) -> Result<(), Fault> {
        self.log.truncate_to(to, now)?;
        self.log.take_doomed().sync_and_remove()
    }

    /// What a replica is sent that fetches from `from`.
    pub(crate) fn read_plan(&self, from: Offset, max_bytes: usize) -> Result<ReadPlan, ReadError> {
        self.log.read(from, self.log.log_end(), max_bytes, FirstBatch::Whole)
    }

    /// A snapshot's file and its size, if it is kept.
    pub(super) fn snapshot(&self, id: OffsetAndEpoch) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.id == id)
    }

    /// A snapshot of the leader, which was fetched, replaces the whole log. Gives its image and what changes the quorum;
    /// `None` if the file is damaged. It may block.
    pub(super) fn install(
        &mut self,
        fetched: FetchedSnapshot,
        now: Timestamp,
    ) -> Result<Option<(MetadataImage, Vec<Change>)>, LoadError> {
        let Some((snapshot, bytes)) = fetched.finish()? else { return Ok(None) };
        let mut image = MetadataImage::default();
        let changes = replay_snapshot(&snapshot.path, bytes, snapshot.id, &mut image)?;
        self.log.truncate_fully_and_start_at(snapshot.id.offset, now)?;
        self.log.take_doomed().sync_and_remove()?;
        let older = std::mem::replace(&mut self.snapshots, vec![snapshot]);
        older.iter().filter(|older| older.path != self.snapshots[0].path).try_for_each(remove)?;
        self.snapshotted = self.appended;
        Ok(Some((image, changes.into_iter().map(|(_, change)| change).collect())))
    }

    /// What must be synced so that all of the log is durable.
    pub(crate) fn flush_plan(&mut self) -> Result<Option<FlushPlan>, Fault> {
        self.log.flush_plan(Flush::All)
    }

    /// A plan was carried out.
    pub(crate) fn flushed(&mut self, plan: &FlushPlan, now: Timestamp) {
        self.log.flushed(plan, now);
    }

    /// How many bytes of records were read and appended so far.
    pub(crate) fn appended(&self) -> u64 {
        self.appended
    }

    /// How many of them the newest snapshot holds.
    pub(crate) fn snapshotted(&self) -> u64 {
        self.snapshotted
    }

    /// Whether the disk has failed under it, so that it takes nothing any more.
    pub(crate) fn is_offline(&self) -> bool {
        self.log.is_offline()
    }

    /// Where snapshots are written.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The oldest and the newest snapshot, if there is one.
    pub(crate) fn kept(&self) -> Option<(OffsetAndEpoch, OffsetAndEpoch)> {
        Some((self.snapshots.first()?.id, self.snapshots.last()?.id))
    }

    /// Where the log begins.
    pub(crate) fn start(&self) -> Offset {
        self.log.log_start()
    }

    /// A snapshot was written when `appended` bytes were in the log before its offset. It is the newest.
    pub(super) fn snapshot_written(&mut self, snapshot: Snapshot, appended: u64) {
        assert!(self.snapshotted <= appended && appended <= self.appended, "a snapshot holds what was appended");
        self.snapshots.retain(|older| older.id < snapshot.id);
        self.snapshots.push(snapshot);
        self.snapshotted = appended;
    }

    /// Lets go of the oldest snapshots as long as there is more, or older, than is to be kept, and of the log before the
    /// oldest that is left. The newest always stays, and the log after it. Gives what to remove, if anything.
    pub(crate) fn clean(&mut self, retention: Retention, now: Timestamp) -> Result<Option<Cleaned>, LoadError> {
        let mut snapshots = Vec::new();
        while let [oldest, next, ..] = &self.snapshots[..]
            && (self.is_too_much(retention) || is_too_old(oldest, retention, now)?)
        {
            let begin = next.id.offset;
            snapshots.extend(self.forget_snapshots_before(begin));
            self.log.advance_log_start(begin)?;
            self.log.delete_old_segments(begin, now)?;
        }
        let segments = self.log.take_doomed();
        Ok((!snapshots.is_empty()).then_some(Cleaned { segments, snapshots }))
    }

    fn is_too_much(&self, retention: Retention) -> bool {
        let snapshots: u64 = self.snapshots.iter().map(|snapshot| snapshot.bytes).sum();
        retention.bytes.is_some_and(|max| self.log.size() + snapshots > max)
    }

    fn forget_snapshots_before(&mut self, offset: Offset) -> Vec<Snapshot> {
        let kept = self.snapshots.partition_point(|snapshot| snapshot.id.offset < offset);
        self.snapshots.drain(..kept).collect()
    }

    /// Syncs and closes all files.
    pub(crate) fn close(self) -> Result<(), Fault> {
        self.log.close().map(|_| ())
    }
}

/// Checks that the log, or a whole snapshot, reaches as far as a damaged one did.
fn reaches(log: &Log, whole: Option<&Snapshot>, damaged: Option<&Snapshot>) -> Result<(), LoadError> {
    let end = log.log_end().max(whole.map_or(Offset::ZERO, |whole| whole.id.offset));
    match damaged.filter(|damaged| damaged.id.offset > end) {
        None => Ok(()),
        Some(Snapshot { path, .. }) => {
            let reason = format!("is damaged, and neither the log nor another snapshot goes beyond offset {end}");
            Err(LoadError::State { path: path.clone(), reason })
        }
    }
}

/// Whether what a snapshot holds is older than is kept. One that is damaged helps nobody.
fn is_too_old(snapshot: &Snapshot, retention: Retention, now: Timestamp) -> Result<bool, LoadError> {
    let Some(max) = retention.ms else { return Ok(false) };
    Ok(snapshot.last_contained()?.is_none_or(|last| now.0.saturating_sub(last.0) > max))
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("a metadata record cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    #[error("a metadata batch cannot be built: {0}")]
    Batch(#[from] BatchError),
    #[error("the records do not fit in one metadata batch")]
    TooLarge,
    #[error("records of the metadata leader cannot be read: {0}")]
    Unreadable(LoadError),
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl WriteError {
    /// Whether nothing was written because of what the records are: the log goes on without them. Only the disk ends it.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Encode(_) | Self::Batch(_) | Self::TooLarge | Self::Unreadable(_) => true,
            Self::Append(AppendError::Refused(_)) => true,
            Self::Append(AppendError::Fault(_)) => false,
        }
    }
}

/// What was appended of a fetch.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// The epochs that begin in it.
    pub(crate) epochs: Vec<EpochStart>,
    /// What changes the quorum itself.
    pub(crate) changes: Vec<(Offset, Change)>,
    /// The epoch and the time of the last batch.
    pub(crate) epoch: LeaderEpoch,
    pub(crate) timestamp: Timestamp,
}

/// Replays a snapshot. Its records count as if they stood right before the log.
fn replay_snapshot(
    path: &Path,
    bytes: Bytes,
    id: OffsetAndEpoch,
    image: &mut MetadataImage,
) -> Result<Vec<(Offset, Change)>, LoadError> {
    let before = Offset(id.offset.0 - 1);
    let mut changes = Vec::new();
    replay(path, bytes, image, |_, change| changes.push((before, change)))?;
    image.set_provenance(Provenance { offset: before, epoch: id.epoch, ..image.provenance() });
    Ok(changes)
}

/// Replays batches into the image and reports the quorum's own records. Returns the offset after the last whole batch.
fn replay(
    path: &Path,
    bytes: Bytes,
    image: &mut MetadataImage,
    mut changed: impl FnMut(Offset, Change),
) -> Result<Offset, LoadError> {
    let malformed = |source| LoadError::Batch { path: path.to_owned(), source };
    let mut next = Offset(-1);
    for view in batches(bytes) {
        let view = match view {
            Err(error) if error.is_truncated() => break,
            other => other.map_err(malformed)?,
        };
        view.verify_crc().map_err(malformed)?;
        replay_batch(&view, path, image, &mut changed)?;
        next = view.next_offset();
    }
    Ok(next)
}

fn replay_batch(
    view: &BatchView,
    path: &Path,
    image: &mut MetadataImage,
    changed: &mut impl FnMut(Offset, Change),
) -> Result<(), LoadError> {
    let malformed = |source| LoadError::Batch { path: path.to_owned(), source };
    let header = view.header();
    for record in view.records(BATCH_BYTES_MAX * 2).map_err(malformed)? {
        let record = record.map_err(malformed)?;
        let offset = header.offset_of(record.offset_delta);
        if header.attributes.is_control() {
            if let Some(change) = control::change(&record) {
                changed(offset, change);
            }
            continue;
        }
        let value = record.value.unwrap_or_default();
        let record = MetadataRecord::decode(value);
        image.replay(&record.map_err(|source| LoadError::Record { path: path.to_owned(), source })?, offset);
    }
    let provenance =
        Provenance { offset: view.last_offset(), epoch: header.leader_epoch, timestamp: header.max_timestamp };
    image.set_provenance(provenance);
    Ok(())
}
