//! Reading the metadata out of files.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::Offset;
use thalweg_metadata::{MetadataImage, MetadataRecord, Provenance};
use thalweg_records::batches;
use thalweg_sys::fs::{self, Lock};

use crate::failure::Failure;
use crate::thrown::Thrown;

/// How large the records of one batch may be when they are decompressed.
const RECORDS_MAX: usize = 1 << 30;

/// Metadata that was read.
pub(super) struct Loaded {
    pub(super) image: MetadataImage,
    /// The lock of the log directory, so that no node starts there meanwhile.
    _lock: Option<Lock>,
}

/// Reads a snapshot, a segment, or the directory of both.
pub(super) fn load(path: &str) -> Result<Loaded, Failure> {
    let path = Path::new(path);
    let files = files(path)?;
    let log_dir = if path.is_dir() { path.parent() } else { path.parent().and_then(Path::parent) };
    let lock = lock(log_dir.unwrap_or(Path::new(".")))?;
    let mut image = MetadataImage::default();
    for file in files {
        let bytes = fs::read(&file).map_err(|e| unreadable(&file, &e))?;
        replay(&mut image, bytes.into(), &file)?;
    }
    if image.provenance().offset < Offset(0) {
        return Err(Thrown::new("java.lang.RuntimeException", format!("{} has no metadata", path.display())).into());
    }
    Ok(Loaded { image, _lock: lock })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Thrown {
    let class = match error.kind() {
        std::io::ErrorKind::NotFound => "java.nio.file.NoSuchFileException",
        std::io::ErrorKind::PermissionDenied => "java.nio.file.AccessDeniedException",
        _ => return Thrown::new("java.io.IOException", format!("{}: {error}", path.display())).execution(),
    };
    Thrown::new(class, path.display().to_string()).execution()
}

/// The files to read, in order: of a directory the newest snapshot, and the segments that reach behind it.
fn files(path: &Path) -> Result<Vec<PathBuf>, Thrown> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let names = fs::read_dir(path).map_err(|e| unreadable(path, &e))?;
    let mut names: Vec<String> = names.into_iter().map(|entry| entry.name).collect();
    names.sort();
    let snapshot = names.iter().rfind(|name| name.ends_with(".checkpoint") && snapshot_end(name).is_some());
    let end = snapshot.and_then(|name| snapshot_end(name)).unwrap_or(0);
    let segments: Vec<&String> = names.iter().filter(|name| name.ends_with(".log")).collect();
    // The last segment that begins at or before the snapshot's end, and those after it.
    let first = segments.iter().rposition(|name| segment_base(name) <= end).unwrap_or(0);
    let chosen = snapshot.into_iter().chain(segments.into_iter().skip(first));
    Ok(chosen.map(|name| path.join(name)).collect())
}

fn snapshot_end(name: &str) -> Option<i64> {
    name.strip_suffix(".checkpoint")?.split_once('-')?.0.parse().ok()
}

fn segment_base(name: &str) -> i64 {
    name.strip_suffix(".log").and_then(|base| base.parse().ok()).unwrap_or(i64::MAX)
}

/// Takes the lock of a log directory that has one.
fn lock(log_dir: &Path) -> Result<Option<Lock>, Thrown> {
    let file = log_dir.join(".lock");
    if !fs::exists(&file) {
        return Ok(None);
    }
    let taken = Lock::try_acquire(&file).map_err(|e| unreadable(&file, &e))?;
    if taken.is_none() {
        let dir = std::path::absolute(log_dir).unwrap_or(log_dir.to_owned());
        let text = format!(
            "Unable to lock {}. Please ensure that no broker or controller process is using this directory before proceeding.",
            dir.display()
        );
        return Err(Thrown::new("java.lang.RuntimeException", text));
    }
    Ok(taken)
}

/// Replays a file. Records that the image has already, from a snapshot, are passed over.
fn replay(image: &mut MetadataImage, bytes: Bytes, file: &Path) -> Result<(), Thrown> {
    let is_snapshot = file.extension().is_some_and(|extension| extension == "checkpoint");
    let end = file.file_name().and_then(|name| name.to_str()).and_then(snapshot_end);
    let known = image.provenance().offset;
    let damaged = |what: String| Thrown::new("java.lang.RuntimeException", format!("{}: {what}", file.display()));
    for batch in batches(bytes) {
        // A node that was killed may have left half a batch at the end.
        let Ok(batch) = batch else { break };
        let header = *batch.header();
        let mut last = None;
        for record in batch.records(RECORDS_MAX).map_err(|e| damaged(e.to_string()))? {
            let record = record.map_err(|e| damaged(e.to_string()))?;
            let offset = header.offset_of(record.offset_delta);
            if offset <= known && !is_snapshot {
                continue;
            }
            last = Some(offset);
            if header.attributes.is_control() {
                continue;
            }
            let value = record.value.unwrap_or_default();
            let decoded = MetadataRecord::decode(value).map_err(|e| damaged(format!("offset {}: {e}", offset.0)))?;
            image.replay(&decoded, offset);
        }
        if let Some(offset) = last {
            image.set_provenance(Provenance { offset, epoch: header.leader_epoch, timestamp: header.max_timestamp });
        }
    }
    // The records of a snapshot have offsets of their own; its name says up to where it goes.
    if let Some(end) = end.filter(|end| is_snapshot && *end > 0) {
        image.set_provenance(Provenance { offset: Offset(end - 1), ..image.provenance() });
    }
    Ok(())
}
