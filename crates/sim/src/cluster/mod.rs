//! A whole cluster under faults, and clients that record what they do and see.
//!
//! A story is determined by its seed: which faults there are, what they leave of the disks, in which order messages come. It
//! ends when everybody is well again: then every replica must be in sync, everything is read once more, and the history and
//! the logs on all disks are judged.

pub mod batch;
mod clients;
mod health;
mod replicas;
mod together;
mod topics;
mod trouble;
mod witness;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::planted::{self, Bug};
use thalweg_client::Peer;
use thalweg_sys::machine::Machine;

use crate::history::History;
use crate::world::{Outcome, Properties, with_cluster};
use clients::Clients;
use health::{Health, Place};
use trouble::{Faults, Trouble};

/// The hosts of clients: one has those that are in no group, the others have a member each of two groups.
const CLIENTS: [&str; 3] = ["clients", "member1", "member2"];
/// How long the cluster has to bring every replica in sync again when everybody is well.
const HEALING_MAX: Duration = Duration::from_secs(120);
/// So many replicas has each partition.
const REPLICAS: i16 = 3;

/// What all stories have: internal topics with as many replicas as others, and few partitions.
const COMMON: Properties = &[
    ("min.insync.replicas", "2"),
    ("default.replication.factor", "3"),
    ("offsets.topic.replication.factor", "3"),
    ("offsets.topic.num.partitions", "2"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("transaction.state.log.num.partitions", "2"),
];

/// Time-outs of a few seconds let more happen in a story than Kafka's.
const QUICK: Properties = &[
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
    ("replica.lag.time.max.ms", "3000"),
    ("controller.quorum.election.timeout.ms", "500"),
    ("controller.quorum.fetch.timeout.ms", "1000"),
    ("leader.imbalance.check.interval.seconds", "5"),
];

/// What is acknowledged is durable: the power of all nodes may fail.
const SYNCED: Properties = &[("log.flush.interval.messages", "1")];

/// A story to be run.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    /// What determines it.
    pub seed: u64,
    /// How many nodes there are, three at least: all of them are brokers and voters.
    pub nodes: i32,
    /// What is wrong with them on purpose.
    pub bug: Option<Bug>,
}

/// What came of a story.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Every promise that was broken, in words.
    pub broken: Vec<String>,
    /// How many records were acknowledged, transactions committed, and offsets of groups committed.
    pub counts: (usize, usize, usize),
    /// What happened to the nodes, for the reader.
    pub troubles: Vec<String>,
    /// The same for the same events: a story that is run again must give the same.
    pub fingerprint: u64,
}

/// A partition is to be led by another node.
#[derive(Clone, Copy, Debug)]
struct Move {
    place: Place,
    to: i32,
}

/// What the parts of a story share.
#[derive(Clone)]
struct Shared {
    history: Rc<RefCell<History>>,
    /// The milliseconds since the beginning.
    clock: Rc<Cell<u64>>,
    /// There are topics.
    ready: Rc<Cell<bool>>,
    /// Clients stop when they have done what they are at.
    stop: Rc<Cell<bool>>,
    health: Rc<Health>,
    /// What the operator is to do next.
    wanted_move: Rc<Cell<Option<Move>>>,
    peers: Vec<Peer>,
}

impl Story {
    /// Runs it.
    #[must_use]
    pub fn run(&self) -> Verdict {
        planted::plant(self.bug);
        let verdict = witness::watch(|| self.run_watched());
        planted::plant(None);
        verdict
    }

    fn properties(&self, faults: Faults) -> Vec<Properties> {
        let mut properties = vec![COMMON];
        if !self.seed.is_multiple_of(4) {
            properties.push(QUICK);
        }
        if faults == Faults::PowerOfAll {
            properties.push(SYNCED);
        }
        properties
    }

    fn run_watched(&self) -> Verdict {
        let faults = Faults::of_seed(self.seed);
        let (mut sim, hosts) = with_cluster(self.seed, self.nodes, self.properties(faults));
        hosts.iter().for_each(|host| host.machine.set_blocking_delay_ms_max(self.seed / 2 % 4));
        let shared = Shared {
            history: Rc::default(),
            clock: Rc::default(),
            ready: Rc::default(),
            stop: Rc::default(),
            health: Rc::default(),
            wanted_move: Rc::default(),
            peers: hosts.iter().map(|host| Peer::new(&*host.name, 9092)).collect(),
        };
        let clients = Clients::new(shared.clone());
        let machines = CLIENTS.map(|_| Machine::default());
        let numbers: Rc<RefCell<u32>> = Rc::default();
        for (name, machine) in CLIENTS.into_iter().zip(&machines) {
            let (clients, numbers) = (clients.clone(), Rc::clone(&numbers));
            let work = async move {
                match name {
                    "clients" => clients.run().await?,
                    _ => clients.be_members(&numbers).await,
                }
                Ok(()) as Outcome
            };
            sim.client(name, machine.clone().run(work));
        }
        let mut trouble = Trouble::new(&mut sim, (&hosts, &machines), &shared, faults, self.seed);
        let ended = trouble.run();
        let troubles = trouble.told;
        let mut broken: Vec<String> = ended.err().into_iter().collect();
        broken.extend(witness::broken());
        let history = shared.history.borrow();
        let is_ended = broken.is_empty();
        let anomalies = if is_ended { history.anomalies() } else { history.two_leaders() };
        broken.extend(anomalies.iter().map(|anomaly| format!("{anomaly:?}")));
        if is_ended {
            broken.extend(replicas::compare(&hosts));
        }
        let counts = (history.acknowledged(), history.committed_transactions(), history.committed_offsets());
        Verdict { broken, counts, troubles, fingerprint: history.fingerprint() }
    }
}
