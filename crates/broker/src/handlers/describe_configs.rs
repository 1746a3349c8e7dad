//! DescribeConfigs: every config of a topic or broker, its value, and who has set it (KIP-226).

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_metadata::config::{
    BrokerConfigs, ConfigError, ConfigMap, Entry, Source, describe_broker, describe_broker_defaults,
    describe_client_metrics, describe_group, describe_topic,
};
use thalweg_metadata::image::{ConfigResource, ConfigResourceType};
use thalweg_metadata::{MetadataImage, topic_name};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeConfigsRequest;
use thalweg_wire::messages::describe_configs_request::DescribeConfigsResource;
use thalweg_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use crate::call::Call;

/// An error code and the message that goes with it.
type Refused = (ErrorCode, String);

pub(crate) fn handle(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = call.broker.image();
    let view =
        View { call, image: &image, synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.iter().map(|resource| view.result(resource)).collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

/// The configs as one request sees them.
struct View<'a> {
    call: &'a Call,
    image: &'a MetadataImage,
    synonyms: bool,
    documentation: bool,
}

impl View<'_> {
    fn result(&self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            error_message: None,
            ..DescribeConfigsResult::default()
        };
        match self.entries(resource) {
            Ok(entries) => {
                let wanted: Option<BTreeSet<&ByteString>> = resource
                    .configuration_keys
                    .as_ref()
                    .filter(|keys| !keys.is_empty())
                    .map(|keys| keys.iter().collect());
                let is_wanted =
                    |entry: &Entry| wanted.as_ref().is_none_or(|keys| keys.iter().any(|key| ***key == *entry.name));
                result.configs = entries.into_iter().filter(is_wanted).map(|entry| self.shown(entry)).collect();
                result.error_message = Some(ByteString::from_static(""));
            }
            Err((error, message)) => {
                result.error_code = error.code();
                result.error_message = Some(message.into());
            }
        }
        result
    }

    fn entries(&self, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, Refused> {
        let none = ConfigMap::new();
        let configs = self.image.configs();
        let of = |kind, name: &str| configs.get(&ConfigResource { kind, name: name.into() }).unwrap_or(&none);
        let node = self.call.broker.config.node_id;
        let broker = BrokerConfigs {
            dynamic_node: of(ConfigResourceType::Broker, &node.to_string()),
            dynamic_cluster: of(ConfigResourceType::Broker, ""),
            static_node: &self.call.broker.properties.get(),
        };
        let name = &resource.resource_name;
        match ConfigResourceType::from_id(resource.resource_type) {
            Some(ConfigResourceType::Topic) => {
                topic_name::validate(name).map_err(|e| (ErrorCode::InvalidTopicException, e.to_string()))?;
                if self.image.topics().by_name(name).is_none() {
                    // Kafka says nothing more about it.
                    return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
                }
                describe_topic(of(ConfigResourceType::Topic, name), &broker).map_err(stored)
            }
            Some(ConfigResourceType::Broker) if name.is_empty() => Ok(describe_broker_defaults(broker.dynamic_cluster)),
            Some(ConfigResourceType::Broker) => match name.parse::<i32>() {
                Ok(id) if id == node.0 => describe_broker(&broker).map_err(stored),
                Ok(_) => {
                    let text = format!("Unexpected broker id, expected {node} or empty string, but received {name}");
                    Err((ErrorCode::InvalidRequest, text))
                }
                Err(_) => {
                    let text = format!("Broker id must be an integer, but it is: {name}");
                    Err((ErrorCode::InvalidRequest, text))
                }
            },
            Some(ConfigResourceType::Group) if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "Group name must not be empty".to_owned()))
            }
            Some(ConfigResourceType::Group) => {
                describe_group(of(ConfigResourceType::Group, name), &broker).map_err(stored)
            }
            Some(ConfigResourceType::ClientMetrics) if name.is_empty() => {
                Err((ErrorCode::InvalidRequest, "Client metrics subscription name must not be empty".to_owned()))
            }
            Some(ConfigResourceType::ClientMetrics) => {
                describe_client_metrics(of(ConfigResourceType::ClientMetrics, name)).map_err(stored)
            }
            Some(ConfigResourceType::BrokerLogger) => self.loggers(node.0, name),
            // Kafka says nothing of its own about a type that it does not know.
            None => Err((ErrorCode::InvalidRequest, ErrorCode::InvalidRequest.message().to_owned())),
        }
    }

    fn loggers(&self, node: i32, name: &str) -> Result<Vec<Entry>, Refused> {
        let invalid = |text: String| Err((ErrorCode::InvalidRequest, text));
        match name.parse::<i32>() {
            _ if name.is_empty() => return invalid("Broker id must not be empty".to_owned()),
            Ok(id) if id == node => {}
            Ok(_) => return invalid(format!("Unexpected broker id, expected {node} but received {name}")),
            Err(_) => return invalid(format!("Broker id must be an integer, but it is: {name}")),
        }
        let entry = |(name, level): (String, String)| Entry {
            name,
            value: Some(level),
            source: Source::BrokerLogger,
            is_sensitive: false,
            read_only: false,
            kind_code: 0,
            synonyms: Vec::new(),
            documentation: "",
        };
        Ok(self.call.broker.loggers.levels().into_iter().map(entry).collect())
    }

    fn shown(&self, entry: Entry) -> DescribeConfigsResourceResult {
        let synonyms = entry.synonyms.into_iter().filter(|_| self.synonyms).map(|synonym| DescribeConfigsSynonym {
            name: synonym.name.into(),
            value: synonym.value.map(Into::into),
            source: synonym.source.code(),
        });
        DescribeConfigsResourceResult {
            name: entry.name.into(),
            value: entry.value.map(Into::into),
            read_only: entry.read_only,
            config_source: entry.source.code(),
            is_sensitive: entry.is_sensitive,
            synonyms: synonyms.collect(),
            config_type: entry.kind_code,
            documentation: (self.documentation && entry.source != Source::BrokerLogger)
                .then(|| ByteString::from_static(entry.documentation)),
        }
    }
}

fn stored(error: ConfigError) -> Refused {
    (ErrorCode::InvalidConfig, error.message)
}
