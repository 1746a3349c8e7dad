//! Files of batches, and where each batch stands in them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_records::BatchHeader;
use thalweg_wire::messages::InitProducerIdResponse;

/// The fields of a batch that the broker writes: base offset, length, leader epoch.
const ASSIGNED: usize = 16;
/// A call takes no more slices at once (Linux: `UIO_MAXIOV`).
const SLICES_MAX: usize = 1024;

/// The logs of all topics.
pub struct Logs {
    dir: PathBuf,
    topics: Mutex<BTreeMap<ByteString, Vec<Arc<Log>>>>,
    /// Counts appends, for those who wait.
    appended: Mutex<u64>,
    news: Condvar,
    producers: AtomicI64,
    /// One burst of appends after the other, so that what was accepted first is written first.
    turn: Mutex<()>,
}

/// The log of a partition.
pub struct Log {
    file: File,
    path: PathBuf,
    state: Mutex<State>,
}

/// Where each batch ends: the offset after it and the position after it.
#[derive(Default)]
struct State {
    ends: Vec<(i64, u64)>,
}

impl State {
    fn end(&self) -> (i64, u64) {
        self.ends.last().copied().unwrap_or_default()
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Logs {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            topics: Mutex::default(),
            appended: Mutex::default(),
            news: Condvar::new(),
            producers: AtomicI64::new(0),
            turn: Mutex::default(),
        }
    }

    pub fn create(&self, name: &ByteString, partitions: i32) -> Result<(), String> {
        let open = |index| {
            let path = self.dir.join(format!("{name}-{index}.log"));
            let file = File::options().create(true).read(true).append(true).open(&path);
            let file = file.map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(Arc::new(Log { file, path, state: Mutex::default() }))
        };
        let logs = (0..partitions).map(open).collect::<Result<_, String>>()?;
        hold(&self.topics).insert(name.clone(), logs);
        Ok(())
    }

    pub fn delete(&self, name: &ByteString) {
        for log in hold(&self.topics).remove(name).unwrap_or_default() {
            // What is left of it is for whoever removes the directory.
            let _ = fs::remove_file(&log.path);
        }
    }

    pub fn names(&self) -> Vec<ByteString> {
        hold(&self.topics).keys().cloned().collect()
    }

    /// How many partitions a topic has; 0 when there is no such topic.
    pub fn partitions(&self, name: &ByteString) -> usize {
        hold(&self.topics).get(name).map_or(0, Vec::len)
    }

    pub fn get(&self, name: &ByteString, partition: i32) -> Option<Arc<Log>> {
        hold(&self.topics).get(name)?.get(usize::try_from(partition).ok()?).cloned()
    }

    pub fn producer(&self) -> InitProducerIdResponse {
        let producer_id = self.producers.fetch_add(1, Ordering::Relaxed);
        InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
    }

    /// Asks `look` now and after each append until it has found something, at most for so long; gives what it saw last.
    pub fn wait<T>(&self, patience: Duration, look: impl Fn() -> (T, bool)) -> T {
        let began = Instant::now();
        let mut appended = hold(&self.appended);
        loop {
            let (seen, found) = look();
            let Some(left) = patience.checked_sub(began.elapsed()).filter(|_| !found) else { return seen };
            appended = self.news.wait_timeout(appended, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Log {
    /// The offset after the last record that is written.
    pub fn end(&self) -> i64 {
        hold(&self.state).end().0
    }

    /// Where the batch with this offset stands, and how many bytes from there are to be read: at most `max`, but a
    /// whole batch.
    pub fn find(&self, offset: i64, max: usize) -> (u64, usize) {
        let state = hold(&self.state);
        let index = state.ends.partition_point(|(next, _)| *next <= offset);
        let Some((_, first_end)) = state.ends.get(index) else { return (0, 0) };
        let position = index.checked_sub(1).map_or(0, |before| state.ends[before].1);
        let left = state.end().1 - position;
        (position, left.min((max as u64).max(first_end - position)) as usize)
    }

    pub fn read(&self, into: &mut [u8], position: u64) -> Result<(), String> {
        self.file.read_exact_at(into, position).map_err(|e| format!("{}: {e}", self.path.display()))
    }
}

/// What the requests of one burst append: written at once, one call for each log.
pub struct Appends<'a> {
    logs: &'a Logs,
    turn: Option<MutexGuard<'a, ()>>,
    of_logs: Vec<Append>,
}

struct Append {
    log: Arc<Log>,
    /// The fields that the broker assigns, the batch as it came, and the offset after it.
    batches: Vec<([u8; ASSIGNED], Bytes, i64)>,
}

impl<'a> Appends<'a> {
    pub fn new(logs: &'a Logs) -> Self {
        Self { logs, turn: None, of_logs: Vec::new() }
    }

    /// Gives the offset of the batch's first record.
    pub fn add(&mut self, log: &Arc<Log>, batch: Bytes) -> Result<i64, String> {
        let header = BatchHeader::parse(&batch).map_err(|e| e.to_string())?;
        self.turn.get_or_insert_with(|| hold(&self.logs.turn));
        let known = self.of_logs.iter_mut().find(|append| Arc::ptr_eq(&append.log, log));
        let next = known.as_ref().and_then(|append| append.batches.last()).map(|(_, _, next)| *next);
        let base = next.unwrap_or_else(|| log.end());
        let mut assigned = [0; ASSIGNED];
        assigned[..8].copy_from_slice(&base.to_be_bytes());
        assigned[8..12].copy_from_slice(&header.batch_length.to_be_bytes());
        let appended = (assigned, batch, base + i64::from(header.last_offset_delta) + 1);
        match known {
            Some(append) => append.batches.push(appended),
            None => self.of_logs.push(Append { log: Arc::clone(log), batches: vec![appended] }),
        }
        Ok(base)
    }

    /// Writes all, and wakes those who wait for it.
    pub fn write(&mut self) -> Result<(), String> {
        if self.of_logs.is_empty() {
            return Ok(());
        }
        self.of_logs.drain(..).try_for_each(|append| append.write())?;
        self.turn = None;
        *hold(&self.logs.appended) += 1;
        self.logs.news.notify_all();
        Ok(())
    }
}

impl Append {
    fn write(self) -> Result<(), String> {
        for batches in self.batches.chunks(SLICES_MAX / 2) {
            let halves = batches.iter().flat_map(|(assigned, batch, _)| [&assigned[..], &batch[ASSIGNED..]]);
            let mut slices: Vec<IoSlice<'_>> = halves.map(IoSlice::new).collect();
            let mut slices = &mut slices[..];
            while !slices.is_empty() {
                let written = (&self.log.file).write_vectored(slices).map_err(|e| e.to_string())?;
                IoSlice::advance_slices(&mut slices, written);
            }
            let mut state = hold(&self.log.state);
            for (_, batch, next) in batches {
                let position = state.end().1 + batch.len() as u64;
                state.ends.push((*next, position));
            }
        }
        Ok(())
    }
}
