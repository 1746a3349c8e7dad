//! The arrows between the parts of one crate: what its files import against the second map of `docs/architecture.md`.
//!
//! A part is a file or folder directly under `src/`, with all that is inside. A line of the map names a part and those that it
//! may import. Parts that the map does not have, and arrows that it does not allow, are findings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Finding;
use super::source::{Source, line_of, words};

/// What each part of a crate may import.
pub type Layers = BTreeMap<String, Vec<String>>;

/// Reads the map of the crate `krate`: the lines after `crates/<krate>/src/` that are indented below it, such as
/// `  handlers  what they do  -> call drivers`.
pub fn map(document: &str, krate: &str) -> Layers {
    let head = format!("crates/{krate}/src/");
    let lines = document.lines().skip_while(|line| *line != head).skip(1).take_while(|line| line.starts_with("  "));
    lines
        .filter_map(|line| {
            let (row, targets) = line.rsplit_once("-> ")?;
            let targets = targets.split_whitespace().filter(|target| *target != "-").map(str::to_owned).collect();
            Some((row.split_whitespace().next()?.to_owned(), targets))
        })
        .collect()
}

/// The map as it stands in the repository.
pub fn read(root: &Path, krate: &str) -> Result<Layers, String> {
    let file = root.join("docs/architecture.md");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let layers = map(&text, krate);
    if layers.is_empty() { Err(format!("docs/architecture.md has no map of crates/{krate}/src/")) } else { Ok(layers) }
}

/// Checks one file of the crate.
pub fn check(source: &Source<'_>, krate: &str, layers: &Layers, findings: &mut Vec<Finding>) {
    let Some(inside) = source.path.strip_prefix("crates/").and_then(|rest| rest.strip_prefix(krate)) else { return };
    let Some(inside) = inside.strip_prefix("/src/") else { return };
    let part = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
    if part == "lib" {
        return;
    }
    let mut found = |line: Option<usize>, what: String| {
        findings.push(Finding { rule: "layer", place: source.path.to_owned(), line, what });
    };
    let Some(may) = layers.get(part) else {
        found(None, format!("the map of crates/{krate}/src/ in docs/architecture.md does not name {part}"));
        return;
    };
    for (at, target) in imports(&source.shipped) {
        if target != part && !may.contains(&target) {
            let line = Some(line_of(&source.shipped, at));
            found(line, format!("{part} imports {target}; the map allows: {}", may.join(" ")));
        }
    }
}

/// The parts of its own crate that a file names, and where.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "crate::") {
        let rest = &code[at + "crate::".len()..];
        let inside = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap_or(list));
        let paths: Vec<&str> = if inside.len() == rest.len() { vec![rest] } else { inside.split(',').collect() };
        for path in paths {
            let name: String = path.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() {
                found.push((at, name));
            }
        }
    }
    found
}
