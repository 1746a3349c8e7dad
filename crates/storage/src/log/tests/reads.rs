//! Where reads find their batches.

use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_sys::fs::File;

use super::harness::{NOW, Rig, appended_at, batch, batch_at, small_segments, whole_batches};
use crate::names::{LOG, file_at};
use crate::{Fault, FirstBatch, Log, LogConfig, Origin, ReadError, ReadRefusal, TimestampedOffset};

fn read(log: &Log, from: i64, limit: i64, max: usize) -> Vec<i64> {
    let plan = log.read(Offset(from), Offset(limit), max, FirstBatch::Whole).unwrap();
    whole_batches(plan.read().unwrap()).iter().map(|b| b.base_offset().0).collect()
}

#[test]
fn every_offset_finds_its_batch_with_and_without_hints() {
    let rig = Rig::new();
    let mut log = rig.open(small_segments());
    for _ in 0..60 {
        rig.append(&mut log, 3);
    }
    for pass in 0..2 {
        for offset in 0..180 {
            assert_eq!(read(&log, offset, 180, 1), [offset / 3 * 3], "pass {pass}");
        }
        for offset in (0..180).rev() {
            assert_eq!(read(&log, offset, 180, 1), [offset / 3 * 3], "pass {pass} backwards");
        }
        log.forget_positions();
    }
}

#[test]
fn nothing_at_or_beyond_the_limit_is_read() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    for _ in 0..10 {
        rig.append(&mut log, 2);
    }
    for round in 0..2 {
        assert_eq!(read(&log, 0, 6, 1 << 20), [0, 2, 4], "{round}");
        assert_eq!(read(&log, 4, 5, 1 << 20), [0i64; 0], "a limit inside a batch excludes the batch");
        assert_eq!(read(&log, 6, 6, 1 << 20), [0i64; 0]);
        assert_eq!(read(&log, 20, 20, 1 << 20), [0i64; 0]);
        assert_eq!(read(&log, 18, 20, 1 << 20), [18]);
        log.forget_positions();
    }
}

#[test]
fn a_reader_is_not_led_past_bytes_that_begin_no_batch() {
    let rig = Rig::new();
    let mut log = rig.open(small_segments());
    for _ in 0..60 {
        rig.append(&mut log, 3);
    }
    let second = log.segment_bases()[1];
    let file = File::open(&file_at(&rig.dir, second, LOG)).unwrap();
    let size = whole_batches(log.read(second, log.log_end(), 1, FirstBatch::Whole).unwrap().read().unwrap())[0]
        .header()
        .size();
    // The length of the second batch.
    file.write_all_at(&[0; 4], size as u64 + 8).unwrap();
    log.forget_positions();
    let read = |from: Offset| log.read(from, log.log_end(), 1, FirstBatch::Whole);
    assert!(read(second).is_ok());
    assert!(matches!(read(Offset(second.0 + 3)), Err(ReadError::Fault(Fault::Corrupt { .. }))));
    assert!(read(log.segment_bases()[2]).is_ok());
    // Nor from the first one, where no index has to be asked.
    file.write_all_at(&[0; 4], 8).unwrap();
    let plan = log.read(second, log.log_end(), 1 << 20, FirstBatch::Whole).unwrap();
    assert!(matches!(plan.read(), Err(Fault::Corrupt { .. })));
    assert!(matches!(plan.read_cached(), Err(Fault::Corrupt { .. }) | Ok(None)));
}

#[test]
fn offsets_outside_the_log_are_refused() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    rig.append(&mut log, 5);
    log.advance_log_start(Offset(2)).unwrap();
    for offset in [1, 6, i64::MAX, -1] {
        let Err(ReadError::Refused(refusal)) = log.read(Offset(offset), Offset(5), 10, FirstBatch::Whole) else {
            panic!("{offset}");
        };
        let expected =
            ReadRefusal::OffsetOutOfRange { offset: Offset(offset), log_start: Offset(2), log_end: Offset(5) };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn the_first_batch_is_whole_or_nothing() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    log.append(&mut [batch(1, 500), batch(1, 500)], LeaderEpoch(0), Origin::Client, NOW).unwrap();
    let whole = log.read(Offset(0), Offset(2), 10, FirstBatch::Whole).unwrap();
    assert_eq!(whole_batches(whole.read().unwrap()).len(), 1);
    let fitting = log.read(Offset(0), Offset(2), 10, FirstBatch::Fitting).unwrap();
    assert!(fitting.is_empty() && fitting.is_first_batch_too_large());
    let cut = log.read(Offset(0), Offset(2), 600, FirstBatch::Fitting).unwrap();
    assert_eq!(cut.len(), 600, "the second batch is cut, as in Kafka");
    assert_eq!(log.bytes_between(Offset(0), Offset(2)), Some(log.size()));
}

#[test]
fn a_plan_is_readable_after_its_segment_is_gone() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    rig.append(&mut log, 5);
    let plan = log.read(Offset(0), Offset(5), 1000, FirstBatch::Whole).unwrap();
    log.truncate_fully_and_start_at(Offset(100), NOW).unwrap();
    log.take_doomed().sync_and_remove().unwrap();
    assert_eq!(whole_batches(plan.read().unwrap())[0].next_offset(), Offset(5));
    log.has_read(&plan, &plan.read().unwrap());
    assert_eq!((log.log_start(), log.log_end()), (Offset(100), Offset(100)));
}

#[test]
fn timestamps_find_their_records() {
    let rig = Rig::new();
    let mut log = rig.open(small_segments());
    let at = |i: i64| Timestamp(NOW.0 + i * 10);
    for i in 0..100 {
        log.append(&mut [batch_at(2, at(i))], LeaderEpoch(3), Origin::Client, NOW).unwrap();
    }
    let found = |log: &Log, i: i64, more: i64| log.offset_for_timestamp(Timestamp(at(i).0 + more)).unwrap();
    let expected =
        |i: i64| Some(TimestampedOffset { timestamp: at(i), offset: Offset(i * 2), leader_epoch: LeaderEpoch(3) });
    for i in 0..100 {
        assert_eq!(found(&log, i, 0), expected(i));
        assert_eq!(found(&log, i, -1), expected(i));
    }
    assert_eq!(found(&log, 99, 1), None);
    assert_eq!(log.max_timestamp().unwrap(), expected(99));
    log.append(&mut [batch_at(1, at(5))], LeaderEpoch(3), Origin::Client, NOW).unwrap();
    assert_eq!(log.max_timestamp().unwrap(), expected(99), "a late record changes nothing");
    log.advance_log_start(Offset(51)).unwrap();
    let first = TimestampedOffset { timestamp: at(25), offset: Offset(51), leader_epoch: LeaderEpoch(3) };
    assert_eq!(found(&log, 0, 0), Some(first));
    assert_eq!((log.earliest().offset, log.earliest().leader_epoch), (Offset(51), LeaderEpoch(3)));
    assert_eq!((log.latest().offset, log.latest().leader_epoch), (Offset(201), LeaderEpoch(3)));
}

#[test]
fn of_records_with_the_same_largest_timestamp_the_first_counts() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    for batch in [batch_at(2, NOW), appended_at(3, Timestamp(NOW.0 + 1)), appended_at(2, Timestamp(NOW.0 + 1))] {
        log.append(&mut [batch], LeaderEpoch(3), Origin::Client, NOW).unwrap();
    }
    let newest = TimestampedOffset { timestamp: Timestamp(NOW.0 + 1), offset: Offset(2), leader_epoch: LeaderEpoch(3) };
    assert_eq!(log.max_timestamp().unwrap(), Some(newest));
}

#[test]
fn a_log_without_timestamps_has_no_largest_one() {
    let rig = Rig::new();
    let log = rig.open(LogConfig::default());
    assert_eq!(log.max_timestamp().unwrap(), None);
    assert_eq!(log.offset_for_timestamp(Timestamp(0)).unwrap(), None);
}
