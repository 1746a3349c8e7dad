//! The task that sends batches to one node, and takes its answers.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thalweg_base::{LeaderEpoch, NodeId, Offset, ProducerEpoch, Timestamp, TopicPartition};
use thalweg_sys::time::{Instant, now, sleep_until};
use thalweg_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use thalweg_wire::messages::produce_response::PartitionProduceResponse;
use thalweg_wire::messages::{ProduceRequest, ProduceResponse};
use thalweg_wire::{ApiKey, ErrorCode};
use tokio::sync::Notify;

use super::Shared;
use super::accumulator::{Sent, batch_options, percent_of};
use super::batch::{Batch, Identity, Outcome};
use super::config::Acks;
use crate::{Connection, Destination, Error, Lane};

/// The first version that names topics by id.
const IDS_SINCE: i16 = 13;
/// The last version before the one that adds partitions to transactions by itself (KIP-890).
const BEFORE_IMPLICIT_PARTITIONS: i16 = 11;

/// An answer that is waited for.
type Answer = Pin<Box<dyn Future<Output = Result<ProduceResponse, Error>> + Send>>;

/// Sends until the producer is closed and everything is sent.
pub(super) async fn run(shared: Arc<Shared>, node: NodeId, wake: Arc<Notify>) {
    let mut in_flight: VecDeque<(Vec<Sent>, Answer)> = VecDeque::new();
    loop {
        while in_flight.len() < shared.config.in_flight_max {
            let taken = {
                let cluster = shared.client.cluster();
                shared.accumulator.lock().take(&shared.config, &cluster, node)
            };
            if taken.is_empty() {
                break;
            }
            in_flight.extend(shared.send(node, taken).await);
        }
        let (done, ready_at) = {
            let cluster = shared.client.cluster();
            let accumulator = shared.accumulator.lock();
            let done = accumulator.closed && accumulator.is_idle();
            (done, accumulator.ready_at(&shared.config, &cluster, node))
        };
        if done {
            return;
        }
        let has_room = in_flight.len() < shared.config.in_flight_max;
        let front = in_flight.front_mut();
        tokio::select! {
            biased;
            answer = answered(front) => {
                if let Some((sent, _)) = in_flight.pop_front() {
                    shared.take_answer(sent, answer);
                }
            }
            () = wake.notified() => {}
            () = sleep_until(ready_at.unwrap_or_else(now)), if has_room && ready_at.is_some() => {}
        }
    }
}

async fn answered(front: Option<&mut (Vec<Sent>, Answer)>) -> Result<ProduceResponse, Error> {
    match front {
        Some((_, answer)) => answer.as_mut().await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// Sends batches in one request; gives what to wait for. What could not be sent is taken back here.
    async fn send(&self, node: NodeId, mut taken: Vec<Sent>) -> Option<(Vec<Sent>, Answer)> {
        let deadline = now() + self.config.client.request_timeout;
        let connection = match self.client.connection(&Destination::Node(node), Lane::Produces, deadline).await {
            Ok(connection) => connection,
            // A batch for a broker that cannot be reached has not been attempted.
            Err(error) => {
                self.take_answer(taken, Err(error));
                return None;
            }
        };
        let mut broken = Vec::new();
        let mut topics: BTreeMap<Arc<str>, TopicProduceData> = BTreeMap::new();
        for (at, sent) in taken.iter_mut().enumerate() {
            sent.batch.attempts += 1;
            let before = sent.batch.size();
            match sent.batch.bytes() {
                Ok(bytes) => {
                    self.note_size(sent, before, bytes.len());
                    let name = &sent.partition.topic;
                    let topic = topics.entry(Arc::clone(name)).or_insert_with(|| TopicProduceData {
                        name: name.to_string().into(),
                        topic_id: sent.topic_id,
                        ..TopicProduceData::default()
                    });
                    topic
                        .partition_data
                        .push(PartitionProduceData { index: sent.partition.partition, records: Some(bytes) });
                }
                Err(source) => broken.push((at, source)),
            }
        }
        for (at, source) in broken.into_iter().rev() {
            let sent = taken.remove(at);
            let partition = sent.partition.clone();
            let error = Error::Batch { partition, offset: Offset::ZERO, source: Box::new(source) };
            self.finish(&sent, Outcome::Failed(error));
        }
        let request = ProduceRequest {
            transactional_id: self.config.transactional_id.clone(),
            acks: self.config.acks.code(),
            timeout_ms: i32::try_from(self.config.client.request_timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: topics.into_values().collect(),
        };
        match self.start(&connection, &request, deadline).await {
            Ok(Some(answer)) => Some((taken, answer)),
            Ok(None) => {
                for sent in &taken {
                    self.finish(sent, Outcome::Written { base_offset: None, timestamp: None });
                }
                None
            }
            Err(error) => {
                self.take_answer(taken, Err(error));
                None
            }
        }
    }

    /// Puts a request on its way; `None` if there will be no answer.
    async fn start(
        &self,
        connection: &Connection,
        request: &ProduceRequest,
        deadline: Instant,
    ) -> Result<Option<Answer>, Error> {
        let mut version = connection.version(ApiKey::Produce)?;
        if request.topic_data.iter().any(|topic| topic.topic_id.is_zero()) {
            version = version.min(IDS_SINCE - 1);
        }
        if !self.adds_partitions_by_itself() && self.config.transactional_id.is_some() {
            version = version.min(BEFORE_IMPLICIT_PARTITIONS);
        }
        if self.config.acks == Acks::None {
            connection.send_unanswered(request, version, deadline).await?;
            return Ok(None);
        }
        let in_flight = connection.start_at(request, version, deadline).await?;
        Ok(Some(Box::pin(in_flight.response())))
    }

    fn adds_partitions_by_itself(&self) -> bool {
        let accumulator = self.accumulator.lock();
        accumulator.transaction.as_ref().is_some_and(|transaction| transaction.is_version_2())
    }

    fn note_size(&self, sent: &Sent, before: usize, after: usize) {
        if sent.batch.attempts == 1
            && let Some(queue) = self.accumulator.lock().queue(&sent.partition)
        {
            queue.percent = percent_of(self.config.codec.compression, before, after);
        }
    }

    fn finish(&self, sent: &Sent, outcome: Outcome) {
        let memory = self.accumulator.lock().finish(sent, outcome);
        self.memory.add_permits(memory);
        self.progress.notify_waiters();
    }

    /// Takes an answer, or that there is none.
    fn take_answer(&self, sent: Vec<Sent>, answer: Result<ProduceResponse, Error>) {
        let mut back = Back::default();
        match answer {
            Ok(response) => {
                for sent in sent {
                    match find(&response, &sent) {
                        Some(answer) => self.take_partition_answer(sent, answer, &mut back),
                        None => back.add(sent, ErrorCode::UnknownServerError),
                    }
                }
            }
            Err(error) if error.is_retriable() => {
                self.client.mark_outdated();
                for mut sent in sent {
                    sent.batch.last_error = Some(error.clone());
                    back.batches.push(sent);
                }
            }
            Err(error) => sent.iter().for_each(|sent| self.finish(sent, Outcome::Failed(error.clone()))),
        }
        self.take_back(back);
    }

    fn take_partition_answer(&self, mut sent: Sent, answer: &PartitionProduceResponse, back: &mut Back) {
        let code = ErrorCode::from(answer.error_code);
        let is_first = {
            let mut accumulator = self.accumulator.lock();
            accumulator.queue(&sent.partition).is_some_and(|queue| queue.is_first(sent.batch.serial))
        };
        let is_transactional = self.config.transactional_id.is_some();
        match code {
            ErrorCode::None => {
                let base_offset = (answer.base_offset >= 0).then_some(Offset(answer.base_offset));
                let timestamp = (answer.log_append_time_ms >= 0).then_some(Timestamp(answer.log_append_time_ms));
                self.finish(&sent, Outcome::Written { base_offset, timestamp });
            }
            // An earlier attempt was written, and its answer was lost.
            ErrorCode::DuplicateSequenceNumber => {
                self.finish(&sent, Outcome::Written { base_offset: None, timestamp: None });
            }
            ErrorCode::MessageTooLarge if sent.batch.count > 1 => self.split(sent, back),
            // The batches before it have to be written first.
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId if !is_first => back.add(sent, code),
            // The broker has lost what it knew of this producer: the records go on under a new epoch.
            ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerEpoch
                if !is_transactional && self.config.idempotent =>
            {
                self.bump(&sent.partition);
                back.add(sent, code);
            }
            code if code.is_retriable() => {
                let leader = &answer.current_leader;
                let (id, epoch) = (NodeId(leader.leader_id), LeaderEpoch(leader.leader_epoch));
                if !self.client.learn_leader(&sent.partition, id, epoch) {
                    self.client.mark_outdated();
                }
                back.add(sent, code);
            }
            code => {
                sent.batch.last_error = None;
                let error = Error::Partition { partition: sent.partition.clone(), code };
                if let Some(transaction) = &mut self.accumulator.lock().transaction {
                    transaction.failed(&error);
                }
                self.finish(&sent, Outcome::Failed(error));
            }
        }
    }

    /// A batch that is too large for the broker goes on as two.
    fn split(&self, mut sent: Sent, back: &mut Back) {
        let options = batch_options(&self.config);
        match sent.batch.split(options, self.config.buffer_bytes.max(1 << 20)) {
            Some((mut left, mut right)) => {
                let mut accumulator = self.accumulator.lock();
                let id = sent.batch.id;
                left.id = id;
                accumulator.adopt(&mut right);
                if let Some(queue) = accumulator.queue(&sent.partition) {
                    queue.done(sent.batch.serial);
                }
                drop(accumulator);
                let Sent { partition, topic_id, .. } = sent;
                back.batches.push(Sent { partition: partition.clone(), topic_id, batch: left });
                back.batches.push(Sent { partition, topic_id, batch: right });
            }
            None => {
                let code = ErrorCode::MessageTooLarge;
                let error = Error::Partition { partition: sent.partition.clone(), code };
                self.finish(&sent, Outcome::Failed(error));
            }
        }
    }

    /// Sequence numbers of a partition begin anew under the next epoch, which every partition takes on in time.
    fn bump(&self, partition: &TopicPartition) {
        let mut accumulator = self.accumulator.lock();
        let current = accumulator.identity;
        let Some(queue) = accumulator.queue(partition) else { return };
        let is_current = queue.identity() == current;
        queue.restamp();
        if is_current {
            accumulator.identity = current.and_then(next_epoch);
            self.keeper.notify_one();
        }
    }

    /// What was not written waits to be sent again, or is given up after too long or too often.
    fn take_back(&self, back: Back) {
        let mut by_partition: BTreeMap<TopicPartition, Vec<Batch>> = BTreeMap::new();
        let mut again_at: Option<Instant> = None;
        for sent in back.batches {
            let after = self.config.delivery_timeout;
            if sent.batch.created_at + after <= now() || sent.batch.attempts > self.config.retries {
                let last = sent.batch.last_error.clone().map(Box::new);
                let error = Error::Expired { partition: sent.partition.clone(), after, last };
                if let Some(transaction) = &mut self.accumulator.lock().transaction {
                    transaction.failed(&error);
                }
                self.finish(&sent, Outcome::Failed(error));
                continue;
            }
            let wait = self.config.client.retry.after(sent.batch.attempts.max(1), thalweg_sys::random::u64());
            again_at = Some(again_at.map_or(now() + wait, |at| at.max(now() + wait)));
            by_partition.entry(sent.partition).or_default().push(sent.batch);
        }
        let mut accumulator = self.accumulator.lock();
        for (partition, batches) in by_partition {
            if let Some(queue) = accumulator.queue(&partition) {
                queue.came_back(batches, again_at.unwrap_or_else(now));
            }
        }
        drop(accumulator);
        if again_at.is_some() {
            self.keeper.notify_one();
        }
    }
}

/// Batches that were not written.
#[derive(Default)]
struct Back {
    batches: Vec<Sent>,
}

impl Back {
    fn add(&mut self, mut sent: Sent, code: ErrorCode) {
        let partition = sent.partition.clone();
        sent.batch.last_error = Some(Error::Partition { partition, code });
        self.batches.push(sent);
    }
}

fn next_epoch(identity: Identity) -> Option<Identity> {
    let epoch = identity.epoch.0.checked_add(1).filter(|epoch| *epoch < i16::MAX)?;
    Some(Identity { epoch: ProducerEpoch(epoch), ..identity })
}

/// The answer for a batch, whose topic is named by name or by id.
fn find<'a>(response: &'a ProduceResponse, sent: &Sent) -> Option<&'a PartitionProduceResponse> {
    let topic = response.responses.iter().find(|topic| match topic.name.is_empty() {
        true => topic.topic_id == sent.topic_id,
        false => *topic.name == *sent.partition.topic,
    })?;
    topic.partition_responses.iter().find(|answer| answer.index == sent.partition.partition)
}
