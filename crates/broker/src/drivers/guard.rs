//! What keeps records from being appended to a transaction that is over, which nobody would ever end.

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_records::BatchHeader;
use thalweg_storage::Log;
use thalweg_wire::ErrorCode;

/// By what right a record of a transaction is appended (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The transaction must be open here already.
    Open,
    /// The coordinator has said that it is open, unless one has ended here since.
    Verified {
        /// So many had ended here before the coordinator was asked.
        ended: u64,
        /// A producer of which nothing is known has to begin with its first record.
        from_zero: bool,
    },
    /// Nobody asks (`transaction.partition.verification.enable=false`).
    Unchecked,
}

impl Guard {
    /// The same, and a producer of which nothing is known has to begin with its first record if `condition` holds: since
    /// KIP-890 the records before may just have been refused.
    pub(crate) fn beginning_at_zero_if(self, condition: bool) -> Self {
        match self {
            Self::Verified { ended, .. } => Self::Verified { ended, from_zero: condition },
            other => other,
        }
    }

    /// Whether the transaction of a producer is open in a log, as far as this says.
    pub(super) fn holds(&self, log: &Log, id: ProducerId, epoch: ProducerEpoch, ended_now: u64) -> bool {
        match self {
            Self::Unchecked => true,
            _ if log.has_ongoing_txn(id, epoch) => true,
            Self::Open => false,
            Self::Verified { ended, .. } => *ended == ended_now,
        }
    }

    /// Whether a batch may be appended, of which `header` is the header.
    pub(super) fn check(&self, log: &Log, header: &BatchHeader, ended: u64) -> Result<(), (ErrorCode, &'static str)> {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        let known = log.producer(id);
        if known.is_some_and(|known| epoch < known.epoch()) {
            return Err((ErrorCode::InvalidProducerEpoch, "its epoch is smaller than the last seen one"));
        }
        if !self.holds(log, id, epoch, ended) {
            return Err((ErrorCode::InvalidTxnState, "it is not part of an open transaction"));
        }
        if matches!(self, Self::Verified { from_zero: true, .. }) && known.is_none() && header.base_sequence != 0 {
            return Err((ErrorCode::OutOfOrderSequenceNumber, "its producer has no first record here"));
        }
        Ok(())
    }
}
