//! One node or many, and their clients, on a simulated network, each with a disk and a wall clock of its own.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::Timestamp;
use thalweg_broker::Node;
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{FirstVoters, FormatRequest, format};
use thalweg_sys::disk::Unsynced;
use thalweg_sys::faults::{self, Kind, Plan};
use thalweg_sys::machine::Machine;
pub use thalweg_sys::power::seeds;
use thalweg_sys::time::wall_clock_ms;
use tokio::sync::Notify;

/// The node's host name.
pub const NODE: &str = "node";
/// The cluster of those simulations whose directories are formatted.
pub const CLUSTER_ID: &str = "c2ltdWxhdGVkY2x1c3Rlcg";
/// Where clients reach it.
pub const ADDRESS: &str = "node:9092";

/// So many connections wait until a listener takes them, and so many segments until a connection is read: more than come while
/// a process is paused. With more the simulator gives up.
const TCP_CAPACITY: usize = 1024;

/// What simulated programs return.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Properties of nodes.
pub type Properties = &'static [(&'static str, &'static str)];

/// A node of a simulation.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its host name.
    pub name: String,
    /// Its disk.
    pub disk: PathBuf,
    /// What it runs on.
    pub machine: Machine,
    process: Rc<Process>,
}

/// What is done to a node's process from outside.
#[derive(Debug, Default)]
struct Process {
    /// What the next start finds missing. `None`: the process alone has ended, and all that it wrote is there.
    loses: Cell<Option<Unsynced>>,
    /// Whether every start finds something missing.
    always_loses: Option<Unsynced>,
    /// The disk fails or has failed since the present run began: the node may end by itself.
    has_bad_disk: Cell<bool>,
    /// Asks the present run to stop in order.
    stop: RefCell<Rc<Notify>>,
}

impl Host {
    fn new(name: String, disk: PathBuf, always_loses: Option<Unsynced>) -> Self {
        let process = Rc::new(Process { always_loses, ..Process::default() });
        Self { name, disk, machine: Machine::default(), process }
    }

    /// The machine has lost its power: what was not synced will be missing. The host must have crashed.
    pub fn lose_power(&self, unsynced: Unsynced) {
        self.process.loses.set(Some(unsynced));
    }

    /// Asks the node to stop in order.
    pub fn stop(&self) {
        self.process.stop.borrow().notify_one();
    }

    /// The disk fails from its next operation but `after` on, `times` times. The node may end by itself.
    pub fn fail_disk(&self, kind: Kind, after: u64, times: u64) {
        self.process.has_bad_disk.set(true);
        faults::add(Plan { under: self.disk.clone(), at: after, times, kind });
    }

    /// The disk is well again; a node that runs still may end by what it met.
    pub fn mend_disk(&self) {
        faults::remove(&self.disk);
    }
}

/// A simulation of `count` nodes that are brokers and voters of one cluster, with these properties besides. What is not
/// synced is there after a crash unless the host has lost its power.
///
/// # Panics
/// When a disk cannot be attached.
#[must_use]
pub fn with_cluster<'a>(seed: u64, count: i32, properties: Vec<Properties>) -> (turmoil::Sim<'a>, Vec<Host>) {
    let mut sim = begin(seed);
    let voters: Vec<String> = (1..=count).map(|id| format!("{id}@node{id}:9093")).collect();
    let mut hosts = Vec::new();
    for id in 1..=count {
        let host = Host::new(format!("node{id}"), format!("/node{id}").into(), None);
        thalweg_sys::disk::attach(&host.disk).unwrap_or_else(|e| panic!("{}: {e}", host.name));
        let own = vec![
            ("node.id", id.to_string()),
            ("advertised.listeners", format!("PLAINTEXT://{}:9092", host.name)),
            ("controller.quorum.bootstrap.servers", String::new()),
            ("controller.quorum.voters", voters.join(",")),
            ("log.dirs", host.disk.join("data").display().to_string()),
        ];
        run_node(&mut sim, &host, own, properties.clone());
        hosts.push(host);
    }
    (sim, hosts)
}

/// Lets a host run a node whenever it is up.
fn run_node(sim: &mut turmoil::Sim<'_>, host: &Host, own: Vec<(&'static str, String)>, properties: Vec<Properties>) {
    let Host { name, disk, machine, process } = host.clone();
    sim.host(name, move || {
        let (disk, own, properties) = (disk.clone(), own.clone(), properties.clone());
        let process = Rc::clone(&process);
        machine.clone().run(async move {
            let stop = Rc::new(Notify::new());
            *process.stop.borrow_mut() = Rc::clone(&stop);
            process.has_bad_disk.set(faults::has_plan(&disk));
            // Whatever ended the run before this one, nobody synced for it.
            if let Some(unsynced) = process.loses.take().or(process.always_loses) {
                thalweg_sys::disk::lose_power(&disk, unsynced);
            }
            match run_until_stopped(&own, &properties, &stop).await {
                Err(why) if process.has_bad_disk.get() => {
                    tracing::info!("the node has ended: {why}");
                    Ok(())
                }
                ended => ended,
            }
        })
    });
}

/// Formats the disk where that was not done, and runs the node until it is asked to stop.
async fn run_until_stopped(own: &[(&'static str, String)], properties: &[Properties], stop: &Notify) -> Outcome {
    let config = config(own, properties)?;
    let request = FormatRequest { ignore_formatted: true, ..FormatRequest::new(CLUSTER_ID, FirstVoters::Unsaid) };
    if own.iter().any(|(key, _)| *key == "controller.quorum.voters") {
        format(&config, &request, Timestamp(wall_clock_ms()), &mut Vec::new())?;
    }
    let mut node = Node::start(config).await?;
    tokio::select! {
        biased;
        why = node.failed() => Err(why.into()),
        () = stop.notified() => {
            node.stop().await;
            Ok(())
        }
    }
}

/// A simulation of one node, whose writes are lost by a crash unless they were synced; with every other seed some of them are
/// there by chance.
#[must_use]
pub fn with_node<'a>(seed: u64) -> turmoil::Sim<'a> {
    with_node_and(seed, &[])
}

/// As [`with_node`], with these properties besides.
#[must_use]
pub fn with_node_and<'a>(seed: u64, properties: Properties) -> turmoil::Sim<'a> {
    let unsynced = if seed.is_multiple_of(2) { Unsynced::Lost } else { Unsynced::PartlyThere };
    one_node(begin(seed), Some(unsynced), properties).0
}

/// A simulation of one node on a new disk, for stories that fail at every operation of the disk: nothing is lost but what they take.
#[must_use]
pub fn with_node_to_record<'a>(seed: u64, properties: Properties) -> (turmoil::Sim<'a>, Host) {
    one_node(begin(seed), None, properties)
}

/// A simulation of one node on the disk as it is.
#[must_use]
pub fn with_node_as_left<'a>(seed: u64, properties: Properties) -> turmoil::Sim<'a> {
    one_node(build(seed), None, properties).0
}

fn one_node<'a>(
    mut sim: turmoil::Sim<'a>,
    always_loses: Option<Unsynced>,
    properties: Properties,
) -> (turmoil::Sim<'a>, Host) {
    let host = Host::new(NODE.to_owned(), "/".into(), always_loses);
    run_node(&mut sim, &host, Vec::new(), vec![properties]);
    (sim, host)
}

/// An empty simulation on a new disk.
fn begin<'a>(seed: u64) -> turmoil::Sim<'a> {
    thalweg_sys::disk::replace();
    build(seed)
}

/// An empty simulation on the disk as it is.
fn build<'a>(seed: u64) -> turmoil::Sim<'a> {
    thalweg_sys::random::seed(seed);
    thalweg_sys::faults::plan(None);
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(600))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .tcp_capacity(TCP_CAPACITY)
        .enable_tokio_io();
    builder.build()
}

/// Lets the node's power fail so many times, each after `steps_min` steps and as many more as the seed says, and lets it
/// recover after the last.
///
/// # Panics
/// When a simulated program fails.
pub fn fail_power(sim: &mut turmoil::Sim<'_>, seed: u64, times: u32, steps_min: u64) {
    let mut state = seed;
    let mut draw = |range: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % range
    };
    let steps = |sim: &mut turmoil::Sim<'_>, count: u64| {
        for _ in 0..count {
            sim.step().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    };
    for _ in 0..times {
        steps(sim, steps_min + draw(1500));
        sim.crash(NODE);
        steps(sim, draw(100));
        sim.bounce(NODE);
    }
    steps(sim, 1000);
}

fn config(own: &[(&str, String)], properties: &[Properties]) -> Result<NodeConfig, Box<dyn Error>> {
    let defaults = [
        ("listeners", "PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093"),
        ("advertised.listeners", "PLAINTEXT://node:9092"),
        ("controller.quorum.bootstrap.servers", "node:9093"),
        ("log.dirs", "/data"),
        // Every few decisions, so that crashes meet snapshots too.
        ("metadata.log.max.record.bytes.between.snapshots", "500"),
    ];
    let own: Vec<_> = own.iter().map(|(key, value)| (*key, &**value)).collect();
    let all = defaults.iter().chain(&own).chain(properties.iter().copied().flatten());
    let overrides: Vec<_> = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides)?.0)
}
