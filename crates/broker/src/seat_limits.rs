//! How many connections there may be: what `max.connections` and its kin say, in the file or set at run time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, ConfigTable};
use thalweg_metadata::image::{ClientQuotasImage, ConfigResource, ConfigResourceType};
use thalweg_network::{ListenerLimits, NO_RATE, RateWindows, SeatLimits};
use thalweg_sys::time::{Duration, Instant, now, timeout_at};
use tracing::warn;

use crate::config::NetworkConfig;

/// All hosts of limits are looked up within this time: a resolver that does not answer must not keep a node from starting.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(10);

/// What connections may do, by the file and by what was set at run time; its hosts have not been looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedLimits {
    /// Everything but what is for single hosts.
    limits: SeatLimits,
    /// `max.connections.per.ip.overrides`
    overrides: Vec<(Arc<str>, usize)>,
    /// `connection_creation_rate` of hosts (KIP-612).
    ip_rates: Vec<(Arc<str>, u32)>,
}

impl NamedLimits {
    /// What the properties and the image say.
    pub(crate) fn read(
        network: &NetworkConfig,
        node: thalweg_base::NodeId,
        properties: &ConfigMap,
        image: &MetadataImage,
    ) -> Self {
        let none = ConfigMap::new();
        let own = ConfigResource { kind: ConfigResourceType::Broker, name: node.to_string().into() };
        let configs = BrokerConfigs {
            dynamic_node: image.configs().get(&own).unwrap_or(&none),
            dynamic_cluster: image.configs().get(&ConfigResource::cluster()).unwrap_or(&none),
            static_node: properties,
        };
        let (ip_rates, ip_rate_default) = ip_rates(image.client_quotas());
        let limits = SeatLimits { ip_rate_default, ..without_hosts(network, &configs) };
        Self { limits, overrides: overrides(&configs), ip_rates }
    }

    /// The limits with the addresses of their hosts, and whether all of them were found. A host that is unknown has no limit of
    /// its own.
    pub(crate) async fn resolved(&self) -> (SeatLimits, bool) {
        let deadline = now() + LOOKUP_TIME_MAX;
        let (mut limits, mut all_found) = (self.limits.clone(), true);
        for (host, limit) in &self.overrides {
            let found = look_up(host, deadline).await;
            all_found &= found.is_some();
            limits.per_ip_overrides.extend(found.into_iter().flatten().map(|address| (address, *limit)));
        }
        for (host, rate) in &self.ip_rates {
            let found = look_up(host, deadline).await;
            all_found &= found.is_some();
            limits.ip_rates.extend(found.into_iter().flatten().map(|address| (address.to_canonical(), *rate)));
        }
        (limits, all_found)
    }
}

async fn look_up(host: &str, deadline: Instant) -> Option<Vec<IpAddr>> {
    let found = timeout_at(deadline, thalweg_sys::net::resolve(host, 0)).await;
    match found.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(addresses) => Some(addresses.into_iter().map(|address| address.ip()).collect()),
        Err(e) => {
            warn!(host, error = %e, "a limit of connections is for an unknown host");
            None
        }
    }
}

/// `connection_creation_rate` by host, and of all others (KIP-612).
fn ip_rates(quotas: &ClientQuotasImage) -> (Vec<(Arc<str>, u32)>, Option<u32>) {
    let (mut rates, mut default) = (Vec::new(), None);
    for (entity, values) in quotas.iter() {
        let Some(rate) = values.get("connection_creation_rate").map(|rate| *rate as u32) else { continue };
        for (_, name) in entity.parts().iter().filter(|(kind, _)| &**kind == "ip") {
            match name {
                Some(host) => rates.push((Arc::clone(host), rate)),
                None => default = Some(rate),
            }
        }
    }
    (rates, default)
}

/// The limits by the configs.
fn without_hosts(network: &NetworkConfig, configs: &BrokerConfigs<'_>) -> SeatLimits {
    let names: Vec<Arc<str>> = network.broker_listeners().map(|l| l.name.as_str().into()).collect();
    let inter_broker = names.iter().filter(|name| names.len() > 1 && ***name == network.inter_broker_listener_name);
    let controllers = network.controller_listeners().map(|l| l.name.as_str().into());
    SeatLimits {
        connections_max: count(number(configs, "max.connections")),
        per_ip_max: count(number(configs, "max.connections.per.ip")),
        per_ip_overrides: std::collections::HashMap::new(),
        creation_rate: number(configs, "max.connection.creation.rate").unsigned_abs(),
        ip_rates: BTreeMap::new(),
        ip_rate_default: None,
        protected: inter_broker.cloned().chain(controllers).collect(),
        rate_windows: RateWindows {
            count: number(configs, "quota.window.num").unsigned_abs(),
            size: Duration::from_secs(number(configs, "quota.window.size.seconds").unsigned_abs().into()),
        },
        listeners: names.iter().map(|name| (Arc::clone(name), of_listener(configs, name))).collect(),
    }
}

fn of_listener(configs: &BrokerConfigs<'_>, listener: &str) -> ListenerLimits {
    let prefix = format!("listener.name.{}.", listener.to_lowercase());
    let own = |name: &str| configs.get(&format!("{prefix}{name}")).and_then(|text| text.trim().parse::<i32>().ok());
    ListenerLimits {
        connections_max: own("max.connections").map_or(usize::MAX, count),
        creation_rate: own("max.connection.creation.rate").map_or(NO_RATE, i32::unsigned_abs),
    }
}

fn number(configs: &BrokerConfigs<'_>, name: &str) -> i32 {
    // Only another program can have stored what is no number; the default stands in for it.
    let set = configs.get(name).and_then(|text| text.trim().parse().ok());
    let default = || ConfigTable::BROKER.get(name).and_then(|def| def.default_text()?.parse().ok());
    set.or_else(default).unwrap_or(i32::MAX)
}

fn overrides(configs: &BrokerConfigs<'_>) -> Vec<(Arc<str>, usize)> {
    let text = configs.get("max.connections.per.ip.overrides").unwrap_or_default();
    let pair = |pair: &str| {
        let (host, limit) = pair.rsplit_once(':')?;
        Some((host.trim().trim_matches(['[', ']']).into(), count(limit.trim().parse().ok()?)))
    };
    text.split(',').filter_map(pair).collect()
}

fn count(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_name_hosts_and_bracketed_addresses() {
        let none = ConfigMap::new();
        let text = "localhost:5, [::1]:7,10.0.0.1:0,broken";
        let own = ConfigMap::unit("max.connections.per.ip.overrides".into(), text.into());
        let configs = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &own };
        assert_eq!(overrides(&configs), [("localhost".into(), 5), ("::1".into(), 7), ("10.0.0.1".into(), 0)]);
    }

    #[tokio::test]
    async fn an_unknown_host_has_no_limit_and_counts_as_not_found() {
        let ip_rates = vec![("no-such-host.invalid".into(), 3), ("127.0.0.1".into(), 4)];
        let limits = SeatLimits {
            connections_max: 1,
            per_ip_max: 1,
            per_ip_overrides: std::collections::HashMap::new(),
            creation_rate: 1,
            ip_rates: BTreeMap::new(),
            ip_rate_default: None,
            listeners: BTreeMap::new(),
            protected: Vec::new(),
            rate_windows: RateWindows::default(),
        };
        let limits = NamedLimits { limits, overrides: Vec::new(), ip_rates };
        let (resolved, all_found) = limits.resolved().await;
        assert_eq!((resolved.ip_rates, all_found), ([(IpAddr::from([127, 0, 0, 1]), 4)].into(), false));
    }
}
