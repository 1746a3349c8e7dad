//! What a shard has decided and its driver is to do, and what it waits for.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::ProducerEpoch;
use thalweg_coordinator::{Effect, LogRecord, Ticket, Timers, WriteId};
use thalweg_wire::EncodeError;

use crate::completion::Errand;
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

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// What is due when.
    pub(crate) timers: Timers<Timer>,
    effects: Vec<Effect<Answer, Errand>>,
    writes: BTreeMap<WriteId, After>,
    next_write: u64,
    /// What follows writes whose records no schema can hold.
    unwritable: Vec<After>,
}

impl Outbox {
    /// Answers a request.
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer { ticket, answer });
    }

    /// Has something done elsewhere.
    pub(crate) fn send(&mut self, errand: Errand) {
        self.effects.push(Effect::Errand(errand));
    }

    /// Writes records as one batch; `after` follows.
    pub(crate) fn write(&mut self, records: Result<Vec<LogRecord>, EncodeError>, after: After) {
        match records {
            Ok(records) => {
                assert!(!records.is_empty(), "a write has records");
                let write = WriteId(self.next_write);
                self.next_write += 1;
                self.writes.insert(write, after);
                self.effects.push(Effect::Write { write, producer: None, records });
            }
            Err(_) => self.unwritable.push(after),
        }
    }

    /// Whether a write waits to be carried out: nothing more may be decided before that.
    pub(crate) fn has_writes(&self) -> bool {
        !self.writes.is_empty() || !self.unwritable.is_empty()
    }

    /// What follows the write `id`.
    pub(crate) fn reported(&mut self, id: WriteId) -> Option<After> {
        self.writes.remove(&id)
    }

    /// What follows a write that cannot be carried out at all.
    pub(crate) fn pop_unwritable(&mut self) -> Option<After> {
        self.unwritable.pop()
    }

    /// What the driver is to do.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect<Answer, Errand>> {
        std::mem::take(&mut self.effects)
    }
}
