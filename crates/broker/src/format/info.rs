//! `storage info`: what stands in a node's directories.

use thalweg_sys::fs;

use super::meta_properties::{META_PROPERTIES, MetaProperties};
use super::{names, path};
use crate::config::NodeConfig;

/// What was found: the lines that Kafka's tool prints, and whether it is all as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The lines.
    pub lines: Vec<String>,
    /// Whether a problem was found.
    pub has_problems: bool,
}

/// Looks at all directories of a node.
#[must_use]
pub fn info(config: &NodeConfig) -> Info {
    let (mut lines, mut found, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let mut first: Option<MetaProperties> = None;
    for name in names(config) {
        let directory = path(&name);
        if !fs::exists(&directory) {
            problems.push(format!("{name} does not exist"));
            continue;
        }
        if fs::read_dir(&directory).is_err() {
            problems.push(format!("{name} is not a directory"));
            continue;
        }
        found.push(name.clone());
        let file = directory.join(META_PROPERTIES);
        if !fs::exists(&file) {
            problems.push(format!("{name} is not formatted."));
            continue;
        }
        let read = fs::read_to_string(&file).map_err(|e| e.to_string());
        match (read.and_then(|text| MetaProperties::parse(&text)), &first) {
            (Err(why), _) => problems.push(format!("Error loading {}: {why}", file.display())),
            (Ok(meta), None) => first = Some(meta),
            (Ok(meta), Some(first)) if meta.cluster_id != first.cluster_id => {
                problems.push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            (Ok(meta), Some(first)) if meta.node_id != first.node_id => {
                problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            (Ok(_), Some(_)) => {}
        }
    }
    if first.as_ref().is_some_and(|meta| meta.version == 0) {
        problems.push(
            "The kafka configuration file appears to be for a cluster in KRaft mode, but the directories are formatted \
             for legacy mode."
                .to_owned(),
        );
    }
    section(&mut lines, ["Found log directory:", "Found log directories:"], &found);
    if let Some(meta) = first {
        let entries: Vec<String> = meta.entries().iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(format!("Found metadata: {{{}}}", entries.join(", ")));
        lines.push(String::new());
    }
    section(&mut lines, ["Found problem:", "Found problems:"], &problems);
    Info { lines, has_problems: !problems.is_empty() }
}

/// A title for one or for many, the items, and an empty line; nothing for none.
fn section(lines: &mut Vec<String>, titles: [&str; 2], items: &[String]) {
    if items.is_empty() {
        return;
    }
    lines.push(titles[usize::from(items.len() > 1)].to_owned());
    lines.extend(items.iter().map(|item| format!("  {item}")));
    lines.push(String::new());
}
