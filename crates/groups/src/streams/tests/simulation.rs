//! Members that join, leave, die, lose answers and give up tasks late; coordinators that fail over and logs that refuse to be
//! written. No two members run one task at a time, and in the end every task is run. A seed reproduces a run.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::streams_group_heartbeat_request as q;

use super::{Beat, described, join, one, send};
use crate::consumer::tests::coordinator;
use crate::tests::testbed::Testbed;

const TASKS: i32 = 7;
const STEPS: usize = 400;
const MEMBERS_MAX: usize = 6;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).expect("it is below a usize")
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// A member as it sees itself.
#[derive(Default)]
struct Client {
    epoch: i32,
    runs: BTreeSet<i32>,
    /// What it was told to run and does not run exactly yet.
    told: Option<BTreeSet<i32>>,
    /// What it last said that it runs: it says so when that changes, and again after an answer was lost, as Kafka
    /// Streams does.
    said: Option<BTreeSet<i32>>,
}

struct World {
    bed: Testbed,
    random: Random,
    clients: BTreeMap<String, Client>,
    joined: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let bed = coordinator(&[("t", TASKS), ("app-changelog", TASKS)]);
        Self { bed, random: Random(seed), clients: BTreeMap::new(), joined: 0 }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0 | 1 if self.clients.len() < MEMBERS_MAX => {
                self.joined += 1;
                self.clients.insert(format!("m{}", self.joined), Client::default());
            }
            2 => self.leave(),
            // A member that is silent for so long is taken for dead, and is.
            3 if self.random.percent(20) => {
                self.clients.clear();
                self.bed.pass(46_000);
            }
            4 if self.random.percent(30) => {
                let dead = self.pick();
                dead.and_then(|id| self.clients.remove(&id));
            }
            5 => self.bed.fail_over(),
            6 => self.bed.refuse_writes = Some(ErrorCode::NotEnoughReplicas),
            7 | 8 => self.bed.refuse_writes = None,
            9..=11 => self.bed.pass(500),
            _ => {
                if let Some(id) = self.pick() {
                    let lost = self.random.percent(15);
                    self.beat(&id, lost);
                }
            }
        }
        self.check();
    }

    fn pick(&mut self) -> Option<String> {
        let at = self.random.below(self.clients.len().max(1));
        self.clients.keys().nth(at).cloned()
    }

    fn leave(&mut self) {
        let Some(id) = self.pick() else { return };
        if self.clients.remove(&id).is_some_and(|client| client.epoch > 0) {
            send(&mut self.bed, super::beat(&id, -1));
        }
    }

    /// A heartbeat, whose answer may be lost.
    fn beat(&mut self, id: &str, lost: bool) {
        let late = self.random.percent(30);
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(told) = client.told.clone() {
            // Tasks are given up first, and others begun once that is done.
            let kept: BTreeSet<i32> = client.runs.intersection(&told).copied().collect();
            if kept != client.runs && !late {
                client.runs = kept;
            } else if kept == client.runs {
                client.runs = told;
                client.told = None;
            }
        }
        let request = match client.epoch {
            0 => join(id, one("t")),
            epoch if client.said.as_ref() == Some(&client.runs) => super::beat(id, epoch),
            epoch => running(id, epoch, &client.runs),
        };
        let (response, _) = send(&mut self.bed, request);
        if lost {
            client.said = None;
            return;
        }
        client.said = Some(client.runs.clone());
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {
                client.epoch = response.member_epoch;
                if let Some(tasks) = &response.active_tasks {
                    client.told = Some(tasks.iter().flat_map(|of| of.partitions.clone()).collect());
                }
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch | ErrorCode::GroupIdNotFound => {
                *client = Client::default();
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {}
            other => panic!("{other:?}: {:?}", response.error_message),
        }
    }

    /// No two members run one task.
    fn check(&self) {
        let mut seen = BTreeMap::new();
        for (id, client) in &self.clients {
            for task in &client.runs {
                assert_eq!(seen.insert(*task, id), None, "task {task} is run by {id} too");
            }
        }
    }

    /// Nothing more goes wrong: the group comes to rest.
    fn settle(&mut self) {
        self.bed.refuse_writes = None;
        if self.clients.is_empty() {
            self.clients.insert("last".to_owned(), Client::default());
        }
        // Those who died are put out, then tasks move in as many rounds as it takes.
        for _ in 0..60 {
            self.bed.pass(2_000);
            for id in self.clients.keys().cloned().collect::<Vec<_>>() {
                self.beat(&id, false);
                self.check();
            }
        }
        let runs: BTreeSet<i32> = self.clients.values().flat_map(|client| client.runs.iter().copied()).collect();
        assert_eq!(runs, (0..TASKS).collect());
        assert_eq!(described(&mut self.bed).group_state, "Stable");
    }
}

fn running(member: &str, epoch: i32, active: &BTreeSet<i32>) -> Beat {
    let tasks = q::TaskIds { subtopology_id: "0".into(), partitions: active.iter().copied().collect() };
    let active_tasks = if active.is_empty() { Vec::new() } else { vec![tasks] };
    Beat {
        active_tasks: Some(active_tasks),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        ..super::beat(member, epoch)
    }
}

#[test]
fn no_task_is_run_twice_and_none_is_forgotten() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
    }
}
