//! PushTelemetry: a client pushes its metrics (KIP-714).

use thalweg_sys::task;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{PushTelemetryRequest, PushTelemetryResponse};

use crate::call::Call;
use crate::telemetry::Push;

pub(crate) async fn handle(call: Call, request: PushTelemetryRequest) -> PushTelemetryResponse {
    // Reading thousands of numbers is no work for those who serve sockets.
    let pushed = task::blocking(move || push(&call, &request)).await;
    let error = match pushed {
        Ok(Ok(())) => ErrorCode::None,
        Ok(Err(error)) => error,
        Err(_) => ErrorCode::UnknownServerError,
    };
    PushTelemetryResponse { error_code: error.code(), ..PushTelemetryResponse::default() }
}

fn push(call: &Call, request: &PushTelemetryRequest) -> Result<(), ErrorCode> {
    let judged = Push {
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        compression: request.compression_type,
        bytes: request.metrics.len(),
    };
    let client = call.client(request.client_instance_id);
    call.broker.telemetry.push(client, call.origin.id, judged, &request.metrics, call.broker.moment())
}
