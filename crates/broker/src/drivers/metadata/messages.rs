//! What replicas of the metadata log say to each other, between Kafka's messages and the quorum's.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, NodeId, Offset, Uuid};
use thalweg_metadata::topic_name::CLUSTER_METADATA;
use thalweg_raft::{
    Ballot, BeginQuorumEpochRequest, EndQuorumEpochRequest, Endpoint, FetchRequest, FetchSnapshotRequest, Fetched,
    OffsetAndEpoch, QuorumError, ReplicaKey, Reply, Response, SnapshotPiece, UpdateVoterRequest, VoteRequest, Voter,
};
use thalweg_wire::messages as m;
use thalweg_wire::{ErrorCode, Records};

use super::voters::{code_of, error_of};

/// The metadata log's topic has this id in every cluster.
const METADATA_TOPIC: Uuid = Uuid::ONE;

/// A replica as old and new requests name it: a directory of zeros is not known.
fn key(id: i32, directory: Uuid) -> ReplicaKey {
    ReplicaKey { id: NodeId(id), directory: Some(directory).filter(|id| *id != Uuid::ZERO) }
}

fn directory(key: &ReplicaKey) -> Uuid {
    key.directory.unwrap_or(Uuid::ZERO)
}

fn voter(id: i32, directory: Uuid) -> Option<ReplicaKey> {
    (id >= 0).then(|| key(id, directory))
}

fn is_metadata(name: &ByteString) -> bool {
    &**name == CLUSTER_METADATA
}

// What comes in.

/// A request for a vote; `None` if it is not about the metadata log.
pub(crate) fn vote(request: &m::VoteRequest) -> Option<VoteRequest> {
    let [topic] = &request.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    (is_metadata(&topic.topic_name) && partition.partition_index == 0).then(|| VoteRequest {
        epoch: LeaderEpoch(partition.replica_epoch),
        candidate: key(partition.replica_id, partition.replica_directory_id),
        voter: voter(request.voter_id, partition.voter_directory_id),
        log_end: OffsetAndEpoch {
            offset: Offset(partition.last_offset),
            epoch: LeaderEpoch(partition.last_offset_epoch),
        },
        pre_vote: partition.pre_vote,
    })
}

/// News of an elected leader; `None` if it is not about the metadata log.
pub(crate) fn begin_quorum_epoch(request: &m::BeginQuorumEpochRequest) -> Option<BeginQuorumEpochRequest> {
    let [topic] = &request.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    let endpoint = |e: &m::begin_quorum_epoch_request::LeaderEndpoint| Endpoint {
        listener: e.name.to_string(),
        host: e.host.to_string(),
        port: e.port,
    };
    (is_metadata(&topic.topic_name) && partition.partition_index == 0).then(|| BeginQuorumEpochRequest {
        epoch: LeaderEpoch(partition.leader_epoch),
        leader: NodeId(partition.leader_id),
        voter: voter(request.voter_id, partition.voter_directory_id),
        endpoints: request.leader_endpoints.iter().map(endpoint).collect(),
    })
}

/// News of a leader that steps down; `None` if it is not about the metadata log.
pub(crate) fn end_quorum_epoch(request: &m::EndQuorumEpochRequest) -> Option<EndQuorumEpochRequest> {
    let [topic] = &request.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    let endpoint = |e: &m::end_quorum_epoch_request::LeaderEndpoint| Endpoint {
        listener: e.name.to_string(),
        host: e.host.to_string(),
        port: e.port,
    };
    let by_id = partition.preferred_successors.iter().map(|id| key(*id, Uuid::ZERO));
    let by_key = partition.preferred_candidates.iter().map(|c| key(c.candidate_id, c.candidate_directory_id));
    (is_metadata(&topic.topic_name) && partition.partition_index == 0).then(|| EndQuorumEpochRequest {
        epoch: LeaderEpoch(partition.leader_epoch),
        leader: NodeId(partition.leader_id),
        preferred: by_id.chain(by_key).collect(),
        endpoints: request.leader_endpoints.iter().map(endpoint).collect(),
    })
}

/// A fetch of the metadata log; `None` if it is one of something else.
pub(crate) fn fetch(request: &m::FetchRequest, version: i16) -> Option<FetchRequest> {
    let [topic] = &request.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    let named = if version >= 13 { topic.topic_id == METADATA_TOPIC } else { is_metadata(&topic.topic) };
    if !named || partition.partition != 0 {
        return None;
    }
    let replica = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    Some(FetchRequest {
        replica: key(replica, partition.replica_directory_id),
        epoch: LeaderEpoch(partition.current_leader_epoch),
        log_end: OffsetAndEpoch {
            offset: Offset(partition.fetch_offset),
            epoch: LeaderEpoch(partition.last_fetched_epoch),
        },
        // Old versions do not say; -1 is nothing.
        high_watermark: Some(partition.high_watermark).filter(|hw| *hw != i64::MAX).map(|hw| Offset(hw.max(0))),
    })
}

/// A fetch of a snapshot of the metadata; `None` if it is one of something else.
pub(crate) fn fetch_snapshot(request: &m::FetchSnapshotRequest) -> Option<FetchSnapshotRequest> {
    let [topic] = &request.topics[..] else { return None };
    let [partition] = &topic.partitions[..] else { return None };
    if !is_metadata(&topic.name) || partition.partition != 0 {
        return None;
    }
    Some(FetchSnapshotRequest {
        replica: key(request.replica_id, partition.replica_directory_id),
        epoch: LeaderEpoch(partition.current_leader_epoch),
        snapshot: OffsetAndEpoch {
            offset: Offset(partition.snapshot_id.end_offset),
            epoch: LeaderEpoch(partition.snapshot_id.epoch),
        },
        position: u64::try_from(partition.position).ok()?,
    })
}

/// The code of an answer.
pub(crate) fn error_code<T>(reply: &Reply<T>) -> i16 {
    reply.result.as_ref().map_or_else(|error| code_of(*error), |_| ErrorCode::None).code()
}

/// The leader's id as answers name it.
pub(crate) fn leader_id<T>(reply: &Reply<T>) -> i32 {
    reply.leader.unwrap_or(NodeId::NONE).0
}

/// Where the leader of an answer listens: its id, host and port, if they are known.
pub(crate) fn leader_node<T>(reply: &Reply<T>) -> Option<(i32, ByteString, u16)> {
    let endpoint = reply.endpoints.first()?;
    Some((reply.leader?.0, endpoint.host.as_str().into(), endpoint.port))
}

// What goes out.

/// A request for a vote.
pub(super) fn vote_request(cluster_id: &str, request: &VoteRequest) -> m::VoteRequest {
    use m::vote_request::{PartitionData, TopicData};
    let partition = PartitionData {
        partition_index: 0,
        replica_epoch: request.epoch.0,
        replica_id: request.candidate.id.0,
        replica_directory_id: directory(&request.candidate),
        voter_directory_id: request.voter.as_ref().map_or(Uuid::ZERO, directory),
        last_offset_epoch: request.log_end.epoch.0,
        last_offset: request.log_end.offset.0,
        pre_vote: request.pre_vote,
    };
    m::VoteRequest {
        cluster_id: Some(cluster_id.into()),
        voter_id: request.voter.map_or(-1, |voter| voter.id.0),
        topics: vec![TopicData { topic_name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
    }
}

/// News that this node leads.
pub(super) fn begin_request(cluster_id: &str, request: &BeginQuorumEpochRequest) -> m::BeginQuorumEpochRequest {
    use m::begin_quorum_epoch_request::{LeaderEndpoint, PartitionData, TopicData};
    let partition = PartitionData {
        partition_index: 0,
        voter_directory_id: request.voter.as_ref().map_or(Uuid::ZERO, directory),
        leader_id: request.leader.0,
        leader_epoch: request.epoch.0,
    };
    let endpoint =
        |e: &Endpoint| LeaderEndpoint { name: e.listener.as_str().into(), host: e.host.as_str().into(), port: e.port };
    m::BeginQuorumEpochRequest {
        cluster_id: Some(cluster_id.into()),
        voter_id: request.voter.map_or(-1, |voter| voter.id.0),
        topics: vec![TopicData { topic_name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
        leader_endpoints: request.endpoints.iter().map(endpoint).collect(),
    }
}

/// News that this node leads no longer.
pub(super) fn end_request(cluster_id: &str, request: &EndQuorumEpochRequest) -> m::EndQuorumEpochRequest {
    use m::end_quorum_epoch_request::{LeaderEndpoint, PartitionData, ReplicaInfo, TopicData};
    let candidate = |key: &ReplicaKey| ReplicaInfo { candidate_id: key.id.0, candidate_directory_id: directory(key) };
    let partition = PartitionData {
        partition_index: 0,
        leader_id: request.leader.0,
        leader_epoch: request.epoch.0,
        preferred_successors: request.preferred.iter().map(|key| key.id.0).collect(),
        preferred_candidates: request.preferred.iter().map(candidate).collect(),
    };
    let endpoint =
        |e: &Endpoint| LeaderEndpoint { name: e.listener.as_str().into(), host: e.host.as_str().into(), port: e.port };
    m::EndQuorumEpochRequest {
        cluster_id: Some(cluster_id.into()),
        topics: vec![TopicData { topic_name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
        leader_endpoints: request.endpoints.iter().map(endpoint).collect(),
    }
}

/// How a fetch is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchLimits {
    /// How long the leader may wait for something new.
    pub(super) max_wait_ms: i32,
    pub(super) max_bytes: i32,
}

/// A fetch of the metadata log.
pub(super) fn fetch_request(
    cluster_id: &str,
    request: &FetchRequest,
    version: i16,
    limits: FetchLimits,
) -> m::FetchRequest {
    use m::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
    let partition = FetchPartition {
        partition: 0,
        current_leader_epoch: request.epoch.0,
        fetch_offset: request.log_end.offset.0,
        last_fetched_epoch: request.log_end.epoch.0,
        partition_max_bytes: limits.max_bytes,
        replica_directory_id: directory(&request.replica),
        high_watermark: request.high_watermark.map_or(-1, |hw| hw.0),
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: CLUSTER_METADATA.into(), topic_id: METADATA_TOPIC, partitions: vec![partition] };
    let id = request.replica.id.0;
    let replica_state = ReplicaState { replica_id: if version >= 15 { id } else { -1 }, ..ReplicaState::default() };
    m::FetchRequest {
        cluster_id: Some(cluster_id.into()),
        replica_id: if version >= 15 { -1 } else { id },
        replica_state,
        max_wait_ms: limits.max_wait_ms,
        max_bytes: limits.max_bytes,
        topics: vec![topic],
        ..m::FetchRequest::default()
    }
}

/// A fetch of a piece of a snapshot.
pub(super) fn snapshot_request(
    cluster_id: &str,
    request: &FetchSnapshotRequest,
    max_bytes: i32,
) -> m::FetchSnapshotRequest {
    use m::fetch_snapshot_request::{PartitionSnapshot, SnapshotId, TopicSnapshot};
    let partition = PartitionSnapshot {
        partition: 0,
        current_leader_epoch: request.epoch.0,
        snapshot_id: SnapshotId { end_offset: request.snapshot.offset.0, epoch: request.snapshot.epoch.0 },
        position: i64::try_from(request.position).unwrap_or(i64::MAX),
        replica_directory_id: directory(&request.replica),
    };
    m::FetchSnapshotRequest {
        cluster_id: Some(cluster_id.into()),
        replica_id: request.replica.id.0,
        max_bytes,
        topics: vec![TopicSnapshot { name: CLUSTER_METADATA.into(), partitions: vec![partition] }],
    }
}

/// News of where a voter listens and what it supports.
pub(super) fn update_request(cluster_id: &str, request: &UpdateVoterRequest) -> m::UpdateRaftVoterRequest {
    use m::update_raft_voter_request::{KRaftVersionFeature, Listener};
    let listener =
        |e: &Endpoint| Listener { name: e.listener.as_str().into(), host: e.host.as_str().into(), port: e.port };
    m::UpdateRaftVoterRequest {
        cluster_id: Some(cluster_id.into()),
        current_leader_epoch: request.epoch.0,
        voter_id: request.voter.key.id.0,
        voter_directory_id: directory(&request.voter.key),
        listeners: request.voter.endpoints.iter().map(listener).collect(),
        k_raft_version_feature: KRaftVersionFeature {
            min_supported_version: request.voter.kraft_version_min.0.cast_signed(),
            max_supported_version: request.voter.kraft_version_max.0.cast_signed(),
        },
    }
}

/// A replica asks to vote. The leader answers as soon as it has written that.
pub(super) fn add_request(cluster_id: &str, voter: &Voter, timeout_ms: i32) -> m::AddRaftVoterRequest {
    use m::add_raft_voter_request::Listener;
    let listener =
        |e: &Endpoint| Listener { name: e.listener.as_str().into(), host: e.host.as_str().into(), port: e.port };
    m::AddRaftVoterRequest {
        cluster_id: Some(cluster_id.into()),
        timeout_ms,
        voter_id: voter.key.id.0,
        voter_directory_id: directory(&voter.key),
        listeners: voter.endpoints.iter().map(listener).collect(),
        ack_when_committed: false,
    }
}

/// The voter that this node was with another directory is to be removed.
pub(super) fn remove_request(cluster_id: &str, key: &ReplicaKey) -> m::RemoveRaftVoterRequest {
    m::RemoveRaftVoterRequest {
        cluster_id: Some(cluster_id.into()),
        voter_id: key.id.0,
        voter_directory_id: directory(key),
    }
}

// Answers.

/// What answers say about the leader: its id and epoch, and where it listens if they say so.
struct Leader {
    id: i32,
    epoch: i32,
    endpoint: Option<(ByteString, u16)>,
}

impl Leader {
    /// An answer that names the leader, and whose result is a code and what comes without an error.
    fn reply<T>(self, listener: &str, error_code: i16, result: impl FnOnce() -> T) -> Reply<T> {
        let endpoint =
            |(host, port): (ByteString, u16)| Endpoint { listener: listener.to_owned(), host: host.to_string(), port };
        Reply {
            epoch: LeaderEpoch(self.epoch),
            leader: Some(NodeId(self.id)).filter(|id| id.0 >= 0),
            endpoints: self.endpoint.into_iter().map(endpoint).collect(),
            result: result_of(error_code, result),
        }
    }
}

fn result_of<T>(error_code: i16, result: impl FnOnce() -> T) -> Result<T, QuorumError> {
    match ErrorCode::from_code(error_code) {
        ErrorCode::None => Ok(result()),
        code => Err(error_of(code)),
    }
}

/// An answer with an error of its own, or that lacks what was asked for.
fn failed(error_code: i16) -> Response {
    Response::Failed(error_of(ErrorCode::from_code(error_code)))
}

const MALFORMED: Response = Response::Failed(QuorumError::Other);

/// An answer to a request for a vote.
pub(super) fn voted(answer: m::VoteResponse, listener: &str) -> Response {
    if answer.error_code != 0 {
        return failed(answer.error_code);
    }
    let Some(partition) = answer.topics.first().and_then(|topic| topic.partitions.first()) else { return MALFORMED };
    let node = answer.node_endpoints.iter().find(|node| node.node_id == partition.leader_id);
    let leader = Leader {
        id: partition.leader_id,
        epoch: partition.leader_epoch,
        endpoint: node.map(|node| (node.host.clone(), node.port)),
    };
    let ballot = if partition.vote_granted { Ballot::Granted } else { Ballot::Rejected };
    Response::Vote(leader.reply(listener, partition.error_code, || ballot))
}

/// An answer to the news of a leader.
pub(super) fn begun(answer: m::BeginQuorumEpochResponse, listener: &str) -> Response {
    if answer.error_code != 0 {
        return failed(answer.error_code);
    }
    let Some(partition) = answer.topics.first().and_then(|topic| topic.partitions.first()) else { return MALFORMED };
    let node = answer.node_endpoints.iter().find(|node| node.node_id == partition.leader_id);
    let leader = Leader {
        id: partition.leader_id,
        epoch: partition.leader_epoch,
        endpoint: node.map(|node| (node.host.clone(), node.port)),
    };
    Response::BeginQuorumEpoch(leader.reply(listener, partition.error_code, || ()))
}

/// An answer to the news that a leader steps down.
pub(super) fn ended(answer: m::EndQuorumEpochResponse, listener: &str) -> Response {
    if answer.error_code != 0 {
        return failed(answer.error_code);
    }
    let Some(partition) = answer.topics.first().and_then(|topic| topic.partitions.first()) else { return MALFORMED };
    let node = answer.node_endpoints.iter().find(|node| node.node_id == partition.leader_id);
    let leader = Leader {
        id: partition.leader_id,
        epoch: partition.leader_epoch,
        endpoint: node.map(|node| (node.host.clone(), node.port)),
    };
    Response::EndQuorumEpoch(leader.reply(listener, partition.error_code, || ()))
}

/// An answer to a fetch of the log, and the records in it.
pub(super) fn fetched(answer: m::FetchResponse, listener: &str) -> (Response, Bytes) {
    if answer.error_code != 0 {
        return (failed(answer.error_code), Bytes::new());
    }
    let partition = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
    let Some(partition) = partition else { return (MALFORMED, Bytes::new()) };
    let current = &partition.current_leader;
    let node = answer.node_endpoints.iter().find(|node| node.node_id == current.leader_id);
    let leader = Leader {
        id: current.leader_id,
        epoch: current.leader_epoch,
        endpoint: node.and_then(|node| Some((node.host.clone(), u16::try_from(node.port).ok()?))),
    };
    let position = |end: i64, epoch: i32| OffsetAndEpoch { offset: Offset(end), epoch: LeaderEpoch(epoch) };
    let (diverging, snapshot) = (&partition.diverging_epoch, &partition.snapshot_id);
    let result = if diverging.epoch >= 0 {
        Fetched::Diverging(position(diverging.end_offset, diverging.epoch))
    } else if snapshot.epoch >= 0 {
        Fetched::Snapshot(position(snapshot.end_offset, snapshot.epoch))
    } else {
        let high_watermark = Some(Offset(partition.high_watermark)).filter(|hw| hw.0 >= 0);
        Fetched::Records { high_watermark }
    };
    let records = bytes_of(partition.records);
    let has_records = !records.is_empty();
    let reply = leader.reply(listener, partition.error_code, || result);
    (Response::Fetch { reply, has_records }, records)
}

/// An answer to a fetch of a snapshot, and the piece in it.
pub(super) fn snapshot_fetched(answer: m::FetchSnapshotResponse, listener: &str) -> (Response, Bytes) {
    if answer.error_code != 0 {
        return (failed(answer.error_code), Bytes::new());
    }
    let partition = answer.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
    let Some(partition) = partition else { return (MALFORMED, Bytes::new()) };
    let current = &partition.current_leader;
    let node = answer.node_endpoints.iter().find(|node| node.node_id == current.leader_id);
    let leader = Leader {
        id: current.leader_id,
        epoch: current.leader_epoch,
        endpoint: node.map(|node| (node.host.clone(), node.port)),
    };
    let (Ok(size), Ok(position)) = (u64::try_from(partition.size), u64::try_from(partition.position)) else {
        return (MALFORMED, Bytes::new());
    };
    let piece = bytes_of(partition.unaligned_records);
    let snapshot = OffsetAndEpoch {
        offset: Offset(partition.snapshot_id.end_offset),
        epoch: LeaderEpoch(partition.snapshot_id.epoch),
    };
    let length = piece.len() as u64;
    let reply = leader.reply(listener, partition.error_code, || SnapshotPiece { snapshot, size, position, length });
    (Response::FetchSnapshot(reply), piece)
}

/// An answer to the news of a voter.
pub(super) fn updated(answer: m::UpdateRaftVoterResponse, listener: &str) -> Response {
    let current = answer.current_leader;
    let port = u16::try_from(current.port).ok().filter(|port| *port > 0);
    let leader = Leader {
        id: current.leader_id,
        epoch: current.leader_epoch,
        endpoint: port.filter(|_| !current.host.is_empty()).map(|port| (current.host, port)),
    };
    Response::UpdateVoter(leader.reply(listener, answer.error_code, || ()))
}

/// An answer to a change of voters.
pub(super) fn voters_changed(error_code: i16) -> Response {
    Response::VotersChanged(result_of(error_code, || ()))
}

fn bytes_of(records: Option<Records>) -> Bytes {
    match records {
        Some(Records::Here(bytes)) => bytes,
        Some(Records::Elsewhere(_)) | None => Bytes::new(),
    }
}
