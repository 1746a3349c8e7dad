//! UpdateFeatures: raises or lowers the levels of features (KIP-584).

use thalweg_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::dispatch::Call;

pub(crate) async fn handle(call: Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let version = call.version;
    let decided = call
        .broker
        .metadata
        .decide(move |d| d.controller.update_features(d.image, d.kraft_version, &request, version))
        .await;
    decided.unwrap_or_else(|refusal| UpdateFeaturesResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..UpdateFeaturesResponse::default()
    })
}
