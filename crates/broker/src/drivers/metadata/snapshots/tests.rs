//! Which snapshots are kept, and what a node begins with when one of them is damaged.

use thalweg_base::Uuid;
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion};
use thalweg_storage::LogConfig;
use thalweg_wire::messages::TopicRecord;

use super::super::log::MetadataLog;
use super::*;

const EPOCH: LeaderEpoch = LeaderEpoch(1);
const VERSION: MetadataVersion = MetadataVersion::LATEST;

/// A metadata log to which topics are added, each at a time of its own.
struct Cluster {
    dir: tempfile::TempDir,
    log: MetadataLog,
    image: MetadataImage,
}

impl Cluster {
    fn begin() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, image) = open(dir.path());
        Self { dir, log, image }
    }

    fn add(&mut self, number: u8) {
        let topic = TopicRecord { name: format!("t{number}").into(), topic_id: Uuid([number; 16]) };
        let (record, at) = (MetadataRecord::Topic(topic), self.log.end());
        let records = std::slice::from_ref(&record);
        self.log.append(records, VERSION, EPOCH, Timestamp(i64::from(number))).expect("the disk is well");
        self.image.replay(&record, at);
    }

    /// A snapshot whose last record is of this time.
    fn snapshot(&mut self, last: i64) {
        let id = OffsetAndEpoch { offset: self.log.end(), epoch: EPOCH };
        let records = self.image.to_records();
        let content =
            SnapshotContent { last: Timestamp(last), epoch: EPOCH, quorum: &[], records: &records, version: VERSION };
        let written = write(self.log.dir(), id, &content, Timestamp(last)).expect("the disk is well");
        self.log.snapshot_written(written, self.log.appended());
    }

    /// Cleans; gives the offsets of the snapshots that are left on disk.
    fn clean(&mut self, retention: Retention, now: i64) -> Vec<i64> {
        if let Some(cleaned) = self.log.clean(retention, Timestamp(now)).expect("the disk is well") {
            cleaned.remove().expect("the disk is well");
        }
        self.offsets()
    }

    fn offsets(&self) -> Vec<i64> {
        list(self.log.dir()).expect("a directory").iter().map(|snapshot| snapshot.id.offset.0).collect()
    }

    fn restarted(self) -> Self {
        self.log.close().expect("the disk is well");
        let (log, image) = open(self.dir.path());
        Self { dir: self.dir, log, image }
    }

    fn topics(&self) -> Vec<String> {
        self.image.topics().iter().map(|topic| topic.name.to_string()).collect()
    }
}

fn open(dir: &Path) -> (MetadataLog, MetadataImage) {
    let config = LogConfig { segment_bytes: 200, delete: false, ..LogConfig::default() };
    let loaded = MetadataLog::open(dir, config, Timestamp(0)).expect("a log");
    (loaded.log, loaded.image)
}

/// Nine topics, and a snapshot after each third of them.
fn nine_topics() -> Cluster {
    let mut cluster = Cluster::begin();
    for number in 1..=9 {
        cluster.add(number);
        if number % 3 == 0 {
            cluster.snapshot(i64::from(number));
        }
    }
    cluster
}

fn names(range: std::ops::RangeInclusive<u8>) -> Vec<String> {
    range.map(|number| format!("t{number}")).collect()
}

#[test]
fn snapshots_stay_until_what_they_hold_is_too_old_and_the_newest_stays_for_ever() {
    let mut cluster = nine_topics();
    let kept_for = |ms| Retention { bytes: None, ms: Some(ms) };
    assert_eq!(cluster.clean(Retention::default(), i64::MAX), [3, 6, 9]);
    assert_eq!(cluster.clean(kept_for(10), 13), [3, 6, 9]);
    assert_eq!(cluster.log.start(), Offset(0));
    assert_eq!(cluster.clean(kept_for(10), 14), [6, 9]);
    assert_eq!(cluster.log.start(), Offset(6), "the log begins at the oldest snapshot");
    assert_eq!(cluster.clean(kept_for(10), 1_000_000), [9]);
    assert_eq!(cluster.restarted().topics(), names(1..=9));
}

#[test]
fn snapshots_stay_until_they_and_the_log_are_too_large() {
    let mut cluster = nine_topics();
    let at_most = |bytes| Retention { bytes: Some(bytes), ms: None };
    assert_eq!(cluster.clean(at_most(100_000), 0), [3, 6, 9]);
    assert_eq!(cluster.clean(at_most(1), 0), [9]);
    assert_eq!(cluster.log.start(), Offset(9));
    cluster.add(10);
    assert_eq!(cluster.restarted().topics(), names(1..=9).into_iter().chain(["t10".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn a_node_begins_with_an_older_snapshot_when_newer_ones_are_damaged() {
    let mut cluster = nine_topics();
    let old = Retention { bytes: None, ms: Some(10) };
    assert_eq!(cluster.clean(old, 14), [6, 9]);
    let newest = list(cluster.log.dir()).expect("a directory").pop().expect("a snapshot");
    let whole = fs::read(&newest.path).expect("a snapshot");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x55;
    for damaged in [&whole[..whole.len() - 1], &flipped, &[]] {
        fs::write(&newest.path, damaged).expect("the disk is well");
        cluster = cluster.restarted();
        assert_eq!(cluster.topics(), names(1..=9), "the older snapshot, and the log after it");
    }
}

#[test]
fn a_node_does_not_begin_where_decisions_are_lost_with_a_damaged_snapshot() {
    let cluster = nine_topics();
    let newest = list(cluster.log.dir()).expect("a directory").pop().expect("a snapshot");
    let bytes = fs::read(&newest.path).expect("a snapshot");
    fs::remove_file(&newest.path).expect("the disk is well");
    let beyond = newest.path.with_file_name(format!("{:020}-{:010}{SUFFIX}", 12, 1));
    fs::write(&beyond, &bytes[1..]).expect("the disk is well");
    cluster.log.close().expect("the disk is well");
    let refused = MetadataLog::open(cluster.dir.path(), LogConfig::default(), Timestamp(0)).err();
    let told =
        format!("{} is damaged, and neither the log nor another snapshot goes beyond offset 9", beyond.display());
    assert_eq!(refused.map(|error| error.to_string()), Some(told));
}

#[test]
fn a_snapshot_tells_when_its_last_record_was_written() {
    let cluster = nine_topics();
    let snapshots = list(cluster.log.dir()).expect("a directory");
    let times: Vec<_> = snapshots.iter().map(|snapshot| snapshot.last_contained().expect("a file")).collect();
    assert_eq!(times, [3, 6, 9].map(|time| Some(Timestamp(time))));
}
