//! A share group's view of one partition: which records are free, held, done with or given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{Moment, Offset};

use crate::ack_type::AckType;

/// Names one write of a share partition's state, until it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteId(pub u64);

/// The states of records as they are kept: their numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum DeliveryState {
    /// Free to be delivered.
    Available = 0,
    /// A member has accepted them.
    Acknowledged = 2,
    /// Rejected, out of attempts, or without records: never delivered again.
    Archived = 4,
}

impl DeliveryState {
    /// The state with this number; `None` if there is none. A record that was held when it was written is free again.
    #[must_use]
    pub fn from_i8(number: i8) -> Option<Self> {
        match number {
            0 | 1 => Some(Self::Available),
            2 => Some(Self::Acknowledged),
            // 3 is on its way to a dead-letter queue, which this version does not have.
            3 | 4 => Some(Self::Archived),
            _ => None,
        }
    }

    fn is_terminal(self) -> bool {
        self != Self::Available
    }
}

/// Records in one state, as the share coordinator keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    /// The first of them.
    pub first: i64,
    /// The last of them.
    pub last: i64,
    /// Their state.
    pub state: DeliveryState,
    /// How often they were delivered.
    pub delivery_count: i16,
}

/// What has changed and must be kept: the driver reports it with [`SharePartition::written`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Under which name to report it.
    pub id: WriteId,
    /// The epoch of the state that it changes.
    pub state_epoch: i32,
    /// The first record that is not done with.
    pub start: Offset,
    /// How many records from `start` on are done with.
    pub delivery_complete_count: i32,
    /// What has changed.
    pub batches: Vec<StateBatch>,
}

/// What the share coordinator remembers of a share partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The epoch of the state.
    pub state_epoch: i32,
    /// The first record that is not done with.
    pub start: Offset,
    /// Records whose state is known.
    pub batches: Vec<StateBatch>,
}

/// The configuration of a share group, as it is when something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `share.delivery.count.limit`: how often a record is delivered at most.
    pub delivery_count_max: i16,
    /// `share.partition.max.record.locks`: how many records may be on their way at once.
    pub in_flight_max: i64,
    /// `share.record.lock.duration.ms`: how long a member may hold a record.
    pub lock_duration: Duration,
    /// `share.renew.acknowledge.enable`: whether a member may ask for more time.
    pub renew: bool,
}

/// Who holds records, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) member: Arc<str>,
    pub(crate) due: Moment,
}

/// Where the records of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// Nowhere else.
    At(DeliveryState),
    /// A member holds them.
    Acquired(Lock),
    /// A member held them and has said what shall become of them: that is being written.
    Settling(Lock, DeliveryState, WriteId),
}

/// Neighbouring records that share one fate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) last: i64,
    pub(crate) state: RunState,
    pub(crate) delivery_count: i16,
    /// How many records were first delivered together with these: halves of that are delivered together once they have
    /// failed often. It counts while they may be delivered again.
    pub(crate) together: u32,
}

impl Run {
    /// Whether records of both have one fate.
    fn is_like(&self, other: &Self) -> bool {
        let is_done = matches!(self.state, RunState::At(state) if state.is_terminal());
        self.state == other.state
            && self.delivery_count == other.delivery_count
            && (is_done || self.together == other.together)
    }
}

/// How many records there are from `first` to `last`.
pub(crate) fn count(first: i64, last: i64) -> u32 {
    u32::try_from(last - first + 1).unwrap_or(u32::MAX)
}

/// See the module.
///
/// It decides and remembers; its driver reads the log, keeps what [`Write`] says and reports that. A record is delivered at
/// least once: what was not kept when a leader is lost is delivered again by the next one.
///
/// Invariants, checked after every event:
/// - The runs lie end to end from `start` to `next`, without gaps or overlaps. There are at most as many as records are in
///   flight, which [`Limits::in_flight_max`] bounds.
/// - The first run is not done with, or there is none: `start` has moved past it.
/// - `start` and `next` never go back.
#[derive(Clone, Debug)]
pub struct SharePartition {
    pub(crate) state_epoch: i32,
    /// The first record that is not done with.
    pub(crate) start: i64,
    /// The first record that was never looked at.
    pub(crate) next: i64,
    pub(crate) runs: BTreeMap<i64, Run>,
    pub(crate) next_write: u64,
    /// No lock ends before that.
    pub(crate) check_at: Option<Moment>,
}

impl SharePartition {
    /// Takes up what the coordinator remembers. Records between known ones were on their way when that was written, and are
    /// free again.
    #[must_use]
    pub fn new(loaded: &Loaded) -> Self {
        let start = loaded.start.0.max(0);
        let mut this = Self {
            state_epoch: loaded.state_epoch,
            start,
            next: start,
            runs: BTreeMap::new(),
            next_write: 0,
            check_at: None,
        };
        let mut batches: Vec<&StateBatch> = loaded.batches.iter().collect();
        batches.sort_by_key(|batch| batch.first);
        for batch in batches {
            // What a disk holds is not trusted to be in order.
            let first = batch.first.max(this.next);
            if batch.last < first || batch.last == i64::MAX {
                continue;
            }
            this.extend(first - 1, DeliveryState::Available, 0);
            this.extend(batch.last, batch.state, batch.delivery_count);
        }
        this.prune();
        this.check();
        this
    }

    /// Adds a run behind the last one.
    pub(crate) fn extend(&mut self, last: i64, state: DeliveryState, delivery_count: i16) {
        if last >= self.next {
            let together = count(self.next, last);
            self.runs.insert(self.next, Run { last, state: RunState::At(state), delivery_count, together });
            self.next = last + 1;
        }
    }

    /// The first record that is not done with.
    #[must_use]
    pub fn start(&self) -> Offset {
        Offset(self.start)
    }

    /// The epoch of its state.
    #[must_use]
    pub fn state_epoch(&self) -> i32 {
        self.state_epoch
    }

    /// How many records are on their way, done with out of order, or free again.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.next - self.start
    }

    /// How many runs there are: what it costs.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Where to read for the next delivery; `None` while too many records are on their way.
    #[must_use]
    pub fn fetch_offset(&self, limits: Limits) -> Option<Offset> {
        let free = self.runs.iter().find(|(_, run)| run.state == RunState::At(DeliveryState::Available));
        match free {
            Some((first, _)) => Some(Offset(*first)),
            None if self.in_flight() < limits.in_flight_max => Some(Offset(self.next)),
            None => None,
        }
    }

    /// A member has left: what it holds is free at once.
    pub fn release(&mut self, member: &str, limits: Limits) -> Option<Write> {
        let is_held = |run: &Run| matches!(&run.state, RunState::Acquired(lock) if &*lock.member == member);
        let held: Vec<(i64, i64)> =
            self.runs.iter().filter(|(_, run)| is_held(run)).map(|(first, run)| (*first, run.last)).collect();
        let settled = held.into_iter().map(|(first, last)| (first, last, AckType::Release)).collect();
        let write = self.settle(settled, limits);
        self.check();
        write
    }

    /// A write was carried out or refused. Says whether something may be delivered now that could not be before.
    pub fn written(&mut self, now: Moment, id: WriteId, result: Result<(), ()>, limits: Limits) -> bool {
        let mut changed = false;
        for run in self.runs.values_mut() {
            let RunState::Settling(lock, to, write) = &run.state else { continue };
            if *write != id {
                continue;
            }
            changed = true;
            run.state = match result {
                Ok(()) => RunState::At(*to),
                Err(()) if lock.due > now => RunState::Acquired(lock.clone()),
                Err(()) => RunState::At(freed(run.delivery_count, limits)),
            };
            if let RunState::Acquired(lock) = &run.state {
                self.check_at = Some(self.check_at.map_or(lock.due, |at| at.min(lock.due)));
            }
        }
        self.prune();
        self.check();
        changed
    }

    /// When to call [`SharePartition::tick`] next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.check_at
    }

    /// Takes records from members that have held them for too long; what became of them is to be kept. They are free at
    /// once: if that is not kept, the next leader finds them free as well.
    pub fn tick(&mut self, now: Moment, limits: Limits) -> Option<Write> {
        if self.check_at.is_none_or(|at| at > now) {
            return None;
        }
        let mut batches = Vec::new();
        self.check_at = None;
        for (first, run) in &mut self.runs {
            match &run.state {
                RunState::Acquired(lock) if lock.due <= now => {
                    let state = freed(run.delivery_count, limits);
                    run.state = RunState::At(state);
                    let (first, last, delivery_count) = (*first, run.last, run.delivery_count);
                    batches.push(StateBatch { first, last, state, delivery_count });
                }
                RunState::Acquired(lock) => {
                    self.check_at = Some(self.check_at.map_or(lock.due, |at| at.min(lock.due)));
                }
                _ => {}
            }
        }
        let write = self.write(batches);
        self.prune();
        self.check();
        write
    }

    /// Records before `start` were deleted. Says whether anything has changed.
    pub fn log_start_moved(&mut self, start: Offset) -> bool {
        if start.0 <= self.start {
            return false;
        }
        self.split(start.0);
        self.runs = self.runs.split_off(&start.0);
        self.start = start.0;
        self.next = self.next.max(self.start);
        self.prune();
        self.check();
        true
    }

    /// Marks records as settled and says what to keep. The ranges are held by one member each, and do not overlap.
    pub(crate) fn settle(&mut self, settled: Vec<(i64, i64, AckType)>, limits: Limits) -> Option<Write> {
        let id = WriteId(self.next_write);
        let mut batches: Vec<StateBatch> = Vec::new();
        for (first, last, ack) in settled {
            self.split(first);
            self.split(last + 1);
            for (first, run) in self.runs.range_mut(first..=last) {
                let RunState::Acquired(lock) = &run.state else { continue };
                let state = match ack {
                    AckType::Accept => DeliveryState::Acknowledged,
                    AckType::Release => freed(run.delivery_count, limits),
                    AckType::Gap | AckType::Reject => DeliveryState::Archived,
                    AckType::Renew => continue,
                };
                run.state = RunState::Settling(lock.clone(), state, id);
                let delivery_count = run.delivery_count;
                match batches.last_mut() {
                    Some(before)
                        if before.last + 1 == *first
                            && (before.state, before.delivery_count) == (state, delivery_count) =>
                    {
                        before.last = run.last;
                    }
                    _ => batches.push(StateBatch { first: *first, last: run.last, state, delivery_count }),
                }
            }
        }
        self.write(batches)
    }

    /// What to keep, if anything has changed.
    fn write(&mut self, batches: Vec<StateBatch>) -> Option<Write> {
        if batches.is_empty() {
            return None;
        }
        let id = WriteId(self.next_write);
        self.next_write += 1;
        let is_done = |run: &Run| match &run.state {
            RunState::At(state) | RunState::Settling(_, state, _) => state.is_terminal(),
            RunState::Acquired(_) => false,
        };
        let done = self.runs.iter().filter(|(_, run)| is_done(run)).map(|(first, run)| run.last - first + 1);
        let delivery_complete_count = i32::try_from(done.sum::<i64>()).unwrap_or(i32::MAX);
        Some(Write { id, state_epoch: self.state_epoch, start: self.start(), delivery_complete_count, batches })
    }

    /// Cuts the run that `at` lies within, so that one begins there.
    pub(crate) fn split(&mut self, at: i64) {
        let Some((_, run)) = self.runs.range_mut(..at).next_back() else { return };
        if run.last >= at {
            let rest = run.clone();
            run.last = at - 1;
            self.runs.insert(at, rest);
        }
    }

    /// Moves the start past what is done with, and joins neighbours that share one fate again.
    pub(crate) fn prune(&mut self) {
        while let Some(entry) = self.runs.first_entry() {
            let RunState::At(state) = entry.get().state else { break };
            if !state.is_terminal() {
                break;
            }
            self.start = entry.remove().last + 1;
        }
        let mut before: Option<(i64, Run)> = None;
        let mut joined = BTreeMap::new();
        for (first, run) in std::mem::take(&mut self.runs) {
            match &mut before {
                Some((_, last)) if last.is_like(&run) => last.last = run.last,
                _ => {
                    joined.extend(before.replace((first, run)));
                }
            }
        }
        joined.extend(before);
        self.runs = joined;
    }

    pub(crate) fn check(&self) {
        let mut at = self.start;
        for (first, run) in &self.runs {
            assert!(*first == at && run.last >= at, "the runs lie end to end");
            at = run.last + 1;
        }
        assert!(at == self.next, "the runs end where nothing was looked at");
        let is_done = |run: &Run| matches!(run.state, RunState::At(state) if state.is_terminal());
        assert!(!self.runs.values().next().is_some_and(is_done), "the start is past what is done with");
    }
}

/// What becomes of a record that a member gives back.
fn freed(delivery_count: i16, limits: Limits) -> DeliveryState {
    if delivery_count >= limits.delivery_count_max { DeliveryState::Archived } else { DeliveryState::Available }
}

#[cfg(test)]
mod tests;
