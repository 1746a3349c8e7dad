//! `__cluster_metadata-0` on disk: the log, its snapshots, and the file that remembers elections.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp, Uuid};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion, Provenance, RecordError};
use thalweg_raft::{Change, ControlRecord, ElectionState, EpochStart, KRaftVersion, LocalLog, OffsetAndEpoch, Voters};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchBuilder, BatchError, BatchOptions, BatchView, PreparedBatch, Record, batches};
use thalweg_storage::{AppendError, Fault, FirstBatch, Flush, FlushPlan, Log, LogConfig, OpenHints, Origin, ReadError};
use thalweg_sys::fs;
use thalweg_wire::EncodeError;
use tracing::warn;

use super::control;
use crate::format::{METADATA_LOG, SnapshotContent, read_bootstrap_file, snapshot_file};

const QUORUM_STATE: &str = "quorum-state";
const SNAPSHOT: &str = ".checkpoint";
/// So much of the log is read at once while it is replayed.
const READ_BYTES: usize = 1 << 20;
/// A metadata batch may hold so much, as in Kafka.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Why the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is malformed: {source}", path.display())]
    Batch { path: PathBuf, source: BatchError },
    #[error("{} holds a metadata record that this version does not know: {source}; it was written by a newer Kafka", path.display())]
    Record { path: PathBuf, source: RecordError },
    #[error("{} {reason}", path.display())]
    State { path: PathBuf, reason: String },
}

/// What there was when the log was opened.
pub(crate) struct Loaded {
    pub(crate) log: MetadataLog,
    /// Every record of the snapshot and the log, committed or not.
    pub(crate) image: MetadataImage,
    pub(crate) local: LocalLog,
    pub(crate) election: Option<ElectionState>,
    /// What a new cluster begins with.
    pub(crate) bootstrap: Vec<MetadataRecord>,
}

/// See the module.
pub(crate) struct MetadataLog {
    dir: PathBuf,
    log: Log,
    /// How many bytes of records the newest snapshot lacks.
    unsnapshotted: u64,
}

impl MetadataLog {
    /// Opens, or creates, the metadata log in `log_dir` and replays it.
    pub(crate) fn open(log_dir: &Path, config: LogConfig, now: Timestamp) -> Result<Loaded, LoadError> {
        let dir = log_dir.join(METADATA_LOG);
        let (log, _) = Log::open(&dir, Some(Uuid::ONE), config, &OpenHints::UNKNOWN, now)?;
        let mut image = MetadataImage::default();
        let mut local = LocalLog { start: log.log_start(), end: log.log_end(), ..LocalLog::default() };
        let snapshots = snapshots(&dir)?;
        if let (Some(oldest), Some((newest, path, bytes))) = (snapshots.first(), newest_whole(&snapshots)?) {
            local.snapshots = Some((oldest.0, newest));
            // A record in a snapshot counts as if it stood right before the log.
            let before = Offset(newest.offset.0 - 1);
            replay(path, bytes, &mut image, |_, change| local.changes.push((before, change)))?;
            let provenance = Provenance { offset: before, epoch: newest.epoch, ..image.provenance() };
            image.set_provenance(provenance);
        }
        let mut this = Self { dir, log, unsnapshotted: 0 };
        this.catch_up_with_snapshot(&mut local, now)?;
        this.replay_log(&mut image, &mut local)?;
        let epochs =
            this.log.leader_epochs().entries().iter().map(|e| EpochStart { epoch: e.epoch, start: e.start_offset });
        local.epochs = epochs.collect();
        let election = this.election()?;
        let bootstrap = read_bootstrap_file(log_dir).map_err(|reason| this.state(reason))?;
        Ok(Loaded { log: this, image, local, election, bootstrap })
    }

    /// A snapshot that is ahead of the log replaces it: the log was lost, or never reached so far.
    fn catch_up_with_snapshot(&mut self, local: &mut LocalLog, now: Timestamp) -> Result<(), LoadError> {
        if let Some((_, newest)) = local.snapshots
            && newest.offset > self.log.log_end()
        {
            self.log.truncate_fully_and_start_at(newest.offset, now)?;
            local.start = newest.offset;
            local.end = newest.offset;
        }
        Ok(())
    }

    fn replay_log(&mut self, image: &mut MetadataImage, local: &mut LocalLog) -> Result<(), LoadError> {
        let end = self.log.log_end();
        let in_snapshot = image.provenance().offset.next();
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
            self.unsnapshotted += bytes.len() as u64;
            let next = replay(&self.dir, bytes, image, |offset, change| local.changes.push((offset, change)))?;
            if next <= at {
                return Err(self.state(format!("cannot be read at offset {at}")));
            }
            at = next;
        }
        Ok(())
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

    /// Writes `quorum-state` durably.
    pub(crate) fn persist(
        &self,
        state: &ElectionState,
        version: KRaftVersion,
        voters: &Voters,
    ) -> Result<(), LoadError> {
        let path = self.dir.join(QUORUM_STATE);
        let text = state.to_text(version, voters.ids());
        fs::write_atomic(&path, text.as_bytes()).map_err(|source| LoadError::Io { doing: "write", path, source })
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
        self.append_batch(PreparedBatch::parse(&builder.build()?)?, epoch, now)
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
        self.unsnapshotted += batch.len() as u64;
        self.log.append(&mut [batch], epoch, Origin::Replication, now)?;
        self.log.assign_epoch(epoch, self.log.log_end());
        Ok(self.log.log_end())
    }

    /// What must be synced so that all of the log is durable.
    pub(crate) fn flush_plan(&mut self) -> Result<Option<FlushPlan>, Fault> {
        self.log.flush_plan(Flush::All)
    }

    /// A plan was carried out.
    pub(crate) fn flushed(&mut self, plan: &FlushPlan, now: Timestamp) {
        self.log.flushed(plan, now);
    }

    /// How many bytes of records the newest snapshot lacks.
    pub(crate) fn unsnapshotted(&self) -> u64 {
        self.unsnapshotted
    }

    /// Replaces all snapshots by this one, durably, and removes from the log what it holds. Gives the offset at which the
    /// log begins now.
    pub(crate) fn write_snapshot(
        &mut self,
        id: OffsetAndEpoch,
        content: &SnapshotContent<'_>,
        now: Timestamp,
    ) -> Result<Offset, LoadError> {
        let older = snapshots(&self.dir)?;
        let path = self.dir.join(format!("{:020}-{:010}{SNAPSHOT}", id.offset.0, id.epoch.0));
        let bytes = snapshot_file(content, now).map_err(|reason| self.state(reason))?;
        fs::write_atomic(&path, &bytes).map_err(|source| LoadError::Io {
            doing: "write",
            path: path.clone(),
            source,
        })?;
        for (_, old) in older.into_iter().filter(|(old, _)| *old != id) {
            fs::remove_file(&old).map_err(|source| LoadError::Io { doing: "remove", path: old, source })?;
        }
        self.log.advance_log_start(id.offset)?;
        self.log.delete_old_segments(id.offset, now)?;
        self.log.take_doomed().remove()?;
        self.unsnapshotted = 0;
        Ok(self.log.log_start())
    }

    /// Syncs and closes all files.
    pub(crate) fn close(self) -> Result<(), Fault> {
        self.log.close().map(|_| ())
    }
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
    #[error(transparent)]
    Append(#[from] AppendError),
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

/// The newest snapshot that is whole, and what it holds. The log may still have everything that a damaged one had.
fn newest_whole(snapshots: &[(OffsetAndEpoch, PathBuf)]) -> Result<Option<(OffsetAndEpoch, &Path, Bytes)>, LoadError> {
    for (id, path) in snapshots.iter().rev() {
        let bytes = read_file(path)?;
        if is_whole(&bytes) {
            return Ok(Some((*id, path, bytes)));
        }
        warn!(path = %path.display(), "a snapshot of the metadata ends before its footer: it is not read");
    }
    Ok(None)
}

/// Whether a snapshot has its last record, which says that nothing is missing.
fn is_whole(bytes: &Bytes) -> bool {
    let Some(Ok(last)) = batches(bytes.clone()).last() else { return false };
    let is_footer = |record: Record| {
        record.key.is_some_and(|key| ControlType::parse_key(&key) == Ok(Some(ControlType::SnapshotFooter)))
    };
    let records = last.records(BATCH_BYTES_MAX).ok().into_iter().flatten();
    last.header().attributes.is_control() && records.flatten().any(is_footer)
}

/// The snapshots in a directory, oldest first. Those that were never finished are of no use to anybody.
fn snapshots(dir: &Path) -> Result<Vec<(OffsetAndEpoch, PathBuf)>, LoadError> {
    let io = |doing, source| LoadError::Io { doing, path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| io("list", e))? {
        if let Some(id) = entry.name.strip_suffix(SNAPSHOT).and_then(snapshot_id) {
            found.push((id, dir.join(&entry.name)));
        } else if [".checkpoint.part", ".checkpoint.tmp"].iter().any(|part| entry.name.ends_with(part)) {
            fs::remove_file(&dir.join(&entry.name)).map_err(|e| io("remove a part of a snapshot in", e))?;
        }
    }
    found.sort_by_key(|(id, _)| *id);
    Ok(found)
}

/// Reads `00000000000000000042-0000000003`.
fn snapshot_id(name: &str) -> Option<OffsetAndEpoch> {
    let (offset, epoch) = name.split_once('-')?;
    Some(OffsetAndEpoch { offset: Offset(offset.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
}

fn read_file(path: &Path) -> Result<Bytes, LoadError> {
    fs::read(path).map(Bytes::from).map_err(|source| LoadError::Io { doing: "read", path: path.to_owned(), source })
}
