//! The levels of this node's loggers, which clients see and change as resources of type `BROKER_LOGGER` (KIP-412).
//!
//! They are named by the parts of the node, and by Kafka's own loggers, so that scripts and consoles that set
//! `kafka.request.logger` or a class's level find it: each stands for the parts that do that work here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_controller::{LoggerChange, Refusal};
use thalweg_wire::ErrorCode;

/// The logger that counts for all that have no level of their own.
const ROOT: &str = "root";
/// What can be told apart: the parts of the node that log.
const NAMES: [&str; 14] = [
    "thalweg",
    "thalweg_broker",
    "thalweg_broker::dispatch",
    "thalweg_broker::drivers",
    "thalweg_broker::drivers::cleaning",
    "thalweg_broker::drivers::coordination",
    "thalweg_broker::drivers::groups",
    "thalweg_broker::drivers::metadata",
    "thalweg_broker::drivers::transactions",
    "thalweg_broker::handlers",
    "thalweg_broker::handlers::authorization",
    "thalweg_network",
    "thalweg_broker::node",
    "thalweg_storage",
];
/// Kafka's loggers that operators know, and the parts of this node that do the same work. What is below one of them by its
/// dots stands for the same parts.
const OF_KAFKA: [(&str, &[&str]); 26] = [
    ("kafka", &["thalweg", "thalweg_broker"]),
    ("kafka.authorizer.logger", &["thalweg_broker::handlers::authorization"]),
    ("kafka.cluster", &["thalweg_broker::drivers"]),
    ("kafka.coordinator.group", &["thalweg_broker::drivers::coordination", "thalweg_broker::drivers::groups"]),
    (
        "kafka.coordinator.transaction",
        &["thalweg_broker::drivers::coordination", "thalweg_broker::drivers::transactions"],
    ),
    ("kafka.log", &["thalweg_storage"]),
    ("kafka.log.LogCleaner", &["thalweg_broker::drivers::cleaning"]),
    ("kafka.network", &["thalweg_network"]),
    ("kafka.request.logger", &["thalweg_broker::dispatch"]),
    ("kafka.server", &["thalweg_broker::handlers", "thalweg_broker::node"]),
    ("kafka.server.ReplicaManager", &["thalweg_broker::drivers"]),
    ("org.apache.kafka", &["thalweg", "thalweg_broker", "thalweg_storage"]),
    ("org.apache.kafka.controller", &["thalweg_broker::drivers::metadata"]),
    ("org.apache.kafka.coordinator.common", &["thalweg_broker::drivers::coordination"]),
    (
        "org.apache.kafka.coordinator.group",
        &["thalweg_broker::drivers::coordination", "thalweg_broker::drivers::groups"],
    ),
    ("org.apache.kafka.coordinator.transaction", &["thalweg_broker::drivers::transactions"]),
    ("org.apache.kafka.image", &["thalweg_broker::drivers::metadata"]),
    ("org.apache.kafka.metadata", &["thalweg_broker::drivers::metadata"]),
    ("org.apache.kafka.raft", &["thalweg_broker::drivers::metadata"]),
    ("org.apache.kafka.server", &["thalweg_broker::handlers", "thalweg_broker::node"]),
    ("org.apache.kafka.server.network", &["thalweg_network"]),
    ("org.apache.kafka.snapshot", &["thalweg_broker::drivers::metadata"]),
    ("org.apache.kafka.storage", &["thalweg_storage"]),
    ("org.apache.kafka.storage.internals.log.Cleaner", &["thalweg_broker::drivers::cleaning"]),
    ("org.apache.kafka.storage.internals.log.LogCleaner", &["thalweg_broker::drivers::cleaning"]),
    ("state.change.logger", &["thalweg_broker::drivers"]),
];
/// Kafka's classes that log, one a line: `kafka-configs.sh` sets the level of no logger that was not listed.
const CLASSES: &str = include_str!("loggers/kafka.tbl");
/// A name of a class is never longer.
const NAME_BYTES_MAX: usize = 255;
/// So many loggers of Kafka's may have a level of their own: more than any operator sets.
const LEVELS_MAX: usize = 1000;
/// Kafka's levels, sorted as its messages list them.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];
/// The same, the most talkative last.
const TALKATIVE: [&str; 6] = ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Takes a filter of log lines, such as `info,thalweg_storage=debug`.
type Apply = Arc<dyn Fn(&str) + Send + Sync>;

/// See the module. Without a way to filter log lines there are no loggers.
#[derive(Clone, Default)]
pub struct Loggers(Option<Arc<Inner>>);

struct Inner {
    /// The levels that were set, `root` always among them.
    levels: Mutex<BTreeMap<String, String>>,
    apply: Apply,
}

impl fmt::Debug for Loggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loggers({})", if self.0.is_some() { "filtered" } else { "none" })
    }
}

impl Loggers {
    /// Loggers that log at INFO; `apply` is called whenever that changes.
    pub fn new(apply: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let levels = BTreeMap::from([(ROOT.to_owned(), "INFO".to_owned())]);
        Self(Some(Arc::new(Inner { levels: Mutex::new(levels), apply: Arc::new(apply) })))
    }

    /// Every logger with the level that counts for it, by name.
    pub(crate) fn levels(&self) -> BTreeMap<String, String> {
        let Some(inner) = &self.0 else { return BTreeMap::new() };
        let set = inner.levels.lock();
        let classes = CLASSES.lines().filter(|line| !line.starts_with('#'));
        let known = NAMES.into_iter().chain(OF_KAFKA.map(|(name, _)| name)).chain(classes).chain([ROOT]);
        let names: BTreeSet<&str> = known.chain(set.keys().map(String::as_str)).collect();
        let parts = of_parts(&set);
        let level =
            |name: &str| if parts_of(name).is_some() { level_of_kafkas(&set, name) } else { effective(&parts, name) };
        names.into_iter().map(|name| (name.to_owned(), level(name))).collect()
    }

    /// Changes levels, all of them or none.
    pub(crate) fn change(&self, changes: &[LoggerChange<'_>], validate_only: bool) -> Result<(), Refusal> {
        let mut after = self.0.as_ref().map(|inner| inner.levels.lock().clone()).unwrap_or_default();
        for (name, operation, level) in changes {
            self.check(name, *operation, *level)?;
            match level {
                Some(level) if *operation == SET => after.insert((*name).to_owned(), (*level).to_owned()),
                _ => after.remove(*name),
            };
        }
        if after.len() > LEVELS_MAX {
            return Err(Refusal::because(
                ErrorCode::InvalidConfig,
                format!("more than {LEVELS_MAX} loggers have levels"),
            ));
        }
        if let Some(inner) = self.0.as_ref().filter(|_| !validate_only) {
            (inner.apply)(&filter(&after));
            *inner.levels.lock() = after;
        }
        Ok(())
    }

    fn check(&self, name: &str, operation: i8, level: Option<&str>) -> Result<(), Refusal> {
        let not_allowed = |text: String| {
            let text = format!("{text} is not allowed for the BROKER_LOGGER resource");
            Err(Refusal::because(ErrorCode::InvalidRequest, text))
        };
        match operation {
            SET | DELETE => {}
            APPEND => return not_allowed("APPEND operation".to_owned()),
            SUBTRACT => return not_allowed("SUBTRACT operation".to_owned()),
            other => return not_allowed(format!("Unknown operation type {other}")),
        }
        let invalid = |text: String| Err(Refusal::because(ErrorCode::InvalidConfig, text));
        if self.0.is_none() || !(name == ROOT || NAMES.contains(&name) || parts_of(name).is_some()) {
            return invalid(format!("Logger {name} does not exist!"));
        }
        let level = level.unwrap_or_default();
        if operation == SET && !LEVELS.contains(&level) {
            return invalid(format!(
                "Cannot set the log level of {name} to {level} as it is not a supported log level. Valid log levels are \
                 {}",
                LEVELS.join(", ")
            ));
        }
        if operation == DELETE && name == ROOT {
            let text = "Removing the log level of the root logger is not allowed";
            return Err(Refusal::because(ErrorCode::InvalidRequest, text));
        }
        Ok(())
    }
}

/// The parts of this node that one of Kafka's loggers stands for; `None` if it is none of Kafka's.
fn parts_of(name: &str) -> Option<&'static [&'static str]> {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_$".contains(&b));
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_word) {
        return None;
    }
    let is_below = |above: &str| name.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let nearest = OF_KAFKA.iter().filter(|(above, _)| is_below(above)).max_by_key(|(above, _)| above.len());
    nearest.map(|(_, parts)| *parts)
}

/// The levels of this node's own parts that were set, by their own names or by Kafka's: of several for one part the most
/// talkative counts.
fn of_parts(set: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut levels: BTreeMap<String, String> = BTreeMap::new();
    for (name, level) in set {
        for part in parts_of(name).unwrap_or(&[name]) {
            let talks = |level: &str| TALKATIVE.iter().position(|known| *known == level);
            let known = levels.entry((*part).to_owned()).or_insert_with(|| level.clone());
            if talks(level) > talks(known) {
                known.clone_from(level);
            }
        }
    }
    levels
}

/// The level of one of Kafka's loggers: its own, or that of the nearest one above it.
fn level_of_kafkas(set: &BTreeMap<String, String>, name: &str) -> String {
    let mut at = name;
    loop {
        match (set.get(at), at.rsplit_once('.')) {
            (Some(level), _) => return level.clone(),
            (None, Some((above, _))) => at = above,
            (None, None) => return set.get(ROOT).cloned().unwrap_or_default(),
        }
    }
}

/// The level of a part: its own, or that of the nearest one above it.
fn effective(set: &BTreeMap<String, String>, name: &str) -> String {
    let mut at = name;
    loop {
        match (set.get(at), at.rsplit_once("::")) {
            (Some(level), _) => return level.clone(),
            (None, Some((above, _))) => at = above,
            (None, None) => return set.get(ROOT).cloned().unwrap_or_default(),
        }
    }
}

/// The levels as a filter of log lines.
fn filter(set: &BTreeMap<String, String>) -> String {
    let of = |level: &str| if level == "FATAL" { "error".to_owned() } else { level.to_lowercase() };
    let parts = of_parts(set);
    let directives = parts.iter().map(|(name, level)| match name.as_str() {
        ROOT => of(level),
        name => format!("{name}={}", of(level)),
    });
    directives.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
