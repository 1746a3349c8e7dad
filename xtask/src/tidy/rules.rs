//! The rules about single files.

use super::Finding;
use super::source::{Source, line_of, only_tests, words};

const LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

/// Crates that decide and touch nothing: see "What is deliberately absent" in the architecture.
const PURE: [&str; 11] = [
    "wire",
    "records",
    "raft",
    "metadata",
    "replica",
    "controller",
    "access",
    "coordinator",
    "groups",
    "share",
    "transactions",
];

/// What only `sys` may name. The chores and build scripts run on the builder's machine and are free.
const DOORS: [&str; 11] = [
    "tokio::net",
    "tokio::fs",
    "tokio::spawn",
    "tokio::task::spawn",
    "tokio::time",
    "std::fs",
    "std::net::Tcp",
    "std::process::Command",
    "Instant::now",
    "SystemTime::now",
    "rand::",
];

/// What a pure crate may not name besides.
const IMPURE: [&str; 8] =
    ["tokio", "async fn", "async move", "std::thread", "std::net", "std::env", "HashMap", "HashSet"];

/// What only a simulation has, which runs in one thread.
const PLANTED: &str = "crates/base/src/planted.rs";

/// State that five nodes of one process would share.
const SHARED: [&str; 3] = ["static mut", "thread_local!", "lazy_static!"];

/// Checks one file.
pub fn check(source: &Source, findings: &mut Vec<Finding>) {
    lengths(source, findings);
    left_overs(source, findings);
    doors(source, findings);
    panics(source, findings);
    sleeping_tests(source, findings);
}

fn lengths(source: &Source, findings: &mut Vec<Finding>) {
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        let what = format!("{lines} lines; at {LINES_MAX} one file is two");
        findings.push(Finding { rule: "long-file", place: source.path.to_owned(), line: None, what });
    }
    for (name, line, lines) in source.functions() {
        if lines > FUNCTION_LINES_MAX {
            let what = format!("{lines} lines; a function has at most {FUNCTION_LINES_MAX}");
            findings.push(Finding {
                rule: "long-function",
                place: format!("{} {name}", source.path),
                line: Some(line),
                what,
            });
        }
    }
}

fn left_overs(source: &Source, findings: &mut Vec<Finding>) {
    for word in ["todo!", "unimplemented!", "dbg!", "#[ignore", "#[allow(", "#![allow("] {
        report(source, "left-over", &source.code, word, findings);
    }
    for word in ["TODO", "FIXME", "XXX", "HACK"] {
        report(source, "left-over", &source.comments, word, findings);
    }
}

fn doors(source: &Source, findings: &mut Vec<Finding>) {
    let krate = source.krate();
    if !source.path.starts_with("crates/") || krate == "sys" || source.path.contains("/build") {
        return;
    }
    for word in DOORS {
        report(source, "door", &source.shipped, word, findings);
    }
    if PURE.contains(&krate) {
        for word in IMPURE {
            report(source, "pure", &source.shipped, word, findings);
        }
    }
    for word in SHARED.iter().filter(|_| source.path != PLANTED) {
        report(source, "static", &source.shipped, word, findings);
    }
    for at in words(&source.shipped, "static") {
        let declared = source.shipped[at..].split([';', '=']).next().unwrap_or_default();
        if source.shipped[..at].ends_with('\'') || !declared.contains(':') {
            continue;
        }
        if ["Atomic", "Mutex", "RwLock", "OnceLock", "LazyLock", "OnceCell"].iter().any(|name| declared.contains(name))
        {
            findings.push(found(
                source,
                "static",
                &source.shipped,
                at,
                "state that all nodes of a process would share",
            ));
        }
    }
}

/// `unwrap` and `expect` hide which kind of error it is: a refusal, a fault or a bug.
fn panics(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.starts_with("crates/") && !source.path.contains("/build") {
        report(source, "unwrap", &source.shipped, ".unwrap()", findings);
        let with_message = |at: &usize| source.text[at + ".expect(".len()..].trim_start().starts_with(['"', '&']);
        for at in words(&source.shipped, ".expect(").into_iter().filter(with_message) {
            findings.push(found(source, "unwrap", &source.shipped, at, ".expect("));
        }
    }
}

/// A test waits for a condition, never for a time. The simulator's time is not real.
fn sleeping_tests(source: &Source, findings: &mut Vec<Finding>) {
    if matches!(source.krate(), "sim" | "sys") {
        return;
    }
    for at in words(&source.code, "sleep(") {
        let shipped = source.shipped.get(at..at + 5) == Some("sleep");
        if only_tests(source.path) || !shipped {
            findings.push(found(source, "sleep", &source.code, at, "a test sleeps"));
        }
    }
}

/// One finding for each place of `text` that has the word.
fn report(source: &Source, rule: &'static str, text: &str, word: &str, findings: &mut Vec<Finding>) {
    for at in words(text, word) {
        findings.push(found(source, rule, text, at, word));
    }
}

fn found(source: &Source, rule: &'static str, text: &str, at: usize, what: &str) -> Finding {
    Finding { rule, place: source.path.to_owned(), line: Some(line_of(text, at)), what: what.to_owned() }
}
