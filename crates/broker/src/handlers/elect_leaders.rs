//! ElectLeaders: has preferred, or any, replicas take the lead (KIP-460).

use thalweg_wire::messages::ElectLeadersRequest;
use thalweg_wire::messages::elect_leaders_response::{ElectLeadersResponse, PartitionResult, ReplicaElectionResult};

use super::controller::ask_within;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let version = call.version;
    let topics = request.topic_partitions.clone();
    if topics.as_ref().is_some_and(Vec::is_empty) {
        return ElectLeadersResponse::default();
    }
    let timeout_ms = request.timeout_ms;
    let decided = ask_within(&call, timeout_ms, request).await;
    decided.unwrap_or_else(|refusal| {
        let (error_code, error_message) = (refusal.code.code(), refusal.text());
        let partition =
            |partition_id| PartitionResult { partition_id, error_code, error_message: error_message.clone() };
        let results = topics.into_iter().flatten().map(|topic| ReplicaElectionResult {
            topic: topic.topic,
            partition_result: topic.partitions.into_iter().map(partition).collect(),
        });
        ElectLeadersResponse {
            error_code: if version >= 1 { error_code } else { 0 },
            replica_election_results: results.collect(),
            ..ElectLeadersResponse::default()
        }
    })
}
