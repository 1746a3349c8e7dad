//! Vote, BeginQuorumEpoch, EndQuorumEpoch, and Fetch and FetchSnapshot of the metadata log: what controllers and brokers ask a
//! controller (KIP-595, 630, 853, 996).

use thalweg_metadata::topic_name::CLUSTER_METADATA;
use thalweg_sys::time::Duration;
use thalweg_wire::messages as m;
use thalweg_wire::{ErrorCode, Records};

use crate::call::Call;
use crate::drivers::metadata::{FetchAnswer, LogFetch, Rpc, SnapshotAnswer, check_cluster, messages};

/// The metadata log's topic has this id in every cluster.
const METADATA_TOPIC: thalweg_base::Uuid = thalweg_base::Uuid::ONE;

/// Why a whole request is refused: it is meant for another cluster, is not about the metadata log, or comes too late.
fn accepted<T>(call: &Call, cluster: Option<&str>, request: Option<T>) -> Result<T, ErrorCode> {
    check_cluster(&call.broker.cluster_id, cluster).map_err(|refusal| refusal.code)?;
    request.ok_or(ErrorCode::InvalidRequest)
}

pub(crate) async fn vote(call: Call, request: m::VoteRequest) -> m::VoteResponse {
    use m::vote_response::{NodeEndpoint, PartitionData, TopicData, VoteResponse};
    let refused = |error: ErrorCode| VoteResponse { error_code: error.code(), ..VoteResponse::default() };
    let vote = match accepted(&call, request.cluster_id.as_deref(), messages::vote(&request)) {
        Ok(vote) => vote,
        Err(error) => return refused(error),
    };
    let Some(reply) = call.broker.metadata.quorum_rpc(|to| Rpc::Vote(vote, to)).await else {
        return refused(ErrorCode::BrokerNotAvailable);
    };
    let partition = PartitionData {
        partition_index: 0,
        error_code: messages::error_code(&reply),
        leader_id: messages::leader_id(&reply),
        leader_epoch: reply.epoch.0,
        vote_granted: reply.result == Ok(thalweg_raft::Ballot::Granted),
    };
    let node = messages::leader_node(&reply).filter(|_| call.version >= 1);
    VoteResponse {
        error_code: 0,
        topics: vec![TopicData { topic_name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
        node_endpoints: node.into_iter().map(|(node_id, host, port)| NodeEndpoint { node_id, host, port }).collect(),
    }
}

pub(crate) async fn begin_quorum_epoch(call: Call, request: m::BeginQuorumEpochRequest) -> m::BeginQuorumEpochResponse {
    use m::begin_quorum_epoch_response::{BeginQuorumEpochResponse, NodeEndpoint, PartitionData, TopicData};
    let refused = |error: ErrorCode| BeginQuorumEpochResponse { error_code: error.code(), ..Default::default() };
    let begin = match accepted(&call, request.cluster_id.as_deref(), messages::begin_quorum_epoch(&request)) {
        Ok(begin) => begin,
        Err(error) => return refused(error),
    };
    let Some(reply) = call.broker.metadata.quorum_rpc(|to| Rpc::BeginQuorumEpoch(begin, to)).await else {
        return refused(ErrorCode::BrokerNotAvailable);
    };
    let partition = PartitionData {
        partition_index: 0,
        error_code: messages::error_code(&reply),
        leader_id: messages::leader_id(&reply),
        leader_epoch: reply.epoch.0,
    };
    let node = messages::leader_node(&reply).filter(|_| call.version >= 1);
    BeginQuorumEpochResponse {
        error_code: 0,
        topics: vec![TopicData { topic_name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
        node_endpoints: node.into_iter().map(|(node_id, host, port)| NodeEndpoint { node_id, host, port }).collect(),
    }
}

pub(crate) async fn end_quorum_epoch(call: Call, request: m::EndQuorumEpochRequest) -> m::EndQuorumEpochResponse {
    use m::end_quorum_epoch_response::{EndQuorumEpochResponse, NodeEndpoint, PartitionData, TopicData};
    let refused = |error: ErrorCode| EndQuorumEpochResponse { error_code: error.code(), ..Default::default() };
    let end = match accepted(&call, request.cluster_id.as_deref(), messages::end_quorum_epoch(&request)) {
        Ok(end) => end,
        Err(error) => return refused(error),
    };
    let Some(reply) = call.broker.metadata.quorum_rpc(|to| Rpc::EndQuorumEpoch(end, to)).await else {
        return refused(ErrorCode::BrokerNotAvailable);
    };
    let partition = PartitionData {
        partition_index: 0,
        error_code: messages::error_code(&reply),
        leader_id: messages::leader_id(&reply),
        leader_epoch: reply.epoch.0,
    };
    let node = messages::leader_node(&reply).filter(|_| call.version >= 1);
    EndQuorumEpochResponse {
        error_code: 0,
        topics: vec![TopicData { topic_name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
        node_endpoints: node.into_iter().map(|(node_id, host, port)| NodeEndpoint { node_id, host, port }).collect(),
    }
}

pub(crate) async fn fetch(call: Call, request: m::FetchRequest) -> m::FetchResponse {
    use m::fetch_response::{FetchResponse, FetchableTopicResponse, NodeEndpoint};
    let refused = |error: ErrorCode| FetchResponse { error_code: error.code(), ..FetchResponse::default() };
    let fetch = messages::fetch(&request, call.version);
    let fetch = match accepted(&call, request.cluster_id.as_deref(), fetch) {
        Ok(fetch) => fetch,
        Err(error) => return refused(error),
    };
    let asked = request.topics.first().and_then(|topic| topic.partitions.first());
    let bytes = |max: i32| usize::try_from(max).unwrap_or(0);
    let max_bytes = bytes(request.max_bytes).min(asked.map_or(0, |partition| bytes(partition.partition_max_bytes)));
    let metadata = &call.broker.metadata;
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let fetch = LogFetch { request: fetch, max_bytes, deadline: metadata.moment().after(wait) };
    let Some(answer) = metadata.quorum_rpc(|to| Rpc::Fetch(fetch, to)).await else {
        return refused(ErrorCode::BrokerNotAvailable);
    };
    let node = messages::leader_node(&answer.reply).filter(|_| call.version >= 16);
    let endpoint = |(node_id, host, port): (i32, bytestring::ByteString, u16)| NodeEndpoint {
        node_id,
        host,
        port: i32::from(port),
        rack: None,
    };
    FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: CLUSTER_METADATA.into(),
            topic_id: METADATA_TOPIC,
            partitions: vec![fetched_partition(answer)],
        }],
        node_endpoints: node.into_iter().map(endpoint).collect(),
        ..FetchResponse::default()
    }
}

fn fetched_partition(answer: FetchAnswer) -> m::fetch_response::PartitionData {
    use m::fetch_response::{EpochEndOffset, LeaderIdAndEpoch, PartitionData, SnapshotId};
    use thalweg_raft::Fetched;
    let FetchAnswer { reply, log_start, records } = answer;
    let mut partition = PartitionData {
        partition_index: 0,
        error_code: messages::error_code(&reply),
        high_watermark: -1,
        current_leader: LeaderIdAndEpoch { leader_id: messages::leader_id(&reply), leader_epoch: reply.epoch.0 },
        records: Some(Records::Here(records)),
        ..PartitionData::default()
    };
    match reply.result {
        Ok(Fetched::Records { high_watermark }) => {
            partition.log_start_offset = log_start.0;
            partition.high_watermark = high_watermark.map_or(-1, |hw| hw.0);
        }
        Ok(Fetched::Diverging(end)) => {
            partition.diverging_epoch = EpochEndOffset { epoch: end.epoch.0, end_offset: end.offset.0 };
        }
        Ok(Fetched::Snapshot(id)) => {
            partition.snapshot_id = SnapshotId { end_offset: id.offset.0, epoch: id.epoch.0 };
        }
        Err(_) => {}
    }
    partition
}

pub(crate) async fn fetch_snapshot(call: Call, request: m::FetchSnapshotRequest) -> m::FetchSnapshotResponse {
    use m::fetch_snapshot_response::{
        FetchSnapshotResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionSnapshot, SnapshotId, TopicSnapshot,
    };
    let refused = |error: ErrorCode| FetchSnapshotResponse { error_code: error.code(), ..Default::default() };
    let fetch = match accepted(&call, request.cluster_id.as_deref(), messages::fetch_snapshot(&request)) {
        Ok(fetch) => fetch,
        Err(error) => return refused(error),
    };
    let (snapshot, position) = (fetch.snapshot, fetch.position);
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
    let answer = call.broker.metadata.quorum_rpc(|to| Rpc::FetchSnapshot(fetch, max_bytes, to)).await;
    let Some(SnapshotAnswer { reply, size, piece }) = answer else { return refused(ErrorCode::BrokerNotAvailable) };
    let partition = PartitionSnapshot {
        index: 0,
        error_code: messages::error_code(&reply),
        snapshot_id: SnapshotId { end_offset: snapshot.offset.0, epoch: snapshot.epoch.0 },
        current_leader: LeaderIdAndEpoch { leader_id: messages::leader_id(&reply), leader_epoch: reply.epoch.0 },
        size: i64::try_from(size).unwrap_or(i64::MAX),
        position: i64::try_from(position).unwrap_or(i64::MAX),
        unaligned_records: Some(Records::Here(piece)),
    };
    let node = messages::leader_node(&reply).filter(|_| call.version >= 1);
    FetchSnapshotResponse {
        topics: vec![TopicSnapshot { name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
        node_endpoints: node.into_iter().map(|(node_id, host, port)| NodeEndpoint { node_id, host, port }).collect(),
        ..FetchSnapshotResponse::default()
    }
}
