//! A file of fixed-size entries that only grows at its end: what the offset index and the time index are made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg_sys::fs::File;

use crate::Fault;
use crate::open_files::{ClosableFile, FileRef, OpenFiles, SegmentFile};

/// So many new entries are kept in memory before they are written, so that an append needs no system call for its
/// index entries. They may be lost in a crash: a segment that was not closed is scanned anyway.
const PENDING_MAX: usize = 512;

/// A range of so many entries is read at once instead of being halved further.
const BLOCK: u32 = 512;

/// Entries of `N` bytes: those on disk, then those still in memory.
///
/// The file is opened when it is first needed, so that a segment nobody reads costs no file descriptor.
#[derive(Debug)]
pub(crate) struct EntryFile<const N: usize> {
    path: PathBuf,
    handle: FileRef,
    written: u32,
    pending: Vec<[u8; N]>,
}

impl<const N: usize> EntryFile<N> {
    /// Creates the file, empty; what stood there is gone.
    pub(crate) fn create(path: PathBuf, files: &OpenFiles) -> Result<Self, Fault> {
        let file = File::open_rw(&path).map_err(Fault::io("create", &path))?;
        file.set_len(0).map_err(Fault::io("empty", &path))?;
        Ok(Self { path, handle: FileRef::new(files), written: 0, pending: Vec::new() })
    }

    /// Takes over a file of `len` bytes. Bytes after the last whole entry are ignored, and overwritten later.
    pub(crate) fn existing(path: PathBuf, len: u64, files: &OpenFiles) -> Self {
        let written = u32::try_from(len / N as u64).unwrap_or(u32::MAX);
        Self { path, handle: FileRef::new(files), written, pending: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file has a new name.
    pub(crate) fn moved(&mut self, path: PathBuf) {
        self.path = path;
    }

    pub(crate) fn len(&self) -> u32 {
        self.written.saturating_add(u32::try_from(self.pending.len()).unwrap_or(u32::MAX))
    }

    /// The open file.
    pub(crate) fn file(&self) -> Result<Arc<SegmentFile>, Fault> {
        self.handle.get(&self.path, File::open_rw)
    }

    /// The file, for one who needs it later.
    pub(crate) fn closable(&self) -> ClosableFile {
        self.handle.closable(&self.path)
    }

    /// Closes the file until it is needed again.
    pub(crate) fn rest(&self) {
        self.handle.close();
    }

    pub(crate) fn get(&self, slot: u32) -> Result<[u8; N], Fault> {
        assert!(slot < self.len(), "slot {slot} of {} is beyond the index", self.len());
        if slot >= self.written {
            return Ok(self.pending[(slot - self.written) as usize]);
        }
        let mut entry = [0; N];
        let at = u64::from(slot) * N as u64;
        let read = match self.handle.peek() {
            Some(file) => file.file().read_exact_at(&mut entry, at),
            // One entry, as retention wants of every segment, is not worth a descriptor that stays.
            None => File::open(&self.path).and_then(|file| file.read_exact_at(&mut entry, at)),
        };
        read.map_err(Fault::io("read", &self.path))?;
        Ok(entry)
    }

    pub(crate) fn last(&self) -> Result<Option<[u8; N]>, Fault> {
        self.len().checked_sub(1).map(|slot| self.get(slot)).transpose()
    }

    /// Adds an entry at the end.
    pub(crate) fn push(&mut self, entry: [u8; N]) -> Result<(), Fault> {
        self.pending.push(entry);
        if self.pending.len() >= PENDING_MAX {
            self.write_pending()?;
        }
        Ok(())
    }

    /// Writes the entries that are still in memory.
    pub(crate) fn write_pending(&mut self) -> Result<(), Fault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let at = u64::from(self.written) * N as u64;
        let bytes = self.pending.as_flattened();
        self.file()?.file().write_all_at(bytes, at).map_err(Fault::io("write", &self.path))?;
        self.written = self.len();
        self.pending = Vec::new();
        Ok(())
    }

    /// Writes what is in memory and cuts the file after its last entry.
    pub(crate) fn trim(&mut self) -> Result<(), Fault> {
        self.write_pending()?;
        let len = u64::from(self.written) * N as u64;
        self.file()?.file().set_len(len).map_err(Fault::io("trim", &self.path))
    }

    /// Keeps the first `len` entries.
    pub(crate) fn truncate(&mut self, len: u32) -> Result<(), Fault> {
        if len >= self.len() {
            return Ok(());
        }
        if len > self.written {
            self.pending.truncate((len - self.written) as usize);
            return Ok(());
        }
        self.pending.clear();
        self.written = len;
        self.trim()
    }

    /// Drops all entries, and whatever else the file holds; a missing file is created.
    pub(crate) fn reset(&mut self) -> Result<(), Fault> {
        self.written = 0;
        self.pending.clear();
        self.trim()
    }

    /// How many entries at the beginning satisfy `before`, which must hold for a prefix of the entries only.
    pub(crate) fn partition_point(&self, before: impl Fn(&[u8; N]) -> bool) -> Result<u32, Fault> {
        Ok(self.split(before)?.0)
    }

    /// The last of the entries that satisfy `before`, which must hold for a prefix of the entries only.
    pub(crate) fn last_where(&self, before: impl Fn(&[u8; N]) -> bool) -> Result<Option<[u8; N]>, Fault> {
        Ok(self.split(before)?.1)
    }

    /// How many entries satisfy `before`, and the last of them.
    fn split(&self, before: impl Fn(&[u8; N]) -> bool) -> Result<(u32, Option<[u8; N]>), Fault> {
        if self.pending.first().is_some_and(&before) {
            let of_pending = self.pending.partition_point(before);
            let count = self.written + u32::try_from(of_pending).unwrap_or(u32::MAX);
            return Ok((count, Some(self.pending[of_pending - 1])));
        }
        if self.written == 0 {
            return Ok((0, None));
        }
        let file = self.file()?;
        let (mut low, mut high) = (0, self.written);
        let mut last = None;
        while high - low > BLOCK {
            let middle = low + (high - low) / 2;
            let entry = self.get(middle)?;
            if before(&entry) {
                (low, last) = (middle + 1, Some(entry));
            } else {
                high = middle;
            }
        }
        let mut block = [[0; N]; BLOCK as usize];
        let block = &mut block[..(high - low) as usize];
        let at = u64::from(low) * N as u64;
        file.file().read_exact_at(block.as_flattened_mut(), at).map_err(Fault::io("read", &self.path))?;
        let of_block = block.partition_point(before);
        let last = of_block.checked_sub(1).map(|i| block[i]).or(last);
        Ok((low + u32::try_from(of_block).unwrap_or(0), last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(entry: &[u8; 4]) -> u32 {
        u32::from_be_bytes(*entry)
    }

    #[test]
    fn entries_are_found_in_memory_and_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.index");
        let mut file = EntryFile::<4>::create(path.clone(), &OpenFiles::default()).unwrap();
        for i in 0..3000u32 {
            file.push((i * 2).to_be_bytes()).unwrap();
        }
        assert_eq!((file.written, file.pending.len()), (2560, 440));
        for target in [0, 1, 2, 1023, 1024, 1025, 5118, 5119, 5120, 5999, 6000, 9000] {
            let found = file.partition_point(|e| number(e) < target).unwrap();
            assert_eq!(found, target.div_ceil(2).min(3000), "{target}");
        }
        assert_eq!(file.last().unwrap().map(|e| number(&e)), Some(5998));
        file.truncate(2600).unwrap();
        file.truncate(100).unwrap();
        assert_eq!(file.len(), 100);
        file.push([1; 4]).unwrap();
        file.trim().unwrap();
        assert_eq!(thalweg_sys::fs::read(&path).unwrap().len(), 404);
        let again = EntryFile::<4>::existing(path, 406, &OpenFiles::default());
        assert_eq!(again.last().unwrap(), Some([1; 4]));
    }
}
