//! AlterConfigs and IncrementalAlterConfigs: dynamic configurations of topics, brokers, groups and client metrics.
//!
//! A broker looks at such a request first, since only it knows what it can change at run time
//! ([`preprocess`]); what it does not refuse goes to the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::NodeId;
use thalweg_metadata::config::{
    ConfigMap, ConfigTable, InvalidSubscription, Kind, validate_client_metrics, validate_group, validate_topic,
};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion, topic_name};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::incremental_alter_configs_request::AlterableConfig;
use thalweg_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ClearElrRecord, ConfigRecord, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use self::operation::Operation;
use self::request::Answer;
use crate::{Controller, Outcome, Refusal};

pub use preprocess::{LoggerChange, Preprocessed, Receiver, ReceiverRole, preprocess, refuse_configs};
pub use request::ConfigsRequest;

mod broker_rules;
mod operation;
mod preprocess;
mod request;

pub(crate) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

/// The longest value of a configuration: what Kafka's strings could once hold.
const VALUE_LENGTH_MAX: usize = i16::MAX as usize;

/// Whether what a change belongs to is there already, or comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Exists,
    IsNew,
}

/// New values of some configurations, by name; `None` deletes.
type Values = BTreeMap<Arc<str>, Option<Arc<str>>>;

impl Controller {
    /// Changes configurations one by one. Each resource succeeds or fails by itself; with `validate_only` nothing
    /// changes.
    pub fn incremental_alter_configs(
        &self,
        image: &MetadataImage,
        request: &IncrementalAlterConfigsRequest,
    ) -> Outcome<IncrementalAlterConfigsResponse> {
        self.each(request, |key, index| {
            let values = apply(image, key, &request.resources[index].configs)?;
            self.alter(image, key, values, &BTreeSet::new(), Owner::Exists)
        })
    }

    /// Replaces all configurations of resources: those that are not named are deleted. Each resource succeeds or fails
    /// by itself; with `validate_only` nothing changes.
    pub fn alter_configs(&self, image: &MetadataImage, request: &AlterConfigsRequest) -> Outcome<AlterConfigsResponse> {
        self.each(request, |key, index| {
            let named = request.resources[index].configs.iter();
            let values: Values = named.map(|c| (Arc::from(&*c.name), c.value.as_deref().map(Arc::from))).collect();
            let current = image.configs().get(key);
            let dropped = current.into_iter().flat_map(ConfigMap::keys).filter(|name| !values.contains_key(*name));
            let dropped = dropped.cloned().collect();
            let changes = |(name, value): &(Arc<str>, Option<Arc<str>>)| {
                let now = current.and_then(|configs| configs.get(name));
                key.kind == ConfigResourceType::Broker || now != value.as_ref()
            };
            let values = values.into_iter().filter(changes).collect();
            self.alter(image, key, values, &dropped, Owner::Exists)
        })
    }

    /// Decides about each resource by itself: `decide` gets its key and its place in the request.
    fn each<Q: ConfigsRequest>(
        &self,
        request: &Q,
        decide: impl Fn(&ConfigResource, usize) -> Result<Vec<MetadataRecord>, Refusal>,
    ) -> Outcome<Q::Answered> {
        let asked = request.asked();
        let mut batch = Batch::new(asked.iter().map(|resource| (resource.kind, resource.name)));
        let mut answers = Vec::new();
        for (index, resource) in asked.iter().enumerate() {
            let Some(checked) = batch.resource(resource.kind, resource.name) else { continue };
            let changed = checked.and_then(|key| decide(&key, index));
            let result = changed.map(|mut records| batch.records.append(&mut records));
            answers.push(Answer::new(resource.kind, resource.name.clone(), &result));
        }
        let records = if request.validate_only() { Vec::new() } else { batch.finish() };
        Outcome { records, response: Q::answered(answers) }
    }

    /// The records of the configurations that a new topic begins with.
    pub(crate) fn set_new_topic_configs(
        &self,
        image: &MetadataImage,
        topic: &str,
        configs: &ConfigMap,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        if configs.is_empty() {
            return Ok(Vec::new());
        }
        let values = configs.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        let mut records = self.alter(image, &ConfigResource::topic(topic), values, &BTreeSet::new(), Owner::IsNew)?;
        append_clear_elr(&mut records);
        Ok(records)
    }

    /// Checks what a resource would have and gives the records that make it so.
    fn alter(
        &self,
        image: &MetadataImage,
        resource: &ConfigResource,
        values: Values,
        dropped: &BTreeSet<Arc<str>>,
        owner: Owner,
    ) -> Result<Vec<MetadataRecord>, Refusal> {
        let existing = match owner {
            Owner::Exists => image.configs().get(resource).cloned().unwrap_or_default(),
            Owner::IsNew => ConfigMap::new(),
        };
        let mut all = existing.clone();
        let dropped = dropped.iter().map(|name| (name.clone(), None));
        let changes: Vec<(Arc<str>, Option<Arc<str>>)> = values.into_iter().chain(dropped).collect();
        for (name, value) in &changes {
            check_special(image, resource, name, value.as_deref())?;
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        self.check(image, resource, &existing, &all)?;
        if owner == Owner::Exists {
            check_existence(image, resource)?;
        }
        let record = |(name, value): (Arc<str>, Option<Arc<str>>)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: resource.kind.id(),
                resource_name: (&*resource.name).into(),
                name: (&*name).into(),
                value: value.map(|value| (&*value).into()),
            })
        };
        Ok(changes.into_iter().map(record).collect())
    }

    fn check(
        &self,
        image: &MetadataImage,
        resource: &ConfigResource,
        existing: &ConfigMap,
        all: &ConfigMap,
    ) -> Result<(), Refusal> {
        let invalid = |text: &str| Err(Refusal::because(ErrorCode::InvalidRequest, text));
        match resource.kind {
            ConfigResourceType::Topic if resource.name.is_empty() => {
                invalid("Default topic resources are not allowed.")
            }
            ConfigResourceType::Topic => {
                topic_name::validate(&resource.name)
                    .map_err(|error| Refusal::because(ErrorCode::InvalidTopicException, error.to_string()))?;
                let tiering = self.settings().remote_storage_enable;
                validate_topic(existing, all, &self.broker_configs(image), tiering)
                    .map_err(|error| Refusal::because(ErrorCode::InvalidConfig, error.message))
            }
            ConfigResourceType::Broker if resource.name.is_empty() => Ok(()),
            ConfigResourceType::Broker => match resource.name.parse::<i32>() {
                Ok(0..) => Ok(()),
                Ok(_) => invalid("Invalid negative broker ID."),
                Err(_) => invalid("Unable to parse broker name as a base 10 number."),
            },
            ConfigResourceType::Group if resource.name.is_empty() => {
                invalid("Default group resources are not allowed.")
            }
            ConfigResourceType::Group => validate_group(all, &self.broker_configs(image))
                .map_err(|error| Refusal::because(ErrorCode::InvalidConfig, error.message)),
            ConfigResourceType::ClientMetrics => check_client_metrics(&resource.name, all),
            ConfigResourceType::BrokerLogger => invalid("Unexpected resource type BROKER_LOGGER."),
        }
    }
}

/// The resources of one request, of which none may be named twice, and what comes of them.
struct Batch {
    twice: BTreeSet<(i8, ByteString)>,
    answered: BTreeSet<(i8, ByteString)>,
    records: Vec<MetadataRecord>,
}

impl Batch {
    fn new<'a>(keys: impl Iterator<Item = (i8, &'a ByteString)>) -> Self {
        let mut seen = BTreeSet::new();
        let twice = keys.filter(|key| !seen.insert(*key)).map(|(kind, name)| (kind, name.clone())).collect();
        Self { twice, answered: BTreeSet::new(), records: Vec::new() }
    }

    /// The resource, or why there is none; `None` if the same resource has been answered already.
    fn resource(&mut self, kind: i8, name: &ByteString) -> Option<Result<ConfigResource, Refusal>> {
        let key = (kind, name.clone());
        if self.twice.contains(&key) {
            let duplicate = Refusal::because(ErrorCode::InvalidRequest, "Duplicate resource.");
            return self.answered.insert(key).then_some(Err(duplicate));
        }
        Some(match ConfigResourceType::from_id(kind) {
            Some(kind) => Ok(ConfigResource { kind, name: Arc::from(&**name) }),
            None => {
                let text = format!("Unknown resource type {kind}.");
                Err(Refusal::because(ErrorCode::UnsupportedVersion, text))
            }
        })
    }

    fn finish(mut self) -> Vec<MetadataRecord> {
        append_clear_elr(&mut self.records);
        self.records
    }
}

/// The values after an incremental request's operations, as far as they change something. Brokers get a record even for
/// a value that they have, so that they load it again (KAFKA-14136).
fn apply(image: &MetadataImage, resource: &ConfigResource, configs: &[AlterableConfig]) -> Result<Values, Refusal> {
    let mut values = Values::new();
    for config in configs {
        let (name, given) = (&*config.name, config.value.as_deref());
        // Brokers say more about it before they ask the controller.
        let operation =
            Operation::from_id(config.config_operation).ok_or_else(|| Refusal::bare(ErrorCode::UnknownServerError))?;
        let current = image.configs().value(resource, name).map(|value| &**value);
        let new = match operation {
            Operation::Set => given.map(Arc::from),
            Operation::Delete => None,
            Operation::Append | Operation::Subtract => {
                let edited = edit_list(resource.kind, name, operation, current, given.unwrap_or_default())?;
                Some(Arc::from(edited))
            }
        };
        values.insert(Arc::from(name), new);
    }
    values.retain(|name, value| {
        resource.kind == ConfigResourceType::Broker || image.configs().value(resource, name) != value.as_ref()
    });
    Ok(values)
}

fn edit_list(
    kind: ConfigResourceType,
    name: &str,
    operation: Operation,
    current: Option<&str>,
    given: &str,
) -> Result<String, Refusal> {
    let def = table(kind).and_then(|table| table.get(name)).filter(|def| def.kind == Kind::List);
    let Some(def) = def else {
        let text = format!("Can't {} to key {name} because its type is not LIST.", operation.name());
        return Err(Refusal::because(ErrorCode::InvalidConfig, text));
    };
    let current = current.or_else(|| def.default_text()).unwrap_or_default();
    let mut items: Vec<&str> = current.split(',').filter(|item| !item.is_empty()).collect();
    for item in given.split(',') {
        let position = items.iter().position(|present| *present == item);
        match (operation, position) {
            (Operation::Append, None) => items.push(item),
            (Operation::Subtract, Some(index)) => {
                items.remove(index);
            }
            _ => {}
        }
    }
    Ok(items.join(","))
}

fn table(kind: ConfigResourceType) -> Option<ConfigTable> {
    match kind {
        ConfigResourceType::Topic => Some(ConfigTable::TOPIC),
        ConfigResourceType::Broker => Some(ConfigTable::BROKER),
        ConfigResourceType::Group => Some(ConfigTable::GROUP),
        ConfigResourceType::ClientMetrics => Some(ConfigTable::CLIENT_METRICS),
        ConfigResourceType::BrokerLogger => None,
    }
}

fn check_client_metrics(name: &str, all: &ConfigMap) -> Result<(), Refusal> {
    validate_client_metrics(name, all).map_err(|error| {
        let code = match &error {
            InvalidSubscription::Request(_) => ErrorCode::InvalidRequest,
            InvalidSubscription::Config(_) => ErrorCode::InvalidConfig,
        };
        Refusal::because(code, error.to_string())
    })
}

/// What holds for single configurations whatever their values are otherwise.
fn check_special(
    image: &MetadataImage,
    resource: &ConfigResource,
    name: &str,
    value: Option<&str>,
) -> Result<(), Refusal> {
    let invalid = |text: &str| Err(Refusal::because(ErrorCode::InvalidConfig, text));
    let broker = resource.kind == ConfigResourceType::Broker;
    if broker && name == MIN_INSYNC_REPLICAS && image.features().elr_enabled() {
        if !resource.name.is_empty() {
            return invalid("Broker-level min.insync.replicas cannot be altered while ELR is enabled.");
        }
        if value.is_none() {
            return invalid("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.");
        }
    }
    if broker && name == CORDONED_LOG_DIRS && image.metadata_version() < MetadataVersion::CORDONED_DIRECTORIES {
        return invalid(
            "The cordoned.log.dirs configuration value cannot be set because it requires metadata.version >= 4.3-IV0",
        );
    }
    if value.is_some_and(|value| value.encode_utf16().count() > VALUE_LENGTH_MAX) {
        return invalid(
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        );
    }
    Ok(())
}

fn check_existence(image: &MetadataImage, resource: &ConfigResource) -> Result<(), Refusal> {
    match resource.kind {
        ConfigResourceType::Topic if image.topics().by_name(&resource.name).is_none() => {
            let text = format!("The topic '{}' does not exist.", resource.name);
            Err(Refusal::because(ErrorCode::UnknownTopicOrPartition, text))
        }
        ConfigResourceType::Broker if !resource.name.is_empty() => {
            let id = resource.name.parse().map(NodeId).unwrap_or(NodeId::NONE);
            if image.cluster().broker(id).is_some() || image.cluster().controller(id).is_some() {
                return Ok(());
            }
            let text = format!("No node with id {id} found.");
            Err(Refusal::because(ErrorCode::BrokerIdNotRegistered, text))
        }
        _ => Ok(()),
    }
}

/// Whoever is an eligible leader replica is so under a certain `min.insync.replicas`: when that changes, nobody is.
fn append_clear_elr(records: &mut Vec<MetadataRecord>) {
    let mut cleared = Vec::new();
    for record in records.iter() {
        let MetadataRecord::Config(config) = record else { continue };
        if &*config.name == MIN_INSYNC_REPLICAS {
            let topic = config.resource_type == ConfigResourceType::Topic.id();
            let topic_name = if topic { config.resource_name.clone() } else { ByteString::new() };
            cleared.push(ClearElrRecord { topic_name }.into());
        }
    }
    records.append(&mut cleared);
}

#[cfg(test)]
mod tests;
