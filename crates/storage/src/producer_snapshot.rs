//! `.snapshot`: the producers of a log as they were at an offset, so that loading need not read the log before it.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::crc32c;

use crate::producer_entry::{Producer, WrittenBatch};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const ENTRIES_AT: usize = 6;
/// Id 8, epoch 2, sequence 4, offset 8, delta 4, timestamp 8, coordinator epoch 4, transaction 8.
const ENTRY: usize = 46;

/// The file's bytes.
pub(crate) fn encode(producers: &BTreeMap<ProducerId, Producer>) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENTRIES_AT + 4 + producers.len() * ENTRY);
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_u32(u32::try_from(producers.len()).unwrap_or(u32::MAX));
    for (id, producer) in producers {
        let last = producer.last_batch();
        out.put_i64(id.0);
        out.put_i16(producer.epoch().0);
        out.put_i32(producer.last_sequence());
        out.put_i64(last.map_or(-1, |b| b.last_offset.0));
        out.put_i32(last.map_or(0, |b| b.offset_delta));
        out.put_i64(producer.last_timestamp().0);
        out.put_i32(producer.coordinator_epoch());
        out.put_i64(producer.txn_first_offset().map_or(-1, |o| o.0));
    }
    let crc = crc32c(0, &out[ENTRIES_AT..]);
    out[CRC_AT..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads the file's bytes; the error says why they are none.
pub(crate) fn decode(bytes: &[u8]) -> Result<BTreeMap<ProducerId, Producer>, String> {
    if bytes.len() < ENTRIES_AT + 4 {
        return Err(format!("{} bytes are too few", bytes.len()));
    }
    let (mut head, mut rest) = bytes.split_at(ENTRIES_AT);
    let (version, stored) = (head.get_i16(), head.get_u32());
    if version != VERSION {
        return Err(format!("unknown version {version}"));
    }
    let computed = crc32c(0, rest);
    if computed != stored {
        return Err(format!("stored crc {stored}, computed crc {computed}"));
    }
    let count = rest.get_u32() as usize;
    if rest.len() != count.saturating_mul(ENTRY) {
        return Err(format!("{count} entries do not take {} bytes", rest.len()));
    }
    let mut producers = BTreeMap::new();
    for mut entry in rest.chunks_exact(ENTRY) {
        let id = ProducerId(entry.get_i64());
        let epoch = ProducerEpoch(entry.get_i16());
        let (last_sequence, last_offset, offset_delta) = (entry.get_i32(), Offset(entry.get_i64()), entry.get_i32());
        let (timestamp, coordinator_epoch) = (Timestamp(entry.get_i64()), entry.get_i32());
        let txn = Some(Offset(entry.get_i64())).filter(|offset| offset.0 >= 0);
        let mut producer = Producer::loaded(epoch, coordinator_epoch, timestamp, txn);
        if last_offset.0 >= 0 {
            producer.add(epoch, WrittenBatch { last_sequence, last_offset, offset_delta, timestamp });
        }
        producers.insert(id, producer);
    }
    Ok(producers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_back_and_every_flipped_bit_is_noticed() {
        let mut producer = Producer::loaded(ProducerEpoch(3), 9, Timestamp(77), Some(Offset(40)));
        let batch =
            WrittenBatch { last_sequence: 12, last_offset: Offset(50), offset_delta: 2, timestamp: Timestamp(77) };
        producer.add(ProducerEpoch(3), batch);
        let producers = BTreeMap::from([
            (ProducerId(1), producer),
            (ProducerId(8), Producer::loaded(ProducerEpoch(0), -1, Timestamp(5), None)),
        ]);
        let bytes = encode(&producers);
        assert_eq!(bytes.len(), 10 + 2 * ENTRY);
        assert_eq!(decode(&bytes), Ok(producers));
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x40;
            assert!(decode(&broken).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
