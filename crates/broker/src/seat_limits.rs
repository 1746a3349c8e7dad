//! How many connections there may be: what `max.connections` and its kin say, in the file or set at run time.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use thalweg_metadata::MetadataImage;
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, ConfigTable};
use thalweg_metadata::image::{ClientQuotasImage, ConfigResource, ConfigResourceType};
use thalweg_network::{ListenerLimits, NO_RATE, SeatLimits};
use tracing::warn;

use crate::config::NetworkConfig;

/// What connections may do, by the file and by what was set at run time.
pub(crate) async fn seat_limits(
    network: &NetworkConfig,
    node: thalweg_base::NodeId,
    properties: &ConfigMap,
    image: &MetadataImage,
) -> SeatLimits {
    let none = ConfigMap::new();
    let own = ConfigResource { kind: ConfigResourceType::Broker, name: node.to_string().into() };
    let configs = BrokerConfigs {
        dynamic_node: image.configs().get(&own).unwrap_or(&none),
        dynamic_cluster: image.configs().get(&ConfigResource::cluster()).unwrap_or(&none),
        static_node: properties,
    };
    let limits = read(network, &configs).await;
    let (ip_rates, ip_rate_default) = ip_rates(image.client_quotas()).await;
    SeatLimits { ip_rates, ip_rate_default, ..limits }
}

/// `connection_creation_rate` by address, and of all others (KIP-612). A host that is unknown has no quota.
async fn ip_rates(quotas: &ClientQuotasImage) -> (BTreeMap<IpAddr, u32>, Option<u32>) {
    let (mut rates, mut default) = (BTreeMap::new(), None);
    for (entity, values) in quotas.iter() {
        let Some(rate) = values.get("connection_creation_rate").map(|rate| *rate as u32) else { continue };
        for (_, name) in entity.parts().iter().filter(|(kind, _)| &**kind == "ip") {
            let Some(host) = name else {
                default = Some(rate);
                continue;
            };
            match thalweg_sys::net::resolve(host, 0).await {
                Ok(addresses) => rates.extend(addresses.into_iter().map(|addr| (addr.ip().to_canonical(), rate))),
                Err(e) => warn!(%host, error = %e, "a quota is for an unknown host"),
            }
        }
    }
    (rates, default)
}

/// The limits by the configs. Hosts of the overrides are looked up; one that is unknown has no override.
async fn read(network: &NetworkConfig, configs: &BrokerConfigs<'_>) -> SeatLimits {
    let names: Vec<Arc<str>> = network.broker_listeners().map(|l| l.name.as_str().into()).collect();
    let inter_broker = names.iter().filter(|name| names.len() > 1 && ***name == network.inter_broker_listener_name);
    let controllers = network.controller_listeners().map(|l| l.name.as_str().into());
    SeatLimits {
        connections_max: count(number(configs, "max.connections")),
        per_ip_max: count(number(configs, "max.connections.per.ip")),
        per_ip_overrides: overrides(configs).await,
        creation_rate: number(configs, "max.connection.creation.rate").unsigned_abs(),
        ip_rates: BTreeMap::new(),
        ip_rate_default: None,
        protected: inter_broker.cloned().chain(controllers).collect(),
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

async fn overrides(configs: &BrokerConfigs<'_>) -> HashMap<IpAddr, usize> {
    let mut found = HashMap::new();
    let text = configs.get("max.connections.per.ip.overrides").unwrap_or_default();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let Some((host, limit)) = pair.rsplit_once(':') else { continue };
        let Ok(limit) = limit.trim().parse() else { continue };
        let host = host.trim().trim_matches(['[', ']']);
        match thalweg_sys::net::resolve(host, 0).await {
            Ok(addresses) => found.extend(addresses.into_iter().map(|addr| (addr.ip(), count(limit)))),
            Err(e) => warn!(host, error = %e, "max.connections.per.ip.overrides names an unknown host"),
        }
    }
    found
}

fn count(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}
