//! What a crash left of changes that are made by renaming files: swaps of the cleaner and deletions.
//!
//! A swap is complete, and is carried on, once every file of the new segments is called `.swap` (see [`crate::Swap`]).
//! Then a `.log.swap` file says that the segments in its range are replaced; index files that are still called `.swap`
//! without it belong to a `.log` that has its name already, and only get theirs. Apache Kafka reads the names alike.
//!
//! This may itself be ended by a crash: each step is durable before the next one relies on it.

use std::path::Path;
use std::sync::Arc;

use thalweg_base::Offset;
use thalweg_sys::fs::{self, DirEntry};

use crate::scan::Scan;
use crate::segment::remove_if_exists;
use crate::{Fault, SegmentFile, names};

/// A snapshot of the metadata log that waits for its removal; its owner takes care of it.
const METADATA_SNAPSHOT_DELETED: &str = ".checkpoint.deleted";

/// A file whose name ends in a suffix of those that pass away.
struct Passing<'a> {
    entry: &'a DirEntry,
    /// The name without the suffix.
    name: &'a str,
    offset: Option<Offset>,
}

impl Passing<'_> {
    fn kind(&self) -> Option<&str> {
        names::offset_of(self.name).map(|(_, kind)| kind)
    }
}

/// The files whose names end in `suffix`.
fn called<'a>(entries: &'a [DirEntry], suffix: &str) -> Vec<Passing<'a>> {
    let files = entries.iter().filter(|entry| !entry.is_dir && !entry.name.ends_with(METADATA_SNAPSHOT_DELETED));
    let passing = files.filter_map(|entry| {
        let name = entry.name.strip_suffix(suffix)?;
        let offset = names::offset_of(name).map(|(offset, _)| offset);
        Some(Passing { entry, name, offset })
    });
    passing.collect()
}

/// Brings to an end, or undoes, what a crash interrupted. Says whether there was anything.
pub(super) fn settle(dir: &Path, entries: &[DirEntry]) -> Result<bool, Fault> {
    let (deleted, cleaned) = (called(entries, names::DELETED), called(entries, names::CLEANED));
    let swaps = called(entries, names::SWAP);
    if deleted.is_empty() && cleaned.is_empty() && swaps.is_empty() {
        return Ok(false);
    }
    let complete = undo_incomplete_swap(dir, &cleaned, swaps)?;
    complete_swap(dir, entries, &complete)?;
    complete_deletions(dir, &deleted)?;
    Ok(true)
}

/// Removes `.cleaned` files, and the `.swap` files of a group of which some are still called so. Gives the others.
fn undo_incomplete_swap<'a>(
    dir: &Path,
    cleaned: &[Passing<'_>],
    swaps: Vec<Passing<'a>>,
) -> Result<Vec<Passing<'a>>, Fault> {
    let first_cleaned = cleaned.iter().filter_map(|file| file.offset).min().unwrap_or(Offset::MAX);
    let swaps = swaps.into_iter().filter(|file| file.offset.is_some());
    // The segment with the highest offset is renamed first, and durably before the next.
    let (incomplete, complete): (Vec<_>, Vec<_>) = swaps.partition(|file| file.offset >= Some(first_cleaned));
    if !incomplete.is_empty() {
        remove_all(dir, &incomplete)?;
        // As long as one of them is there, the `.cleaned` files tell what it is.
        sync(dir)?;
    }
    remove_all(dir, cleaned)?;
    Ok(complete)
}

/// Removes the segments that `.log.swap` files replace, and gives all `.swap` files their final names.
fn complete_swap(dir: &Path, entries: &[DirEntry], swaps: &[Passing<'_>]) -> Result<(), Fault> {
    if swaps.is_empty() {
        return Ok(());
    }
    let new_logs: Vec<&Passing<'_>> = swaps.iter().filter(|file| file.kind() == Some(names::LOG)).collect();
    let (mut low, mut high) = (Offset::MAX, Offset(-1));
    for file in &new_logs {
        let base = file.offset.unwrap_or(Offset::MAX);
        let path = dir.join(&file.entry.name);
        let mut scan = Scan::headers(Arc::new(SegmentFile::open(&path)?), 0, file.entry.len);
        // A segment of which nothing was left still takes the place of the one with its offset.
        (low, high) = (low.min(base), high.max(base.next()));
        while let Some(found) = scan.next()? {
            high = high.max(found.header.next_offset());
        }
    }
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        let Some((offset, kind)) = names::offset_of(&entry.name) else { continue };
        let of_segment = [names::LOG, names::OFFSET_INDEX, names::TIME_INDEX, names::TXN_INDEX].contains(&kind);
        if of_segment && offset >= low && offset < high {
            remove_if_exists(&dir.join(&entry.name))?;
        }
    }
    // No replaced segment may come back beside the one that has taken its place.
    sync(dir)?;
    for file in swaps {
        let from = dir.join(&file.entry.name);
        fs::rename(&from, &dir.join(file.name)).map_err(Fault::io("rename", &from))?;
    }
    sync(dir)
}

/// Removes the files that are marked for deletion. If that of a transaction index has become durable and that of its
/// segment has not, the segment is without it: its offset index is removed, so that all its indexes are built anew.
fn complete_deletions(dir: &Path, deleted: &[Passing<'_>]) -> Result<(), Fault> {
    let mut damaged = false;
    for file in deleted.iter().filter(|file| file.kind() == Some(names::TXN_INDEX)) {
        let Some(base) = file.offset.filter(|base| fs::exists(&names::file_at(dir, *base, names::LOG))) else {
            continue;
        };
        if !fs::exists(&names::file_at(dir, base, names::TXN_INDEX)) {
            remove_if_exists(&names::file_at(dir, base, names::OFFSET_INDEX))?;
            damaged = true;
        }
    }
    if damaged {
        sync(dir)?;
    }
    remove_all(dir, deleted)
}

fn remove_all(dir: &Path, files: &[Passing<'_>]) -> Result<(), Fault> {
    files.iter().try_for_each(|file| remove_if_exists(&dir.join(&file.entry.name)))
}

fn sync(dir: &Path) -> Result<(), Fault> {
    fs::sync_dir(dir).map_err(Fault::io("sync", dir))
}
