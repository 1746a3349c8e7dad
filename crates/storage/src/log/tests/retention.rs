//! Truncation, DeleteRecords, and old segments.

use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_sys::fs;

use super::harness::{NOW, Rig, batch_at, small_segments};
use crate::{Log, LogConfig, Origin, names};

fn filled(rig: &Rig, config: LogConfig) -> Log {
    let mut log = rig.open(config);
    for i in 0..60 {
        let time = Timestamp(NOW.0 + i * 1000);
        log.append(&mut [batch_at(1, time)], LeaderEpoch(i as i32 / 20), Origin::Client, NOW).unwrap();
    }
    log
}

#[test]
fn every_offset_can_be_truncated_to() {
    for offset in [0, 1, 9, 10, 11, 30, 59, 60, 61] {
        let rig = Rig::new();
        let mut log = filled(&rig, small_segments());
        assert_eq!(log.truncate_to(Offset(offset), NOW).unwrap(), offset < 60);
        let end = offset.min(60);
        assert_eq!(log.log_end(), Offset(end));
        rig.append(&mut log, 1);
        assert_eq!(rig.offsets(&log), (0..=end).collect::<Vec<i64>>());
        assert!(log.leader_epochs().entries().iter().all(|e| e.start_offset.0 <= end));
        let newest = log.max_timestamp().unwrap().unwrap();
        assert_eq!(newest.timestamp, Timestamp(NOW.0 + (end - 1).max(0) * 1000));
        log.take_doomed().sync_and_remove().unwrap();
        let reopened = rig.reopen_clean(small_segments());
        assert_eq!(rig.offsets(&reopened), (0..=end).collect::<Vec<i64>>());
    }
}

#[test]
fn a_log_can_begin_anew_elsewhere() {
    let rig = Rig::new();
    let mut log = filled(&rig, small_segments());
    for start in [1000, 1000, 5] {
        log.truncate_fully_and_start_at(Offset(start), NOW).unwrap();
        assert_eq!((log.log_start(), log.log_end()), (Offset(start), Offset(start)));
        assert_eq!(rig.append(&mut log, 2), Offset(start));
    }
    assert!(log.truncate_to(Offset(3), NOW).unwrap());
    assert_eq!((log.log_start(), log.log_end()), (Offset(3), Offset(3)), "below the first segment");
}

#[test]
fn deleted_records_go_away_with_their_segments() {
    let rig = Rig::new();
    let mut log = filled(&rig, LogConfig { delete: false, compact: true, ..small_segments() });
    let bases = log.segment_bases();
    assert!(log.advance_log_start(bases[2].plus(1)).unwrap());
    assert!(!log.advance_log_start(Offset(3)).unwrap(), "the start never moves back");
    assert!(!log.advance_log_start(Offset(61)).unwrap(), "nor beyond the end");
    assert_eq!(log.delete_old_segments(log.log_end(), NOW).unwrap(), 2);
    assert_eq!(log.segment_bases(), bases[2..]);
    assert_eq!(log.log_start(), bases[2].plus(1));
    assert_eq!(log.leader_epochs().earliest().unwrap().start_offset, bases[2].plus(1));
    let doomed = log.take_doomed();
    assert_eq!(doomed.len(), 6);
    let suffixed =
        |rig: &Rig| fs::read_dir(&rig.dir).unwrap().iter().filter(|e| e.name.ends_with(names::DELETED)).count();
    assert_eq!(suffixed(&rig), 6);
    doomed.sync_and_remove().unwrap();
    assert_eq!(suffixed(&rig), 0);
}

#[test]
fn large_logs_lose_their_oldest_segments() {
    let rig = Rig::new();
    let config = LogConfig { retention_bytes: 2500, retention_ms: -1, ..small_segments() };
    let mut log = filled(&rig, config);
    let size = log.size();
    let first = log.segments()[0].size();
    let deleted = log.delete_old_segments(log.log_end(), NOW).unwrap();
    assert!(deleted > 0 && log.size() >= 2500 && size - log.size() >= first);
    assert!(log.size() < 2500 + 1000);
    assert_eq!(log.log_start(), log.segment_bases()[0]);
}

#[test]
fn segments_above_the_high_watermark_stay() {
    let rig = Rig::new();
    let mut log = filled(&rig, LogConfig { retention_bytes: 0, ..small_segments() });
    let bases = log.segment_bases();
    assert_eq!(log.delete_old_segments(bases[2].plus(-1), NOW).unwrap(), 1);
    assert_eq!(log.log_start(), bases[1]);
}

#[test]
fn old_records_go_away_and_an_expired_log_becomes_empty() {
    let rig = Rig::new();
    let mut log = filled(&rig, LogConfig { retention_ms: 30_000, ..small_segments() });
    let segments = log.segment_count();
    let deleted = log.delete_old_segments(log.log_end(), Timestamp(NOW.0 + 60_000)).unwrap();
    assert!(deleted > 0 && deleted < segments, "{deleted} of {segments}");
    assert!(log.log_start().0 <= 30);
    log.delete_old_segments(log.log_end(), Timestamp(NOW.0 + 100_000)).unwrap();
    assert_eq!((log.log_start(), log.log_end(), log.segment_count()), (Offset(60), Offset(60), 1));
    assert_eq!(
        log.delete_old_segments(log.log_end(), Timestamp(NOW.0 + 200_000)).unwrap(),
        0,
        "an empty segment stays"
    );
    assert_eq!(rig.append(&mut log, 1), Offset(60));
}
