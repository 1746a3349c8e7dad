//! What every coordinator shares, whatever it coordinates.
//!
//! A coordinator's state is one partition of an internal topic (`__consumer_offsets`, `__transaction_state`): a
//! *shard*. Its driver owns the shard together with the partition and does these things and nothing else:
//!
//! - It loads: every record of the partition is replayed in order, then the shard is told that it is loaded.
//! - It hands in requests, the time, and new metadata, and carries out the [`Effect`]s that come back, in order.
//! - It carries out [`Effect::Write`] by appending the records as one batch. If the append succeeded it replays them and
//!   then reports it; if it failed it reports why and nothing was replayed. Whatever effects the report gives come next.
//!   All of that is done before the shard is called for anything else: between a decision and its replay nothing happens.
//! - It carries out [`Effect::Answer`] and [`Effect::Errand`] once everything that was appended before is committed (the
//!   high watermark has passed it). So nobody sees a state that a change of leader could take back.
//!
//! When the partition is led elsewhere, the driver drops the shard and refuses every ticket that is open.

mod outbox;
mod timers;

use std::convert::Infallible;

use bytes::Bytes;
use thalweg_base::{Moment, Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;

pub use outbox::Outbox;
pub use timers::Timers;

/// The two clocks: one orders and says when something is due, the other dates what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub moment: Moment,
    /// The date.
    pub timestamp: Timestamp,
}

/// When something is decided, and how the cluster looks then.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// When.
    pub now: Now,
    /// The cluster.
    pub image: &'a MetadataImage,
}

/// A request that waits for its answer. The driver hands them out and never gives one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A write that was asked for and not yet reported. Unique within a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// One record of a coordinator's log, in the bytes of Kafka's schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The schema's key, with its version in front.
    pub key: Bytes,
    /// The schema's value, with its version in front; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// Where in the log a record stands, and who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The record's offset.
    pub offset: Offset,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The producer whose transaction it belongs to; `None` if it belongs to none.
    pub producer: Option<(ProducerId, ProducerEpoch)>,
}

/// What a shard asks of its driver. `A` is the shard's type of answers, `E` that of its errands.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<A, E = Infallible> {
    /// Append these records as one batch, replay them, and report `write`.
    Write {
        /// Under which name to report it.
        write: WriteId,
        /// In whose transaction; `None` if in none.
        producer: Option<(ProducerId, ProducerEpoch)>,
        /// What to append; never empty.
        records: Vec<LogRecord>,
    },
    /// Answer a request when everything appended so far is committed.
    Answer {
        /// Which request.
        ticket: Ticket,
        /// What to say.
        answer: A,
    },
    /// Do something outside of the partition when everything appended so far is committed, and tell the shard what came
    /// of it in the way that belongs to the errand.
    Errand(E),
}

/// A shard, as its driver sees it: everything but its requests.
pub trait Machine {
    /// What it answers.
    type Answer;
    /// What it has done elsewhere; [`Infallible`] if nothing.
    type Errand;

    /// Applies one record of the log. It cannot fail: a record that this version does not know is passed over.
    fn replay(&mut self, origin: Origin, record: &LogRecord);

    /// Applies the end of `producer`'s transaction, from a marker in the log. By default no record is part of one.
    fn replay_end_of_transaction(&mut self, _producer: ProducerId, _committed: bool) {}

    /// All of the log was replayed.
    fn loaded(&mut self, now: Now, image: &MetadataImage) -> Vec<Effect<Self::Answer, Self::Errand>>;

    /// A write was appended and replayed, or refused.
    fn written(
        &mut self,
        now: Now,
        image: &MetadataImage,
        write: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Vec<Effect<Self::Answer, Self::Errand>>;

    /// When to call [`Machine::tick`] next.
    fn next_deadline(&self) -> Option<Moment>;

    /// The deadline has come. What is due beyond the first write is left to the next call, which may follow at once.
    fn tick(&mut self, now: Now, image: &MetadataImage) -> Vec<Effect<Self::Answer, Self::Errand>>;

    /// The cluster has changed. By default nothing depends on it.
    fn metadata_changed(
        &mut self,
        _now: Now,
        _image: &MetadataImage,
        _changes: &Changes,
    ) -> Vec<Effect<Self::Answer, Self::Errand>> {
        Vec::new()
    }
}

/// What a client is told when the log did not take the records of its request.
#[must_use]
pub fn refused_write(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}
