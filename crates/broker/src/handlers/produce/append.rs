//! Checks each batch of a request, appends it, and waits until enough replicas have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_access::quotas::QuotaKind;
use thalweg_metadata::topic_name;
use thalweg_network::{Frame, Reply};
use thalweg_records::BatchHeader;
use thalweg_records::validate::Invalid;
use thalweg_replica::{Ack, Acks, TopicRef};
use thalweg_storage::{Flush, Origin};
use thalweg_sys::time::{Duration, now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::produce_request::{ProduceRequest, TopicProduceData};
use thalweg_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use tracing::debug;

use super::guards::{Guards, failed};
use crate::call::Call;
use crate::drivers::acknowledged::Awaited;
use crate::drivers::partition::{AppendRefused, Appended, Partition};
use crate::endpoints::Leaders;

/// From this version on topics are named by id (KIP-516).
const BY_ID: i16 = 13;
/// From this version on clients understand errors of single records (KIP-467).
const RECORD_ERRORS: i16 = 8;
/// From this version on clients understand the current leader (KIP-951).
const CURRENT_LEADER: i16 = 10;
/// The client id of Kafka's own admin client, which alone may write to internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// An append that waits for the disk or for replicas, and where it stands in the answer.
struct Waiting {
    topic: usize,
    partition: usize,
    append: Awaited,
}

pub(super) fn append_and_reply(call: Call, request: ProduceRequest, guards: &Guards) -> Reply {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let no_answer = request.acks == 0;
    // The connection is muted now: it may have sent more already.
    let quotas = &call.broker.quotas;
    let throttle_ms = match quotas.is_idle() {
        true => 0,
        false => quotas.record(QuotaKind::Produce, call.user(), call.request_bytes as f64, call.broker.moment()),
    };
    call.mute(throttle_ms);
    let (mut response, waiting) = append_all(&call, request, guards);
    response.throttle_time_ms = i32::try_from(throttle_ms).unwrap_or(i32::MAX);
    if no_answer {
        return match first_error(&response) {
            Some(error) => Reply::Close(format!("a produce with acks=0 failed: {}", error.name())),
            None if call.amendment.is_some() => Reply::Close("a produce with acks=0 was refused in part".to_owned()),
            None => Reply::Nothing,
        };
    }
    if waiting.is_empty() {
        return Reply::Now(finish(&call, response));
    }
    let deadline = now() + timeout;
    let partitions = response.responses.iter().map(|topic| topic.partition_responses.len()).sum::<usize>();
    let bytes = partitions * size_of::<PartitionProduceResponse>() + waiting.len() * size_of::<Waiting>();
    let answer = async move {
        for Waiting { topic, partition, append } in waiting {
            let error = append.acknowledged(deadline).await;
            if error != ErrorCode::None {
                response.responses[topic].partition_responses[partition] = failed(append.place.id.partition, error);
            }
        }
        finish(&call, response)
    };
    Reply::Parked(Box::pin(answer), bytes)
}

/// Appends every batch. Says which of them wait for replicas.
fn append_all(call: &Call, request: ProduceRequest, guards: &Guards) -> (ProduceResponse, Vec<Waiting>) {
    let acks = match request.acks {
        0 | 1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    };
    let mut waiting = Vec::new();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    // A transaction belongs to an id; without one Kafka takes nothing of the request.
    let nameless = request.transactional_id.is_none() && has_transactional(&request);
    for topic in grouped(request.topic_data) {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for data in &topic.partition_data {
            let place = find(call, &topic, data.index);
            let appended = match (acks, place) {
                (_, _) if nameless => Err(failed(data.index, ErrorCode::TransactionalIdAuthorizationFailed)),
                (None, _) => Err(failed(data.index, ErrorCode::InvalidRequiredAcks)),
                (_, Err(error)) => Err(failed(data.index, error)),
                (Some(acks), Ok(place)) => {
                    append(call, &place, data.records.clone(), acks, guards).map(|appended| (place, appended))
                }
            };
            partition_responses.push(match appended {
                Ok((place, appended)) => {
                    let acks = acks.unwrap_or(Acks::Leader);
                    if matches!(appended.ack, Ack::Unsynced | Ack::Waiting) {
                        let (topic, partition) = (responses.len(), partition_responses.len());
                        let append = Awaited { place, end: appended.end, epoch: appended.epoch, acks };
                        waiting.push(Waiting { topic, partition, append });
                    }
                    let error = match appended.ack {
                        Ack::NotEnoughReplicasAfterAppend => ErrorCode::NotEnoughReplicasAfterAppend,
                        Ack::Unsynced | Ack::Waiting | Ack::Committed => ErrorCode::None,
                    };
                    succeeded(data.index, &appended, error)
                }
                Err(failed) => failed,
            });
        }
        responses.push(TopicProduceResponse { name: topic.name, topic_id: topic.topic_id, partition_responses });
    }
    (ProduceResponse { responses, ..ProduceResponse::default() }, waiting)
}

/// Each topic once, each of its partitions once, and no topic without any: of data for a partition that a request names
/// several times only the last counts, as in Kafka.
fn grouped(topics: Vec<TopicProduceData>) -> Vec<TopicProduceData> {
    if matches!(&topics[..], [only] if only.partition_data.len() == 1) {
        return topics;
    }
    let mut grouped: Vec<TopicProduceData> = Vec::with_capacity(topics.len());
    let (mut topic_places, mut data_places) = (BTreeMap::new(), BTreeMap::new());
    for topic in topics {
        let at = *topic_places.entry((topic.name.clone(), topic.topic_id)).or_insert(grouped.len());
        if at == grouped.len() {
            grouped.push(TopicProduceData { name: topic.name, topic_id: topic.topic_id, partition_data: Vec::new() });
        }
        let known = &mut grouped[at].partition_data;
        for data in topic.partition_data {
            let place = *data_places.entry((at, data.index)).or_insert(known.len());
            if place == known.len() {
                known.push(data);
            } else {
                known[place] = data;
            }
        }
    }
    grouped.retain(|topic| !topic.partition_data.is_empty());
    grouped
}

pub(super) fn find(call: &Call, topic: &TopicProduceData, partition: i32) -> Result<Arc<Partition>, ErrorCode> {
    let name = if call.version >= BY_ID { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(&topic.name) };
    let place = call.broker.partitions.find(name, partition)?;
    if topic_name::is_internal(&place.id.topic) && call.client_id.as_deref() != Some(ADMIN_CLIENT) {
        return Err(ErrorCode::InvalidTopicException);
    }
    Ok(place)
}

fn append(
    call: &Call,
    place: &Arc<Partition>,
    records: Option<Bytes>,
    acks: Acks,
    guards: &Guards,
) -> Result<Appended, PartitionProduceResponse> {
    let index = place.id.partition;
    let records = records.unwrap_or_default();
    // A transactional id alone says nothing: it is the batch that belongs to a transaction or not.
    let guard = if is_transactional(&records) { Some(guards.of(place)?) } else { None };
    place.traffic.produce_asked();
    let bytes = records.len();
    let settings = place.settings();
    let now = call.broker.wall_clock();
    let validated = match call.version {
        7.. => call.broker.validate(records, &settings.rules, now),
        older => {
            let mut rules = settings.rules.clone();
            rules.produce_version = older;
            call.broker.validate(records, &rules, now)
        }
    };
    let mut validated = validated.map_err(|invalid| {
        call.broker.metrics.refused(&place.traffic, &invalid, bytes);
        refused(call, place, invalid)
    })?;
    let (batches, moment) = (&mut validated.batches, call.broker.moment());
    let appended = match &guard {
        None => place.append(batches, Origin::Client, acks, now, moment),
        Some(guard) => place.append_in_transaction(batches, guard, acks, now, moment),
    };
    let appended = appended.map_err(|refusal| match refusal {
        AppendRefused::Error(error) => failed(index, error),
        AppendRefused::Sequence(error, message) => {
            debug!(partition = %place.id, client = call.client_id.as_deref(), "a batch is refused: {message}");
            PartitionProduceResponse { log_start_offset: log_start(place), ..failed(index, error) }
        }
    })?;
    if appended.rolled {
        call.broker.maintenance.flush_soon(place, Flush::Finished);
    }
    Ok(appended)
}

pub(in crate::handlers) fn has_transactional(request: &ProduceRequest) -> bool {
    let mut data = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    data.any(|data| data.records.as_ref().is_some_and(is_transactional))
}

fn is_transactional(records: &Bytes) -> bool {
    BatchHeader::parse(records).is_ok_and(|header| header.attributes.is_transactional())
}

fn succeeded(index: i32, appended: &Appended, error: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: error.code(),
        base_offset: appended.base.0,
        log_append_time_ms: appended.log_append_time.map_or(-1, |time| time.0),
        log_start_offset: appended.log_start.0,
        ..PartitionProduceResponse::default()
    }
}

/// Where the log begins; -1 when there is none.
fn log_start(place: &Partition) -> i64 {
    place.with_log(|log| Ok(log.log_start())).map_or(-1, |start| start.0)
}

fn refused(call: &Call, place: &Partition, invalid: Invalid) -> PartitionProduceResponse {
    let mut response =
        PartitionProduceResponse { index: place.id.partition, base_offset: -1, ..PartitionProduceResponse::default() };
    response.error_code = invalid.kind.code();
    // Kafka tells where the log begins unless the bytes themselves are wrong or too many.
    let unlooked = [ErrorCode::CorruptMessage, ErrorCode::MessageTooLarge, ErrorCode::RecordListTooLarge];
    if !invalid.of_request && !unlooked.contains(&ErrorCode::from(response.error_code)) {
        response.log_start_offset = log_start(place);
    }
    if call.version >= RECORD_ERRORS {
        response.error_message = invalid.response_message().map(ByteString::from);
        let error = |(batch_index, message): (i32, String)| BatchIndexAndErrorMessage {
            batch_index,
            batch_index_error_message: Some(message.into()),
        };
        response.record_errors = invalid.record_errors.into_iter().map(error).collect();
    }
    response
}

fn first_error(response: &ProduceResponse) -> Option<ErrorCode> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|partition| ErrorCode::from(partition.error_code)).find(|error| *error != ErrorCode::None)
}

/// Names the current leaders where this node is not, and frames the answer.
fn finish(call: &Call, mut response: ProduceResponse) -> Frame {
    if call.version >= CURRENT_LEADER && first_error(&response).is_some() {
        let mut leaders = Leaders::new(call);
        for topic in &mut response.responses {
            let name = if call.version >= BY_ID { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(&topic.name) };
            for partition in &mut topic.partition_responses {
                if partition.error_code == ErrorCode::NotLeaderOrFollower.code() {
                    let (leader_id, leader_epoch) = leaders.of(name, partition.index);
                    partition.current_leader = LeaderIdAndEpoch { leader_id, leader_epoch };
                }
            }
        }
        let endpoint = |node: crate::endpoints::Endpoint| NodeEndpoint {
            node_id: node.id,
            host: node.host,
            port: node.port,
            rack: node.rack,
        };
        response.node_endpoints = leaders.endpoints().map(endpoint).collect();
    }
    call.answer(&response)
}
