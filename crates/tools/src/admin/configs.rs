//! Configs of topics, brokers, groups and client metrics.

use thalweg_wire::messages::describe_configs_request::DescribeConfigsResource;
use thalweg_wire::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsSynonym};
use thalweg_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use thalweg_wire::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest};

use super::{Admin, check};
use crate::java;
use crate::thrown::Thrown;

/// The kinds of resources that have configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ResourceKind {
    /// A topic.
    Topic = 2,
    /// A broker, or with an empty name the defaults of all.
    Broker = 4,
    /// The loggers of a broker.
    BrokerLogger = 8,
    /// A subscription to the metrics of clients (KIP-714).
    ClientMetrics = 16,
    /// A group (KIP-1043).
    Group = 32,
}

/// Whose configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
}

/// Where a value may come from as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name there.
    pub name: String,
    /// The value there.
    pub value: Option<String>,
    /// Which place it is.
    pub source: i8,
}

/// One config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` if it has none or must not be shown.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: i8,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// Whether it can be changed only in the file.
    pub is_read_only: bool,
    /// All places that say something, the one that counts first.
    pub synonyms: Vec<Synonym>,
}

impl ConfigEntry {
    /// `DEFAULT_CONFIG`: nobody has set it.
    const DEFAULT: i8 = 5;

    /// Whether nobody has set it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == Self::DEFAULT
    }
}

/// Kafka's name for a source of values.
#[must_use]
pub fn source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

impl Admin {
    /// The configs of each resource, in the order of the resources; those of one in the order of Kafka's hash map.
    ///
    /// # Errors
    /// When a node does not answer, or the configs of one resource cannot be described.
    pub async fn describe_configs(
        &self,
        resources: &[Resource],
        with_synonyms: WithSynonyms,
    ) -> Result<Vec<Result<Vec<ConfigEntry>, Thrown>>, Thrown> {
        let mut found = Vec::new();
        // Configs of one broker and its loggers are known to that broker only.
        let (at_node, anywhere): (Vec<&Resource>, Vec<&Resource>) =
            resources.iter().partition(|r| node_of(r).is_some());
        for resource in at_node {
            found.push((resource, self.describe_at(node_of(resource), &[resource], with_synonyms).await?.remove(0)));
        }
        if !anywhere.is_empty() {
            let results = self.describe_at(None, &anywhere, with_synonyms).await?;
            found.extend(anywhere.into_iter().zip(results));
        }
        let mut ordered = Vec::new();
        for resource in resources {
            let at = found.iter().position(|(other, _)| *other == resource).unwrap_or(0);
            ordered.push(found.swap_remove(at).1);
        }
        Ok(ordered)
    }

    async fn describe_at(
        &self,
        node: Option<i32>,
        resources: &[&Resource],
        with_synonyms: WithSynonyms,
    ) -> Result<Vec<Result<Vec<ConfigEntry>, Thrown>>, Thrown> {
        let request = DescribeConfigsRequest {
            resources: resources
                .iter()
                .map(|resource| DescribeConfigsResource {
                    resource_type: resource.kind as i8,
                    resource_name: resource.name.as_str().into(),
                    configuration_keys: None,
                })
                .collect(),
            include_synonyms: with_synonyms == WithSynonyms::Yes,
            ..DescribeConfigsRequest::default()
        };
        let response = match node {
            Some(node) => self.node("describeBrokerConfigs", node, &request).await?,
            None => self.broker_or_active_controller("describeConfigs", &request).await?,
        };
        let result = |resource: &&Resource| {
            let result = response
                .results
                .iter()
                .find(|result| result.resource_type == resource.kind as i8 && *result.resource_name == *resource.name);
            match result {
                Some(result) => {
                    let checked = check(result.error_code, result.error_message.as_deref());
                    checked.map(|()| {
                        let entries = result.configs.iter().map(entry).collect();
                        java::hash_order(entries, 16, |entry: &ConfigEntry| java::string_hash(&entry.name))
                    })
                }
                None => Ok(Vec::new()),
            }
        };
        Ok(resources.iter().map(result).collect())
    }
}

/// A change of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfig {
    /// Its name.
    pub name: String,
    /// What it is set to; `None` removes it.
    pub value: Option<String>,
}

impl Admin {
    /// Changes configs of a resource.
    ///
    /// # Errors
    /// When no node answers, or the change is refused.
    pub async fn alter_configs(&self, resource: &Resource, changes: &[AlterConfig]) -> Result<(), Thrown> {
        let config = |change: &AlterConfig| AlterableConfig {
            name: change.name.as_str().into(),
            config_operation: i8::from(change.value.is_none()),
            value: Some(change.value.as_deref().unwrap_or_default().into()),
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.kind as i8,
                resource_name: resource.name.as_str().into(),
                configs: changes.iter().map(config).collect(),
            }],
            validate_only: false,
        };
        let response = match node_of(resource) {
            Some(node) => self.node("incrementalAlterConfigs", node, &request).await?,
            None => self.broker_or_active_controller("incrementalAlterConfigs", &request).await?,
        };
        response.responses.iter().try_for_each(|result| check(result.error_code, result.error_message.as_deref()))
    }

    /// The names of the resources of a kind that have configs.
    ///
    /// # Errors
    /// When no node answers, or the list is refused.
    pub async fn list_config_resources(&self, kind: ResourceKind) -> Result<Vec<String>, Thrown> {
        let request = ListConfigResourcesRequest { resource_types: vec![kind as i8] };
        let response = self.any("listConfigResources", &request).await?;
        check(response.error_code, None)?;
        let resources = response.config_resources.iter().filter(|resource| resource.resource_type == kind as i8);
        Ok(resources.map(|resource| resource.resource_name.to_string()).collect())
    }
}

/// Whether the places that a value may come from are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithSynonyms {
    /// They are.
    Yes,
    /// They are not.
    No,
}

fn node_of(resource: &Resource) -> Option<i32> {
    matches!(resource.kind, ResourceKind::Broker | ResourceKind::BrokerLogger).then(|| resource.name.parse().ok())?
}

fn entry(config: &DescribeConfigsResourceResult) -> ConfigEntry {
    let synonym = |synonym: &DescribeConfigsSynonym| Synonym {
        name: synonym.name.to_string(),
        value: synonym.value.as_ref().map(ToString::to_string),
        source: synonym.source,
    };
    ConfigEntry {
        name: config.name.to_string(),
        value: config.value.as_ref().map(ToString::to_string),
        source: config.config_source,
        is_sensitive: config.is_sensitive,
        is_read_only: config.read_only,
        synonyms: config.synonyms.iter().map(synonym).collect(),
    }
}
