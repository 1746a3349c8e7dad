//! What time does: transactions that last too long are aborted, ids that nobody uses are forgotten.

use bytestring::ByteString;
use thalweg_base::{ProducerId, Timestamp};
use thalweg_coordinator::{At, Effect, Now};
use thalweg_metadata::MetadataImage;

use crate::errand::Errand;
use crate::outbox::{After, Timer};
use crate::records;
use crate::request::Answer;
use crate::shard::Shard;
use crate::transaction::Transaction;

/// So many ids are forgotten in one write,
const FORGOTTEN_MAX: usize = 500;
/// and so many bytes of them at most, after the first: below what a topic takes in a batch.
const FORGOTTEN_BYTES_MAX: usize = 256 << 10;

impl Shard {
    /// An errand was done: aborts a transaction that has lasted too long, if it still does, with a producer id that nobody
    /// ever had.
    pub fn abort_overdue(
        &mut self,
        now: Now,
        image: &MetadataImage,
        id: &ByteString,
        fresh: ProducerId,
    ) -> Vec<Effect<Answer, Errand>> {
        let at = At { now, image };
        self.abort_if_overdue(at, id, Some(fresh));
        self.effects(at)
    }

    /// What is due at this timer.
    pub(crate) fn due(&mut self, at: At<'_>, timer: Timer) {
        match timer {
            Timer::Overdue => {
                self.outbox.timers.set(Timer::Overdue, at.now.moment.after(self.settings.abort_interval));
                let overdue = self.ids.iter().filter(|(_, entry)| entry.is_overdue(at.now.moment));
                for (id, _) in overdue {
                    self.outbox.timers.set(Timer::Abort(id.clone()), at.now.moment);
                }
            }
            Timer::Abort(id) => self.abort_if_overdue(at, &id, None),
            Timer::Expiry => self.forget_idle(at),
            Timer::Completion(id) => self.go_on(at, &id),
        }
    }

    fn abort_if_overdue(&mut self, at: At<'_>, id: &ByteString, fresh: Option<ProducerId>) {
        let entry = self.ids.get(id).filter(|entry| entry.is_overdue(at.now.moment));
        let Some(entry) = entry else { return };
        match entry.to_abort(at, fresh) {
            Some(plan) => {
                self.tally.timed_out += 1;
                self.change(at, id, plan, None);
            }
            None => self.outbox.send(Errand::FindProducerId(id.clone())),
        }
    }

    fn forget_idle(&mut self, at: At<'_>) {
        let since = Timestamp(at.now.timestamp.0.saturating_sub(self.settings.id_expiration_ms));
        let is_idle = |transaction: &Transaction| transaction.state.may_expire() && transaction.updated <= since;
        let mut idle = self.ids.iter().filter(|(_, entry)| is_idle(&entry.transaction)).map(|(id, _)| id).peekable();
        let (mut bytes, mut forgotten) = (0, Vec::new());
        while let Some(id) = idle.next_if(|id| {
            bytes += id.len();
            forgotten.is_empty() || forgotten.len() < FORGOTTEN_MAX && bytes <= FORGOTTEN_BYTES_MAX
        }) {
            forgotten.push(id);
        }
        let more = idle.peek().is_some();
        let records: Result<Vec<_>, _> = forgotten.into_iter().map(records::tombstone).collect();
        self.outbox.timers.set(Timer::Expiry, at.now.moment.after(self.settings.expiry_interval));
        if records.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        self.outbox.write(None, records, After::Forgotten { more });
    }
}
