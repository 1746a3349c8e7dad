//! What the configs of one group must fulfil: brokers set bounds, and members must be able to report in time.

use super::describe::topic_value;
use super::table::ConfigTable;
use super::{BrokerConfigs, ConfigError, ConfigMap};

/// A config of a group with the broker configs that bound it: name, least, greatest.
type Bounds = (&'static str, Option<&'static str>, &'static str);

const fn between(name: &'static str, min: &'static str, max: &'static str) -> Bounds {
    (name, Some(min), max)
}

/// In Kafka's order, which decides what is said first.
const BOUNDS: [Bounds; 13] = [
    between(
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    between(
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    between(
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    between(
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    between("share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"),
    between(
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    between(
        "share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    between(
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    between(
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    between(
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    between(
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    ("streams.num.standby.replicas", None, "group.streams.max.standby.replicas"),
    between(
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
];

/// Bounded only where the group itself sets it.
fn only_own(name: &str) -> bool {
    name.ends_with(".assignment.interval.ms")
}

/// Checks everything that a group would have set.
///
/// # Errors
/// Kafka's message about the first config that is unknown, of another type, out of bounds, or too short for another.
pub fn validate_group(group: &ConfigMap, broker: &BrokerConfigs<'_>) -> Result<(), ConfigError> {
    for name in group.keys() {
        if ConfigTable::GROUP.get(name).is_none() {
            return Err(ConfigError::new(format!("Unknown group config name: {name}")));
        }
    }
    for (name, text) in group {
        if let Some(def) = ConfigTable::GROUP.get(name) {
            def.parse(text)?;
        }
    }
    for (name, min, max) in BOUNDS {
        if only_own(name) && !group.contains_key(name) {
            continue;
        }
        let value = number(name, group, broker)?;
        if let Some(min) = min
            && value < bound(min, broker)?
        {
            return Err(ConfigError::new(format!("{name} must be greater than or equal to {min}")));
        }
        if value > bound(max, broker)? {
            return Err(ConfigError::new(format!("{name} must be less than or equal to {max}")));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let (session, heartbeat) = (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
        if number(&session, group, broker)? <= number(&heartbeat, group, broker)? {
            return Err(ConfigError::new(format!("{session} must be greater than {heartbeat}")));
        }
    }
    Ok(())
}

/// The number that a group has, be it its own, a broker's or the default.
fn number(name: &str, group: &ConfigMap, broker: &BrokerConfigs<'_>) -> Result<i64, ConfigError> {
    let Some(def) = ConfigTable::GROUP.get(name) else { return Ok(0) };
    let (value, _) = topic_value(def, group, broker)?;
    Ok(value.and_then(|value| value.as_i64()).unwrap_or(0))
}

/// A bound that a broker sets.
fn bound(name: &str, broker: &BrokerConfigs<'_>) -> Result<i64, ConfigError> {
    let Some(def) = ConfigTable::BROKER.get(name) else { return Ok(0) };
    let text = broker.get(name).or_else(|| def.default_text()).unwrap_or_default();
    Ok(def.parse(text)?.as_i64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn check(configs: &[(&str, &str)]) -> Result<(), String> {
        let none = ConfigMap::new();
        let broker = BrokerConfigs { dynamic_node: &none, dynamic_cluster: &none, static_node: &none };
        let group = configs.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value))).collect();
        validate_group(&group, &broker).map_err(|error| error.message)
    }

    #[test]
    fn every_bound_is_a_config_of_brokers() {
        for (name, min, max) in BOUNDS {
            assert!(ConfigTable::GROUP.get(name).is_some(), "{name}");
            assert!(ConfigTable::BROKER.get(max).is_some(), "{max}");
            assert!(min.is_none_or(|min| ConfigTable::BROKER.get(min).is_some()), "{min:?}");
        }
    }

    #[test]
    fn configs_of_groups_stay_within_the_bounds_of_brokers() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[("consumer.session.timeout.ms", "46000")]), Ok(()));
        let cases = [
            (
                "consumer.session.timeout.ms",
                "1",
                "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                "share.delivery.count.limit",
                "100",
                "share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit",
            ),
            ("none", "1", "Unknown group config name: none"),
            (
                "share.session.timeout.ms",
                "x",
                "Invalid value x for configuration share.session.timeout.ms: Not a number of type INT",
            ),
        ];
        for (name, value, message) in cases {
            assert_eq!(check(&[(name, value)]), Err(message.to_owned()));
        }
    }
}
