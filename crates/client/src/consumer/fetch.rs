//! Fetching: one request on its way to each node that has something to read.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use thalweg_base::{LeaderEpoch, NodeId, Offset, ProducerId, TopicPartition, Uuid};
use thalweg_sys::task::{JoinHandle, spawn};
use thalweg_sys::time::now;
use thalweg_wire::messages::fetch_response::PartitionData;
use thalweg_wire::messages::{FetchRequest, FetchResponse};
use thalweg_wire::{ApiKey, ErrorCode};

use super::Consumer;
use super::chunk::Chunk;
use super::session::{TopicKey, Want, Wants};
use crate::{Client, Destination, Error, Lane};

/// The first version that names topics by id.
const IDS_SINCE: i16 = 13;

/// What came of a fetch.
pub(super) type Answer = Result<FetchResponse, Error>;

/// What was asked about a partition.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// How often it had been sought.
    seeks: u64,
    offset: Offset,
    leader_epoch: LeaderEpoch,
}

/// A fetch on its way.
#[derive(Debug)]
pub(super) struct Flight {
    task: JoinHandle<Answer>,
    /// The partitions of its session.
    asked: BTreeMap<(TopicKey, i32), Asked>,
}

impl Flight {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let gone = || Error::Unreachable { tried: Arc::default() };
        Pin::new(&mut self.task).poll(cx).map(|answer| answer.unwrap_or_else(|_| Err(gone())))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consumer {
    /// Sends a fetch to each node that has none on its way, if all that is read from it has room for more: a node that was
    /// asked about the others only would make these wait for it.
    pub(super) fn begin_fetches(&mut self) {
        if self.partitions.buffered() >= bytes(self.config.fetch_bytes_max) {
            return;
        }
        for (node, wants) in self.wants_by_node() {
            if self.flights.contains_key(&node) {
                continue;
            }
            let mut request = FetchRequest {
                replica_id: -1,
                max_wait_ms: i32::try_from(self.config.fetch_wait_max.as_millis()).unwrap_or(i32::MAX),
                min_bytes: self.config.fetch_bytes_min,
                max_bytes: self.config.fetch_bytes_max,
                isolation_level: self.config.isolation.code(),
                rack_id: self.config.client.rack.as_deref().unwrap_or_default().into(),
                ..FetchRequest::default()
            };
            self.sessions.entry(node).or_default().fill(&mut request, &wants);
            let asked = wants.into_iter().filter_map(|(key, want)| {
                let partition = TopicPartition { topic: Arc::clone(&key.0.0), partition: key.1 };
                let seeks = self.partitions.assigned.get(&partition)?.seeks;
                Some((key, Asked { seeks, offset: want.offset, leader_epoch: want.leader_epoch }))
            });
            let asked: BTreeMap<_, _> = asked.collect();
            let by_name = asked.keys().any(|((_, id), _)| id.is_zero());
            let task = spawn(fetch(self.client.clone(), node, request, by_name));
            self.flights.insert(node, Flight { task, asked });
        }
    }

    /// What can be fetched now, without the nodes of which a partition has no room.
    fn wants_by_node(&self) -> BTreeMap<NodeId, Wants> {
        let cluster = self.client.cluster();
        let at = now();
        let mut by_node: BTreeMap<NodeId, Wants> = BTreeMap::new();
        let mut full = Vec::new();
        for (partition, assigned) in &self.partitions.assigned {
            let is_due = assigned.not_before.is_none_or(|not_before| not_before <= at);
            if assigned.start.is_some() || assigned.paused || !is_due {
                continue;
            }
            let Some(topic) = cluster.topics.get(&partition.topic) else { continue };
            let Some(known) = cluster.partition(&partition.topic, partition.partition) else { continue };
            let replica = assigned.replica.filter(|(node, until)| at < *until && cluster.nodes.contains_key(node));
            let Some(node) = replica.map(|(node, _)| node).or(known.leader) else { continue };
            if assigned.is_unvalidated(known.leader_epoch) {
                continue;
            }
            if assigned.buffered() >= bytes(self.config.partition_bytes_max) {
                full.push(node);
            }
            let want = Want {
                offset: assigned.fetch_offset(),
                leader_epoch: if replica.is_some() { LeaderEpoch::NONE } else { known.leader_epoch },
                bytes_max: self.config.partition_bytes_max,
            };
            let key = ((Arc::clone(&partition.topic), topic.id), partition.partition);
            by_node.entry(node).or_default().insert(key, want);
        }
        for node in full {
            by_node.remove(&node);
        }
        by_node
    }

    /// Takes over what a fetch brought.
    pub(super) fn fetched(&mut self, node: NodeId, flight: &Flight, answer: Answer) -> Result<(), Error> {
        let session = self.sessions.entry(node).or_default();
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                session.restart();
                self.client.mark_outdated();
                self.put_off(flight);
                return if error.is_retriable() { Ok(()) } else { Err(error) };
            }
        };
        let code = ErrorCode::from(response.error_code);
        if code.is_error() {
            session.restart();
            self.put_off(flight);
            return Ok(());
        }
        session.answered(response.session_id);
        let mut failure = None;
        for topic in response.responses {
            let Some(key) = asked_topic(flight, &topic.topic, topic.topic_id) else { continue };
            for data in topic.partitions {
                let Some(asked) = flight.asked.get(&(key.clone(), data.partition_index)).copied() else { continue };
                let partition = TopicPartition { topic: Arc::clone(&key.0), partition: data.partition_index };
                if let Err(error) = self.partition_fetched(&partition, asked, data) {
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// After a failure nothing is fetched of the same partitions for a moment.
    fn put_off(&mut self, flight: &Flight) {
        let until = now() + self.config.client.retry.initial;
        for (topic, partition) in flight.asked.keys() {
            let partition = TopicPartition { topic: Arc::clone(&topic.0), partition: *partition };
            if let Some(assigned) = self.partitions.assigned.get_mut(&partition) {
                assigned.not_before = Some(until);
            }
        }
    }

    fn partition_fetched(
        &mut self,
        partition: &TopicPartition,
        asked: Asked,
        data: PartitionData,
    ) -> Result<(), Error> {
        let until = now() + self.config.client.retry.initial;
        let replica_until = now() + self.config.client.metadata_max_age;
        let Some(assigned) = self.partitions.assigned.get_mut(partition) else { return Ok(()) };
        if (assigned.seeks, assigned.fetch_offset()) != (asked.seeks, asked.offset) {
            return Ok(());
        }
        match ErrorCode::from(data.error_code) {
            ErrorCode::None => {}
            ErrorCode::OffsetOutOfRange if assigned.replica.take().is_some() => return Ok(()),
            // What was fetched before comes first.
            ErrorCode::OffsetOutOfRange if !assigned.chunks.is_empty() => return Ok(()),
            ErrorCode::OffsetOutOfRange => return self.reset(partition),
            code if code.is_retriable() && code != ErrorCode::CorruptMessage => {
                assigned.not_before = Some(until);
                assigned.replica = None;
                self.client.mark_outdated();
                return Ok(());
            }
            code => {
                assigned.not_before = Some(until);
                return Err(Error::Partition { partition: partition.clone(), code });
            }
        }
        assigned.not_before = None;
        assigned.validated = assigned.validated.max(asked.leader_epoch);
        assigned.high_watermark = Some(Offset(data.high_watermark));
        assigned.log_start = (data.log_start_offset >= 0).then_some(Offset(data.log_start_offset));
        if data.preferred_read_replica >= 0 {
            assigned.replica = Some((NodeId(data.preferred_read_replica), replica_until));
        }
        let records = data.records.as_ref().and_then(|records| records.here()).cloned().unwrap_or_default();
        if records.is_empty() {
            return Ok(());
        }
        let aborted = data.aborted_transactions.unwrap_or_default();
        let aborted = aborted.iter().map(|txn| (Offset(txn.first_offset), ProducerId(txn.producer_id))).collect();
        match Chunk::new(records.clone(), aborted) {
            Some(chunk) => assigned.chunks.push_back(chunk),
            None => {
                assigned.not_before = Some(until);
                let offset = assigned.position;
                let source = match thalweg_records::BatchView::parse(&records) {
                    Err(source) => source,
                    Ok(_) => thalweg_records::BatchError::Record("a fetch holds no whole batch"),
                };
                return Err(Error::Batch { partition: partition.clone(), offset, source: Box::new(source) });
            }
        }
        Ok(())
    }
}

/// The topic of an answer, which names it by name or by id.
fn asked_topic<'a>(flight: &'a Flight, name: &str, id: Uuid) -> Option<&'a TopicKey> {
    let topics = flight.asked.keys().map(|(topic, _)| topic);
    topics.into_iter().find(|(known, known_id)| if name.is_empty() { *known_id == id } else { **known == *name })
}

async fn fetch(client: Client, node: NodeId, request: FetchRequest, by_name: bool) -> Answer {
    let deadline = now() + client.config().request_timeout;
    let connection = client.connection(&Destination::Node(node), Lane::Fetches, deadline).await?;
    let version = connection.version(ApiKey::Fetch)?;
    let version = if by_name { version.min(IDS_SINCE - 1) } else { version };
    connection.send_at(&request, version, deadline).await
}

fn bytes(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}
