//! What keeps records from being appended to a transaction that is over, which nobody would ever end.

use std::collections::{BTreeMap, VecDeque};

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_records::{BatchHeader, PreparedBatch};
use thalweg_storage::{Log, Origin};
use thalweg_wire::ErrorCode;

/// So many ends of transactions are remembered in a partition, 2 KiB: the coordinator answers long before as many others
/// have ended. Whoever comes later is told to begin anew, which loses nothing.
const ENDS_MAX: usize = 256;

/// So many producers without history may wait in a partition for their first records; of more, the order is not watched.
const ATTEMPTS_MAX: usize = 256;

/// What is noted of the transactions of a partition since it was opened: whose have ended, and who wants to begin.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// So many have ended.
    count: u64,
    /// The last ones: whose they were, and in which epoch.
    newest: VecDeque<(ProducerId, ProducerEpoch)>,
    /// Producers of which nothing is known, and the lowest sequence number with which they asked to begin.
    attempts: BTreeMap<ProducerId, (ProducerEpoch, i32)>,
}

impl Watch {
    /// How many have ended.
    pub(super) fn ended(&self) -> u64 {
        self.count
    }

    /// Notes what these batches, which were appended, say of transactions.
    ///
    /// Since transaction version 2 a marker has the epoch of the producer's next transaction: it does not end that one.
    pub(super) fn note(&mut self, batches: &[PreparedBatch], origin: Origin) {
        let is_bumped = matches!(origin, Origin::Coordinator { transaction_version: 2.. });
        for header in batches.iter().map(PreparedBatch::header).filter(|header| header.attributes.is_transactional()) {
            self.attempts.remove(&header.producer_id);
            if !header.attributes.is_control() {
                continue;
            }
            if self.newest.len() == ENDS_MAX {
                self.newest.pop_front();
            }
            let epoch = ProducerEpoch(header.producer_epoch.0.saturating_sub(i16::from(is_bumped)));
            self.newest.push_back((header.producer_id, epoch));
            self.count += 1;
        }
    }

    /// A producer of which nothing is known wants to begin with this sequence number.
    pub(super) fn attempted(&mut self, id: ProducerId, epoch: ProducerEpoch, sequence: i32) {
        let lowest = match self.attempts.get(&id) {
            Some((known, lowest)) if *known == epoch => sequence.min(*lowest),
            Some((known, _)) if *known > epoch => return,
            None if self.attempts.len() == ATTEMPTS_MAX => return,
            _ => sequence,
        };
        self.attempts.insert(id, (epoch, lowest));
    }

    /// Whether a record with a lower sequence number wants to be the first one: this one may have overtaken it.
    fn is_overtaking(&self, header: &BatchHeader) -> bool {
        let attempt = self.attempts.get(&header.producer_id);
        attempt.is_some_and(|(epoch, lowest)| *epoch == header.producer_epoch && header.base_sequence > *lowest)
    }

    /// Whether none of this producer in this epoch has ended since there were `before`, as far as that is still known.
    fn has_none_since(&self, before: u64, id: ProducerId, epoch: ProducerEpoch) -> bool {
        // More than now: they were counted in another partition, which had this one's name before.
        let since = self.count.checked_sub(before).and_then(|since| usize::try_from(since).ok());
        since.is_some_and(|since| {
            since <= self.newest.len()
                && self.newest.iter().rev().take(since).all(|ended| ended.0 != id || ended.1 < epoch)
        })
    }
}

/// By what right a record of a transaction is appended (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The transaction must be open here already.
    Open,
    /// The coordinator has said that it is open, unless one of its producer and epoch has ended here since. The one before may
    /// end meanwhile: its marker is on its way when the producer begins anew.
    Verified {
        /// So many, of any producer, had ended here before the coordinator was asked.
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
    pub(super) fn holds(&self, log: &Log, id: ProducerId, epoch: ProducerEpoch, watch: &Watch) -> bool {
        match self {
            Self::Unchecked => true,
            _ if log.has_ongoing_txn(id, epoch) => true,
            Self::Open => false,
            Self::Verified { ended, .. } => watch.has_none_since(*ended, id, epoch),
        }
    }

    /// Whether a batch may be appended, of which `header` is the header.
    pub(super) fn check(
        &self,
        log: &Log,
        header: &BatchHeader,
        watch: &Watch,
    ) -> Result<(), (ErrorCode, &'static str)> {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        let known = log.producer(id);
        if known.is_some_and(|known| epoch < known.epoch()) {
            return Err((ErrorCode::InvalidProducerEpoch, "its epoch is smaller than the last seen one"));
        }
        if !self.holds(log, id, epoch, watch) {
            return Err((ErrorCode::InvalidTxnState, "it is not part of an open transaction"));
        }
        if matches!(self, Self::Verified { from_zero: true, .. }) && known.is_none() && header.base_sequence != 0 {
            return Err((ErrorCode::OutOfOrderSequenceNumber, "its producer has no first record here"));
        }
        if matches!(self, Self::Verified { .. }) && known.is_none() && watch.is_overtaking(header) {
            return Err((
                ErrorCode::OutOfOrderSequenceNumber,
                "records of its producer that come first were not appended yet",
            ));
        }
        Ok(())
    }
}
