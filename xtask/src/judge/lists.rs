//! The lists of what is known to differ from Apache Kafka 4.3.1.

use std::collections::BTreeMap;
use std::fs;

use crate::test::root;

/// A line of one of the lists.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// What differs, in the words of its list.
    pub what: Vec<String>,
    /// The issue and the reason.
    pub reason: String,
}

/// The command lines: scenario and step (or `all`).
pub fn command_lines() -> Result<Vec<Listed>, String> {
    lines("interop/golden/unbuilt.txt", |line| {
        let (what, reason) = line.split_once("  ")?;
        Some(Listed { what: what.split_whitespace().map(str::to_owned).collect(), reason: reason.to_owned() })
    })
}

/// The features of clients: library, area and feature.
pub fn clients() -> Result<Vec<Listed>, String> {
    lines("interop/clients/known.txt", by_bars)
}

/// The data directories: case and line.
pub fn disk() -> Result<Vec<Listed>, String> {
    lines("interop/disk/known.txt", by_bars)
}

/// The raw requests: scenario, request, versions and field.
fn requests() -> Result<Vec<Listed>, String> {
    lines("interop/differ/known.txt", by_bars)
}

/// Prints how many lines there are for each reason.
pub fn print() -> Result<(), String> {
    let mut reasons: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for (part, listed) in [("raw requests", requests()?), ("command lines", command_lines()?), ("clients", clients()?)]
    {
        for line in listed {
            *reasons.entry(line.reason).or_default().entry(part).or_default() += 1;
        }
    }
    for (reason, parts) in reasons {
        let parts: Vec<String> = parts.iter().map(|(part, lines)| format!("{part} ({lines})")).collect();
        println!("{reason}: {}", parts.join(", "));
    }
    Ok(())
}

/// `what | what | #5: reason`.
fn by_bars(line: &str) -> Option<Listed> {
    let (what, reason) = line.rsplit_once(" | ")?;
    Some(Listed {
        what: what.split(" | ").map(|part| part.trim().to_owned()).collect(),
        reason: reason.trim().to_owned(),
    })
}

/// The lines of a file that are no comments.
fn lines(file: &str, read: impl Fn(&str) -> Option<Listed>) -> Result<Vec<Listed>, String> {
    let text = fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))?;
    let told = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    told.map(|line| read(line).ok_or_else(|| format!("{file}: cannot read: {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::by_bars;

    #[test]
    fn a_line_ends_with_its_reason() {
        let line = by_bars("java | Transactions | * | #5: not built").expect("a line");
        assert_eq!(line.what, ["java", "Transactions", "*"]);
        assert_eq!(line.reason, "#5: not built");
        assert_eq!(by_bars("no bars"), None);
    }
}
