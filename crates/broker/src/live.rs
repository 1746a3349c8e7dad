//! What changes while the node runs: its own properties, when the file was read again, and what was set for brokers at run
//! time (KIP-226).

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_metadata::config::{BrokerConfigs, ConfigMap, ConfigTable, UpdateMode};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};
use thalweg_sys::closing::Closing;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now, sleep};
use tracing::info;

use crate::broker::Broker;
use crate::config::{LOG_LEVEL, NodeConfig};
use crate::seat_limits::NamedLimits;

/// How often files of key material are looked at: they may be replaced where they are.
const KEY_MATERIAL_CHECK: Duration = Duration::from_secs(30);

/// How often hosts of limits are looked up again that were not found.
const LOOKUP_RETRY: Duration = Duration::from_secs(30);

/// What came of reading the properties again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys that have changed and count from now on.
    pub applied: Vec<String>,
    /// Keys that have changed and count from the next start on.
    pub for_restart: Vec<String>,
}

/// Keeps up with what is set at run time until `closing` says so.
pub(crate) async fn follow(broker: Arc<Broker>, closing: Closing) {
    tokio::join!(follow_images(&broker, closing.clone()), follow_limits(&broker, closing));
}

async fn follow_images(broker: &Arc<Broker>, mut closing: Closing) {
    let mut changes = broker.metadata.changes();
    let mut quotas = None;
    loop {
        let image = broker.image();
        if quotas.as_ref().is_none_or(|quotas| !image.client_quotas().is_same(quotas)) {
            broker.quotas.follow(&image);
            quotas = Some(image.client_quotas().clone());
        }
        broker.telemetry.follow(&image);
        refresh_key_material(broker).await;
        tokio::select! {
            biased;
            () = closing.begun() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(KEY_MATERIAL_CHECK) => {}
        }
    }
}

/// Keeps up with the limits of connections. Their hosts are looked up when other limits are set, apart from everything else:
/// a resolver may take its time.
async fn follow_limits(broker: &Broker, mut closing: Closing) {
    let mut changes = broker.metadata.changes();
    let mut applied = None;
    // When hosts are looked up again that were not found.
    let mut retry_at: Option<Instant> = None;
    loop {
        let limits = named_limits(broker);
        if applied.as_ref() != Some(&limits) || retry_at.is_some_and(|at| now() >= at) {
            let all_found = tokio::select! {
                biased;
                () = closing.begun() => return,
                all_found = apply_limits(broker, &limits) => all_found,
            };
            retry_at = (!all_found).then(|| now() + LOOKUP_RETRY);
            applied = Some(limits);
        }
        let until_retry = retry_at.map_or(LOOKUP_RETRY, |at| at.saturating_duration_since(now()));
        tokio::select! {
            biased;
            () = closing.begun() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(until_retry), if retry_at.is_some() => {}
        }
    }
}

fn named_limits(broker: &Broker) -> NamedLimits {
    let config = &broker.config;
    NamedLimits::read(&config.network, config.node_id, &broker.properties.get(), &broker.image())
}

/// Says whether all hosts were found.
async fn apply_limits(broker: &Broker, limits: &NamedLimits) -> bool {
    let (limits, all_found) = limits.resolved().await;
    if broker.network.set_seat_limits(limits) {
        info!("other limits count for connections from now on");
    }
    all_found
}

/// Listeners use other key material if its settings or files have changed.
async fn refresh_key_material(broker: &Arc<Broker>) {
    let broker = Arc::clone(broker);
    // A look that is interrupted is made up for by the next one.
    let _ = task::blocking(move || {
        let (image, properties, none) = (broker.image(), broker.properties.get(), ConfigMap::new());
        let own = ConfigResource { kind: ConfigResourceType::Broker, name: broker.config.node_id.to_string().into() };
        let configs = BrokerConfigs {
            dynamic_node: image.configs().get(&own).unwrap_or(&none),
            dynamic_cluster: image.configs().get(&ConfigResource::cluster()).unwrap_or(&none),
            static_node: &properties,
        };
        broker.securities.values().for_each(|security| security.refresh(configs));
        broker.outgoings.refresh(configs);
    })
    .await;
}

/// The file was read again: what may change at run time counts from now on.
pub(crate) async fn reload(broker: &Broker, read: &NodeConfig) -> Reloaded {
    let before = broker.properties.get();
    let (now, reloaded) = merge(&before, &read.properties);
    if reloaded.applied.is_empty() {
        return reloaded;
    }
    broker.properties.set(now);
    broker.partitions.defaults_changed().await;
    apply_limits(broker, &named_limits(broker)).await;
    reloaded
}

/// The properties that count after those of `read` were found in the file.
fn merge(before: &ConfigMap, read: &ConfigMap) -> (ConfigMap, Reloaded) {
    let mut now = before.clone();
    let mut reloaded = Reloaded::default();
    let keys: BTreeSet<&Arc<str>> = before.keys().chain(read.keys()).collect();
    for key in keys.into_iter().filter(|key| before.get(*key) != read.get(*key)) {
        if !counts_at_once(key) {
            reloaded.for_restart.push(key.to_string());
            continue;
        }
        reloaded.applied.push(key.to_string());
        match read.get(key) {
            Some(text) => now.insert(Arc::clone(key), Arc::clone(text)),
            None => now.remove(key),
        };
    }
    (now, reloaded)
}

/// Whether a key does what it says without a restart: what Kafka updates at run time and this node looks at again, the
/// limits of connections and the defaults of topics.
fn counts_at_once(key: &str) -> bool {
    const CONNECTIONS: [&str; 4] = [
        "max.connections",
        "max.connections.per.ip",
        "max.connections.per.ip.overrides",
        "max.connection.creation.rate",
    ];
    // The binary sees to it.
    if key == LOG_LEVEL {
        return true;
    }
    let of_listener = key.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.')).map(|(_, base)| base);
    if let Some(base) = of_listener {
        return base == "max.connections" || base == "max.connection.creation.rate";
    }
    let dynamic = ConfigTable::BROKER.get(key).is_some_and(|def| def.mode != UpdateMode::ReadOnly);
    let of_topics = || ConfigTable::TOPIC.iter().any(|def| def.synonyms.iter().any(|synonym| synonym.name == key));
    dynamic && (CONNECTIONS.contains(&key) || of_topics())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> ConfigMap {
        entries.iter().map(|(name, text)| (Arc::from(*name), Arc::from(*text))).collect()
    }

    #[test]
    fn what_kafka_changes_at_run_time_counts_at_once_and_the_rest_after_a_restart() {
        let before =
            map(&[("num.partitions", "1"), ("max.connections", "5"), ("log.retention.ms", "7"), ("same", "x")]);
        let read = map(&[
            ("num.partitions", "2"),
            ("max.connections", "6"),
            ("listener.name.clients.max.connections", "3"),
            ("socket.request.max.bytes", "1000"),
            ("same", "x"),
        ]);
        let (now, reloaded) = merge(&before, &read);
        assert_eq!(reloaded.for_restart, ["num.partitions", "socket.request.max.bytes"]);
        assert_eq!(reloaded.applied, ["listener.name.clients.max.connections", "log.retention.ms", "max.connections"]);
        let expected = [
            ("num.partitions", "1"),
            ("max.connections", "6"),
            ("listener.name.clients.max.connections", "3"),
            ("same", "x"),
        ];
        assert_eq!(now, map(&expected));
    }
}
