//! Snapshots of the metadata (KIP-630): files `<offset>-<epoch>.checkpoint` beside the metadata log, each of which holds all
//! that was decided before its offset.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_raft::OffsetAndEpoch;
use thalweg_records::control::ControlType;
use thalweg_records::{Record, batches};
use thalweg_sys::fs;
use thalweg_wire::Reader;
use thalweg_wire::messages::SnapshotHeaderRecord;
use tracing::warn;

use super::load_error::{BATCH_BYTES_MAX, LoadError};
use crate::format::{SnapshotContent, snapshot_file};

const SUFFIX: &str = ".checkpoint";
/// A snapshot's header is in its first batch, which is never longer: two static records and the voters.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// A snapshot on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) id: OffsetAndEpoch,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// How long snapshots that are not the newest are kept, and the log that follows them. `None` is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retention {
    /// `metadata.max.retention.bytes`, of the log and all snapshots.
    pub(crate) bytes: Option<u64>,
    /// `metadata.max.retention.ms`, by the last record that a snapshot holds.
    pub(crate) ms: Option<i64>,
}

/// The snapshots in a directory, oldest first. Those that were never finished are of no use to anybody.
pub(super) fn list(dir: &Path) -> Result<Vec<Snapshot>, LoadError> {
    let io = |doing, source| LoadError::Io { doing, path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| io("list", e))? {
        let path = dir.join(&entry.name);
        if let Some(id) = entry.name.strip_suffix(SUFFIX).and_then(id) {
            found.push(Snapshot { id, path, bytes: entry.len });
        } else if [".checkpoint.part", ".checkpoint.tmp", ".checkpoint.deleted"].iter().any(|s| entry.name.ends_with(s))
        {
            fs::remove_file(&path).map_err(|e| io("remove a part of a snapshot in", e))?;
        }
    }
    found.sort_by_key(|snapshot| snapshot.id);
    Ok(found)
}

/// Reads `00000000000000000042-0000000003`.
fn id(name: &str) -> Option<OffsetAndEpoch> {
    let (offset, epoch) = name.split_once('-')?;
    Some(OffsetAndEpoch { offset: Offset(offset.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
}

fn path_of(dir: &Path, id: OffsetAndEpoch) -> PathBuf {
    dir.join(format!("{:020}-{:010}{SUFFIX}", id.offset.0, id.epoch.0))
}

/// Writes a snapshot durably: it is there as a whole or not at all.
pub(super) fn write(
    dir: &Path,
    id: OffsetAndEpoch,
    content: &SnapshotContent<'_>,
    now: Timestamp,
) -> Result<Snapshot, LoadError> {
    let path = path_of(dir, id);
    let bytes = snapshot_file(content, now).map_err(|reason| LoadError::State { path: path.clone(), reason })?;
    let written = fs::write_atomic(&path, &bytes);
    written.map_err(|source| LoadError::Io { doing: "write", path: path.clone(), source })?;
    Ok(Snapshot { id, path, bytes: bytes.len() as u64 })
}

/// The newest snapshot that is whole, by its place in the list, and what it holds. The log may still have everything that a
/// damaged one had.
pub(super) fn newest_whole(snapshots: &[Snapshot]) -> Result<Option<(usize, Bytes)>, LoadError> {
    for (at, snapshot) in snapshots.iter().enumerate().rev() {
        let path = &snapshot.path;
        let bytes = snapshot.read()?;
        if is_whole(&bytes) {
            return Ok(Some((at, bytes)));
        }
        warn!(path = %path.display(), "a snapshot of the metadata is damaged, or ends before its footer: it is not read");
    }
    Ok(None)
}

/// Whether all of a snapshot is as it was written, and has its last record, which says that nothing is missing.
fn is_whole(bytes: &Bytes) -> bool {
    let sound = batches(bytes.clone()).map(|batch| batch.ok().filter(|batch| batch.verify_crc().is_ok()));
    let Some(last) = sound.collect::<Option<Vec<_>>>().and_then(|mut all| all.pop()) else { return false };
    let is_footer = |record: Record| {
        record.key.is_some_and(|key| ControlType::parse_key(&key) == Ok(Some(ControlType::SnapshotFooter)))
    };
    let records = last.records(BATCH_BYTES_MAX).ok().into_iter().flatten();
    last.header().attributes.is_control() && records.flatten().any(is_footer)
}

/// A snapshot that is being fetched from the leader, in a file of its own until it is whole.
#[derive(Debug)]
pub(super) struct FetchedSnapshot {
    dir: PathBuf,
    id: OffsetAndEpoch,
    part: PathBuf,
    file: fs::File,
    len: u64,
}

impl FetchedSnapshot {
    /// Begins with an empty file.
    pub(super) fn begin(dir: &Path, id: OffsetAndEpoch) -> Result<Self, LoadError> {
        let part = path_of(dir, id).with_extension("checkpoint.part");
        let io = |source| LoadError::Io { doing: "create", path: part.clone(), source };
        let file = fs::File::open_rw(&part).map_err(io)?;
        file.set_len(0).map_err(io)?;
        Ok(Self { dir: dir.to_owned(), id, part, file, len: 0 })
    }

    /// Which snapshot it is.
    pub(super) fn id(&self) -> OffsetAndEpoch {
        self.id
    }

    /// Writes the next piece.
    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) -> Result<(), LoadError> {
        assert_eq!(position, self.len, "pieces come one after the other");
        let written = self.file.write_all_at(bytes, position);
        written.map_err(|source| LoadError::Io { doing: "write", path: self.part.clone(), source })?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The snapshot is complete: makes it durable under its own name, and gives what it holds. `None`, and nothing is left
    /// of it, if it is damaged.
    pub(super) fn finish(self) -> Result<Option<(Snapshot, Bytes)>, LoadError> {
        let path = path_of(&self.dir, self.id);
        let io = |doing| {
            let part = self.part.clone();
            move |source| LoadError::Io { doing, path: part, source }
        };
        let bytes = fs::read(&self.part).map(Bytes::from).map_err(io("read"))?;
        if !is_whole(&bytes) {
            fs::remove_file(&self.part).map_err(io("remove"))?;
            return Ok(None);
        }
        self.file.sync_all().map_err(io("sync"))?;
        fs::rename(&self.part, &path).map_err(io("rename"))?;
        fs::sync_dir(&self.dir).map_err(io("sync the directory of"))?;
        Ok(Some((Snapshot { id: self.id, path, bytes: self.len }, bytes)))
    }
}

impl Snapshot {
    /// All of the file.
    pub(super) fn read(&self) -> Result<Bytes, LoadError> {
        let bytes = fs::read(&self.path).map(Bytes::from);
        bytes.map_err(|source| LoadError::Io { doing: "read", path: self.path.clone(), source })
    }

    /// When the last record that it holds was written; `None` when its header cannot be made out.
    pub(super) fn last_contained(&self) -> Result<Option<Timestamp>, LoadError> {
        let mut head = vec![0; HEADER_BYTES_MAX.min(usize::try_from(self.bytes).unwrap_or(HEADER_BYTES_MAX))];
        let read = fs::File::open(&self.path).and_then(|file| file.read_exact_at(&mut head, 0));
        read.map_err(|source| LoadError::Io { doing: "read", path: self.path.clone(), source })?;
        Ok(header(head.into()))
    }
}

fn header(head: Bytes) -> Option<Timestamp> {
    let first = batches(head).next()?.ok()?;
    first.verify_crc().ok()?;
    let record = first.records(HEADER_BYTES_MAX).ok()?.next()?.ok()?;
    if ControlType::parse_key(&record.key?) != Ok(Some(ControlType::SnapshotHeader)) {
        return None;
    }
    let header = SnapshotHeaderRecord::decode(&mut Reader::new(record.value?), 0).ok()?;
    Some(Timestamp(header.last_contained_log_timestamp))
}

#[cfg(all(test, not(sim)))]
mod tests;
