//! What a shard has decided and its driver is to do, and what it waits for.

use std::collections::BTreeMap;
use std::convert::Infallible;

use thalweg_base::{ProducerEpoch, ProducerId};
use thalweg_wire::EncodeError;

use crate::{Effect, LogRecord, Ticket, Timers, WriteId};

/// See the module. `T` is what the shard waits for, `F` what follows a write, `A` its answers and `E` its errands.
#[derive(Debug)]
pub struct Outbox<T, F, A, E = Infallible> {
    /// What is due when.
    pub timers: Timers<T>,
    effects: Vec<Effect<A, E>>,
    writes: BTreeMap<WriteId, F>,
    next_write: u64,
    /// What follows writes whose records no schema can hold.
    unwritable: Vec<F>,
}

impl<T, F, A, E> Default for Outbox<T, F, A, E> {
    fn default() -> Self {
        let (timers, effects, writes) = (Timers::default(), Vec::new(), BTreeMap::new());
        Self { timers, effects, writes, next_write: 0, unwritable: Vec::new() }
    }
}

impl<T, F, A, E> Outbox<T, F, A, E> {
    /// Answers a request.
    pub fn answer(&mut self, ticket: Ticket, answer: A) {
        self.effects.push(Effect::Answer { ticket, answer });
    }

    /// Has something done elsewhere.
    pub fn send(&mut self, errand: E) {
        self.effects.push(Effect::Errand(errand));
    }

    /// Writes records as one batch, in the transaction of `producer` if there is one; `after` follows.
    ///
    /// # Panics
    /// When there are no records.
    pub fn write(
        &mut self,
        producer: Option<(ProducerId, ProducerEpoch)>,
        records: Result<Vec<LogRecord>, EncodeError>,
        after: F,
    ) {
        match records {
            Ok(records) => {
                assert!(!records.is_empty(), "a write has records");
                let write = WriteId(self.next_write);
                self.next_write += 1;
                self.writes.insert(write, after);
                self.effects.push(Effect::Write { write, producer, records });
            }
            Err(_) => self.unwritable.push(after),
        }
    }

    /// Whether a write waits to be carried out: nothing more may be decided before that.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty() || !self.unwritable.is_empty()
    }

    /// What follows the write `id`.
    #[must_use]
    pub fn reported(&mut self, id: WriteId) -> Option<F> {
        self.writes.remove(&id)
    }

    /// What follows a write that cannot be carried out at all.
    #[must_use]
    pub fn pop_unwritable(&mut self) -> Option<F> {
        self.unwritable.pop()
    }

    /// What the driver is to do.
    #[must_use]
    pub fn take_effects(&mut self) -> Vec<Effect<A, E>> {
        std::mem::take(&mut self.effects)
    }
}
