//! `cargo xtask test`: everything that must hold, in one command, closed by one counting line.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, time::Instant};

/// Tests that passed and failed. A step that ends badly without saying how many failed counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
}

impl Count {
    /// What a line of output adds: cargo's `test result: ok. 3 passed; 0 failed; ...`.
    pub fn of_cargo(line: &str) -> Self {
        match line.trim_start().strip_prefix("test result: ") {
            Some(rest) => Self { passed: before(rest, " passed"), failed: before(rest, " failed") },
            None => Self::default(),
        }
    }

    /// What a line of output adds: the closing line `3 passed, 0 failed` of the interoperability tests.
    pub fn of_closing_line(line: &str) -> Self {
        let numbers = line.trim_end().strip_suffix(" failed").and_then(|rest| rest.split_once(" passed, "));
        match numbers.map(|(passed, failed)| (passed.parse(), failed.parse())) {
            Some((Ok(passed), Ok(failed))) => Self { passed, failed },
            _ => Self::default(),
        }
    }

    pub fn add(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
    }
}

/// The number that stands before a word.
fn before(text: &str, word: &str) -> u64 {
    let digits = text.split(word).next().unwrap_or_default().rsplit(' ').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// What `cargo xtask test --help` says.
pub const HELP: &str = "\
It runs, in this order, and goes on when one of them fails:
  unit tests          cargo test --workspace
  simulation          a log on a disk that loses power, and whole nodes, by seeds (built with cfg(sim))
  optimized build     of the node that the next steps run against (profile.gate: a release without optimization across crates)
  work                instructions and system calls of requests, against bench/work/baseline.txt (valgrind)
  judge               recorded answers of Apache Kafka, replayed
  command-line tools  recorded steps of Kafka's tools, replayed with ours
  interoperability    clients and tools of other people; interop/run --help
Each step says how long it took the last time. All of it takes about 40 minutes on two cores.
Parts of it: cargo test -p CRATE; cargo xtask sim; cargo xtask judge --quick; interop/run NAME.";

/// How the node that is tested is built: `profile.gate` of Cargo.toml.
pub const BUILD: [&str; 3] = ["build", "--profile", "gate"];

/// A binary that [`BUILD`] made.
pub fn built(name: &str) -> PathBuf {
    target().join("gate").join(name)
}

/// Runs the unit tests, the simulation, the optimized build, the check of the work that requests cost, the judge and the
/// quick interoperability tests, in order; each runs even when one before it failed, except that nothing runs against a
/// binary that was not built.
pub fn run() -> Result<(), String> {
    let mut total = Count::default();
    total.add(step("unit tests", cargo().args(["test", "--workspace"]), Count::of_cargo));
    total.add(crate::sim::all());
    let built = step("optimized build", cargo().args(BUILD).args(crate::work::PACKAGES), |_| Count::default());
    total.add(built);
    if built.failed == 0 {
        let node = self::built("thalweg");
        total.add(crate::work::check());
        total.add(crate::judge::quick(&node));
        let mut tools = Command::new(root().join("interop/golden/replay.py"));
        tools.args(["check", "--tools", "thalweg", "--quick", "--jobs", "2"]).env("THALWEG", &node);
        total.add(step("command-line tools", &mut tools, Count::of_closing_line));
        let mut interop = Command::new(root().join("interop/run"));
        interop.args(["--quick", "--jobs", "2"]).env("THALWEG", &node);
        total.add(step("interoperability", &mut interop, Count::of_closing_line));
    }
    close(total)
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

pub fn close(total: Count) -> Result<(), String> {
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { Ok(()) } else { Err("some tests failed".to_owned()) }
}

/// Runs one command, shows its output as it comes, and counts.
pub fn step(name: &str, command: &mut Command, count: fn(&str) -> Count) -> Count {
    let times = target().join("step-seconds");
    let last = times.join(name.replace(' ', "-"));
    match fs::read_to_string(&last) {
        Ok(seconds) => println!("== {name} ({seconds} s the last time)"),
        Err(_) => println!("== {name}"),
    }
    let began = Instant::now();
    let mut total = Count::default();
    let ended = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().and_then(|mut child| {
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            let line = line?;
            total.add(count(&line));
            println!("{line}");
        }
        child.wait()
    });
    let bad = match &ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = &bad {
        println!("{name}: {why}");
        total.failed = total.failed.max(1);
    }
    let seconds = began.elapsed().as_secs();
    println!("== {name}: {} passed, {} failed in {seconds} s", total.passed, total.failed);
    // For people who wait; nothing depends on it.
    let _ = fs::create_dir_all(&times).and_then(|()| fs::write(&last, seconds.to_string()));
    total
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn counts_the_lines_that_count() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Count::of_cargo(line), Count { passed: 12, failed: 3 });
        assert_eq!(Count::of_cargo("test wire::passed ... ok"), Count::default());
        assert_eq!(Count::of_closing_line("70 passed, 2 failed"), Count { passed: 70, failed: 2 });
        assert_eq!(Count::of_closing_line("ok   a case has 1 passed, then some"), Count::default());
    }
}
