//! What a shard of transactional ids waits for, and what follows its writes.

use bytestring::ByteString;
use thalweg_base::ProducerEpoch;
use thalweg_coordinator::Ticket;

use crate::errand::Errand;
use crate::request::Answer;

/// What a shard waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Open transactions are to be looked through for those that have lasted too long.
    Overdue,
    /// One of them is to be aborted.
    Abort(ByteString),
    /// Ids are to be looked through for those that have expired.
    Expiry,
    /// What is missing for the completion of a transaction is to be tried again.
    Completion(ByteString),
}

/// What follows once a write was carried out or refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum After {
    /// Ids were forgotten that nobody used.
    Forgotten {
        /// Whether there are others.
        more: bool,
    },
    /// A transactional id has changed.
    Changed {
        /// Which.
        id: ByteString,
        /// What the log does not hold of the change: the epoch that its producer had before, as far as it may say so.
        last_epoch: ProducerEpoch,
        /// The answer; if the write was refused, the refusal that belongs to it.
        answer: Option<(Ticket, Answer)>,
    },
}

/// What the shard has decided and its driver is to do.
pub(crate) type Outbox = thalweg_coordinator::Outbox<Timer, After, Answer, Errand>;
