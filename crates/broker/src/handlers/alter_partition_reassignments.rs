//! AlterPartitionReassignments: moves replicas to other brokers (KIP-455).

use thalweg_wire::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use crate::dispatch::Call;

pub(crate) async fn handle(
    call: Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let metadata = &call.broker.metadata;
    let decided = metadata.decide(move |d| Ok(d.controller.alter_partition_reassignments(d.image, &request))).await;
    decided.unwrap_or_else(|refusal| AlterPartitionReassignmentsResponse {
        error_code: refusal.code.code(),
        error_message: refusal.text(),
        ..AlterPartitionReassignmentsResponse::default()
    })
}
