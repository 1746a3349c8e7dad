//! The newest records of a topic, and those before them.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_client::ConsumerRecord;

use super::{Cursor, Kafka, Range, Read, ReadLimits, Span, Turn, bytes_of};
use crate::trouble::Trouble;

/// The window in which the newest records are looked for becomes so many times smaller if its records do not fit into memory.
const SMALLER: i64 = 8;
/// So often it is read on before a page comes with fewer records than were asked for: offsets may have no records.
const ROUNDS_MAX: usize = 8;

/// Records of a topic, the newest first.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) records: Vec<ConsumerRecord>,
    /// Where those before them end; `None` if there are none.
    pub(crate) older: Option<Cursor>,
    _turn: Turn,
}

impl Kafka {
    /// The newest `limits.records` records of all partitions before these ends; fewer where there are none for long. Each
    /// partition's come in the order of its offsets, and between partitions the one whose next record has the later time comes
    /// first.
    pub(crate) async fn newest(
        &self,
        name: &str,
        mut ends: BTreeMap<i32, Range>,
        limits: ReadLimits,
    ) -> Result<Newest, Trouble> {
        let records_max = limits.records;
        let (mut records, mut bytes, mut round) = (Vec::new(), 0, 0);
        loop {
            let wanted = records_max - records.len();
            let limits = ReadLimits { records: wanted << round, bytes: limits.bytes };
            let (parts, turn) = self.read_ends(name, &ends, limits).await?;
            let (more, spans) = merge(parts, wanted);
            bytes += more.iter().map(bytes_of).sum::<usize>();
            records.extend(more);
            round += 1;
            let is_over = spans.values().all(|span| span.end <= span.from);
            if is_over || records.len() >= records_max || round == ROUNDS_MAX || bytes >= limits.bytes {
                let older = (!is_over).then(|| Cursor::of_spans(spans));
                return Ok(Newest { records, older, _turn: turn });
            }
            ends = spans.iter().map(|(id, span)| (*id, Range { first: span.from, end: span.end })).collect();
        }
    }

    /// The last records of partitions before these ends.
    async fn read_ends(
        &self,
        name: &str,
        ends: &BTreeMap<i32, Range>,
        limits: ReadLimits,
    ) -> Result<(BTreeMap<i32, Part>, Turn), Trouble> {
        let mut window = i64::try_from(limits.records).unwrap_or(i64::MAX);
        loop {
            let mut reads = BTreeMap::new();
            for (id, range) in ends {
                let next = (range.end - window).max(range.first);
                reads.insert(TopicPartition::new(name, *id), Read { records: Vec::new(), next, range: *range });
            }
            let turn = self.read_all(&mut reads, limits).await?;
            // A partition that was not read up to its end lacks just its newest records.
            if window > 1 && reads.values().any(|read| read.next < read.range.end) {
                window = (window / SMALLER).max(1);
                continue;
            }
            let mut parts: BTreeMap<i32, Part> = BTreeMap::new();
            for (partition, read) in reads {
                let from = (read.range.end - window).max(read.range.first);
                parts.insert(partition.partition, Part { records: read.records, from, range: read.range });
            }
            return Ok((parts, turn));
        }
    }
}

/// What was read of a partition.
struct Part {
    /// By rising offset.
    records: Vec<ConsumerRecord>,
    /// The offset from which on it was read.
    from: i64,
    range: Range,
}

/// The newest of all, and where those before them end.
fn merge(mut parts: BTreeMap<i32, Part>, records_max: usize) -> (Vec<ConsumerRecord>, BTreeMap<i32, Span>) {
    let mut records = Vec::new();
    while records.len() < records_max {
        let newest = parts.values_mut().max_by_key(|part| part.records.last().map(|record| record.timestamp));
        let Some(record) = newest.and_then(|part| part.records.pop()) else { break };
        if let Some(part) = parts.get_mut(&record.partition) {
            part.range.end = record.offset.0;
        }
        records.push(record);
    }
    let mut spans = BTreeMap::new();
    for (id, part) in parts {
        // What was read and is shown later ends behind its last record; where nothing is left, all before was not read.
        let end = part.records.last().map_or(part.from.min(part.range.end), |record| record.offset.0 + 1);
        let end = end.max(part.range.first);
        spans.insert(id, Span { from: part.range.first, end, at: part.range.first, ..Span::default() });
    }
    (records, spans)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use thalweg_base::{LeaderEpoch, Offset, Timestamp};
    use thalweg_records::TimestampType;

    use super::*;

    fn part(partition: i32, from: i64, end: i64, records: &[(i64, i64)]) -> (i32, Part) {
        let record = |(offset, at): &(i64, i64)| ConsumerRecord {
            topic: "t".into(),
            partition,
            offset: Offset(*offset),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(*at),
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(Bytes::new()),
            headers: Vec::new(),
        };
        let records = records.iter().map(record).collect();
        (partition, Part { records, from, range: Range { first: 0, end } })
    }

    fn places(records: &[ConsumerRecord]) -> Vec<(i32, i64)> {
        records.iter().map(|record| (record.partition, record.offset.0)).collect()
    }

    #[test]
    fn nothing_is_left_out_and_nothing_comes_twice() {
        // Offset 8 of partition 0 has an earlier time than offset 7: a partition keeps the order of its offsets.
        let parts = [part(0, 7, 9, &[(7, 50), (8, 10)]), part(1, 2, 4, &[(2, 20), (3, 30)])];
        let (records, spans) = merge(parts.into(), 3);
        assert_eq!(places(&records), [(1, 3), (1, 2), (0, 8)]);
        assert_eq!((spans[&0].end, spans[&1].end), (8, 2));
    }

    #[test]
    fn where_records_were_compacted_it_goes_on_before_them() {
        let (records, spans) = merge([part(0, 5, 9, &[])].into(), 3);
        assert!(records.is_empty());
        assert_eq!(spans[&0].end, 5);
        assert_eq!(merge([part(0, 0, 9, &[(4, 1)])].into(), 3).1[&0].end, 0, "there is nothing before it");
    }
}
