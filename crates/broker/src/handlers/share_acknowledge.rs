//! ShareAcknowledge: a member says what shall become of records that it holds (KIP-932).

use std::collections::BTreeMap;

use thalweg_base::Uuid;
use thalweg_network::Reply;
use thalweg_replica::TopicRef;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::ShareAcknowledgeRequest;
use thalweg_wire::messages::share_acknowledge_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareAcknowledgeResponse, ShareAcknowledgeTopicResponse,
};

use super::share::{
    Acknowledged, Batches, FINAL_EPOCH, acknowledge, serves_share_groups, session_error, session_key, waiting_bytes,
};
use crate::call::Call;
use crate::endpoints::Leaders;

pub(crate) fn handle(call: Call, request: ShareAcknowledgeRequest) -> Reply {
    let refused =
        |error: ErrorCode| ShareAcknowledgeResponse { error_code: error.code(), ..ShareAcknowledgeResponse::default() };
    if !serves_share_groups(&call) {
        return Reply::Now(call.answer(&refused(ErrorCode::UnsupportedVersion)));
    }
    let Some(key) = session_key(request.group_id.as_ref(), request.member_id.as_ref()) else {
        return Reply::Now(call.answer(&refused(ErrorCode::InvalidRequest)));
    };
    let epoch = request.share_session_epoch;
    let session = call.broker.share.sessions.lock().acknowledge(&key, epoch);
    if let Err(error) = session {
        return Reply::Now(call.answer(&refused(session_error(error))));
    }
    let named = || request.topics.iter().flat_map(|topic| &topic.partitions);
    let acknowledged = named().flat_map(|partition| &partition.acknowledgement_batches);
    let bytes = waiting_bytes(named().count(), acknowledged.map(|batch| batch.acknowledge_types.len()));
    let answer = async move {
        let renews = request.is_renew_ack;
        let acknowledged = acknowledge(&call, &key, partitions(request), renews).await;
        if epoch == FINAL_EPOCH {
            call.broker.share.end_session(&call.broker.image(), &key).await;
        }
        let lock = call.broker.share.settings().record_lock_duration_ms(&call.broker.image(), &key.group);
        let response = response(&call, acknowledged, lock);
        call.answer(&response)
    };
    Reply::Parked(Box::pin(answer), bytes)
}

fn partitions(request: ShareAcknowledgeRequest) -> Vec<((Uuid, i32), Batches)> {
    let topics = request.topics.into_iter().flat_map(|topic| {
        let id = topic.topic_id;
        topic.partitions.into_iter().map(move |partition| (id, partition))
    });
    let partition =
        |(id, partition): (Uuid, thalweg_wire::messages::share_acknowledge_request::AcknowledgePartition)| {
            let batches = partition.acknowledgement_batches.into_iter();
            let batches =
                batches.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types)).collect();
            ((id, partition.partition_index), batches)
        };
    topics.map(partition).collect()
}

fn response(call: &Call, acknowledged: Acknowledged, acquisition_lock_timeout_ms: i32) -> ShareAcknowledgeResponse {
    let mut leaders = Leaders::new(call);
    let mut topics: BTreeMap<Uuid, Vec<PartitionData>> = BTreeMap::new();
    for ((topic, partition_index), (error, error_message)) in acknowledged {
        let mut data =
            PartitionData { partition_index, error_code: error.code(), error_message, ..PartitionData::default() };
        if matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch) {
            let (leader_id, leader_epoch) = leaders.of(TopicRef::Id(topic), partition_index);
            data.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
        }
        topics.entry(topic).or_default().push(data);
    }
    let topic = |(topic_id, partitions)| ShareAcknowledgeTopicResponse { topic_id, partitions };
    let endpoint = |node: crate::endpoints::Endpoint| NodeEndpoint {
        node_id: node.id,
        host: node.host,
        port: node.port,
        rack: node.rack,
    };
    ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms,
        responses: topics.into_iter().map(topic).collect(),
        node_endpoints: leaders.endpoints().map(endpoint).collect(),
        ..ShareAcknowledgeResponse::default()
    }
}
