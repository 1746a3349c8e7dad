//! From a decision to its end: a marker goes to every partition of the transaction, and when all have it, the log says so.

use std::collections::BTreeSet;
use std::time::Duration;

use bytestring::ByteString;
use thalweg_coordinator::{At, Effect, Now};
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;

use crate::entry::{Completion, Plan};
use crate::errand::{Errand, Markers, Written};
use crate::outbox::Timer;
use crate::request::{Answer, Producer};
use crate::shard::Shard;
use crate::transaction::{Partitions, State};

/// After so long what could not be written is tried again; each time twice as long, up to 32 times.
const RETRY: Duration = Duration::from_millis(50);
/// So often the wait is doubled.
const DOUBLINGS_MAX: u32 = 5;

impl Shard {
    /// An errand was done: this became of markers. What is not named counts as not written.
    pub fn markers_written(
        &mut self,
        now: Now,
        image: &MetadataImage,
        markers: &Markers,
        written: &[Written],
    ) -> Vec<Effect<Answer, Errand>> {
        let at = At { now, image };
        self.note_markers(at, markers, written);
        self.effects(at)
    }

    /// A decision is in the log: the partitions are told.
    pub(crate) fn begin_completion(&mut self, at: At<'_>, id: &ByteString) {
        if let Some(entry) = self.ids.get_mut(id) {
            assert!(entry.completion.is_none(), "a transaction is completed once");
            entry.completion = Some(Completion { missing: entry.transaction.partitions.clone(), failures: 0 });
            self.go_on(at, id);
        }
    }

    /// Does what is missing.
    pub(crate) fn go_on(&mut self, at: At<'_>, id: &ByteString) {
        let Some((entry, completion)) = self.ids.get(id).and_then(|entry| Some((entry, entry.completion.as_ref()?)))
        else {
            return;
        };
        let transaction = &entry.transaction;
        assert!(transaction.state.is_prepared(), "only what is decided is completed");
        if completion.missing.is_empty() {
            let plan = Plan { next: transaction.to_complete(at.now.timestamp), last_epoch: entry.last_epoch };
            self.change(at, id, plan, None);
            return;
        }
        self.outbox.send(Errand::WriteMarkers(Markers {
            transactional_id: id.clone(),
            producer: Producer { id: transaction.producer, epoch: transaction.epoch },
            committed: transaction.state == State::PrepareCommit,
            coordinator_epoch: self.epoch.0,
            transaction_version: transaction.client_version,
            partitions: completion.missing.clone(),
        }));
    }

    /// What became of markers. They are tried again where there is hope; a partition that is gone needs none.
    pub(crate) fn note_markers(&mut self, at: At<'_>, markers: &Markers, written: &[Written]) {
        let id = &markers.transactional_id;
        let Some(entry) = self.ids.get_mut(id) else { return };
        let transaction = &entry.transaction;
        // What a former coordinator wrote does not fence it: only this one's own markers count.
        let is_current = markers.coordinator_epoch == self.epoch.0
            && (transaction.producer, transaction.epoch) == (markers.producer.id, markers.producer.epoch);
        let (true, Some(completion)) = (is_current, &mut entry.completion) else { return };
        let mut refused = 0_usize;
        for Written { topic, partition, result } in written {
            let exists = || at.image.topics().by_name(topic).is_some_and(|topic| topic.partition(*partition).is_some());
            match result {
                Err(ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced) => refused += 1,
                Err(ErrorCode::UnknownTopicOrPartition) if !exists() => {
                    remove(&mut completion.missing, topic, *partition)
                }
                Err(_) => {}
                Ok(()) => remove(&mut completion.missing, topic, *partition),
            }
        }
        if completion.missing.is_empty() {
            self.go_on(at, id);
        } else if refused < completion.missing.values().map(BTreeSet::len).sum::<usize>() {
            self.retry_completion(at, id.clone());
        }
        // Where a newer producer or coordinator has written, this marker is refused for ever: when nothing else is missing, the
        // transaction stays as it is until its coordinator is loaded anew, as in Kafka.
    }

    /// What is missing is tried again a little later.
    pub(crate) fn retry_completion(&mut self, at: At<'_>, id: ByteString) {
        let Some(completion) = self.ids.get_mut(&id).and_then(|entry| entry.completion.as_mut()) else { return };
        let wait = RETRY * (1 << completion.failures.min(DOUBLINGS_MAX));
        completion.failures = completion.failures.saturating_add(1);
        self.outbox.timers.set(Timer::Completion(id), at.now.moment.after(wait));
    }
}

fn remove(partitions: &mut Partitions, topic: &str, index: i32) {
    if let Some(indexes) = partitions.get_mut(topic) {
        indexes.remove(&index);
        if indexes.is_empty() {
            partitions.remove(topic);
        }
    }
}
