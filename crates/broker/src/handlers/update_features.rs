//! UpdateFeatures: raises or lowers the levels of features (KIP-584).

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::controller::ask;
use crate::call::Call;

const REFUSED: &str = "The update failed for all features since the following feature had an error: ";

pub(crate) async fn handle(call: Call, request: UpdateFeaturesRequest) -> UpdateFeaturesResponse {
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| {
        let text = refusal.text().map(|text| match refusal.code {
            // One refused level keeps all of them from changing, and tools print that.
            ErrorCode::InvalidUpdateVersion => format!("{REFUSED}{text}").into(),
            _ => text,
        });
        let error_code = refusal.code.code();
        UpdateFeaturesResponse { error_code, error_message: text, ..UpdateFeaturesResponse::default() }
    })
}
