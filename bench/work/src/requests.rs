//! Requests, as bytes: those of the pieces, and those that a node is asked.

use bytes::Bytes;
use thalweg_base::Timestamp;
use thalweg_records::{BatchBuilder, BatchOptions, Codec};
use thalweg_wire::messages::create_topics_request::CreatableTopic;
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use thalweg_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use thalweg_wire::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader,
};
use thalweg_wire::{ApiKey, Reader, Request, Writer};

/// The last versions that name topics by their names, so that a frame can be made without asking the node.
pub const PRODUCE_VERSION: i16 = 12;
/// As [`PRODUCE_VERSION`].
pub const FETCH_VERSION: i16 = 12;

/// A request that a node is asked over a connection, again and again, each when the one before is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The least that a request can be.
    ApiVersions,
    /// What a producer sends that does not linger.
    ProduceOne,
    /// What a Java producer sends under load.
    Produce16K,
    /// What a librdkafka producer sends under load.
    Produce100K,
    /// What a consumer at the end of a log gets.
    FetchOne,
    /// What a consumer in the middle of a log gets.
    Fetch100K,
}

impl Ask {
    /// Every request, in the order in which a node is asked them.
    pub const ALL: [Self; 6] =
        [Self::ApiVersions, Self::ProduceOne, Self::Produce16K, Self::Produce100K, Self::FetchOne, Self::Fetch100K];

    /// As the baseline names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiVersions => "api-versions",
            Self::ProduceOne => "produce-1",
            Self::Produce16K => "produce-16k",
            Self::Produce100K => "produce-100k",
            Self::FetchOne => "fetch-1",
            Self::Fetch100K => "fetch-100k",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ApiVersions => "ask which APIs there are",
            Self::ProduceOne => "produce one record of 100 B with acks=all",
            Self::Produce16K => "produce 16 records of 1 KiB with acks=all",
            Self::Produce100K => "produce 100 records of 1 KiB with acks=all",
            Self::FetchOne => "fetch one batch of one record of 100 B",
            Self::Fetch100K => "fetch one batch of 100 records of 1 KiB",
        }
    }

    /// How often it is asked while it is counted.
    pub fn times(self) -> u32 {
        match self {
            Self::Produce100K | Self::Fetch100K => 300,
            _ => 1000,
        }
    }

    /// The request as it goes over the wire.
    pub fn frame(self) -> Result<Bytes, String> {
        match self {
            Self::ApiVersions => frame(&ApiVersionsRequest::default(), 2),
            Self::ProduceOne => produce("one", &[batch(1, 100, Codec::default())?]),
            Self::Produce16K => produce("16k", &[batch(16, 1024, Codec::default())?]),
            Self::Produce100K => produce("100k", &[batch(100, 1024, Codec::default())?]),
            Self::FetchOne => fetch("one", 1, 50),
            Self::Fetch100K => fetch("100k", 1, 50_000),
        }
    }

    /// Whether the answer, without its length, is what was asked for.
    pub fn is_answered_by(self, answer: Bytes) -> bool {
        match self {
            Self::ApiVersions => answer.len() > 40,
            Self::ProduceOne | Self::Produce16K | Self::Produce100K => {
                let response: Option<ProduceResponse> = response(answer, ApiKey::Produce, PRODUCE_VERSION);
                let partitions = response.into_iter().flat_map(|r| r.responses).flat_map(|t| t.partition_responses);
                partitions.map(|partition| partition.error_code).eq([0])
            }
            Self::FetchOne | Self::Fetch100K => {
                let least = if self == Self::FetchOne { 100 } else { 100 << 10 };
                let response: Option<FetchResponse> = response(answer, ApiKey::Fetch, FETCH_VERSION);
                let partitions = response.into_iter().flat_map(|r| r.responses).flat_map(|t| t.partitions);
                partitions.map(|p| p.records.is_some_and(|records| records.len() > least)).eq([true])
            }
        }
    }
}

fn response<R: thalweg_wire::Codec>(answer: Bytes, api: ApiKey, version: i16) -> Option<R> {
    let mut reader = Reader::new(answer);
    ResponseHeader::decode(&mut reader, api.response_header_version(version)).ok()?;
    R::decode(&mut reader, version).ok()
}

/// Creates the topics of all requests, with one partition each.
pub fn create_topics() -> Result<Bytes, String> {
    let topic = |name: &&str| CreatableTopic {
        name: (*name).into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let topics = ["one", "16k", "100k"].iter().map(topic).collect();
    frame(&CreateTopicsRequest { topics, timeout_ms: 60_000, ..CreateTopicsRequest::default() }, 7)
}

/// A batch of so many records of so many bytes.
pub fn batch(records: usize, bytes: usize, codec: Codec) -> Result<Bytes, String> {
    let value: Vec<u8> = (0..bytes).map(|at| b'a' + (at % 26) as u8).collect();
    let mut builder = BatchBuilder::new(BatchOptions { codec, ..BatchOptions::default() });
    for _ in 0..records {
        builder.append(Timestamp(1), None, Some(&value), &[]);
    }
    builder.build().map_err(|e| e.to_string())
}

/// A produce request of a batch of 16 KiB for each of so many partitions.
pub fn produce_of(partitions: usize) -> Result<Bytes, String> {
    let batch = batch(16, 1024, Codec::default())?;
    produce("t", &vec![batch; partitions])
}

/// A fetch request of so many partitions.
pub fn fetch_of(partitions: i32) -> Result<Bytes, String> {
    fetch("t", partitions, 1 << 20)
}

fn produce(topic: &str, batches: &[Bytes]) -> Result<Bytes, String> {
    let data =
        |(index, batch): (usize, &Bytes)| PartitionProduceData { index: index as i32, records: Some(batch.clone()) };
    let partition_data = batches.iter().enumerate().map(data).collect();
    let topic = TopicProduceData { name: topic.into(), partition_data, ..TopicProduceData::default() };
    let request = ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..ProduceRequest::default() };
    frame(&request, PRODUCE_VERSION)
}

fn fetch(topic: &str, partitions: i32, partition_max_bytes: i32) -> Result<Bytes, String> {
    let partition = |partition| FetchPartition { partition, partition_max_bytes, ..FetchPartition::default() };
    let partitions = (0..partitions).map(partition).collect();
    let topic = FetchTopic { topic: topic.into(), partitions, ..FetchTopic::default() };
    let request = FetchRequest {
        session_epoch: -1,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    frame(&request, FETCH_VERSION)
}

fn frame<Q: Request>(request: &Q, version: i16) -> Result<Bytes, String> {
    let mut writer = Writer::new();
    let header = RequestHeader {
        request_api_key: Q::API.code(),
        request_api_version: version,
        client_id: Some("work".into()),
        ..RequestHeader::default()
    };
    let encoded = header.encode(&mut writer, Q::API.request_header_version(version));
    let encoded = encoded.and_then(|()| request.encode(&mut writer, version)).and_then(|()| writer.into_frame());
    encoded.map(|parts| parts.concat().into()).map_err(|e| e.to_string())
}
