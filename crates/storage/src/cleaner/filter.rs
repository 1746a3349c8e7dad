//! What the cleaner leaves of one batch.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::{
    BatchBuilder, BatchError, BatchHeader, BatchOptions, BatchView, Codec, Record, TimestampType, empty_batch,
};

use super::RECORDS_MAX;
use super::offset_map::{KeyHash, OffsetMap};
use super::plan::CleanPlan;
use super::transactions::{ControlKind, MarkerFate, Transactions};
use crate::AbortedTxn;
use crate::scan::marker_of;

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// All of it, byte for byte.
    Original,
    /// These bytes, with the same offsets.
    Rebuilt(Bytes),
    Nothing,
}

/// Decides over batches, from the log's first one on.
///
/// The rules are Kafka's: a record stays while no later one has its key; a tombstone stays until the delete horizon in its
/// batch's header, which the first cleaning sets (KIP-534); aborted records go at once, a marker goes once its transaction
/// has no batch and its horizon has come (KIP-98); the last batch of a producer, and the last one below the high watermark,
/// stay without records.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) transactions: Transactions,
    now: Timestamp,
    /// Segments of old formats that were written at or before this have lost their tombstones' time.
    legacy_horizon: Timestamp,
    /// The tombstones of old formats stay in the segment that is being cleaned.
    retain_legacy_deletes: bool,
    pub(crate) records_read: u64,
    pub(crate) records_kept: u64,
    /// Records without a key, which a compacted topic does not take.
    pub(crate) records_invalid: u64,
}

/// A verdict on a whole batch.
struct Verdict {
    /// None of its records stays.
    discard_records: bool,
    /// Its header stays even when no record does.
    retain_empty: bool,
    /// It is a marker that nobody needs.
    empty_marker: bool,
    aborted: Option<AbortedTxn>,
}

impl Filter {
    pub(crate) fn new(now: Timestamp, legacy_horizon: Timestamp) -> Self {
        Self {
            transactions: Transactions::default(),
            now,
            legacy_horizon,
            retain_legacy_deletes: true,
            records_read: 0,
            records_kept: 0,
            records_invalid: 0,
        }
    }

    /// The next batches are of a segment that was written last at this time.
    pub(crate) fn begin_segment(&mut self, modified: Timestamp) {
        self.retain_legacy_deletes = modified > self.legacy_horizon;
    }

    /// Decides over one batch. Gives what is left, and the aborted transaction whose marker it is, if that stays.
    pub(crate) fn batch(
        &mut self,
        view: &BatchView,
        map: &OffsetMap,
        plan: &CleanPlan,
    ) -> Result<(Kept, Option<AbortedTxn>), BatchError> {
        let header = view.header();
        let verdict = self.judge(view, plan)?;
        let aborted = verdict.aborted;
        if verdict.discard_records && !verdict.retain_empty {
            self.records_read += u64::try_from(header.count).unwrap_or(0);
            return Ok((Kept::Nothing, aborted));
        }
        let records = match view.records(RECORDS_MAX) {
            // Too large to be looked into: it stays, and costs only room.
            Err(BatchError::TooLarge { .. }) => return Ok((Kept::Original, aborted)),
            other => other?,
        };
        let (mut kept, mut whole, mut tombstones) = (Vec::new(), header.magic >= 2, false);
        for record in records {
            let record = record?;
            self.records_read += 1;
            let stays =
                !verdict.discard_records && (header.attributes.is_control() || self.stays(header, &record, map));
            if stays {
                tombstones |= record.value.is_none();
                kept.push(record);
            } else {
                whole = false;
            }
        }
        self.records_kept += kept.len() as u64;
        if kept.is_empty() {
            let left = if verdict.retain_empty { Kept::Rebuilt(empty_batch(header)) } else { Kept::Nothing };
            return Ok((left, aborted));
        }
        let sets_horizon = (tombstones || verdict.empty_marker) && header.delete_horizon().is_none();
        if whole && !sets_horizon {
            return Ok((Kept::Original, aborted));
        }
        let horizon = match sets_horizon {
            true => Some(Timestamp(self.now.0.saturating_add(plan.config.delete_retention_ms))),
            false => header.delete_horizon(),
        };
        Ok((Kept::Rebuilt(rebuild(header, &kept, horizon)?), aborted))
    }

    fn judge(&mut self, view: &BatchView, plan: &CleanPlan) -> Result<Verdict, BatchError> {
        let header = view.header();
        let is_control = header.attributes.is_control();
        let (discardable, aborted) = if is_control {
            match self.transactions.control(header, control_kind(view)?) {
                MarkerFate::Needed => (false, None),
                MarkerFate::NeededAbort(txn) => (false, Some(txn)),
                MarkerFate::Empty => (true, None),
            }
        } else {
            (self.transactions.batch(header), None)
        };
        let horizon_has_come = header.delete_horizon().is_some_and(|horizon| horizon <= self.now);
        let is_last_of_producer = header.has_producer_id()
            && plan.producers.get(&header.producer_id).is_some_and(|last| match last.data {
                Some(offset) => header.last_offset() == offset,
                None => is_control && header.producer_epoch == last.epoch,
            });
        Ok(Verdict {
            discard_records: discardable && (!is_control || horizon_has_come),
            retain_empty: is_last_of_producer || header.next_offset() == plan.high_watermark,
            empty_marker: discardable && is_control,
            aborted,
        })
    }

    fn stays(&mut self, header: &BatchHeader, record: &Record, map: &OffsetMap) -> bool {
        let offset = header.offset_of(record.offset_delta);
        if offset > map.latest() {
            return true;
        }
        let Some(key) = &record.key else {
            self.records_invalid += 1;
            return false;
        };
        if map.get(KeyHash::of(key)).is_some_and(|newest| offset < newest) {
            return false;
        }
        let retain_deletes = match header.magic {
            2.. => header.delete_horizon().is_none_or(|horizon| self.now < horizon),
            _ => self.retain_legacy_deletes,
        };
        record.value.is_some() || retain_deletes
    }
}

/// What the first record of a control batch is; `None` when it has none.
pub(crate) fn control_kind(view: &BatchView) -> Result<Option<ControlKind>, BatchError> {
    if view.header().count == 0 {
        return Ok(None);
    }
    Ok(Some(marker_of(view)?.map_or(ControlKind::Other, ControlKind::EndTxn)))
}

/// A batch with these records of another. It keeps its range of offsets and sequence numbers; old formats become new.
fn rebuild(header: &BatchHeader, records: &[Record], horizon: Option<Timestamp>) -> Result<Bytes, BatchError> {
    let offset_of = |record: &Record| header.offset_of(record.offset_delta);
    let legacy = header.magic < 2;
    let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: if legacy { records.first().map_or(header.base_offset, offset_of) } else { header.base_offset },
        leader_epoch: if legacy { LeaderEpoch::NONE } else { header.leader_epoch },
        codec: Codec::from(header.attributes.compression()?),
        log_append_time: append_time.then_some(header.max_timestamp),
        delete_horizon: horizon,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control(),
    });
    let mut next = builder.next_offset();
    for record in records {
        let offset = offset_of(record);
        if offset < next || offset.0 - builder_base(header, records).0 > i64::from(i32::MAX) {
            return Err(BatchError::Record("its offsets do not grow"));
        }
        next = offset.next();
        let time = header.timestamp_of(record.timestamp_delta);
        builder.append_at(offset, time, record.key.as_deref(), record.value.as_deref(), &record.headers);
    }
    if !legacy {
        if header.last_offset() < Offset(next.0 - 1) {
            return Err(BatchError::Record("an offset is beyond its batch"));
        }
        builder.end_at(header.last_offset());
    }
    builder.build()
}

fn builder_base(header: &BatchHeader, records: &[Record]) -> Offset {
    match header.magic {
        2.. => header.base_offset,
        _ => records.first().map_or(header.base_offset, |record| header.offset_of(record.offset_delta)),
    }
}
