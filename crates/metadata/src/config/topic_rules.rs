//! What the configs of one topic must fulfil together.

use super::table::ConfigTable;
use super::topic::Values;
use super::{BrokerConfigs, ConfigError, ConfigMap};

/// Checks the overrides that a topic is to have: every name is a topic config, every value is one that it takes, and
/// together with the broker's values they make sense.
///
/// `existing` are the overrides that it has now; `tiering` is whether the node has remote storage at all.
///
/// # Errors
/// Kafka's message for the first thing that is wrong.
pub fn validate_topic(
    existing: &ConfigMap,
    new: &ConfigMap,
    broker: &BrokerConfigs<'_>,
    tiering: bool,
) -> Result<(), ConfigError> {
    for (name, text) in new {
        let Some(def) = ConfigTable::TOPIC.get(name) else {
            return Err(ConfigError::new(format!("Unknown topic config name: {name}")));
        };
        def.parse(text)?;
    }
    let values = Values { topic: new, broker };
    compaction_lag(&values)?;
    if values.boolean("remote.storage.enable")? {
        return remote_storage(&values, tiering);
    }
    let was_remote = existing.get("remote.storage.enable").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    if was_remote && !values.boolean("remote.log.delete.on.disable")? {
        return Err(ConfigError::new(
            "It is invalid to disable remote storage without deleting remote data. If you want to keep the remote data \
             and turn to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. If you want \
             to disable remote storage and delete all remote data, please set \
             `remote.storage.enable=false,remote.log.delete.on.disable=true`.",
        ));
    }
    Ok(())
}

/// Checks the values that a broker gives to topics, as Kafka does at its start.
///
/// # Errors
/// Kafka's message for the first thing that is wrong.
pub fn validate_broker_topic_defaults(broker: &BrokerConfigs<'_>, tiering: bool) -> Result<(), ConfigError> {
    let none = ConfigMap::new();
    let values = Values { topic: &none, broker };
    compaction_lag(&values)?;
    if tiering {
        local_retention(&values, "retention.bytes", "local.retention.bytes")?;
        local_retention(&values, "retention.ms", "local.retention.ms")?;
    }
    Ok(())
}

fn compaction_lag(values: &Values<'_>) -> Result<(), ConfigError> {
    let (min, max) = (values.long("min.compaction.lag.ms")?, values.long("max.compaction.lag.ms")?);
    if min > max {
        return Err(ConfigError::new(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    Ok(())
}

fn remote_storage(values: &Values<'_>, tiering: bool) -> Result<(), ConfigError> {
    if !tiering {
        return Err(ConfigError::new(
            "Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage.",
        ));
    }
    let policy = values.list("cleanup.policy")?;
    if !policy.is_empty() && policy != ["delete"] {
        return Err(ConfigError::new(
            "Remote log storage only supports topics with cleanup.policy=delete or cleanup.policy being an empty list.",
        ));
    }
    local_retention(values, "retention.bytes", "local.retention.bytes")?;
    local_retention(values, "retention.ms", "local.retention.ms")?;
    if !values.boolean("remote.log.copy.disable")? {
        return Ok(());
    }
    for (all, local) in [("retention.bytes", "local.retention.bytes"), ("retention.ms", "local.retention.ms")] {
        let kept = values.long(local)?;
        if kept != -2 && kept != values.long(all)? {
            return Err(ConfigError::new(format!(
                "When `remote.log.copy.disable` is set to true, the `{local}` and `{all}` must be set to the identical \
                 value because there will be no more logs copied to the remote storage."
            )));
        }
    }
    Ok(())
}

/// What stays on local disks is a part of what is kept at all.
fn local_retention(values: &Values<'_>, all_name: &str, local_name: &str) -> Result<(), ConfigError> {
    let (all, local) = (values.long(all_name)?, values.long(local_name)?);
    if all <= -1 || local == -2 {
        return Ok(());
    }
    if local == -1 {
        let why = format!("Value must not be -1 as {all_name} value is set as {all}.");
        return Err(ConfigError::invalid(local_name, &local.to_string(), &why));
    }
    if local > all {
        let why = format!("Value must not be more than {all_name} property value: {all}");
        return Err(ConfigError::invalid(local_name, &local.to_string(), &why));
    }
    Ok(())
}
