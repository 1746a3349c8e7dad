//! GetTelemetrySubscriptions: a client asks which of its metrics are wanted (KIP-714).

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};

use crate::call::Call;
use crate::telemetry::Telemetry;

/// What clients may compress with, the best first: zstd, lz4, gzip, snappy.
const COMPRESSION_TYPES: [i8; 4] = [4, 3, 1, 2];

pub(crate) fn handle(call: &Call, request: GetTelemetrySubscriptionsRequest) -> GetTelemetrySubscriptionsResponse {
    let refused = |error: ErrorCode| GetTelemetrySubscriptionsResponse {
        error_code: error.code(),
        ..GetTelemetrySubscriptionsResponse::default()
    };
    let telemetry = &call.broker.telemetry;
    let asked = request.client_instance_id;
    let client = call.client(if asked.is_zero() { Telemetry::new_id() } else { asked });
    match telemetry.get(client, call.origin.id, call.broker.moment()) {
        Err(error) => refused(error),
        Ok(subscribed) => GetTelemetrySubscriptionsResponse {
            client_instance_id: subscribed.instance_id,
            subscription_id: subscribed.subscription_id,
            accepted_compression_types: COMPRESSION_TYPES.to_vec(),
            push_interval_ms: subscribed.interval_ms,
            telemetry_max_bytes: telemetry.bytes_max,
            delta_temporality: true,
            requested_metrics: subscribed.metrics.into_iter().map(Into::into).collect(),
            ..GetTelemetrySubscriptionsResponse::default()
        },
    }
}
