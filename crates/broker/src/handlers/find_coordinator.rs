//! FindCoordinator. There are no coordinators yet, neither for groups nor for transactions, and the answer says so with the
//! error that Kafka gives while it has none.
//!
//! It is served all the same, because librdkafka takes its presence for the sign that a broker understands LZ4, and would
//! silently send such records uncompressed.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages::FindCoordinatorRequest;
use thalweg_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

use crate::dispatch::Call;

/// From this version on several keys are asked for at once (KIP-699).
const BATCHED: i16 = 4;

pub(crate) fn handle(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let error = ErrorCode::CoordinatorNotAvailable;
    let message = error.message();
    if call.version < BATCHED {
        return FindCoordinatorResponse {
            error_code: error.code(),
            error_message: (call.version >= 1).then(|| message.into()),
            node_id: -1,
            port: -1,
            ..FindCoordinatorResponse::default()
        };
    }
    let coordinator = |key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: error.code(),
        error_message: Some(message.into()),
        ..Coordinator::default()
    };
    let coordinators = request.coordinator_keys.into_iter().map(coordinator).collect();
    FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }
}
