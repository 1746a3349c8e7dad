//! Each broken promise in a small history of its own.

use super::*;

/// Three sends of one producer, acknowledged at 0, 1 and 2, and all of them read.
fn good() -> History {
    let mut history = History::default();
    for value in 0..3 {
        let pending = history.sends(1, 0, value);
        history.sent(pending, Outcome::Acknowledged(value as i64));
    }
    let begun = history.asks_end();
    history.told_end(begun, 0, 3);
    history.polled(7, 0, 0, vec![(0, 0), (1, 1), (2, 2)]);
    history
}

#[test]
fn a_history_that_keeps_its_promises_has_no_anomaly() {
    let mut history = good();
    // A send of which nobody knows may be there, or not.
    let _ = history.sends(1, 0, 8);
    let pending = history.sends(1, 0, 9);
    history.sent(pending, Outcome::Unknown);
    history.polled(7, 0, 3, vec![(3, 9)]);
    assert_eq!((history.anomalies(), history.acknowledged()), (vec![], 3));
}

/// Makes a history break one promise.
type Breach = fn(&mut History);

#[test]
fn each_broken_promise_is_named() {
    let broken: [(Breach, Anomaly); 7] = [
        (
            |history| {
                let pending = history.sends(1, 0, 5);
                history.sent(pending, Outcome::Acknowledged(3));
            },
            Anomaly::Lost { partition: 0, offset: Some(3), value: 5 },
        ),
        (
            |history| history.polled(7, 0, 3, vec![(3, 1)]),
            Anomaly::Duplicated { partition: 0, value: 1, offsets: vec![1, 3] },
        ),
        (
            |history| {
                // The one at 9 is acknowledged first.
                for (value, offset) in [(20, 9), (21, 8)] {
                    let pending = history.sends(1, 0, value);
                    history.sent(pending, Outcome::Acknowledged(offset));
                }
                history.polled(7, 0, 8, vec![(8, 21), (9, 20)]);
            },
            Anomaly::Reordered { partition: 0, earlier: 20, later: 21 },
        ),
        (
            |history| history.polled(8, 0, 1, vec![(1, 1), (0, 0)]),
            Anomaly::NonmonotonicPoll { partition: 0, consumer: 8, offset: 0 },
        ),
        (
            |history| {
                let pending = history.sends(1, 0, 6);
                history.sent(pending, Outcome::Refused);
                history.polled(7, 0, 3, vec![(3, 6)]);
            },
            Anomaly::Phantom { partition: 0, offset: 3, value: 6 },
        ),
        (
            |history| {
                let _ = history.sends(1, 0, 30);
                history.polled(8, 0, 2, vec![(2, 30)]);
            },
            Anomaly::InconsistentOffset { partition: 0, offset: 2, values: vec![2, 30] },
        ),
        (
            |history| {
                let begun = history.asks_end();
                history.told_end(begun, 0, 2);
            },
            Anomaly::StaleRead { partition: 0, offset: 2, end: 2 },
        ),
    ];
    for (breaks, expected) in broken {
        let mut history = good();
        breaks(&mut history);
        assert_eq!(history.anomalies(), [expected]);
    }
}

#[test]
fn a_question_that_began_before_the_acknowledgement_may_miss_it() {
    let mut history = good();
    let begun = history.asks_end();
    let pending = history.sends(2, 0, 40);
    history.sent(pending, Outcome::Acknowledged(3));
    history.told_end(begun, 0, 3);
    history.polled(7, 0, 3, vec![(3, 40)]);
    assert_eq!(history.anomalies(), []);
}

#[test]
fn each_broken_promise_to_consumers_of_committed_records_is_named() {
    // Two transactions of one producer over two partitions, the first committed.
    let story = |seen: &[(i32, i64, Value)], second: Ending, early: bool| {
        let mut history = History::default();
        for (txn, values) in [[(0, 1), (1, 2)], [(0, 3), (1, 4)]].into_iter().enumerate() {
            let transaction = history.begins(5);
            for (partition, value) in values {
                let pending = history.sends_in(transaction, partition, value);
                history.sent(pending, Outcome::Acknowledged(txn as i64));
            }
            if early && txn == 1 {
                history.polled(7, 0, 1, vec![(1, 3)]);
            }
            if txn == 0 || second != Ending::Aborted {
                history.asks_to_commit(transaction);
            }
            history.ended(transaction, if txn == 0 { Ending::Committed } else { second });
        }
        for partition in [0, 1] {
            let mut records: Vec<(i64, Value)> =
                seen.iter().filter(|(at, ..)| *at == partition).map(|(_, offset, value)| (*offset, *value)).collect();
            records.sort_unstable();
            history.polled(8, partition, 0, records);
        }
        history.anomalies()
    };
    let both = [(0, 0, 1), (1, 0, 2), (0, 1, 3), (1, 1, 4)];
    assert_eq!(story(&both, Ending::Committed, false), []);
    assert_eq!(story(&both, Ending::Unknown, false), []);
    assert_eq!(story(&both[..2], Ending::Aborted, false), []);
    assert_eq!(
        story(&both, Ending::Aborted, false),
        [
            Anomaly::AbortedRead { partition: 0, offset: 1, value: 3 },
            Anomaly::AbortedRead { partition: 1, offset: 1, value: 4 }
        ]
    );
    assert_eq!(
        story(&both, Ending::Committed, true),
        [Anomaly::PrecommittedRead { partition: 0, offset: 1, value: 3 }]
    );
    assert_eq!(
        story(&both[..3], Ending::Unknown, false),
        [Anomaly::TornTransaction { seen: vec![3], missing: vec![4] }]
    );
    let crossed = [(0, 0, 1), (1, 1, 2), (0, 1, 3), (1, 0, 4)];
    let found = story(&crossed, Ending::Unknown, false);
    assert!(found.contains(&Anomaly::G0 { partition: 1, earlier: 2, later: 4 }), "{found:?}");
}

#[test]
fn a_consumer_that_passes_over_a_record_is_named() {
    let mut history = good();
    history.polled(8, 0, 0, vec![(0, 0), (2, 2)]);
    assert_eq!(history.anomalies(), [Anomaly::PollSkip { partition: 0, consumer: 8, offset: 1 }]);
}

#[test]
fn two_leaders_in_one_epoch_are_named() {
    let mut history = good();
    [(1, 4), (1, 4), (2, 5), (1, 6)].into_iter().for_each(|(node, epoch)| history.led(node, 0, epoch));
    assert_eq!((history.anomalies(), history.two_leaders()), (vec![], vec![]));
    history.led(1, 0, 5);
    assert_eq!(history.anomalies(), [Anomaly::TwoLeaders { partition: 0, epoch: 5, nodes: vec![1, 2] }]);
    assert_eq!(history.two_leaders(), history.anomalies());
}

#[test]
fn a_partition_with_two_owners_and_a_lost_commit_are_named() {
    let member = |member, generation| Member { group: 1, member, generation };
    let mut history = History::default();
    history.owns(member(1, 1), 0);
    let first = history.moment();
    history.resumes(first, 1, 0, 0);
    let committing = history.commits(member(1, 1), 0, 10);
    history.committed(committing);
    history.owns(member(2, 2), 0);
    let second = history.moment();
    history.resumes(second, 1, 0, 10);
    // The first one was not heard of, and its commit is refused: nothing is wrong.
    let _ = history.commits(member(1, 1), 0, 20);
    assert_eq!((history.anomalies(), history.committed_offsets()), (vec![], 1));

    let mut late = history.clone();
    let committing = late.commits(member(1, 1), 0, 20);
    late.committed(committing);
    assert_eq!(late.anomalies(), [Anomaly::DoubleOwnership { partition: 0, member: 1, owner: 2 }]);

    let mut both = history.clone();
    both.owns(member(1, 2), 0);
    assert_eq!(both.anomalies(), [Anomaly::DoubleOwnership { partition: 0, member: 2, owner: 1 }]);

    history.owns(member(3, 3), 0);
    let third = history.moment();
    history.resumes(third, 1, 0, 4);
    assert_eq!(history.anomalies(), [Anomaly::LostCommit { partition: 0, committed: 10, found: 4 }]);
}
