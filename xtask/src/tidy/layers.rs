//! The arrows between the parts of one crate: what its files import against the second map of `docs/architecture.md`.
//!
//! A part is a file or folder directly under `src/`, with all that is inside. A line of the map names a part and those that it
//! may import. Parts that the map does not have, and arrows that it does not allow, are findings.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Finding;
use super::paths::{module_of, named};
use super::source::{Source, line_of};

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
    let module = module_of(inside);
    let Some(part) = module.first() else { return };
    let mut found = |line: Option<usize>, what: String| {
        findings.push(Finding { rule: "layer", place: source.path.to_owned(), line, what });
    };
    let Some(may) = layers.get(part) else {
        found(None, format!("the map of crates/{krate}/src/ in docs/architecture.md does not name {part}"));
        return;
    };
    for (at, path) in named(&source.shipped, &module) {
        let target = &path[0];
        if is_part(target) && target != part && !may.contains(target) {
            let line = Some(line_of(&source.shipped, at));
            found(line, format!("{part} imports {target}; the map allows: {}", may.join(" ")));
        }
    }
}

/// Whether a name is that of a file or folder, and not of something that the crate's root has.
fn is_part(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
}
