//! The records of one partition out of one fetch, on their way to the application.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, ProducerId, Timestamp, TopicPartition};
use thalweg_records::control::ControlType;
use thalweg_records::{
    BatchError, BatchHeader, BatchView, Batches, Record, RecordHeader, RecordIter, TimestampType, batches,
};

use super::config::Isolation;

/// A record as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Its time.
    pub timestamp: Timestamp,
    /// Whether that is the producer's or the broker's time.
    pub timestamp_type: TimestampType,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<RecordHeader>,
}

impl ConsumerRecord {
    /// The record at `offset` of a batch of `partition`, as consumers give it.
    #[must_use]
    pub fn of_batch(partition: &TopicPartition, header: &BatchHeader, offset: Offset, record: Record) -> Self {
        Self {
            topic: Arc::clone(&partition.topic),
            partition: partition.partition,
            offset,
            leader_epoch: header.leader_epoch,
            timestamp: header.timestamp_of(record.timestamp_delta),
            timestamp_type: header.attributes.timestamp_type(),
            key: record.key,
            value: record.value,
            headers: record.headers,
        }
    }
}

/// Offsets that a consumer passed over because their batch is not for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The partition.
    pub partition: TopicPartition,
    /// The first offset.
    pub from: Offset,
    /// The offset behind the last.
    pub end: Offset,
    /// What the batch is.
    pub why: Passed,
}

/// Why a batch is not for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It belongs to a transaction that was aborted.
    Aborted,
    /// It is the marker of a transaction's end, or another control record.
    Control,
}

/// How batches are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) check_crcs: bool,
    pub(super) isolation: Isolation,
    pub(super) batch_bytes_max: usize,
    /// Whether what is passed over is noted.
    pub(super) reports_passed: bool,
}

/// What reading gives: records, and what was passed over on the way, where that is noted.
#[derive(Debug, Default)]
pub(super) struct Drained {
    pub(super) records: Vec<ConsumerRecord>,
    pub(super) passed: Vec<PassedOver>,
}

/// What a fetch brought of one partition, read batch by batch.
#[derive(Debug)]
pub(super) struct Chunk {
    batches: Batches,
    current: Option<(BatchHeader, RecordIter)>,
    /// The transactions that were aborted, by their first offset.
    aborted: VecDeque<(Offset, ProducerId)>,
    /// The producers in whose aborted transaction the reading is.
    aborting: BTreeSet<ProducerId>,
    /// How many bytes the fetch brought.
    pub(super) bytes: usize,
    /// Where the fetch after this one goes on.
    pub(super) end: Offset,
    /// The epoch of the leader that appended the last batch.
    pub(super) end_epoch: LeaderEpoch,
    /// That of the last batch of which something was read.
    pub(super) read_epoch: Option<LeaderEpoch>,
}

impl Chunk {
    /// `bytes` are batches, of which the last may be cut off. `None` if there is no whole one.
    pub(super) fn new(bytes: Bytes, mut aborted: Vec<(Offset, ProducerId)>) -> Option<Self> {
        let mut end = None;
        let mut rest = &bytes[..];
        while let Ok(header) = BatchHeader::parse(rest) {
            let Some(after) = rest.get(header.size()..) else { break };
            end = Some((header.next_offset(), header.leader_epoch));
            rest = after;
        }
        let whole = bytes.len() - rest.len();
        let (end, end_epoch) = end?;
        aborted.sort_unstable();
        Some(Self {
            batches: batches(bytes.slice(..whole)),
            current: None,
            aborted: aborted.into(),
            aborting: BTreeSet::new(),
            bytes: whole,
            end,
            end_epoch,
            read_epoch: None,
        })
    }

    /// Moves up to `limit` records from `position` on into `out`, and the position behind them; says whether the chunk is
    /// used up.
    pub(super) fn read(
        &mut self,
        partition: &TopicPartition,
        position: &mut Offset,
        reading: Reading,
        limit: usize,
        out: &mut Drained,
    ) -> Result<bool, BatchError> {
        while out.records.len() < limit {
            let Some((header, records)) = &mut self.current else {
                match self.next_batch(reading)? {
                    Some(Next::Read(header, records)) => self.current = Some((header, records)),
                    Some(Next::Skip(header, why)) => {
                        let (from, end) = ((*position).max(header.base_offset), header.next_offset());
                        if reading.reports_passed && from < end {
                            out.passed.push(PassedOver { partition: partition.clone(), from, end, why });
                        }
                        *position = (*position).max(end);
                    }
                    None => {
                        *position = (*position).max(self.end);
                        return Ok(true);
                    }
                }
                continue;
            };
            match records.next().transpose()? {
                Some(record) => {
                    let offset = header.offset_of(record.offset_delta);
                    if offset >= *position {
                        *position = offset.next();
                        out.records.push(ConsumerRecord::of_batch(partition, header, offset, record));
                    }
                }
                None => {
                    *position = (*position).max(header.next_offset());
                    self.current = None;
                }
            }
        }
        Ok(false)
    }

    fn next_batch(&mut self, reading: Reading) -> Result<Option<Next>, BatchError> {
        let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
        if reading.check_crcs {
            batch.verify_crc()?;
        }
        let header = *batch.header();
        self.read_epoch = Some(header.leader_epoch);
        let is_aborted = self.is_aborted(&batch, reading)?;
        if header.attributes.is_control() {
            return Ok(Some(Next::Skip(header, Passed::Control)));
        }
        if is_aborted {
            return Ok(Some(Next::Skip(header, Passed::Aborted)));
        }
        Ok(Some(Next::Read(header, batch.records(reading.batch_bytes_max)?)))
    }

    /// Whether a batch belongs to an aborted transaction, of which its markers tell the end.
    fn is_aborted(&mut self, batch: &BatchView, reading: Reading) -> Result<bool, BatchError> {
        let header = batch.header();
        if reading.isolation == Isolation::ReadUncommitted || !header.has_producer_id() {
            return Ok(false);
        }
        while let Some((_, producer)) = self.aborted.pop_front_if(|(first, _)| *first <= header.last_offset()) {
            self.aborting.insert(producer);
        }
        if header.attributes.is_control() {
            if is_abort_marker(batch, reading)? {
                self.aborting.remove(&header.producer_id);
            }
            return Ok(true);
        }
        Ok(header.attributes.is_transactional() && self.aborting.contains(&header.producer_id))
    }
}

enum Next {
    /// Its records are for the application.
    Read(BatchHeader, RecordIter),
    /// It is not.
    Skip(BatchHeader, Passed),
}

fn is_abort_marker(batch: &BatchView, reading: Reading) -> Result<bool, BatchError> {
    let record = batch.records(reading.batch_bytes_max)?.next().transpose()?;
    let key = record.and_then(|record| record.key).unwrap_or_default();
    Ok(ControlType::parse_key(&key)? == Some(ControlType::Abort))
}

#[cfg(test)]
mod tests {
    use thalweg_base::ProducerEpoch;
    use thalweg_records::control::EndTxnMarker;
    use thalweg_records::{BatchBuilder, BatchOptions, Codec, Compression};

    use super::*;

    const READ_COMMITTED: Reading = Reading {
        check_crcs: true,
        isolation: Isolation::ReadCommitted,
        batch_bytes_max: 1 << 20,
        reports_passed: true,
    };

    fn options(base_offset: i64, producer: i64) -> BatchOptions {
        BatchOptions {
            base_offset: Offset(base_offset),
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            base_sequence: 0,
            transactional: producer >= 0,
            ..BatchOptions::default()
        }
    }

    fn batch(options: BatchOptions, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(options);
        for value in values {
            builder.append(Timestamp(5), None, Some(value.as_bytes()), &[]);
        }
        builder.build().expect("a batch").to_vec()
    }

    fn marker(base_offset: i64, producer: i64, control: ControlType) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions { control: true, ..options(base_offset, producer) });
        builder.append_control(Timestamp(5), control, &EndTxnMarker { coordinator_epoch: 0 }.to_bytes());
        builder.build().expect("a marker").to_vec()
    }

    /// All records from a position on, as offset and value, and the position afterwards.
    fn read(chunk: &mut Chunk, from: i64, limit: usize) -> (Vec<(i64, String)>, i64) {
        let mut position = Offset(from);
        let mut out = Drained::default();
        let partition = TopicPartition::new("t", 0);
        chunk.read(&partition, &mut position, READ_COMMITTED, limit, &mut out).expect("sound batches");
        let out = out.records;
        let text =
            |record: &ConsumerRecord| String::from_utf8_lossy(record.value.as_deref().unwrap_or(b"")).into_owned();
        (out.iter().map(|record| (record.offset.0, text(record))).collect(), position.0)
    }

    fn strings(records: &[(i64, &str)]) -> Vec<(i64, String)> {
        records.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
    }

    #[test]
    fn aborted_transactions_and_markers_are_passed_over() {
        let log = [
            batch(options(0, 1), &["aborted"]),
            batch(options(1, 2), &["committed"]),
            batch(options(2, -1), &["plain"]),
            marker(3, 1, ControlType::Abort),
            batch(options(4, 1), &["second try"]),
            marker(5, 2, ControlType::Commit),
            marker(6, 1, ControlType::Commit),
        ]
        .concat();
        let mut chunk = Chunk::new(log.into(), vec![(Offset(0), ProducerId(1))]).expect("batches");
        assert_eq!(chunk.end, Offset(7));
        let expected = strings(&[(1, "committed"), (2, "plain"), (4, "second try")]);
        assert_eq!(read(&mut chunk, 0, 10), (expected, 7));
    }

    #[test]
    fn what_is_passed_over_is_noted_with_its_reason() {
        let log = [
            batch(options(0, 1), &["a", "b", "c"]),
            batch(options(3, -1), &["plain"]),
            marker(4, 1, ControlType::Abort),
        ];
        let mut chunk = Chunk::new(log.concat().into(), vec![(Offset(0), ProducerId(1))]).expect("batches");
        let partition = TopicPartition::new("t", 0);
        let mut out = Drained::default();
        chunk.read(&partition, &mut Offset(1), READ_COMMITTED, 10, &mut out).expect("sound batches");
        let passed: Vec<_> = out.passed.iter().map(|passed| (passed.from.0, passed.end.0, passed.why)).collect();
        assert_eq!(passed, [(1, 3, Passed::Aborted), (4, 5, Passed::Control)]);
        assert_eq!(out.records.len(), 1);
    }

    #[test]
    fn records_before_the_position_and_beyond_the_limit_stay_out() {
        let compressed = BatchOptions { codec: Codec::from(Compression::Zstd), ..options(10, -1) };
        let mut chunk = Chunk::new(batch(compressed, &["a", "b", "c", "d"]).into(), vec![]).expect("a batch");
        assert_eq!(read(&mut chunk, 11, 2), (strings(&[(11, "b"), (12, "c")]), 13));
        assert_eq!(read(&mut chunk, 13, 2), (strings(&[(13, "d")]), 14));
    }

    #[test]
    fn a_cut_off_batch_is_left_for_the_next_fetch() {
        let whole = batch(options(0, -1), &["a"]);
        let cut = batch(options(1, -1), &["b"]);
        let mut bytes = whole.clone();
        bytes.extend_from_slice(&cut[..cut.len() - 1]);
        let chunk = Chunk::new(bytes.into(), vec![]).expect("a batch");
        assert_eq!((chunk.end, chunk.bytes), (Offset(1), whole.len()));
        assert!(Chunk::new(cut[..20].to_vec().into(), vec![]).is_none());
    }

    #[test]
    fn a_damaged_batch_is_an_error() {
        let mut bytes = batch(options(0, -1), &["a"]);
        *bytes.last_mut().expect("bytes") ^= 1;
        let mut chunk = Chunk::new(bytes.into(), vec![]).expect("a batch");
        let partition = TopicPartition::new("t", 0);
        let read = chunk.read(&partition, &mut Offset::ZERO.clone(), READ_COMMITTED, 9, &mut Drained::default());
        assert!(matches!(read, Err(BatchError::Crc { .. })), "{read:?}");
    }
}
