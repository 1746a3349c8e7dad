//! What a shard knows of one transactional id.

use thalweg_base::{Moment, ProducerEpoch};
use thalweg_coordinator::Now;

use crate::transaction::{NO_EPOCH, Partitions, State, Transaction};

/// One transactional id.
///
/// Invariant: once the shard is loaded, there is a completion exactly while the transaction is decided and not complete.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What the log says.
    pub(crate) transaction: Transaction,
    /// The epoch before the current one, if its producer may repeat the request that ended it; the log does not hold it.
    pub(crate) last_epoch: ProducerEpoch,
    /// What is missing for the end of a decided transaction.
    pub(crate) completion: Option<Completion>,
    /// When an open transaction is to be aborted, by the monotonic clock: setting the wall clock neither shortens nor
    /// prolongs it. `None` while none is open, and when it never times out.
    pub(crate) abort_after: Option<Moment>,
}

impl Entry {
    pub(crate) fn new(transaction: Transaction) -> Self {
        Self { transaction, last_epoch: NO_EPOCH, completion: None, abort_after: None }
    }

    /// Notes until when an open transaction may last. The part of it that another coordinator, or an earlier run of
    /// this one, has seen is known by the wall clock only; it counts as long as that makes sense.
    pub(crate) fn keep_deadline(&mut self, now: Now) {
        let transaction = &self.transaction;
        if transaction.state != State::Ongoing || transaction.is_two_phase() {
            self.abort_after = None;
        } else if self.abort_after.is_none() {
            let timeout = i64::from(transaction.timeout_ms.max(0));
            let passed = now.timestamp.0.saturating_sub(transaction.started.0).clamp(0, timeout);
            self.abort_after = Some(Moment(now.moment.0.saturating_add(timeout - passed)));
        }
    }

    /// Whether its transaction is open for longer than its producer wanted.
    pub(crate) fn is_overdue(&self, now: Moment) -> bool {
        self.abort_after.is_some_and(|at| at < now)
    }
}

/// A change of one transactional id that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What the log will say.
    pub(crate) next: Transaction,
    /// See [`Entry::last_epoch`].
    pub(crate) last_epoch: ProducerEpoch,
}

/// A decided transaction whose partitions do not all know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Those that are not known to have the marker.
    pub(crate) missing: Partitions,
    /// How often something was not written.
    pub(crate) failures: u32,
}
