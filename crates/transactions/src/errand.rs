//! What a shard has done elsewhere, and what becomes of it.

use bytestring::ByteString;
use thalweg_wire::ErrorCode;

use crate::request::Producer;
use crate::transaction::Partitions;

/// What a shard has done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Write these markers, and report them with [`Shard::markers_written`](crate::Shard::markers_written).
    WriteMarkers(Markers),
    /// Get a producer id that nobody ever had for [`Shard::abort_overdue`](crate::Shard::abort_overdue): without one the transaction of this id, which has
    /// lasted too long, cannot be aborted.
    FindProducerId(ByteString),
}

/// How a transaction has ended, for the partitions that it wrote to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Whose transaction it is.
    pub transactional_id: ByteString,
    /// What the markers say of the producer.
    pub producer: Producer,
    /// Whether its records count.
    pub committed: bool,
    /// The epoch in which this node leads the coordinator's partition: it fences older coordinators.
    pub coordinator_epoch: i32,
    /// The protocol: since 2 the markers' epoch is above that of the records (KIP-890).
    pub transaction_version: i16,
    /// Where they go.
    pub partitions: Partitions,
}

/// What became of one marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Of which topic.
    pub topic: Box<str>,
    /// In which partition.
    pub partition: i32,
    /// Whether it is written and committed there.
    pub result: Result<(), ErrorCode>,
}
