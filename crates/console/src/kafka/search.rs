//! Searching the records of a topic: what was read, what was found, and whether everything was read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thalweg_base::{Offset, Timestamp, TopicPartition};
use thalweg_client::{ConsumerRecord, OffsetSpec, Passed, PassedOver, Start};
use thalweg_sys::time::Instant;

use super::{Cursor, Kafka, Needle, Range, Reader, Snapshot, Turn, bytes_of};
use crate::trouble::Trouble;
use crate::values::{Decoded, Formats};

/// What one fetch of a search brings, from all partitions of a broker.
const FETCH_BYTES_MAX: i32 = 8 << 20;
/// So many records are looked at in one step.
const STEP_RECORDS_MAX: usize = 5000;
/// Which offsets of a partition are searched, and how far that has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// The first offset.
    pub(crate) from: i64,
    /// The offset behind the last.
    pub(crate) end: i64,
    /// The offset that is read next.
    pub(crate) at: i64,
    /// How many records there were. The other offsets that were read have none for readers of committed transactions:
    pub(crate) records: i64,
    /// so many belong to transactions that were aborted,
    pub(crate) aborted: i64,
    /// so many are markers of transactions, and the rest was compacted or deleted.
    pub(crate) markers: i64,
}

impl Span {
    fn is_complete(self) -> bool {
        self.at >= self.end
    }

    /// The offsets that were read and have no record.
    pub(crate) fn without_record(self) -> i64 {
        self.at - self.from - self.records
    }

    /// Those of them that were compacted or deleted.
    pub(crate) fn compacted(&self) -> i64 {
        self.without_record() - self.aborted - self.markers
    }
}

/// A search: what was looked at so far, and what came of it.
///
/// Invariants: no partition is read behind its `end`, which stays what it was when the search began; and the search is complete
/// only when every offset of every span was read.
#[derive(Clone, Debug)]
pub(crate) struct Hunt {
    needle: Needle,
    /// No further record is kept once so many were found.
    found_max: usize,
    spans: BTreeMap<i32, Span>,
    found: usize,
    records: i64,
    bytes: u64,
    /// The lowest time among the records that were read last, of each partition: from there a new search may go on.
    last_ms: Option<i64>,
}

impl Hunt {
    /// A search of these partitions, from an offset to another.
    pub(crate) fn new(needle: Needle, found_max: usize, spans: impl IntoIterator<Item = (i32, Range)>) -> Self {
        let span = |(id, range): (i32, Range)| {
            let end = range.end.max(range.first);
            (id, Span { from: range.first, end, at: range.first, ..Span::default() })
        };
        let spans = spans.into_iter().map(span).collect();
        Self { needle, found_max, spans, found: 0, records: 0, bytes: 0, last_ms: None }
    }

    /// A search that goes on where an earlier one stopped, to the same ends. It may find `found_max` records more.
    pub(crate) fn resumed(needle: Needle, found_max: usize, cursor: Cursor) -> Self {
        Self {
            needle,
            found_max: cursor.found.saturating_add(found_max),
            found: cursor.found,
            records: cursor.spans.values().map(|span| span.records).sum(),
            bytes: cursor.bytes,
            spans: cursor.spans,
            last_ms: None,
        }
    }

    /// Where this search has come to.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { found: self.found, bytes: self.bytes, spans: self.spans.clone() }
    }

    /// Looks at a record; says whether it is one of those that are looked for.
    fn look(&mut self, record: &ConsumerRecord, decoded: &Decoded) -> bool {
        let Some(span) = self.spans.get_mut(&record.partition) else { return false };
        let offset = record.offset.0;
        if self.found >= self.found_max || offset < span.at || offset >= span.end {
            return false;
        }
        span.at = offset + 1;
        span.records += 1;
        self.records += 1;
        self.bytes = self.bytes.saturating_add(bytes_of(record) as u64);
        self.last_ms = Some(record.timestamp.0);
        let fits = self.needle.fits(record, decoded);
        self.found += usize::from(fits);
        fits
    }

    /// Offsets were passed over, because their batch is not for readers of committed transactions.
    fn passed(&mut self, passed: &PassedOver) {
        let Some(span) = self.spans.get_mut(&passed.partition.partition) else { return };
        if self.found >= self.found_max {
            return;
        }
        let (from, end) = (passed.from.0.max(span.at), passed.end.0.min(span.end));
        if from < end {
            match passed.why {
                Passed::Aborted => span.aborted += end - from,
                Passed::Control => span.markers += end - from,
            }
            span.at = end;
        }
    }

    /// Everything of a partition before this offset was read.
    fn reached(&mut self, partition: i32, offset: i64) {
        if self.found >= self.found_max {
            return;
        }
        if let Some(span) = self.spans.get_mut(&partition) {
            span.at = span.at.max(offset.min(span.end));
        }
    }

    /// Whether everything was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.spans.values().all(|span| span.is_complete())
    }

    /// Whether nothing more is looked at: everything was read, or enough was found.
    pub(crate) fn is_over(&self) -> bool {
        self.is_complete() || self.found >= self.found_max
    }

    /// The partitions, and how far each was read.
    pub(crate) fn spans(&self) -> &BTreeMap<i32, Span> {
        &self.spans
    }

    /// How many records were found.
    pub(crate) fn found(&self) -> usize {
        self.found
    }

    /// How many records were read.
    pub(crate) fn records(&self) -> i64 {
        self.records
    }

    /// How many bytes of keys, values and headers were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The time of the record that was read last.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        self.last_ms
    }

    /// How many offsets there are to read in all, and how many of them were read.
    pub(crate) fn offsets(&self) -> (i64, i64) {
        let all = self.spans.values().map(|span| span.end - span.from).sum();
        (all, self.spans.values().map(|span| span.at - span.from).sum())
    }
}

/// A search that runs.
#[derive(Debug)]
pub(crate) struct Chase {
    consumer: Reader,
    topic: Arc<str>,
    /// How what is looked at is read, and what is found shown.
    pub(crate) formats: Formats,
    pub(crate) hunt: Hunt,
    _turn: Turn,
}

impl Kafka {
    /// Where a search of a topic begins and ends: at the first record, or at the first that is not older than `since_ms`; in one
    /// partition or in all.
    pub(crate) async fn spans(
        &self,
        snapshot: &Snapshot,
        name: &str,
        partition: Option<i32>,
        since_ms: Option<i64>,
    ) -> Result<Vec<(i32, Range)>, Trouble> {
        let topic = snapshot.topic(name)?;
        let wanted = topic.partitions.iter().map(|it| it.id).filter(|id| partition.is_none_or(|only| only == *id));
        let asked: Vec<TopicPartition> = wanted.map(|id| TopicPartition::new(name, id)).collect();
        if asked.is_empty() {
            return Err(Trouble::no_partition(name, partition.unwrap_or_default()));
        }
        let ranges = self.ranges(&asked).await?;
        let since = match since_ms {
            Some(ms) => self.look_up(&asked, OffsetSpec::At(Timestamp(ms.max(0)))).await?,
            None => vec![Some(0); asked.len()],
        };
        let mut spans = Vec::with_capacity(asked.len());
        for ((partition, range), since) in asked.iter().zip(ranges).zip(since) {
            // A search that leaves out a partition would claim to have read everything.
            let unread = || Trouble::Busy("a partition has no leader that answers now: not everything can be searched");
            let (range, id) = (range.ok_or_else(unread)?, partition.partition);
            let from = since.unwrap_or(range.end);
            spans.push((id, Range { first: from.clamp(range.first, range.end.max(range.first)), end: range.end }));
        }
        Ok(spans)
    }

    /// Begins a search.
    pub(crate) async fn chase(&self, topic: &str, hunt: Hunt, formats: Formats) -> Result<Chase, Trouble> {
        let turn = self.reading_turn().await?;
        self.chase_in(turn, topic, hunt, formats)
    }

    /// As `chase`, for one that may take minutes.
    pub(crate) async fn long_chase(&self, topic: &str, hunt: Hunt, formats: Formats) -> Result<Chase, Trouble> {
        let turn = self.long_turn().await?;
        self.chase_in(turn, topic, hunt, formats)
    }

    fn chase_in(&self, turn: Turn, topic: &str, hunt: Hunt, formats: Formats) -> Result<Chase, Trouble> {
        let mut consumer = self.consumer(STEP_RECORDS_MAX, FETCH_BYTES_MAX)?;
        let topic: Arc<str> = topic.into();
        let open = hunt.spans.iter().filter(|(_, span)| !span.is_complete());
        let start = |(id, span): (&i32, &Span)| {
            (TopicPartition { topic: Arc::clone(&topic), partition: *id }, Start::At(Offset(span.at)))
        };
        consumer.assign(open.map(start));
        Ok(Chase { consumer, topic, formats, hunt, _turn: turn })
    }
}

impl Chase {
    /// Reads on, until some records were read or it is `deadline`; gives what was found among them.
    pub(crate) async fn step(&mut self, deadline: Instant) -> Result<Vec<ConsumerRecord>, Trouble> {
        if self.hunt.is_over() {
            return Ok(Vec::new());
        }
        let records = self.consumer.poll(deadline).await?;
        self.formats.learn(&records).await;
        let mut passed: BTreeMap<i32, VecDeque<PassedOver>> = BTreeMap::new();
        for over in self.consumer.take_passed_over() {
            passed.entry(over.partition.partition).or_default().push_back(over);
        }
        let mut found = Vec::new();
        for record in records {
            // What was passed over is counted where it stands between the records of its partition.
            if let Some(queue) = passed.get_mut(&record.partition) {
                while let Some(over) = queue.pop_front_if(|over| over.from <= record.offset) {
                    self.hunt.passed(&over);
                }
            }
            if self.hunt.look(&record, &self.formats.decoded(&record)) {
                found.push(record);
            }
        }
        passed.values().flatten().for_each(|over| self.hunt.passed(over));
        let ids: Vec<i32> = self.hunt.spans.keys().copied().collect();
        for id in ids {
            let partition = TopicPartition { topic: Arc::clone(&self.topic), partition: id };
            if let Some(position) = self.consumer.position(&partition) {
                self.hunt.reached(id, position.0);
            }
            if self.hunt.spans.get(&id).is_some_and(|span| span.is_complete()) {
                self.consumer.pause(&partition);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use thalweg_base::LeaderEpoch;
    use thalweg_records::TimestampType;

    use super::*;

    fn record(partition: i32, offset: i64, value: &'static str) -> ConsumerRecord {
        ConsumerRecord {
            topic: "t".into(),
            partition,
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(offset * 1000),
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from_static(b"Key")),
            value: Some(Bytes::from_static(value.as_bytes())),
            headers: Vec::new(),
        }
    }

    fn hunt(text: &str, found_max: usize, ranges: &[(i32, i64, i64)]) -> Hunt {
        let range = |(id, first, end): &(i32, i64, i64)| (*id, Range { first: *first, end: *end });
        Hunt::new(Needle::new(text, false).expect("a needle"), found_max, ranges.iter().map(range))
    }

    #[test]
    fn it_is_complete_only_when_every_offset_was_read() {
        let mut hunt = hunt("x", 10, &[(0, 5, 8), (1, 0, 2)]);
        assert!(!hunt.look(&record(0, 5, "a"), &Decoded::default()));
        assert!(hunt.look(&record(0, 7, "aXa"), &Decoded::default()), "in any case");
        assert!(!hunt.is_complete());
        hunt.reached(1, 1);
        assert!(!hunt.is_complete());
        hunt.reached(1, 9);
        assert!(hunt.is_complete());
        assert_eq!(hunt.spans()[&0], Span { from: 5, end: 8, at: 8, records: 2, ..Span::default() });
        assert_eq!((hunt.spans()[&0].without_record(), hunt.spans()[&1].without_record()), (1, 2));
        assert_eq!((hunt.offsets(), hunt.found(), hunt.records(), hunt.bytes()), ((5, 5), 1, 2, 10));
    }

    #[test]
    fn what_was_passed_over_is_told_by_its_reason() {
        let mut hunt = hunt("x", 10, &[(0, 0, 10)]);
        let over = |from: i64, end: i64, why: Passed| PassedOver {
            partition: TopicPartition::new("t", 0),
            from: Offset(from),
            end: Offset(end),
            why,
        };
        assert!(hunt.look(&record(0, 0, "x"), &Decoded::default()));
        hunt.passed(&over(1, 4, Passed::Aborted));
        hunt.passed(&over(5, 6, Passed::Control));
        assert!(hunt.look(&record(0, 7, "x"), &Decoded::default()));
        hunt.passed(&over(8, 20, Passed::Aborted));
        let span = hunt.spans()[&0];
        assert!(hunt.is_complete());
        assert_eq!((span.records, span.aborted, span.markers, span.compacted()), (2, 5, 1, 2));
    }

    #[test]
    fn what_was_written_after_it_began_is_not_looked_at() {
        let mut hunt = hunt("x", 10, &[(0, 0, 1)]);
        assert!(!hunt.look(&record(0, 1, "x"), &Decoded::default()));
        assert!(!hunt.look(&record(7, 0, "x"), &Decoded::default()));
        assert!(hunt.look(&record(0, 0, "x"), &Decoded::default()));
        assert!(!hunt.look(&record(0, 0, "x"), &Decoded::default()), "a record is looked at once");
    }

    #[test]
    fn one_that_has_found_enough_claims_no_more_than_it_has_read() {
        let mut hunt = hunt("x", 1, &[(0, 0, 3)]);
        assert!(hunt.look(&record(0, 0, "x"), &Decoded::default()));
        assert!(!hunt.look(&record(0, 1, "x"), &Decoded::default()));
        hunt.reached(0, 3);
        assert!(hunt.is_over() && !hunt.is_complete());
        assert_eq!(hunt.spans()[&0].at, 1);
    }

    #[test]
    fn one_that_goes_on_knows_what_was_read_before() {
        let mut before = hunt("x", 1, &[(0, 5, 8), (1, 0, 2)]);
        assert!(before.look(&record(0, 6, "x"), &Decoded::default()));
        let cursor = before.cursor().to_string();
        let needle = Needle::new("x", false).expect("a needle");
        let mut after = Hunt::resumed(needle, 5, cursor.parse().expect("a cursor"));
        assert!(
            !after.look(&record(0, 6, "x"), &Decoded::default()) && after.look(&record(0, 7, "x"), &Decoded::default())
        );
        after.reached(1, 2);
        assert!(after.is_complete());
        assert_eq!((after.found(), after.records(), after.spans()[&0].without_record()), (2, 2, 1));
    }
}
