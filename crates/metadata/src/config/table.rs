//! The table of configs, compiled in from `tables/*.tbl`.

use super::ConfigError;
use super::kind::Kind;
use super::validate::{self, Bound, Validator};
use super::value::Value;

/// How much a config matters to most users, as Kafka ranks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Often set.
    High,
    /// Sometimes set.
    Medium,
    /// Rarely set.
    Low,
}

/// The value of a config that nobody set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// There is none: somebody must set it.
    Required,
    /// The absence of a value is a value.
    Null,
    /// This text.
    Value(&'static str),
}

/// Whether and where a broker config can be changed at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only by a restart.
    ReadOnly,
    /// For one node at a time.
    PerBroker,
    /// For one node, or for all at once.
    ClusterWide,
}

/// How the number of a synonym becomes that of the config: `log.retention.hours` counts in other units than
/// `retention.ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As it stands.
    Same,
    /// Minutes to milliseconds.
    Minutes,
    /// Hours to milliseconds.
    Hours,
}

/// A broker config that gives another config its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Its name.
    pub name: &'static str,
    /// What its number counts.
    pub unit: Unit,
}

/// All that is known of one config.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfigDef {
    /// Kafka's name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Kind,
    /// Kafka's rank.
    pub importance: Importance,
    /// Whether Kafka keeps it for itself: taken when set, never shown unless set.
    pub internal: bool,
    /// The value when nobody sets one.
    pub default: DefaultValue,
    /// Which values it takes.
    pub validator: Validator,
    /// How it changes at run time; only broker configs have a meaningful one.
    pub mode: UpdateMode,
    /// Whether it can only be set at run time and not in the properties file: the replication throttles.
    pub only_dynamic: bool,
    /// The broker configs behind it, the first one set counts. For a broker config that has synonyms, itself included.
    pub synonyms: &'static [Synonym],
    /// What it does, in one sentence of ours; empty where none is written yet.
    pub doc: &'static str,
}

impl ConfigDef {
    /// Whether its value is never shown.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Reads and checks a value that somebody set.
    ///
    /// # Errors
    /// Kafka's message, when the text is not of the type, or not among the values that the config takes.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let value = validate::without_repeats(self.validator, Value::parse(self.name, self.kind, text)?);
        validate::check(self.name, self.validator, &value)?;
        Ok(value)
    }

    /// The default, as a text; `None` when there is none or it is the absence of a value.
    #[must_use]
    pub fn default_text(&self) -> Option<&'static str> {
        match self.default {
            DefaultValue::Value(text) => Some(text),
            DefaultValue::Required | DefaultValue::Null => None,
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/config_tables.rs"));

/// The configs of one scope.
#[derive(Clone, Copy, Debug)]
pub struct ConfigTable {
    defs: &'static [ConfigDef],
}

impl ConfigTable {
    /// What topics have.
    pub const TOPIC: Self = Self { defs: TOPIC };
    /// What brokers and controllers have.
    pub const BROKER: Self = Self { defs: BROKER };
    /// What groups have.
    pub const GROUP: Self = Self { defs: GROUP };
    /// What client metrics subscriptions have.
    pub const CLIENT_METRICS: Self = Self { defs: CLIENT_METRICS };

    /// The config of this name.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'static ConfigDef> {
        let at = self.defs.binary_search_by(|def| def.name.cmp(name)).ok()?;
        Some(&self.defs[at])
    }

    /// All of them, by name.
    pub fn iter(self) -> impl Iterator<Item = &'static ConfigDef> {
        self.defs.iter()
    }
}
