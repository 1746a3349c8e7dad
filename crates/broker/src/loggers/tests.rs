//! Levels of loggers, by this node's names and by Kafka's.

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

#[test]
fn loggers_of_kafka_stand_for_the_parts_of_this_node_that_do_their_work() {
    let applied: Arc<Mutex<String>> = Arc::default();
    let seen = Arc::clone(&applied);
    let loggers = Loggers::new(move |filter| *seen.lock() = filter.to_owned());
    let reaper = "org.apache.kafka.server.quota.SomeQuotaManager$Reaper";
    assert!(!loggers.levels().contains_key(reaper));
    for (name, level, filter) in [
        ("kafka.request.logger", "DEBUG", "info,thalweg_broker::dispatch=debug"),
        (
            "org.apache.kafka.storage.internals.log.LogCleaner",
            "TRACE",
            "info,thalweg_broker::dispatch=debug,thalweg_broker::drivers::cleaning=trace",
        ),
        ("kafka.request.logger", "WARN", "info,thalweg_broker::dispatch=warn,thalweg_broker::drivers::cleaning=trace"),
    ] {
        assert_eq!(loggers.change(&[(name, SET, Some(level))], false), Ok(()));
        assert_eq!((&**applied.lock(), &*loggers.levels()[name]), (filter, level));
    }
    // Of several that stand for one part the most talkative counts.
    let both = [("org.apache.kafka.controller", SET, Some("ERROR")), ("org.apache.kafka.raft", SET, Some("DEBUG"))];
    assert_eq!(loggers.change(&both, false), Ok(()));
    assert!(applied.lock().contains("thalweg_broker::drivers::metadata=debug"), "{}", applied.lock());
    assert_eq!(loggers.change(&[(reaper, SET, Some("DEBUG"))], false), Ok(()));
    assert_eq!(loggers.levels()[reaper], "DEBUG");
    assert_eq!(loggers.change(&[(reaper, DELETE, None)], false), Ok(()));
    assert!(!loggers.levels().contains_key(reaper));
}

#[test]
fn a_logger_of_kafka_has_the_level_of_what_is_above_it() {
    let loggers = Loggers::new(|_| {});
    assert_eq!(loggers.change(&[("org.apache.kafka", SET, Some("WARN")), ("root", SET, Some("ERROR"))], false), Ok(()));
    let levels = loggers.levels();
    assert_eq!((&*levels["org.apache.kafka.raft"], &*levels["kafka.log"]), ("WARN", "ERROR"));
    assert_eq!(levels["thalweg_storage"], "WARN", "it is part of what `org.apache.kafka` stands for");
}

#[test]
fn what_is_no_name_of_a_class_is_no_logger() {
    let loggers = Loggers::new(|_| {});
    for name in ["kafkaesque", "kafka.", "kafka..log", "kafka.log=debug,x", "org.apache", "java.lang.Object", ""] {
        let refused = loggers.change(&[(name, SET, Some("INFO"))], true).map_err(|refusal| refusal.message);
        assert_eq!(refused, Err(Some(format!("Logger {name} does not exist!"))));
    }
}

#[test]
fn every_class_that_is_listed_may_be_set() {
    let loggers = Loggers::new(|_| {});
    for name in loggers.levels().keys() {
        assert_eq!(loggers.change(&[(name, SET, Some("WARN"))], true), Ok(()), "{name}");
    }
    let class = "org.apache.kafka.server.quota.ClientQuotaManager$ThrottledChannelReaper";
    assert_eq!(loggers.change(&[(class, SET, Some("DEBUG"))], false), Ok(()));
    assert_eq!(loggers.change(&[(class, DELETE, None), ("root", SET, Some("ERROR"))], false), Ok(()));
    assert_eq!(loggers.levels()[class], "ERROR");
}

/// A module that was moved takes its lines along: its former name would be a knob without effect.
#[test]
fn every_part_that_has_a_logger_logs() {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crates' directory");
    for name in NAMES.into_iter().chain(OF_KAFKA.into_iter().flat_map(|(_, parts)| parts.iter().copied())) {
        let mut parts = name.split("::");
        let root = parts.next().unwrap_or_default();
        let root = crates.join(root.strip_prefix("thalweg_").unwrap_or(root)).join("src");
        let module = parts.fold(root, |path, part| path.join(part));
        assert!(logs(&module) || logs(&module.with_extension("rs")), "{name} logs nothing");
    }
}

/// Whether a source file, or one below a directory, writes log lines.
fn logs(path: &std::path::Path) -> bool {
    if path.is_dir() {
        let entries = thalweg_sys::fs::read_dir(path).expect("a directory");
        return entries.iter().any(|entry| logs(&path.join(&entry.name)));
    }
    let macros = ["error!(", "warn!(", "info!(", "debug!(", "trace!("];
    let text = thalweg_sys::fs::read_to_string(path).unwrap_or_default();
    !path.ends_with("tests.rs") && macros.iter().any(|name| text.contains(name))
}
