//! One node and its clients on a simulated network and disk.

use std::error::Error;
use std::time::Duration;

use thalweg_broker::Node;
use thalweg_broker::config::NodeConfig;
use thalweg_sys::disk::Unsynced;
pub use thalweg_sys::power::seeds;

/// The node's host name.
pub const NODE: &str = "node";
/// Where clients reach it.
pub const ADDRESS: &str = "node:9092";

/// What simulated programs return.
pub type Outcome = Result<(), Box<dyn Error>>;

/// A simulation of one node, whose writes are lost by a crash unless they were synced; with every other seed some of them are
/// there by chance.
#[must_use]
pub fn with_node<'a>(seed: u64) -> turmoil::Sim<'a> {
    with_node_and(seed, &[])
}

/// As [`with_node`], with these properties besides.
#[must_use]
pub fn with_node_and<'a>(seed: u64, properties: &'static [(&'static str, &'static str)]) -> turmoil::Sim<'a> {
    thalweg_sys::random::seed(seed);
    thalweg_sys::disk::replace();
    thalweg_sys::faults::plan(None);
    let unsynced = if seed.is_multiple_of(2) { Unsynced::Lost } else { Unsynced::PartlyThere };
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(600))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .enable_tokio_io();
    let mut sim = builder.build();
    sim.host(NODE, move || async move {
        // Whatever ended the run before this one, nobody synced for it.
        thalweg_sys::disk::lose_power(unsynced);
        let mut node = Node::start(config(properties)?).await?;
        Err(node.failed().await.into())
    });
    sim
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

fn config(properties: &[(&str, &str)]) -> Result<NodeConfig, Box<dyn Error>> {
    let overrides = [
        ("listeners", "PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093"),
        ("advertised.listeners", "PLAINTEXT://node:9092"),
        ("controller.quorum.bootstrap.servers", "node:9093"),
        ("log.dirs", "/data"),
        // Every few decisions, so that crashes meet snapshots too.
        ("metadata.log.max.record.bytes.between.snapshots", "500"),
    ];
    let all = overrides.iter().chain(properties);
    let overrides: Vec<_> = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides)?.0)
}
