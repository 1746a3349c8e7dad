//! Delivery: a member is given records that are free.

use std::sync::Arc;

use thalweg_base::{Moment, Offset};

use crate::partition::{DeliveryState, Limits, Lock, Run, RunState, SharePartition, count};

/// Neighbouring offsets, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
}

/// How strictly a member wants the number of records that it asks for (KIP-1206).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireMode {
    /// More records are taken if that keeps batches of the log whole.
    BatchOptimized,
    /// Never more.
    RecordLimit,
}

/// What a member asks for.
#[derive(Clone, Copy, Debug)]
pub struct Acquire<'a> {
    /// The member.
    pub member: &'a Arc<str>,
    /// How strictly it wants `records_max`.
    pub mode: AcquireMode,
    /// How many records it wants.
    pub records_max: i64,
    /// How many records it likes to acknowledge together.
    pub batch_size: i64,
    /// Where the log was read.
    pub fetch_offset: Offset,
    /// The batches of the log that were read there; not empty, in order.
    pub batches: &'a [Span],
    /// Records of aborted transactions among them, in order: they are never delivered.
    pub aborted: &'a [Span],
}

/// Records that a member holds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    /// Which.
    pub span: Span,
    /// How often they were delivered, this time included.
    pub delivery_count: i16,
}

impl SharePartition {
    /// Gives free records of what was read to a member, in the order of the log.
    ///
    /// # Panics
    /// When nothing was read.
    pub fn acquire(&mut self, now: Moment, asked: &Acquire<'_>, limits: Limits) -> Vec<Acquired> {
        let (Some(first), Some(last)) = (asked.batches.first(), asked.batches.last()) else {
            panic!("a delivery needs batches")
        };
        let Some((most, last)) = self.room(asked, last.last, limits) else { return Vec::new() };
        let lock = Lock { member: Arc::clone(asked.member), due: now.after(limits.lock_duration) };
        self.skip_to(asked.fetch_offset.0, first.first);
        let mut acquired = Vec::new();
        if last < first.first {
            // Only what is free again may be delivered, and all of that is gone.
            self.prune();
            return acquired;
        }
        let taken = self.acquire_again(asked, Span { first: first.first, last }, most, &lock, limits, &mut acquired);
        if let Some(left) = taken {
            self.acquire_new(asked, Span { first: first.first, last }, left, &lock, &mut acquired);
        }
        self.archive_aborted(asked.aborted, &mut acquired);
        if !acquired.is_empty() {
            self.check_at = Some(self.check_at.map_or(lock.due, |at| at.min(lock.due)));
        }
        self.prune();
        self.check();
        acquired
    }

    /// How many records may be taken, and up to where. When too many are on their way, those that are free again may be.
    fn room(&self, asked: &Acquire<'_>, last: i64, limits: Limits) -> Option<(i64, i64)> {
        if last < self.start || asked.records_max <= 0 {
            return None;
        }
        let room = limits.in_flight_max - self.in_flight();
        if room > 0 {
            return Some((asked.records_max.min(room), last));
        }
        let among = self.next - asked.fetch_offset.0;
        (among > 0).then(|| (asked.records_max.min(among), last.min(self.next - 1)))
    }

    /// Free records between where the log was read and what was found there are gone: compaction has removed them.
    fn skip_to(&mut self, from: i64, to: i64) {
        if from >= to {
            return;
        }
        self.split(from);
        self.split(to);
        for (_, run) in self.runs.range_mut(from..to) {
            if run.state == RunState::At(DeliveryState::Available) {
                run.state = RunState::At(DeliveryState::Archived);
            }
        }
    }

    /// Takes records that were looked at before. Gives how many may still be taken; `None` to stop here.
    fn acquire_again(
        &mut self,
        asked: &Acquire<'_>,
        within: Span,
        most: i64,
        lock: &Lock,
        limits: Limits,
        acquired: &mut Vec<Acquired>,
    ) -> Option<i64> {
        self.split(within.first);
        self.split(within.last + 1);
        let free = |(first, run): (&i64, &Run)| {
            (run.state == RunState::At(DeliveryState::Available)).then(|| (*first, run.clone()))
        };
        let free: Vec<_> = self.runs.range(within.first..=within.last).filter_map(free).collect();
        let mut left = most;
        for (first, Run { last, delivery_count, together, .. }) in free {
            let alone = few_at_once(delivery_count, together, limits);
            if left <= 0 || alone.is_some() && !acquired.is_empty() {
                return None;
            }
            let to = cut(asked, first, last, left).min(first + alone.unwrap_or(i64::MAX >> 1) - 1);
            self.split(to + 1);
            if let Some(run) = self.runs.get_mut(&first) {
                run.state = RunState::Acquired(lock.clone());
                run.delivery_count = delivery_count.saturating_add(1);
                if delivery_count == 0 {
                    run.together = count(first, to);
                }
                acquired.push(Acquired { span: Span { first, last: to }, delivery_count: run.delivery_count });
                left -= to - first + 1;
            }
            if alone.is_some() {
                return None;
            }
        }
        (left > 0).then_some(left)
    }

    /// Takes records that were never looked at.
    fn acquire_new(&mut self, asked: &Acquire<'_>, within: Span, most: i64, lock: &Lock, acquired: &mut Vec<Acquired>) {
        if within.last < self.next {
            return;
        }
        // Where nothing is on its way, what is missing before the first batch need not be remembered.
        if self.runs.is_empty() {
            self.start = self.start.max(within.first).max(self.next);
            self.next = self.start;
        }
        self.extend(within.first - 1, DeliveryState::Archived, 0);
        let first = self.next;
        let last = cut(asked, first, within.last, most);
        let mut from = first;
        let pieces = asked.batches.iter().map(|batch| batch.first).filter(|at| (first + 1..=last).contains(at));
        for at in pieces.chain([last + 1]) {
            let is_strict = asked.mode == AcquireMode::RecordLimit;
            if at <= last && (is_strict || at - from < asked.batch_size.max(1)) {
                continue;
            }
            let (state, together) = (RunState::Acquired(lock.clone()), count(from, at - 1));
            let run = Run { last: at - 1, state, delivery_count: 1, together };
            self.runs.insert(from, run);
            acquired.push(Acquired { span: Span { first: from, last: at - 1 }, delivery_count: 1 });
            from = at;
        }
        self.next = last + 1;
    }

    /// Takes records of aborted transactions out again.
    fn archive_aborted(&mut self, aborted: &[Span], acquired: &mut Vec<Acquired>) {
        for gone in aborted {
            let mut kept = Vec::with_capacity(acquired.len() + 1);
            for held in acquired.drain(..) {
                let Span { first, last } = held.span;
                let overlap = Span { first: first.max(gone.first), last: last.min(gone.last) };
                if overlap.first > overlap.last {
                    kept.push(held);
                    continue;
                }
                self.split(overlap.first);
                self.split(overlap.last + 1);
                for (_, run) in self.runs.range_mut(overlap.first..=overlap.last) {
                    run.state = RunState::At(DeliveryState::Archived);
                }
                for rest in [Span { first, last: overlap.first - 1 }, Span { first: overlap.last + 1, last }] {
                    if rest.first <= rest.last {
                        kept.push(Acquired { span: rest, ..held });
                    }
                }
            }
            *acquired = kept;
        }
    }
}

/// Where to stop when `most` records may be taken from `first` on: exactly there, or where the batch of the log ends.
fn cut(asked: &Acquire<'_>, first: i64, last: i64, most: i64) -> i64 {
    if last - first < most {
        return last;
    }
    let exact = first + most - 1;
    match asked.mode {
        AcquireMode::RecordLimit => exact,
        AcquireMode::BatchOptimized => {
            let batch = asked.batches.iter().find(|batch| (batch.first..=batch.last).contains(&exact));
            batch.map_or(exact, |batch| batch.last).min(last)
        }
    }
}

/// How many records are delivered together that were delivered often, `together` at first: halves of that, and the last
/// time each alone, so that one that makes its members fail does not use up the attempts of its neighbours.
fn few_at_once(delivery_count: i16, together: u32, limits: Limits) -> Option<i64> {
    let max = limits.delivery_count_max;
    let throttled_from = (max / 2 + max % 2).max(2);
    if max > 2 && delivery_count == max - 1 {
        return Some(1);
    }
    let halvings = delivery_count - throttled_from + 1;
    (halvings > 0).then(|| (i64::from(together) >> halvings.min(62)).max(1))
}
