//! Idempotent and transactional producers.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchBuilder, PreparedBatch};

use super::harness::{NOW, Rig, in_txn, produced, producer};
use crate::{
    AbortedTxn, AppendError, AppendOutcome, AppendRefusal, FirstBatch, Log, LogConfig, OpenHints, Origin,
    ProducerRefusal,
};

const COORDINATOR: Origin = Origin::Coordinator { transaction_version: 0 };

fn append_by(log: &mut Log, batch: PreparedBatch, origin: Origin) -> Result<AppendOutcome, AppendRefusal> {
    log.append(&mut [batch], LeaderEpoch(0), origin, NOW).map_err(|e| match e {
        AppendError::Refused(refusal) => refusal,
        AppendError::Fault(fault) => panic!("{fault}"),
    })
}

/// The first offset, or `dup` and the first offset, or the kind of refusal.
fn append(log: &mut Log, batch: PreparedBatch) -> String {
    match append_by(log, batch, Origin::Client) {
        Ok(AppendOutcome::Appended(a)) => a.first_offset.to_string(),
        Ok(AppendOutcome::Duplicate(d)) => format!("dup {}..={}", d.first_offset, d.last_offset),
        Err(AppendRefusal::Producer(ProducerRefusal::OutOfOrderSequence { .. })) => "sequence".to_owned(),
        Err(AppendRefusal::Producer(ProducerRefusal::InvalidProducerEpoch { .. })) => "epoch".to_owned(),
        Err(AppendRefusal::Producer(ProducerRefusal::InvalidTxnState { .. })) => "txn".to_owned(),
        Err(other) => other.to_string(),
    }
}

fn marker(id: i64, epoch: i16, control: ControlType, coordinator_epoch: i32) -> PreparedBatch {
    let options = thalweg_records::BatchOptions { control: true, ..producer(id, epoch, -1, true) };
    let mut builder = BatchBuilder::new(options);
    let value: Bytes = EndTxnMarker { coordinator_epoch }.to_bytes();
    builder.append_control(NOW, control, &value);
    PreparedBatch::parse(&builder.build().unwrap()).unwrap()
}

#[test]
fn sequences_have_no_gaps_and_repeats_are_found() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    let steps = [
        (produced(1, 0, 7, 3), "0"), // nothing is known of it
        (produced(1, 0, 10, 2), "3"),
        (produced(1, 0, 7, 3), "dup 0..=2"),
        (produced(1, 0, 10, 2), "dup 3..=4"),
        (produced(1, 0, 10, 1), "sequence"), // another span is no repeat
        (produced(1, 0, 13, 1), "sequence"),
        (produced(2, 0, 0, 1), "5"),
        (produced(1, 1, 12, 1), "sequence"), // a new epoch begins with 0
        (produced(1, 1, 0, 1), "6"),
        (produced(1, 0, 12, 1), "epoch"),
        (produced(1, 1, 1, 1), "7"),
        (produced(1, 1, 2, 1), "8"),
        (produced(1, 1, 3, 1), "9"),
        (produced(1, 1, 4, 1), "10"),
        (produced(1, 1, 0, 1), "dup 6..=6"),
        (produced(1, 1, 5, 1), "11"),
        (produced(1, 1, 0, 1), "sequence"), // five are remembered
        (produced(1, 1, 1, 1), "dup 7..=7"),
    ];
    for (i, (batch, expected)) in steps.into_iter().enumerate() {
        assert_eq!(append(&mut log, batch), expected, "step {i}");
    }
    assert_eq!(log.log_end(), Offset(12));
}

#[test]
fn sequences_wrap_to_zero() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    assert_eq!(append(&mut log, produced(1, 0, i32::MAX - 1, 4)), "0");
    assert_eq!(log.producer(ProducerId(1)).unwrap().last_sequence(), 1);
    assert_eq!(append(&mut log, produced(1, 0, i32::MAX - 1, 4)), "dup 0..=3");
    assert_eq!(append(&mut log, produced(1, 0, 2, 1)), "4");
}

#[test]
fn producers_are_known_after_a_crash_and_after_a_clean_shutdown() {
    let rig = Rig::new();
    let config = LogConfig { segment_bytes: 600, ..LogConfig::default() };
    let mut log = rig.open(config.clone());
    for i in 0..20 {
        assert_eq!(append(&mut log, produced(1, 0, i * 2, 2)), (i * 2).to_string());
    }
    assert!(log.segment_count() > 2);
    drop(log);
    let mut log = rig.open(config.clone());
    assert_eq!(append(&mut log, produced(1, 0, 38, 2)), "dup 38..=39");
    assert_eq!(append(&mut log, produced(1, 0, 40, 2)), "40");
    let end = log.close().unwrap();
    let hints = OpenHints { recovery_point: end, clean_shutdown: true, ..OpenHints::UNKNOWN };
    let (mut log, _) = rig.open_with(config, hints);
    assert_eq!(append(&mut log, produced(1, 0, 40, 2)), "dup 40..=41");
    assert_eq!(append(&mut log, produced(1, 0, 38, 2)), "sequence", "a snapshot holds only the last batch");
}

#[test]
fn silent_producers_are_forgotten() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    append(&mut log, produced(1, 0, 0, 1));
    append(&mut log, in_txn(2, 0, 0, 1));
    let day = LogConfig::default().producer_id_expiration_ms;
    log.remove_expired_producers(Timestamp(NOW.0 + day - 1));
    assert_eq!(log.producers().len(), 2);
    log.remove_expired_producers(Timestamp(NOW.0 + day));
    assert!(log.producer(ProducerId(1)).is_none());
    assert!(log.has_ongoing_txn(ProducerId(2), ProducerEpoch(0)), "its transaction is open");
}

#[test]
fn open_transactions_hold_the_last_stable_offset() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    assert_eq!(append(&mut log, in_txn(1, 0, 0, 2)), "0");
    assert_eq!(append(&mut log, in_txn(2, 0, 0, 2)), "2");
    assert_eq!(append(&mut log, produced(1, 0, 2, 1)), "txn", "records outside of an open transaction");
    assert_eq!(log.last_stable_offset(Offset(4)), Offset(0));
    append_by(&mut log, marker(1, 0, ControlType::Abort, 5), COORDINATOR).unwrap();
    assert_eq!(log.last_stable_offset(Offset(4)), Offset(0), "the marker is not replicated");
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(2));
    log.replicated(Offset(5));
    assert_eq!(log.last_stable_offset(Offset(5)), Offset(2));
    let fenced = append_by(&mut log, marker(1, 0, ControlType::Commit, 4), COORDINATOR);
    assert!(matches!(fenced, Err(AppendRefusal::Producer(ProducerRefusal::CoordinatorFenced { .. }))));
    append_by(&mut log, marker(2, 1, ControlType::Commit, 5), COORDINATOR).unwrap();
    log.replicated(Offset(6));
    assert_eq!(log.last_stable_offset(Offset(6)), Offset(6));
    assert_eq!(append(&mut log, in_txn(2, 0, 2, 1)), "epoch", "the marker brought a new epoch");
}

#[test]
fn the_second_transaction_protocol_wants_a_newer_epoch_in_markers() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig::default());
    let v2 = Origin::Coordinator { transaction_version: 2 };
    append(&mut log, in_txn(1, 3, 0, 2));
    let stale = append_by(&mut log, marker(1, 3, ControlType::Commit, 0), v2);
    assert!(matches!(stale, Err(AppendRefusal::Producer(ProducerRefusal::InvalidProducerEpoch { .. }))));
    append_by(&mut log, marker(1, 4, ControlType::Commit, 0), v2).unwrap();
    append_by(&mut log, marker(1, 4, ControlType::Commit, 0), v2).expect("a repeated marker is written again");
}

#[test]
fn aborted_transactions_are_told_to_readers_of_committed_records() {
    let rig = Rig::new();
    let config = LogConfig { segment_bytes: 500, ..LogConfig::default() };
    let mut log = rig.open(config.clone());
    let aborted = |log: &Log, from: i64| {
        let plan = log.read(Offset(from), log.log_end(), 1 << 20, FirstBatch::Whole).unwrap();
        log.aborted_txns(Offset(from), &plan).unwrap()
    };
    append(&mut log, in_txn(1, 0, 0, 2));
    for i in 0..10 {
        append(&mut log, produced(9, 0, i, 5));
    }
    append_by(&mut log, marker(1, 0, ControlType::Abort, 5), COORDINATOR).unwrap();
    append(&mut log, in_txn(1, 0, 2, 2));
    append_by(&mut log, marker(1, 0, ControlType::Commit, 5), COORDINATOR).unwrap();
    let txn = AbortedTxn {
        producer_id: ProducerId(1),
        first_offset: Offset(0),
        last_offset: Offset(52),
        last_stable_offset: Offset(53),
    };
    let sequence_refused = log.log_end();
    let txn = AbortedTxn { last_offset: txn.last_offset.min(sequence_refused), ..txn };
    let found = aborted(&log, 0);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].producer_id, found[0].first_offset), (txn.producer_id, txn.first_offset));
    assert_eq!(aborted(&log, found[0].last_offset.0 + 1), []);
    drop(log);
    let log = rig.open(config);
    assert_eq!(aborted(&log, 0), found, "recovery builds the transaction index anew");
}

#[test]
fn truncation_takes_producers_back() {
    let rig = Rig::new();
    let mut log = rig.open(LogConfig { segment_bytes: 600, ..LogConfig::default() });
    for i in 0..20 {
        append(&mut log, produced(1, 0, i, 1));
    }
    log.truncate_to(Offset(13), NOW).unwrap();
    assert_eq!(append(&mut log, produced(1, 0, 14, 1)), "sequence");
    assert_eq!(append(&mut log, produced(1, 0, 13, 1)), "13");
    log.truncate_fully_and_start_at(Offset(500), NOW).unwrap();
    assert_eq!(log.producers().len(), 0);
    assert_eq!(append(&mut log, produced(1, 0, 99, 1)), "500");
}
