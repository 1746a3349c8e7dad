//! One partition of `__transaction_state` and its transactional ids.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, Moment};
use thalweg_coordinator::{At, Effect, LogRecord, Machine, Now, Origin, Ticket, WriteId, refused_write};
use thalweg_metadata::MetadataImage;
use thalweg_metadata::feature::TRANSACTION_VERSION;
use thalweg_wire::ErrorCode;

use crate::entry::{Entry, Plan};
use crate::errand::Errand;
use crate::outbox::{After, Outbox, Timer};
use crate::records;
use crate::request::{Answer, End, Init, Request};
use crate::settings::Settings;
use crate::tally::Tally;
use crate::transaction::{NO_EPOCH, State};

/// One partition of `__transaction_state` and the transactional ids that live there.
///
/// What the log says about an id is changed by replay alone. Who waits is not kept: every request is answered when its
/// record is committed, or refused at once.
///
/// Invariants:
/// - While a write is open, nothing else is decided: the driver reports it before the next call.
/// - A transaction is complete only after each of its partitions has its marker, is gone, or has a newer producer.
/// - A decision is never changed: what is prepared is completed, by this shard or by the one that is loaded next.
#[derive(Debug)]
pub struct Shard {
    pub(crate) settings: Settings,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) ids: BTreeMap<ByteString, Entry>,
    pub(crate) outbox: Outbox,
    /// What has happened since it was loaded.
    pub(crate) tally: Tally,
    /// Whether the log was replayed and requests are answered.
    loaded: bool,
    /// How many records were passed over, because this version does not know them.
    unknown_records: usize,
}

impl Shard {
    /// A shard without ids, whose partition this node leads in `epoch`.
    #[must_use]
    pub fn new(settings: Settings, epoch: LeaderEpoch) -> Self {
        Self {
            settings,
            epoch,
            ids: BTreeMap::new(),
            outbox: Outbox::default(),
            tally: Tally::default(),
            loaded: false,
            unknown_records: 0,
        }
    }

    /// A request has arrived.
    pub fn request(
        &mut self,
        now: Now,
        image: &MetadataImage,
        ticket: Ticket,
        request: Request,
    ) -> Vec<Effect<Answer, Errand>> {
        assert!(self.loaded, "a shard answers once it is loaded");
        assert!(!self.outbox.has_writes(), "every write is reported before the next request");
        let at = At { now, image };
        match request {
            Request::InitProducerId { transactional_id: id, timeout_ms, two_phase, keep_prepared, expected, fresh } => {
                let init = Init { timeout_ms, two_phase, keep_prepared, expected, fresh };
                self.init_producer_id(at, ticket, &id, init);
            }
            Request::AddPartitions { transactional_id: id, producer, partitions, client_version } => {
                self.add_partitions(at, ticket, &id, producer, &partitions, client_version);
            }
            Request::VerifyPartitions { transactional_id: id, producer, partitions } => {
                let verified = self.verify_partitions(&id, producer, partitions);
                self.outbox.answer(ticket, Answer::Verified(verified));
            }
            Request::EndTxn { transactional_id: id, producer, committed, client_version, fresh } => {
                self.end_txn(at, ticket, &id, End { producer, committed, client_version, fresh });
            }
            Request::Describe(id) => {
                let described = self.describe(&id);
                self.outbox.answer(ticket, Answer::Described(described));
            }
            Request::List(filter) => {
                let listed = self.list(at, &filter);
                self.outbox.answer(ticket, Answer::Listed(listed));
            }
        }
        self.effects(at)
    }

    /// How many records of the log were passed over, because this version does not know them.
    #[must_use]
    pub fn unknown_records(&self) -> usize {
        self.unknown_records
    }

    /// How many transactional ids there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no transactional id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Writes how a transactional id is from now on; the answer follows.
    pub(crate) fn change(&mut self, at: At<'_>, id: &ByteString, plan: Plan, answer: Option<(Ticket, Answer)>) {
        let level = at.image.features().level(TRANSACTION_VERSION.name);
        // A copy, so that the map does not keep the frame alive that it came in.
        let id = ByteString::from(&**id);
        let record = records::encode(&id, &plan.next, level);
        let after = After::Changed { id, last_epoch: plan.last_epoch, answer };
        self.outbox.write(None, record.map(|record| vec![record]), after);
    }

    fn finish(&mut self, at: At<'_>, after: After, result: Result<(), ErrorCode>) {
        let (id, last_epoch, answer) = match after {
            After::Changed { id, last_epoch, answer } => (id, last_epoch, answer),
            After::Forgotten { more } => {
                // What could not be written now is tried when it is time again.
                if more && result.is_ok() {
                    self.outbox.timers.set(Timer::Expiry, at.now.moment);
                }
                return;
            }
        };
        if let Some((ticket, answer)) = answer {
            let answer = match result {
                Ok(()) => answer,
                Err(error) => answer.refused(error),
            };
            self.outbox.answer(ticket, answer);
        }
        if result.is_err() {
            self.retry_completion(at, id);
            return;
        }
        let Some(entry) = self.ids.get_mut(&id) else { return };
        entry.last_epoch = last_epoch;
        entry.keep_deadline(at.now);
        if entry.transaction.state.is_prepared() {
            self.begin_completion(at, &id);
        } else if let Some(completion) = entry.completion.take() {
            assert!(completion.missing.is_empty(), "a transaction is complete once every partition has its marker");
        }
    }

    /// The effects of what was decided.
    pub(crate) fn effects(&mut self, at: At<'_>) -> Vec<Effect<Answer, Errand>> {
        while let Some(after) = self.outbox.pop_unwritable() {
            self.finish(at, after, Err(ErrorCode::UnknownServerError));
        }
        self.outbox.take_effects()
    }
}

impl Machine for Shard {
    type Answer = Answer;
    type Errand = Errand;

    fn replay(&mut self, _origin: Origin, record: &LogRecord) {
        match records::decode(record) {
            Ok((id, Some(transaction))) => match self.ids.get_mut(&id) {
                Some(entry) => {
                    if self.loaded && entry.transaction.state != transaction.state {
                        self.tally.committed += u64::from(transaction.state == State::PrepareCommit);
                        self.tally.aborted += u64::from(transaction.state == State::PrepareAbort);
                    }
                    entry.transaction = transaction;
                    entry.last_epoch = NO_EPOCH;
                }
                None => {
                    self.ids.insert(id, Entry::new(transaction));
                }
            },
            Ok((id, None)) => drop(self.ids.remove(&id)),
            Err(_) => self.unknown_records += 1,
        }
    }

    /// What was decided and is not complete goes on: the partitions are told, perhaps again.
    fn loaded(&mut self, now: Now, image: &MetadataImage) -> Vec<Effect<Answer, Errand>> {
        assert!(!self.loaded, "a shard is loaded once");
        self.loaded = true;
        let at = At { now, image };
        self.outbox.timers.set(Timer::Overdue, now.moment.after(self.settings.abort_interval));
        self.outbox.timers.set(Timer::Expiry, now.moment.after(self.settings.expiry_interval));
        for entry in self.ids.values_mut() {
            entry.keep_deadline(now);
        }
        let prepared = self.ids.iter().filter(|(_, entry)| entry.transaction.state.is_prepared());
        let prepared: Vec<ByteString> = prepared.map(|(id, _)| id.clone()).collect();
        for id in prepared {
            self.begin_completion(at, &id);
        }
        self.effects(at)
    }

    fn written(
        &mut self,
        now: Now,
        image: &MetadataImage,
        write: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Vec<Effect<Answer, Errand>> {
        let after = self.outbox.reported(write);
        assert!(after.is_some(), "a write is reported once, and only if it was asked for");
        let at = At { now, image };
        if let Some(after) = after {
            self.finish(at, after, result.map_err(refused_write));
        }
        self.effects(at)
    }

    fn next_deadline(&self) -> Option<Moment> {
        if self.loaded { self.outbox.timers.next() } else { None }
    }

    fn tick(&mut self, now: Now, image: &MetadataImage) -> Vec<Effect<Answer, Errand>> {
        assert!(self.loaded, "time passes for a shard once it is loaded");
        let at = At { now, image };
        while !self.outbox.has_writes() {
            let Some(timer) = self.outbox.timers.pop_due(now.moment) else { break };
            self.due(at, timer);
        }
        self.effects(at)
    }
}
