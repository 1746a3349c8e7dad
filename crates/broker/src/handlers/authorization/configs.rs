//! The APIs that change configurations.

use std::sync::Arc;

use thalweg_access::acl::{Operation, Resource};
use thalweg_metadata::image::ConfigResourceType;
use thalweg_network::ListenerType;
use thalweg_wire::ApiKey;
use thalweg_wire::messages as m;

use super::{Gate, Guarded, Restricted, refusal};

/// The resource of which a client needs rights for a configuration; none for a type that Kafka does not know.
pub(super) fn resource(resource_type: i8, name: &str) -> Option<Resource<'_>> {
    Some(match ConfigResourceType::from_id(resource_type)? {
        ConfigResourceType::Topic => Resource::topic(name),
        ConfigResourceType::Group => Resource::group(name),
        ConfigResourceType::Broker | ConfigResourceType::BrokerLogger | ConfigResourceType::ClientMetrics => {
            Resource::CLUSTER
        }
    })
}

/// Whether a client may change a configuration. The handler refuses types that Kafka does not know, and loggers where only
/// IncrementalAlterConfigs changes them.
fn may_alter(gate: &Gate, resource_type: i8, name: &str) -> bool {
    let of_logger = ConfigResourceType::from_id(resource_type) == Some(ConfigResourceType::BrokerLogger);
    let operation = match gate.call.listener_type {
        ListenerType::Controller if of_logger => Operation::ClusterAction,
        _ => Operation::AlterConfigs,
    };
    let is_left = of_logger && gate.call.api != ApiKey::IncrementalAlterConfigs;
    is_left || resource(resource_type, name).is_none_or(|resource| gate.may(operation, resource))
}

/// Takes out the resources that the client may not change, and answers them with the error of their type.
macro_rules! alter_configs {
    ($($request:ident => $response:ident, $module:ident::$item:ident;)*) => {
        $(impl Guarded for m::$request {
            fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
                let resources = std::mem::take(&mut self.resources);
                let (allowed, refused): (Vec<_>, Vec<_>) = resources
                    .into_iter()
                    .partition(|asked| may_alter(gate, asked.resource_type, &asked.resource_name));
                self.resources = allowed;
                let answer = |asked: m::$module::$item| {
                    let kind = resource(asked.resource_type, &asked.resource_name).map(|found| found.kind);
                    let error = refusal(kind.unwrap_or(Resource::CLUSTER.kind));
                    (error, asked.resource_type, asked.resource_name)
                };
                let refused: Vec<_> = refused.into_iter().map(answer).collect();
                Restricted::amended(!refused.is_empty(), move |response: &mut m::$response| {
                    for (error, resource_type, resource_name) in &refused {
                        let mut item = response.responses.first().cloned().unwrap_or_default();
                        item.error_code = error.code();
                        let is_logger = *resource_type == ConfigResourceType::BrokerLogger.id();
                        item.error_message = (!is_logger).then(|| error.message().into());
                        item.resource_type = *resource_type;
                        item.resource_name = resource_name.clone();
                        response.responses.push(item);
                    }
                })
            }
        })*
    };
}

alter_configs! {
    AlterConfigsRequest => AlterConfigsResponse, alter_configs_request::AlterConfigsResource;
    IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse,
        incremental_alter_configs_request::AlterConfigsResource;
}
