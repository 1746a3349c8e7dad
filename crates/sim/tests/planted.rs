//! Bugs that are planted on purpose: stories of a cluster find each of them. `cargo xtask sim --planted` runs this.

#![cfg(sim)]

use std::sync::Mutex;

use thalweg_base::planted::Bug;
use thalweg_sim::cluster::batch::{number, only_story, run_many, run_only};

/// So many stories have to find a bug at the latest: as many as the gate runs.
const SEEDS_MAX: u64 = 20;

#[test]
fn each_planted_bug_is_found() {
    if let Some(story) = only_story() {
        return run_only(story);
    }
    let seeds: Vec<u64> = (0..number("THALWEG_SEEDS").unwrap_or(SEEDS_MAX)).collect();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        // The first story that finds it.
        let first: Mutex<Option<u64>> = Mutex::default();
        run_many("each_planted_bug_is_found", &seeds, Some(bug), |seed, told| {
            let Err(told) = told else { return true };
            println!("{bug:?} is found by {}", told.lines().take(2).collect::<Vec<_>>().join("\n"));
            let mut first = first.lock().expect("nobody panics with it");
            *first = Some(first.map_or(seed, |before| before.min(seed)));
            false
        });
        match *first.lock().expect("nobody panics with it") {
            Some(seed) => println!("== {bug:?}: {} stories", seed + 1),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "{} stories do not find {missed:?}", seeds.len());
}
