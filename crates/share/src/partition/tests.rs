//! Stories of one share partition.

mod simulation;

use super::*;
use crate::acknowledge::{AckBatch, AckRefusal};
use crate::acquire::{Acquire, AcquireMode, Acquired, Span};

pub(super) const LIMITS: Limits =
    Limits { delivery_count_max: 5, in_flight_max: 2_000, lock_duration: Duration::from_secs(30), renew: true };

fn fresh(start: i64) -> SharePartition {
    SharePartition::new(&Loaded { state_epoch: 1, start: Offset(start), batches: Vec::new() })
}

fn span(first: i64, last: i64) -> Span {
    Span { first, last }
}

/// A member asks for records where the share partition says; the log has these batches.
fn take(part: &mut SharePartition, now: i64, member: &str, most: i64, batches: &[Span]) -> Vec<(i64, i64, i16)> {
    take_as(part, now, member, most, batches, AcquireMode::BatchOptimized)
}

fn take_as(
    part: &mut SharePartition,
    now: i64,
    member: &str,
    most: i64,
    batches: &[Span],
    mode: AcquireMode,
) -> Vec<(i64, i64, i16)> {
    let Some(fetch_offset) = part.fetch_offset(LIMITS) else { return Vec::new() };
    let batches: Vec<Span> = batches.iter().filter(|batch| batch.last >= fetch_offset.0).copied().collect();
    if batches.is_empty() {
        return Vec::new();
    }
    let member = member.into();
    let (records_max, batch_size, batches) = (most, 500, &*batches);
    let asked = Acquire { member: &member, mode, records_max, batch_size, fetch_offset, batches, aborted: &[] };
    shown(&part.acquire(Moment(now), &asked, LIMITS))
}

fn shown(acquired: &[Acquired]) -> Vec<(i64, i64, i16)> {
    acquired.iter().map(|acquired| (acquired.span.first, acquired.span.last, acquired.delivery_count)).collect()
}

fn ack(
    part: &mut SharePartition,
    now: i64,
    member: &str,
    first: i64,
    last: i64,
    types: &[AckType],
) -> Result<Option<Write>, AckRefusal> {
    part.acknowledge(Moment(now), member, &[AckBatch { span: span(first, last), types: types.to_vec() }], LIMITS)
}

/// Acknowledges, and what is to be kept is kept.
fn settle(part: &mut SharePartition, member: &str, first: i64, last: i64, types: &[AckType]) {
    let write = ack(part, 0, member, first, last, types).expect("it is held").expect("it is to be kept");
    assert!(part.written(Moment(0), write.id, Ok(()), LIMITS));
}

const LOG: [Span; 3] = [Span { first: 0, last: 9 }, Span { first: 10, last: 19 }, Span { first: 20, last: 29 }];

#[test]
fn accepted_records_are_done_with_once_that_is_kept() {
    let mut part = fresh(0);
    assert_eq!(take(&mut part, 0, "a", 10, &LOG), [(0, 9, 1)]);
    let write = ack(&mut part, 1, "a", 0, 9, &[AckType::Accept]).expect("it is held").expect("it is to be kept");
    let kept = StateBatch { first: 0, last: 9, state: DeliveryState::Acknowledged, delivery_count: 1 };
    assert_eq!((write.start, write.delivery_complete_count, &*write.batches), (Offset(0), 10, &[kept][..]));
    assert_eq!(part.start(), Offset(0), "not before it is kept");
    assert!(part.written(Moment(2), write.id, Ok(()), LIMITS));
    assert_eq!((part.start(), part.in_flight(), part.run_count()), (Offset(10), 0, 0));
    assert_eq!(take(&mut part, 3, "b", 10, &LOG), [(10, 19, 1)]);
}

#[test]
fn what_could_not_be_kept_stays_with_its_member_until_its_time_is_over() {
    let mut part = fresh(0);
    take(&mut part, 0, "a", 10, &LOG);
    let write = ack(&mut part, 1, "a", 0, 9, &[AckType::Accept]).expect("held").expect("to be kept");
    assert_eq!(ack(&mut part, 1, "a", 0, 9, &[AckType::Accept]), Err(AckRefusal::Settling));
    part.written(Moment(2), write.id, Err(()), LIMITS);
    let again = ack(&mut part, 3, "a", 0, 9, &[AckType::Accept]).expect("held").expect("to be kept");
    part.written(Moment(30_000), again.id, Err(()), LIMITS);
    assert_eq!(ack(&mut part, 30_001, "a", 0, 9, &[AckType::Accept]), Err(AckRefusal::NotAcquired));
    assert_eq!(take(&mut part, 30_001, "b", 10, &LOG), [(0, 9, 2)]);
}

#[test]
fn records_are_given_up_when_their_time_is_over_and_after_too_many_attempts() {
    let mut part = fresh(0);
    for attempt in 1..=5 {
        let now = i64::from(attempt) * 100_000;
        assert_eq!(take(&mut part, now, "a", 1, &[span(0, 0)]), [(0, 0, attempt)]);
        assert_eq!(part.tick(Moment(now + 29_999), LIMITS), None);
        let write = part.tick(Moment(now + 30_000), LIMITS).expect("it is to be kept");
        let state = if attempt == 5 { DeliveryState::Archived } else { DeliveryState::Available };
        assert_eq!((write.batches[0].state, write.batches[0].delivery_count), (state, attempt));
    }
    assert_eq!(part.start(), Offset(1));
}

#[test]
fn released_records_reach_another_member_and_each_record_may_have_its_own_fate() {
    let mut part = fresh(0);
    take(&mut part, 0, "a", 10, &LOG);
    let types: Vec<AckType> = (0..10)
        .map(|offset| match offset {
            3 => AckType::Release,
            4 => AckType::Reject,
            5 => AckType::Gap,
            _ => AckType::Accept,
        })
        .collect();
    settle(&mut part, "a", 0, 9, &types);
    assert_eq!((part.start(), part.fetch_offset(LIMITS)), (Offset(3), Some(Offset(3))));
    assert_eq!(take(&mut part, 0, "b", 1, &LOG), [(3, 3, 2)]);
    assert_eq!(ack(&mut part, 0, "a", 3, 3, &[AckType::Accept]), Err(AckRefusal::NotOwner));
    settle(&mut part, "b", 3, 3, &[AckType::Accept]);
    assert_eq!(part.start(), Offset(10));
}

#[test]
fn a_member_that_leaves_gives_back_what_it_holds() {
    let mut part = fresh(0);
    take(&mut part, 0, "a", 10, &LOG);
    take(&mut part, 0, "b", 10, &LOG);
    let write = part.release("a", LIMITS).expect("it is to be kept");
    part.written(Moment(0), write.id, Ok(()), LIMITS);
    assert_eq!(part.release("a", LIMITS), None);
    assert_eq!(take(&mut part, 0, "c", 100, &LOG), [(0, 9, 2), (20, 29, 1)]);
}

#[test]
fn batches_stay_whole_unless_the_limit_is_strict() {
    let mut part = fresh(0);
    assert_eq!(take(&mut part, 0, "a", 12, &LOG), [(0, 19, 1)]);
    let mut strict = fresh(0);
    assert_eq!(take_as(&mut strict, 0, "a", 12, &LOG, AcquireMode::RecordLimit), [(0, 11, 1)]);
    assert_eq!(take_as(&mut strict, 0, "b", 12, &LOG, AcquireMode::RecordLimit), [(12, 23, 1)]);
    settle(&mut strict, "a", 0, 11, &[AckType::Release]);
    assert_eq!(take_as(&mut strict, 0, "b", 5, &LOG, AcquireMode::RecordLimit), [(0, 4, 2)]);
}

#[test]
fn no_more_than_the_limit_is_on_its_way() {
    let mut part = fresh(0);
    let limits = Limits { in_flight_max: 15, ..LIMITS };
    let member = "a".into();
    let acquire = |part: &mut SharePartition, at: i64| {
        let asked = Acquire {
            member: &member,
            mode: AcquireMode::BatchOptimized,
            records_max: 100,
            batch_size: 500,
            fetch_offset: Offset(at),
            batches: &LOG,
            aborted: &[],
        };
        shown(&part.acquire(Moment(0), &asked, limits))
    };
    assert_eq!(acquire(&mut part, 0), [(0, 19, 1)], "the last batch stays whole");
    assert_eq!((part.fetch_offset(limits), acquire(&mut part, 20)), (None, vec![]));
    settle(&mut part, "a", 5, 6, &[AckType::Release]);
    assert_eq!(part.fetch_offset(limits), Some(Offset(5)));
    assert_eq!(acquire(&mut part, 5), [(5, 6, 2)], "what is free again may be delivered");
}

#[test]
fn what_compaction_has_removed_is_done_with() {
    let mut part = fresh(0);
    assert_eq!(take(&mut part, 0, "a", 5, &[span(3, 5)]), [(3, 5, 1)], "nothing is missed where nothing was");
    assert_eq!(part.start(), Offset(3));
    assert_eq!(take(&mut part, 0, "b", 5, &[span(9, 9)]), [(9, 9, 1)]);
    settle(&mut part, "a", 3, 5, &[AckType::Release]);
    assert_eq!(take(&mut part, 0, "c", 5, &[span(9, 9)]), [], "they are gone");
    settle(&mut part, "b", 9, 9, &[AckType::Accept]);
    assert_eq!((part.start(), part.run_count()), (Offset(10), 0));
}

#[test]
fn records_of_aborted_transactions_are_never_delivered() {
    let mut part = fresh(0);
    let member = "a".into();
    let asked = Acquire {
        member: &member,
        mode: AcquireMode::BatchOptimized,
        records_max: 100,
        batch_size: 500,
        fetch_offset: Offset(0),
        batches: &LOG,
        aborted: &[span(0, 9), span(15, 16)],
    };
    assert_eq!(shown(&part.acquire(Moment(0), &asked, LIMITS)), [(10, 14, 1), (17, 29, 1)]);
    assert_eq!(part.start(), Offset(10));
}

#[test]
fn more_time_is_granted_on_request() {
    let mut part = fresh(0);
    take(&mut part, 0, "a", 10, &LOG);
    assert_eq!(ack(&mut part, 20_000, "a", 0, 4, &[AckType::Renew]), Ok(None));
    let write = part.tick(Moment(30_000), LIMITS).expect("the others are free");
    assert_eq!((write.batches[0].first, write.batches[0].last), (5, 9));
    assert_eq!(part.next_deadline(), Some(Moment(50_000)));
    let batches = [AckBatch { span: span(0, 4), types: vec![AckType::Renew] }];
    let refused = part.acknowledge(Moment(30_000), "a", &batches, Limits { renew: false, ..LIMITS });
    assert_eq!(refused, Err(AckRefusal::RenewDisabled));
}

#[test]
fn what_was_never_delivered_cannot_be_acknowledged_and_nothing_changes() {
    let mut part = fresh(0);
    assert_eq!(ack(&mut part, 0, "a", 0, 0, &[AckType::Accept]), Err(AckRefusal::NotFound));
    take(&mut part, 0, "a", 10, &LOG);
    for (first, last, why) in [
        (10, 12, AckRefusal::FirstPastAcquired),
        (5, 12, AckRefusal::LastPastAcquired),
        (0, i64::MAX, AckRefusal::LastPastAcquired),
    ] {
        assert_eq!(ack(&mut part, 0, "a", first, last, &[AckType::Accept]), Err(why));
    }
    assert_eq!(ack(&mut part, 0, "a", 0, 9, &[AckType::Accept, AckType::Accept]), Err(AckRefusal::Types));
    let twice =
        [(0, 5), (4, 9)].map(|(first, last)| AckBatch { span: span(first, last), types: vec![AckType::Accept] });
    assert_eq!(part.acknowledge(Moment(0), "a", &twice, LIMITS), Err(AckRefusal::Settling));
    settle(&mut part, "a", 0, 9, &[AckType::Accept]);
    assert_eq!(ack(&mut part, 0, "a", 0, 9, &[AckType::Accept]), Ok(None), "what is done with is passed over");
}

#[test]
fn what_is_remembered_goes_on_and_what_was_on_its_way_is_free() {
    let batch = |first, last, state, delivery_count| StateBatch { first, last, state, delivery_count };
    let batches = vec![
        batch(5, 7, DeliveryState::Acknowledged, 1),
        batch(10, 12, DeliveryState::Available, 2),
        batch(13, 14, DeliveryState::Acknowledged, 1),
    ];
    let mut part = SharePartition::new(&Loaded { state_epoch: 4, start: Offset(5), batches });
    assert_eq!((part.start(), part.state_epoch(), part.in_flight()), (Offset(8), 4, 7));
    assert_eq!(take(&mut part, 0, "a", 100, &LOG), [(8, 9, 1), (10, 12, 3), (15, 29, 1)]);
}

#[test]
fn deleted_records_are_done_with() {
    let mut part = fresh(0);
    take(&mut part, 0, "a", 10, &LOG);
    assert!(!part.log_start_moved(Offset(0)));
    assert!(part.log_start_moved(Offset(4)));
    assert_eq!((part.start(), part.in_flight()), (Offset(4), 6));
    settle(&mut part, "a", 0, 9, &[AckType::Accept]);
    assert!(part.log_start_moved(Offset(100)));
    assert_eq!((part.start(), part.fetch_offset(LIMITS)), (Offset(100), Some(Offset(100))));
}

#[test]
fn records_that_fail_often_are_delivered_a_few_at_a_time() {
    let mut part = fresh(0);
    for _ in 1..=3 {
        assert_eq!(take(&mut part, 0, "a", 100, &[span(0, 7)]).len(), 1);
        settle(&mut part, "a", 0, 7, &[AckType::Release]);
    }
    assert_eq!(take(&mut part, 0, "a", 100, &[span(0, 7)]), [(0, 3, 4)]);
    settle(&mut part, "a", 0, 3, &[AckType::Release]);
    assert_eq!(take(&mut part, 0, "a", 100, &[span(0, 7)]), [(0, 0, 5)], "the last time alone");
    settle(&mut part, "a", 0, 0, &[AckType::Accept]);
    for at in 1..=3 {
        assert_eq!(take(&mut part, 0, "a", 100, &[span(0, 7)]), [(at, at, 5)]);
        settle(&mut part, "a", at, at, &[AckType::Accept]);
    }
    assert_eq!(take(&mut part, 0, "a", 100, &[span(0, 7)]), [(4, 7, 4)], "half of those that came together at first");
    settle(&mut part, "a", 4, 7, &[AckType::Release]);
    assert_eq!(take(&mut part, 0, "a", 100, &[span(0, 7)]), [(4, 4, 5)]);
}

/// The bar is 100 bytes.
#[test]
fn a_run_is_small() {
    assert!(size_of::<(i64, Run)>() <= 72, "{}", size_of::<(i64, Run)>());
}
