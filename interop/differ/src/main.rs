//! Plays scenarios of raw requests against a node and compares the answers with those that Apache Kafka 4.3.1 gave.
//!
//! `differ --help` tells the options, `README.md` the language of the scenarios.

mod batches;
mod codec;
mod connection;
mod coverage;
mod golden;
mod hostile;
mod known;
mod language;
mod mask;
#[expect(dead_code, reason = "the build script of `wire` uses more of this file")]
#[path = "../../../crates/wire/build/model.rs"]
mod model;
mod node;
mod play;
mod report;
mod schema;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, fs};

use node::{Node, Program};
use play::Pair;
use schema::Schema;

const USAGE: &str = "usage: differ [OPTION]... [SCENARIO]...
Plays the scenarios whose names hold one of the words given (all of them without) against fresh nodes of Thalweg, and
compares the answers with golden ones. Ends with 1 when a difference is not listed in known.txt, or a listed one vanished.

  --record             play against Apache Kafka 4.3.1 and write the golden files
  --check-kafka        play against Apache Kafka 4.3.1 and compare: the golden files must not depend on chance
  --against HOST:PORT  play against this node, which must be fresh for each scenario
  --forget             take out of known.txt what vanished
  --table FILE         write the table of APIs for docs/compatibility.md
  --list               name the scenarios
  --hostile SECONDS    plays no scenario: asks the node of --against for requests with hostile values, and counts answers
  --seed N             which of them (1)
THALWEG names another binary than target/release/thalweg.";

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    record: bool,
    check_kafka: bool,
    against: Option<String>,
    forget: bool,
    table: Option<PathBuf>,
    list: bool,
    hostile: Option<u64>,
    seed: u64,
    words: Vec<String>,
}

fn main() -> ExitCode {
    let options = match options(env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("differ: {message}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seed: 1, ..Options::default() };
    let number = |text: String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| USAGE.to_owned());
        match argument.as_str() {
            "--record" => options.record = true,
            "--check-kafka" => options.check_kafka = true,
            "--against" => options.against = Some(value()?),
            "--forget" => options.forget = true,
            "--table" => options.table = Some(value()?.into()),
            "--list" => options.list = true,
            "--hostile" => options.hostile = Some(number(value()?)?),
            "--seed" => options.seed = number(value()?)?,
            word if word.starts_with('-') => return Err(USAGE.to_owned()),
            word => options.words.push(word.to_owned()),
        }
    }
    Ok(options)
}

/// The folder of the differ, in which scenarios and golden files are.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn run(options: &Options) -> Result<bool, String> {
    let root = home().join("../..");
    let schema = Schema::load(&root)?;
    if let Some(seconds) = options.hostile {
        let address = options.against.as_deref().ok_or("--hostile wants --against HOST:PORT")?;
        println!("{}", hostile::ask(&schema, address, options.seed, seconds)?.line());
        return Ok(true);
    }
    let names = scenarios(&options.words)?;
    if options.list {
        names.iter().for_each(|name| println!("{name}"));
        return Ok(true);
    }
    let began = Instant::now();
    let program = if options.record || options.check_kafka {
        Program::Kafka(root.join("interop/kafka/kafka"))
    } else {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Program::Thalweg(env::var_os("THALWEG").map_or_else(|| target.join("release/thalweg"), PathBuf::from))
    };
    let played = play_all(&schema, &program, &names, options.against.as_deref());
    if options.record {
        return record(played);
    }
    let mut known = if options.check_kafka { Vec::new() } else { known::load(&home().join("known.txt"))? };
    let mut outcome = report::compare(&schema, played, &mut known, options.check_kafka)?;
    if options.words.is_empty() {
        outcome.look_for_gaps(&schema);
    }
    if options.forget {
        forget(&outcome.vanished)?;
    }
    if let Some(file) = &options.table {
        fs::write(file, report::table(&schema, &outcome, &known)).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    println!("{} scenarios in {:.1} s", names.len(), began.elapsed().as_secs_f32());
    println!("{} passed, {} failed", outcome.passed, outcome.failed);
    Ok(outcome.failed == 0)
}

/// The names of the scenario files that hold one of the words.
fn scenarios(words: &[String]) -> Result<Vec<String>, String> {
    let folder = home().join("scenarios");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let name = entry.map_err(|e| e.to_string())?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".txt")
            && (words.is_empty() || words.iter().any(|word| name.contains(word.as_str())))
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    if names.is_empty() { Err("no scenario has such a name".to_owned()) } else { Ok(names) }
}

/// A scenario's name and what came of playing it.
type Played = (String, Result<Vec<Pair>, String>);

/// Plays each scenario against a node of its own, two at a time.
fn play_all(schema: &Schema, program: &Program, names: &[String], against: Option<&str>) -> Vec<Played> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let played = play_one(schema, program, name, against);
            let pairs = played.as_ref().map_or(0, Vec::len);
            println!("{name}: {pairs} answers in {:.1} s", began.elapsed().as_secs_f32());
            if let Ok(mut done) = done.lock() {
                done.push((name.clone(), played));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker);
        if against.is_none() {
            scope.spawn(worker);
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by(|a, b| a.0.cmp(&b.0));
    done
}

fn play_one(schema: &Schema, program: &Program, name: &str, against: Option<&str>) -> Result<Vec<Pair>, String> {
    let file = home().join("scenarios").join(format!("{name}.txt"));
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let scenario = language::scenario(&text)?;
    if let Some(address) = against {
        let port = address.rsplit(':').next().unwrap_or_default().to_owned();
        return play::play(schema, &scenario, (address, address), &[(port, "<port>".to_owned())]);
    }
    let directory = env::temp_dir().join(format!("thalweg-differ-{}-{name}", std::process::id()));
    let mut node = Node::start(program, directory, &scenario.properties)?;
    let played = play::play(schema, &scenario, (&node.address, &node.controller), &node.literals);
    if node.is_alive() { played } else { Err(format!("the node ended during the scenario: {}", node.log())) }
}

fn record(played: Vec<Played>) -> Result<bool, String> {
    let mut good = true;
    for (name, pairs) in played {
        let file = home().join("golden").join(format!("{name}.txt"));
        match pairs {
            Ok(pairs) => fs::write(&file, golden::print(&pairs)).map_err(|e| format!("{}: {e}", file.display()))?,
            Err(message) => {
                println!("{name}: {message}");
                good = false;
            }
        }
    }
    Ok(good)
}

/// Takes lines out of `known.txt`.
fn forget(vanished: &[String]) -> Result<(), String> {
    let file = home().join("known.txt");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let left: String =
        text.lines().filter(|line| !vanished.iter().any(|gone| gone == line)).map(|line| format!("{line}\n")).collect();
    fs::write(&file, left).map_err(|e| format!("{}: {e}", file.display()))
}
