//! A small client that speaks the protocol as it is asked to, and knows nothing about retries.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use m::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_base::{Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions, batches};
use thalweg_sys::net::TcpStream;
use thalweg_wire::messages as m;
use thalweg_wire::{Codec as _, Reader, Request, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The largest answer that is read: more than any test asks for.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A connection that asks one thing at a time.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Client {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(addr: &str) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::connect(addr).await?, correlation_id: 0 })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When the connection ends, or the answer is malformed.
    pub async fn ask<Q: Request>(&mut self, request: &Q, version: i16) -> io::Result<Q::Response> {
        self.correlation_id += 1;
        let header = m::RequestHeader {
            request_api_key: Q::API.code(),
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("sim".into()),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer, Q::API.request_header_version(version)).map_err(malformed)?;
        request.encode(&mut writer, version).map_err(malformed)?;
        let body = writer.into_bytes();
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_u32(u32::try_from(body.len()).map_err(malformed)?);
        frame.extend_from_slice(&body);
        self.stream.write_all(&frame).await?;

        let len = usize::try_from(self.stream.read_i32().await?).map_err(malformed)?;
        if len > ANSWER_BYTES_MAX {
            return Err(io::Error::other(format!("an answer of {len} bytes")));
        }
        let mut answer = vec![0; len];
        self.stream.read_exact(&mut answer).await?;
        let mut reader = Reader::new(answer.into());
        m::ResponseHeader::decode(&mut reader, Q::API.response_header_version(version)).map_err(malformed)?;
        Q::Response::decode(&mut reader, version).map_err(malformed)
    }

    /// Creates a topic with one partition and these configs; gives its id.
    ///
    /// # Errors
    /// When the connection ends or the node refuses.
    pub async fn create_topic(&mut self, name: &str, configs: &[(&str, &str)]) -> io::Result<Uuid> {
        use m::create_topics_request::{CreatableTopic, CreatableTopicConfig};
        let config =
            |(name, value): &(&str, &str)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = m::CreateTopicsRequest { topics: vec![topic], ..m::CreateTopicsRequest::default() };
        let response = self.ask(&request, 7).await?;
        let topic = response.topics.first().ok_or(io::ErrorKind::InvalidData)?;
        refused(topic.error_code)?;
        Ok(topic.topic_id)
    }

    /// Appends one record to partition 0, with `acks=-1`; gives its offset.
    ///
    /// # Errors
    /// When the connection ends or the node refuses: then nobody knows whether the record is there.
    pub async fn produce(&mut self, topic: Uuid, value: &[u8]) -> io::Result<i64> {
        self.produce_keyed(topic, None, value).await
    }

    /// As [`Client::produce`], with a key.
    ///
    /// # Errors
    /// As [`Client::produce`].
    pub async fn produce_keyed(&mut self, topic: Uuid, key: Option<&[u8]>, value: &[u8]) -> io::Result<i64> {
        use m::produce_request::{PartitionProduceData, TopicProduceData};
        let mut batch = BatchBuilder::new(BatchOptions::default());
        batch.append(Timestamp(1), key, Some(value), &[]);
        let data = PartitionProduceData { index: 0, records: Some(batch.build().map_err(malformed)?) };
        let topic = TopicProduceData { topic_id: topic, partition_data: vec![data], ..TopicProduceData::default() };
        let request =
            m::ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..m::ProduceRequest::default() };
        let response = self.ask(&request, 13).await?;
        let answer = response.responses.first().and_then(|topic| topic.partition_responses.first());
        let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
        refused(answer.error_code)?;
        Ok(answer.base_offset)
    }

    /// Every record of partition 0, from the beginning.
    ///
    /// # Errors
    /// When the connection ends or the node refuses.
    pub async fn read_all(&mut self, topic: Uuid) -> io::Result<Vec<(i64, Bytes)>> {
        self.read_from(topic, 0).await
    }

    /// Every record of partition 0, from this offset on.
    ///
    /// # Errors
    /// When the connection ends or the node refuses.
    pub async fn read_from(&mut self, topic: Uuid, from: i64) -> io::Result<Vec<(i64, Bytes)>> {
        let mut found: Vec<(i64, Bytes)> = Vec::new();
        loop {
            let next = found.last().map_or(from, |(offset, _)| offset + 1);
            let records = self.fetch(topic, next).await?;
            let before = found.len();
            for batch in batches(records) {
                let Ok(batch) = batch else { break };
                batch.verify_crc().map_err(malformed)?;
                for record in batch.records(ANSWER_BYTES_MAX).map_err(malformed)? {
                    let record = record.map_err(malformed)?;
                    let offset = batch.header().offset_of(record.offset_delta).0;
                    if offset >= next {
                        found.push((offset, record.value.unwrap_or_default()));
                    }
                }
            }
            if found.len() == before {
                return Ok(found);
            }
        }
    }

    /// Commits an offset of partition 0 without being a member of the group; gives the error code of the answer.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn commit(&mut self, group: &str, topic_id: Uuid, offset: i64) -> io::Result<i16> {
        let partitions =
            vec![OffsetCommitRequestPartition { committed_offset: offset, ..OffsetCommitRequestPartition::default() }];
        let topics = vec![OffsetCommitRequestTopic { topic_id, partitions, ..OffsetCommitRequestTopic::default() }];
        let request = m::OffsetCommitRequest { group_id: group.into(), topics, ..m::OffsetCommitRequest::default() };
        let response = self.ask(&request, 10).await?;
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        Ok(answer.ok_or(io::ErrorKind::InvalidData)?.error_code)
    }

    /// The offset of the first record of partition 0 that is not older than `timestamp`.
    ///
    /// # Errors
    /// When the connection ends or the node refuses.
    pub async fn offset_at(&mut self, topic: &str, timestamp: i64) -> io::Result<i64> {
        use m::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let partitions = vec![ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() }];
        let topics = vec![ListOffsetsTopic { name: topic.into(), partitions }];
        let response = self.ask(&m::ListOffsetsRequest { topics, ..m::ListOffsetsRequest::default() }, 7).await?;
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
        refused(answer.error_code)?;
        Ok(answer.offset)
    }

    /// The log directories that partition 0 of a topic is in, and whether it is a copy there that is still being made.
    ///
    /// # Errors
    /// When the connection ends or the node refuses.
    pub async fn places(&mut self, topic: &str) -> io::Result<Vec<(String, bool)>> {
        let response = self.ask(&m::DescribeLogDirsRequest { topics: None }, 4).await?;
        let mut found = Vec::new();
        for dir in &response.results {
            let here = dir.topics.iter().filter(|found| *found.name == *topic).flat_map(|found| &found.partitions);
            found.extend(here.map(|partition| (dir.log_dir.to_string(), partition.is_future_key)));
        }
        Ok(found)
    }

    /// Begins to move partition 0 of a topic to the log directory `path`.
    ///
    /// # Errors
    /// When the connection ends or the node refuses.
    pub async fn move_to(&mut self, topic: &str, path: &str) -> io::Result<()> {
        use m::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
        let topic = AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![0] };
        let dir = AlterReplicaLogDir { path: path.into(), topics: vec![topic] };
        let response = self.ask(&m::AlterReplicaLogDirsRequest { dirs: vec![dir] }, 2).await?;
        let answer = response.results.first().and_then(|topic| topic.partitions.first());
        refused(answer.ok_or(io::ErrorKind::InvalidData)?.error_code)
    }

    async fn fetch(&mut self, topic: Uuid, from: i64) -> io::Result<Bytes> {
        use m::fetch_request::{FetchPartition, FetchTopic};
        let partition = FetchPartition {
            partition: 0,
            fetch_offset: from,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic_id: topic, partitions: vec![partition], ..FetchTopic::default() };
        let request =
            m::FetchRequest { max_wait_ms: 0, min_bytes: 0, topics: vec![topic], ..m::FetchRequest::default() };
        let response = self.ask(&request, 16).await?;
        refused(response.error_code)?;
        let answer = response.responses.first().and_then(|topic| topic.partitions.first());
        let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
        refused(answer.error_code)?;
        Ok(answer.records.as_ref().and_then(|records| records.here()).cloned().unwrap_or_default())
    }
}

/// What an error code of an answer means.
///
/// # Errors
/// When it is one: its text is Kafka's name of it.
pub fn refused(code: i16) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::other(thalweg_wire::ErrorCode::from(code).name())),
    }
}
