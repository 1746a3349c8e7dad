//! The records of a share fetch that were acquired.

use std::collections::BTreeMap;

use thalweg_base::{Offset, TopicPartition};
use thalweg_records::{BatchError, batches};
use thalweg_wire::messages::share_fetch_response::PartitionData;

use super::ShareRecord;
use crate::{ConsumerRecord, Error};

/// How many offsets of one answer can be acquired; brokers give `max.poll.records` and what is left of a batch.
const ACQUIRED_MAX: i64 = 1 << 20;

/// The acquired offsets, each with its record; an offset without one lies in a gap of the log.
pub(super) fn acquired(
    partition: &TopicPartition,
    data: &PartitionData,
    check_crcs: bool,
    batch_bytes_max: usize,
) -> Result<BTreeMap<Offset, Option<ShareRecord>>, Error> {
    let damaged = |source: BatchError| Error::Batch {
        partition: partition.clone(),
        offset: Offset(data.acquired_records.first().map_or(0, |range| range.first_offset)),
        source: Box::new(source),
    };
    let mut counts: BTreeMap<Offset, i16> = BTreeMap::new();
    for range in &data.acquired_records {
        let last = range.last_offset.min(range.first_offset.saturating_add(ACQUIRED_MAX));
        counts.extend((range.first_offset..=last).map(|offset| (Offset(offset), range.delivery_count)));
    }
    let mut found: BTreeMap<Offset, Option<ShareRecord>> = counts.keys().map(|offset| (*offset, None)).collect();
    let bytes = data.records.as_ref().and_then(|records| records.here()).cloned().unwrap_or_default();
    for batch in batches(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            // The last batch may be cut off.
            Err(_) => break,
        };
        if check_crcs {
            batch.verify_crc().map_err(damaged)?;
        }
        let header = *batch.header();
        if header.attributes.is_control() {
            continue;
        }
        for record in batch.records(batch_bytes_max).map_err(damaged)? {
            let record = record.map_err(damaged)?;
            let offset = header.offset_of(record.offset_delta);
            let Some(delivery_count) = counts.get(&offset).copied() else { continue };
            let record = ConsumerRecord::of_batch(partition, &header, offset, record);
            found.insert(offset, Some(ShareRecord { record, delivery_count }));
        }
    }
    Ok(found)
}
