//! One record's whole story: its batch, who wrote it, and what became of its transaction.

use thalweg_base::{Offset, TopicPartition};
use thalweg_client::{ConsumerRecord, Destination, Isolation};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchHeader, BatchView, batches};
use thalweg_wire::messages::FetchRequest;
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use thalweg_wire::messages::fetch_response::PartitionData;

use super::messages::BATCH_BYTES_MAX;
use super::{Kafka, Turn};
use crate::trouble::Trouble;

/// The last version of Fetch that names topics instead of their ids.
const NAMES_UP_TO: i16 = 12;
/// What one fetch brings. A batch that is larger comes alone.
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// What stands at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record.
    Record(Box<ConsumerRecord>),
    /// A control record, such as the marker of a transaction's end.
    Control(Option<ControlType>),
    /// Nothing any more: it was compacted.
    Gone,
}

/// What became of the transaction of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It belongs to none.
    None,
    Open,
    Committed,
    Aborted,
}

/// What is known about an offset.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) found: Found,
    /// The batch at the offset, or the first one behind it.
    pub(crate) batch: BatchHeader,
    pub(crate) fate: Fate,
    pub(crate) log_start: i64,
    pub(crate) last_stable: i64,
    pub(crate) high_watermark: i64,
    _turn: Turn,
}

impl Story {
    /// The record at the offset, if there is one.
    pub(crate) fn record(&self) -> Option<&ConsumerRecord> {
        match &self.found {
            Found::Record(record) => Some(record),
            Found::Control(_) | Found::Gone => None,
        }
    }

    /// The sequence number of the record at `offset`; `None` without an idempotent producer.
    pub(crate) fn sequence(&self, offset: i64) -> Option<i32> {
        let delta = i32::try_from(offset - self.batch.base_offset.0).ok()?;
        self.batch.has_producer_id().then(|| thalweg_records::sequence_after(self.batch.base_sequence, delta))
    }
}

impl Kafka {
    /// The story of an offset.
    pub(crate) async fn story(&self, partition: &TopicPartition, offset: i64) -> Result<Story, Trouble> {
        let turn = self.reading_turn().await?;
        let all = self.fetch_once(partition, offset, Isolation::ReadUncommitted).await?;
        let nothing = || {
            let (first, end) = (all.log_start_offset, all.high_watermark);
            Trouble::NotFound(format!("there is nothing at offset {offset} of {partition}, which has {first} to {end}"))
        };
        let bytes = all.records.as_ref().and_then(|records| records.here()).cloned().unwrap_or_default();
        let damaged = |e: thalweg_records::BatchError| Trouble::Bad(format!("the batch at {offset} is damaged: {e}"));
        let mut batch = None;
        for next in batches(bytes) {
            let next = next.map_err(damaged)?;
            if next.last_offset().0 >= offset {
                batch = Some(next);
                break;
            }
        }
        let batch = batch.ok_or_else(nothing)?;
        let mut found = look_up(&batch, partition, offset).map_err(damaged)?;
        if let Found::Record(record) = &mut found {
            self.masks.hide(std::slice::from_mut(record));
        }
        let header = *batch.header();
        let (fate, last_stable) = self.fate(partition, offset, &header).await?;
        Ok(Story {
            found,
            batch: header,
            fate,
            log_start: all.log_start_offset,
            last_stable,
            high_watermark: all.high_watermark,
            _turn: turn,
        })
    }

    /// What became of the transaction of a batch, and the last stable offset.
    async fn fate(&self, partition: &TopicPartition, offset: i64, batch: &BatchHeader) -> Result<(Fate, i64), Trouble> {
        // Readers of committed transactions are told which were aborted, and do not get what is open.
        let committed = self.fetch_once(partition, offset, Isolation::ReadCommitted).await?;
        let last_stable = committed.last_stable_offset;
        let mut aborted = committed.aborted_transactions.iter().flatten();
        let fate = if !batch.attributes.is_transactional() || batch.attributes.is_control() {
            Fate::None
        } else if offset >= last_stable {
            Fate::Open
        } else if aborted.any(|txn| txn.producer_id == batch.producer_id.0 && txn.first_offset <= offset) {
            Fate::Aborted
        } else {
            Fate::Committed
        };
        Ok((fate, last_stable))
    }

    async fn fetch_once(
        &self,
        partition: &TopicPartition,
        offset: i64,
        isolation: Isolation,
    ) -> Result<PartitionData, Trouble> {
        let asked = FetchPartition {
            partition: partition.partition,
            fetch_offset: offset,
            partition_max_bytes: FETCH_BYTES_MAX,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic: (&*partition.topic).into(), partitions: vec![asked], ..FetchTopic::default() };
        let request = FetchRequest {
            max_bytes: FETCH_BYTES_MAX,
            isolation_level: isolation.code(),
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let response = self.ask_up_to(&Destination::Leader(partition.clone()), &request, NAMES_UP_TO).await?;
        Trouble::check(format!("reading {partition}"), response.error_code, None)?;
        let data = response.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let data = data.ok_or_else(|| Trouble::NotFound(format!("there is no partition {partition}")))?;
        Trouble::check(format!("offset {offset} of {partition}"), data.error_code, None)?;
        Ok(data)
    }
}

/// What stands at an offset of a batch.
fn look_up(batch: &BatchView, partition: &TopicPartition, offset: i64) -> Result<Found, thalweg_records::BatchError> {
    let header = batch.header();
    for record in batch.records(BATCH_BYTES_MAX)? {
        let record = record?;
        if header.offset_of(record.offset_delta) != Offset(offset) {
            continue;
        }
        if header.attributes.is_control() {
            return Ok(Found::Control(ControlType::parse_key(&record.key.unwrap_or_default())?));
        }
        return Ok(Found::Record(Box::new(ConsumerRecord::of_batch(partition, header, Offset(offset), record))));
    }
    Ok(Found::Gone)
}
