//! The share consumer: a member of a share group, which shares partitions as a queue (KIP-932).

mod acknowledgements;
mod membership;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use thalweg_base::{NodeId, Offset, TopicPartition, Uuid};
use thalweg_sys::task::{JoinHandle, spawn};
use thalweg_sys::time::{Instant, now, sleep_until};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::share_acknowledge_request::{AcknowledgePartition, AcknowledgeTopic};
use thalweg_wire::messages::share_fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use thalweg_wire::messages::{ShareAcknowledgeRequest, ShareFetchRequest, ShareFetchResponse};

use crate::consumer::ConsumerRecord;
use crate::{Client, ConsumerConfig, Destination, Error, Lane};
pub use acknowledgements::Acknowledge;
use acknowledgements::Acknowledgements;
use membership::Membership;

/// The epoch of the first request of a session, which names all its partitions.
const OPENING: i32 = 0;
/// The epoch of the last request of a session.
const CLOSING: i32 = -1;

/// A record that was acquired.
#[derive(Clone, Debug)]
pub struct ShareRecord {
    /// The record.
    pub record: ConsumerRecord,
    /// How often it has been delivered, this time included.
    pub delivery_count: i16,
}

/// Reads records as a member of a share group. Each record is for this member alone until it is acknowledged or its lock
/// ends, after `group.share.record.lock.duration.ms`.
///
/// Records of one poll that are not acknowledged otherwise are accepted at the next poll, or when the consumer is closed.
///
/// ```no_run
/// use std::time::Duration;
/// use thalweg_client::{Acknowledge, ConsumerConfig, Properties, ShareConsumer};
/// use thalweg_sys::time::now;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let properties = Properties::from_iter([("bootstrap.servers", "localhost:9092"), ("group.id", "jobs")]);
/// let mut consumer = ShareConsumer::new(ConsumerConfig::from_properties(&properties)?)?;
/// consumer.subscribe(["tasks"]);
/// for record in consumer.poll(now() + Duration::from_secs(1)).await? {
///     if record.delivery_count > 3 {
///         consumer.acknowledge(&record, Acknowledge::Reject);
///     }
/// }
/// consumer.close(now() + Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ShareConsumer {
    client: Client,
    config: ConsumerConfig,
    group: String,
    membership: Option<Membership>,
    /// One for each node that partitions are fetched from.
    sessions: BTreeMap<NodeId, Session>,
    /// At most one for each node.
    flights: BTreeMap<NodeId, JoinHandle<Result<ShareFetchResponse, Error>>>,
    /// What is to be said of records that were acquired, at most `max.poll.records` of each node.
    acknowledgements: Acknowledgements,
    /// After a failure nothing is fetched before.
    not_before: Option<Instant>,
}

/// What a node knows of this consumer.
#[derive(Clone, Debug, Default)]
struct Session {
    epoch: i32,
    partitions: BTreeSet<TopicPartition>,
}

impl ShareConsumer {
    /// A consumer of the group `group.id`. Nothing is sent before it subscribes.
    ///
    /// # Errors
    /// When there is no `group.id`.
    pub fn new(config: ConsumerConfig) -> Result<Self, Error> {
        let group = config.group.as_ref().ok_or(Error::State("the consumer has no group.id"))?.id.clone();
        Ok(Self {
            client: Client::new(config.client.clone()),
            config,
            group,
            membership: None,
            sessions: BTreeMap::new(),
            flights: BTreeMap::new(),
            acknowledgements: Acknowledgements::default(),
            not_before: None,
        })
    }

    /// Joins the group, if that is not done, and reads these topics.
    pub fn subscribe<T: Into<String>>(&mut self, topics: impl IntoIterator<Item = T>) {
        let topics: BTreeSet<String> = topics.into_iter().map(Into::into).collect();
        match &self.membership {
            Some(membership) => membership.subscribe(topics),
            None => self.membership = Some(Membership::join(self.client.clone(), self.group.clone(), topics)),
        }
    }

    /// Says what is to become of a record of the last poll.
    pub fn acknowledge(&mut self, record: &ShareRecord, how: Acknowledge) {
        let partition = TopicPartition::new(Arc::clone(&record.record.topic), record.record.partition);
        self.acknowledgements.set(&partition, record.record.offset, how);
    }

    /// The records that brokers have for this member, as soon as there are some; none if there are none by `deadline`.
    ///
    /// # Errors
    /// When the group or a partition refuses. Whatever may be better later is tried again in silence.
    pub async fn poll(&mut self, deadline: Instant) -> Result<Vec<ShareRecord>, Error> {
        loop {
            if let Some(error) = self.membership.as_ref().and_then(Membership::failure) {
                return Err(error);
            }
            self.begin().await?;
            let until = self.not_before.filter(|at| *at > now()).map_or(deadline, |at| at.min(deadline));
            // A member without partitions looks again soon whether it has some.
            let until = if self.flights.is_empty() { until.min(now() + membership::LOOK_AGAIN) } else { until };
            let landed = tokio::select! {
                biased;
                landed = std::future::poll_fn(|cx| self.poll_flights(cx)) => Some(landed),
                () = sleep_until(until) => None,
            };
            if let Some((node, answer)) = landed {
                let records = self.landed(node, answer)?;
                if !records.is_empty() {
                    return Ok(records);
                }
            }
            if now() >= deadline {
                return Ok(Vec::new());
            }
        }
    }

    fn poll_flights(&mut self, cx: &mut Context<'_>) -> Poll<(NodeId, Result<ShareFetchResponse, Error>)> {
        for (node, flight) in &mut self.flights {
            if let Poll::Ready(answer) = Pin::new(flight).poll(cx) {
                let (node, gone) = (*node, || Error::Unreachable { tried: Arc::default() });
                self.flights.remove(&node);
                return Poll::Ready((node, answer.unwrap_or_else(|_| Err(gone()))));
            }
        }
        Poll::Pending
    }

    /// Sends a fetch to each node that leads partitions of this member and has none on its way.
    async fn begin(&mut self) -> Result<(), Error> {
        if self.not_before.is_some_and(|at| now() < at) {
            return Ok(());
        }
        self.not_before = None;
        let Some(membership) = &self.membership else { return Ok(()) };
        let (member, assigned) = membership.assignment();
        if assigned.is_empty() && self.sessions.is_empty() {
            return Ok(());
        }
        let topics: BTreeSet<&str> = assigned.iter().map(|partition| &*partition.topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let cluster = match self.client.topics(&topics, self.client.api_deadline()).await {
            Ok(cluster) => cluster,
            Err(error) if error.is_retriable() => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut by_node: BTreeMap<NodeId, BTreeSet<TopicPartition>> = BTreeMap::new();
        for partition in assigned {
            let known = cluster.partition(&partition.topic, partition.partition);
            match known.and_then(|known| known.leader) {
                Some(leader) => {
                    by_node.entry(leader).or_default().insert(partition);
                }
                None => self.put_off(),
            }
        }
        // A node that leads none of them any more is told so.
        for node in self.sessions.keys() {
            by_node.entry(*node).or_default();
        }
        for (node, partitions) in by_node {
            let is_idle =
                partitions.is_empty() && self.sessions.get(&node).is_none_or(|held| held.partitions.is_empty());
            if is_idle || self.flights.contains_key(&node) {
                continue;
            }
            let request = self.request(node, &member, partitions);
            let client = self.client.clone();
            self.flights.insert(node, spawn(fetch(client, node, request)));
        }
        Ok(())
    }

    /// The next request of a session: all its partitions, with what is to be said of records.
    fn request(&mut self, node: NodeId, member: &str, partitions: BTreeSet<TopicPartition>) -> ShareFetchRequest {
        let cluster = self.client.cluster();
        let id = |topic: &str| cluster.topics.get(topic).map_or(Uuid::ZERO, |topic| topic.id);
        let session = self.sessions.entry(node).or_default();
        // Before a session begins nothing can be said of its records.
        let mut said = self.acknowledgements.take(node, session.epoch != OPENING);
        let gone: Vec<TopicPartition> = session.partitions.difference(&partitions).cloned().collect();
        let mut topics: BTreeMap<Arc<str>, Vec<FetchPartition>> = BTreeMap::new();
        for partition in &partitions {
            topics.entry(Arc::clone(&partition.topic)).or_default().push(FetchPartition {
                partition_index: partition.partition,
                acknowledgement_batches: said.remove(partition).map(acknowledgements::in_fetch).unwrap_or_default(),
                ..FetchPartition::default()
            });
        }
        let forgotten = gone
            .iter()
            .map(|partition| ForgottenTopic { topic_id: id(&partition.topic), partitions: vec![partition.partition] });
        let request = ShareFetchRequest {
            group_id: Some(self.group.as_str().into()),
            member_id: Some(member.into()),
            share_session_epoch: session.epoch,
            max_wait_ms: i32::try_from(self.config.fetch_wait_max.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.config.fetch_bytes_min,
            max_bytes: self.config.fetch_bytes_max,
            max_records: i32::try_from(self.config.poll_records_max).unwrap_or(i32::MAX),
            batch_size: i32::try_from(self.config.poll_records_max).unwrap_or(i32::MAX),
            topics: topics
                .into_iter()
                .map(|(topic, partitions)| FetchTopic { topic_id: id(&topic), partitions })
                .collect(),
            forgotten_topics_data: if session.epoch == OPENING { Vec::new() } else { forgotten.collect() },
            ..ShareFetchRequest::default()
        };
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        session.partitions = partitions;
        request
    }

    fn put_off(&mut self) {
        self.client.mark_outdated();
        self.not_before = Some(now() + self.config.client.retry.initial);
    }

    /// Takes over what a fetch brought.
    fn landed(&mut self, node: NodeId, answer: Result<ShareFetchResponse, Error>) -> Result<Vec<ShareRecord>, Error> {
        let refused = |code| Error::Coordinator {
            destination: Destination::Node(node),
            api: crate::error::Api(thalweg_wire::ApiKey::ShareFetch),
            code,
        };
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                self.forget(node);
                return if error.is_retriable() { Ok(Vec::new()) } else { Err(error) };
            }
        };
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => {}
            code => {
                self.forget(node);
                let is_session = matches!(code, ErrorCode::ShareSessionNotFound | ErrorCode::InvalidShareSessionEpoch);
                return if is_session || code.is_retriable() { Ok(Vec::new()) } else { Err(refused(code)) };
            }
        }
        let cluster = self.client.cluster();
        let mut records = Vec::new();
        let mut failure = None;
        for topic in response.responses {
            let Some(name) = cluster.topic_name(topic.topic_id) else { continue };
            for data in topic.partitions {
                let partition = TopicPartition::new(Arc::clone(name), data.partition_index);
                match ErrorCode::from(data.error_code) {
                    ErrorCode::None => {}
                    code if code.is_retriable() || code == ErrorCode::UnknownTopicId => {
                        self.put_off();
                        continue;
                    }
                    code => {
                        failure.get_or_insert(Error::Partition { partition, code });
                        continue;
                    }
                }
                let read = records::acquired(&partition, &data, self.config.check_crcs, self.config.batch_bytes_max);
                let read = match read {
                    Ok(read) => read,
                    // What other partitions gave is handed over all the same: it would count as accepted otherwise.
                    Err(error) => {
                        failure.get_or_insert(error);
                        continue;
                    }
                };
                for (offset, found) in read {
                    let how = if found.is_some() { Acknowledge::Accept } else { Acknowledge::Gap };
                    self.acknowledgements.add(node, &partition, offset, how);
                    records.extend(found);
                }
            }
        }
        match failure {
            Some(error) if records.is_empty() => Err(error),
            _ => Ok(records),
        }
    }

    /// A node's session has ended: what it has locked for this member becomes free in time.
    fn forget(&mut self, node: NodeId) {
        self.sessions.remove(&node);
        self.acknowledgements.drop_node(node);
        self.put_off();
    }

    /// Says what is to become of the records that polls gave; those without another word are accepted.
    ///
    /// # Errors
    /// When a node does not answer by `deadline`, or refuses.
    pub async fn commit(&mut self, deadline: Instant) -> Result<(), Error> {
        self.acknowledge_all(deadline, None).await
    }

    /// Commits, and leaves the group.
    ///
    /// # Errors
    /// As [`ShareConsumer::commit`]. The group is left in any case.
    pub async fn close(mut self, deadline: Instant) -> Result<(), Error> {
        // What a fetch that is on its way acquires is freed with the end of its session.
        self.flights.clear();
        let committed = self.acknowledge_all(deadline, Some(CLOSING)).await;
        if let Some(membership) = self.membership.take() {
            membership.leave(deadline).await;
        }
        committed
    }

    async fn acknowledge_all(&mut self, deadline: Instant, epoch: Option<i32>) -> Result<(), Error> {
        let Some(membership) = &self.membership else { return Ok(()) };
        let (member, _) = membership.assignment();
        let mut result = Ok(());
        for node in self.sessions.keys().copied().collect::<Vec<_>>() {
            let said = self.acknowledgements.take(node, true);
            let Some(session) = self.sessions.get_mut(&node) else { continue };
            if said.is_empty() && epoch.is_none() || session.epoch == OPENING {
                continue;
            }
            let cluster = self.client.cluster();
            let mut topics: BTreeMap<Uuid, Vec<AcknowledgePartition>> = BTreeMap::new();
            for (partition, offsets) in said {
                let id = cluster.topics.get(&partition.topic).map_or(Uuid::ZERO, |topic| topic.id);
                topics.entry(id).or_default().push(AcknowledgePartition {
                    partition_index: partition.partition,
                    acknowledgement_batches: acknowledgements::in_acknowledge(offsets),
                });
            }
            let request = ShareAcknowledgeRequest {
                group_id: Some(self.group.as_str().into()),
                member_id: Some(member.as_str().into()),
                share_session_epoch: epoch.unwrap_or(session.epoch),
                topics: topics
                    .into_iter()
                    .map(|(topic_id, partitions)| AcknowledgeTopic { topic_id, partitions })
                    .collect(),
                ..ShareAcknowledgeRequest::default()
            };
            session.epoch = session.epoch.checked_add(1).unwrap_or(1);
            if let Err(error) = self.send_acknowledgements(node, &request, deadline).await {
                self.forget(node);
                result = result.and(Err(error));
            }
        }
        result
    }

    async fn send_acknowledgements(
        &self,
        node: NodeId,
        request: &ShareAcknowledgeRequest,
        deadline: Instant,
    ) -> Result<(), Error> {
        let destination = Destination::Node(node);
        let connection = self.client.connection(&destination, Lane::Fetches, deadline).await?;
        let response = connection.send(request, deadline).await?;
        let cluster = self.client.cluster();
        let code = ErrorCode::from(response.error_code);
        if code.is_error() {
            let api = crate::error::Api(thalweg_wire::ApiKey::ShareAcknowledge);
            return Err(Error::Coordinator { destination, api, code });
        }
        for topic in &response.responses {
            for data in &topic.partitions {
                let code = ErrorCode::from(data.error_code);
                if code.is_error() {
                    let name = cluster.topic_name(topic.topic_id).cloned().unwrap_or_default();
                    let partition = TopicPartition::new(name, data.partition_index);
                    return Err(Error::Partition { partition, code });
                }
            }
        }
        Ok(())
    }
}

impl Drop for ShareConsumer {
    fn drop(&mut self) {
        for flight in self.flights.values() {
            flight.abort();
        }
    }
}

async fn fetch(client: Client, node: NodeId, request: ShareFetchRequest) -> Result<ShareFetchResponse, Error> {
    let deadline = now() + client.config().request_timeout;
    let connection = client.connection(&Destination::Node(node), Lane::Fetches, deadline).await?;
    connection.send(&request, deadline).await
}

/// Orders offsets with what is said of them.
type Said = BTreeMap<Offset, Acknowledge>;
