//! DescribeQuorum: who leads the metadata log, who votes, and how far each has come (KIP-836).

use thalweg_metadata::topic_name::CLUSTER_METADATA;
use thalweg_raft::Voter;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeQuorumRequest;
use thalweg_wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};

use crate::call::Call;
use crate::drivers::metadata::QuorumView;

pub(crate) fn handle(call: &Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let is_metadata = match request.topics.as_slice() {
        [topic] => {
            &*topic.topic_name == CLUSTER_METADATA
                && matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    };
    if !is_metadata {
        return unknown(request, call.version);
    }
    let view = call.broker.metadata.quorum();
    let topic = TopicData {
        topic_name: CLUSTER_METADATA.into(),
        partitions: vec![partition(&view, call.broker.wall_clock().0, call.version)],
    };
    let nodes = view.voters.iter().map(node);
    DescribeQuorumResponse {
        topics: vec![topic],
        nodes: if call.version >= 2 { nodes.collect() } else { Vec::new() },
        ..DescribeQuorumResponse::default()
    }
}

/// Only the metadata log has a quorum.
fn unknown(request: DescribeQuorumRequest, version: i16) -> DescribeQuorumResponse {
    let error = ErrorCode::UnknownTopicOrPartition;
    let topics = request.topics.into_iter().map(|topic| TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: error.code(),
                error_message: if version >= 2 { Some(error.message().into()) } else { None },
                ..PartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse { topics: topics.collect(), ..DescribeQuorumResponse::default() }
}

fn partition(view: &QuorumView, now: i64, version: i16) -> PartitionData {
    let voter = |voter: &Voter| {
        // This node leads: it has seen all of its own log just now.
        let own = voter.key.id == view.leader;
        ReplicaState {
            replica_id: voter.key.id.0,
            replica_directory_id: if version >= 2 {
                voter.key.directory.unwrap_or_default()
            } else {
                Default::default()
            },
            log_end_offset: if own { view.log_end.0 } else { -1 },
            last_fetch_timestamp: if own { now } else { -1 },
            last_caught_up_timestamp: if own { now } else { -1 },
        }
    };
    PartitionData {
        leader_id: view.leader.0,
        leader_epoch: view.epoch.0,
        high_watermark: view.high_watermark.0,
        current_voters: view.voters.iter().map(voter).collect(),
        ..PartitionData::default()
    }
}

fn node(voter: &Voter) -> Node {
    let listener = |endpoint: &thalweg_raft::Endpoint| Listener {
        name: endpoint.listener.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
    };
    Node { node_id: voter.key.id.0, listeners: voter.endpoints.iter().map(listener).collect() }
}
