//! Batches, good ones and damaged ones.

use bytes::Bytes;
use thalweg_base::{ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::{BatchBuilder, BatchOptions, Compression, crc32c};

/// When records say they were made: long ago, but never the same for two of a batch.
pub(crate) const TIME: i64 = 1_700_000_000_000;

/// A batch of `count` records with keys.
pub(crate) fn plain(count: i64) -> Bytes {
    batch(BatchOptions::default(), count, true, TIME)
}

/// The same, compressed.
pub(crate) fn compressed(compression: Compression, count: i64) -> Bytes {
    batch(BatchOptions { codec: compression.into(), ..BatchOptions::default() }, count, true, TIME)
}

/// A batch of an idempotent producer.
pub(crate) fn sequenced(id: i64, epoch: i16, sequence: i32, count: i64) -> Bytes {
    let options = BatchOptions {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        ..BatchOptions::default()
    };
    batch(options, count, true, TIME)
}

pub(crate) fn batch(options: BatchOptions, count: i64, keys: bool, time: i64) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for number in 0..count {
        let key = format!("key {number}");
        // Of three records, the middle one is the latest.
        let latest = if number == 1 { 1000 } else { number };
        let value = format!("value {number}");
        let key = keys.then_some(key.as_bytes());
        builder.append(Timestamp(time + latest), key, Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap_or_default()
}

/// A batch with other bytes at a place, and its checksum made right again.
pub(crate) fn patched(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut patched = batch.to_vec();
    patched[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(0, &patched[21..]);
    patched[17..21].copy_from_slice(&crc.to_be_bytes());
    patched.into()
}

/// A batch with other bytes at a place, and the checksum as it was.
pub(crate) fn damaged(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut damaged = batch.to_vec();
    damaged[at..at + bytes.len()].copy_from_slice(bytes);
    damaged.into()
}
