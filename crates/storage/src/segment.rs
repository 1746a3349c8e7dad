//! A segment: one file of batches with its indexes.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use thalweg_base::{Offset, Timestamp};
use thalweg_records::BatchHeader;
use thalweg_sys::fs::{self, File};

use crate::offset_index::OffsetIndex;
use crate::open_files::{ClosableFile, FileRef, OpenFiles, SegmentFile};
use crate::scan::{Found, Scan, Step};
use crate::time_index::{TimeIndex, TimestampOffset};
use crate::txn_index::TxnIndex;
use crate::{Fault, LogConfig, names};

/// Positions in a segment have 31 bits.
const SEGMENT_LEN_MAX: u64 = i32::MAX as u64;

/// What files of a segment stand in a directory, with their lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentFiles {
    pub(crate) log: Option<u64>,
    pub(crate) offset_index: Option<u64>,
    pub(crate) time_index: Option<u64>,
    pub(crate) txn_index: Option<u64>,
}

/// A segment that is loaded.
///
/// Invariants: every byte in `0..size` of the file belongs to a whole batch; the offsets of its batches are at or above
/// `base` and grow; its indexes hold no more than what its batches say.
#[derive(Debug)]
pub(crate) struct Segment {
    base: Offset,
    path: PathBuf,
    log: FileRef,
    size: u64,
    pub(crate) offsets: OffsetIndex,
    pub(crate) times: TimeIndex,
    pub(crate) txns: TxnIndex,
    bytes_since_entry: u64,
    /// The largest timestamp and the end of the first batch that has it. Read from the time index when it is needed.
    newest: OnceLock<TimestampOffset>,
    /// The max timestamp of the first batch.
    first_timestamp: OnceLock<Timestamp>,
    created: Timestamp,
    /// The index files are not wholly on disk, or not durable.
    indexes_dirty: bool,
}

impl Segment {
    /// Creates an empty segment. Files that a crash left at its place are emptied.
    pub(crate) fn create(dir: &Path, base: Offset, now: Timestamp, files: &OpenFiles) -> Result<Self, Fault> {
        Self::create_as(dir, base, "", now, files)
    }

    /// Creates an empty segment whose files have this suffix, so that they are none of the log yet.
    pub(crate) fn create_as(
        dir: &Path,
        base: Offset,
        suffix: &str,
        now: Timestamp,
        files: &OpenFiles,
    ) -> Result<Self, Fault> {
        let path = |kind: &str| names::file_at(dir, base, &format!("{kind}{suffix}"));
        let log = path(names::LOG);
        let file = File::open_rw(&log).map_err(Fault::io("create", &log))?;
        file.set_len(0).map_err(Fault::io("empty", &log))?;
        // It is opened again when the first batch comes, which may be never.
        drop(file);
        let txns = path(names::TXN_INDEX);
        remove_if_exists(&txns)?;
        Ok(Self {
            base,
            log: FileRef::new(files),
            path: log,
            size: 0,
            offsets: OffsetIndex::create(path(names::OFFSET_INDEX), base, files)?,
            times: TimeIndex::create(path(names::TIME_INDEX), base, files)?,
            txns: TxnIndex::absent(txns, files),
            bytes_since_entry: 0,
            newest: OnceLock::new(),
            first_timestamp: OnceLock::new(),
            created: now,
            indexes_dirty: true,
        })
    }

    /// Takes over the files of a segment as they stand.
    pub(crate) fn existing(dir: &Path, base: Offset, lens: SegmentFiles, now: Timestamp, files: &OpenFiles) -> Self {
        let path = |kind| names::file_at(dir, base, kind);
        Self {
            base,
            path: path(names::LOG),
            log: FileRef::new(files),
            size: lens.log.unwrap_or(0),
            offsets: OffsetIndex::existing(path(names::OFFSET_INDEX), base, lens.offset_index.unwrap_or(0), files),
            times: TimeIndex::existing(path(names::TIME_INDEX), base, lens.time_index.unwrap_or(0), files),
            txns: TxnIndex::existing(path(names::TXN_INDEX), lens.txn_index.unwrap_or(0), files),
            bytes_since_entry: 0,
            newest: OnceLock::new(),
            first_timestamp: OnceLock::new(),
            created: now,
            indexes_dirty: false,
        }
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file of batches.
    pub(crate) fn log(&self) -> Result<Arc<SegmentFile>, Fault> {
        self.log.get(&self.path, File::open)
    }

    /// The file of batches, for one who needs it later.
    pub(crate) fn log_closable(&self) -> ClosableFile {
        self.log.closable(&self.path)
    }

    /// The partition's directory has a new name.
    pub(crate) fn moved(&mut self, dir: &Path) {
        self.renamed(|path| dir.join(path.file_name().unwrap_or_default()));
    }

    /// The files have other names now.
    fn renamed(&mut self, name: impl Fn(&Path) -> PathBuf) {
        let [log, offsets, times, txns] = self.paths().map(name);
        self.path = log;
        self.log.close();
        self.offsets.moved(offsets);
        self.times.moved(times);
        self.txns.moved(txns);
    }

    /// Renames the files from one suffix to another: the batches first, so that index files alone never look complete.
    pub(crate) fn change_suffix(&mut self, from: &str, to: &str) -> Result<(), Fault> {
        let renamed = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = name.strip_suffix(from).unwrap_or(&name);
            path.with_file_name(format!("{stem}{to}"))
        };
        for path in self.paths() {
            match fs::rename(path, &renamed(path)) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && path == self.txns.path() => {}
                other => other.map_err(Fault::io("rename", path))?,
            }
        }
        self.renamed(renamed);
        Ok(())
    }

    /// Whether its files have this suffix.
    pub(crate) fn has_suffix(&self, suffix: &str) -> bool {
        self.path.to_str().is_some_and(|path| path.ends_with(suffix))
    }

    /// Removes the files of a segment that is in no log.
    pub(crate) fn remove_files(&self) -> Result<(), Fault> {
        self.paths().into_iter().try_for_each(remove_if_exists)
    }

    /// Whether an offset is within reach of the segment's 31-bit relative offsets.
    pub(crate) fn reaches(&self, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&offset.0.saturating_sub(self.base.0))
    }

    /// Whether `len` more bytes, whose youngest record is from `timestamp` and whose last is `last_offset`, must go to a
    /// new segment.
    pub(crate) fn should_roll(
        &self,
        config: &LogConfig,
        len: u64,
        timestamp: Timestamp,
        last_offset: Offset,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        if !self.reaches(last_offset) {
            return Ok(true);
        }
        if self.size == 0 {
            return Ok(false);
        }
        let max = u64::from(config.segment_bytes).min(SEGMENT_LEN_MAX);
        if self.size + len > max {
            return Ok(true);
        }
        let index_bytes = config.segment_index_bytes;
        if self.offsets.is_full(index_bytes) || self.times.is_full(index_bytes) {
            return Ok(true);
        }
        let waited = match self.first_timestamp()? {
            Some(first) if first.0 >= 0 => timestamp.0.saturating_sub(first.0),
            _ => now.0.saturating_sub(self.created.0),
        };
        Ok(waited > config.segment_ms.saturating_sub(self.roll_jitter(config.segment_jitter_ms)))
    }

    /// An amount below `jitter_max` that differs from segment to segment: a hash of the base offset.
    fn roll_jitter(&self, jitter_max: i64) -> i64 {
        if jitter_max <= 0 {
            return 0;
        }
        let hash = crc32c_of(self.base);
        i64::from(hash) % jitter_max
    }

    /// The max timestamp of the first batch; `None` when there is no batch.
    pub(crate) fn first_timestamp(&self) -> Result<Option<Timestamp>, Fault> {
        if let Some(timestamp) = self.first_timestamp.get() {
            return Ok(Some(*timestamp));
        }
        let first = self.scan(0)?.next()?.map(|found| found.header.max_timestamp);
        Ok(first.map(|timestamp| *self.first_timestamp.get_or_init(|| timestamp)))
    }

    /// The largest timestamp so far, and the last offset of the first batch that has it.
    pub(crate) fn newest(&self) -> Result<TimestampOffset, Fault> {
        if let Some(newest) = self.newest.get() {
            return Ok(*newest);
        }
        let last = self.times.last()?;
        Ok(*self.newest.get_or_init(|| last))
    }

    /// The largest timestamp of its records; when they have none, when its file was written last.
    pub(crate) fn largest_timestamp(&self) -> Result<Timestamp, Fault> {
        let newest = self.newest()?.timestamp;
        if newest.0 >= 0 {
            return Ok(newest);
        }
        fs::modified_ms(&self.path).map(Timestamp).map_err(Fault::io("look at", &self.path))
    }

    /// Writes batches at the end. When that fails, the file is cut back to what it was: the error says whether that
    /// succeeded, which is whether the segment may be used further.
    pub(crate) fn write(&mut self, slices: &mut [IoSlice<'_>], len: u64) -> Result<(), (Fault, bool)> {
        let log = self.log().map_err(|fault| (fault, true))?;
        if let Err(e) = log.file().write_all_vectored_at(slices, self.size) {
            let usable = log.file().set_len(self.size).is_ok();
            return Err((Fault::io("write", &self.path)(e), usable));
        }
        self.size += len;
        Ok(())
    }

    /// Enters a batch that was written at `position` into the indexes.
    pub(crate) fn enter(&mut self, header: &BatchHeader, position: u64, interval: u32) -> Result<(), Fault> {
        if position == 0 {
            self.first_timestamp = OnceLock::from(header.max_timestamp);
        }
        let mut newest = self.newest()?;
        if header.max_timestamp > newest.timestamp {
            newest = TimestampOffset { timestamp: header.max_timestamp, offset: header.last_offset() };
            self.newest = OnceLock::from(newest);
        }
        if self.bytes_since_entry > u64::from(interval) {
            self.offsets.append(header.last_offset(), position)?;
            self.times.maybe_append(newest)?;
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size() as u64;
        self.indexes_dirty = true;
        Ok(())
    }

    /// Whether syncing the indexes would change anything.
    pub(crate) fn has_dirty_indexes(&self) -> bool {
        self.indexes_dirty
    }

    /// The index files were synced after [`Segment::finish`].
    pub(crate) fn indexes_synced(&mut self) {
        self.txns.synced(self.txns.bytes());
        self.indexes_dirty = false;
    }

    /// No more batches will come: completes the indexes on disk and closes them.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        if !self.indexes_dirty {
            return Ok(());
        }
        self.times.maybe_append(self.newest()?)?;
        self.offsets.trim()?;
        self.times.trim()
    }

    /// Makes a finished segment that nobody reads yet durable, all files of it, and lets it look as if it had been written
    /// at `modified`.
    pub(crate) fn seal(&mut self, modified: Timestamp) -> Result<(), Fault> {
        let log = self.log()?;
        log.file().sync_data().map_err(Fault::io("sync", &self.path))?;
        log.file().set_modified_ms(modified.0).map_err(Fault::io("set the time of", &self.path))?;
        self.sync_indexes()?;
        self.rest();
        Ok(())
    }

    /// Whether the last entries of its indexes can be true.
    pub(crate) fn has_sane_indexes(&self) -> Result<bool, Fault> {
        Ok(self.offsets.is_sane(self.size)? && self.times.is_sane()?)
    }

    /// Makes the index of aborted transactions durable, and its name.
    pub(crate) fn sync_txns(&mut self, dir: &Path) -> Result<(), Fault> {
        if !self.txns.is_unsynced() {
            return Ok(());
        }
        if let Some(file) = self.txns.file()? {
            file.file().sync_data().map_err(Fault::io("sync", self.txns.path()))?;
        }
        self.txns.synced(self.txns.bytes());
        fs::sync_dir(dir).map_err(Fault::io("sync", dir))
    }

    fn sync_indexes(&mut self) -> Result<(), Fault> {
        for index in [Some(self.offsets.file()?), Some(self.times.file()?), self.txns.file()?].into_iter().flatten() {
            index.file().sync_data().map_err(Fault::io("sync an index of", &self.path))?;
        }
        self.indexes_synced();
        Ok(())
    }

    /// Empties the indexes, which are about to be built anew though nobody would do it again after a power failure. The
    /// offset index is durably gone, so that they count as missing, until [`Segment::put_rebuilt_indexes`].
    pub(crate) fn begin_rebuilding_indexes(&mut self, dir: &Path) -> Result<(), Fault> {
        remove_if_exists(self.offsets.path())?;
        fs::sync_dir(dir).map_err(Fault::io("sync", dir))?;
        let growing = names::file_at(dir, self.base, &format!("{}{}", names::OFFSET_INDEX, names::CLEANED));
        self.offsets.moved(growing);
        self.offsets.rest();
        self.forget_indexes()
    }

    /// The indexes are complete: makes them durable, and lastly the name of the offset index.
    pub(crate) fn put_rebuilt_indexes(&mut self, dir: &Path) -> Result<(), Fault> {
        self.finish()?;
        self.sync_indexes()?;
        fs::sync_dir(dir).map_err(Fault::io("sync", dir))?;
        let (growing, path) = (self.offsets.path().to_owned(), names::file_at(dir, self.base, names::OFFSET_INDEX));
        fs::rename(&growing, &path).map_err(Fault::io("rename", &growing))?;
        self.offsets.moved(path);
        Ok(())
    }

    /// Closes the index files until they are needed again.
    pub(crate) fn rest(&self) {
        self.offsets.rest();
        self.times.rest();
        self.txns.rest();
    }

    /// A walk over the headers of its batches from `position`.
    pub(crate) fn scan(&self, position: u64) -> Result<Scan, Fault> {
        let log = self.log()?;
        Ok(Scan::headers(log, position, self.size))
    }

    /// A walk over its whole batches, from a position from which `offset` is found by walking on.
    pub(crate) fn scan_bodies_near(&self, offset: Offset) -> Result<Scan, Fault> {
        let log = self.log()?;
        let mut scan = Scan::bodies(log, 0, self.size);
        self.go_near(offset, &mut scan)?;
        Ok(scan)
    }

    /// The first batch that ends at or after `offset`; `None` when there is none. Bytes on the way that begin no batch are a
    /// fault: nobody knows what they were, and a reader must not be led past them.
    pub(crate) fn find(&self, offset: Offset) -> Result<Option<Found>, Fault> {
        let mut scan = self.scan(0)?;
        self.go_near(offset, &mut scan)?;
        loop {
            match scan.step()? {
                Step::Batch(found) if found.header.last_offset() >= offset => return Ok(Some(found)),
                Step::Batch(_) => {}
                Step::End => return Ok(None),
                Step::Bad(error) => return Err(scan.corrupt(scan.position(), &error)),
            }
        }
    }

    /// Takes a walk to a position where a batch begins from which `offset` is found by walking on. It comes from the index
    /// if that tells the truth: otherwise it is the segment's beginning.
    pub(crate) fn go_near(&self, offset: Offset, scan: &mut Scan) -> Result<(), Fault> {
        let floor = self.offsets.lookup(offset)?;
        scan.go_to(floor.position);
        if floor.position == 0 {
            return Ok(());
        }
        let truth = if floor.position < self.size { scan.next()? } else { None };
        let named = truth.is_some_and(|found| {
            let header = &found.header;
            header.last_offset() == floor.offset || header.base_offset == floor.offset
        });
        if !named {
            tracing::warn!(index = %self.offsets.path().display(), "index entry names no batch, scanning the segment");
        }
        scan.go_to(if named { floor.position } else { 0 });
        Ok(())
    }

    /// The offset after the last batch, and where whole batches end: not the file's size if what follows them is none.
    pub(crate) fn end(&self) -> Result<(Offset, u64), Fault> {
        let mut scan = self.scan(0)?;
        self.go_near(self.offsets.last()?.offset, &mut scan)?;
        let mut next = self.base;
        while let Some(found) = scan.next()? {
            next = found.header.next_offset();
        }
        Ok((next, scan.position()))
    }

    /// From now on every write finds the disk full, and the file cannot be cut back.
    #[cfg(test)]
    pub(crate) fn break_disk(&mut self) {
        self.log.replace(Path::new("/dev/full"));
    }

    /// Drops the batch that holds `offset` and all after it. True when that left the segment empty.
    pub(crate) fn truncate_to(&mut self, offset: Offset, now: Timestamp) -> Result<bool, Fault> {
        let found = self.find(offset)?;
        self.indexes_dirty = true;
        self.offsets.truncate_to(offset)?;
        self.times.truncate_to(offset)?;
        self.txns.truncate_to(offset)?;
        if let Some(found) = found {
            self.cut(found.position)?;
        }
        if self.size == 0 {
            self.created = now;
            self.first_timestamp = OnceLock::new();
        }
        self.bytes_since_entry = 0;
        self.newest = OnceLock::from(self.scan_newest()?);
        Ok(self.size == 0)
    }

    /// Cuts the file of batches.
    pub(crate) fn cut(&mut self, size: u64) -> Result<(), Fault> {
        self.log()?.file().set_len(size).map_err(Fault::io("truncate", &self.path))?;
        self.size = size;
        Ok(())
    }

    /// Takes the segment for one of `size` bytes, without touching what the file holds after them.
    pub(crate) fn limit(&mut self, size: u64) {
        self.size = size;
    }

    /// Empties the indexes and what was derived from the batches, before they are read again.
    pub(crate) fn forget_indexes(&mut self) -> Result<(), Fault> {
        self.indexes_dirty = true;
        self.offsets.reset()?;
        self.times.reset()?;
        self.txns.reset()?;
        self.bytes_since_entry = 0;
        self.newest = OnceLock::new();
        self.first_timestamp = OnceLock::new();
        Ok(())
    }

    /// The largest timestamp: the last one of the time index, or that of a batch after it.
    fn scan_newest(&self) -> Result<TimestampOffset, Fault> {
        let mut newest = self.times.last()?;
        let mut scan = self.scan(0)?;
        self.go_near(newest.offset, &mut scan)?;
        while let Some(found) = scan.next()? {
            if found.header.max_timestamp > newest.timestamp {
                newest = TimestampOffset { timestamp: found.header.max_timestamp, offset: found.header.last_offset() };
            }
        }
        Ok(newest)
    }

    /// The paths of all its files, those that may not exist included. Batches come first: indexes without batches are
    /// removed when the log is loaded, batches without indexes would be a segment again.
    pub(crate) fn paths(&self) -> [&Path; 4] {
        [&self.path, self.offsets.path(), self.times.path(), self.txns.path()]
    }
}

fn crc32c_of(base: Offset) -> u32 {
    thalweg_records::crc32c(0, &base.0.to_be_bytes())
}

pub(crate) fn remove_if_exists(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::io("remove", path)(e)),
        _ => Ok(()),
    }
}
