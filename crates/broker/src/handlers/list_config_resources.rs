//! ListConfigResources: what has, or may have, dynamic configs (KIP-1142).

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_metadata::image::ConfigResourceType;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ListConfigResourcesRequest;
use thalweg_wire::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};

use crate::call::Call;

/// What can be listed, in the order in which Kafka lists it.
const LISTED: [ConfigResourceType; 5] = [
    ConfigResourceType::Topic,
    ConfigResourceType::Broker,
    ConfigResourceType::BrokerLogger,
    ConfigResourceType::ClientMetrics,
    ConfigResourceType::Group,
];

pub(crate) fn handle(call: &Call, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    // Version 0 knows client metrics only; later, no type asked for means all.
    let asked: Vec<i8> = match call.version {
        0 => vec![ConfigResourceType::ClientMetrics.id()],
        _ if request.resource_types.is_empty() => LISTED.iter().map(|kind| kind.id()).collect(),
        _ => request.resource_types,
    };
    let kinds: BTreeSet<i8> = asked.into_iter().collect();
    if kinds.iter().any(|kind| !LISTED.iter().any(|listed| listed.id() == *kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() };
    }
    let image = call.broker.image();
    let mut config_resources = Vec::new();
    for kind in LISTED.into_iter().filter(|kind| kinds.contains(&kind.id())) {
        let names: Vec<ByteString> = match kind {
            ConfigResourceType::Topic => {
                image.topics().iter_by_name("").map(|topic| ByteString::from(&*topic.name)).collect()
            }
            ConfigResourceType::Broker | ConfigResourceType::BrokerLogger => {
                image.cluster().brokers().map(|broker| ByteString::from(broker.id.to_string())).collect()
            }
            ConfigResourceType::ClientMetrics | ConfigResourceType::Group => {
                let named = image.configs().iter().map(|(resource, _)| resource).filter(|r| r.kind == kind);
                named.map(|resource| ByteString::from(&*resource.name)).collect()
            }
        };
        let resource = |resource_name| ConfigResource { resource_name, resource_type: kind.id() };
        config_resources.extend(names.into_iter().map(resource));
    }
    ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() }
}
