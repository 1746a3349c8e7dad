//! What the stories have in common: a directory, batches, and reading everything back.

use std::path::PathBuf;

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions, BatchView, PreparedBatch, batches};

use crate::{AppendOutcome, FirstBatch, Log, LogConfig, OpenHints, Origin, Recovered};

/// The time at which all stories play.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A partition's directory that goes away with the test.
pub(super) struct Rig {
    _root: tempfile::TempDir,
    pub(super) dir: PathBuf,
}

impl Rig {
    pub(super) const TOPIC_ID: Uuid = Uuid([7; 16]);

    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("t-0");
        Self { _root: root, dir }
    }

    /// Opens the log as after a crash of which nothing is known.
    pub(super) fn open(&self, config: LogConfig) -> Log {
        self.open_with(config, OpenHints::UNKNOWN).0
    }

    pub(super) fn open_with(&self, config: LogConfig, hints: OpenHints) -> (Log, Recovered) {
        Log::open(&self.dir, Some(Self::TOPIC_ID), config, &hints, NOW).unwrap()
    }

    /// Opens the log as after a crash, closes it, and opens it again.
    pub(super) fn reopen_clean(&self, config: LogConfig) -> Log {
        let end = self.open(config.clone()).close().unwrap();
        let hints = OpenHints { recovery_point: end, clean_shutdown: true, ..OpenHints::UNKNOWN };
        let (log, recovered) = self.open_with(config, hints);
        assert_eq!(recovered, Recovered::default());
        log
    }

    /// Appends a batch of `count` records in epoch 0; returns its first offset.
    pub(super) fn append(&self, log: &mut Log, count: i64) -> Offset {
        match log.append(&mut [batch(count, 20)], LeaderEpoch(0), Origin::Client, NOW).unwrap() {
            AppendOutcome::Appended(appended) => appended.first_offset,
            AppendOutcome::Duplicate(duplicate) => panic!("{duplicate:?}"),
        }
    }

    /// All batches, read as a follower would.
    pub(super) fn read_all(&self, log: &Log) -> Vec<BatchView> {
        let (mut found, mut from) = (Vec::new(), log.log_start());
        while from < log.log_end() {
            let plan = log.read(from, log.log_end(), 1000, FirstBatch::Whole).unwrap();
            let bytes = plan.read().unwrap();
            log.has_read(&plan, &bytes);
            for view in whole_batches(bytes) {
                from = view.next_offset();
                view.verify_crc().unwrap();
                found.push(view);
            }
        }
        found
    }

    /// The base offsets of all batches.
    pub(super) fn offsets(&self, log: &Log) -> Vec<i64> {
        self.read_all(log).iter().map(|b| b.base_offset().0).collect()
    }
}

pub(super) fn whole_batches(bytes: Bytes) -> Vec<BatchView> {
    batches(bytes).take_while(|b| !matches!(b, Err(e) if e.is_truncated())).map(Result::unwrap).collect()
}

/// Segments of a few batches with a dense index.
pub(super) fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 150, ..LogConfig::default() }
}

/// A batch of `count` records of `size` bytes.
pub(super) fn batch(count: i64, size: usize) -> PreparedBatch {
    built(BatchOptions::default(), count, size, NOW)
}

pub(super) fn batch_at(count: i64, time: Timestamp) -> PreparedBatch {
    built(BatchOptions::default(), count, 20, time)
}

/// A batch to which the broker gave its time.
pub(super) fn appended_at(count: i64, time: Timestamp) -> PreparedBatch {
    built(BatchOptions { log_append_time: Some(time), ..BatchOptions::default() }, count, 20, NOW)
}

/// A batch of an idempotent producer.
pub(super) fn produced(id: i64, epoch: i16, sequence: i32, count: i64) -> PreparedBatch {
    built(producer(id, epoch, sequence, false), count, 20, NOW)
}

/// A batch of a transaction.
pub(super) fn in_txn(id: i64, epoch: i16, sequence: i32, count: i64) -> PreparedBatch {
    built(producer(id, epoch, sequence, true), count, 20, NOW)
}

pub(super) fn producer(id: i64, epoch: i16, base_sequence: i32, transactional: bool) -> BatchOptions {
    BatchOptions {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence,
        transactional,
        ..BatchOptions::default()
    }
}

fn built(options: BatchOptions, count: i64, size: usize, time: Timestamp) -> PreparedBatch {
    let mut builder = BatchBuilder::new(options);
    for _ in 0..count {
        builder.append(time, None, Some(&vec![b'x'; size]), &[]);
    }
    PreparedBatch::parse(&builder.build().unwrap()).unwrap()
}
