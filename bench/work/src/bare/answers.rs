//! What the least of brokers answers, API by API.

use std::sync::Arc;
use std::time::Duration;

use thalweg_wire::messages::api_versions_response::ApiVersion;
use thalweg_wire::messages::create_topics_response::CreatableTopicResult;
use thalweg_wire::messages::delete_topics_response::DeletableTopicResult;
use thalweg_wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use thalweg_wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use thalweg_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use thalweg_wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use thalweg_wire::messages::{
    ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    ProduceRequest, ProduceResponse,
};
use thalweg_wire::{ApiKey, ErrorCode, Records};

use super::log::{Appends, Logs};
use super::{Node, Piece};

/// The last versions that name topics by their names.
const SERVED: [(ApiKey, i16); 8] = [
    (ApiKey::Produce, 12),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 7),
    (ApiKey::Metadata, 9),
    (ApiKey::ApiVersions, 3),
    (ApiKey::CreateTopics, 7),
    (ApiKey::DeleteTopics, 5),
    (ApiKey::InitProducerId, 4),
];
const NODE_ID: i32 = 1;

pub fn api_versions() -> ApiVersionsResponse {
    let served = |(api, max_version): (ApiKey, i16)| ApiVersion {
        api_key: api.code(),
        min_version: *api.valid_versions().start(),
        max_version,
    };
    ApiVersionsResponse { api_keys: SERVED.map(served).into(), ..ApiVersionsResponse::default() }
}

pub fn metadata(node: &Node, request: &MetadataRequest) -> MetadataResponse {
    let named = request.topics.as_ref().map(|topics| topics.iter().filter_map(|topic| topic.name.clone()).collect());
    let names = named.unwrap_or_else(|| node.logs.names());
    let partition = |index: usize| MetadataResponsePartition {
        partition_index: index as i32,
        leader_id: NODE_ID,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        ..MetadataResponsePartition::default()
    };
    let topic = |name: bytestring::ByteString| {
        let partitions: Vec<_> = (0..node.logs.partitions(&name)).map(partition).collect();
        let error = if partitions.is_empty() { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
        MetadataResponseTopic {
            error_code: error.code(),
            name: Some(name),
            partitions,
            ..MetadataResponseTopic::default()
        }
    };
    let broker =
        MetadataResponseBroker { node_id: NODE_ID, host: "127.0.0.1".into(), port: i32::from(node.port), rack: None };
    let topics = names.into_iter().map(topic).collect();
    MetadataResponse { brokers: vec![broker], controller_id: NODE_ID, topics, ..MetadataResponse::default() }
}

pub fn create(logs: &Logs, request: &CreateTopicsRequest) -> Result<CreateTopicsResponse, String> {
    let topics = request.topics.iter().map(|topic| {
        logs.create(&topic.name, topic.num_partitions)?;
        let num_partitions = topic.num_partitions;
        Ok(CreatableTopicResult { name: topic.name.clone(), num_partitions, ..CreatableTopicResult::default() })
    });
    Ok(CreateTopicsResponse { topics: topics.collect::<Result<_, String>>()?, ..CreateTopicsResponse::default() })
}

pub fn delete(logs: &Logs, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let deleted = request.topic_names.iter().map(|name| {
        logs.delete(name);
        DeletableTopicResult { name: Some(name.clone()), ..DeletableTopicResult::default() }
    });
    DeleteTopicsResponse { responses: deleted.collect(), ..DeleteTopicsResponse::default() }
}

pub fn list_offsets(logs: &Logs, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let log = logs.get(&topic.name, partition.partition_index);
            let error = if log.is_none() { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::None };
            // -1 asks for the end; all else is the beginning.
            let offset = log.filter(|_| partition.timestamp == -1).map_or(0, |log| log.end());
            ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                error_code: error.code(),
                offset,
                ..ListOffsetsPartitionResponse::default()
            }
        });
        ListOffsetsTopicResponse { name: topic.name.clone(), partitions: partitions.collect() }
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

pub fn produce(logs: &Logs, request: ProduceRequest, appends: &mut Appends<'_>) -> Result<ProduceResponse, String> {
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for partition in topic.partition_data {
            let mut response = PartitionProduceResponse { index: partition.index, ..Default::default() };
            match (logs.get(&topic.name, partition.index), partition.records) {
                (Some(log), Some(batch)) => response.base_offset = appends.add(&log, batch)?,
                _ => response.error_code = ErrorCode::UnknownTopicOrPartition.code(),
            }
            partition_responses.push(response);
        }
        responses.push(TopicProduceResponse { name: topic.name, partition_responses, ..Default::default() });
    }
    Ok(ProduceResponse { responses, ..ProduceResponse::default() })
}

/// Waits as long as the request allows for something to answer with.
pub fn fetch(logs: &Logs, request: &FetchRequest) -> (FetchResponse, Vec<Piece>) {
    let patience = Duration::from_millis(request.max_wait_ms.clamp(0, 60_000) as u64);
    logs.wait(patience, || {
        let answer = fetch_now(logs, request);
        let found = !answer.1.is_empty() || answer.0.responses.is_empty();
        (answer, found)
    })
}

fn fetch_now(logs: &Logs, request: &FetchRequest) -> (FetchResponse, Vec<Piece>) {
    let (mut pieces, mut room) = (Vec::new(), request.max_bytes.max(0) as usize);
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let mut data = PartitionData { partition_index: partition.partition, ..PartitionData::default() };
            if let Some(log) = logs.get(&topic.topic, partition.partition) {
                let max = room.min(partition.partition_max_bytes.max(0) as usize);
                let (position, len) = log.find(partition.fetch_offset, max);
                (data.high_watermark, data.last_stable_offset) = (log.end(), log.end());
                data.records = Some(Records::Elsewhere(len));
                room = room.saturating_sub(len);
                if len > 0 {
                    pieces.push(Piece { log: Arc::clone(&log), position, len });
                }
            } else {
                data.error_code = ErrorCode::UnknownTopicOrPartition.code();
            }
            partitions.push(data);
        }
        responses.push(FetchableTopicResponse { topic: topic.topic.clone(), partitions, ..Default::default() });
    }
    (FetchResponse { responses, ..FetchResponse::default() }, pieces)
}
