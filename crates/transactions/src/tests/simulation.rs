//! Transactions under faults, from seeds. `THALWEG_SEED=n` replays one, `THALWEG_SEEDS=n` runs so many.
//!
//! Producers of the same transactional id begin, write, commit, abort, repeat requests and die; markers come late, twice or
//! not at all; the coordinator moves between any two steps; time passes. At the end every transaction has one fate in all
//! partitions, and it is the one that its producer was told.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use thalweg_base::ProducerId;
use thalweg_wire::ErrorCode;

use super::testbed::{Testbed, partitions, written};
use crate::errand::{Errand, Markers};
use crate::request::{Answer, Producer, Request};
use crate::transaction::State;

const STEPS: usize = 300;
const IDS: [&str; 3] = ["one", "two", "three"];
const PARTITIONS: usize = 4;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 16) as usize % limit
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// What a partition knows of a producer, by the rules of Kafka's logs.
#[derive(Default)]
struct Known {
    epoch: i16,
    coordinator_epoch: i32,
    /// The transactions, by number, whose records are undecided: one, or the guarantee is broken.
    open: BTreeSet<usize>,
}

/// One transaction of a client.
#[derive(Debug, Default)]
struct Txn {
    written: BTreeSet<i32>,
    /// It was to be committed; perhaps nobody heard of it.
    asked_commit: bool,
    /// What the client was told.
    told: Option<bool>,
    /// By partition, what the markers have made of it.
    fate: BTreeMap<i32, bool>,
}

/// One run of a program that has a transactional id.
struct Client {
    id: &'static str,
    producer: Option<Producer>,
    /// The number of its open transaction.
    txn: Option<usize>,
    /// What it asked for last, while it does not know whether that was heard.
    ending: Option<bool>,
    dead: bool,
}

struct World {
    bed: Testbed,
    random: Random,
    /// The protocol of all clients.
    version: i16,
    places: Vec<BTreeMap<i64, Known>>,
    clients: Vec<Client>,
    txns: Vec<Txn>,
    /// Markers on their way, also of former coordinators.
    markers: Vec<Markers>,
    next_id: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (level, version) = [(2, 2), (2, 0), (1, 0)][random.below(3)];
        let places = (0..PARTITIONS).map(|_| BTreeMap::new()).collect();
        let (bed, clients) = (Testbed::new(level), Vec::new());
        Self { bed, random, version, places, clients, txns: Vec::new(), markers: Vec::new(), next_id: 100 }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..8 => self.start(),
            8..60 => self.turn(),
            60..84 => self.deliver(70),
            84..90 => self.bed.pass(20_000),
            90..96 => self.reload(),
            _ => self.bed.pass(60),
        }
        self.collect();
    }

    fn start(&mut self) {
        let id = IDS[self.random.below(IDS.len())];
        self.clients.push(Client { id, producer: None, txn: None, ending: None, dead: false });
    }

    fn reload(&mut self) {
        self.collect();
        self.bed.reload();
    }

    /// Takes over what the coordinator has others do.
    fn collect(&mut self) {
        for errand in std::mem::take(&mut self.bed.errands) {
            match errand {
                Errand::WriteMarkers(markers) => self.markers.push(markers),
                Errand::FindProducerId(id) => {
                    self.next_id += 1;
                    let fresh = ProducerId(self.next_id);
                    self.bed.tell(|shard, now, image| shard.abort_overdue(now, image, &id, fresh));
                }
            }
        }
    }

    /// One client does something.
    fn turn(&mut self) {
        let alive: Vec<usize> = (0..self.clients.len()).filter(|at| !self.clients[*at].dead).collect();
        if alive.is_empty() {
            return self.start();
        }
        let at = alive[self.random.below(alive.len())];
        let Client { id, producer, txn, ending, .. } = self.clients[at];
        match (producer, txn, ending) {
            _ if self.random.percent(4) => self.clients[at].dead = true,
            (None, ..) => {
                self.next_id += 1;
                match self.bed.init(id, None, self.next_id) {
                    Ok(producer) => self.clients[at].producer = Some(producer),
                    Err(error) => assert_eq!(error, ErrorCode::ConcurrentTransactions),
                }
            }
            (Some(_), None, _) => {
                self.txns.push(Txn::default());
                self.clients[at].txn = Some(self.txns.len() - 1);
            }
            (Some(producer), Some(number), None) if self.random.percent(65) => self.write(at, id, producer, number),
            (Some(producer), Some(number), ending) => self.end(at, id, producer, number, ending),
        }
    }

    fn write(&mut self, at: usize, id: &'static str, producer: Producer, number: usize) {
        let index = self.random.below(PARTITIONS) as i32;
        if let Err(error) = self.bed.add(id, producer, partitions("a", &[index]), self.version) {
            return self.refused(at, error);
        }
        let lingers = self.random.percent(10);
        if lingers {
            // The record is on its way while other things happen.
            self.deliver(100);
            self.bed.pass(if self.random.percent(50) { 80_000 } else { 10 });
            self.collect();
            self.deliver(100);
        }
        if let Err(error) = self.append(id, producer, index, number) {
            self.refused(at, error);
        }
    }

    /// Appends a record as a partition's leader does: with the coordinator's word unless the transaction is open there.
    fn append(&mut self, id: &'static str, producer: Producer, index: i32, number: usize) -> Result<(), ErrorCode> {
        let is_open = |known: &Known| known.epoch == producer.epoch.0 && !known.open.is_empty();
        let known = self.places[index as usize].get(&producer.id.0);
        if known.is_some_and(|known| producer.epoch.0 < known.epoch) {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if !known.is_some_and(is_open) {
            let transactional_id = id.into();
            let asked = partitions("a", &[index]);
            match self.bed.ask(Request::VerifyPartitions { transactional_id, producer, partitions: asked }) {
                Answer::Verified(Ok(missing)) if missing.is_empty() => {}
                Answer::Verified(Ok(_)) => return Err(ErrorCode::TransactionAbortable),
                Answer::Verified(Err(error)) => return Err(error),
                other => panic!("{other:?}"),
            }
        }
        let known = self.places[index as usize].entry(producer.id.0).or_default();
        known.epoch = producer.epoch.0;
        known.open.insert(number);
        assert_eq!(known.open.len(), 1, "a producer has one transaction open in a partition");
        self.txns[number].written.insert(index);
        Ok(())
    }

    fn end(&mut self, at: usize, id: &'static str, producer: Producer, number: usize, ending: Option<bool>) {
        let committed = ending.unwrap_or_else(|| self.random.percent(60));
        self.clients[at].ending = Some(committed);
        self.txns[number].asked_commit |= committed;
        self.next_id += 1;
        let answer = self.bed.end(id, producer, committed, self.version, self.next_id);
        let is_lost = self.random.percent(15);
        match answer {
            // The client asks again.
            _ if is_lost => {}
            Ok(next) => {
                self.txns[number].told = Some(committed);
                let next = if self.version == 2 { next } else { producer };
                let client = &mut self.clients[at];
                (client.producer, client.txn, client.ending) = (Some(next), None, None);
            }
            Err(error) => self.refused(at, error),
        }
    }

    /// What a client does about an error: it asks again, or is no more.
    fn refused(&mut self, at: usize, error: ErrorCode) {
        match error {
            ErrorCode::ConcurrentTransactions => {}
            ErrorCode::InvalidTxnState if self.version == 0 => self.clients[at].dead = true,
            ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::InvalidTxnState
            | ErrorCode::TransactionAbortable => self.clients[at].dead = true,
            other => panic!("{other:?}"),
        }
    }

    /// Some marker arrives, and perhaps its answer does; perhaps it comes again.
    fn deliver(&mut self, chance: usize) {
        if self.markers.is_empty() {
            return;
        }
        let at = self.random.below(self.markers.len());
        let markers = self.markers[at].clone();
        // Without an epoch for each transaction, a marker that came again later would end the next one: that is what KIP-890
        // mends, and a node that writes its own markers does not do it.
        if markers.transaction_version < 2 || !self.random.percent(20) {
            self.markers.swap_remove(at);
        }
        let mut results = BTreeMap::new();
        for index in markers.partitions.values().flatten().copied() {
            let arrives = self.random.percent(chance);
            let result = if arrives { self.mark(&markers, index) } else { Err(ErrorCode::NotLeaderOrFollower) };
            results.insert(index, result);
        }
        let results = written(&markers, |_, index| results[&index]);
        if self.random.percent(90) {
            self.bed.tell(|shard, now, image| shard.markers_written(now, image, &markers, &results));
        } else {
            self.markers.push(markers);
        }
    }

    /// Writes a marker by the rules of Kafka's logs.
    fn mark(&mut self, markers: &Markers, index: i32) -> Result<(), ErrorCode> {
        let known = self.places[index as usize].entry(markers.producer.id.0).or_default();
        let epoch = markers.producer.epoch.0;
        let repeats = epoch == known.epoch && known.open.is_empty();
        if epoch < known.epoch || markers.transaction_version >= 2 && epoch == known.epoch && !repeats {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if known.coordinator_epoch > markers.coordinator_epoch {
            return Err(ErrorCode::TransactionCoordinatorFenced);
        }
        (known.epoch, known.coordinator_epoch) = (epoch, markers.coordinator_epoch);
        for number in std::mem::take(&mut known.open) {
            let before = self.txns[number].fate.insert(index, markers.committed);
            assert_eq!(before, None, "a transaction ends once in a partition");
        }
        Ok(())
    }

    /// Nothing fails any more: all comes to rest.
    fn settle(&mut self) {
        self.clients.iter_mut().for_each(|client| client.dead = true);
        self.reload();
        self.markers.clear();
        self.bed.reload();
        for _ in 0..200 {
            self.collect();
            for markers in std::mem::take(&mut self.markers) {
                let results: BTreeMap<i32, _> =
                    markers.partitions.values().flatten().map(|index| (*index, self.mark(&markers, *index))).collect();
                let results = written(&markers, |_, index| results[&index]);
                self.bed.tell(|shard, now, image| shard.markers_written(now, image, &markers, &results));
            }
            self.bed.pass(2_000);
        }
    }

    fn check(&mut self) {
        for (number, txn) in self.txns.iter().enumerate() {
            let fates: BTreeSet<bool> = txn.written.iter().filter_map(|index| txn.fate.get(index).copied()).collect();
            assert!(fates.len() <= 1, "transaction {number} is half committed: {txn:?}");
            assert!(txn.written.iter().all(|index| txn.fate.contains_key(index)), "{number} is still open: {txn:?}");
            assert!(txn.asked_commit || !fates.contains(&true), "nobody asked to commit {number}: {txn:?}");
            if let (Some(told), Some(fate)) = (txn.told, fates.first()) {
                assert_eq!(told, *fate, "transaction {number} is not what its producer was told: {txn:?}");
            }
        }
        let live: BTreeMap<_, _> =
            self.bed.shard.ids.iter().map(|(id, entry)| (id.clone(), entry.transaction.clone())).collect();
        assert!(live.values().all(|txn| !txn.state.is_prepared() && txn.state != State::Ongoing), "all is at rest");
        self.bed.reload();
        let replayed: BTreeMap<_, _> =
            self.bed.shard.ids.iter().map(|(id, entry)| (id.clone(), entry.transaction.clone())).collect();
        assert_eq!(live, replayed, "the log says what the shard knows");
    }
}

fn run(seed: u64) -> (usize, usize) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.check();
    let fates = world.txns.iter().flat_map(|txn| txn.fate.values());
    fates.fold((0, 0), |(commits, aborts), fate| if *fate { (commits + 1, aborts) } else { (commits, aborts + 1) })
}

#[test]
fn every_transaction_has_one_fate_and_it_is_the_one_that_was_told() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("THALWEG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THALWEG_SEEDS").unwrap_or(300),
    };
    let (mut commits, mut aborts) = (0, 0);
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok((more_commits, more_aborts)) => (commits, aborts) = (commits + more_commits, aborts + more_aborts),
            Err(panic) => {
                eprintln!("THALWEG_SEED={seed} replays this");
                resume_unwind(panic);
            }
        }
    }
    assert!(number("THALWEG_SEED").is_some() || commits > 100 && aborts > 100, "{commits} commits, {aborts} aborts");
}
