//! What this node does with each key: `support.tbl`, one line per broker config.

use thalweg_metadata::config::{ConfigTable, Value};

use super::access::AUTHORIZER_KEYS;
use super::properties::Properties;
use super::providers;
use super::{CONSOLE, DECOMPRESSED_MAX, HTTP_LISTEN, LOG_LEVEL, Notice, Refused, RefusedKind};

const TABLE: &str = include_str!("support.tbl");

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It does what it says.
    Honoured,
    /// Its value makes no difference, for this reason.
    Ignored(&'static str),
    /// Only its default is taken, for this reason.
    Refused(&'static str),
}

/// What is done with a key; `None` if it is no broker config.
pub(super) fn support(name: &str) -> Option<Support> {
    TABLE.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut columns = line.splitn(3, " | ");
        if columns.next() != Some(name) {
            return None;
        }
        let class = columns.next();
        let reason = columns.next().unwrap_or_default();
        match class {
            Some("honoured") => Some(Support::Honoured),
            Some("ignored") => Some(Support::Ignored(reason)),
            Some("refused") => Some(Support::Refused(reason)),
            other => unreachable!("support.tbl has {other:?} for {name}"),
        }
    })
}

/// Names that begin so belong to plug-ins, and are passed to them unread.
const PREFIXES: [(&str, &str); 2] =
    [("rsm.config.", "tiered storage is not built yet"), ("rlmm.config.", "tiered storage is not built yet")];

/// What a listener may have of its own here, beside all that begins with `ssl.` or `sasl.`.
const OF_LISTENERS: [&str; 4] = [
    "connection.failed.authentication.delay.ms",
    "connections.max.reauth.ms",
    "max.connection.creation.rate",
    "max.connections",
];

/// SASL mechanisms as the names of a listener's configs have them.
const MECHANISMS: [&str; 5] = ["gssapi", "oauthbearer", "plain", "scram-sha-256", "scram-sha-512"];

/// Keys of Kafka 3 that many files still have.
const REMOVED: [&str; 10] = [
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "delegation.token.master.key",
    "inter.broker.protocol.version",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "offsets.commit.required.acks",
    "replica.fetch.backoff.max.ms",
    "reserved.broker.max.id",
];

/// What is to be said about the keys that were set, in their order by name.
pub(super) fn notices(properties: &Properties) -> Result<Vec<Notice>, Refused> {
    let mut notices = Vec::new();
    for name in properties.texts().keys() {
        let base = listener_base(name);
        let own = [CONSOLE, DECOMPRESSED_MAX, HTTP_LISTEN, LOG_LEVEL].contains(&&**name)
            || AUTHORIZER_KEYS.contains(&&**name);
        if own || providers::is_of_provider(name) {
            continue;
        }
        let what = support(base).or_else(|| prefixed(name));
        match what {
            Some(Support::Honoured) if base == &**name || may_be_of_listener(base) => {}
            Some(Support::Honoured) => {
                notices.push(Notice::NoEffect { key: name.to_string(), reason: "it counts for all listeners alike" });
            }
            Some(_) if base == &**name && is_default(base, properties) => {}
            Some(Support::Ignored(reason)) => notices.push(Notice::NoEffect { key: name.to_string(), reason }),
            Some(Support::Refused(reason)) => {
                let message = format!("{name} cannot be set here: {reason}");
                return Err(Refused { kind: RefusedKind::NotBuilt, message });
            }
            None => {
                let removed = name.starts_with("zookeeper.")
                    || name.starts_with("password.encoder.")
                    || REMOVED.contains(&&**name);
                notices.push(Notice::Unknown { key: name.to_string(), removed });
            }
        }
    }
    Ok(notices)
}

/// The config that a listener's own one overrides: `listener.name.internal.ssl.keystore.location`.
fn listener_base(name: &str) -> &str {
    let base = name.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.')).map(|(_, base)| base);
    let Some(base) = base else { return name };
    match base.split_once('.') {
        // A SASL mechanism's own configs have its name in between.
        Some((mechanism, base)) if MECHANISMS.contains(&mechanism) => base,
        _ => base,
    }
}

fn may_be_of_listener(base: &str) -> bool {
    base.starts_with("ssl.") || base.starts_with("sasl.") || OF_LISTENERS.contains(&base)
}

fn prefixed(name: &str) -> Option<Support> {
    PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, reason)| Support::Ignored(reason))
}

fn is_default(name: &str, properties: &Properties) -> bool {
    let Some(def) = ConfigTable::BROKER.get(name) else { return false };
    let text = properties.value(name).map(Value::to_text).unwrap_or_default();
    text == def.default_text().unwrap_or_default()
}
