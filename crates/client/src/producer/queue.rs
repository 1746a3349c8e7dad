//! The batches of one partition, in the order in which they are written.

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_records::sequence_after;
use thalweg_sys::time::Instant;

use super::batch::{Batch, Identity};

/// The batches of one partition.
///
/// Invariants:
/// - `waiting` is in the order of the records: those that were sent before and came back stand in front.
/// - After a batch came back nothing is sent until all that were on the way with it are back, so that they are sent again
///   in their order.
/// - Stamped batches have consecutive sequence numbers under one identity.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Takes the next records.
    pub(super) open: Option<Batch>,
    waiting: VecDeque<Batch>,
    /// The serial numbers of the batches on the way; the halves of a batch that was split share one.
    on_the_way: Vec<u64>,
    /// Whether one of those came back.
    recovering: bool,
    /// Whether sequence numbers begin anew under the next identity, once nothing is on the way.
    restamp: bool,
    identity: Option<Identity>,
    next_sequence: i32,
    next_serial: u64,
    not_before: Option<Instant>,
    /// Compressed size of the last batch, in hundredths of its size before.
    pub(super) percent: usize,
}

impl Queue {
    /// The serial number of the next batch.
    pub(super) fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Moves the open batch behind those that wait: it takes no more records.
    pub(super) fn close_open(&mut self) {
        self.waiting.extend(self.open.take());
    }

    /// Whether nothing waits and nothing is on the way.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none() && self.waiting.is_empty() && self.on_the_way.is_empty()
    }

    /// Whether a batch waits whose time has come.
    fn is_ready(&self, now: Instant, linger: Duration, identity: Option<Identity>) -> bool {
        self.ready_at(linger, identity).is_some_and(|at| at <= now)
    }

    /// When something can be sent; `None` if that needs another event.
    pub(super) fn ready_at(&self, linger: Duration, identity: Option<Identity>) -> Option<Instant> {
        let is_new = identity.is_some() && self.identity != identity && !self.has_sent_waiting();
        if (self.recovering || is_new) && !self.on_the_way.is_empty() {
            return None;
        }
        let first = match (self.waiting.front(), &self.open) {
            (Some(first), _) => first.created_at,
            (None, Some(open)) => open.created_at + linger,
            (None, None) => return None,
        };
        Some(self.not_before.map_or(first, |not_before| not_before.max(first)))
    }

    /// Whether the batch that is next was sent before.
    fn has_sent_waiting(&self) -> bool {
        self.waiting.front().is_some_and(|batch| batch.stamp.is_some())
    }

    /// Takes the next batch to send. `identity` is the producer's if it is idempotent. A new identity is taken on when
    /// nothing that was sent under the old one is open.
    pub(super) fn take(&mut self, now: Instant, linger: Duration, identity: Option<Identity>) -> Option<Batch> {
        if !self.is_ready(now, linger, identity) {
            return None;
        }
        if self.on_the_way.is_empty() {
            self.recovering = false;
            if std::mem::take(&mut self.restamp) {
                self.waiting.iter_mut().for_each(|batch| batch.stamp = None);
                self.identity = None;
            }
        }
        if self.waiting.is_empty() {
            self.close_open();
        }
        if identity.is_some() && self.identity != identity && !self.has_sent_waiting() {
            assert!(self.on_the_way.is_empty(), "a new identity waits for what was sent under the old one");
            self.identity = identity;
            self.next_sequence = 0;
        }
        let mut batch = self.waiting.pop_front()?;
        if let (Some(identity), None) = (self.identity, batch.stamp) {
            batch.stamp = Some((identity, self.next_sequence));
            self.next_sequence = sequence_after(self.next_sequence, batch.count.cast_signed());
        }
        self.on_the_way.push(batch.serial);
        Some(batch)
    }

    /// A batch is written, or given up.
    pub(super) fn done(&mut self, serial: u64) {
        if let Some(at) = self.on_the_way.iter().position(|sent| *sent == serial) {
            self.on_the_way.swap_remove(at);
        }
    }

    /// Batches come back, to be sent again not before a moment.
    pub(super) fn came_back(&mut self, batches: Vec<Batch>, not_before: Instant) {
        for batch in batches {
            self.done(batch.serial);
            let at = self.waiting.iter().take_while(|waiting| waiting.serial <= batch.serial).count();
            self.waiting.insert(at, batch);
        }
        self.recovering = true;
        self.not_before = Some(not_before);
    }

    /// Whether every record before a batch on the way is written or given up.
    pub(super) fn is_first(&self, serial: u64) -> bool {
        let sent_before = self.waiting.front().is_some_and(|batch| batch.stamp.is_some() && batch.serial < serial);
        !sent_before && self.on_the_way.iter().all(|sent| *sent >= serial)
    }

    /// Sequence numbers begin anew when the producer has its next identity.
    pub(super) fn restamp(&mut self) {
        self.restamp = true;
    }

    /// The identity under which the batches of this partition are sent.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Takes out the batches that wait and were created before a moment.
    pub(super) fn expired(&mut self, created_before: Instant) -> Vec<Batch> {
        let is_expired = |batch: &Batch| batch.created_at <= created_before;
        if self.waiting.is_empty() && self.open.as_ref().is_some_and(is_expired) {
            self.close_open();
        }
        let count = self.waiting.iter().take_while(|batch| is_expired(batch)).count();
        self.waiting.drain(..count).collect()
    }

    /// Takes out everything that waits.
    pub(super) fn clear(&mut self) -> Vec<Batch> {
        self.close_open();
        std::mem::take(&mut self.waiting).into()
    }
}

#[cfg(test)]
mod tests {
    use thalweg_base::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};
    use thalweg_records::BatchOptions;

    use super::*;

    const LINGER: Duration = Duration::from_millis(10);

    fn identity(epoch: i16) -> Option<Identity> {
        Some(Identity { id: ProducerId(7), epoch: ProducerEpoch(epoch) })
    }

    /// A queue with so many closed batches of two records each.
    fn queue(count: u64, at: Instant) -> Queue {
        let mut queue = Queue::default();
        for _ in 0..count {
            let mut batch = Batch::new(queue.serial(), BatchOptions::default(), at);
            for _ in 0..2 {
                let write = |builder: &mut thalweg_records::BatchBuilder| {
                    builder.append(Timestamp(1), None, Some(b"x"), &[]);
                };
                drop(batch.append(&TopicPartition::new("t", 0), 1, write));
            }
            queue.open = Some(batch);
            queue.close_open();
        }
        queue
    }

    fn stamp(batch: &Batch) -> (i16, i32) {
        batch.stamp.map_or((-1, -1), |(identity, sequence)| (identity.epoch.0, sequence))
    }

    #[test]
    fn what_comes_back_is_sent_again_in_order_under_the_same_numbers() {
        let at = thalweg_sys::time::now();
        let mut queue = queue(4, at);
        let take = |queue: &mut Queue| queue.take(at, LINGER, identity(0));
        let first = take(&mut queue).expect("a batch");
        let second = take(&mut queue).expect("a batch");
        let third = take(&mut queue).expect("a batch");
        assert_eq!([stamp(&first), stamp(&second), stamp(&third)], [(0, 0), (0, 2), (0, 4)]);
        let serials = (first.serial, second.serial, third.serial);
        queue.came_back(vec![second], at);
        assert!(take(&mut queue).is_none(), "the first and the third are still on the way");
        assert!(queue.is_first(serials.0) && !queue.is_first(serials.2));
        queue.came_back(vec![third], at);
        queue.done(serials.0);
        let again: Vec<(i16, i32)> = (0..3).filter_map(|_| take(&mut queue)).map(|batch| stamp(&batch)).collect();
        assert_eq!(again, [(0, 2), (0, 4), (0, 6)]);
    }

    #[test]
    fn a_new_identity_waits_for_what_was_sent_under_the_old_one() {
        let at = thalweg_sys::time::now();
        let mut queue = queue(3, at);
        let first = queue.take(at, LINGER, identity(0)).expect("a batch");
        assert!(queue.take(at, LINGER, identity(1)).is_none());
        queue.came_back(vec![first], at);
        let again = queue.take(at, LINGER, identity(1)).expect("a batch");
        assert_eq!(stamp(&again), (0, 0), "it may have been written under this number");
        queue.done(again.serial);
        assert_eq!(stamp(&queue.take(at, LINGER, identity(1)).expect("a batch")), (1, 0));
    }

    #[test]
    fn a_lost_sequence_begins_anew() {
        let at = thalweg_sys::time::now();
        let mut queue = queue(2, at);
        let first = queue.take(at, LINGER, identity(0)).expect("a batch");
        queue.restamp();
        queue.came_back(vec![first], at);
        let sent: Vec<(i16, i32)> =
            (0..2).filter_map(|_| queue.take(at, LINGER, identity(1))).map(|batch| stamp(&batch)).collect();
        assert_eq!(sent, [(1, 0), (1, 2)]);
    }

    #[test]
    fn an_open_batch_is_sent_when_it_has_lingered() {
        let at = thalweg_sys::time::now();
        let mut queue = queue(1, at);
        queue.open = queue.waiting.pop_front();
        assert!(queue.take(at, LINGER, None).is_none());
        assert_eq!(queue.ready_at(LINGER, None), Some(at + LINGER));
        assert_eq!(stamp(&queue.take(at + LINGER, LINGER, None).expect("a batch")), (-1, -1));
    }
}
