//! `cargo xtask bench [--against kafka] [--against bare] ...`: builds the node and the benchmark, and measures one beside the other.

use std::path::PathBuf;
use std::process::Command;

use crate::test::{root, target};

/// Runs `bench/` against this tree's release build; `--against kafka` adds Apache Kafka, `--against bare` the least that
/// answers a client, everything else is the benchmark's own (`cargo xtask bench --help`).
pub fn run(arguments: &[String]) -> Result<(), String> {
    let mut rest = arguments.to_vec();
    let built = |name: &str| target().join("release").join(name).display().to_string();
    let mut brokers = vec!["--thalweg".to_owned(), built("thalweg")];
    while let Some(at) = rest.iter().position(|argument| argument == "--against") {
        let against: Vec<String> = rest.splice(at..(at + 2).min(rest.len()), []).collect();
        match against.get(1).map(String::as_str) {
            Some("kafka") => {
                brokers.extend(["--kafka".to_owned(), root().join("interop/kafka/kafka").display().to_string()]);
            }
            Some("bare") => {
                cargo(&["build", "--release", "--package", "thalweg-work"], &root())?;
                let command = format!("bare={} bare {{port}} {{dir}}", built("thalweg-work"));
                brokers.extend(["--command".to_owned(), command]);
            }
            _ => return Err("--against knows kafka and bare; others: --command or --broker".to_owned()),
        }
    }
    cargo(&["build", "--release", "--package", "thalweg"], &root())?;
    let bench = root().join("bench");
    let built = target().join("bench");
    cargo(&["build", "--release", "--target-dir", &built.display().to_string()], &bench)?;
    let status = Command::new(built.join("release/thalweg-bench")).args(&brokers).args(&rest).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the benchmark has failed: {status}")),
        Err(e) => Err(format!("the benchmark cannot be started: {e}")),
    }
}

fn cargo(arguments: &[&str], dir: &PathBuf) -> Result<(), String> {
    let status = Command::new(env!("CARGO")).args(arguments).current_dir(dir).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("cargo {} has failed", arguments.join(" "))),
    }
}
