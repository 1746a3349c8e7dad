//! `cargo xtask work [--record]`: counts the work of the pieces that decide and of whole requests, and compares it with
//! what was recorded.

use std::path::PathBuf;
use std::process::Command;

use crate::test::{BUILD, Count, built, cargo, root, step};

/// Builds what is counted, and counts; `--record` writes the baseline instead of comparing with it.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let verb = match arguments {
        [] => "check",
        [record] if record == "--record" => "record",
        _ => return Err("work takes --record or nothing".to_owned()),
    };
    if !cargo().args(BUILD).args(PACKAGES).status().is_ok_and(|status| status.success()) {
        return Err("cargo build has failed".to_owned());
    }
    match command(verb).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("the work is not what was recorded".to_owned()),
        Err(e) => Err(format!("the counting cannot be started: {e}")),
    }
}

/// What has to be built before the check.
pub const PACKAGES: [&str; 4] = ["--package", "thalweg", "--package", "thalweg-work"];

/// The check as a step of the test command.
pub fn check() -> Count {
    step("work", &mut command("check"), Count::of_closing_line)
}

fn command(verb: &str) -> Command {
    let baseline: PathBuf = root().join("bench/work/baseline.txt");
    let mut command = Command::new(built("thalweg-work"));
    command.arg(verb).arg(built("thalweg")).arg(baseline);
    command
}
