//! What clients did and saw, and which promises that breaks: the anomalies of Jepsen's Kafka workload.
//!
//! Every value is sent once and is unique, so that a value says which send it comes from. A client of the simulation notes
//! each call when it begins and when it ends; [`History::anomalies`] judges afterwards.

use std::collections::{BTreeMap, BTreeSet};

/// A value that is sent at most once by the clients of a history.
pub type Value = u64;
/// When something happened, counted in events of the history.
type Instant = usize;

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged with this offset.
    Acknowledged(i64),
    /// It was acknowledged without an offset: a retry found it written already.
    Written,
    /// It was refused for good: no record of it may ever be seen.
    Refused,
    /// Nobody knows: the connection ended, or time ran out. The value may be there or not.
    Unknown,
}

/// A send that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pending(usize);

#[derive(Clone, Debug)]
struct Send {
    producer: u32,
    partition: i32,
    value: Value,
    begun: Instant,
    ended: Instant,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
struct Poll {
    consumer: u32,
    partition: i32,
    /// Where it asked, and what it was given, by offset.
    from: i64,
    records: Vec<(i64, Value)>,
}

#[derive(Clone, Debug)]
struct EndOffset {
    partition: i32,
    begun: Instant,
    end: i64,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// An acknowledged value is nowhere, although what stands behind it was read.
    Lost {
        /// Of which partition.
        partition: i32,
        /// The offset that was acknowledged, if any was.
        offset: Option<i64>,
        /// What is missing.
        value: Value,
    },
    /// A value of an idempotent producer is at more than one offset.
    Duplicated {
        /// Of which partition.
        partition: i32,
        /// Which one.
        value: Value,
        /// Where it is.
        offsets: Vec<i64>,
    },
    /// A producer sent `later` after `earlier` was acknowledged, and it has the lower offset.
    Reordered {
        /// Of which partition.
        partition: i32,
        /// The value that was sent first.
        earlier: Value,
        /// The value that was sent afterwards.
        later: Value,
    },
    /// A consumer was given an offset that is not above the one before it.
    NonmonotonicPoll {
        /// Of which partition.
        partition: i32,
        /// Which consumer.
        consumer: u32,
        /// The offset that came too late.
        offset: i64,
    },
    /// A value was read that nobody sent, or whose send was refused.
    Phantom {
        /// Of which partition.
        partition: i32,
        /// Where it is.
        offset: i64,
        /// What it is.
        value: Value,
    },
    /// Two values at one offset: a record that was read was taken back, or replicas differ.
    InconsistentOffset {
        /// Of which partition.
        partition: i32,
        /// Where they are.
        offset: i64,
        /// Which ones.
        values: Vec<Value>,
    },
    /// The end of the log was asked for after a record had been acknowledged, and did not lie behind it.
    StaleRead {
        /// Of which partition.
        partition: i32,
        /// The acknowledged offset.
        offset: i64,
        /// The end that was told.
        end: i64,
    },
}

/// Everything that the clients of a simulation did.
#[derive(Clone, Debug, Default)]
pub struct History {
    now: Instant,
    sends: Vec<Send>,
    polls: Vec<Poll>,
    ends: Vec<EndOffset>,
}

impl History {
    fn tick(&mut self) -> Instant {
        self.now += 1;
        self.now
    }

    /// A producer begins to send a value. Without [`History::sent`] its outcome stays unknown.
    pub fn sends(&mut self, producer: u32, partition: i32, value: Value) -> Pending {
        let begun = self.tick();
        self.sends.push(Send { producer, partition, value, begun, ended: Instant::MAX, outcome: Outcome::Unknown });
        Pending(self.sends.len() - 1)
    }

    /// A send has ended.
    pub fn sent(&mut self, pending: Pending, outcome: Outcome) {
        let ended = self.tick();
        let send = &mut self.sends[pending.0];
        (send.ended, send.outcome) = (ended, outcome);
    }

    /// A consumer asked for records from an offset, and was given these.
    pub fn polled(&mut self, consumer: u32, partition: i32, from: i64, records: Vec<(i64, Value)>) {
        self.tick();
        self.polls.push(Poll { consumer, partition, from, records });
    }

    /// When a question for the end of a log begins.
    pub fn asks_end(&mut self) -> usize {
        self.tick()
    }

    /// The end of the log that was told to a question that began then.
    pub fn told_end(&mut self, begun: usize, partition: i32, end: i64) {
        self.tick();
        self.ends.push(EndOffset { partition, begun, end });
    }

    /// How many sends were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.sends.iter().filter(|send| matches!(send.outcome, Outcome::Acknowledged(_) | Outcome::Written)).count()
    }

    /// Every promise that is broken. Everything must have been read once from the beginning to the end, after the last send:
    /// only then is it certain that what was not seen is lost.
    #[must_use]
    pub fn anomalies(&self) -> Vec<Anomaly> {
        let partitions: BTreeSet<i32> = self.sends.iter().map(|send| send.partition).collect();
        let mut found: Vec<Anomaly> =
            partitions.into_iter().flat_map(|partition| self.anomalies_in(partition)).collect();
        found.sort();
        found.dedup();
        found
    }

    fn anomalies_in(&self, partition: i32) -> Vec<Anomaly> {
        let sends: Vec<&Send> = self.sends.iter().filter(|send| send.partition == partition).collect();
        let polls: Vec<&Poll> = self.polls.iter().filter(|poll| poll.partition == partition).collect();
        let mut by_offset: BTreeMap<i64, BTreeSet<Value>> = BTreeMap::new();
        let mut by_value: BTreeMap<Value, BTreeSet<i64>> = BTreeMap::new();
        for (offset, value) in polls.iter().flat_map(|poll| &poll.records) {
            by_offset.entry(*offset).or_default().insert(*value);
            by_value.entry(*value).or_default().insert(*offset);
        }
        let mut found = Vec::new();
        lost(partition, &sends, &by_offset, &mut found);
        phantoms(partition, &sends, &by_offset, &mut found);
        for (value, offsets) in by_value.iter().filter(|(_, offsets)| offsets.len() > 1) {
            let offsets = offsets.iter().copied().collect();
            found.push(Anomaly::Duplicated { partition, value: *value, offsets });
        }
        for (offset, values) in by_offset.iter().filter(|(_, values)| values.len() > 1) {
            let values = values.iter().copied().collect();
            found.push(Anomaly::InconsistentOffset { partition, offset: *offset, values });
        }
        reordered(partition, &sends, &by_value, &mut found);
        nonmonotonic(partition, &polls, &mut found);
        self.stale(partition, &sends, &mut found);
        found
    }

    fn stale(&self, partition: i32, sends: &[&Send], found: &mut Vec<Anomaly>) {
        for ask in self.ends.iter().filter(|ask| ask.partition == partition) {
            for send in sends.iter().filter(|send| send.ended < ask.begun) {
                if let Outcome::Acknowledged(offset) = send.outcome
                    && ask.end <= offset
                {
                    found.push(Anomaly::StaleRead { partition, offset, end: ask.end });
                }
            }
        }
    }
}

fn lost(partition: i32, sends: &[&Send], read: &BTreeMap<i64, BTreeSet<Value>>, found: &mut Vec<Anomaly>) {
    for send in sends {
        let (offset, is_there) = match send.outcome {
            Outcome::Acknowledged(offset) => {
                (Some(offset), read.get(&offset).is_some_and(|values| values.contains(&send.value)))
            }
            Outcome::Written => (None, read.values().any(|values| values.contains(&send.value))),
            Outcome::Refused | Outcome::Unknown => continue,
        };
        if !is_there {
            found.push(Anomaly::Lost { partition, offset, value: send.value });
        }
    }
}

fn phantoms(partition: i32, sends: &[&Send], read: &BTreeMap<i64, BTreeSet<Value>>, found: &mut Vec<Anomaly>) {
    let possible: BTreeSet<Value> =
        sends.iter().filter(|send| send.outcome != Outcome::Refused).map(|send| send.value).collect();
    for (offset, values) in read {
        for value in values.iter().filter(|value| !possible.contains(value)) {
            found.push(Anomaly::Phantom { partition, offset: *offset, value: *value });
        }
    }
}

/// A send that began after another one of its producer was acknowledged comes after it, wherever its own outcome is known or
/// its record was seen.
fn reordered(partition: i32, sends: &[&Send], seen: &BTreeMap<Value, BTreeSet<i64>>, found: &mut Vec<Anomaly>) {
    let place = |send: &Send| match send.outcome {
        Outcome::Acknowledged(offset) => Some(offset),
        _ => seen.get(&send.value).and_then(|offsets| offsets.first().copied()),
    };
    // By producer: the send with the highest offset so far whose end is known. Sends begin in the order of the list.
    let mut highest: BTreeMap<u32, Vec<(Instant, i64, Value)>> = BTreeMap::new();
    for send in sends {
        let Some(offset) = place(send) else { continue };
        let before = highest.entry(send.producer).or_default();
        let earlier = before.iter().filter(|(ended, ..)| *ended < send.begun).max_by_key(|(_, offset, _)| *offset);
        if let Some((_, _, value)) = earlier.filter(|(_, above, _)| *above > offset) {
            found.push(Anomaly::Reordered { partition, earlier: *value, later: send.value });
        }
        before.push((send.ended, offset, send.value));
    }
}

fn nonmonotonic(partition: i32, polls: &[&Poll], found: &mut Vec<Anomaly>) {
    for poll in polls {
        let mut next = poll.from;
        for (offset, _) in &poll.records {
            if *offset < next {
                found.push(Anomaly::NonmonotonicPoll { partition, consumer: poll.consumer, offset: *offset });
            }
            next = next.max(offset + 1);
        }
    }
}

#[cfg(test)]
mod tests {
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
                |history| history.polled(7, 0, 1, vec![(1, 1), (0, 0)]),
                Anomaly::NonmonotonicPoll { partition: 0, consumer: 7, offset: 0 },
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
}
