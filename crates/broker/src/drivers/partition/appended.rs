//! What an append did, or why there was none.

use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_replica::{Ack, Refusal};
use thalweg_storage::{AppendRefusal, ProducerRefusal};
use thalweg_wire::ErrorCode;

/// What an append did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) base: Offset,
    /// The offset after the last record.
    pub(crate) end: Offset,
    pub(crate) log_append_time: Option<Timestamp>,
    pub(crate) log_start: Offset,
    /// The leader epoch in which it was.
    pub(crate) epoch: LeaderEpoch,
    /// What has become of it.
    pub(crate) ack: Ack,
    /// A segment was finished and should be flushed.
    pub(crate) rolled: bool,
}

/// Why nothing was appended.
#[derive(Debug)]
pub(crate) enum AppendRefused {
    /// Kafka's error code alone.
    Error(ErrorCode),
    /// An idempotent producer's batch may not come now; the text is for the node's log.
    Sequence(ErrorCode, String),
}

/// Kafka's error code for what a leader's machine refuses.
pub(super) fn error_of(refusal: Refusal) -> ErrorCode {
    match refusal {
        Refusal::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        Refusal::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        Refusal::UnknownLeaderEpoch | Refusal::NotAReplica => ErrorCode::UnknownLeaderEpoch,
        Refusal::OffsetOutOfRange => ErrorCode::OffsetOutOfRange,
        Refusal::StaleBrokerEpoch => ErrorCode::NotLeaderOrFollower,
    }
}

/// Kafka's error code for what the log refuses.
pub(super) fn append_refused(refusal: &AppendRefusal) -> AppendRefused {
    let error = match refusal {
        AppendRefusal::Producer(refusal) => match refusal {
            ProducerRefusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerRefusal::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerRefusal::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            ProducerRefusal::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        },
        AppendRefusal::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendRefusal::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
        AppendRefusal::Corrupt(_) => ErrorCode::CorruptMessage,
    };
    match refusal {
        AppendRefusal::Producer(_) => AppendRefused::Sequence(error, refusal.to_string()),
        _ => AppendRefused::Error(error),
    }
}
