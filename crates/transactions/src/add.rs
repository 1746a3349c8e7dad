//! AddPartitionsToTxn: what a transaction writes to, so that its end is told there. It comes before the first record.

use bytestring::ByteString;
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;

use crate::entry::{Entry, Plan};
use crate::request::{Answer, Producer};
use crate::shard::Shard;
use crate::transaction::{Partitions, State, Transaction};

impl Shard {
    /// Adds partitions to the transaction of `id`, which begins if none is open.
    pub(crate) fn add_partitions(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        id: &ByteString,
        producer: Producer,
        partitions: &Partitions,
        client_version: i16,
    ) {
        match self.plan_add(at, id, producer, partitions, client_version) {
            Ok(Some(plan)) => self.change(at, id, plan, Some((ticket, Answer::Added(Ok(()))))),
            Ok(None) => self.outbox.answer(ticket, Answer::Added(Ok(()))),
            Err(error) => self.outbox.answer(ticket, Answer::Added(Err(error))),
        }
    }

    fn plan_add(
        &self,
        at: At<'_>,
        id: &ByteString,
        producer: Producer,
        partitions: &Partitions,
        client_version: i16,
    ) -> Result<Option<Plan>, ErrorCode> {
        let Entry { transaction, last_epoch, .. } = self.known(id)?;
        if transaction.state.is_prepared() {
            // Before all else: a producer may have the id already that it gets when this is over.
            return Err(ErrorCode::ConcurrentTransactions);
        }
        check(transaction, producer)?;
        if transaction.state == State::Ongoing && transaction.contains(partitions) {
            return Ok(None);
        }
        let next = transaction.to_ongoing(partitions, client_version, at.now.timestamp);
        Ok(Some(Plan { next, last_epoch: *last_epoch }))
    }

    /// Which of the partitions are not part of the transaction of `id`.
    pub(crate) fn verify_partitions(
        &self,
        id: &ByteString,
        producer: Producer,
        partitions: Partitions,
    ) -> Result<Partitions, ErrorCode> {
        let transaction = &self.known(id)?.transaction;
        check(transaction, producer)?;
        if transaction.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let missing = partitions.into_iter().map(|(topic, mut indexes)| {
            if let Some(own) = transaction.partitions.get(&topic) {
                indexes.retain(|index| !own.contains(index));
            }
            (topic, indexes)
        });
        Ok(missing.filter(|(_, indexes)| !indexes.is_empty()).collect())
    }

    /// An id that a producer claims to have.
    pub(crate) fn known(&self, id: &ByteString) -> Result<&Entry, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        self.ids.get(id).ok_or(ErrorCode::InvalidProducerIdMapping)
    }
}

/// Whether a producer is who the id stands for.
fn check(transaction: &Transaction, producer: Producer) -> Result<(), ErrorCode> {
    if producer.id != transaction.producer {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if producer.epoch != transaction.epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    Ok(())
}
