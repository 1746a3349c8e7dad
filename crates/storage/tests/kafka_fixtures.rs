//! Logs that Apache Kafka wrote are opened, whether it was shut down or killed. `fixtures/make.sh` made them.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use thalweg_records::batches;
use thalweg_storage::checkpoints::{self, Shutdown};
use thalweg_storage::{FirstBatch, Log, LogConfig, OpenHints, Recovered};
use thalweg_sys::fs;

/// The topic's settings when the fixtures were made.
fn config() -> LogConfig {
    LogConfig { segment_ms: 1500, index_interval_bytes: 300, segment_index_bytes: 600, ..LogConfig::default() }
}

/// A copy of a fixture that goes away with the test.
struct Copy {
    _root: tempfile::TempDir,
    root: PathBuf,
}

impl Copy {
    fn of(name: &str) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join(name);
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kafka-4.3.1");
        copy(&fixtures.join(name), &root);
        Self { _root: temporary, root }
    }

    fn partition(&self) -> PathBuf {
        self.root.join("sample-0")
    }

    fn offset(&self, checkpoint: &str) -> Offset {
        let offsets = checkpoints::read_offsets(&self.root.join(checkpoint)).unwrap();
        offsets.get(&TopicPartition::new("sample", 0)).copied().unwrap_or_default()
    }

    fn open(&self, clean_shutdown: bool, now: Timestamp) -> (Log, Recovered) {
        let hints = OpenHints {
            recovery_point: self.offset(checkpoints::RECOVERY_POINTS),
            log_start_offset: self.offset(checkpoints::LOG_START_OFFSETS),
            clean_shutdown,
        };
        Log::open(&self.partition(), None, config(), &hints, now).unwrap()
    }

    /// What `kafka-dump-log.sh` said of each batch: first and last offset, first and last sequence, producer, its epoch,
    /// leader epoch, largest timestamp, checksum.
    fn dumped(&self) -> Vec<[i64; 9]> {
        let text = fs::read_to_string(&self.root.join("batches.txt")).unwrap();
        let numbers = |line: &str| line.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<i64>>();
        text.lines().map(|line| numbers(line).try_into().unwrap()).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (from.join(&entry.name), to.join(&entry.name));
        if entry.is_dir { copy(&from, &to) } else { fs::write(&to, &fs::read(&from).unwrap()).unwrap() }
    }
}

/// The same of what the log holds from `from` on.
fn read(log: &Log, mut from: Offset) -> Vec<[i64; 9]> {
    let mut found = Vec::new();
    while from < log.log_end() {
        let plan = log.read(from, log.log_end(), 500, FirstBatch::Whole).unwrap();
        let bytes: Bytes = plan.read().unwrap();
        log.has_read(&plan, &bytes);
        for view in batches(bytes).map_while(Result::ok) {
            view.verify_crc().unwrap();
            let h = view.header();
            found.push([
                h.base_offset.0,
                h.last_offset().0,
                h.base_sequence.into(),
                h.last_sequence().into(),
                h.producer_id.0,
                h.producer_epoch.0.into(),
                h.leader_epoch.0.into(),
                h.max_timestamp.0,
                h.crc.into(),
            ]);
            from = view.next_offset();
        }
    }
    found
}

/// The batches that reach to the log's start or beyond, and what follows from them.
fn check(fixture: &Copy, log: &Log, epochs: &[(i32, i64)]) {
    let dumped = fixture.dumped();
    let start = log.log_start();
    let expected: Vec<_> = dumped.iter().filter(|b| b[1] >= start.0).copied().collect();
    assert_eq!(read(log, start), expected);
    let found: Vec<_> = log.leader_epochs().entries().iter().map(|e| (e.epoch.0, e.start_offset.0)).collect();
    assert_eq!(found, epochs);
    for (id, producer) in log.producers() {
        let last = dumped.iter().rfind(|b| b[4] == id.0).unwrap();
        let known = producer.last_batch().unwrap();
        assert_eq!(
            [i64::from(known.last_sequence), known.last_offset.0, known.timestamp.0],
            [last[3], last[1], last[7]]
        );
    }
    let ids: std::collections::BTreeSet<i64> = dumped.iter().map(|b| b[4]).collect();
    assert_eq!(log.producers().map(|(id, _)| id.0).collect::<Vec<_>>(), Vec::from_iter(ids));
    for batch in dumped.iter().filter(|b| b[0] >= start.0) {
        let found = log.offset_for_timestamp(Timestamp(batch[7])).unwrap().unwrap();
        let first = dumped.iter().find(|b| b[1] >= start.0 && b[7] >= batch[7]).unwrap();
        assert!(
            found.timestamp.0 == batch[7] && (first[0]..=first[1]).contains(&found.offset.0),
            "{found:?} {first:?}"
        );
    }
}

fn now(fixture: &Copy) -> Timestamp {
    Timestamp(fixture.dumped().last().unwrap()[7])
}

#[test]
fn a_log_that_kafka_closed_is_opened_as_it_stands() {
    let fixture = Copy::of("clean");
    let shutdown = checkpoints::take_clean_shutdown(&fixture.root).unwrap();
    assert_eq!(shutdown, Shutdown::Clean { broker_epoch: Some(65) });
    let (log, recovered) = fixture.open(true, now(&fixture));
    assert_eq!(recovered, Recovered::default());
    assert_eq!((log.log_start(), log.log_end(), log.recovery_point()), (Offset(30), Offset(800), Offset(800)));
    assert_eq!(log.topic_id().unwrap().to_string(), "ib5dnQiLQ5W0QmW9YeFy3A");
    check(&fixture, &log, &[(0, 30), (2, 400)]);
}

#[test]
fn a_log_whose_kafka_was_killed_is_recovered() {
    let fixture = Copy::of("crashed");
    assert_eq!(checkpoints::take_clean_shutdown(&fixture.root).unwrap(), Shutdown::Unclean);
    let (log, recovered) = fixture.open(false, now(&fixture));
    assert_eq!((recovered.segments, recovered.truncated_bytes), (1, 0));
    assert_eq!((log.log_start(), log.log_end(), log.recovery_point()), (Offset(30), Offset(1000), Offset(800)));
    check(&fixture, &log, &[(0, 30), (2, 400), (4, 800)]);
    assert_eq!(log.end_offset_for_epoch(LeaderEpoch(3)), Some((LeaderEpoch(2), Offset(800))));
}

#[test]
fn rebuilt_indexes_are_those_that_kafka_wrote() {
    let fixture = Copy::of("clean");
    let names: Vec<String> = fs::read_dir(&fixture.partition()).unwrap().into_iter().map(|e| e.name).collect();
    let kept =
        |name: &&String| name.ends_with("index") || name.ends_with("epoch-checkpoint") || name.contains("800.snap");
    let before: Vec<Vec<u8>> =
        names.iter().filter(kept).map(|n| fs::read(&fixture.partition().join(n)).unwrap()).collect();
    for name in names.iter().filter(|n| !n.ends_with(".log")) {
        fs::remove_file(&fixture.partition().join(name)).unwrap();
    }
    let hints = OpenHints { log_start_offset: Offset(30), ..OpenHints::UNKNOWN };
    let (log, recovered) = Log::open(&fixture.partition(), None, config(), &hints, now(&fixture)).unwrap();
    assert_eq!(recovered.segments, 4);
    log.close().unwrap();
    for (name, before) in names.iter().filter(kept).zip(before) {
        assert_eq!(fs::read(&fixture.partition().join(name)).unwrap(), before, "{name}");
    }
}
