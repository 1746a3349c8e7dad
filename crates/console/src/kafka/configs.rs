//! Configs of topics and brokers.

use std::collections::BTreeMap;

use thalweg_base::NodeId;
use thalweg_client::Destination;
use thalweg_wire::messages::DescribeConfigsRequest;
use thalweg_wire::messages::describe_configs_request::DescribeConfigsResource;
use thalweg_wire::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};

use super::{Kafka, Snapshot};
use crate::trouble::Trouble;

/// So many topics are asked for at once.
const TOPICS_MAX: usize = 500;

/// Whose configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigScope<'a> {
    Topic(&'a str),
    Broker(i32),
}

/// A config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) name: String,
    /// `None` of one that is sensitive, or not set.
    pub(crate) value: Option<String>,
    /// Where the value comes from, by Kafka's number.
    pub(crate) source: i8,
    pub(crate) is_sensitive: bool,
    pub(crate) is_read_only: bool,
    /// What it does, where the broker says so.
    pub(crate) documentation: Option<String>,
    /// The default, where the broker says so.
    pub(crate) default: Option<String>,
    /// The values that hold one after the other, each once those before it are removed, with their sources by Kafka's number.
    synonyms: Vec<(i8, Option<String>)>,
}

impl Config {
    const DYNAMIC_TOPIC: i8 = 1;
    const STATIC_BROKER: i8 = 4;
    const DEFAULT: i8 = 5;

    /// Where the value comes from.
    pub(crate) fn source_name(&self) -> &'static str {
        match self.source {
            Self::DYNAMIC_TOPIC => "topic",
            2 => "this broker, dynamic",
            3 => "all brokers, dynamic",
            Self::STATIC_BROKER => "server.properties",
            Self::DEFAULT => "default",
            6 => "logger of a broker",
            7 => "client metrics",
            8 => "group",
            _ => "unknown",
        }
    }

    /// Whether somebody has set it for this topic, or for brokers while they ran: what Kafdrop shows.
    pub(crate) fn is_set(&self) -> bool {
        !matches!(self.source, Self::STATIC_BROKER | Self::DEFAULT)
    }

    /// The value that holds once the topic's own is removed.
    pub(crate) fn inherited(&self) -> Option<&str> {
        let inherited = self.synonyms.iter().find(|(source, _)| *source != Self::DYNAMIC_TOPIC);
        inherited.and_then(|(_, value)| value.as_deref())
    }

    fn of(answer: DescribeConfigsResourceResult) -> Self {
        let default = answer.synonyms.iter().find(|synonym| synonym.source == Self::DEFAULT);
        Self {
            default: default.and_then(|synonym| synonym.value.as_deref()).map(str::to_owned),
            synonyms: answer
                .synonyms
                .iter()
                .map(|synonym| (synonym.source, synonym.value.as_deref().map(str::to_owned)))
                .collect(),
            name: answer.name.to_string(),
            value: answer.value.map(|value| value.to_string()),
            source: answer.config_source,
            is_sensitive: answer.is_sensitive,
            is_read_only: answer.read_only,
            documentation: answer.documentation.map(|text| text.to_string()).filter(|text| !text.is_empty()),
        }
    }
}

impl ConfigScope<'_> {
    /// Kafka's number of topics among resources.
    pub(super) const TOPIC: i8 = 2;
    const BROKER: i8 = 4;

    fn resource(self) -> DescribeConfigsResource {
        let (resource_type, name) = match self {
            Self::Topic(name) => (Self::TOPIC, name.to_owned()),
            Self::Broker(id) => (Self::BROKER, id.to_string()),
        };
        DescribeConfigsResource { resource_type, resource_name: name.into(), configuration_keys: None }
    }
}

impl Kafka {
    /// The configs of one topic or broker, with what they do, by name.
    pub(crate) async fn configs(&self, scope: ConfigScope<'_>) -> Result<Vec<Config>, Trouble> {
        let to = match scope {
            ConfigScope::Topic(_) => Destination::Any,
            ConfigScope::Broker(id) => Destination::Node(NodeId(id)),
        };
        let request = DescribeConfigsRequest {
            resources: vec![scope.resource()],
            include_synonyms: true,
            include_documentation: true,
        };
        let result = self.ask(to, &request).await?.results.into_iter().next();
        let result = result.ok_or_else(|| Trouble::NotFound("the broker describes no configs".to_owned()))?;
        checked(&result)?;
        let mut configs: Vec<Config> = result.configs.into_iter().map(Config::of).collect();
        configs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(configs)
    }

    /// What has been set of each topic, by name.
    pub(crate) async fn configs_of_topics(
        &self,
        snapshot: &Snapshot,
    ) -> Result<BTreeMap<String, BTreeMap<String, Option<String>>>, Trouble> {
        let mut found = BTreeMap::new();
        let names: Vec<&str> = snapshot.topics.keys().map(|name| &**name).collect();
        for names in names.chunks(TOPICS_MAX) {
            let resources = names.iter().map(|name| ConfigScope::Topic(name).resource()).collect();
            let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
            for result in self.ask(Destination::Any, &request).await?.results {
                // A topic may have been deleted in between, or its configs be hidden from this client.
                if checked(&result).is_err() {
                    continue;
                }
                let configs = result.configs.into_iter().map(Config::of).filter(Config::is_set);
                let values = configs.map(|config| (config.name, config.value)).collect();
                found.insert(result.resource_name.to_string(), values);
            }
        }
        Ok(found)
    }
}

fn checked(result: &DescribeConfigsResult) -> Result<(), Trouble> {
    Trouble::check(format!("configs of {}", result.resource_name), result.error_code, result.error_message.as_deref())
}
