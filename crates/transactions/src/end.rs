//! EndTxn: a transaction is committed or aborted. The decision counts once it is in the log; the partitions are told
//! afterwards.
//!
//! Since KIP-890 (`transaction.version` 2) each transaction ends in an epoch of its own, one above that of its records: so
//! a record that comes late belongs to no transaction, and a producer that repeats a request is known by its old epoch.

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_coordinator::{At, Ticket};
use thalweg_metadata::feature::TRANSACTION_VERSION;
use thalweg_wire::ErrorCode;

use crate::entry::{Entry, Plan};
use crate::request::{Answer, End, Producer, Refusal};
use crate::shard::Shard;
use crate::transaction::{EPOCH_BUMPS, NO_EPOCH, State, Transaction, next};

impl Shard {
    /// EndTxn.
    pub(crate) fn end_txn(&mut self, at: At<'_>, ticket: Ticket, id: &ByteString, end: End) {
        let ended = self.known(id).map_err(Refusal::from).and_then(|entry| match end.client_version {
            EPOCH_BUMPS.. => entry.plan_end(at, end),
            _ => Ok(entry.plan_plain_end(at, end)?),
        });
        match ended {
            Ok((Some(plan), producer)) => self.change(at, id, plan, Some((ticket, Answer::Producer(Ok(producer))))),
            Ok((None, producer)) => self.outbox.answer(ticket, Answer::Producer(Ok(producer))),
            Err(refusal) => self.outbox.answer(ticket, Answer::Producer(Err(refusal))),
        }
    }
}

/// What is to be written, if anything, and who the producer is then.
type Ended = (Option<Plan>, Producer);

impl Entry {
    /// EndTxn as it was before KIP-890: the epoch stays.
    fn plan_plain_end(&self, at: At<'_>, end: End) -> Result<Ended, ErrorCode> {
        let transaction = &self.transaction;
        if end.producer.id != transaction.producer {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if end.producer.epoch != transaction.epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        match (transaction.state, end.committed) {
            (State::PrepareCommit | State::PrepareAbort, _) => Err(ErrorCode::ConcurrentTransactions),
            (State::Ongoing, committed) => {
                let state = if committed { State::PrepareCommit } else { State::PrepareAbort };
                let next_producer = ProducerId::NONE;
                let next = Transaction { client_version: 0, next_producer, ..transaction.to(state, at.now.timestamp) };
                Ok((Some(Plan { next, last_epoch: self.last_epoch }), Producer::NONE))
            }
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok((None, Producer::NONE)),
            _ => Err(ErrorCode::InvalidTxnState),
        }
    }

    /// EndTxn since KIP-890.
    fn plan_end(&self, at: At<'_>, end: End) -> Result<Ended, Refusal> {
        let (transaction, claimed) = (&self.transaction, end.producer);
        if transaction.state.is_prepared() {
            // Before all else: a producer may have the id already that it gets when this is over.
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        // Its answer got lost, and with it the new epoch, or the new id that followed on the last epoch.
        let has_rotated = transaction.previous_producer == claimed.id
            && claimed.epoch.0 == i16::MAX - 1
            && transaction.epoch == ProducerEpoch(0);
        let repeats = has_rotated || i32::from(transaction.epoch.0) == i32::from(claimed.epoch.0) + 1;
        if transaction.producer != claimed.id && !has_rotated {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        }
        let is_complete = matches!(transaction.state, State::CompleteCommit | State::CompleteAbort);
        if claimed.epoch != transaction.epoch && !(is_complete && repeats) {
            return Err(ErrorCode::ProducerFenced.into());
        }
        let state = match (transaction.state, end.committed) {
            (State::Ongoing, true) => State::PrepareCommit,
            (State::Ongoing, false) => State::PrepareAbort,
            (State::CompleteCommit, true) | (State::CompleteAbort, false) if repeats => {
                return Ok((None, Producer { id: transaction.producer, epoch: transaction.epoch }));
            }
            // A producer that does not know whether it has begun aborts, to be sure.
            (State::Empty | State::CompleteCommit | State::CompleteAbort, false) if !repeats => State::PrepareAbort,
            _ => return Err(ErrorCode::InvalidTxnState.into()),
        };
        let plan = self.to_prepared(at, state, end.client_version, end.fresh).ok_or(Refusal::NeedsProducerId)?;
        let (id, epoch) = plan.next.after_completion();
        Ok((Some(plan), Producer { id, epoch }))
    }

    /// The decision of a transaction whose end has an epoch of its own. `None` if it needs a fresh producer id.
    fn to_prepared(&self, at: At<'_>, state: State, client_version: i16, fresh: Option<ProducerId>) -> Option<Plan> {
        let before = &self.transaction;
        let mut after = Transaction { client_version, ..before.to(state, at.now.timestamp) };
        after.next_producer = match before.is_exhausted() {
            true => fresh?,
            false => ProducerId::NONE,
        };
        after.epoch = next(before.epoch);
        if before.state != State::Ongoing {
            // Nothing was added, so that its beginning is not known.
            after.started = at.now.timestamp;
        }
        Some(Plan { next: after, last_epoch: before.epoch })
    }

    /// The end of an open transaction that its producer did not ask for, which is fenced by it. `None` if it
    /// needs a fresh producer id.
    pub(crate) fn to_abort(&self, at: At<'_>, fresh: Option<ProducerId>) -> Option<Plan> {
        let level = at.image.features().level(TRANSACTION_VERSION.name);
        if level >= EPOCH_BUMPS {
            return self.to_prepared(at, State::PrepareAbort, level, fresh);
        }
        let before = &self.transaction;
        let mut after = Transaction { client_version: 0, ..before.to(State::PrepareAbort, at.now.timestamp) };
        (after.next_producer, after.epoch) = (ProducerId::NONE, next(before.epoch));
        Some(Plan { next: after, last_epoch: NO_EPOCH })
    }
}
