//! What the properties of a node must fulfil together, in Kafka's order and with its messages.

use thalweg_metadata::config::{BrokerConfigs, ConfigMap, validate_broker_topic_defaults};

use super::areas::{LEADER_SELECTOR, RACK_AWARE_SELECTOR};
use super::properties::Properties;
use super::{NodeConfig, Notice, Refused, Roles, require};

const ROLES: &str = "process.roles";
const NAMES: &str = "controller.listener.names";
const VOTERS: &str = "controller.quorum.voters";

/// Checks the whole, and says what Kafka warns of.
pub(super) fn check(config: &NodeConfig, properties: &Properties) -> Result<Vec<Notice>, Refused> {
    early_listeners(config, properties)?;
    if properties.int("broker.id") != config.node_id.0 {
        return Err(Refused::config("You must set `node.id` to the same value as `broker.id`."));
    }
    times(properties)?;
    let mut notices = Vec::new();
    let (heartbeat, session) =
        (properties.int("broker.heartbeat.interval.ms"), properties.int("broker.session.timeout.ms"));
    if i64::from(heartbeat) * 2 > i64::from(session) {
        notices.push(Notice::Warning(format!(
            "broker.heartbeat.interval.ms ({heartbeat} ms) is more than half of broker.session.timeout.ms ({session} ms): \
             a broker may be fenced after one lost heartbeat"
        )));
    }
    quorum(config, properties, &mut notices)?;
    broker_listeners(config, properties)?;
    limits(config, properties)?;
    Ok(notices)
}

fn early_listeners(config: &NodeConfig, properties: &Properties) -> Result<(), Refused> {
    for name in properties.list("early.start.listeners") {
        if !config.network.listeners.iter().any(|listener| listener.name == name) {
            return Err(Refused::config(format!(
                "early.start.listeners contains listener {name}, but this is not contained in listeners or {NAMES}"
            )));
        }
    }
    Ok(())
}

/// A time in milliseconds that may also be written in coarser units; the finest one set counts.
fn milliseconds(properties: &Properties, names: &[(&str, i64)]) -> i64 {
    let find = |(name, factor): &(&str, i64)| Some(properties.value(name)?.as_i64()?.saturating_mul(*factor));
    names.iter().find_map(find).unwrap_or(0)
}

fn times(properties: &Properties) -> Result<(), Refused> {
    const HOURS: i64 = 3_600_000;
    let roll = milliseconds(properties, &[("log.roll.ms", 1), ("log.roll.hours", HOURS)]);
    require(roll >= 1, || "log.roll.ms must be greater than or equal to 1".to_owned())?;
    let jitter = milliseconds(properties, &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOURS)]);
    require(jitter >= 0, || "log.roll.jitter.ms must be greater than or equal to 0".to_owned())?;
    let retention = [("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", HOURS)];
    require(milliseconds(properties, &retention) != 0, || {
        "log.retention.ms must be unlimited (-1) or, greater than or equal to 1".to_owned()
    })?;
    let threads = i64::from(properties.int("log.cleaner.threads")).max(1);
    require(properties.long("log.cleaner.dedupe.buffer.size") / threads > 1024 * 1024, || {
        "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.".to_owned()
    })?;
    let wait = properties.int("replica.fetch.wait.max.ms");
    require(wait <= properties.int("replica.socket.timeout.ms"), || {
        "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket \
         timeouts"
            .to_owned()
    })?;
    require(i64::from(wait) <= properties.long("replica.lag.time.max.ms"), || {
        "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent \
         changes in ISR"
            .to_owned()
    })
}

fn quorum(config: &NodeConfig, properties: &Properties, notices: &mut Vec<Notice>) -> Result<(), Refused> {
    let (node, network) = (config.node_id, &config.network);
    if config.quorum.voters.is_empty() && config.quorum.bootstrap_servers.is_empty() {
        return Err(Refused::config(format!(
            "If using {ROLES}, either controller.quorum.bootstrap.servers must contain the set of bootstrap controllers \
             or {VOTERS} must contain a parseable set of controllers."
        )));
    }
    let ids: Vec<String> = config.quorum.voters.keys().map(|id| id.0.to_string()).collect();
    let voters = format!("Set({})", ids.join(", "));
    if !config.roles.controller {
        return broker_only(config, properties, &voters, notices);
    }
    if !config.roles.broker {
        require(network.advertised_controller_listeners.len() == network.listeners.len(), || {
            format!(
                "The listeners config must only contain KRaft controller listeners from {NAMES} when {ROLES}=controller"
            )
        })?;
        let named = properties.value("inter.broker.listener.name").is_some();
        let clash = named && network.controller_listener_names.contains(&network.inter_broker_listener_name);
        require(!clash, || {
            format!(
                "{NAMES} must not contain an explicitly set inter.broker.listener.name configuration value when \
                 {ROLES}=controller'"
            )
        })?;
    }
    require(config.quorum.voters.is_empty() || config.quorum.voters.contains_key(&node), || {
        format!(
            "If {ROLES} contains the 'controller' role, the node id {} must be included in the set of voters \
             {VOTERS}={voters}",
            node.0
        )
    })?;
    require(!network.advertised_controller_listeners.is_empty(), || {
        format!(
            "{NAMES} must contain at least one value appearing in the 'listeners' configuration when running the KRaft \
             controller role"
        )
    })?;
    let all_listen =
        network.controller_listener_names.iter().all(|name| network.listeners.iter().any(|l| l.name == *name));
    require(all_listen, || {
        format!(
            "{NAMES} must only contain values appearing in the 'listeners' configuration when running the KRaft \
             controller role"
        )
    })
}

fn broker_only(
    config: &NodeConfig,
    properties: &Properties,
    voters: &str,
    notices: &mut Vec<Notice>,
) -> Result<(), Refused> {
    let (node, network) = (config.node_id, &config.network);
    require(!config.quorum.voters.contains_key(&node), || {
        format!(
            "If {ROLES} contains just the 'broker' role, the node id {} must not be included in the set of voters \
             {VOTERS}={voters}",
            node.0
        )
    })?;
    require(network.controller_listeners().next().is_none(), || {
        format!(
            "{NAMES} must not contain a value appearing in the 'listeners' configuration when running KRaft with just \
             the broker role"
        )
    })?;
    let protocols = super::listeners::Listeners::read(properties)?.protocols;
    for name in network.controller_listener_names.iter().map(|name| name.to_uppercase()) {
        if !protocols.contains_key(&name) {
            return Err(Refused::config(format!(
                "Controller listener with name {name} defined in {NAMES} not found in listener.security.protocol.map  \
                 (an explicit security mapping for each controller listener is required if \
                 listener.security.protocol.map is non-empty, or if there are security protocols other than PLAINTEXT \
                 in use)"
            )));
        }
    }
    require(!properties.boolean("controller.quorum.auto.join.enable"), || {
        format!("controller.quorum.auto.join.enable is only supported when {ROLES} contains the 'controller' role.")
    })?;
    if network.controller_listener_names.len() > 1 {
        notices.push(Notice::Warning(format!("{NAMES} has several names, and a broker uses only the first")));
    }
    Ok(())
}

fn broker_listeners(config: &NodeConfig, properties: &Properties) -> Result<(), Refused> {
    let network = &config.network;
    let advertised: Vec<&str> = network.advertised_listeners.iter().map(|listener| &*listener.name).collect();
    let listening: Vec<&str> = network.listeners.iter().map(|listener| &*listener.name).collect();
    if let Roles { broker: true, .. } = config.roles {
        require(!advertised.is_empty(), || {
            format!("There must be at least one broker advertised listener. Perhaps all listeners appear in {NAMES}?")
        })?;
        require(advertised.contains(&&*network.inter_broker_listener_name), || {
            format!(
                "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options \
                 based on currently configured listeners are {}",
                advertised.join(",")
            )
        })?;
        require(advertised.iter().all(|name| listening.contains(name)), || {
            format!(
                "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. \
                 Found {}. The valid options based on the current configuration are {}",
                advertised.join(","),
                listening.join(",")
            )
        })?;
        cordoned(config, properties)?;
        selector(properties)?;
    }
    let mut all = network.advertised_listeners.iter().chain(&network.advertised_controller_listeners);
    require(all.all(|listener| listener.host.as_deref() != Some("0.0.0.0")), || {
        "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.".to_owned()
    })
}

/// Kafka's own selectors are here; others are Java classes, of which none can run in this process.
fn selector(properties: &Properties) -> Result<(), Refused> {
    let Some(class) = properties.optional_string("replica.selector.class") else { return Ok(()) };
    require([RACK_AWARE_SELECTOR, LEADER_SELECTOR].contains(&&*class), || {
        format!("replica.selector.class: {class} is not available, only {RACK_AWARE_SELECTOR} and {LEADER_SELECTOR}")
    })
}

fn cordoned(config: &NodeConfig, properties: &Properties) -> Result<(), Refused> {
    const KEY: &str = "cordoned.log.dirs";
    let cordoned = properties.list(KEY);
    if cordoned.iter().any(|dir| dir == "*") {
        return require(cordoned.len() == 1, || format!("When {KEY} is set to *, it must not contain other values"));
    }
    let known = |dir: &&String| config.storage.log_dirs.iter().any(|known| known.as_os_str() == dir.as_str());
    let unknown: Vec<String> = cordoned.iter().filter(|dir| !known(dir)).cloned().collect();
    require(unknown.is_empty(), || {
        format!("All entries in {KEY} must be present in log.dirs or log.dir. Missing entries : {}", unknown.join(", "))
    })
}

fn limits(config: &NodeConfig, properties: &Properties) -> Result<(), Refused> {
    let network = &config.network;
    let queued = network.queued_max_request_bytes;
    require(queued <= 0 || queued >= i64::from(network.socket_request_max_bytes), || {
        "queued.max.request.bytes must be larger or equal to socket.request.max.bytes".to_owned()
    })?;
    require(network.max_connections_per_ip != 0 || !network.max_connections_per_ip_overrides.is_empty(), || {
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.".to_owned()
    })?;
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':');
    let invalid: Vec<&str> = network
        .max_connections_per_ip_overrides
        .keys()
        .map(String::as_str)
        .filter(|host| !host.chars().all(letter))
        .collect();
    if !invalid.is_empty() {
        return Err(Refused::illegal(format!(
            "max.connections.per.ip.overrides contains invalid addresses : {}",
            invalid.join(",")
        )));
    }
    let (delay, idle) = (properties.int("connection.failed.authentication.delay.ms"), network.connections_max_idle_ms);
    require(idle < 0 || i64::from(delay) < idle, || {
        format!(
            "connection.failed.authentication.delay.ms={delay} should always be less than connections.max.idle.ms={idle} \
             to prevent failed authentication responses from timing out"
        )
    })
}

/// Checks what topics would get from this node: Kafka does so when a broker opens its logs.
pub(super) fn topic_defaults(config: &NodeConfig, properties: &Properties) -> Result<(), Refused> {
    let none = ConfigMap::new();
    let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &config.properties };
    Ok(validate_broker_topic_defaults(&broker, properties.boolean("remote.log.storage.system.enable"))?)
}
