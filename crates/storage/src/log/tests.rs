//! Stories about one log: appending, reading, closing, truncating, deleting.

mod harness;
mod producers;
mod reads;
mod recovery;
mod retention;

use thalweg_base::{LeaderEpoch, Offset, Timestamp, Uuid};
use thalweg_records::PreparedBatch;
use thalweg_sys::fs;

use self::harness::{NOW, Rig, batch, batch_at, small_segments};
use super::*;
use crate::Origin;

#[test]
fn a_new_log_has_kafkas_files() {
    let rig = Rig::new();
    let log = rig.open(LogConfig::default());
    let names: Vec<String> = fs::read_dir(log.dir()).unwrap().into_iter().map(|e| e.name).collect();
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "partition.metadata",
    ];
    assert_eq!(names, expected);
    assert_eq!((log.log_start(), log.log_end(), log.recovery_point()), (Offset(0), Offset(0), Offset(0)));
    assert_eq!(log.topic_id(), Some(Rig::TOPIC_ID));
}

#[test]
fn a_directory_of_another_topic_is_refused() {
    let rig = Rig::new();
    drop(rig.open(LogConfig::default()));
    let other = Some(Uuid([1; 16]));
    let result = Log::open(&rig.dir, other, LogConfig::default(), &OpenHints::UNKNOWN, NOW);
    assert!(matches!(result, Err(Fault::Corrupt { .. })), "{result:?}");
}

#[test]
fn batches_get_offsets_and_the_leaders_epoch() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    let mut batches = [batch(3, 100), batch(2, 100)];
    let outcome = log.append(&mut batches, LeaderEpoch(4), Origin::Client, NOW).unwrap();
    let appended = Appended {
        first_offset: Offset(0),
        last_offset: Offset(4),
        log_append_time: None,
        max_timestamp: NOW,
        rolled: false,
    };
    assert_eq!(outcome, AppendOutcome::Appended(appended));
    assert_eq!(rig.append(&mut log, 1), Offset(5));
    let bases: Vec<(i64, i32)> =
        rig.read_all(&log).iter().map(|b| (b.base_offset().0, b.header().leader_epoch.0)).collect();
    assert_eq!(bases, [(0, 4), (3, 4), (5, 0)]);
    assert_eq!(log.log_end(), Offset(6));
}

#[test]
fn more_than_a_segment_at_once_is_refused() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig { segment_bytes: 200, ..LogConfig::default() });
    let mut batches = [batch(1, 100), batch(1, 100)];
    let refused = log.append(&mut batches, LeaderEpoch(0), Origin::Client, NOW);
    let Err(AppendError::Refused(AppendRefusal::LargerThanSegment { segment_bytes: 200, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((log.log_end(), log.size()), (Offset(0), 0));
}

#[test]
fn a_full_segment_is_rolled_and_its_indexes_are_complete() {
    let rig = Rig::new();
    let mut log = rig.open(small_segments());
    for _ in 0..100 {
        rig.append(&mut log, 2);
    }
    assert!(log.segment_count() > 3, "{:?}", log.segment_bases());
    for base in &log.segment_bases()[..2] {
        for kind in [names::OFFSET_INDEX, names::TIME_INDEX] {
            assert!(!fs::read(&names::file_at(log.dir(), *base, kind)).unwrap().is_empty(), "{base} {kind}");
        }
    }
    assert_eq!(rig.offsets(&log), (0..200).step_by(2).collect::<Vec<i64>>());
}

#[test]
fn a_segment_is_rolled_by_the_time_of_its_records() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig { segment_ms: 1000, ..LogConfig::default() });
    for (at, segments) in [(0, 1), (1000, 1), (500, 1), (1001, 2), (1002, 2)] {
        let mut batches = [batch_at(1, Timestamp(NOW.0 + at))];
        log.append(&mut batches, LeaderEpoch(0), Origin::Client, NOW).unwrap();
        assert_eq!(log.segment_count(), segments, "{at}");
    }
}

#[test]
fn a_segment_is_rolled_when_its_index_is_full() {
    let rig = Rig::new();
    let config = LogConfig { segment_index_bytes: 40, index_interval_bytes: 0, ..LogConfig::default() };
    let mut log = rig.open(config);
    for i in 0..20 {
        let mut batches = [batch_at(1, Timestamp(NOW.0 + i))];
        log.append(&mut batches, LeaderEpoch(0), Origin::Client, NOW).unwrap();
    }
    // The time index has room for three entries; one stays free, and the first batch gets none.
    assert_eq!(log.segment_bases()[..3], [Offset(0), Offset(3), Offset(6)]);
}

#[test]
fn a_segment_is_rolled_when_relative_offsets_end() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    rig.append(&mut log, 1);
    let far = i64::from(i32::MAX);
    for (offset, segments) in [(far, 1), (far + 1, 2)] {
        let mut prepared = batch(1, 10);
        prepared.assign(Offset(offset), LeaderEpoch(0));
        log.append_as_follower(prepared.to_bytes(), LeaderEpoch(0), NOW).unwrap();
        assert_eq!(log.segment_count(), segments);
    }
    assert_eq!(rig.offsets(&log), [0, far, far + 1]);
}

#[test]
fn a_follower_keeps_offsets_and_epochs() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    let mut bytes = Vec::new();
    for (offset, epoch) in [(10, 1), (15, 3), (20, 9)] {
        let mut prepared: PreparedBatch = batch(2, 10);
        prepared.assign(Offset(offset), LeaderEpoch(epoch));
        bytes.extend_from_slice(&prepared.to_bytes());
    }
    // The last batch is of an epoch that this follower does not know yet.
    let appended = log.append_as_follower(bytes.clone().into(), LeaderEpoch(3), NOW).unwrap().unwrap();
    assert_eq!((appended.first_offset, appended.last_offset), (Offset(10), Offset(16)));
    assert_eq!(log.leader_epochs().entries().len(), 2);
    assert_eq!(log.epoch_for(Offset(16)), Some(LeaderEpoch(3)));
    let again = log.append_as_follower(bytes.clone().into(), LeaderEpoch(3), NOW);
    let expected = AppendRefusal::UnexpectedOffset { offset: Offset(10), expected: Offset(17) };
    assert!(matches!(again, Err(AppendError::Refused(refusal)) if refusal == expected));
    bytes.truncate(bytes.len() - 1);
    bytes[70] ^= 1;
    let broken = log.append_as_follower(bytes.split_off(0).into(), LeaderEpoch(3), NOW);
    assert!(broken.is_err());
    assert_eq!(rig.offsets(&log), [10, 15]);
}

#[test]
fn a_batch_beyond_all_offsets_is_refused() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    rig.append(&mut log, 3);
    let before = (log.log_end(), log.size());
    let mut prepared = batch(1, 10);
    prepared.assign(Offset(i64::MAX), LeaderEpoch(0));
    assert!(log.append_as_follower(prepared.to_bytes(), LeaderEpoch(0), NOW).is_err());
    assert_eq!((log.log_end(), log.size()), before);
    rig.append(&mut log, 1);
    assert_eq!(rig.offsets(&log), [0, 3]);
}

#[test]
fn a_log_whose_disk_fails_is_offline() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    log.segments[0].break_disk();
    let result = log.append(&mut [batch(1, 10)], LeaderEpoch(0), Origin::Client, NOW);
    assert!(matches!(result, Err(AppendError::Fault(Fault::Io { doing: "write", .. }))), "{result:?}");
    assert!(log.is_offline());
    let result = log.append(&mut [batch(1, 10)], LeaderEpoch(0), Origin::Client, NOW);
    assert!(matches!(result, Err(AppendError::Fault(Fault::Offline { .. }))), "{result:?}");
    assert_eq!((log.log_end(), log.leader_epochs().latest()), (Offset(0), None));
}

#[test]
fn a_flush_on_another_thread_moves_the_recovery_point() {
    let rig = Rig::new();
    let mut log = rig.open(small_segments());
    for _ in 0..30 {
        rig.append(&mut log, 1);
    }
    let active = *log.segment_bases().last().unwrap();
    let plan = log.flush_plan(Flush::Finished).unwrap().unwrap();
    let plan = std::thread::scope(|s| s.spawn(move || plan.execute().map(|()| plan)).join().unwrap().unwrap());
    log.flushed(&plan, NOW);
    assert_eq!(log.recovery_point(), active);
    assert!(log.flush_plan(Flush::Finished).unwrap().is_none());
    let plan = log.flush_plan(Flush::All).unwrap().unwrap();
    rig.append(&mut log, 1);
    plan.execute().unwrap();
    log.flushed(&plan, NOW);
    assert_eq!(log.recovery_point(), Offset(30));
    assert_eq!(fs::read_to_string(&log.dir().join(names::LEADER_EPOCHS)).unwrap(), "0\n1\n0 0\n");
    let plan = log.flush_plan(Flush::All).unwrap().unwrap();
    log.truncate_to(Offset(5), NOW).unwrap();
    for _ in 0..40 {
        rig.append(&mut log, 1);
    }
    log.flushed(&plan, NOW);
    assert_eq!(log.recovery_point(), Offset(5), "what was flushed is no longer there");
}

#[test]
fn flushes_are_due_by_count_and_by_time() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig { flush_messages: 3, flush_ms: 1000, ..LogConfig::default() });
    assert!(!log.is_flush_due(Timestamp(NOW.0 + 5000)), "nothing is unflushed");
    rig.append(&mut log, 1);
    assert!(!log.is_flush_due(NOW));
    assert!(log.is_flush_due(Timestamp(NOW.0 + 1000)));
    rig.append(&mut log, 2);
    assert!(log.is_flush_due(NOW));
}

#[test]
fn the_whole_directory_can_be_renamed() {
    let rig = Rig::new();
    let mut log = rig.open(small_segments());
    for _ in 0..30 {
        rig.append(&mut log, 1);
    }
    drop(log);
    let mut log = rig.reopen_clean(small_segments());
    log.rename_dir("t-0.0123-delete").unwrap();
    assert!(log.dir().ends_with("t-0.0123-delete"));
    assert_eq!(rig.offsets(&log).len(), 30, "files that were not open are found under the new name");
    log.truncate_to(Offset(4), NOW).unwrap();
    log.close().unwrap();
}
