//! InitProducerId: who a producer is from now on. Its former selves are fenced, and what they left open is aborted.

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;

use crate::entry::{Entry, Plan};
use crate::request::{Answer, Init, Producer, Refusal, Request};
use crate::settings::Settings;
use crate::shard::Shard;
use crate::transaction::{NO_EPOCH, State, Transaction, is_exhausted, next};

/// What is to be done for a producer that begins.
enum Begun {
    /// It is this from now on.
    As(Plan),
    /// First its open transaction is aborted, and it has to ask again.
    Abort(Plan),
}

impl Shard {
    /// InitProducerId.
    pub(crate) fn init_producer_id(&mut self, at: At<'_>, ticket: Ticket, id: &ByteString, init: Init) {
        match self.plan_init(at, id, init) {
            Ok(Begun::As(plan)) => {
                let producer = Producer { id: plan.next.producer, epoch: plan.next.epoch };
                self.change(at, id, plan, Some((ticket, Answer::Producer(Ok(producer)))));
            }
            Ok(Begun::Abort(plan)) => {
                let later = Answer::Producer(Err(ErrorCode::ConcurrentTransactions.into()));
                self.change(at, id, plan, Some((ticket, later)));
            }
            Err(refusal) => self.outbox.answer(ticket, Answer::Producer(Err(refusal))),
        }
    }

    fn plan_init(&self, at: At<'_>, id: &ByteString, init: Init) -> Result<Begun, Refusal> {
        let timeout_ms = timeout_of(&self.settings, id, &init)?;
        let now = at.now.timestamp;
        let Some(entry) = self.ids.get(id) else {
            let fresh = init.fresh.ok_or(Refusal::NeedsProducerId)?;
            let next = Transaction::new(fresh).to_empty(fresh, ProducerEpoch(0), timeout_ms, now);
            return Ok(Begun::As(Plan { next, last_epoch: NO_EPOCH }));
        };
        let transaction = &entry.transaction;
        if transaction.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        if init.expected.is_some_and(|expected| !may_be(transaction, expected)) {
            return Err(ErrorCode::ProducerFenced.into());
        }
        if transaction.state == State::Ongoing {
            return Ok(Begun::Abort(entry.to_abort(at, init.fresh).ok_or(Refusal::NeedsProducerId)?));
        }
        let (producer, epoch, last_epoch) = successor(entry, &init)?;
        let next = transaction.to_empty(producer, epoch, timeout_ms, now);
        Ok(Begun::As(Plan { next, last_epoch }))
    }
}

impl Request {
    /// Whether it is a request that some coordinator could grant: what is wrong with it is told before it is said that there
    /// is no coordinator.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(&self, settings: &Settings) -> Result<(), ErrorCode> {
        match self {
            Self::InitProducerId { transactional_id, timeout_ms, two_phase, keep_prepared, expected, fresh } => {
                let (timeout_ms, two_phase, keep_prepared) = (*timeout_ms, *two_phase, *keep_prepared);
                let init = Init { timeout_ms, two_phase, keep_prepared, expected: *expected, fresh: *fresh };
                timeout_of(settings, transactional_id, &init).map(|_| ())
            }
            Self::AddPartitions { transactional_id: id, .. }
            | Self::VerifyPartitions { transactional_id: id, .. }
            | Self::EndTxn { transactional_id: id, .. }
            | Self::Describe(id)
                if id.is_empty() =>
            {
                Err(ErrorCode::InvalidRequest)
            }
            _ => Ok(()),
        }
    }
}

/// The timeout that counts; or why the request is refused whoever asks.
fn timeout_of(settings: &Settings, id: &ByteString, init: &Init) -> Result<i32, ErrorCode> {
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    if init.two_phase && !settings.two_phase_commit {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if init.keep_prepared {
        // As in Kafka 4.3, which has not built it either.
        return Err(ErrorCode::UnsupportedVersion);
    }
    match init.timeout_ms {
        _ if init.two_phase => Ok(i32::MAX),
        valid if valid > 0 && valid <= settings.timeout_ms_max => Ok(valid),
        _ => Err(ErrorCode::InvalidTransactionTimeout),
    }
}

/// Whether a producer that goes on may be the one that the id stands for. Its epoch is looked at later.
fn may_be(transaction: &Transaction, expected: Producer) -> bool {
    // The second repeats a request whose answer got lost, after which the producer has another id.
    let repeats = expected.id == transaction.previous_producer && is_exhausted(expected.epoch);
    transaction.epoch == NO_EPOCH || expected.id == transaction.producer || repeats
}

/// The next producer id and epoch, and the epoch to remember as the one before.
fn successor(entry: &Entry, init: &Init) -> Result<(ProducerId, ProducerEpoch, ProducerEpoch), Refusal> {
    let transaction = &entry.transaction;
    let current = transaction.epoch;
    let expected = init.expected.map(|expected| expected.epoch);
    if transaction.is_exhausted() {
        if expected.is_some_and(|expected| expected != current) {
            // What Kafka answers when it has run into its own check.
            return Err(ErrorCode::UnknownServerError.into());
        }
        let fresh = init.fresh.ok_or(Refusal::NeedsProducerId)?;
        return Ok((fresh, ProducerEpoch(0), if expected.is_some() { current } else { NO_EPOCH }));
    }
    match expected {
        None => Ok((transaction.producer, next(current), NO_EPOCH)),
        Some(expected) if expected == current || current == NO_EPOCH => {
            Ok((transaction.producer, next(current), current))
        }
        // It repeats a request that was granted; a newer producer would have made Kafka forget the epoch before.
        Some(expected) if expected == entry.last_epoch => Ok((transaction.producer, current, entry.last_epoch)),
        Some(_) => Err(ErrorCode::ProducerFenced.into()),
    }
}
