//! Stories of single transactional ids.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ListTransactionsRequest;

use super::testbed::{Testbed, partitions, producer, written};
use crate::errand::Errand;
use crate::pattern::Filter;
use crate::request::{Answer, Producer, Refusal, Request};
use crate::{records, transaction::State};

#[test]
fn a_decision_is_answered_and_completed_once_every_partition_has_its_marker() {
    let mut bed = Testbed::new(2);
    assert_eq!(bed.init("id", None, 7), Ok(producer(7, 0)));
    assert_eq!(bed.add("id", producer(7, 0), partitions("a", &[0, 1]), 2), Ok(()));
    assert_eq!(bed.end("id", producer(7, 0), true, 2, 0), Ok(producer(7, 1)), "the next transaction's epoch");
    assert_eq!(bed.state("id"), "PrepareCommit");
    assert_eq!(bed.add("id", producer(7, 1), partitions("a", &[0]), 2), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(bed.init("id", None, 0), Err(ErrorCode::ConcurrentTransactions));
    let markers = bed.take_markers().remove(0);
    assert_eq!((markers.producer, markers.committed, markers.transaction_version), (producer(7, 1), true, 2));
    let half = written(&markers, |_, index| if index == 0 { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) });
    bed.tell(|shard, now, image| shard.markers_written(now, image, &markers, &half));
    assert_eq!(bed.state("id"), "PrepareCommit");
    bed.pass(50);
    assert_eq!(bed.errands.len(), 1, "what failed is tried again");
    bed.write_markers();
    assert_eq!(bed.state("id"), "CompleteCommit");
    assert_eq!(bed.add("id", producer(7, 1), partitions("a", &[0]), 2), Ok(()));
}

#[test]
fn before_kip_890_the_epoch_stays_and_a_repeated_end_is_granted() {
    let mut bed = Testbed::new(1);
    assert_eq!(bed.init("id", None, 7), Ok(producer(7, 0)));
    assert_eq!(bed.end("id", producer(7, 0), true, 0, 0), Err(ErrorCode::InvalidTxnState), "nothing was begun");
    assert_eq!(bed.add("id", producer(7, 0), partitions("a", &[0]), 0), Ok(()));
    assert_eq!(bed.end("id", producer(7, 0), false, 0, 0), Ok(Producer::NONE));
    assert_eq!(bed.end("id", producer(7, 0), false, 0, 0), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(bed.take_markers()[0].producer, producer(7, 0));
    bed.reload();
    bed.write_markers();
    assert_eq!(bed.end("id", producer(7, 0), false, 0, 0), Ok(Producer::NONE));
    assert_eq!(bed.end("id", producer(7, 0), true, 0, 0), Err(ErrorCode::InvalidTxnState));
    assert_eq!(bed.end("id", producer(7, 1), true, 0, 0), Err(ErrorCode::ProducerFenced));
    assert_eq!(bed.end("id", producer(8, 0), true, 0, 0), Err(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(bed.end("other", producer(7, 0), true, 0, 0), Err(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(bed.end("", producer(7, 0), true, 0, 0), Err(ErrorCode::InvalidRequest));
}

/// The table in KIP-890: by state, whether the end is repeated, and what it asks for.
#[test]
fn since_kip_890_an_end_is_repeated_with_the_epoch_before() {
    for (end_committed, repeated_commit, repeated_abort, new_commit) in [
        (true, Ok(producer(7, 1)), Err(ErrorCode::InvalidTxnState), Err(ErrorCode::InvalidTxnState)),
        (false, Err(ErrorCode::InvalidTxnState), Ok(producer(7, 1)), Err(ErrorCode::InvalidTxnState)),
    ] {
        let mut bed = Testbed::new(2);
        bed.init("id", None, 7).expect("a producer");
        bed.add("id", producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
        bed.end("id", producer(7, 0), end_committed, 2, 0).expect("an end");
        bed.write_markers();
        assert_eq!(bed.end("id", producer(7, 0), true, 2, 0), repeated_commit);
        assert_eq!(bed.end("id", producer(7, 0), false, 2, 0), repeated_abort);
        assert_eq!(bed.end("id", producer(7, 1), true, 2, 0), new_commit);
        assert_eq!(bed.end("id", producer(7, 1), false, 2, 0), Ok(producer(7, 2)), "an abort to be sure");
        assert_eq!(bed.state("id"), "CompleteAbort", "no partition has to be told");
    }
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    assert_eq!(bed.end("id", producer(7, 0), true, 2, 0), Err(ErrorCode::InvalidTxnState));
    assert_eq!(bed.end("id", producer(7, -1), false, 2, 0), Err(ErrorCode::ProducerFenced));
    assert_eq!(bed.end("id", producer(7, 0), false, 2, 0), Ok(producer(7, 1)));
}

#[test]
fn a_producer_that_begins_fences_the_one_before_and_aborts_what_it_left() {
    for (level, client, marker, next) in [(2, 2, 1, 2), (2, 0, 1, 2), (1, 0, 1, 2)] {
        let mut bed = Testbed::new(level);
        bed.init("id", None, 7).expect("a producer");
        bed.add("id", producer(7, 0), partitions("a", &[0]), client).expect("a partition");
        assert_eq!(bed.init("id", None, 0), Err(ErrorCode::ConcurrentTransactions));
        let markers = bed.take_markers().remove(0);
        assert_eq!((markers.producer, markers.committed), (producer(7, marker), false));
        assert_eq!(bed.init("id", None, 0), Err(ErrorCode::ConcurrentTransactions));
        let all = written(&markers, |_, _| Ok(()));
        bed.tell(|shard, now, image| shard.markers_written(now, image, &markers, &all));
        assert_eq!(bed.init("id", None, 0), Ok(producer(7, next)));
        assert_eq!(bed.add("id", producer(7, 0), partitions("a", &[0]), client), Err(ErrorCode::ProducerFenced));
        assert_eq!(bed.end("id", producer(7, 0), true, client, 0), Err(ErrorCode::ProducerFenced));
    }
}

#[test]
fn a_producer_that_goes_on_keeps_its_id_and_may_repeat_the_request() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    assert_eq!(bed.init("id", Some(producer(7, 0)), 0), Ok(producer(7, 1)));
    assert_eq!(bed.init("id", Some(producer(7, 0)), 0), Ok(producer(7, 1)), "its answer got lost");
    assert_eq!(bed.init("id", Some(producer(8, 1)), 0), Err(ErrorCode::ProducerFenced), "another id");
    assert_eq!(
        bed.init("id", Some(producer(7, 5)), 0),
        Err(ErrorCode::ProducerFenced),
        "an epoch that was never given"
    );
    assert_eq!(bed.init("id", None, 0), Ok(producer(7, 2)));
    assert_eq!(bed.init("id", Some(producer(7, 1)), 0), Err(ErrorCode::ProducerFenced), "a younger one has begun");
}

#[test]
fn when_its_epochs_are_used_up_a_producer_gets_another_id() {
    let mut bed = Testbed::new(2);
    let last = i16::MAX - 1;
    bed.begin_at("id", producer(7, last - 1));
    assert_eq!(bed.init("id", Some(producer(7, last - 1)), 0), Ok(producer(7, last)));
    bed.add("id", producer(7, last), partitions("a", &[0]), 2).expect("a partition");
    assert_eq!(bed.end("id", producer(7, last), true, 2, 8), Ok(producer(8, 0)));
    assert_eq!(bed.take_markers()[0].producer, producer(7, i16::MAX), "the markers fence the old id for ever");
    bed.reload();
    bed.write_markers();
    assert_eq!(bed.end("id", producer(7, last), true, 2, 9), Ok(producer(8, 0)), "its answer got lost");
    assert_eq!(bed.end("id", producer(7, last), false, 2, 9), Err(ErrorCode::InvalidTxnState));
    assert_eq!(bed.add("id", producer(8, 0), partitions("a", &[0]), 2), Ok(()));
}

#[test]
fn what_lasts_too_long_is_aborted_and_its_producer_fenced() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    bed.add("id", producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
    bed.pass(60_000);
    assert_eq!(bed.state("id"), "Ongoing", "its time is not over");
    bed.pass(10_000);
    assert_eq!(bed.state("id"), "PrepareAbort");
    bed.write_markers();
    assert_eq!(bed.state("id"), "CompleteAbort");
    assert_eq!(bed.add("id", producer(7, 0), partitions("a", &[0]), 2), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_wall_clock_that_is_set_neither_shortens_nor_prolongs_a_transaction() {
    let hour = 3_600_000;
    for set_by in [hour, -hour] {
        let mut bed = Testbed::new(2);
        bed.init("id", None, 7).expect("a producer");
        bed.add("id", producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
        bed.wall_clock_set_by = set_by;
        bed.pass(60_000);
        assert_eq!(bed.state("id"), "Ongoing", "its time is not over");
        bed.pass(10_000);
        assert_eq!(bed.state("id"), "PrepareAbort");
    }
}

#[test]
fn a_new_coordinator_goes_on_with_what_is_left_of_a_transactions_time() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    bed.add("id", producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
    bed.pass(40_000);
    bed.reload();
    bed.pass(20_000);
    assert_eq!(bed.state("id"), "Ongoing", "its time is not over");
    bed.pass(10_000);
    assert_eq!(bed.state("id"), "PrepareAbort");

    bed.init("other", None, 8).expect("a producer");
    bed.add("other", producer(8, 0), partitions("a", &[0]), 2).expect("a partition");
    // Begun in the future, as it seems: it gets its whole time, and no more.
    bed.wall_clock_set_by = -3_600_000;
    bed.reload();
    bed.pass(70_000);
    assert_eq!(bed.state("other"), "PrepareAbort");
}

#[test]
fn an_overdue_producer_without_epochs_waits_for_an_id() {
    let mut bed = Testbed::new(2);
    bed.begin_at("id", producer(7, i16::MAX - 1));
    bed.add("id", producer(7, i16::MAX - 1), partitions("a", &[0]), 2).expect("a partition");
    bed.pass(70_000);
    assert_eq!(std::mem::take(&mut bed.errands), [Errand::FindProducerId("id".into())]);
    assert_eq!(bed.state("id"), "Ongoing");
    bed.tell(|shard, now, image| shard.abort_overdue(now, image, &"id".into(), thalweg_base::ProducerId(8)));
    bed.write_markers();
    assert_eq!(bed.init("id", None, 0), Ok(producer(8, 1)));
}

#[test]
fn ids_that_nobody_uses_are_forgotten() {
    let mut bed = Testbed::new(2);
    for number in 0..1200 {
        bed.init(&format!("idle{number}"), None, number).expect("a producer");
    }
    bed.init("open", None, 5000).expect("a producer");
    bed.add("open", producer(5000, 0), partitions("a", &[0]), 2).expect("a partition");
    let week = 604_800_000;
    bed.pass(week + 3_600_000);
    assert_eq!(bed.shard.len(), 1, "only what is not complete is left");
    assert_eq!(bed.state("idle7"), "TRANSACTIONAL_ID_NOT_FOUND");
    bed.write_markers();
    bed.pass(week + 3_600_000);
    assert!(bed.shard.is_empty());
    bed.reload();
    assert!(bed.shard.is_empty(), "the tombstones are in the log");
}

#[test]
fn ids_that_cannot_be_forgotten_now_are_left_until_it_is_time_again() {
    let mut bed = Testbed::new(2);
    for number in 0..600 {
        // Of 3 KB each.
        bed.init(&format!("{number:03000}"), None, number).expect("a producer");
    }
    bed.refuses = Some(ErrorCode::NotEnoughReplicas);
    let week = 604_800_000;
    bed.pass(week + 3_600_000);
    assert_eq!(bed.shard.len(), 600);
    bed.refuses = None;
    bed.pass(3_600_000);
    assert!(bed.shard.is_empty());
}

#[test]
fn where_one_marker_is_refused_for_ever_the_others_are_still_written() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    bed.add("id", producer(7, 0), partitions("a", &[0, 1]), 2).expect("partitions");
    bed.end("id", producer(7, 0), true, 2, 0).expect("an end");
    for failures in 0..8 {
        let markers = bed.take_markers();
        assert_eq!(markers.len(), 1, "after {failures} failures they are tried again");
        let refused = written(&markers[0], |_, partition| match partition {
            0 => Err(ErrorCode::InvalidProducerEpoch),
            _ => Err(ErrorCode::KafkaStorageError),
        });
        bed.tell(|shard, now, image| shard.markers_written(now, image, &markers[0], &refused));
        bed.pass(if failures < 2 { 200 } else { 1600 });
    }
    let markers = bed.take_markers();
    let written = written(&markers[0], |_, partition| match partition {
        0 => Err(ErrorCode::InvalidProducerEpoch),
        _ => Ok(()),
    });
    bed.tell(|shard, now, image| shard.markers_written(now, image, &markers[0], &written));
    bed.pass(10_000);
    assert!(bed.take_markers().is_empty(), "nothing else is missing");
    assert_eq!(bed.state("id"), "PrepareCommit", "a decision does not change");
}

#[test]
fn records_that_this_version_does_not_know_are_counted_and_passed_over() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    let mut newer = bed.log[0].clone();
    newer.value = Some(bytes::Bytes::from_static(&[0, 9]));
    bed.log.push(newer);
    bed.reload();
    assert_eq!((bed.shard.unknown_records(), bed.shard.len()), (1, 1));
}

#[test]
fn a_partition_that_is_gone_needs_no_marker() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    bed.add("id", producer(7, 0), partitions("gone", &[0]), 2).expect("a partition");
    bed.end("id", producer(7, 0), true, 2, 0).expect("an end");
    let markers = bed.take_markers().remove(0);
    let none = written(&markers, |_, _| Err(ErrorCode::UnknownTopicOrPartition));
    bed.tell(|shard, now, image| shard.markers_written(now, image, &markers, &none));
    assert_eq!(bed.state("id"), "CompleteCommit");
}

#[test]
fn a_log_that_takes_nothing_changes_nothing() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    bed.refuses = Some(ErrorCode::NotEnoughReplicas);
    let refused = Err(ErrorCode::CoordinatorNotAvailable);
    assert_eq!(bed.add("id", producer(7, 0), partitions("a", &[0]), 2), refused);
    assert_eq!(bed.init("new", None, 8), Err(ErrorCode::CoordinatorNotAvailable));
    bed.refuses = None;
    assert_eq!(bed.state("id"), "Empty");
    bed.add("id", producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
    bed.end("id", producer(7, 0), true, 2, 0).expect("an end");
    bed.refuses = Some(ErrorCode::NotEnoughReplicas);
    bed.write_markers();
    assert_eq!(bed.state("id"), "PrepareCommit", "the end cannot be written");
    bed.refuses = None;
    bed.pass(50);
    assert_eq!(bed.state("id"), "CompleteCommit", "and is tried again");
}

#[test]
fn only_what_was_added_is_verified() {
    let mut bed = Testbed::new(2);
    bed.init("id", None, 7).expect("a producer");
    let verify = |bed: &mut Testbed, producer, indexes: &[i32]| {
        let asked = partitions("a", indexes);
        match bed.ask(Request::VerifyPartitions { transactional_id: "id".into(), producer, partitions: asked }) {
            Answer::Verified(missing) => missing,
            other => panic!("{other:?}"),
        }
    };
    bed.add("id", producer(7, 0), partitions("a", &[0]), 0).expect("a partition");
    assert_eq!(verify(&mut bed, producer(7, 0), &[0]), Ok(crate::Partitions::new()));
    assert_eq!(verify(&mut bed, producer(7, 0), &[0, 2]), Ok(partitions("a", &[2])));
    assert_eq!(verify(&mut bed, producer(7, 1), &[0]), Err(ErrorCode::ProducerFenced));
    assert_eq!(verify(&mut bed, producer(8, 0), &[0]), Err(ErrorCode::InvalidProducerIdMapping));
}

#[test]
fn a_producer_asks_for_what_kafka_grants() {
    let mut bed = Testbed::new(2);
    let mut ask = |timeout_ms, two_phase, keep_prepared, id: &str| {
        let transactional_id = id.into();
        let fresh = Some(thalweg_base::ProducerId(1));
        let expected = None;
        match bed.ask(Request::InitProducerId {
            transactional_id,
            timeout_ms,
            two_phase,
            keep_prepared,
            expected,
            fresh,
        }) {
            Answer::Producer(answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    let refused = |error: ErrorCode| Err(Refusal::Error(error));
    assert_eq!(ask(1, false, false, ""), refused(ErrorCode::InvalidRequest));
    assert_eq!(ask(0, false, false, "id"), refused(ErrorCode::InvalidTransactionTimeout));
    assert_eq!(ask(900_001, false, false, "id"), refused(ErrorCode::InvalidTransactionTimeout));
    assert_eq!(ask(1, true, false, "id"), refused(ErrorCode::TransactionalIdAuthorizationFailed));
    assert_eq!(ask(1, false, true, "id"), refused(ErrorCode::UnsupportedVersion));
    assert_eq!(ask(900_000, false, false, "id"), Ok(producer(1, 0)));
}

#[test]
fn ids_are_listed_by_state_producer_duration_and_pattern() {
    let mut bed = Testbed::new(2);
    bed.init("one", None, 1).expect("a producer");
    bed.init("two", None, 2).expect("a producer");
    bed.add("two", producer(2, 0), partitions("a", &[0]), 2).expect("a partition");
    bed.pass(500);
    let mut list = |request: ListTransactionsRequest| {
        let (filter, unknown) = Filter::of(&request).expect("a filter");
        let Answer::Listed(listed) = bed.ask(Request::List(filter)) else { panic!("no list") };
        let ids: Vec<String> = listed.iter().map(|one| one.transactional_id.to_string()).collect();
        (ids.join(","), unknown.len())
    };
    let any = || ListTransactionsRequest { duration_filter: -1, ..ListTransactionsRequest::default() };
    assert_eq!(list(any()), ("one,two".into(), 0));
    let states = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    assert_eq!(list(ListTransactionsRequest { state_filters: states(&["Ongoing"]), ..any() }), ("two".into(), 0));
    assert_eq!(list(ListTransactionsRequest { state_filters: states(&["Dead", "Odd"]), ..any() }), (String::new(), 1));
    assert_eq!(list(ListTransactionsRequest { producer_id_filters: vec![1, 9], ..any() }), ("one".into(), 0));
    assert_eq!(list(ListTransactionsRequest { duration_filter: 500, ..any() }), ("one".into(), 0), "as in Kafka");
    let pattern = |text: &str| ListTransactionsRequest { transactional_id_pattern: Some(text.into()), ..any() };
    assert_eq!(list(pattern("t.*")), ("two".into(), 0));
    assert_eq!(list(pattern("w")), (String::new(), 0), "the whole id is meant");
    assert_eq!(Filter::of(&pattern("(")).map(|_| ()), Err(ErrorCode::InvalidRegularExpression));
}

#[test]
fn records_are_read_back_and_the_older_form_has_less() {
    let mut next = crate::transaction::Transaction::new(thalweg_base::ProducerId(5));
    (next.previous_producer, next.next_producer) = (thalweg_base::ProducerId(4), thalweg_base::ProducerId(6));
    (next.state, next.client_version, next.timeout_ms) = (State::PrepareAbort, 2, 9);
    next.partitions = partitions("a", &[1, 3]);
    let id = bytestring::ByteString::from("id");
    let read = |level| records::decode(&records::encode(&id, &next, level).expect("bytes")).expect("a record");
    assert_eq!(read(2), (id.clone(), Some(next.clone())));
    let none = thalweg_base::ProducerId::NONE;
    let old = crate::transaction::Transaction {
        previous_producer: none,
        next_producer: none,
        client_version: 0,
        ..next.clone()
    };
    assert_eq!(read(0), (id.clone(), Some(old)));
    assert_eq!(records::decode(&records::tombstone(&id).expect("bytes")), Ok((id, None)));
}

#[test]
fn transactions_are_counted_by_state_age_and_end() {
    let mut bed = Testbed::new(2);
    for id in ["a", "b"] {
        bed.init(id, None, 7).expect("a producer");
        bed.add(id, producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
    }
    bed.pass(1_500);
    bed.end("b", producer(7, 0), true, 2, 0).expect("an end");
    let in_state = |bed: &Testbed, state| {
        let found = bed.shard.census(bed.now().timestamp).0[state];
        (found.count, found.age_ms_max)
    };
    assert_eq!((in_state(&bed, "Ongoing"), in_state(&bed, "PrepareCommit")), ((1, 1_500), (1, 0)));
    assert_eq!(in_state(&bed, "Empty"), (0, 0), "every state is there");
    bed.write_markers();
    bed.end("a", producer(7, 0), false, 2, 0).expect("an end");
    bed.write_markers();
    let counted = crate::Tally { committed: 1, aborted: 1, timed_out: 0 };
    assert_eq!(bed.shard.tally(), counted);
    bed.reload();
    assert_eq!(bed.shard.tally(), crate::Tally::default(), "what was loaded was counted before");
    assert_eq!(in_state(&bed, "CompleteAbort").0 + in_state(&bed, "CompleteCommit").0, 2);
}

#[test]
fn a_transaction_that_times_out_is_counted_as_aborted_too() {
    let mut bed = Testbed::new(2);
    bed.init("a", None, 7).expect("a producer");
    bed.add("a", producer(7, 0), partitions("a", &[0]), 2).expect("a partition");
    bed.pass(120_000);
    let tally = bed.shard.tally();
    assert_eq!((tally.committed, tally.aborted, tally.timed_out), (0, 1, 1));
}
