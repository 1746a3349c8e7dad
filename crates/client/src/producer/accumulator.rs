//! The records that wait to be sent, partition by partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thalweg_base::{NodeId, Timestamp, TopicPartition, Uuid};
use thalweg_records::{BatchOptions, Compression};
use thalweg_sys::time::{Instant, now, wall_clock_ms};

use super::ProducerRecord;
use super::batch::{Batch, Delivery, Identity, Outcome};
use super::config::ProducerConfig;
use super::partitioner::{Sticky, partition_for_key};
use super::queue::Queue;
use super::transaction::Transaction;
use crate::{Cluster, Error};

/// What is known about a topic that is written to.
#[derive(Debug, Default)]
struct Topic {
    /// How many partitions it has.
    partitions: usize,
    /// Those that have a leader; all, if none has.
    available: Vec<i32>,
    sticky: Sticky,
    queues: BTreeMap<i32, Queue>,
}

/// What came of an attempt to add a record.
pub(super) enum Appended {
    /// It is there. `wake` says whether the tasks of the nodes have something new to do, `news` whether the keeper has.
    Here { delivery: Delivery, wake: bool, news: bool },
    /// The topic's partitions are not known.
    UnknownTopic,
    /// The partition has to be added to the transaction first.
    UnknownInTransaction(TopicPartition),
}

/// A batch on its way to a node.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) partition: TopicPartition,
    pub(super) topic_id: Uuid,
    pub(super) batch: Batch,
}

/// The records that wait, and what decides about sending them.
#[derive(Debug, Default)]
pub(super) struct Accumulator {
    topics: BTreeMap<Arc<str>, Topic>,
    /// Under whom batches are sent. `None` also while an idempotent producer has no id yet.
    pub(super) identity: Option<Identity>,
    /// Why nothing can be sent any more.
    pub(super) fatal: Option<Error>,
    /// No further record is taken.
    pub(super) closed: bool,
    /// How many wait for everything to be written: then nothing lingers.
    pub(super) flushing: u32,
    pub(super) transaction: Option<Transaction>,
    /// The ids of the batches that are neither written nor given up.
    unfinished: BTreeSet<u64>,
    next_id: u64,
}

impl Accumulator {
    /// Without records; `transaction` is given if the producer is transactional.
    pub(super) fn new(transaction: Option<Transaction>) -> Self {
        Self { transaction, ..Self::default() }
    }

    /// Adds a record to the open batch of its partition.
    pub(super) fn append(
        &mut self,
        config: &ProducerConfig,
        record: &ProducerRecord,
        memory: usize,
    ) -> Result<Appended, Error> {
        if let Some(error) = &self.fatal {
            return Err(error.clone());
        }
        if self.closed {
            return Err(Error::Closed);
        }
        let Some(topic) = self.topics.get_mut(&record.topic) else { return Ok(Appended::UnknownTopic) };
        let size = record.size();
        let index = topic.choose(config, record, size)?;
        let partition = TopicPartition { topic: Arc::clone(&record.topic), partition: index };
        if let Some(transaction) = &self.transaction {
            transaction.check_open()?;
            if !transaction.has(&partition) {
                return Ok(Appended::UnknownInTransaction(partition));
            }
        }
        let news = self.unfinished.is_empty() || !topic.queues.contains_key(&index);
        let queue = topic.queues.entry(index).or_default();
        let mut wake = false;
        let limit = (config.batch_bytes * 100).checked_div(queue.percent).unwrap_or(config.batch_bytes);
        if queue.open.as_ref().is_some_and(|open| open.size() + size > limit) {
            queue.close_open();
            wake = true;
        }
        if queue.open.is_none() {
            wake = true;
            let mut batch = Batch::new(queue.serial(), batch_options(config), now());
            self.next_id += 1;
            batch.id = self.next_id;
            self.unfinished.insert(batch.id);
            queue.open = Some(batch);
        }
        let timestamp = record.timestamp.unwrap_or_else(|| Timestamp(wall_clock_ms()));
        let delivery = queue.open.as_mut().and_then(|open| {
            open.append(&partition, memory, |builder| {
                builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
            })
        });
        let Some(delivery) = delivery else { return Err(Error::Closed) };
        if queue.open.as_ref().is_some_and(|open| open.size() >= limit) {
            queue.close_open();
            wake = true;
        }
        Ok(Appended::Here { delivery, wake, news })
    }

    /// Takes over how many partitions topics have.
    pub(super) fn learn(&mut self, cluster: &Cluster, names: &[Arc<str>]) -> Result<(), Error> {
        for name in names {
            let Some(known) = cluster.topics.get(name) else { continue };
            if known.partitions.is_empty() {
                let code = known.error;
                if code.is_error() && !code.is_retriable() {
                    return Err(Error::Topic { topic: Arc::clone(name), code });
                }
                continue;
            }
            let topic = self.topics.entry(Arc::clone(name)).or_default();
            topic.partitions = known.partitions.len();
            let all = || (0..).zip(&known.partitions);
            topic.available =
                all().filter(|(_, partition)| partition.leader.is_some()).map(|(index, _)| index).collect();
            if topic.available.is_empty() {
                topic.available = all().map(|(index, _)| index).collect();
            }
        }
        Ok(())
    }

    /// Whether a topic's partitions are known.
    pub(super) fn knows(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// The topics with something to send.
    pub(super) fn busy_topics(&self) -> Vec<Arc<str>> {
        let is_busy = |topic: &Topic| topic.queues.values().any(|queue| !queue.is_idle());
        self.topics.iter().filter(|(_, topic)| is_busy(topic)).map(|(name, _)| Arc::clone(name)).collect()
    }

    /// The leaders of the partitions with something to send, and whether one of them is not known.
    pub(super) fn leaders(&self, cluster: &Cluster) -> (BTreeSet<NodeId>, bool) {
        let mut leaders = BTreeSet::new();
        let mut unknown = false;
        for (name, topic) in &self.topics {
            for index in topic.queues.iter().filter(|(_, queue)| !queue.is_idle()).map(|(index, _)| *index) {
                let leader = cluster.partition(name, index).and_then(|known| known.leader);
                match leader.filter(|leader| cluster.nodes.contains_key(leader)) {
                    Some(leader) => drop(leaders.insert(leader)),
                    None => unknown = true,
                }
            }
        }
        (leaders, unknown)
    }

    /// Takes what can be sent to a node now, one batch of each partition.
    pub(super) fn take(&mut self, config: &ProducerConfig, cluster: &Cluster, node: NodeId) -> Vec<Sent> {
        let mut taken = Vec::new();
        if config.idempotent && self.identity.is_none() {
            return taken;
        }
        let (at, linger) = (now(), self.linger(config));
        let mut ready = self.ready(cluster, node, linger);
        ready.retain(|(ready_at, _)| *ready_at <= at);
        // Whoever waits longest comes first.
        ready.sort_by_key(|(ready_at, _)| *ready_at);
        let (mut bytes, identity) = (0, self.identity);
        for (_, partition) in ready {
            if bytes >= config.request_bytes_max {
                break;
            }
            if let Some(batch) = self.queue(&partition).and_then(|queue| queue.take(at, linger, identity)) {
                bytes += batch.size();
                let topic_id = cluster.topics.get(&partition.topic).map_or(Uuid::ZERO, |topic| topic.id);
                taken.push(Sent { partition, topic_id, batch });
            }
        }
        taken
    }

    /// When something of a node can be sent; `None` if that needs another event.
    pub(super) fn ready_at(&self, config: &ProducerConfig, cluster: &Cluster, node: NodeId) -> Option<Instant> {
        if config.idempotent && self.identity.is_none() {
            return None;
        }
        self.ready(cluster, node, self.linger(config)).into_iter().map(|(ready_at, _)| ready_at).min()
    }

    /// The partitions of a node with something to send, and when it can be sent.
    fn ready(&self, cluster: &Cluster, node: NodeId, linger: Duration) -> Vec<(Instant, TopicPartition)> {
        let mut ready = Vec::new();
        for (name, topic) in &self.topics {
            for (index, queue) in &topic.queues {
                if let Some(ready_at) = queue.ready_at(linger, self.identity)
                    && cluster.partition(name, *index).and_then(|known| known.leader) == Some(node)
                {
                    ready.push((ready_at, TopicPartition { topic: Arc::clone(name), partition: *index }));
                }
            }
        }
        ready
    }

    fn linger(&self, config: &ProducerConfig) -> Duration {
        if self.flushing > 0 || self.closed { Duration::ZERO } else { config.linger }
    }

    /// The queue of a partition that something was sent of.
    pub(super) fn queue(&mut self, partition: &TopicPartition) -> Option<&mut Queue> {
        self.topics.get_mut(&partition.topic)?.queues.get_mut(&partition.partition)
    }

    /// A batch on the way is written or given up; gives how much memory becomes free.
    pub(super) fn finish(&mut self, sent: &Sent, outcome: Outcome) -> usize {
        if let Some(queue) = self.queue(&sent.partition) {
            queue.done(sent.batch.serial);
        }
        self.finish_waiting(&sent.batch, outcome)
    }

    /// A batch that waited is given up; gives how much memory becomes free.
    pub(super) fn finish_waiting(&mut self, batch: &Batch, outcome: Outcome) -> usize {
        self.unfinished.remove(&batch.id);
        batch.finish(outcome);
        batch.memory
    }

    /// A batch was split: both halves have to be written. Gives the second half an id of its own.
    pub(super) fn adopt(&mut self, half: &mut Batch) {
        self.next_id += 1;
        half.id = self.next_id;
        self.unfinished.insert(half.id);
    }

    /// Takes out what was created before a moment and is not on the way, or everything.
    pub(super) fn take_expired(&mut self, created_before: Option<Instant>) -> Vec<(TopicPartition, Batch)> {
        let mut expired = Vec::new();
        for (name, topic) in &mut self.topics {
            for (index, queue) in &mut topic.queues {
                let batches = match created_before {
                    Some(moment) => queue.expired(moment),
                    None => queue.clear(),
                };
                let partition = TopicPartition { topic: Arc::clone(name), partition: *index };
                expired.extend(batches.into_iter().map(|batch| (partition.clone(), batch)));
            }
        }
        expired
    }

    /// The id of the last batch so far.
    pub(super) fn last_id(&self) -> u64 {
        self.next_id
    }

    /// Whether every batch up to this id is written or given up.
    pub(super) fn is_finished(&self, last: u64) -> bool {
        self.unfinished.first().is_none_or(|first| *first > last)
    }

    /// Whether nothing waits and nothing is on the way.
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished.is_empty()
    }
}

impl Topic {
    fn choose(&mut self, config: &ProducerConfig, record: &ProducerRecord, size: usize) -> Result<i32, Error> {
        match (record.partition, &record.key) {
            (Some(partition), _) if usize::try_from(partition).is_ok_and(|index| index < self.partitions) => {
                Ok(partition)
            }
            (Some(partition), _) => Err(Error::Partition {
                partition: TopicPartition { topic: Arc::clone(&record.topic), partition },
                code: thalweg_wire::ErrorCode::UnknownTopicOrPartition,
            }),
            (None, Some(key)) => Ok(partition_for_key(key, self.partitions)),
            (None, None) => Ok(self.sticky.next(size, config.batch_bytes, &self.available, thalweg_sys::random::u64)),
        }
    }
}

pub(super) fn batch_options(config: &ProducerConfig) -> BatchOptions {
    BatchOptions { codec: config.codec, transactional: config.transactional_id.is_some(), ..BatchOptions::default() }
}

/// How large a compressed batch came out, in hundredths, for the size at which the next one is closed.
pub(super) fn percent_of(compression: Compression, before: usize, after: usize) -> usize {
    if compression == Compression::None || before == 0 { 100 } else { (after * 105 / before).clamp(5, 100) }
}
