//! Where each config's value comes from: what `DescribeConfigs` answers.

use std::collections::BTreeSet;

use super::table::{ConfigDef, ConfigTable, Unit};
use super::value::Value;
use super::{BrokerConfigs, ConfigError, ConfigMap, validate};

/// Who set a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The topic's own override.
    Topic,
    /// Set at run time for one node.
    DynamicBroker,
    /// Set at run time for all nodes.
    DynamicDefaultBroker,
    /// The node's properties file.
    StaticBroker,
    /// Nobody.
    Default,
    /// The level of a logger.
    BrokerLogger,
    /// The client metrics subscription's own.
    ClientMetrics,
    /// The group's own.
    Group,
}

impl Source {
    /// The number of the source in `DescribeConfigs`.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::BrokerLogger => 6,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }
}

/// One place where a config's value was looked for and found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySynonym {
    /// The name that it has there.
    pub name: String,
    /// The text there, `None` when it may not be shown.
    pub value: Option<String>,
    /// Who set it.
    pub source: Source,
}

/// One config as `DescribeConfigs` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its value, `None` when there is none or it may not be shown.
    pub value: Option<String>,
    /// Who set it.
    pub source: Source,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// Whether it cannot be changed at run time.
    pub read_only: bool,
    /// The number of its type; 0 is unknown.
    pub kind_code: i8,
    /// All places where it has a value, the one that counts first.
    pub synonyms: Vec<EntrySynonym>,
    /// What it does.
    pub documentation: &'static str,
}

/// The value of a topic's config, and who set it.
pub(super) fn topic_value(
    def: &ConfigDef,
    topic: &ConfigMap,
    broker: &BrokerConfigs<'_>,
) -> Result<(Option<Value>, Source), ConfigError> {
    if let Some(text) = topic.get(def.name) {
        return Ok((Some(def.parse(text)?), Source::Topic));
    }
    for (source, layer) in broker.layers() {
        for synonym in def.synonyms {
            let Some(text) = layer.get(synonym.name) else { continue };
            let value = match (converted(synonym.name, text, synonym.unit)?, def.name) {
                // Every negative `log.retention.ms` means that there is no limit.
                (Value::Long(..0), "retention.ms") => Value::Long(-1),
                (value, _) => value,
            };
            validate::check(def.name, def.validator, &value)?;
            return Ok((Some(value), source));
        }
    }
    let default = def.default_text().map(|text| def.parse(text)).transpose()?;
    Ok((default, Source::Default))
}

/// A broker's value, in the unit of the config that takes it over.
fn converted(name: &str, text: &str, unit: Unit) -> Result<Value, ConfigError> {
    let Some(def) = ConfigTable::BROKER.get(name) else {
        return Err(ConfigError::new(format!("{name} is no broker config")));
    };
    let factor = match unit {
        Unit::Same => return def.parse(text),
        Unit::Minutes => 60_000,
        Unit::Hours => 3_600_000,
    };
    Ok(Value::Long(def.parse(text)?.as_i64().unwrap_or_default().saturating_mul(factor)))
}

/// A topic's configs, by name, as `DescribeConfigs` answers: internal ones only when they are set.
///
/// # Errors
/// When a stored value is none that its config takes.
pub fn describe_topic(topic: &ConfigMap, broker: &BrokerConfigs<'_>) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::new();
    for def in ConfigTable::TOPIC.iter().filter(|def| !def.internal || topic.contains_key(def.name)) {
        let (value, _) = topic_value(def, topic, broker)?;
        let value = value.map(|value| value.to_text());
        let mut synonyms = Vec::new();
        if topic.contains_key(def.name) {
            synonyms.push(EntrySynonym { name: def.name.to_owned(), value: value.clone(), source: Source::Topic });
        }
        if let Some(first) = def.synonyms.first() {
            synonyms.append(&mut broker_synonyms(first.name, broker));
        }
        entries.push(entry(def, value, synonyms, false));
    }
    Ok(entries)
}

/// A topic's configs as `CreateTopics` answers: the value and who set it, nothing else.
///
/// # Errors
/// When a value is none that its config takes.
pub fn effective_topic_configs(topic: &ConfigMap, broker: &BrokerConfigs<'_>) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::new();
    for def in ConfigTable::TOPIC.iter().filter(|def| !def.internal || topic.contains_key(def.name)) {
        let (value, source) = topic_value(def, topic, broker)?;
        let value = match written(def, topic, broker) {
            Some(text) => Some(text.to_owned()),
            None => value.map(|value| value.to_text()),
        };
        let mut entry = entry(def, value, Vec::new(), false);
        entry.source = source;
        entries.push(entry);
    }
    Ok(entries)
}

/// What somebody wrote for a topic's config, if it stands there in the config's own unit.
fn written<'a>(def: &ConfigDef, topic: &'a ConfigMap, broker: &BrokerConfigs<'a>) -> Option<&'a str> {
    let own = topic.get(def.name).map(|text| (&**text, Unit::Same));
    let of_layer = |layer: &'a ConfigMap| def.synonyms.iter().find_map(|s| Some((&**layer.get(s.name)?, s.unit)));
    let found = own.or_else(|| broker.layers().into_iter().find_map(|(_, layer)| of_layer(layer)));
    found.filter(|(_, unit)| *unit == Unit::Same).map(|(text, _)| text)
}

/// All places where a broker config has a value. What stands before the first one under its own name is dropped: a
/// listener's override is no value of the plain config.
fn broker_synonyms(name: &str, broker: &BrokerConfigs<'_>) -> Vec<EntrySynonym> {
    let names = names_of(name);
    let sensitive = broker_kind(name).is_none_or(|def| def.is_sensitive());
    let shown = |text: &str| (!sensitive).then(|| text.to_owned());
    let mut found = Vec::new();
    for (source, layer) in broker.layers() {
        for name in &names {
            if let Some(text) = layer.get(name.as_str()) {
                found.push(EntrySynonym { name: name.clone(), value: shown(text), source });
            }
        }
    }
    for name in &names {
        if let Some(text) = ConfigTable::BROKER.get(name).filter(|def| !def.only_dynamic).and_then(|d| d.default_text())
        {
            found.push(EntrySynonym { name: name.clone(), value: shown(text), source: Source::Default });
        }
    }
    let start = found.iter().position(|synonym| synonym.name == name).unwrap_or(found.len());
    found.split_off(start)
}

/// The names under which a broker config may be set, the strongest first.
fn names_of(name: &str) -> Vec<String> {
    if let Some(def) = ConfigTable::BROKER.get(name).filter(|def| !def.synonyms.is_empty()) {
        return def.synonyms.iter().map(|synonym| synonym.name.to_owned()).collect();
    }
    match listener_base(name) {
        Some(base) => vec![name.to_owned(), base.to_owned()],
        None => vec![name.to_owned()],
    }
}

/// The plain config behind a listener's own one: `listener.name.internal.ssl.keystore.location`.
fn listener_base(name: &str) -> Option<&str> {
    const OF_A_MECHANISM: [&str; 5] = [
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    let (_, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    Some(OF_A_MECHANISM.into_iter().find(|mechanism| base.ends_with(mechanism)).unwrap_or(base))
}

fn broker_kind(name: &str) -> Option<&'static ConfigDef> {
    ConfigTable::BROKER.get(name).or_else(|| ConfigTable::BROKER.get(listener_base(name)?))
}

/// A broker's configs, by name, as `DescribeConfigs` answers: all that are known, internal ones when set, and unknown
/// ones when set, those as secrets.
///
/// # Errors
/// When a value is none that its config takes.
pub fn describe_broker(broker: &BrokerConfigs<'_>) -> Result<Vec<Entry>, ConfigError> {
    let mut names: BTreeSet<&str> =
        ConfigTable::BROKER.iter().filter(|def| !def.internal && !def.only_dynamic).map(|def| def.name).collect();
    for (_, layer) in broker.layers() {
        names.extend(layer.keys().map(|name| &**name));
    }
    names.into_iter().map(|name| broker_entry(name, broker)).collect()
}

/// What was set at run time for all brokers, as `DescribeConfigs` of the empty broker name answers.
#[must_use]
pub fn describe_broker_defaults(dynamic_cluster: &ConfigMap) -> Vec<Entry> {
    let entry_of = |(name, text): (&std::sync::Arc<str>, &std::sync::Arc<str>)| {
        let def = broker_kind(name);
        let sensitive = def.is_none_or(ConfigDef::is_sensitive);
        let value = (!sensitive).then(|| text.to_string());
        let synonym =
            EntrySynonym { name: name.to_string(), value: value.clone(), source: Source::DynamicDefaultBroker };
        broker_entry_of(name, def, value, vec![synonym])
    };
    dynamic_cluster.iter().map(entry_of).collect()
}

fn broker_entry(name: &str, broker: &BrokerConfigs<'_>) -> Result<Entry, ConfigError> {
    let def = broker_kind(name);
    let synonyms = broker_synonyms(name, broker);
    let value = match def {
        Some(def) if def.is_sensitive() => None,
        None => None,
        Some(def) => match effective_text(name, def, broker) {
            // What is not in the table under this name is shown as it was written.
            Some(text) if def.name == name => Some(def.parse(text)?.to_text()),
            Some(text) => Some(text.to_owned()),
            None => def.default_text().map(ToOwned::to_owned),
        },
    };
    Ok(broker_entry_of(name, def, value, synonyms))
}

/// The text that counts for a broker config. Where a stronger source sets one of its synonyms, what weaker sources say
/// about any of them is void: `log.retention.ms` set at run time takes `log.retention.hours` back to its default.
fn effective_text<'a>(name: &str, def: &ConfigDef, broker: &BrokerConfigs<'a>) -> Option<&'a str> {
    let sets_one = |layer: &&ConfigMap| {
        layer.contains_key(name) || def.synonyms.iter().any(|synonym| layer.contains_key(synonym.name))
    };
    let strongest = broker.layers().map(|(_, layer)| layer).into_iter().find(sets_one)?;
    strongest.get(name).map(|text| &**text)
}

fn broker_entry_of(
    name: &str,
    def: Option<&'static ConfigDef>,
    value: Option<String>,
    synonyms: Vec<EntrySynonym>,
) -> Entry {
    let own = ConfigTable::BROKER.get(name);
    Entry {
        name: name.to_owned(),
        value,
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        is_sensitive: def.is_none_or(ConfigDef::is_sensitive),
        read_only: own.is_none_or(|def| def.mode == super::UpdateMode::ReadOnly),
        kind_code: def.map_or(0, |def| def.kind.code()),
        synonyms,
        documentation: own.map_or("", |def| def.doc),
    }
}

/// A group's configs, by name, as `DescribeConfigs` answers.
///
/// # Errors
/// When a value is none that its config takes.
pub fn describe_group(group: &ConfigMap, broker: &BrokerConfigs<'_>) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::new();
    for def in ConfigTable::GROUP.iter() {
        let (value, _) = topic_value(def, group, broker)?;
        let value = value.map(|value| value.to_text());
        let mut synonyms = match def.synonyms.first() {
            Some(first) => broker_synonyms(first.name, broker),
            None => def
                .default_text()
                .map(|text| EntrySynonym {
                    name: def.name.to_owned(),
                    value: Some(text.to_owned()),
                    source: Source::Default,
                })
                .into_iter()
                .collect(),
        };
        if group.contains_key(def.name) {
            let own = EntrySynonym { name: def.name.to_owned(), value: value.clone(), source: Source::Group };
            synonyms.insert(0, own);
        }
        entries.push(entry(def, value, synonyms, false));
    }
    Ok(entries)
}

/// A client metrics subscription's configs, by name, as `DescribeConfigs` answers.
///
/// # Errors
/// When a value is none that its config takes.
pub fn describe_client_metrics(subscription: &ConfigMap) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::new();
    for def in ConfigTable::CLIENT_METRICS.iter() {
        let own = subscription.get(def.name).map(|text| def.parse(text)).transpose()?;
        let text = own.as_ref().map(Value::to_text);
        let synonym = text.as_ref().map(|text| EntrySynonym {
            name: def.name.to_owned(),
            value: Some(text.clone()),
            source: Source::ClientMetrics,
        });
        let value = text.or_else(|| def.default_text().map(ToOwned::to_owned));
        entries.push(entry(def, value, synonym.into_iter().collect(), false));
    }
    Ok(entries)
}

fn entry(def: &ConfigDef, value: Option<String>, synonyms: Vec<EntrySynonym>, read_only: bool) -> Entry {
    Entry {
        name: def.name.to_owned(),
        value: if def.is_sensitive() { None } else { value },
        source: synonyms.first().map_or(Source::Default, |synonym| synonym.source),
        is_sensitive: def.is_sensitive(),
        read_only,
        kind_code: def.kind.code(),
        synonyms,
        documentation: def.doc,
    }
}
