//! What is known of each config, for people: `thalweg config list`, `thalweg config explain` and `docs/configuration.md`.

use std::fmt::Write as _;

use thalweg_metadata::config::{Bound, ConfigDef, ConfigTable, UpdateMode, Validator};

use super::support::{Support, support};
use super::{CONSOLE, DECOMPRESSED_MAX, HTTP_LISTEN, LOG_LEVEL};

/// Configs of Thalweg itself, which Apache Kafka passes over: name, default, and what they do.
const OWN: [(&str, &str, &str); 4] = [
    (
        DECOMPRESSED_MAX,
        "2147483647",
        "How many bytes the records of a compressed batch may have when they are decompressed; larger ones are refused.",
    ),
    (
        CONSOLE,
        "on; off where thalweg.http.listen is no loopback address",
        "Whether the web console is served at thalweg.http.listen: on, read-only or off.",
    ),
    (HTTP_LISTEN, "none", "HOST:PORT at which /metrics, /healthz, /readyz and the web console are served over HTTP."),
    (LOG_LEVEL, "info", "The levels of the log, as --log-level takes them. SIGHUP reads it again."),
];

/// A key is suggested for a misspelt one when at most so many letters differ.
const DISTANCE_MAX: usize = 3;

/// Where a config is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In `server.properties`, or with `kafka-configs.sh --entity-type brokers`.
    Broker,
    /// With `kafka-topics.sh --config`, or `kafka-configs.sh --entity-type topics`.
    Topic,
    /// With `kafka-configs.sh --entity-type groups`.
    Group,
    /// With `kafka-client-metrics.sh`.
    ClientMetrics,
}

impl Scope {
    const ALL: [(Self, ConfigTable); 4] = [
        (Self::Broker, ConfigTable::BROKER),
        (Self::Topic, ConfigTable::TOPIC),
        (Self::Group, ConfigTable::GROUP),
        (Self::ClientMetrics, ConfigTable::CLIENT_METRICS),
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Broker => "Broker configs",
            Self::Topic => "Topic configs",
            Self::Group => "Group configs",
            Self::ClientMetrics => "Client metrics subscriptions",
        }
    }

    fn set_with(self) -> &'static str {
        match self {
            Self::Broker => "server.properties",
            Self::Topic => "kafka-configs.sh --entity-type topics --entity-name TOPIC",
            Self::Group => "kafka-configs.sh --entity-type groups --entity-name GROUP",
            Self::ClientMetrics => "kafka-client-metrics.sh",
        }
    }
}

/// One line for each config: its scope, name, default, and what this node does with it.
#[must_use]
pub fn list() -> String {
    let mut out = String::new();
    for (scope, def) in all() {
        let _ = writeln!(out, "{:<8} {} = {} ({})", short(scope), def.name, default_of(def), support_of(scope, def));
    }
    for (name, default, _) in OWN {
        let _ = writeln!(out, "{:<8} {name} = {default} (honoured)", "thalweg");
    }
    out
}

/// Everything that is known of the configs of this name, which may exist for brokers and for topics.
///
/// # Errors
/// The names that are nearest to an unknown one; none when no known name is near.
pub fn explain(name: &str) -> Result<String, Vec<&'static str>> {
    if let Some((_, default, doc)) = OWN.iter().find(|(own, ..)| *own == name) {
        return Ok(format!("{name} (a config of Thalweg, set in server.properties)\n  {doc}\n  default: {default}\n"));
    }
    let mut out = String::new();
    for (scope, def) in all().filter(|(_, def)| def.name == name) {
        let _ = writeln!(out, "{name} (set with {})", scope.set_with());
        if !def.doc.is_empty() {
            let _ = writeln!(out, "  {}", def.doc);
        }
        let _ = writeln!(out, "  type:    {}", def.kind.name().to_lowercase());
        let _ = writeln!(out, "  default: {}", default_of(def));
        if let Some(valid) = valid_values(def.validator) {
            let _ = writeln!(out, "  values:  {valid}");
        }
        let _ = writeln!(out, "  changed: {}", change_of(scope, def));
        let others: Vec<&str> = def.synonyms.iter().map(|s| s.name).filter(|other| *other != name).collect();
        if !others.is_empty() {
            let _ = writeln!(out, "  when unset, taken from: {}", others.join(", "));
        }
        let _ = writeln!(out, "  here:    {}", support_of(scope, def));
    }
    if out.is_empty() { Err(suggestions(name)) } else { Ok(out) }
}

/// The known names nearest to a misspelt one, the nearest first.
#[must_use]
pub fn suggestions(name: &str) -> Vec<&'static str> {
    let own = OWN.iter().map(|(own, ..)| *own);
    let mut near: Vec<(usize, &str)> = all()
        .map(|(_, def)| def.name)
        .chain(own)
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= DISTANCE_MAX.min(known.len() / 3))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, known)| known).collect()
}

/// `docs/configuration.md`.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Written by `thalweg config page`; a test compares it with the tables in the code.\n\n\
         Every config of Apache Kafka 4.3 is known. Each is *honoured*, *ignored* (its value makes no difference, and a line\n\
         at start says so when it is not the default) or *refused* (only its default is taken). `thalweg config explain KEY`\n\
         prints one of them.\n",
    );
    out.push_str("\n## Configs of Thalweg\n\n| config | default | what it does |\n| --- | --- | --- |\n");
    for (name, default, doc) in OWN {
        let _ = writeln!(out, "| `{name}` | {default} | {doc} |");
    }
    for (scope, table) in Scope::ALL {
        let _ = writeln!(out, "\n## {}\n\nSet with `{}`.\n", scope.title(), scope.set_with());
        out.push_str("| config | type | default | changed | here | what it does |\n");
        out.push_str("| --- | --- | --- | --- | --- | --- |\n");
        for def in table.iter().filter(|def| !def.internal) {
            let cells = [
                format!("`{}`", def.name),
                def.kind.name().to_lowercase(),
                default_of(def),
                change_of(scope, def).to_owned(),
                support_of(scope, def),
                def.doc.to_owned(),
            ];
            let _ = writeln!(out, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    out
}

fn all() -> impl Iterator<Item = (Scope, &'static ConfigDef)> {
    let scopes = Scope::ALL.into_iter();
    scopes.flat_map(|(scope, table)| table.iter().map(move |def| (scope, def))).filter(|(_, def)| !def.internal)
}

fn short(scope: Scope) -> &'static str {
    match scope {
        Scope::Broker => "broker",
        Scope::Topic => "topic",
        Scope::Group => "group",
        Scope::ClientMetrics => "metrics",
    }
}

fn default_of(def: &ConfigDef) -> String {
    match def.default_text() {
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
        None => "none".to_owned(),
    }
}

fn change_of(scope: Scope, def: &ConfigDef) -> &'static str {
    match (scope, def.mode) {
        (Scope::Broker, UpdateMode::ReadOnly) => "restart",
        (Scope::Broker, UpdateMode::PerBroker) => "live, per broker",
        (Scope::Broker, UpdateMode::ClusterWide) => "live, per broker or for all",
        _ => "live",
    }
}

/// Replication throttles are known to the table of broker configs only as dynamic ones, and have no line in `support.tbl`.
fn support_of(scope: Scope, def: &ConfigDef) -> String {
    let known = (scope == Scope::Broker).then(|| support(def.name)).flatten();
    match known {
        Some(Support::Ignored(reason)) => format!("ignored: {reason}"),
        Some(Support::Refused(reason)) => format!("refused: {reason}"),
        Some(Support::Honoured) | None => "honoured".to_owned(),
    }
}

fn valid_values(validator: Validator) -> Option<String> {
    let text = |bound: Option<Bound>| bound.map(|bound| bound.text).unwrap_or_default();
    match validator {
        Validator::Range { min, max } => Some(format!("{}..{}", text(min), text(max))),
        Validator::OneOf(values) | Validator::OneOfIgnoringCase(values) => Some(values.join(", ")),
        Validator::List { of, .. } if !of.is_empty() => Some(format!("a list of {}", of.join(", "))),
        Validator::NonEmptyString => Some("any text but the empty one".to_owned()),
        Validator::QuorumVoters => Some("ID@HOST:PORT, separated by commas".to_owned()),
        Validator::QuorumBootstrapServers => Some("HOST:PORT, separated by commas".to_owned()),
        Validator::ShareOffsetReset => Some("latest, earliest, or by_duration:DURATION (ISO 8601)".to_owned()),
        Validator::ThrottledReplicas => Some("*, or PARTITION:BROKER pairs separated by commas".to_owned()),
        Validator::GzipLevel => Some("1..9, or -1".to_owned()),
        Validator::Any | Validator::List { .. } | Validator::NonNull => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_a_config_of_brokers() {
        let expected = "log.retention.hours (set with server.properties)";
        let text = explain("log.retention.hours").expect("known");
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("  type:    int\n  default: 168\n"), "{text}");
        assert!(text.contains("  here:    honoured\n"), "{text}");
    }

    #[test]
    fn a_name_for_topics_and_brokers_has_both_explained() {
        let text = explain("compression.type").expect("known");
        assert!(text.contains("server.properties") && text.contains("--entity-type topics"), "{text}");
    }

    #[test]
    fn suggests_what_was_probably_meant() {
        assert_eq!(explain("log.dir.s").expect_err("unknown"), ["log.dirs", "log.dir"]);
        assert_eq!(suggestions("num.partition"), ["num.partitions"]);
        assert_eq!(suggestions("my.own.key"), Vec::<&str>::new());
    }

    /// `cargo run -p thalweg -- config page > docs/configuration.md` writes it anew.
    #[test]
    fn the_page_is_what_the_tables_say() {
        assert_eq!(page(), include_str!("../../../../docs/configuration.md"));
    }
}
