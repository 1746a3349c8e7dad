//! Reading records of a partition.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use thalweg_base::{Offset, TopicPartition};
use thalweg_client::{Consumer, ConsumerConfig, ConsumerRecord, Error, Isolation, OffsetReset, Start};
use thalweg_sys::time::{Duration, Instant, now};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ASK_TIME_MAX, FETCH_BYTES_MAX, Kafka, Range};
use crate::masks::Masks;
use crate::trouble::Trouble;

/// A page waits so long for its turn to read.
const TURN_TIME_MAX: Duration = Duration::from_secs(5);
/// How large the records of one compressed batch may be.
pub(super) const BATCH_BYTES_MAX: usize = 128 << 20;

/// A place among those who read records. It is kept until what was read is no longer held, so that no more than
/// [`READERS_MAX`](super::READERS_MAX) answers are in memory.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// A consumer that hands on no more of a record than the masks let through.
#[derive(Debug)]
pub(crate) struct Reader {
    consumer: Consumer,
    masks: Masks,
}

impl Reader {
    /// The records that have come; none if none do by `deadline`.
    pub(crate) async fn poll(&mut self, deadline: Instant) -> Result<Vec<ConsumerRecord>, Error> {
        let mut records = self.consumer.poll(deadline).await?;
        self.masks.hide(&mut records);
        Ok(records)
    }
}

impl Deref for Reader {
    type Target = Consumer;

    fn deref(&self) -> &Consumer {
        &self.consumer
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Consumer {
        &mut self.consumer
    }
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadLimits {
    /// So many records at most.
    pub(crate) records: usize,
    /// No further record once there are so many bytes of them in memory.
    pub(crate) bytes: usize,
}

/// What was read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// In the order of their offsets.
    pub(crate) records: Vec<ConsumerRecord>,
    /// From where to read on.
    pub(crate) next: i64,
    /// Where the partition began and ended.
    pub(crate) range: Range,
}

impl Read {
    /// Keeps a record; says whether there is room for more.
    fn take(&mut self, record: ConsumerRecord, limits: ReadLimits) -> bool {
        if record.offset.0 < self.range.end && self.records.len() < limits.records {
            self.next = record.offset.0 + 1;
            self.records.push(record);
        }
        self.is_open(limits)
    }

    /// Whether there is more to read.
    fn is_open(&self, limits: ReadLimits) -> bool {
        self.next < self.range.end && self.records.len() < limits.records
    }
}

impl Kafka {
    /// Reads a partition from an offset on, up to the end that it has now. Offsets before the first record mean that record.
    ///
    /// Records of transactions that were aborted are left out, as a consumer with `read_committed` has it.
    pub(crate) async fn read(
        &self,
        partition: &TopicPartition,
        from: i64,
        limits: ReadLimits,
    ) -> Result<(Read, Turn), Trouble> {
        let range = self.range(partition).await?;
        let read = Read { records: Vec::new(), next: from.max(range.first), range };
        let mut reads = BTreeMap::from([(partition.clone(), read)]);
        let turn = self.read_all(&mut reads, limits).await?;
        let read = reads.remove(partition);
        Ok((read.ok_or_else(|| Trouble::NotFound(format!("there is no partition {partition}")))?, turn))
    }

    /// Reads partitions on from where they are, each up to its end or its limit of records, and all up to the limit of bytes.
    pub(crate) async fn read_all(
        &self,
        reads: &mut BTreeMap<TopicPartition, Read>,
        limits: ReadLimits,
    ) -> Result<Turn, Trouble> {
        let turn = self.reading_turn().await?;
        let mut consumer = self.consumer(limits.records.clamp(1, 500), FETCH_BYTES_MAX)?;
        let open = reads.iter().filter(|(_, read)| read.is_open(limits));
        let mut open: BTreeSet<TopicPartition> = open.map(|(partition, _)| partition.clone()).collect();
        consumer.assign(open.iter().map(|it| (it.clone(), Start::At(Offset(reads[it].next)))));
        let deadline = now() + ASK_TIME_MAX;
        let mut bytes = 0;
        while !open.is_empty() && now() < deadline && bytes < limits.bytes {
            for record in consumer.poll(deadline).await? {
                let partition = TopicPartition { topic: Arc::clone(&record.topic), partition: record.partition };
                bytes += bytes_of(&record) + size_of::<ConsumerRecord>();
                if !reads.get_mut(&partition).is_some_and(|read| read.take(record, limits)) {
                    consumer.pause(&partition);
                    open.remove(&partition);
                }
                if bytes >= limits.bytes {
                    return Ok(turn);
                }
            }
            consumer.take_passed_over();
            // The last offsets may have no records: those of markers, and what was compacted or aborted.
            open.retain(|partition| {
                let Some(read) = reads.get_mut(partition) else { return false };
                read.next = consumer.position(partition).map_or(read.next, |at| at.0.max(read.next));
                read.is_open(limits) || !consumer.pause(partition)
            });
        }
        Ok(turn)
    }

    /// A place among those who read records.
    pub(crate) async fn reading_turn(&self) -> Result<Turn, Trouble> {
        Self::turn(&self.turns.readers).await
    }

    /// A place among those who read records for minutes.
    pub(crate) async fn long_turn(&self) -> Result<Turn, Trouble> {
        Self::turn(&self.turns.long_readers).await
    }

    async fn turn(readers: &Arc<Semaphore>) -> Result<Turn, Trouble> {
        let turn = thalweg_sys::time::timeout(TURN_TIME_MAX, Arc::clone(readers).acquire_owned()).await;
        turn.ok()
            .and_then(Result::ok)
            .map(|permit| Turn { _permit: permit })
            .ok_or(Trouble::Busy("too many pages read records at once; try again"))
    }

    /// Where a partition begins and ends.
    async fn range(&self, partition: &TopicPartition) -> Result<Range, Trouble> {
        let snapshot = self.snapshot_with(&partition.topic).await?;
        let topic = snapshot.topic(&partition.topic)?;
        let id = partition.partition;
        topic.partition(id).ok_or_else(|| Trouble::no_partition(&partition.topic, id))?;
        let range = self.ranges(std::slice::from_ref(partition)).await?.into_iter().next().flatten();
        range.ok_or_else(|| Trouble::NotFound(format!("partition {partition} has no leader that answers now")))
    }

    /// A consumer that reads what it is told to, in memory that is bounded.
    pub(crate) fn consumer(&self, poll_records_max: usize, fetch_bytes_max: i32) -> Result<Reader, Trouble> {
        let mut properties = self.properties.clone();
        properties.set("group.id", "");
        let config = ConsumerConfig::from_properties(&properties);
        let mut config = config.map_err(|e| Trouble::Bad(e.to_string()))?;
        config.client.auto_create_topics = false;
        config.isolation = Isolation::ReadCommitted;
        config.offset_reset = OffsetReset::Earliest;
        config.fetch_bytes_max = fetch_bytes_max;
        config.partition_bytes_max = FETCH_BYTES_MAX;
        config.poll_records_max = poll_records_max;
        config.batch_bytes_max = BATCH_BYTES_MAX;
        config.reports_passed = true;
        Ok(Reader { consumer: Consumer::new(config), masks: self.masks.clone() })
    }
}

/// The bytes of a record's key, value and headers.
pub(crate) fn bytes_of(record: &ConsumerRecord) -> usize {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers: usize = record.headers.iter().map(|header| header.key.len() + len(&header.value)).sum();
    len(&record.key) + len(&record.value) + headers
}
