//! Transactions: what is committed is whole, and nobody reads what is not.

use std::collections::{BTreeMap, BTreeSet};

use super::{Anomaly, History, Instant, Outcome, Pending, Send, Value};

/// A transaction that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Txn(usize);

/// How a transaction ended, as its producer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is committed.
    Committed,
    /// It is aborted.
    Aborted,
    /// Nobody knows.
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct Transaction {
    producer: u32,
    begun: Instant,
    /// When the producer asked to commit it.
    asked: Option<Instant>,
    ended: Instant,
    ending: Ending,
}

impl History {
    /// A producer begins a transaction. Without [`History::ended`] it stays unknown how it ended.
    pub fn begins(&mut self, producer: u32) -> Txn {
        let begun = self.tick();
        let (asked, ended, ending) = (None, Instant::MAX, Ending::Unknown);
        self.transactions.push(Transaction { producer, begun, asked, ended, ending });
        Txn(self.transactions.len() - 1)
    }

    /// As [`History::sends`], in a transaction.
    pub fn sends_in(&mut self, transaction: Txn, partition: i32, value: Value) -> Pending {
        let producer = self.transactions[transaction.0].producer;
        self.note_send(producer, partition, value, Some(transaction))
    }

    /// The producer asks to commit the transaction.
    pub fn asks_to_commit(&mut self, transaction: Txn) {
        let asked = self.tick();
        self.transactions[transaction.0].asked = Some(asked);
    }

    /// A transaction has ended.
    pub fn ended(&mut self, transaction: Txn, ending: Ending) {
        let ended = self.tick();
        let transaction = &mut self.transactions[transaction.0];
        (transaction.ended, transaction.ending) = (ended, ending);
    }

    /// How many transactions were told to be committed.
    #[must_use]
    pub fn committed_transactions(&self) -> usize {
        self.transactions.iter().filter(|transaction| transaction.ending == Ending::Committed).count()
    }

    fn transaction_of(&self, send: &Send) -> Option<&Transaction> {
        send.transaction.map(|txn| &self.transactions[txn.0])
    }

    /// Whether an acknowledged record must be there: it belongs to no transaction, or to a committed one.
    pub(super) fn is_committed(&self, send: &Send) -> bool {
        self.transaction_of(send).is_none_or(|transaction| transaction.ending == Ending::Committed)
    }

    /// Records of transactions are read by consumers of committed records only.
    pub(super) fn judge_transactions(&self, found: &mut Vec<Anomaly>) {
        let sends: BTreeMap<Value, &Send> = self.sends.iter().map(|send| (send.value, send)).collect();
        let mut places: BTreeMap<Value, i64> = BTreeMap::new();
        for poll in &self.polls {
            for (offset, value) in &poll.records {
                let (partition, offset, value) = (poll.partition, *offset, *value);
                places.insert(value, offset);
                let Some(transaction) = sends.get(&value).and_then(|send| self.transaction_of(send)) else { continue };
                match transaction.asked {
                    _ if transaction.ending == Ending::Aborted => {
                        found.push(Anomaly::AbortedRead { partition, offset, value });
                    }
                    None => found.push(Anomaly::AbortedRead { partition, offset, value }),
                    Some(asked) if poll.at < asked => {
                        found.push(Anomaly::PrecommittedRead { partition, offset, value });
                    }
                    Some(_) => {}
                }
            }
        }
        self.torn(&places, found);
        self.cycles(&places, found);
    }

    fn torn(&self, places: &BTreeMap<Value, i64>, found: &mut Vec<Anomaly>) {
        let mut values: BTreeMap<Txn, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
        for send in &self.sends {
            let Some(txn) = send.transaction else { continue };
            let (seen, missing) = values.entry(txn).or_default();
            if places.contains_key(&send.value) {
                seen.push(send.value);
            } else if matches!(send.outcome, Outcome::Acknowledged(_) | Outcome::Written) {
                missing.push(send.value);
            }
        }
        let torn = values.into_values().filter(|(seen, missing)| !seen.is_empty() && !missing.is_empty());
        found.extend(torn.map(|(seen, missing)| Anomaly::TornTransaction { seen, missing }));
    }

    /// In each partition the transactions of one producer stand in the order in which they were made.
    fn cycles(&self, places: &BTreeMap<Value, i64>, found: &mut Vec<Anomaly>) {
        let partitions: BTreeSet<i32> = self.sends.iter().map(|send| send.partition).collect();
        for partition in partitions {
            // By producer: the highest offset so far, whose value it is, and when its transaction ended.
            let mut highest: BTreeMap<u32, (i64, Value, Instant)> = BTreeMap::new();
            for send in self.sends.iter().filter(|send| send.partition == partition) {
                let Some((transaction, offset)) = self.transaction_of(send).zip(places.get(&send.value)) else {
                    continue;
                };
                let before = highest.get(&transaction.producer).copied();
                if let Some((above, earlier, ended)) = before
                    && above > *offset
                    && ended < transaction.begun
                {
                    found.push(Anomaly::G0 { partition, earlier, later: send.value });
                }
                if before.is_none_or(|(above, ..)| above < *offset) {
                    highest.insert(transaction.producer, (*offset, send.value, transaction.ended));
                }
            }
        }
    }
}
