//! AlterConfigs: replaces all configs of a resource. Old tools use it; see IncrementalAlterConfigs.

use thalweg_controller::preprocess_alter_configs;
use thalweg_wire::messages::AlterConfigsRequest;
use thalweg_wire::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

use crate::dispatch::Call;

pub(crate) async fn handle(call: Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let mut checked = preprocess_alter_configs(call.broker.config.node_id, &request);
    let rest = std::mem::take(&mut checked.rest);
    let asked: Vec<_> = rest.resources.iter().map(|r| (r.resource_type, r.resource_name.clone())).collect();
    let decided = call.broker.metadata.decide(move |d| Ok(d.controller.alter_configs(d.image, &rest))).await;
    let response = decided.unwrap_or_else(|refusal| AlterConfigsResponse {
        responses: asked
            .into_iter()
            .map(|(resource_type, resource_name)| AlterConfigsResourceResponse {
                error_code: refusal.code.code(),
                error_message: refusal.text(),
                resource_type,
                resource_name,
            })
            .collect(),
        ..AlterConfigsResponse::default()
    });
    checked.complete(response)
}
