//! A whole cluster whose nodes end, lose their power, are paused, are cut off from each other and from their clients, and have
//! wrong clocks, while clients record a history: it has none of the anomalies that [`thalweg_sim::history`] names.
//!
//! `THALWEG_SIM_NODES` says how many nodes there are (3), `THALWEG_SEEDS` how many stories (the gate's share), `THALWEG_SEED`
//! which one alone; `THALWEG_SIM_LOG=info` or `debug` shows what the nodes of a single one log meanwhile.

#![cfg(sim)]

use std::sync::Mutex;

use thalweg_sim::cluster::batch::{GATE_SEEDS, at_once, nodes, number, only_story, run_in_process, run_only};

/// The test that runs the stories.
const STORIES: &str = "clients_see_no_anomaly_whatever_happens_to_nodes_and_network";

#[test]
fn clients_see_no_anomaly_whatever_happens_to_nodes_and_network() {
    if let Some(story) = only_story() {
        return run_only(story);
    }
    let failed = Mutex::new(Vec::new());
    let seeds: Vec<u64> = (0..number("THALWEG_SEEDS").unwrap_or(GATE_SEEDS)).collect();
    at_once(&seeds, |seed| match run_in_process(STORIES, *seed, None) {
        Ok(told) => println!("{}", told.lines().next().unwrap_or_default()),
        Err(told) => {
            println!("FAILED {told}");
            failed.lock().expect("nobody panics with it").push(*seed);
        }
    });
    let mut failed = failed.into_inner().expect("nobody panics with it");
    failed.sort_unstable();
    let again = format!("cargo xtask sim --nodes {} --seed S", nodes());
    assert!(failed.is_empty(), "these stories S fail, and again with {again}: {failed:?}");
}

#[test]
fn a_seed_says_all_that_happens() {
    if only_story().is_none() {
        let [first, second] = [(); 2].map(|()| run_in_process(STORIES, 1, None));
        assert_eq!(first, second);
    }
}
