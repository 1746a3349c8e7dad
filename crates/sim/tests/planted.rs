//! Bugs that are planted on purpose: stories of a cluster find each of them. `cargo xtask sim --planted` runs this alone.
//!
//! `THALWEG_SEEDS` says how many stories are tried at most for each bug (the gate's share).

#![cfg(sim)]

use std::sync::Mutex;
use std::time::Instant;

use thalweg_base::planted::Bug;
use thalweg_sim::cluster::batch::{GATE_SEEDS, at_once, number, only_story, run_in_process, run_only};

#[test]
fn each_planted_bug_is_found() {
    if let Some(story) = only_story() {
        return run_only(story);
    }
    let seeds_max: u64 = number("THALWEG_SEEDS").unwrap_or(GATE_SEEDS);
    let missed = Mutex::new(Vec::new());
    at_once(&Bug::ALL, |bug| {
        #[expect(clippy::disallowed_methods, reason = "how long it took is shown, and decides nothing")]
        let begun = Instant::now();
        let found = (0..seeds_max).find_map(|seed| {
            let told = run_in_process("each_planted_bug_is_found", seed, Some(*bug)).err()?;
            // A story that came to no verdict has found nothing.
            assert!(told.starts_with(&format!("story {seed}: ")), "story {seed} ends without a verdict: {told}");
            Some((seed, told))
        });
        let seconds = begun.elapsed().as_secs();
        let Some((seed, told)) = found else { return missed.lock().expect("nobody panics with it").push(*bug) };
        let told = told.lines().take(4).collect::<Vec<_>>().join("\n");
        println!("{bug:?}: {} stories, {seconds} s\n  {told}", seed + 1);
    });
    let missed = missed.into_inner().expect("nobody panics with it");
    assert!(missed.is_empty(), "{seeds_max} stories do not find {missed:?}");
}
