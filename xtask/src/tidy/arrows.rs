//! The arrows between crates: what each `Cargo.toml` says against what the map in `docs/architecture.md` allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Finding;

/// What the crates of the project depend on, and what they may.
type Arrows = BTreeMap<String, Vec<String>>;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = ["common", "util", "core", "types", "shared", "manager", "helper"];

/// Checks every crate under `crates/`.
pub fn check(root: &Path, findings: &mut Vec<Finding>) -> Result<(), String> {
    let file = root.join("docs/architecture.md");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let allowed = map(&text);
    if allowed.is_empty() {
        return Err("docs/architecture.md has no map: no line like `  name/  what it is  -> base wire`".to_owned());
    }
    findings.extend(wrong(&allowed, &standing(root)?));
    Ok(())
}

/// The map of the document: lines such as `  wire/  the codec  -> base`.
pub fn map(document: &str) -> Arrows {
    document
        .lines()
        .filter_map(|line| {
            let row = line.strip_prefix("  ").filter(|row| !row.starts_with(' '))?;
            let (name, rest) = row.split_once('/')?;
            let (_, targets) = rest.rsplit_once("-> ")?;
            let named = targets.split_whitespace().filter(|target| *target != "-").map(str::to_owned);
            name.chars().all(|c| c.is_ascii_lowercase()).then(|| (name.to_owned(), named.collect()))
        })
        .collect()
}

/// What the manifests say. Dependencies of tests are free.
fn standing(root: &Path) -> Result<Arrows, String> {
    let crates = root.join("crates");
    let mut out = Arrows::new();
    for entry in fs::read_dir(&crates).map_err(|e| format!("{}: {e}", crates.display()))? {
        let folder = entry.map_err(|e| e.to_string())?.path();
        let (Some(name), Ok(manifest)) = (folder.file_name(), fs::read_to_string(folder.join("Cargo.toml"))) else {
            continue;
        };
        out.insert(name.to_string_lossy().into_owned(), dependencies(&manifest));
    }
    Ok(out)
}

/// The crates of the project that a manifest names outside its dev-dependencies.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let name =
            line.strip_prefix("thalweg-").map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(rest));
        if let Some(name) = name.filter(|_| section.contains("dependencies") && !section.contains("dev-dependencies")) {
            found.push(name.to_owned());
        }
    }
    found
}

/// Arrows that the map does not have, crates that it does not name, and names that say nothing.
pub fn wrong(allowed: &Arrows, standing: &Arrows) -> Vec<Finding> {
    let finding =
        |krate: &str, what: String| Finding { rule: "arrow", place: format!("crates/{krate}"), line: None, what };
    let mut found = Vec::new();
    for (krate, targets) in standing {
        if EMPTY_NAMES.contains(&krate.as_str()) {
            found.push(finding(krate, "the name says nothing about what is inside".to_owned()));
        }
        let Some(may) = allowed.get(krate) else {
            found.push(finding(krate, "the map in docs/architecture.md does not name it".to_owned()));
            continue;
        };
        for target in targets.iter().filter(|target| !may.contains(target) && !may.iter().any(|word| word == "all")) {
            found.push(finding(krate, format!("depends on {target}; the map allows: {}", may.join(" "))));
        }
    }
    found
}
