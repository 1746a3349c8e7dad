//! `cargo xtask judge`: Apache Kafka 4.3.1 as the judge of the node, in one command.
//!
//! The protocol differ plays raw requests and compares with golden answers (seconds, without Java); the recorded command
//! lines are replayed with Kafka's own tools (minutes). Known differences stand in `interop/differ/known.txt` and
//! `interop/golden/unbuilt.txt`; an unlisted one fails, and so does a listed one that has vanished.

use std::fs;
use std::process::Command;

use crate::test::{Count, cargo, close, root, step};

const BEGIN: &str = "<!-- written by `cargo xtask judge --write-docs` -->";
const END: &str = "<!-- end -->";

/// Runs it. `--quick` leaves out what needs Java, `--write-docs` writes the table of APIs into `docs/compatibility.md`.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some(unknown) = arguments.iter().find(|argument| !["--quick", "--write-docs"].contains(&argument.as_str())) {
        return Err(format!("judge takes --quick and --write-docs, not {unknown}"));
    }
    let mut total =
        step("release build", cargo().args(["build", "--release", "--package", "thalweg"]), |_| Count::default());
    if total.failed > 0 {
        return close(total);
    }
    let table = root().join("target/compatibility-table.md");
    total.add(differ(has("--write-docs").then_some(table.as_path())));
    if has("--write-docs") {
        write_docs(&table)?;
    }
    if !has("--quick") {
        let mut replay = Command::new(root().join("interop/golden/replay.py"));
        total.add(step("command lines", replay.args(["check", "--jobs", "2"]), Count::of_closing_line));
    }
    close(total)
}

/// The protocol differ against the binary of the release build.
pub fn differ(table: Option<&std::path::Path>) -> Count {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "thalweg-differ", "--"]);
    if let Some(table) = table {
        command.arg("--table").arg(table);
    }
    step("protocol differ", &mut command, Count::of_closing_line)
}

/// Puts the table between its marks.
fn write_docs(table: &std::path::Path) -> Result<(), String> {
    let page = root().join("docs/compatibility.md");
    let fault = |e: std::io::Error| format!("{}: {e}", page.display());
    let text = fs::read_to_string(&page).map_err(fault)?;
    let table = fs::read_to_string(table).map_err(|e| format!("{}: {e}", table.display()))?;
    let (head, rest) = text.split_once(BEGIN).ok_or("docs/compatibility.md has lost its first mark")?;
    let (_, tail) = rest.split_once(END).ok_or("docs/compatibility.md has lost its second mark")?;
    fs::write(&page, format!("{head}{BEGIN}\n\n{table}\n{END}{tail}")).map_err(fault)
}
