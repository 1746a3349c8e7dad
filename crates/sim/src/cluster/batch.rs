//! Many stories, each in a process of its own: whatever ran before in a process, its threads and the numbers of its tasks, is
//! no part of a story.

use std::env;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use thalweg_base::planted::Bug;

use super::{Story, Verdict};

/// How many stories the gate runs: those with the seeds from 0 on.
pub const GATE_SEEDS: u64 = 16;
/// So many stories run at once.
const PROCESSES: usize = 2;
const SEED: &str = "THALWEG_SEED";
const BUG: &str = "THALWEG_SIM_BUG";

/// A number from the environment.
#[must_use]
pub fn number<N: std::str::FromStr>(variable: &str) -> Option<N> {
    env::var(variable).ok()?.parse().ok()
}

/// The one story that this process is to run, if it is one.
///
/// # Panics
/// When it is to be run with a bug that cannot be planted.
#[must_use]
pub fn only_story() -> Option<Story> {
    let bug = env::var(BUG).ok().map(|named| {
        let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == named);
        bug.unwrap_or_else(|| panic!("there is no bug `{named}`; these can be planted: {:?}", Bug::ALL))
    });
    Some(Story { seed: number(SEED)?, nodes: nodes(), bug })
}

/// How many nodes each story has.
#[must_use]
pub fn nodes() -> i32 {
    number("THALWEG_SIM_NODES").unwrap_or(3)
}

/// Runs that story and says in words what came of it.
///
/// # Panics
/// When a promise was broken.
pub fn run_only(story: Story) {
    let verdict = story.run();
    println!("{}", describe(story.seed, &verdict));
    assert!(verdict.broken.is_empty(), "seed {} breaks promises", story.seed);
}

fn describe(seed: u64, verdict: &Verdict) -> String {
    /// More of the same says nothing new.
    const SHOWN: usize = 12;
    let broken: Vec<&str> = verdict.broken.iter().take(SHOWN).map(String::as_str).collect();
    let (broken, troubles) = (broken.join("\n  "), verdict.troubles.join("\n    "));
    let (records, transactions, offsets) = verdict.counts;
    let counts = format!("{records} records acknowledged, {transactions} transactions and {offsets} offsets committed");
    format!("story {seed}: {counts}, fingerprint {:x}\n  {broken}\n    {troubles}", verdict.fingerprint)
}

/// Runs a story in a process of its own, by the test that has this name. Gives what it said, as an error if it failed.
pub fn run_in_process(test: &str, seed: u64, bug: Option<Bug>) -> Result<String, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture"]).env(SEED, seed.to_string()).env("RUST_BACKTRACE", "0");
    if let Some(bug) = bug {
        command.env(BUG, format!("{bug:?}"));
    }
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = text.split_once("story ").map_or(text.clone(), |(_, told)| format!("story {told}"));
    let told = told.split("\ntest ").next().unwrap_or_default().trim_end().to_owned();
    if output.status.success() { Ok(told) } else { Err(told + "\n" + &String::from_utf8_lossy(&output.stderr)) }
}

/// Does the same for each of several things: as many at once as there may be processes.
pub fn at_once<T: Sync>(things: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(thing);
        }
    };
    thread::scope(|scope| (0..PROCESSES.min(things.len())).for_each(|_| drop(scope.spawn(worker))));
}
