//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy checks.
//!
//! The arrows between crates, and between the folders of the broker, against the maps in `docs/architecture.md`, files that import each
//! other in a circle, files and functions that have grown too long, left-overs, doors that should stay shut, tests that sleep. What must be excepted stands in `xtask/tidy-exceptions.txt`,
//! one line each: the rule, the place, and the reason. An exception that excepts nothing is a finding too.

mod arrows;
mod circles;
mod layers;
mod paths;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use circles::Circles;
use source::Source;

/// Something against a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule, as exceptions name it.
    rule: &'static str,
    /// The file, with the function or the crate after a space where the rule is about one.
    place: String,
    /// The line, when there is one.
    line: Option<usize>,
    /// What is there.
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, place, line, what } = self;
        match line {
            Some(line) => write!(f, "{rule}  {place}  line {line}: {what}"),
            None => write!(f, "{rule}  {place}: {what}"),
        }
    }
}

/// Checks the working tree; prints every finding, then one counting line.
pub fn run() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut findings = Vec::new();
    let files = rust_files(&root)?;
    let broker = layers::read(&root, "broker")?;
    let mut circles = Circles::default();
    for file in &files {
        let text = fs::read_to_string(root.join(file)).map_err(|e| format!("{file}: {e}"))?;
        let source = Source::new(file, &text);
        rules::check(&source, &mut findings);
        layers::check(&source, "broker", &broker, &mut findings);
        circles.add(&source);
    }
    circles.check(&mut findings);
    arrows::check(&root, &mut findings)?;
    findings.sort();
    let exceptions = fs::read_to_string(root.join("xtask/tidy-exceptions.txt")).unwrap_or_default();
    let findings = except(findings, &exceptions);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", files.len(), findings.len());
    if findings.is_empty() { Ok(()) } else { Err("tidy: see above".to_owned()) }
}

/// Every Rust file that git knows or would add, by its path from the root.
fn rust_files(root: &Path) -> Result<Vec<String>, String> {
    let listed = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .output()
        .map_err(|e| format!("git: {e}"))?;
    let names: BTreeSet<String> = String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    let there: Vec<String> = names.into_iter().filter(|name| root.join(PathBuf::from(name)).is_file()).collect();
    if there.is_empty() { Err("git lists no Rust files here".to_owned()) } else { Ok(there) }
}

/// Takes out what the exceptions name. A line is `rule | place | reason`; `#` begins a comment.
fn except(findings: Vec<Finding>, exceptions: &str) -> Vec<Finding> {
    let rows: Vec<Vec<&str>> = exceptions
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let names = |row: &[&str], finding: &Finding| {
        row.len() == 3 && !row[2].is_empty() && row[0] == finding.rule && row[1] == finding.place
    };
    let mut left: Vec<Finding> = rows
        .iter()
        .filter(|row| !findings.iter().any(|finding| names(row, finding)))
        .map(|row| Finding {
            rule: "exception",
            place: "xtask/tidy-exceptions.txt".to_owned(),
            line: None,
            what: format!("`{}` excepts nothing, or has no reason", row.join(" | ")),
        })
        .collect();
    left.extend(findings.into_iter().filter(|finding| !rows.iter().any(|row| names(row, finding))));
    left
}

#[cfg(test)]
mod tests;
