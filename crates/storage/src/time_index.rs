//! `.timeindex`: from a timestamp to an offset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_base::{Offset, Timestamp};

use crate::entry_file::EntryFile;
use crate::open_files::ClosableFile;
use crate::{Fault, OpenFiles, SegmentFile};

/// Eight bytes of timestamp and four bytes of offset, relative to the segment's base, both big-endian.
const ENTRY: usize = 12;

/// One entry: up to and with the batch that ends with `offset`, no record is younger than `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimestampOffset {
    pub(crate) timestamp: Timestamp,
    pub(crate) offset: Offset,
}

/// The sparse time index of one segment. Timestamps grow from entry to entry; offsets never fall.
#[derive(Debug)]
pub(crate) struct TimeIndex {
    base: Offset,
    entries: EntryFile<ENTRY>,
}

impl TimeIndex {
    pub(crate) fn create(path: PathBuf, base: Offset, files: &OpenFiles) -> Result<Self, Fault> {
        Ok(Self { base, entries: EntryFile::create(path, files)? })
    }

    pub(crate) fn existing(path: PathBuf, base: Offset, len: u64, files: &OpenFiles) -> Self {
        Self { base, entries: EntryFile::existing(path, len, files) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.entries.path()
    }

    pub(crate) fn moved(&mut self, path: PathBuf) {
        self.entries.moved(path);
    }

    pub(crate) fn file(&self) -> Result<Arc<SegmentFile>, Fault> {
        self.entries.file()
    }

    /// The file, for one who needs it later.
    pub(crate) fn closable(&self) -> ClosableFile {
        self.entries.closable()
    }

    pub(crate) fn rest(&self) {
        self.entries.rest();
    }

    /// Whether no more entries fit into `index_bytes`. One slot stays free for the entry that closes a segment.
    pub(crate) fn is_full(&self, index_bytes: u32) -> bool {
        self.entries.len() + 1 >= index_bytes / ENTRY as u32
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.entries.len()) * ENTRY as u64
    }

    /// Whether the first and the last entry can be true.
    pub(crate) fn is_sane(&self) -> Result<bool, Fault> {
        let Some(last) = self.entries.last()? else { return Ok(true) };
        let (first, last) = (self.decode(self.entries.get(0)?), self.decode(last));
        Ok(last.timestamp >= first.timestamp && last.timestamp.0 >= 0 && last.offset >= self.base)
    }

    /// The last entry, or "no timestamp" at the segment's base.
    pub(crate) fn last(&self) -> Result<TimestampOffset, Fault> {
        Ok(self.entries.last()?.map_or(self.beginning(), |entry| self.decode(entry)))
    }

    /// The entry with the largest timestamp that is not above `target`, or "no timestamp" at the segment's base.
    pub(crate) fn lookup(&self, target: Timestamp) -> Result<TimestampOffset, Fault> {
        let floor = self.entries.last_where(|entry| self.decode(*entry).timestamp <= target)?;
        Ok(floor.map_or(self.beginning(), |entry| self.decode(entry)))
    }

    /// Adds an entry if its timestamp is above the last one's.
    pub(crate) fn maybe_append(&mut self, entry: TimestampOffset) -> Result<(), Fault> {
        let last = self.last()?;
        let relative = i32::try_from(entry.offset.0.saturating_sub(self.base.0)).ok().filter(|r| *r >= 0);
        let Some(relative) = relative else { return Ok(()) };
        if entry.timestamp <= last.timestamp || entry.offset < last.offset {
            return Ok(());
        }
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&entry.timestamp.0.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(bytes)
    }

    /// Drops the entries whose offset is at or above `offset`.
    pub(crate) fn truncate_to(&mut self, offset: Offset) -> Result<(), Fault> {
        let keep = self.entries.partition_point(|entry| self.decode(*entry).offset < offset)?;
        self.entries.truncate(keep)
    }

    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        self.entries.reset()
    }

    pub(crate) fn trim(&mut self) -> Result<(), Fault> {
        self.entries.trim()
    }

    fn beginning(&self) -> TimestampOffset {
        TimestampOffset { timestamp: Timestamp::NONE, offset: self.base }
    }

    fn decode(&self, [t0, t1, t2, t3, t4, t5, t6, t7, o0, o1, o2, o3]: [u8; ENTRY]) -> TimestampOffset {
        TimestampOffset {
            timestamp: Timestamp(i64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7])),
            offset: self.base.plus(i64::from(i32::from_be_bytes([o0, o1, o2, o3]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timestamp: i64, offset: i64) -> TimestampOffset {
        TimestampOffset { timestamp: Timestamp(timestamp), offset: Offset(offset) }
    }

    #[test]
    fn only_growing_timestamps_are_entered() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = TimeIndex::create(dir.path().join("t"), Offset(50), &OpenFiles::default()).unwrap();
        for entry in [at(-1, 60), at(1000, 60), at(1000, 70), at(900, 80), at(1100, 90)] {
            index.maybe_append(entry).unwrap();
        }
        assert_eq!(index.lookup(Timestamp(999)).unwrap(), at(-1, 50));
        assert_eq!(index.lookup(Timestamp(1000)).unwrap(), at(1000, 60));
        assert_eq!(index.last().unwrap(), at(1100, 90));
        index.truncate_to(Offset(90)).unwrap();
        index.trim().unwrap();
        assert_eq!(thalweg_sys::fs::read(index.path()).unwrap(), [0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 10]);
    }
}
