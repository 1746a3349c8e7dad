//! `.index`: from an offset to a position in the segment's file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_base::Offset;

use crate::entry_file::EntryFile;
use crate::open_files::ClosableFile;
use crate::{Fault, OpenFiles, SegmentFile};

/// Four bytes of offset, relative to the segment's base, and four bytes of position, both big-endian.
const ENTRY: usize = 8;

/// One entry: the batch at `position` ends with `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetPosition {
    pub(crate) offset: Offset,
    pub(crate) position: u64,
}

/// The sparse offset index of one segment. Offsets and positions grow from entry to entry.
#[derive(Debug)]
pub(crate) struct OffsetIndex {
    base: Offset,
    entries: EntryFile<ENTRY>,
}

impl OffsetIndex {
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

    /// Whether an index file may hold no more than `index_bytes` and this one is there.
    pub(crate) fn is_full(&self, index_bytes: u32) -> bool {
        self.entries.len() >= index_bytes / ENTRY as u32
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.entries.len()) * ENTRY as u64
    }

    /// Whether what the last entry says can be true: the position of a batch inside a file of `log_len` bytes.
    pub(crate) fn is_sane(&self, log_len: u64) -> Result<bool, Fault> {
        Ok(self.entries.last()?.is_none_or(|entry| {
            let last = self.decode(entry);
            last.offset >= self.base && last.position > 0 && last.position < log_len
        }))
    }

    /// The last entry, or the segment's beginning.
    pub(crate) fn last(&self) -> Result<OffsetPosition, Fault> {
        Ok(self.entries.last()?.map_or(self.beginning(), |entry| self.decode(entry)))
    }

    /// The entry with the largest offset that is not above `target`, or the segment's beginning.
    pub(crate) fn lookup(&self, target: Offset) -> Result<OffsetPosition, Fault> {
        let floor = self.entries.last_where(|entry| self.decode(*entry).offset <= target)?;
        Ok(floor.map_or(self.beginning(), |entry| self.decode(entry)))
    }

    /// The offset of the first entry whose position is at or after `position`; `None` when there is no such entry.
    pub(crate) fn first_at_or_after(&self, position: u64) -> Result<Option<Offset>, Fault> {
        let slot = self.entries.partition_point(|entry| self.decode(*entry).position < position)?;
        if slot == self.entries.len() {
            return Ok(None);
        }
        Ok(Some(self.decode(self.entries.get(slot)?).offset))
    }

    /// Adds an entry. One whose offset or position does not fit into 31 bits, or does not grow, is left out: the index is
    /// only a shortcut.
    pub(crate) fn append(&mut self, offset: Offset, position: u64) -> Result<(), Fault> {
        let relative = i32::try_from(offset.0.saturating_sub(self.base.0)).ok().filter(|r| *r >= 0);
        let (Some(relative), Ok(position)) = (relative, i32::try_from(position)) else { return Ok(()) };
        if let Some(last) = self.entries.last()?
            && self.decode(last).offset >= offset
        {
            return Ok(());
        }
        let mut entry = [0; ENTRY];
        entry[..4].copy_from_slice(&relative.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(entry)
    }

    /// Drops the entries at and above `offset`.
    pub(crate) fn truncate_to(&mut self, offset: Offset) -> Result<(), Fault> {
        let keep = self.entries.partition_point(|entry| self.decode(*entry).offset < offset)?;
        self.entries.truncate(keep)
    }

    /// Drops all entries.
    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        self.entries.reset()
    }

    /// Writes what is in memory and cuts the file after the last entry.
    pub(crate) fn trim(&mut self) -> Result<(), Fault> {
        self.entries.trim()
    }

    fn beginning(&self) -> OffsetPosition {
        OffsetPosition { offset: self.base, position: 0 }
    }

    fn decode(&self, [a, b, c, d, e, f, g, h]: [u8; ENTRY]) -> OffsetPosition {
        let relative = i32::from_be_bytes([a, b, c, d]);
        OffsetPosition {
            offset: self.base.plus(i64::from(relative)),
            position: u64::from(u32::from_be_bytes([e, f, g, h])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_finds_the_entry_at_or_below() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = OffsetIndex::create(dir.path().join("i"), Offset(100), &OpenFiles::default()).unwrap();
        assert_eq!(index.lookup(Offset(500)).unwrap(), OffsetPosition { offset: Offset(100), position: 0 });
        for (offset, position) in [(110, 4100), (120, 8200), (120, 9000), (130, 1 << 40), (135, 12300)] {
            index.append(Offset(offset), position).unwrap();
        }
        let found: Vec<u64> =
            [109, 110, 119, 120, 134, 135, 999].map(|o| index.lookup(Offset(o)).unwrap().position).into();
        assert_eq!(found, [0, 4100, 4100, 8200, 8200, 12300, 12300]);
        assert_eq!(index.first_at_or_after(4101).unwrap(), Some(Offset(120)));
        assert_eq!(index.first_at_or_after(12301).unwrap(), None);
        index.truncate_to(Offset(120)).unwrap();
        index.trim().unwrap();
        let expected = [0, 0, 0, 10, 0, 0, 16, 4];
        assert_eq!(thalweg_sys::fs::read(index.path()).unwrap(), expected);
        assert!(index.is_sane(5000).unwrap());
        assert!(!index.is_sane(4100).unwrap());
    }
}
