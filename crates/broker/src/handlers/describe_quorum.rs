//! DescribeQuorum: who leads the metadata log, who votes, and how far each has come (KIP-836).

use thalweg_base::{Moment, NodeId, Timestamp, Uuid};
use thalweg_metadata::topic_name::CLUSTER_METADATA;
use thalweg_network::ListenerType;
use thalweg_raft::{Progress, ReplicaKey, Voter};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeQuorumRequest;
use thalweg_wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};

use super::controller::forward;
use crate::call::Call;
use crate::drivers::metadata::{Description, Rpc};

pub(crate) async fn handle(call: Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let is_metadata = match request.topics.as_slice() {
        [topic] => {
            &*topic.topic_name == CLUSTER_METADATA
                && matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    };
    if !is_metadata {
        return refused(request, ErrorCode::UnknownTopicOrPartition, call.version);
    }
    let described = call.broker.metadata.quorum_rpc(Rpc::Describe).await;
    let described = described.filter(|described| described.reply.result.is_ok());
    if described.is_none()
        && call.listener_type == ListenerType::Broker
        && let Some(response) = forward(&call, &request).await
    {
        return response;
    }
    let Some(described) = described else { return refused(request, ErrorCode::NotLeaderOrFollower, call.version) };
    let topic = TopicData {
        topic_name: CLUSTER_METADATA.into(),
        partitions: vec![partition(&described, call.broker.wall_clock(), call.version)],
    };
    let nodes = described.voters.iter().map(node);
    DescribeQuorumResponse {
        topics: vec![topic],
        nodes: if call.version >= 2 { nodes.collect() } else { Vec::new() },
        ..DescribeQuorumResponse::default()
    }
}

/// Only the metadata log has a quorum, and only its leader knows how far the others are.
fn refused(request: DescribeQuorumRequest, error: ErrorCode, version: i16) -> DescribeQuorumResponse {
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

fn partition(described: &Description, now: Timestamp, version: i16) -> PartitionData {
    let leader = described.reply.leader.unwrap_or(NodeId::NONE);
    let directory = |key: &ReplicaKey| match key.directory {
        // Static voters are known by their ids alone, observers always by the directory that they fetch with.
        Some(id) if version >= 2 && (described.has_directories || !is_voter(described, key)) => id,
        _ => Uuid::ZERO,
    };
    let date = |moment: Moment| now.0 - i64::try_from(described.now.since(moment).as_millis()).unwrap_or(0);
    let state = |key: &ReplicaKey, progress: Option<&Progress>| ReplicaState {
        replica_id: key.id.0,
        replica_directory_id: directory(key),
        log_end_offset: progress.map_or(-1, |progress| progress.log_end.0),
        last_fetch_timestamp: progress.map_or(-1, |progress| date(progress.last_fetch)),
        last_caught_up_timestamp: progress.and_then(|progress| progress.last_caught_up).map_or(-1, date),
    };
    let voter = |voter: &Voter| {
        if voter.key.id == leader {
            // It has seen all of its own log just now.
            let (log_end_offset, now) = (described.log_end.0, now.0);
            let own = state(&voter.key, None);
            return ReplicaState { log_end_offset, last_fetch_timestamp: now, last_caught_up_timestamp: now, ..own };
        }
        let progress = described.replicas.iter().find(|(key, _)| is_same(voter, key));
        state(&voter.key, progress.map(|(_, progress)| progress))
    };
    let observers = described.replicas.iter().filter(|(key, _)| !is_voter(described, key));
    PartitionData {
        leader_id: leader.0,
        leader_epoch: described.reply.epoch.0,
        high_watermark: described.high_watermark.0,
        current_voters: described.voters.iter().map(voter).collect(),
        observers: observers.map(|(key, progress)| state(key, Some(progress))).collect(),
        ..PartitionData::default()
    }
}

fn is_voter(described: &Description, key: &ReplicaKey) -> bool {
    described.voters.iter().any(|voter| is_same(voter, key))
}

/// Whether a replica that has fetched is this voter. Right after an upgrade of `kraft.version` it is known by its id alone.
fn is_same(voter: &Voter, key: &ReplicaKey) -> bool {
    voter.is(key) || voter.key.id == key.id && key.directory.is_none()
}

fn node(voter: &Voter) -> Node {
    let listener = |endpoint: &thalweg_raft::Endpoint| Listener {
        name: endpoint.listener.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
    };
    Node { node_id: voter.key.id.0, listeners: voter.endpoints.iter().map(listener).collect() }
}
