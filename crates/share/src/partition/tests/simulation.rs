//! Members that join, die, pause and acknowledge late or twice; leaders that are lost; and a coordinator that refuses to
//! write. A seed reproduces a run.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::LIMITS;
use crate::acknowledge::AckBatch;
use crate::acquire::{Acquire, AcquireMode, Span};

const RECORDS: i64 = 300;
const MEMBERS: usize = 4;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: i64) -> i64 {
        (self.next() % n.unsigned_abs()).cast_signed()
    }

    fn percent(&mut self, chance: i64) -> bool {
        self.below(100) < chance
    }
}

/// What the coordinator has kept: each record's newest state, and the start.
#[derive(Default)]
struct Kept {
    start: i64,
    records: BTreeMap<i64, (DeliveryState, i16)>,
}

struct World {
    random: Random,
    now: i64,
    log: Vec<Span>,
    part: SharePartition,
    kept: Kept,
    /// Writes that are on their way to the coordinator.
    writes: Vec<Write>,
    /// What each member believes that it holds.
    members: Vec<Vec<Span>>,
    /// Who holds a record as far as anybody knows, and until when.
    holders: BTreeMap<i64, (usize, i64)>,
    deliveries: BTreeMap<i64, i16>,
    /// Accepted, and that was kept.
    accepted: BTreeSet<i64>,
    finished: BTreeSet<i64>,
    limits: Limits,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut log = Vec::new();
        let mut at = 0;
        while at < RECORDS {
            let last = (at + random.below(9)).min(RECORDS - 1);
            log.push(Span { first: at, last });
            // Compaction has left holes.
            at = last + 1 + if random.percent(20) { random.below(4) } else { 0 };
        }
        let limits = Limits { in_flight_max: 20 + random.below(60), ..LIMITS };
        Self {
            random,
            now: 0,
            log,
            part: SharePartition::new(&Loaded { state_epoch: 0, start: Offset(0), batches: Vec::new() }),
            kept: Kept::default(),
            writes: Vec::new(),
            members: vec![Vec::new(); MEMBERS],
            holders: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            accepted: BTreeSet::new(),
            finished: BTreeSet::new(),
            limits,
        }
    }

    fn step(&mut self, faulty: bool) {
        self.now += self.random.below(1_500);
        if let Some(write) = self.part.tick(Moment(self.now), self.limits) {
            self.writes.push(write);
        }
        assert!(self.part.next_deadline().is_none_or(|due| due.0 > self.now), "no lock outlives its time");
        let now = self.now;
        self.holders.retain(|_, (_, due)| *due > now);
        let member = usize::try_from(self.random.below(MEMBERS as i64)).expect("it is small");
        match self.random.below(if faulty { 100 } else { 60 }) {
            0..25 => self.fetch(member),
            25..50 => self.acknowledge(member),
            50..60 => self.deliver_write(false),
            60..64 => self.deliver_write(true),
            64..70 => self.leave(member),
            70..73 => self.lose_leader(),
            73..76 => self.delete_records(),
            _ => {}
        }
    }

    fn fetch(&mut self, member: usize) {
        let Some(at) = self.part.fetch_offset(self.limits) else { return };
        let from = self.log.iter().position(|batch| batch.last >= at.0).unwrap_or(self.log.len());
        let upto = (from + 1 + usize::try_from(self.random.below(4)).expect("small")).min(self.log.len());
        let batches = self.log[from..upto].to_vec();
        if batches.is_empty() {
            return;
        }
        let mode = if self.random.percent(50) { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized };
        let (records_max, batch_size) = (1 + self.random.below(12), 1 + self.random.below(6));
        let id: Arc<str> = member.to_string().into();
        let asked =
            Acquire { member: &id, mode, records_max, batch_size, fetch_offset: at, batches: &batches, aborted: &[] };
        let acquired = self.part.acquire(Moment(self.now), &asked, self.limits);
        let count: i64 = acquired.iter().map(|got| got.span.last - got.span.first + 1).sum();
        assert!(mode == AcquireMode::BatchOptimized || count <= records_max, "the limit is strict");
        let due = self.now + 30_000;
        for got in acquired {
            for offset in got.span.first..=got.span.last {
                let before = self.holders.insert(offset, (member, due));
                assert_eq!(before, None, "{offset} has a holder");
                assert!(!self.accepted.contains(&offset), "{offset} was accepted");
                assert!(got.delivery_count <= self.limits.delivery_count_max, "{offset} is out of attempts");
                self.deliveries.insert(offset, got.delivery_count);
            }
            self.members[member].push(got.span);
        }
    }

    fn acknowledge(&mut self, member: usize) {
        if self.members[member].is_empty() {
            return;
        }
        let index = usize::try_from(self.random.below(self.members[member].len() as i64)).expect("small");
        // Sometimes it is said again later.
        let held =
            if self.random.percent(90) { self.members[member].remove(index) } else { self.members[member][index] };
        let ack = [AckType::Accept, AckType::Accept, AckType::Release, AckType::Reject, AckType::Renew]
            [usize::try_from(self.random.below(5)).expect("small")];
        let batch = AckBatch { span: held, types: vec![ack] };
        let result = self.part.acknowledge(Moment(self.now), &member.to_string(), &[batch], self.limits);
        let is_held = (held.first..=held.last)
            .filter(|offset| *offset >= self.part.start().0)
            .all(|offset| self.holders.get(&offset).is_some_and(|(holder, _)| *holder == member));
        match result {
            Ok(write) => {
                if ack == AckType::Renew {
                    let due = self.now + 30_000;
                    for offset in held.first..=held.last {
                        if let Some(holder) = self.holders.get_mut(&offset) {
                            holder.1 = due;
                        }
                    }
                    self.members[member].push(held);
                }
                self.writes.extend(write);
            }
            Err(_) => assert!(!is_held || self.is_settling(held), "a holder may say what becomes of {:?}", held),
        }
    }

    fn is_settling(&self, span: Span) -> bool {
        self.part
            .runs
            .range(..=span.last)
            .any(|(_, run)| run.last >= span.first && matches!(run.state, RunState::Settling(..) | RunState::At(_)))
    }

    /// The coordinator has carried out or refused a write.
    fn deliver_write(&mut self, refuse: bool) {
        if self.writes.is_empty() {
            return;
        }
        let write = self.writes.remove(0);
        if !refuse {
            self.keep(&write);
        }
        let before = self.part.start();
        self.part.written(Moment(self.now), write.id, if refuse { Err(()) } else { Ok(()) }, self.limits);
        assert!(self.part.start() >= before, "the start never goes back");
        if !refuse {
            for offset in write.batches.iter().flat_map(|batch| batch.first..=batch.last) {
                self.holders.remove(&offset);
            }
        }
    }

    fn keep(&mut self, write: &Write) {
        self.kept.start = self.kept.start.max(write.start.0);
        for batch in &write.batches {
            for offset in batch.first..=batch.last {
                self.kept.records.insert(offset, (batch.state, batch.delivery_count));
                if batch.state == DeliveryState::Acknowledged {
                    self.accepted.insert(offset);
                }
                if batch.state != DeliveryState::Available {
                    self.finished.insert(offset);
                }
            }
        }
        let start = self.kept.start;
        self.kept.records.retain(|offset, _| *offset >= start);
    }

    fn leave(&mut self, member: usize) {
        let id = member.to_string();
        self.writes.extend(self.part.release(&id, self.limits));
        self.members[member].clear();
    }

    /// Another node leads: it knows what was kept, and writes that were on their way are lost.
    fn lose_leader(&mut self) {
        let batches = self.kept.records.iter().map(|(offset, (state, delivery_count))| StateBatch {
            first: *offset,
            last: *offset,
            state: *state,
            delivery_count: *delivery_count,
        });
        let loaded = Loaded { state_epoch: 0, start: Offset(self.kept.start), batches: batches.collect() };
        self.part = SharePartition::new(&loaded);
        self.writes.clear();
        self.holders.clear();
    }

    fn delete_records(&mut self) {
        let to = self.part.start().0 + self.random.below(3);
        self.log.retain(|batch| batch.last >= to);
        for offset in self.part.start().0..to {
            self.finished.insert(offset);
            self.holders.remove(&offset);
        }
        self.part.log_start_moved(Offset(to));
    }

    /// Whether every record that is still in the log was delivered to its end.
    fn is_drained(&self) -> bool {
        self.part.start().0 >= self.log.last().map_or(0, |batch| batch.last + 1)
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("THALWEG_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..400).collect(),
    }
}

#[test]
fn a_record_is_held_once_and_delivered_until_it_is_done_with() {
    for seed in seeds() {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..600 {
                world.step(true);
            }
            for _ in 0..20_000 {
                if world.is_drained() {
                    return;
                }
                world.step(false);
            }
            panic!("not all records were delivered: {:?}", world.part);
        });
        assert!(outcome.is_ok(), "replay with THALWEG_SEED={seed}");
    }
}
