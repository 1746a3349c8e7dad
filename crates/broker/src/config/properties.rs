//! A properties file's entries, checked against the config table and read by type.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_metadata::config::{ConfigMap, ConfigTable, DefaultValue, Value};

use super::{Refused, providers};

/// The properties of one node: what was written, and the values of all known keys.
///
/// Every key of the table can be asked for by its type: asking by another type is a bug.
pub(super) struct Properties {
    texts: ConfigMap,
    values: BTreeMap<&'static str, Value>,
}

impl Properties {
    pub(super) fn read<'a>(entries: impl Iterator<Item = &'a (String, String)>) -> Result<Self, Refused> {
        let mut texts: ConfigMap =
            entries.map(|(name, text)| (Arc::from(name.as_str()), Arc::from(text.as_str()))).collect();
        // The old name of `node.id`: each stands for the other.
        for (name, other) in [("broker.id", "node.id"), ("node.id", "broker.id")] {
            if let (None, Some(text)) = (texts.get(name), texts.get(other)) {
                let text = Arc::clone(text);
                texts.insert(Arc::from(name), text);
            }
        }
        providers::resolve(&mut texts, |name| std::env::var(name).ok())?;
        // In the order in which Kafka looks at them.
        for name in ["process.roles", "node.id", "controller.listener.names"] {
            let Some(text) = texts.get(name) else {
                let message = format!("Missing required configuration \"{name}\" which has no default value.");
                return Err(Refused::config(message));
            };
            ConfigTable::BROKER.get(name).map(|def| def.parse(text)).transpose()?;
        }
        let mut values = BTreeMap::new();
        for def in ConfigTable::BROKER.iter().filter(|def| !def.only_dynamic) {
            let text = match (texts.get(def.name), def.default) {
                (Some(text), _) => text,
                (None, DefaultValue::Value(text)) => text,
                (None, _) => continue,
            };
            values.insert(def.name, def.parse(text)?);
        }
        Ok(Self { texts, values })
    }

    pub(super) fn texts(&self) -> &ConfigMap {
        &self.texts
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.texts.contains_key(name)
    }

    /// The value, `None` when nobody set one and the default is none.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        assert!(ConfigTable::BROKER.get(name).is_some(), "{name} is a broker config");
        self.values.get(name)
    }

    pub(super) fn int(&self, name: &str) -> i32 {
        match self.value(name) {
            Some(Value::Int(n)) => *n,
            Some(Value::Short(n)) => i32::from(*n),
            other => unreachable!("{name} is {other:?} and no int"),
        }
    }

    pub(super) fn optional_int(&self, name: &str) -> Option<i32> {
        self.value(name)?;
        Some(self.int(name))
    }

    pub(super) fn long(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Long(n)) => *n,
            other => unreachable!("{name} is {other:?} and no long"),
        }
    }

    pub(super) fn boolean(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Boolean(truth)) => *truth,
            other => unreachable!("{name} is {other:?} and no boolean"),
        }
    }

    pub(super) fn string(&self, name: &str) -> String {
        self.optional_string(name).unwrap_or_default()
    }

    pub(super) fn optional_string(&self, name: &str) -> Option<String> {
        Some(self.value(name)?.to_text())
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.optional_list(name).unwrap_or_default()
    }

    pub(super) fn optional_list(&self, name: &str) -> Option<Vec<String>> {
        match self.value(name)? {
            Value::List(elements) => Some(elements.clone()),
            other => unreachable!("{name} is {other:?} and no list"),
        }
    }
}
