//! What clients did and saw, and which promises that breaks: the anomalies of Jepsen's Kafka workload.
//!
//! Every value is sent once and is unique, so that a value says which send it comes from. A client of the simulation notes
//! each call when it begins and when it ends; [`History::anomalies`] judges afterwards.

mod groups;
mod leaders;
#[cfg(test)]
mod tests;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};

use groups::{Commit, Resumption, Tenure};
pub use groups::{Committing, Member};
use transactions::Transaction;
pub use transactions::{Ending, Txn};

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

impl Outcome {
    /// Whether it was acknowledged.
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(self, Self::Acknowledged(_) | Self::Written)
    }
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
    transaction: Option<Txn>,
}

#[derive(Clone, Debug)]
struct Poll {
    at: Instant,
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
    /// A consumer was given an offset that is not above the one before it, in one poll or in the next.
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
    /// A consumer went on behind a record that is there without having been given it.
    PollSkip {
        /// Of which partition.
        partition: i32,
        /// Which consumer.
        consumer: u32,
        /// The offset that was passed over.
        offset: i64,
    },
    /// A consumer of committed records was given one of a transaction that was aborted, or never to be committed (G1a).
    AbortedRead {
        /// Of which partition.
        partition: i32,
        /// Where it is.
        offset: i64,
        /// What it is.
        value: Value,
    },
    /// A consumer of committed records was given one before its producer asked to commit.
    PrecommittedRead {
        /// Of which partition.
        partition: i32,
        /// Where it is.
        offset: i64,
        /// What it is.
        value: Value,
    },
    /// Of the records of one transaction some are committed and some are not.
    TornTransaction {
        /// Those that can be read.
        seen: Vec<Value>,
        /// Those that cannot, although they were acknowledged.
        missing: Vec<Value>,
    },
    /// A producer's later transaction is before its earlier one in some partition, as in a cycle of writes (G0).
    G0 {
        /// Of which partition.
        partition: i32,
        /// A value of the transaction that came first.
        earlier: Value,
        /// A value of the one that began when that one had ended.
        later: Value,
    },
    /// A member of a group committed an offset although the partition had gone to another member, or two own it at once.
    DoubleOwnership {
        /// Of which partition.
        partition: i32,
        /// Who committed, or owns it as well.
        member: u32,
        /// Who owns it.
        owner: u32,
    },
    /// A partition came to a member, which began before an offset that had been committed.
    LostCommit {
        /// Of which partition.
        partition: i32,
        /// What was committed.
        committed: i64,
        /// Where the member began.
        found: i64,
    },
    /// Two nodes have answered as the leader in one leader epoch: one of them does not compare epochs, or does not know that
    /// it was fenced.
    TwoLeaders {
        /// Of which partition.
        partition: i32,
        /// The leader epoch.
        epoch: i32,
        /// Who answered.
        nodes: Vec<i32>,
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
    transactions: Vec<Transaction>,
    tenures: Vec<Tenure>,
    commits: Vec<Commit>,
    resumptions: Vec<Resumption>,
    /// By partition and leader epoch: who answered as the leader.
    leaders: BTreeMap<(i32, i32), BTreeSet<i32>>,
}

impl History {
    fn tick(&mut self) -> Instant {
        self.now += 1;
        self.now
    }

    /// A producer begins to send a value. Without [`History::sent`] its outcome stays unknown.
    pub fn sends(&mut self, producer: u32, partition: i32, value: Value) -> Pending {
        self.note_send(producer, partition, value, None)
    }

    fn note_send(&mut self, producer: u32, partition: i32, value: Value, transaction: Option<Txn>) -> Pending {
        let (begun, ended, outcome) = (self.tick(), Instant::MAX, Outcome::Unknown);
        self.sends.push(Send { producer, partition, value, begun, ended, outcome, transaction });
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
        let at = self.tick();
        self.polls.push(Poll { at, consumer, partition, from, records });
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

    /// The partition of the newest record that was acknowledged.
    #[must_use]
    pub fn last_acknowledged(&self) -> Option<i32> {
        let written = self.sends.iter().filter(|send| send.outcome.is_written());
        written.max_by_key(|send| send.ended).map(|send| send.partition)
    }

    /// Says in one number what happened: another history has another one, but for chance.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let text = format!("{self:?}");
        // FNV-1a.
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// Every promise that is broken. Everything must have been read once from the beginning to the end, after the last send:
    /// only then is it certain that what was not seen is lost.
    #[must_use]
    pub fn anomalies(&self) -> Vec<Anomaly> {
        let partitions: BTreeSet<i32> = self.sends.iter().map(|send| send.partition).collect();
        let mut found: Vec<Anomaly> =
            partitions.into_iter().flat_map(|partition| self.anomalies_in(partition)).collect();
        self.judge_transactions(&mut found);
        self.judge_groups(&mut found);
        found.extend(self.two_leaders());
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
        self.lost(partition, &sends, &by_offset, &mut found);
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
        follow_consumers(partition, &polls, &by_offset, &mut found);
        self.stale(partition, &sends, &mut found);
        found
    }

    fn lost(&self, partition: i32, sends: &[&Send], read: &BTreeMap<i64, BTreeSet<Value>>, found: &mut Vec<Anomaly>) {
        for send in sends.iter().filter(|send| self.is_committed(send)) {
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

/// Follows each consumer through its polls.
fn follow_consumers(partition: i32, polls: &[&Poll], known: &BTreeMap<i64, BTreeSet<Value>>, found: &mut Vec<Anomaly>) {
    let mut positions: BTreeMap<u32, i64> = BTreeMap::new();
    for poll in polls {
        let consumer = poll.consumer;
        let mut next = positions.get(&consumer).copied().unwrap_or(poll.from).max(poll.from);
        for (offset, _) in &poll.records {
            if *offset < next {
                found.push(Anomaly::NonmonotonicPoll { partition, consumer, offset: *offset });
                continue;
            }
            for (skipped, _) in known.range(next..*offset) {
                found.push(Anomaly::PollSkip { partition, consumer, offset: *skipped });
            }
            next = offset + 1;
        }
        positions.insert(consumer, next);
    }
}
