//! The open files of all logs of a node: at most so many. Who has not been used lately is closed, and opened again when it
//! is needed.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use thalweg_sys::fs::{File, is_out_of_descriptors};

use crate::Fault;

/// A file of a log, open. It stays readable after the log has deleted it, or closed it to make room.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    file: File,
    number: u64,
    /// It was used since the pool looked last.
    used: AtomicBool,
}

impl SegmentFile {
    /// Opens a file apart from all pools.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(Fault::io("open", path))?;
        Ok(Self { path: path.to_owned(), file, number: 0, used: AtomicBool::new(false) })
    }

    /// The file's path when it was opened, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// A limit on how many files the logs that share it keep open. What is being read, written or synced counts beyond it.
#[derive(Clone, Debug)]
pub struct OpenFiles(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    max: usize,
    last_number: AtomicU64,
    kept: Mutex<Kept>,
}

/// Invariant: every number in `files` stands in `order`.
#[derive(Debug, Default)]
struct Kept {
    files: HashMap<u64, Arc<SegmentFile>>,
    /// The numbers of the files, the next one to be closed first; and of some that were closed before.
    order: VecDeque<u64>,
}

impl Default for OpenFiles {
    /// No limit.
    fn default() -> Self {
        Self::at_most(usize::MAX)
    }
}

impl OpenFiles {
    /// A limit of `max` files.
    #[must_use]
    pub fn at_most(max: usize) -> Self {
        Self(Arc::new(Pool { max: max.max(1), last_number: AtomicU64::new(0), kept: Mutex::default() }))
    }

    /// How many files are kept open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept().files.len()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, path: &Path, file: File) -> Arc<SegmentFile> {
        let number = self.0.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let file = Arc::new(SegmentFile { path: path.to_owned(), file, number, used: AtomicBool::new(true) });
        let mut kept = self.kept();
        let mut closed = Vec::new();
        while kept.files.len() >= self.0.max {
            // Each file in use is passed over once, so this ends.
            let Some(first) = kept.order.pop_front() else { break };
            let Some(known) = kept.files.get(&first) else { continue };
            if known.used.swap(false, Ordering::Relaxed) {
                kept.order.push_back(first);
            } else {
                closed.extend(kept.files.remove(&first));
            }
        }
        kept.files.insert(number, Arc::clone(&file));
        kept.order.push_back(number);
        drop(kept);
        // Closing is a system call that nobody else need wait for.
        drop(closed);
        file
    }

    /// Closes half of the files, those that were opened first. Says whether there were any.
    fn close_half(&self) -> bool {
        let mut kept = self.kept();
        let (mut closed, enough) = (Vec::new(), kept.files.len().div_ceil(2));
        while closed.len() < enough {
            let Some(first) = kept.order.pop_front() else { break };
            closed.extend(kept.files.remove(&first));
        }
        drop(kept);
        !closed.is_empty()
    }

    fn forget(&self, file: &SegmentFile) {
        let mut kept = self.kept();
        let removed = kept.files.remove(&file.number);
        if kept.order.len() > 2 * kept.files.len() + 64 {
            let Kept { files, order } = &mut *kept;
            order.retain(|number| files.contains_key(number));
        }
        drop(kept);
        drop(removed);
    }
}

/// A file that is opened when it is needed, and stays open while its pool has room for it.
#[derive(Debug)]
pub(crate) struct FileRef {
    pool: OpenFiles,
    open: Mutex<Weak<SegmentFile>>,
}

impl FileRef {
    pub(crate) fn new(pool: &OpenFiles) -> Self {
        Self { pool: pool.clone(), open: Mutex::default() }
    }

    /// The file, if it is open.
    pub(crate) fn peek(&self) -> Option<Arc<SegmentFile>> {
        let file = self.slot().upgrade()?;
        file.used.store(true, Ordering::Relaxed);
        Some(file)
    }

    /// The file at `path`, opened by `open` if it is not open.
    pub(crate) fn get(
        &self,
        path: &Path,
        open: impl Fn(&Path) -> std::io::Result<File>,
    ) -> Result<Arc<SegmentFile>, Fault> {
        let mut slot = self.slot();
        if let Some(file) = slot.upgrade() {
            file.used.store(true, Ordering::Relaxed);
            return Ok(file);
        }
        let opened = match open(path) {
            // The logs' own files are what can be done without at once.
            Err(e) if is_out_of_descriptors(&e) && self.pool.close_half() => open(path),
            other => other,
        };
        let file = self.pool.keep(path, opened.map_err(Fault::io("open", path))?);
        *slot = Arc::downgrade(&file);
        Ok(file)
    }

    /// The file at `path`, wherever it is open, for one who needs it later and perhaps only then.
    pub(crate) fn closable(&self, path: &Path) -> ClosableFile {
        ClosableFile { path: path.to_owned(), open: self.slot().clone() }
    }

    /// Lets go of the file; who uses it just now goes on.
    pub(crate) fn close(&self) {
        let file = std::mem::take(&mut *self.slot()).upgrade();
        if let Some(file) = file {
            self.pool.forget(&file);
        }
    }

    /// Lets another file stand for this one.
    #[cfg(test)]
    pub(crate) fn replace(&self, path: &Path) {
        self.close();
        let file = File::open(path).unwrap();
        *self.slot() = Arc::downgrade(&self.pool.keep(path, file));
    }

    fn slot(&self) -> MutexGuard<'_, Weak<SegmentFile>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file of a log that may be closed, and is opened apart from its pool if it is.
#[derive(Debug)]
pub(crate) struct ClosableFile {
    path: PathBuf,
    open: Weak<SegmentFile>,
}

impl ClosableFile {
    /// The file, open for a moment.
    pub(crate) fn open(&self) -> Result<Arc<SegmentFile>, Fault> {
        match self.open.upgrade() {
            Some(file) => Ok(file),
            None => SegmentFile::open(&self.path).map(Arc::new),
        }
    }
}

impl Drop for FileRef {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_was_not_used_lately_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let pool = OpenFiles::at_most(3);
        let path = |n: usize| dir.path().join(n.to_string());
        let files: Vec<FileRef> = (0..5).map(|_| FileRef::new(&pool)).collect();
        let open = |n: usize| files[n].get(&path(n), File::open_rw).unwrap();
        (0..3).for_each(|n| drop(open(n)));
        assert_eq!(pool.count(), 3);
        // The first look only asks who was used since.
        drop(open(3));
        assert!(files[0].peek().is_none());
        open(1);
        drop(open(4));
        let is_open: Vec<bool> = files.iter().map(|file| file.peek().is_some()).collect();
        assert_eq!(is_open, [false, true, false, true, true]);
        let held = open(0);
        held.file().write_all_at(b"x", 0).unwrap();
        assert!(pool.close_half());
        assert_eq!(pool.count(), 1);
        files[0].close();
        held.file().write_all_at(b"y", 1).unwrap();
        drop(files);
        assert_eq!((pool.count(), pool.kept().order.len() <= 64), (0, true));
    }
}
