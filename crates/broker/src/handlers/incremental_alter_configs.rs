//! IncrementalAlterConfigs (KIP-339).

use thalweg_controller::preprocess_incremental_alter_configs;
use thalweg_wire::messages::IncrementalAlterConfigsRequest;
use thalweg_wire::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use crate::dispatch::Call;

pub(crate) async fn handle(call: Call, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let mut checked = preprocess_incremental_alter_configs(call.broker.config.node_id, &request);
    let rest = std::mem::take(&mut checked.rest);
    let asked: Vec<_> = rest.resources.iter().map(|r| (r.resource_type, r.resource_name.clone())).collect();
    let decided =
        call.broker.metadata.decide(move |d| Ok(d.controller.incremental_alter_configs(d.image, &rest))).await;
    let response = decided.unwrap_or_else(|refusal| IncrementalAlterConfigsResponse {
        responses: asked
            .into_iter()
            .map(|(resource_type, resource_name)| AlterConfigsResourceResponse {
                error_code: refusal.code.code(),
                error_message: refusal.text(),
                resource_type,
                resource_name,
            })
            .collect(),
        ..IncrementalAlterConfigsResponse::default()
    });
    checked.complete(response)
}
