//! Which broker configurations can change at run time (KIP-226).

use thalweg_metadata::config::{ConfigMap, ConfigTable, UpdateMode};
use thalweg_wire::ErrorCode;

use crate::Refusal;

/// Key and trust stores: each listener has its own, so they change only under a listener's name.
const PER_LISTENER: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// What a listener may have for all brokers at once.
const CLUSTER_WIDE_OF_LISTENERS: [&str; 3] = ["max.connection.creation.rate", "max.connections", "num.network.threads"];

/// Whose configurations change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Those of one broker.
    Broker,
    /// The default of all brokers.
    Cluster,
}

/// Whether these values can be set at run time. Names that nobody knows are taken, since plugins read them.
pub(super) fn check(level: Level, set: &ConfigMap) -> Result<(), Refusal> {
    let mode = |name: &str| ConfigTable::BROKER.get(name).map(|def| def.mode);
    refuse_any(set, "Cannot update these configs dynamically", |name| mode(name) == Some(UpdateMode::ReadOnly))?;
    let text = "These security configs can be dynamically updated only per-listener using the listener prefix";
    refuse_any(set, text, |name| PER_LISTENER.contains(&name))?;
    for (name, value) in set {
        let def = ConfigTable::BROKER.get(base_name(name).unwrap_or(name));
        if let Some(def) = def {
            def.parse(value).map_err(|error| Refusal::because(ErrorCode::InvalidRequest, error.message))?;
        }
    }
    let per_broker = |name: &str| match base_name(name) {
        Some(base) => !CLUSTER_WIDE_OF_LISTENERS.contains(&base),
        None => mode(name) == Some(UpdateMode::PerBroker),
    };
    match level {
        Level::Broker => Ok(()),
        Level::Cluster => {
            let text = "Cannot update these configs at default cluster level, broker id must be specified";
            refuse_any(set, text, per_broker)
        }
    }
}

fn refuse_any(set: &ConfigMap, text: &str, wrong: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let names: Vec<&str> = set.keys().map(|name| &**name).filter(|name| wrong(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Refusal::because(ErrorCode::InvalidRequest, format!("{text}: [{}]", names.join(", "))))
}

/// The configuration that `listener.name.{listener}.{config}` is for one listener.
fn base_name(name: &str) -> Option<&str> {
    let (_, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(level: Level, name: &str, value: &str) -> String {
        let set = ConfigMap::unit(name.into(), value.into());
        check(level, &set).map_err(|refusal| refusal.to_string()).err().unwrap_or_default()
    }

    #[test]
    fn what_cannot_change_at_run_time_is_refused_in_kafkas_words() {
        let broker = |name, value| refused(Level::Broker, name, value);
        assert_eq!(broker("node.id", "5"), "INVALID_REQUEST: Cannot update these configs dynamically: [node.id]");
        assert_eq!(
            broker("num.io.threads", "abc"),
            "INVALID_REQUEST: Invalid value abc for configuration num.io.threads: Not a number of type INT"
        );
        assert!(broker("ssl.keystore.location", "x").contains("only per-listener using the listener prefix: [ssl."));
        assert_eq!(broker("listener.name.a.ssl.keystore.location", "x"), "");
        assert_eq!(broker("log.cleaner.threads", "2"), "");
        assert_eq!(broker("no.such.config", "1"), "");
        assert_eq!(broker("listeners", "PLAINTEXT://:1"), "");
    }

    #[test]
    fn what_each_broker_has_for_itself_has_no_default() {
        let text = "INVALID_REQUEST: Cannot update these configs at default cluster level, broker id must be specified";
        assert_eq!(refused(Level::Cluster, "listeners", "PLAINTEXT://:1"), format!("{text}: [listeners]"));
        let own = "listener.name.a.ssl.keystore.location";
        assert_eq!(refused(Level::Cluster, own, "x"), format!("{text}: [{own}]"));
        assert_eq!(refused(Level::Cluster, "listener.name.a.max.connections", "7"), "");
        assert_eq!(refused(Level::Cluster, "message.max.bytes", "2000000"), "");
    }
}
