//! The copies of logs that are being made because they move to another log directory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use thalweg_base::{Offset, TopicPartition, Uuid};
use thalweg_metadata::config::BrokerConfigs;
use thalweg_storage::Log;
use thalweg_sys::time::{Duration, sleep};

use super::partition::Partition;
use super::settings::value;

/// A move that rests looks at least so often whether it may go on faster, or is to end.
const NAP_MAX: Duration = Duration::from_millis(500);

/// So many partitions that are not here may have a wanted directory, some MB: of more it is not remembered.
const WANTED_MAX: usize = 100_000;

/// A copy that is being made.
#[derive(Debug)]
pub(crate) struct Move {
    /// The directory that the log goes to, by index.
    pub(super) dir: usize,
    pub(super) path: PathBuf,
    log_end: AtomicI64,
    size: AtomicU64,
    cancelled: AtomicBool,
    /// Where the log ended when the node started, if the copy is older than that: what the copy has beyond is not the log's.
    pub(super) found_at: Option<Offset>,
}

impl Move {
    /// A copy at `path` in the directory `dir`; `found_at` as in the field.
    pub(super) fn new(dir: usize, path: PathBuf, found_at: Option<Offset>) -> Arc<Self> {
        let (log_end, size) = (AtomicI64::new(0), AtomicU64::new(0));
        Arc::new(Self { dir, path, log_end, size, cancelled: AtomicBool::new(false), found_at })
    }

    /// How many bytes the copy has.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Where the copy ends.
    pub(super) fn log_end(&self) -> Offset {
        Offset(self.log_end.load(Ordering::Relaxed))
    }

    /// The partition is gone, or goes elsewhere.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the copy is not wanted any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Notes how far the copy has come.
    pub(super) fn note(&self, copy: &Log) {
        self.log_end.store(copy.log_end().0, Ordering::Relaxed);
        self.size.store(copy.size(), Ordering::Relaxed);
    }
}

/// The copies that are being made.
#[derive(Debug)]
pub(crate) struct Moves {
    /// By topic and partition.
    pub(super) running: Mutex<BTreeMap<(Uuid, i32), Arc<Move>>>,
    /// The directories, by index, that partitions are wanted in which are not here yet: a reassignment names them before
    /// its replicas are made (KIP-113).
    wanted: Mutex<BTreeMap<TopicPartition, usize>>,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, for all of them.
    bytes_per_second: AtomicU64,
    /// The node closes: copies stay as they are until it starts again.
    closed: AtomicBool,
}

impl Moves {
    pub(super) fn new(broker: &BrokerConfigs<'_>) -> Self {
        let moves = Self {
            running: Mutex::default(),
            wanted: Mutex::default(),
            bytes_per_second: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        };
        moves.configure(broker);
        moves
    }

    /// A partition that is not here is to be made in the directory `dir`, by its index.
    pub(super) fn want(&self, partition: TopicPartition, dir: usize) {
        let mut wanted = self.wanted.lock();
        if wanted.len() < WANTED_MAX || wanted.contains_key(&partition) {
            wanted.insert(partition, dir);
        }
    }

    /// The directory that a partition which is being made is wanted in.
    pub(super) fn wanted(&self, partition: &TopicPartition) -> Option<usize> {
        self.wanted.lock().get(partition).copied()
    }

    /// The partition has been made.
    pub(super) fn made(&self, partition: &TopicPartition) {
        self.wanted.lock().remove(partition);
    }

    /// The broker's configuration has changed.
    pub(super) fn configure(&self, broker: &BrokerConfigs<'_>) {
        let rate = value(broker, "replica.alter.log.dirs.io.max.bytes.per.second").and_then(|rate| rate.as_i64());
        let rate = rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(u64::MAX);
        self.bytes_per_second.store(rate.max(1), Ordering::Relaxed);
    }

    /// The copy of this partition's log.
    pub(super) fn of(&self, topic: Uuid, partition: i32) -> Option<Arc<Move>> {
        self.running.lock().get(&(topic, partition)).map(Arc::clone)
    }

    /// Ends all of them; they go on when the node starts again.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether the node closes.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// How many bytes one of them may copy in a second.
    pub(super) fn share(&self) -> u64 {
        let count = self.running.lock().len().max(1) as u64;
        (self.bytes_per_second.load(Ordering::Relaxed) / count).max(1)
    }

    /// Rests after so many bytes, as long as the rate asks for.
    pub(super) async fn rest(&self, moving: &Move, bytes: u64) {
        let mut rested = Duration::ZERO;
        while !moving.is_cancelled() && !self.is_closed() {
            let due = Duration::try_from_secs_f64(bytes as f64 / self.share() as f64).unwrap_or(Duration::MAX);
            let left = due.saturating_sub(rested).min(NAP_MAX);
            // A copy that is not throttled does not stop for the sake of a microsecond.
            if left < Duration::from_millis(1) {
                return;
            }
            sleep(left).await;
            rested += left;
        }
    }

    /// This move has ended.
    pub(super) fn end(&self, partition: &Partition, moving: &Arc<Move>) {
        let key = (partition.topic_id, partition.id.partition);
        let mut running = self.running.lock();
        if running.get(&key).is_some_and(|found| Arc::ptr_eq(found, moving)) {
            running.remove(&key);
        }
    }
}
