//! AlterPartitionReassignments: moves replicas to other brokers (KIP-455).

use thalweg_wire::messages::AlterPartitionReassignmentsRequest;
use thalweg_wire::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};

use super::controller::ask_within;
use crate::call::Call;

pub(crate) async fn handle(
    call: Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    if request.topics.is_empty() {
        return AlterPartitionReassignmentsResponse::default();
    }
    let (topics, timeout_ms) = (request.topics.clone(), request.timeout_ms);
    let decided = ask_within(&call, timeout_ms, request).await;
    decided.unwrap_or_else(|refusal| {
        let (error_code, error_message) = (refusal.code.code(), refusal.text());
        let partition = |partition_index| ReassignablePartitionResponse {
            partition_index,
            error_code,
            error_message: error_message.clone(),
        };
        let responses = topics.into_iter().map(|topic| ReassignableTopicResponse {
            name: topic.name,
            partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
        });
        AlterPartitionReassignmentsResponse {
            error_code,
            error_message: error_message.clone(),
            responses: responses.collect(),
            ..AlterPartitionReassignmentsResponse::default()
        }
    })
}
