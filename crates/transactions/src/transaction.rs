//! One transactional id: its producer, and its newest transaction.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::{ProducerEpoch, ProducerId, Timestamp};

/// Partitions by topic. No set inside is empty.
pub type Partitions = BTreeMap<Box<str>, BTreeSet<i32>>;

/// No producer epoch.
pub(crate) const NO_EPOCH: ProducerEpoch = ProducerEpoch(-1);
/// The transaction protocol in which every transaction has an epoch of its own (KIP-890).
pub(crate) const EPOCH_BUMPS: i16 = 2;
/// A producer is never given the largest epoch: it is kept for fencing.
const EPOCH_LAST: ProducerEpoch = ProducerEpoch(i16::MAX - 1);

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub(crate) enum State {
    /// There was none yet since the producer was given its epoch.
    Empty = 0,
    /// The producer writes.
    Ongoing = 1,
    /// It is committed; its partitions are being told.
    PrepareCommit = 2,
    /// It is aborted; its partitions are being told.
    PrepareAbort = 3,
    /// It is committed, and every partition knows.
    CompleteCommit = 4,
    /// It is aborted, and every partition knows.
    CompleteAbort = 5,
}

impl State {
    pub(crate) const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// The state with this number in the log; `None` for those that only memory knows in Kafka, and for newer ones.
    pub(crate) fn from_i8(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == number)
    }

    /// Kafka's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// The state with this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether it is decided and not every partition knows: nobody may begin anything else.
    pub(crate) fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Whether the id may be forgotten.
    pub(crate) fn may_expire(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// Whether a transaction may get from here to `next`.
    fn leads_to(self, next: Self) -> bool {
        match next {
            Self::Empty => self.may_expire(),
            Self::Ongoing => self == Self::Ongoing || self.may_expire(),
            Self::PrepareCommit => self == Self::Ongoing,
            // Since KIP-890 a producer that does not know whether it has begun may abort all the same.
            Self::PrepareAbort => self == Self::Ongoing || self.may_expire(),
            Self::CompleteCommit => self == Self::PrepareCommit,
            Self::CompleteAbort => self == Self::PrepareAbort,
        }
    }
}

/// What the log says of one transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// Whose records they are.
    pub(crate) producer: ProducerId,
    /// The id that it had before the newest record.
    pub(crate) previous_producer: ProducerId,
    /// The id that it has from the end of this transaction on, if its epochs are used up.
    pub(crate) next_producer: ProducerId,
    /// The epoch in which it may write; while a transaction of KIP-890 is being completed, that of the markers.
    pub(crate) epoch: ProducerEpoch,
    /// After how long an open transaction is aborted.
    pub(crate) timeout_ms: i32,
    /// Where it is.
    pub(crate) state: State,
    /// What it has written to.
    pub(crate) partitions: Partitions,
    /// When it began; -1 before the first.
    pub(crate) started: Timestamp,
    /// When this was written.
    pub(crate) updated: Timestamp,
    /// The protocol of the client that began or ended it.
    pub(crate) client_version: i16,
}

impl Transaction {
    /// A transactional id of which nothing is known, whose producer gets this id.
    pub(crate) fn new(producer: ProducerId) -> Self {
        Self {
            producer,
            previous_producer: ProducerId::NONE,
            next_producer: ProducerId::NONE,
            epoch: NO_EPOCH,
            timeout_ms: 0,
            state: State::Empty,
            partitions: Partitions::new(),
            started: Timestamp(-1),
            updated: Timestamp(-1),
            client_version: 0,
        }
    }

    /// Whether its producer can be given no further epoch.
    pub(crate) fn is_exhausted(&self) -> bool {
        is_exhausted(self.epoch)
    }

    /// Whether it never times out: another system decides about it (KIP-939).
    pub(crate) fn is_two_phase(&self) -> bool {
        self.timeout_ms == i32::MAX
    }

    /// Whether all of `partitions` are part of it.
    pub(crate) fn contains(&self, partitions: &Partitions) -> bool {
        partitions.iter().all(|(topic, indexes)| self.partitions.get(topic).is_some_and(|own| own.is_superset(indexes)))
    }

    /// A copy that takes its place, in another state.
    pub(crate) fn to(&self, state: State, now: Timestamp) -> Self {
        assert!(self.state.leads_to(state), "a transaction does not get from {:?} to {state:?}", self.state);
        Self { state, previous_producer: self.producer, updated: now, ..self.clone() }
    }

    /// Its producer gets another epoch, and forgets what was before.
    pub(crate) fn to_empty(&self, producer: ProducerId, epoch: ProducerEpoch, timeout_ms: i32, now: Timestamp) -> Self {
        let partitions = Partitions::new();
        Self { producer, epoch, timeout_ms, partitions, started: Timestamp(-1), ..self.to(State::Empty, now) }
    }

    /// More partitions belong to it.
    pub(crate) fn to_ongoing(&self, added: &Partitions, client_version: i16, now: Timestamp) -> Self {
        let mut next = Self { client_version, ..self.to(State::Ongoing, now) };
        if self.state != State::Ongoing {
            next.started = now;
        }
        for (topic, indexes) in added {
            next.partitions.entry(topic.clone()).or_default().extend(indexes);
        }
        next
    }

    /// Every partition knows how it has ended.
    pub(crate) fn to_complete(&self, now: Timestamp) -> Self {
        let state = if self.state == State::PrepareCommit { State::CompleteCommit } else { State::CompleteAbort };
        let mut next = Self { partitions: Partitions::new(), ..self.to(state, now) };
        (next.producer, next.epoch) = self.after_completion();
        next.next_producer = ProducerId::NONE;
        next
    }

    /// The producer id and epoch that its client has once it is complete.
    pub(crate) fn after_completion(&self) -> (ProducerId, ProducerEpoch) {
        if self.client_version >= EPOCH_BUMPS && self.next_producer != ProducerId::NONE {
            return (self.next_producer, ProducerEpoch(0));
        }
        (self.producer, self.epoch)
    }
}

/// Whether no producer may be given an epoch after this one.
pub(crate) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch >= EPOCH_LAST
}

/// The epoch after this one.
pub(crate) fn next(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.0.saturating_add(1))
}
