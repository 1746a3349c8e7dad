//! The dynamic configurations, as they stand in the metadata log: text by name, neither checked nor completed.

use std::sync::Arc;

use imbl::OrdMap;
use thalweg_wire::messages::ConfigRecord;

use crate::MetadataRecord;

/// What a dynamic configuration belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ConfigResourceType {
    /// A topic.
    Topic = 2,
    /// A broker, or every broker when the name is empty.
    Broker = 4,
    /// The loggers of a broker: never in the metadata log.
    BrokerLogger = 8,
    /// A subscription to client metrics (KIP-714).
    ClientMetrics = 16,
    /// A group.
    Group = 32,
}

impl ConfigResourceType {
    /// The number that stands for it in records and requests.
    #[must_use]
    pub const fn id(self) -> i8 {
        self as i8
    }

    /// The type of that number.
    #[must_use]
    pub const fn from_id(id: i8) -> Option<Self> {
        Some(match id {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            _ => return None,
        })
    }

    /// Kafka's name for it, as messages print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
        }
    }
}

/// One thing that has dynamic configurations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What kind of thing.
    pub kind: ConfigResourceType,
    /// Its name. For brokers the id in digits, or the empty string for all of them.
    pub name: Arc<str>,
}

impl ConfigResource {
    /// The topic of that name.
    pub fn topic(name: impl Into<Arc<str>>) -> Self {
        Self { kind: ConfigResourceType::Topic, name: name.into() }
    }

    /// The default of all brokers: what they have unless their own configuration says otherwise.
    #[must_use]
    pub fn cluster() -> Self {
        Self { kind: ConfigResourceType::Broker, name: "".into() }
    }
}

/// The configurations of one resource.
pub type Configs = OrdMap<Arc<str>, Arc<str>>;

/// Every dynamic configuration.
///
/// Invariant: no resource is there without a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigsImage {
    resources: OrdMap<ConfigResource, Configs>,
}

impl ConfigsImage {
    /// The configurations of a resource, if it has any.
    #[must_use]
    pub fn get(&self, resource: &ConfigResource) -> Option<&Configs> {
        self.resources.get(resource)
    }

    /// One configuration of a resource.
    #[must_use]
    pub fn value(&self, resource: &ConfigResource, name: &str) -> Option<&Arc<str>> {
        self.get(resource)?.get(name)
    }

    /// One configuration of a topic.
    #[must_use]
    pub fn topic(&self, topic: &str, name: &str) -> Option<&Arc<str>> {
        self.value(&ConfigResource::topic(topic), name)
    }

    /// Every resource with its configurations, ordered by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &Configs)> {
        self.resources.iter()
    }

    pub(crate) fn map(&self) -> &OrdMap<ConfigResource, Configs> {
        &self.resources
    }

    pub(super) fn replay(&mut self, record: &ConfigRecord) {
        // No Kafka has ever written another type: such a record means nothing.
        let Some(kind) = ConfigResourceType::from_id(record.resource_type) else { return };
        let resource = ConfigResource { kind, name: Arc::from(&*record.resource_name) };
        let mut configs = self.resources.get(&resource).cloned().unwrap_or_default();
        match &record.value {
            Some(value) => configs.insert(Arc::from(&*record.name), Arc::from(&**value)),
            None => configs.remove(&*record.name),
        };
        if configs.is_empty() {
            self.resources.remove(&resource);
        } else {
            self.resources.insert(resource, configs);
        }
    }

    pub(super) fn remove_topic(&mut self, name: Arc<str>) {
        self.resources.remove(&ConfigResource::topic(name));
    }

    pub(super) fn write(&self, out: &mut Vec<MetadataRecord>) {
        for (resource, configs) in &self.resources {
            for (name, value) in configs {
                let record = ConfigRecord {
                    resource_type: resource.kind.id(),
                    resource_name: (&*resource.name).into(),
                    name: (&**name).into(),
                    value: Some((&**value).into()),
                };
                out.push(record.into());
            }
        }
    }
}
