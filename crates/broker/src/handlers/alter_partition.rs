//! AlterPartition: a leader asks the controller for another ISR (KIP-497).

use thalweg_wire::messages::{AlterPartitionRequest, AlterPartitionResponse};

use super::controller::ask;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: AlterPartitionRequest) -> AlterPartitionResponse {
    // Who asks for nothing is not even asked who it is, as in Kafka.
    if request.topics.is_empty() {
        return AlterPartitionResponse::default();
    }
    let decided = ask(&call, request).await;
    decided.unwrap_or_else(|refusal| AlterPartitionResponse {
        error_code: refusal.code.code(),
        ..AlterPartitionResponse::default()
    })
}
