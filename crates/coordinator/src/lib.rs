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
//! - It carries out [`Effect::Answer`] once everything that was appended before is committed (the high watermark has
//!   passed it). So no client sees a state that a change of leader could take back.
//!
//! When the partition is led elsewhere, the driver drops the shard and refuses every ticket that is open.

mod timers;

use bytes::Bytes;
use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp};

pub use timers::Timers;

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

/// What a shard asks of its driver. `A` is the shard's type of answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<A> {
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
}
