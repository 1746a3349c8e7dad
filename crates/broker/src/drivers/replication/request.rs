//! Fetch requests of a follower, and their answers.

use bytes::Bytes;
use thalweg_base::{BrokerEpoch, LeaderEpoch, NodeId, Offset};
use thalweg_replica::epochs::EpochEnd;
use thalweg_replica::{FetchFrom, FetchRound, Followed};
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState};
use thalweg_wire::messages::fetch_response::{EpochEndOffset, PartitionData};
use thalweg_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use thalweg_wire::{ErrorCode, Records};

use super::config::FetchingConfig;
use crate::drivers::partition::Fetched;

/// The first version that names topics by id: what followers ask with. Apache Kafka has it since 3.1.
pub(super) const BY_ID: i16 = 13;
/// From this version on a follower tells its broker epoch (KIP-903).
const REPLICA_STATE: i16 = 15;

/// What a round of a fetcher asks, at a version of Fetch.
pub(super) fn fetch(
    version: i16,
    node: NodeId,
    epoch: BrokerEpoch,
    config: &FetchingConfig,
    round: &FetchRound,
) -> FetchRequest {
    let replica_state = ReplicaState { replica_id: node.0, replica_epoch: epoch.0 };
    let mut request = FetchRequest {
        max_wait_ms: i32::try_from(config.wait_max.as_millis()).unwrap_or(i32::MAX),
        min_bytes: config.bytes_min,
        max_bytes: config.response_bytes_max,
        session_id: round.session_id.0,
        session_epoch: round.session_epoch.0,
        ..FetchRequest::default()
    };
    if version >= REPLICA_STATE {
        request.replica_state = replica_state;
    } else {
        request.replica_id = node.0;
    }
    // What is listed is sorted, so that a topic's partitions are together.
    for (followed, from) in &round.listed {
        if request.topics.last().is_none_or(|topic| topic.topic_id != followed.topic) {
            request.topics.push(FetchTopic { topic_id: followed.topic, ..FetchTopic::default() });
        }
        if let Some(topic) = request.topics.last_mut() {
            topic.partitions.push(partition(followed, from, config));
        }
    }
    for followed in &round.forgotten {
        if request.forgotten_topics_data.last().is_none_or(|topic| topic.topic_id != followed.topic) {
            request
                .forgotten_topics_data
                .push(ForgottenTopic { topic_id: followed.topic, ..ForgottenTopic::default() });
        }
        if let Some(topic) = request.forgotten_topics_data.last_mut() {
            topic.partitions.push(followed.partition);
        }
    }
    request
}

fn partition(followed: &Followed, from: &FetchFrom, config: &FetchingConfig) -> FetchPartition {
    FetchPartition {
        partition: followed.partition,
        current_leader_epoch: from.leader_epoch.0,
        fetch_offset: from.fetch_offset.0,
        last_fetched_epoch: from.last_fetched_epoch.map_or(-1, |epoch| epoch.0),
        log_start_offset: from.log_start.0,
        partition_max_bytes: config.partition_bytes_max,
        ..FetchPartition::default()
    }
}

/// What the leader has answered about a partition.
pub(super) fn fetched(data: PartitionData) -> Fetched {
    if data.error_code != ErrorCode::None.code() {
        return Fetched::Failed(ErrorCode::from(data.error_code));
    }
    if data.diverging_epoch != EpochEndOffset::default() {
        let EpochEndOffset { epoch, end_offset } = data.diverging_epoch;
        if epoch < 0 || end_offset < 0 {
            return Fetched::Failed(ErrorCode::UnknownServerError);
        }
        return Fetched::Diverging(EpochEnd { epoch: LeaderEpoch(epoch), end: Offset(end_offset) });
    }
    let bytes = match data.records {
        Some(Records::Here(bytes)) => bytes,
        Some(Records::Elsewhere(_)) | None => Bytes::new(),
    };
    Fetched::Records { bytes, high_watermark: Offset(data.high_watermark), log_start: Offset(data.log_start_offset) }
}

/// One end of a partition's log, as ListOffsets names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogEnd {
    First,
    Last,
}

/// Asks where a partition's log begins or ends.
pub(super) fn list_offsets(
    node: NodeId,
    topic: &str,
    partition: i32,
    epoch: LeaderEpoch,
    end: LogEnd,
) -> ListOffsetsRequest {
    let asked = ListOffsetsPartition {
        partition_index: partition,
        current_leader_epoch: epoch.0,
        timestamp: if end == LogEnd::First { -2 } else { -1 },
    };
    let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![asked] };
    ListOffsetsRequest { replica_id: node.0, topics: vec![topic], ..ListOffsetsRequest::default() }
}
