//! `cargo xtask judge`: Apache Kafka 4.3.1 as the judge of the node, in one command.
//!
//! Raw requests, the command lines of Kafka's own tools, what lies on the disk, and the features of five client libraries
//! are played against this node and compared with what Kafka did. A difference that is not listed with its reason fails,
//! and so does a listed one that has vanished. The lists are `interop/{differ,disk,clients}/known.txt` and
//! `interop/golden/unbuilt.txt`; `docs/compatibility.md` is made of them and of what was found.

mod docs;
mod lists;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::test::{Count, cargo, close, root, step, target};

/// How many scenarios of command lines are played at a time: they wait as much as they compute.
const COMMAND_LINES_AT_ONCE: &str = "4";
/// The scenarios of command lines that are quick and touch most of a node.
const COMMAND_LINES_QUICK: &[&str] = &["05-topics-alter-delete", "21-get-offsets"];
/// The libraries that need neither Java nor Go.
const QUICK_LIBRARIES: &[&str] = &["confluent", "kafka-python", "kafkajs"];

/// One thing that is compared.
struct Part {
    name: &'static str,
    command: Command,
}

/// Runs it. `--quick` leaves out what needs Java, `--write-docs` writes `docs/compatibility.md`, which is else only checked;
/// `THALWEG` names another binary than the release build's.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some(unknown) = arguments.iter().find(|argument| !["--quick", "--write-docs"].contains(&argument.as_str())) {
        return Err(format!("judge takes --quick and --write-docs, not {unknown}"));
    }
    let began = Instant::now();
    let mut total = Count::default();
    // `THALWEG` names a binary that is there already.
    if env::var_os("THALWEG").is_none() {
        let mut build = cargo();
        total = step("release build", build.args(["build", "--release", "--package", "thalweg"]), |_| Count::default());
        if total.failed > 0 {
            return close(total);
        }
    }
    let requests = if has("--write-docs") { requests_and_write()? } else { requests() };
    let mut found = vec![("raw requests", requests)];
    // The first computes and the others mostly wait: together they take little longer than the longest.
    let parts = if has("--quick") { vec![quick_clients()] } else { whole() };
    found.extend(thread::scope(|scope| {
        let running: Vec<_> = parts
            .into_iter()
            .map(|mut part| {
                let name = part.name;
                (name, scope.spawn(move || step(name, &mut part.command, Count::of_closing_line)))
            })
            .collect();
        running.into_iter().map(|(name, part)| (name, part.join().unwrap_or(FAILED))).collect::<Vec<_>>()
    }));
    println!("== differences");
    lists::print()?;
    for (name, count) in &found {
        println!("{name}: {} as Kafka or listed, {} neither", count.passed, count.failed);
        total.add(*count);
    }
    println!("judged in {} s", began.elapsed().as_secs());
    close(total)
}

const FAILED: Count = Count { passed: 0, failed: 1 };

/// What takes minutes.
fn whole() -> Vec<Part> {
    let mut lines = Command::new(root().join("interop/golden/replay.py"));
    lines.args(["check", "--jobs", COMMAND_LINES_AT_ONCE]);
    let clients = Command::new(root().join("interop/features"));
    let disk = Command::new(root().join("interop/disk/run.py"));
    vec![
        Part { name: "command lines", command: lines },
        Part { name: "clients", command: clients },
        Part { name: "disk", command: disk },
    ]
}

/// The features of the libraries that are there at once.
fn quick_clients() -> Part {
    let mut command = Command::new(root().join("interop/features"));
    command.args(QUICK_LIBRARIES.iter().flat_map(|library| ["--only", library]));
    Part { name: "clients", command }
}

/// The part of it that runs with the tests, against the binary `node`: every raw request, and some command lines. The page is
/// not looked at: it follows what was found, once for all that is new.
pub fn quick(node: &Path) -> Count {
    let mut total = differ(&table(), Some(node));
    let mut lines = Command::new(root().join("interop/golden/replay.py"));
    lines.args(["check", "--jobs", COMMAND_LINES_AT_ONCE]).args(COMMAND_LINES_QUICK).env("THALWEG", node);
    total.add(step("command lines", &mut lines, Count::of_closing_line));
    total
}

/// The protocol differ against the release build; the page must be as it would be written now.
fn requests() -> Count {
    let table = table();
    let mut count = differ(&table, None);
    match docs::check(&table) {
        Ok(()) => count.passed += 1,
        Err(message) => {
            println!("{message}");
            count.failed += 1;
        }
    }
    count
}

/// As [`requests`], but writes the page.
fn requests_and_write() -> Result<Count, String> {
    let table = table();
    let count = differ(&table, None);
    docs::write(&table)?;
    Ok(count)
}

/// Where the differ writes its table.
fn table() -> PathBuf {
    target().join("compatibility-table.md")
}

/// Against `node`, or else the binary that the environment names, or that of the release build.
fn differ(table: &Path, node: Option<&Path>) -> Count {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "thalweg-differ", "--", "--table"]).arg(table);
    if let Some(node) = node {
        command.env("THALWEG", node);
    }
    step("raw requests", &mut command, Count::of_closing_line)
}
