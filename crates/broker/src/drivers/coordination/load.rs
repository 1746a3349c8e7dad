//! Rebuilds a coordinator's state from its partition.

use bytes::{BufMut as _, Bytes, BytesMut};
use thalweg_base::Offset;
use thalweg_coordinator::{LogRecord, Machine, Origin};
use thalweg_records::control::ControlType;
use thalweg_records::{BatchError, BatchView, Record, batches};
use thalweg_storage::{Fault, FirstBatch, ReadError};

use crate::drivers::partition::Partition;

/// What the records of one batch may take without compression: far more than a coordinator ever writes at once.
const BATCH_BYTES_MAX: usize = 256 << 20;

/// Why a partition cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("the partition is not led here any more")]
    Gone,
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the batch at offset {0} is malformed: {1}")]
    Batch(Offset, BatchError),
}

/// Replays every record of the log, reading about `chunk` bytes at a time. It gives the offset after the last one.
///
/// It reads the disk and decompresses: it must not run on a network worker.
pub(super) fn load(
    partition: &Partition,
    shard: &mut impl Machine,
    chunk: usize,
    is_wanted: impl Fn() -> bool,
) -> Result<Offset, LoadError> {
    let mut next = partition.with_log(|log| Ok(log.log_start())).ok_or(LoadError::Gone)?;
    loop {
        if !is_wanted() {
            return Err(LoadError::Gone);
        }
        let plan = partition.with_log(|log| Ok(log.read(next, log.log_end(), chunk, FirstBatch::Whole)));
        let plan = plan.ok_or(LoadError::Gone)??;
        let before = next;
        for batch in batches(plan.read()?) {
            match batch {
                Ok(batch) => {
                    replay(shard, &batch).map_err(|e| LoadError::Batch(batch.base_offset(), e))?;
                    next = batch.next_offset();
                }
                // The chunk ends within a batch, which is read again with what follows.
                Err(BatchError::Truncated { .. }) => break,
                Err(e) => return Err(LoadError::Batch(next, e)),
            }
        }
        if next == before {
            return Ok(next);
        }
    }
}

fn replay(shard: &mut impl Machine, batch: &BatchView) -> Result<(), BatchError> {
    let header = batch.header();
    let is_transactional = header.attributes.is_transactional();
    let producer = is_transactional.then_some((header.producer_id, header.producer_epoch));
    for record in batch.records(BATCH_BYTES_MAX)? {
        let record = record?;
        let Some(key) = &record.key else { continue };
        if !header.attributes.is_control() {
            let offset = header.offset_of(record.offset_delta);
            let origin = Origin { offset, timestamp: header.timestamp_of(record.timestamp_delta), producer };
            shard.replay(origin, &own(key, &record));
            continue;
        }
        let decided = match ControlType::parse_key(key)? {
            Some(ControlType::Commit) => true,
            Some(ControlType::Abort) => false,
            _ => continue,
        };
        shard.replay_end_of_transaction(header.producer_id, decided);
    }
    Ok(())
}

/// The record in bytes of its own: what the shard keeps of it must not hold the whole chunk.
fn own(key: &Bytes, record: &Record) -> LogRecord {
    let value = record.value.as_ref();
    let mut bytes = BytesMut::with_capacity(key.len() + value.map_or(0, Bytes::len));
    bytes.put_slice(key);
    if let Some(value) = value {
        bytes.put_slice(value);
    }
    let mut rest = bytes.freeze();
    let key = rest.split_to(key.len());
    LogRecord { key, value: value.map(|_| rest) }
}
