//! One partition of `__share_group_state` and the share partitions that it remembers.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_base::{Moment, Offset, Timestamp};
use thalweg_coordinator::{At, Effect, LogRecord, Machine, Now, Origin, Ticket, WriteId, refused_write};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::batches::combine;
use super::records::{Record, from_snapshot, from_update, to_snapshot, to_update};
use super::request::{Answer, Failure, Key, Request, State};

/// The epoch of a leader that nobody knows.
const NO_LEADER_EPOCH: i32 = 0;
/// An epoch that says nothing, and fences nobody.
const ANY_EPOCH: i32 = -1;
/// So many records go into one batch when there is no need for them to be one.
const RECORDS_PER_BATCH_MAX: usize = 500;

/// The rules by which a shard lives; names are those of Kafka's configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `share.coordinator.snapshot.update.records.per.snapshot`: so many updates follow a snapshot.
    pub updates_per_snapshot: i32,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`: a share partition that has had no snapshot for so long gets
    /// one, so that what stands before it in the log can go.
    pub cold_snapshot_interval: Duration,
    /// `share.coordinator.state.topic.prune.interval.ms`: how often what nobody needs any more is deleted.
    pub prune_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = Duration::from_secs(300);
        Self { updates_per_snapshot: 500, cold_snapshot_interval: minutes, prune_interval: minutes }
    }
}

/// What a shard has done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Delete the records of the shard's own log before this offset: nobody needs them.
    Prune(Offset),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Snapshots,
    Prune,
}

#[derive(Debug)]
enum After {
    Nothing,
    Answer(Ticket, Answer),
}

type Outbox = thalweg_coordinator::Outbox<Timer, After, Answer, Errand>;

/// What is known of one share partition.
#[derive(Clone, Debug)]
struct Entry {
    state: State,
    /// The largest state epoch that was ever written: older ones are refused.
    state_fence: i32,
    /// The largest leader epoch that was ever written.
    leader_fence: i32,
    /// Counts snapshots.
    snapshot_epoch: i32,
    /// Updates since the last snapshot.
    updates: i32,
    created: Timestamp,
    /// When the last snapshot was written.
    written: Timestamp,
    /// Where it stands in the log.
    snapshot_at: Offset,
}

/// See the module.
///
/// What the log says is changed by replay alone. Nobody waits here: every request is answered when its record is committed,
/// or refused at once.
///
/// Invariants:
/// - While a write is open, nothing else is decided: the driver reports it before the next call.
/// - The start offset of a share partition never goes back within one state epoch.
#[derive(Debug)]
pub struct Shard {
    settings: Settings,
    entries: BTreeMap<Key, Entry>,
    outbox: Outbox,
    loaded: bool,
    /// Up to here the log was deleted.
    pruned: Offset,
}

impl Shard {
    /// A shard that remembers nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (entries, outbox) = (BTreeMap::new(), Outbox::default());
        Self { settings, entries, outbox, loaded: false, pruned: Offset::ZERO }
    }

    /// How many share partitions it remembers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it remembers none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A request has arrived.
    pub fn request(
        &mut self,
        now: Now,
        image: &MetadataImage,
        ticket: Ticket,
        key: &Key,
        request: &Request,
    ) -> Vec<Effect<Answer, Errand>> {
        assert!(self.loaded, "a shard answers once it is loaded");
        assert!(!self.outbox.has_writes(), "every write is reported before the next request");
        let at = At { now, image };
        match self.decide(at, key, request) {
            Ok((Some(record), state)) => {
                let records = record.encode().map(|record| vec![record]);
                self.outbox.write(None, records, After::Answer(ticket, Answer(Ok(state))));
            }
            Ok((None, state)) => self.outbox.answer(ticket, Answer(Ok(state))),
            Err(failure) => self.outbox.answer(ticket, Answer(Err(failure))),
        }
        self.effects()
    }

    /// What to write, if anything, and what to answer.
    fn decide(&self, at: At<'_>, key: &Key, request: &Request) -> Result<(Option<Record>, Option<State>), Failure> {
        let entry = self.entries.get(key);
        let invalid = |message| Failure { code: ErrorCode::InvalidRequest, message: Some(message) };
        if key.partition < 0 {
            return Err(invalid("The partition id cannot be a negative number."));
        }
        match (request, entry) {
            (Request::Write { .. }, None) => {
                return Err(invalid("Write operation on uninitialized share partition not allowed."));
            }
            (Request::Read { .. }, None) => {
                return Err(invalid("Read operation on uninitialized share partition not allowed."));
            }
            (Request::Write { leader_epoch, .. } | Request::Read { leader_epoch }, Some(entry))
                if *leader_epoch != ANY_EPOCH && entry.leader_fence > *leader_epoch =>
            {
                return Err(ErrorCode::FencedLeaderEpoch.into());
            }
            (Request::Write { state_epoch, .. } | Request::Initialize { state_epoch, .. }, Some(entry))
                if *state_epoch != ANY_EPOCH && entry.state_fence > *state_epoch =>
            {
                return Err(ErrorCode::FencedStateEpoch.into());
            }
            _ => {}
        }
        if at.image.topics().by_id(key.topic).is_none_or(|topic| topic.partition(key.partition).is_none()) {
            return Err(ErrorCode::UnknownTopicOrPartition.into());
        }
        let now = at.now.timestamp;
        Ok(match (request, entry) {
            (Request::Initialize { state_epoch, start_offset }, entry) => {
                let is_repeated = entry.is_some_and(|entry| {
                    (entry.state_fence, entry.state.start_offset) == (*state_epoch, *start_offset)
                });
                ((!is_repeated).then(|| initial(key, entry, *state_epoch, *start_offset, now)), None)
            }
            (Request::Write { .. }, Some(entry)) => (Some(self.change(key, entry, request, now)), None),
            (Request::Read { leader_epoch }, Some(entry)) => {
                let fences = *leader_epoch != ANY_EPOCH && entry.leader_fence != *leader_epoch;
                let record = fences.then(|| self.fence(key, entry, *leader_epoch, now));
                (record, Some(entry.state.clone()))
            }
            (Request::ReadSummary, entry) => {
                (None, entry.map(|entry| State { batches: Vec::new(), ..entry.state.clone() }))
            }
            (Request::Delete, Some(_)) => (Some(Record::Snapshot(key.clone(), None)), None),
            (Request::Delete | Request::Write { .. } | Request::Read { .. }, None) => (None, None),
        })
    }

    /// The record of a change.
    fn change(&self, key: &Key, entry: &Entry, request: &Request, now: Timestamp) -> Record {
        let Request::Write { state_epoch, leader_epoch, start_offset, delivery_complete_count, batches } = request
        else {
            unreachable!("only writes change a state")
        };
        let before = &entry.state;
        let count = match start_offset.cmp(&before.start_offset) {
            std::cmp::Ordering::Less => before.delivery_complete_count,
            std::cmp::Ordering::Equal => before.delivery_complete_count.max(*delivery_complete_count),
            std::cmp::Ordering::Greater => *delivery_complete_count,
        };
        let next = State {
            state_epoch: if *state_epoch == ANY_EPOCH { before.state_epoch } else { *state_epoch },
            leader_epoch: if *leader_epoch == ANY_EPOCH { before.leader_epoch } else { *leader_epoch },
            start_offset: before.start_offset.max(*start_offset),
            delivery_complete_count: count,
            batches: batches.clone(),
        };
        self.record(key, entry, next, now)
    }

    /// The record that a leader of a later epoch has asked.
    fn fence(&self, key: &Key, entry: &Entry, leader_epoch: i32, now: Timestamp) -> Record {
        self.record(key, entry, State { leader_epoch, batches: Vec::new(), ..entry.state.clone() }, now)
    }

    /// An update to `next`, whose batches are what has changed; a snapshot when there were many updates.
    fn record(&self, key: &Key, entry: &Entry, next: State, now: Timestamp) -> Record {
        let start = next.start_offset;
        if entry.updates >= self.settings.updates_per_snapshot {
            let batches = combine(&entry.state.batches, &next.batches, start);
            let next = Entry { state: State { batches, ..next }, created: now, written: now, ..entry.clone() };
            return snapshot(key, &next);
        }
        let value = m::ShareUpdateValue {
            snapshot_epoch: entry.snapshot_epoch,
            leader_epoch: next.leader_epoch,
            start_offset: start,
            delivery_complete_count: next.delivery_complete_count,
            state_batches: to_update(&combine(&[], &next.batches, start)),
        };
        Record::Update(key.clone(), value)
    }

    /// Share partitions that have had no snapshot for long get one.
    fn snapshot_cold(&mut self, now: Now) {
        self.outbox.timers.set(Timer::Snapshots, now.moment.after(self.settings.cold_snapshot_interval));
        let age = i64::try_from(self.settings.cold_snapshot_interval.as_millis()).unwrap_or(i64::MAX);
        let is_cold = |entry: &Entry| entry.updates > 0 && now.timestamp.0.saturating_sub(entry.written.0) >= age;
        let cold = self.entries.iter().filter(|(_, entry)| is_cold(entry)).take(RECORDS_PER_BATCH_MAX);
        let records: Result<Vec<LogRecord>, _> = cold
            .map(|(key, entry)| snapshot(key, &Entry { written: now.timestamp, ..entry.clone() }).encode())
            .collect();
        if records.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        self.outbox.write(None, records, After::Nothing);
    }

    /// Whatever stands before the oldest snapshot that counts is not needed any more.
    fn prune(&mut self, now: Now) {
        self.outbox.timers.set(Timer::Prune, now.moment.after(self.settings.prune_interval));
        let Some(needed) = self.entries.values().map(|entry| entry.snapshot_at).min() else { return };
        if needed > self.pruned {
            self.pruned = needed;
            self.outbox.send(Errand::Prune(needed));
        }
    }

    fn effects(&mut self) -> Vec<Effect<Answer, Errand>> {
        while let Some(after) = self.outbox.pop_unwritable() {
            self.finish(after, Err(ErrorCode::UnknownServerError));
        }
        self.outbox.take_effects()
    }

    fn finish(&mut self, after: After, result: Result<(), ErrorCode>) {
        if let After::Answer(ticket, answer) = after {
            let answer = result.map_or_else(|error| Answer(Err(error.into())), |()| answer);
            self.outbox.answer(ticket, answer);
        }
    }
}

impl Machine for Shard {
    type Answer = Answer;
    type Errand = Errand;

    fn replay(&mut self, origin: Origin, record: &LogRecord) {
        match Record::decode(record) {
            Ok(Record::Snapshot(key, Some(value))) => {
                let before = self.entries.get(&key);
                let (leader_fence, state_fence) =
                    before.map_or((i32::MIN, i32::MIN), |entry| (entry.leader_fence, entry.state_fence));
                let state = State {
                    state_epoch: value.state_epoch,
                    leader_epoch: value.leader_epoch,
                    start_offset: value.start_offset,
                    delivery_complete_count: value.delivery_complete_count,
                    batches: from_snapshot(&value.state_batches),
                };
                let entry = Entry {
                    state,
                    state_fence: state_fence.max(value.state_epoch),
                    leader_fence: leader_fence.max(value.leader_epoch),
                    snapshot_epoch: value.snapshot_epoch,
                    updates: 0,
                    created: Timestamp(value.create_timestamp),
                    written: Timestamp(value.write_timestamp),
                    snapshot_at: origin.offset,
                };
                self.entries.insert(key, entry);
            }
            Ok(Record::Snapshot(key, None)) => drop(self.entries.remove(&key)),
            Ok(Record::Update(key, value)) => {
                // Its snapshot stands before it, unless somebody has deleted records by hand.
                let Some(entry) = self.entries.get_mut(&key) else { return };
                let state = &mut entry.state;
                if value.start_offset != -1 {
                    state.start_offset = value.start_offset;
                }
                if value.leader_epoch != ANY_EPOCH {
                    state.leader_epoch = value.leader_epoch;
                }
                entry.leader_fence = entry.leader_fence.max(value.leader_epoch);
                state.delivery_complete_count = value.delivery_complete_count;
                state.batches = combine(&state.batches, &from_update(&value.state_batches), state.start_offset);
                entry.updates = entry.updates.saturating_add(1);
            }
            Err(_) => {}
        }
    }

    fn loaded(&mut self, now: Now, _image: &MetadataImage) -> Vec<Effect<Answer, Errand>> {
        assert!(!self.loaded, "a shard is loaded once");
        self.loaded = true;
        self.outbox.timers.set(Timer::Snapshots, now.moment.after(self.settings.cold_snapshot_interval));
        self.outbox.timers.set(Timer::Prune, now.moment.after(self.settings.prune_interval));
        self.effects()
    }

    fn written(
        &mut self,
        _now: Now,
        _image: &MetadataImage,
        write: WriteId,
        result: Result<(), ErrorCode>,
    ) -> Vec<Effect<Answer, Errand>> {
        let after = self.outbox.reported(write);
        assert!(after.is_some(), "a write is reported once, and only if it was asked for");
        if let Some(after) = after {
            self.finish(after, result.map_err(refused_write));
        }
        self.effects()
    }

    fn next_deadline(&self) -> Option<Moment> {
        if self.loaded { self.outbox.timers.next() } else { None }
    }

    fn tick(&mut self, now: Now, _image: &MetadataImage) -> Vec<Effect<Answer, Errand>> {
        assert!(self.loaded, "time passes for a shard once it is loaded");
        while !self.outbox.has_writes() {
            match self.outbox.timers.pop_due(now.moment) {
                Some(Timer::Snapshots) => self.snapshot_cold(now),
                Some(Timer::Prune) => self.prune(now),
                None => break,
            }
        }
        self.effects()
    }

    /// The share partitions of a topic that is gone are forgotten.
    fn metadata_changed(
        &mut self,
        _now: Now,
        _image: &MetadataImage,
        changes: &Changes,
    ) -> Vec<Effect<Answer, Errand>> {
        if !self.loaded || changes.topics_deleted.is_empty() {
            return Vec::new();
        }
        let is_gone = |key: &&Key| changes.topics_deleted.iter().any(|topic| topic.id == key.topic);
        let gone: Vec<Key> = self.entries.keys().filter(is_gone).cloned().collect();
        for keys in gone.chunks(RECORDS_PER_BATCH_MAX) {
            let records = keys.iter().map(|key| Record::Snapshot(key.clone(), None).encode()).collect();
            self.outbox.write(None, records, After::Nothing);
        }
        self.effects()
    }
}

/// The first snapshot of a state, or the first of a later epoch.
fn initial(key: &Key, entry: Option<&Entry>, state_epoch: i32, start_offset: i64, now: Timestamp) -> Record {
    let value = m::ShareSnapshotValue {
        snapshot_epoch: entry.map_or(0, |entry| entry.snapshot_epoch.saturating_add(1)),
        state_epoch,
        leader_epoch: NO_LEADER_EPOCH,
        start_offset,
        delivery_complete_count: if start_offset == -1 { -1 } else { 0 },
        create_timestamp: now.0,
        write_timestamp: now.0,
        state_batches: Vec::new(),
    };
    Record::Snapshot(key.clone(), Some(value))
}

/// The next snapshot of a state.
fn snapshot(key: &Key, entry: &Entry) -> Record {
    let state = &entry.state;
    let value = m::ShareSnapshotValue {
        snapshot_epoch: entry.snapshot_epoch.saturating_add(1),
        state_epoch: state.state_epoch,
        leader_epoch: state.leader_epoch,
        start_offset: state.start_offset,
        delivery_complete_count: state.delivery_complete_count,
        create_timestamp: entry.created.0,
        write_timestamp: entry.written.0,
        state_batches: to_snapshot(&state.batches),
    };
    Record::Snapshot(key.clone(), Some(value))
}
