//! A coordinator that is loaded: its shard, and who waits for it.

use std::collections::{BTreeMap, VecDeque};

use thalweg_base::{LeaderEpoch, Moment, Offset, ProducerEpoch, ProducerId};
use thalweg_coordinator::{Effect, LogRecord, Machine, Now, Origin as Replayed, Ticket};
use thalweg_metadata::MetadataImage;
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch};
use thalweg_replica::{Ack, Acks};
use thalweg_storage::Origin;
use thalweg_wire::ErrorCode;
use tokio::sync::oneshot;
use tracing::error;

use super::Storage;
use crate::drivers::marker::Marker;
use crate::drivers::partition::{AppendRefused, Appended, Partition};

/// So many requests may wait for their answers in one partition of the topic: each belongs to a connection, of which a
/// node has fewer. Connections that were closed meanwhile are not counted.
const OPEN_MAX: usize = 100_000;
/// Below this, looking for closed connections is not worth it.
const SWEEP_MIN: usize = 64;

/// What becomes of a request: the shard's answer, or why it could not be asked.
pub(crate) type Outcome<A> = Result<A, ErrorCode>;

/// An answer that waits until what it reveals is committed.
#[derive(Debug)]
struct Held<A> {
    /// The offset after the last record that it reveals.
    end: Offset,
    /// When its client is told that the replicas are too slow.
    deadline: Moment,
    ticket: Ticket,
    answer: A,
}

/// What is to be done when nothing is to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chore {
    /// The segments that are finished are to be flushed.
    FlushFinished,
    /// To wait: until something is due, or until the high watermark moves if answers wait for it.
    Wait { until: Option<Moment>, for_commit: bool },
}

/// See the module.
///
/// Invariants:
/// - What is held is ordered by `end`, and none of it lies beyond `appended`.
/// - A ticket is in `open` from when its request was taken until its answer leaves.
#[derive(Debug)]
pub(super) struct Active<S: Machine> {
    shard: S,
    storage: Storage,
    open: BTreeMap<Ticket, oneshot::Sender<Outcome<S::Answer>>>,
    sweep_at: usize,
    next_ticket: u64,
    held: VecDeque<Held<S::Answer>>,
    /// Errands that wait for the same, and the offset that each waits for. They wait as long as it takes.
    held_errands: VecDeque<(Offset, S::Errand)>,
    /// What is to be done elsewhere, once the lock is free.
    errands: Vec<S::Errand>,
    /// The leader epoch in which it coordinates.
    epoch: LeaderEpoch,
    /// The end of what was loaded or appended.
    appended: Offset,
    /// Up to here all is known to be committed.
    committed: Offset,
    /// A segment was finished and should be flushed.
    rolled: bool,
    /// When the coordinator's task looks again by itself.
    armed: Option<Moment>,
    /// The log takes no more: the coordinator has to end.
    lost: bool,
}

impl<S: Machine> Active<S> {
    /// A shard whose log was replayed up to `end` in a leader epoch.
    pub(super) fn new(shard: S, end: Offset, storage: Storage, epoch: LeaderEpoch) -> Self {
        Self {
            shard,
            epoch,
            storage,
            open: BTreeMap::new(),
            sweep_at: SWEEP_MIN,
            next_ticket: 0,
            held: VecDeque::new(),
            held_errands: VecDeque::new(),
            errands: Vec::new(),
            appended: end,
            committed: Offset::ZERO,
            rolled: false,
            armed: None,
            lost: false,
        }
    }

    /// Hands something to the shard and carries out what it asks for.
    pub(super) fn tell(
        &mut self,
        partition: &Partition,
        now: Now,
        image: &MetadataImage,
        tell: impl FnOnce(&mut S) -> Vec<Effect<S::Answer, S::Errand>>,
    ) {
        let effects = tell(&mut self.shard);
        let nobody = self.carry_out(partition, now, image, effects, None);
        assert!(nobody.is_none(), "nobody asked");
    }

    /// Asks the shard for an answer to a request, which comes at once or later.
    pub(super) fn ask(
        &mut self,
        partition: &Partition,
        now: Now,
        image: &MetadataImage,
        ask: impl FnOnce(&mut S, Ticket) -> Vec<Effect<S::Answer, S::Errand>>,
    ) -> Result<S::Answer, oneshot::Receiver<Outcome<S::Answer>>> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let effects = ask(&mut self.shard, ticket);
        if let Some(answer) = self.carry_out(partition, now, image, effects, Some(ticket)) {
            return Ok(answer);
        }
        let (sender, receiver) = oneshot::channel();
        self.open.insert(ticket, sender);
        Err(receiver)
    }

    /// Whether one more request may wait.
    pub(super) fn has_room(&mut self) -> bool {
        if self.open.len() >= self.sweep_at {
            // Whoever has left is not answered; the shard may go on with the ticket, which then means nobody.
            self.open.retain(|_, sender| !sender.is_closed());
            self.sweep_at = (2 * self.open.len()).max(SWEEP_MIN);
        }
        self.open.len() < OPEN_MAX
    }

    /// Does what the shard says, in order. Gives the answer for `current` if it may leave at once.
    fn carry_out(
        &mut self,
        partition: &Partition,
        now: Now,
        image: &MetadataImage,
        effects: Vec<Effect<S::Answer, S::Errand>>,
        current: Option<Ticket>,
    ) -> Option<S::Answer> {
        let mut answered = None;
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Write { write, producer, records } => {
                    let result = self.append(partition, now, producer, &records);
                    let next = self.shard.written(now, image, write, result);
                    for effect in next.into_iter().rev() {
                        effects.push_front(effect);
                    }
                }
                Effect::Answer { ticket, answer } if !self.is_committed(partition) => {
                    let deadline = now.moment.after(self.storage.commit_timeout);
                    self.held.push_back(Held { end: self.appended, deadline, ticket, answer });
                }
                Effect::Answer { ticket, answer } if Some(ticket) == current => answered = Some(answer),
                Effect::Answer { ticket, answer } => self.deliver(ticket, Ok(answer)),
                Effect::Errand(errand) => {
                    self.held_errands.push_back((self.appended, errand));
                    self.release_errands(partition);
                }
            }
        }
        answered
    }

    /// What is to be done elsewhere now.
    pub(super) fn take_errands(&mut self) -> Vec<S::Errand> {
        std::mem::take(&mut self.errands)
    }

    /// Appends records as one batch and replays them. The error is the log's: the shard knows what clients are told of it.
    fn append(
        &mut self,
        partition: &Partition,
        now: Now,
        producer: Option<(ProducerId, ProducerEpoch)>,
        records: &[LogRecord],
    ) -> Result<(), ErrorCode> {
        assert!(!records.is_empty(), "a write has records");
        let batch = self.batch(partition, now, producer, records)?;
        let appended = self.append_batch(partition, now, batch, 0, self.storage.acks)?;
        let base = appended.base;
        for (record, offset) in records.iter().zip(base.0..) {
            let origin = Replayed { offset: Offset(offset), timestamp: now.timestamp, producer };
            self.shard.replay(origin, record);
        }
        Ok(())
    }

    fn append_batch(
        &mut self,
        partition: &Partition,
        now: Now,
        mut batch: PreparedBatch,
        transaction_version: i16,
        acks: Acks,
    ) -> Result<Appended, ErrorCode> {
        let origin = Origin::Coordinator { transaction_version };
        let appended = partition.append(std::slice::from_mut(&mut batch), origin, acks, now.timestamp, now.moment);
        let appended = appended.map_err(|refused| {
            let error = match refused {
                AppendRefused::Error(error) | AppendRefused::Sequence(error, _) => error,
            };
            self.lost |= matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError);
            error
        })?;
        self.appended = appended.end;
        self.rolled |= appended.rolled;
        Ok(appended)
    }

    /// Appends the marker of a transaction that may have records here, and replays it.
    pub(super) fn end_transaction(
        &mut self,
        partition: &Partition,
        now: Now,
        marker: &Marker,
    ) -> Result<Appended, ErrorCode> {
        let batch = marker.batch(now.timestamp)?;
        let appended = self.append_batch(partition, now, batch, marker.transaction_version, Acks::All)?;
        self.shard.replay_end_of_transaction(marker.producer.id, marker.committed);
        Ok(appended)
    }

    fn batch(
        &self,
        partition: &Partition,
        now: Now,
        producer: Option<(ProducerId, ProducerEpoch)>,
        records: &[LogRecord],
    ) -> Result<PreparedBatch, ErrorCode> {
        let Storage { codec, base_sequence, .. } = self.storage;
        let mut options = BatchOptions { codec, base_sequence, ..BatchOptions::default() };
        if let Some((id, epoch)) = producer {
            options = BatchOptions { producer_id: id, producer_epoch: epoch, transactional: true, ..options };
        }
        let mut builder = BatchBuilder::new(options);
        for record in records {
            builder.append(now.timestamp, Some(&record.key), record.value.as_deref(), &[]);
        }
        let built = builder.build().and_then(|bytes| PreparedBatch::parse(&bytes));
        let batch = built.map_err(|e| {
            error!(partition = %partition.id, error = %e, "a coordinator's batch cannot be made");
            ErrorCode::UnknownServerError
        })?;
        if batch.len() > partition.settings().rules.message_bytes_max {
            return Err(ErrorCode::MessageTooLarge);
        }
        Ok(batch)
    }

    /// Whether everything that was appended so far is committed.
    fn is_committed(&mut self, partition: &Partition) -> bool {
        self.held.is_empty() && self.is_committed_to(partition, self.appended)
    }

    fn is_committed_to(&mut self, partition: &Partition, end: Offset) -> bool {
        if end > self.committed && matches!(partition.ack(end, self.epoch, Acks::All), Ok(Ack::Committed)) {
            self.committed = end;
        }
        end <= self.committed
    }

    fn deliver(&mut self, ticket: Ticket, outcome: Outcome<S::Answer>) {
        if let Some(sender) = self.open.remove(&ticket) {
            // Whoever asked may have left.
            let _ = sender.send(outcome);
        }
    }

    /// Lets the answers leave that may, and gives up on those that have waited for too long.
    fn release(&mut self, partition: &Partition, now: Moment) {
        self.release_errands(partition);
        while let Some(first) = self.held.front() {
            let (end, is_late) = (first.end, first.deadline <= now);
            let is_committed = self.is_committed_to(partition, end);
            if !is_committed && !is_late {
                return;
            }
            if let Some(Held { ticket, answer, .. }) = self.held.pop_front() {
                let outcome = if is_committed { Ok(answer) } else { Err(ErrorCode::CoordinatorNotAvailable) };
                self.deliver(ticket, outcome);
            }
        }
    }

    /// Lets the errands begin that may.
    fn release_errands(&mut self, partition: &Partition) {
        while let Some(end) = self.held_errands.front().map(|(end, _)| *end)
            && self.is_committed_to(partition, end)
        {
            self.errands.extend(self.held_errands.pop_front().map(|(_, errand)| errand));
        }
    }

    /// The coordinator's task looks: does what is due, and says what to do next.
    pub(super) fn look(&mut self, partition: &Partition, now: Now, image: &MetadataImage) -> Chore {
        if self.shard.next_deadline().is_some_and(|due| due <= now.moment) {
            self.tell(partition, now, image, |shard| shard.tick(now, image));
        }
        self.release(partition, now.moment);
        if std::mem::take(&mut self.rolled) {
            return Chore::FlushFinished;
        }
        self.armed = self.next_look();
        Chore::Wait { until: self.armed, for_commit: self.waits_for_commit() }
    }

    fn waits_for_commit(&self) -> bool {
        !self.held.is_empty() || !self.held_errands.is_empty()
    }

    fn next_look(&self) -> Option<Moment> {
        let held = self.held.front().map(|held| held.deadline);
        [self.shard.next_deadline(), held].into_iter().flatten().min()
    }

    /// Whether the task has to look before it would by itself.
    pub(super) fn needs_a_look(&self) -> bool {
        let is_earlier = match (self.next_look(), self.armed) {
            (Some(next), Some(armed)) => next < armed,
            (next, _) => next.is_some(),
        };
        is_earlier || self.waits_for_commit() || self.rolled || self.lost
    }

    pub(super) fn shard(&self) -> &S {
        &self.shard
    }

    /// The log has refused what only a leader may write.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Everybody who waits is told to ask elsewhere.
    pub(super) fn refuse_all(self) {
        for sender in self.open.into_values() {
            let _ = sender.send(Err(ErrorCode::NotCoordinator));
        }
    }
}
