//! The levels of this node's loggers, which clients see and change as resources of type `BROKER_LOGGER` (KIP-412).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_controller::{LoggerChange, Refusal};
use thalweg_wire::ErrorCode;

/// The logger that counts for all that have no level of their own.
const ROOT: &str = "root";
/// What can be told apart: the parts of the node that log.
const NAMES: [&str; 9] = [
    "thalweg",
    "thalweg_broker",
    "thalweg_broker::drivers",
    "thalweg_broker::drivers::groups",
    "thalweg_broker::drivers::metadata",
    "thalweg_broker::handlers",
    "thalweg_broker::listener",
    "thalweg_broker::node",
    "thalweg_storage",
];
/// Kafka's levels, sorted as its messages list them.
const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

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
        let names = NAMES.into_iter().chain([ROOT]);
        names.map(|name| (name.to_owned(), effective(&set, name))).collect()
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
        if self.0.is_none() || !(name == ROOT || NAMES.contains(&name)) {
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

/// The level of a logger: its own, or that of the nearest one above it.
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
    let directives = set.iter().map(|(name, level)| match name.as_str() {
        ROOT => of(level),
        name => format!("{name}={}", of(level)),
    });
    directives.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_counts_for_all_below_and_reaches_the_filter() {
        let applied: Arc<Mutex<String>> = Arc::default();
        let seen = Arc::clone(&applied);
        let loggers = Loggers::new(move |filter| *seen.lock() = filter.to_owned());
        let changes = [("thalweg_broker::drivers", SET, Some("DEBUG")), ("root", SET, Some("FATAL"))];
        assert_eq!(loggers.change(&changes, true), Ok(()));
        assert_eq!(*applied.lock(), "");
        assert_eq!(loggers.change(&changes, false), Ok(()));
        assert_eq!(*applied.lock(), "error,thalweg_broker::drivers=debug");
        let levels = loggers.levels();
        assert_eq!((&*levels["thalweg_broker::drivers::groups"], &*levels["thalweg_storage"]), ("DEBUG", "FATAL"));
        assert_eq!(loggers.change(&[("thalweg_broker::drivers", DELETE, None)], false), Ok(()));
        assert_eq!(*applied.lock(), "error");
    }

    #[test]
    fn refusals_are_kafkas() {
        let loggers = Loggers::new(|_| {});
        let text = |change| loggers.change(&[change], true).map_err(|refusal| refusal.message.unwrap_or_default());
        assert_eq!(text(("none", SET, Some("INFO"))), Err("Logger none does not exist!".to_owned()));
        assert_eq!(
            text(("root", SET, Some("NOISY"))),
            Err("Cannot set the log level of root to NOISY as it is not a supported log level. Valid log levels are \
                 DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
                .to_owned())
        );
        assert_eq!(
            text(("root", DELETE, None)),
            Err("Removing the log level of the root logger is not allowed".to_owned())
        );
        assert_eq!(
            text(("root", APPEND, Some("INFO"))),
            Err("APPEND operation is not allowed for the BROKER_LOGGER resource".to_owned())
        );
    }
}
