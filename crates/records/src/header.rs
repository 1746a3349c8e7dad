//! The fixed bytes at the start of a batch.

use std::fmt;

use bytes::{Buf, BufMut};
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::{BatchError, Compression};

/// The size of a magic 2 header in bytes, from the base offset to the record count.
pub const HEAD: usize = 61;
/// The bytes before those that the length field counts: the base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;

pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
/// The smallest value of the length field: an empty magic 0 message.
const LENGTH_MIN: i32 = 14;
const HEAD_V0: usize = 18;
const HEAD_V1: usize = 26;

/// Who sets the timestamps of a batch's records (KIP-32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker: every record has the batch's max timestamp.
    LogAppendTime,
}

impl TimestampType {
    /// The value of `message.timestamp.type` that stands for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        }
    }

    /// The type that `message.timestamp.type` names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::CreateTime, Self::LogAppendTime].into_iter().find(|t| t.name() == name)
    }
}

impl fmt::Display for TimestampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The flags of a batch. The low four bits mean the same in every format, the others exist since magic 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// Flags with this codec and timestamp type and nothing else.
    #[must_use]
    pub fn new(compression: Compression, timestamp_type: TimestampType) -> Self {
        Self(i16::from(compression.id())).with_timestamp_type(timestamp_type)
    }

    /// The codec of the records, or an error when the bits name none.
    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id((self.0 & Self::CODEC) as u8)
    }

    /// Whether the codec bits are not zero.
    #[must_use]
    pub fn is_compressed(self) -> bool {
        self.0 & Self::CODEC != 0
    }

    /// Who set the timestamps.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        match self.0 & Self::LOG_APPEND_TIME {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether the batch belongs to a transaction (KIP-98).
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records, which no consumer is shown.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which the cleaner may drop tombstones and markers (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same flags with this timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    /// The same flags and "transactional".
    #[must_use]
    pub fn transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    /// The same flags and "control".
    #[must_use]
    pub fn control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }

    /// The same flags and "delete horizon".
    #[must_use]
    pub fn delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    /// The flags without the bits that no version of Kafka has defined.
    pub(crate) fn defined(self) -> Self {
        Self(self.0 & 0x7f)
    }
}

/// A batch's header, parsed.
///
/// A message of magic 0 or 1 is shown through the same fields: its offset is `base_offset`, `last_offset_delta` is 0,
/// its timestamp is `base_timestamp` and `max_timestamp` (-1 for magic 0), `count` is 1, and what it does not have is
/// -1. A compressed message of those formats is a wrapper that carries the offset of its *last* record: [`last_offset`]
/// is right for it, the first offset is known only after decompression ([`BatchView::first_offset`]).
///
/// [`last_offset`]: Self::last_offset
/// [`BatchView::first_offset`]: crate::BatchView::first_offset
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record that was produced in the batch; compaction keeps it when it removes that record.
    pub base_offset: Offset,
    /// How many bytes follow this field.
    pub batch_length: i32,
    /// The epoch of the leader that appended the batch.
    pub leader_epoch: LeaderEpoch,
    /// The format: 0, 1 or 2.
    pub magic: i8,
    /// The stored checksum.
    pub crc: u32,
    /// The flags.
    pub attributes: Attributes,
    /// The last offset minus the base offset.
    pub last_offset_delta: i32,
    /// The timestamp to which the records' deltas are added, or the delete horizon.
    pub base_timestamp: Timestamp,
    /// The largest timestamp of the records, or the log append time.
    pub max_timestamp: Timestamp,
    /// The producer's id, -1 for none.
    pub producer_id: ProducerId,
    /// The producer's epoch, -1 for none.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record, -1 for none.
    pub base_sequence: i32,
    /// How many records the batch holds.
    pub count: i32,
}

/// How many bytes the batch at the start of `bytes` takes, which may be more than there are.
///
/// Needs the first 12 bytes and checks only that the length is possible.
pub fn frame_size(bytes: &[u8]) -> Result<usize, BatchError> {
    if bytes.len() < LOG_OVERHEAD {
        return Err(BatchError::Truncated { need: LOG_OVERHEAD, have: bytes.len() });
    }
    let length = (&bytes[8..]).get_i32();
    if length < LENGTH_MIN {
        return Err(BatchError::Length(length));
    }
    Ok(LOG_OVERHEAD + length as usize)
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`.
    ///
    /// [`HEAD`] bytes suffice for every format; the records need not be there. It checks that the length and the magic
    /// are possible, nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let size = frame_size(bytes)?;
        let need = |need: usize| match bytes.len() < need {
            true => Err(BatchError::Truncated { need, have: bytes.len() }),
            false => Ok(()),
        };
        need(MAGIC_AT + 1)?;
        let magic = bytes[MAGIC_AT] as i8;
        let head = match magic {
            0 => HEAD_V0,
            1 => HEAD_V1,
            2 => HEAD,
            _ => return Err(BatchError::Magic(magic)),
        };
        if size < head {
            return Err(BatchError::Length((size - LOG_OVERHEAD) as i32));
        }
        need(head)?;
        Ok(if magic == 2 { Self::parse_v2(bytes) } else { Self::parse_legacy(bytes, magic) })
    }

    /// `bytes` has at least [`HEAD`] bytes.
    pub(crate) fn parse_v2(mut bytes: &[u8]) -> Self {
        Self {
            base_offset: Offset(bytes.get_i64()),
            batch_length: bytes.get_i32(),
            leader_epoch: LeaderEpoch(bytes.get_i32()),
            magic: bytes.get_i8(),
            crc: bytes.get_u32(),
            attributes: Attributes(bytes.get_i16()),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: Timestamp(bytes.get_i64()),
            max_timestamp: Timestamp(bytes.get_i64()),
            producer_id: ProducerId(bytes.get_i64()),
            producer_epoch: ProducerEpoch(bytes.get_i16()),
            base_sequence: bytes.get_i32(),
            count: bytes.get_i32(),
        }
    }

    /// `bytes` has at least as many bytes as the header of `magic` (0 or 1) takes.
    fn parse_legacy(mut bytes: &[u8], magic: i8) -> Self {
        let base_offset = Offset(bytes.get_i64());
        let batch_length = bytes.get_i32();
        let crc = bytes.get_u32();
        bytes.advance(1);
        let attributes = Attributes(i16::from(bytes.get_i8()) & 0x0f);
        let timestamp = if magic == 0 { Timestamp::NONE } else { Timestamp(bytes.get_i64()) };
        Self {
            base_offset,
            batch_length,
            leader_epoch: LeaderEpoch::NONE,
            magic,
            crc,
            attributes: if magic == 0 { attributes.with_timestamp_type(TimestampType::CreateTime) } else { attributes },
            last_offset_delta: 0,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            count: 1,
        }
    }

    /// The header's bytes in magic 2, whatever `magic` says.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let mut out = &mut head[..];
        out.put_i64(self.base_offset.0);
        out.put_i32(self.batch_length);
        out.put_i32(self.leader_epoch.0);
        out.put_i8(2);
        out.put_u32(self.crc);
        out.put_i16(self.attributes.0);
        out.put_i32(self.last_offset_delta);
        out.put_i64(self.base_timestamp.0);
        out.put_i64(self.max_timestamp.0);
        out.put_i64(self.producer_id.0);
        out.put_i16(self.producer_epoch.0);
        out.put_i32(self.base_sequence);
        out.put_i32(self.count);
        head
    }

    /// The size of the whole batch in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length.max(0) as usize
    }

    /// The offset of the batch's last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The sequence number of the last record, -1 when the batch has none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence {
            -1 => -1,
            base => sequence_after(base, self.last_offset_delta),
        }
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }

    /// The time from which the cleaner may drop the batch's tombstones and markers, if it was set (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<Timestamp> {
        (self.magic == 2 && self.attributes.has_delete_horizon()).then_some(self.base_timestamp)
    }

    /// The offset of the record with this delta.
    #[must_use]
    pub fn offset_of(&self, offset_delta: i32) -> Offset {
        self.base_offset.plus(i64::from(offset_delta))
    }

    /// The timestamp of the record with this delta: the max timestamp when the broker set it.
    #[must_use]
    pub fn timestamp_of(&self, timestamp_delta: i64) -> Timestamp {
        match self.attributes.timestamp_type() {
            TimestampType::CreateTime => Timestamp(self.base_timestamp.0.wrapping_add(timestamp_delta)),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }
}

/// The sequence number `by` after `sequence`; after `i32::MAX` comes 0.
#[must_use]
pub fn sequence_after(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    match sum > i64::from(i32::MAX) {
        true => (sum - i64::from(i32::MAX) - 1) as i32,
        false => sum as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_bytes() {
        let header = BatchHeader {
            base_offset: Offset(7),
            batch_length: 49,
            leader_epoch: LeaderEpoch(3),
            magic: 2,
            crc: 0xdead_beef,
            attributes: Attributes::new(Compression::Zstd, TimestampType::LogAppendTime).transactional().control(),
            last_offset_delta: 4,
            base_timestamp: Timestamp(10),
            max_timestamp: Timestamp(12),
            producer_id: ProducerId(9),
            producer_epoch: ProducerEpoch(1),
            base_sequence: i32::MAX - 1,
            count: 5,
        };
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Ok(header));
        assert_eq!(header.last_offset(), Offset(11));
        assert_eq!(header.last_sequence(), 2, "sequences wrap to 0");
        assert_eq!(header.size(), HEAD);
        assert_eq!(header.timestamp_of(1), Timestamp(12), "log append time");
    }

    #[test]
    fn short_bytes_and_impossible_lengths_are_told_apart() {
        let mut bytes = [0u8; HEAD];
        assert_eq!(BatchHeader::parse(&bytes[..11]), Err(BatchError::Truncated { need: 12, have: 11 }));
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::Length(0)));
        bytes[11] = 48;
        bytes[MAGIC_AT] = 2;
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::Length(48)), "a magic 2 header has 61 bytes");
        bytes[11] = 49;
        assert_eq!(BatchHeader::parse(&bytes[..60]), Err(BatchError::Truncated { need: 61, have: 60 }));
        bytes[MAGIC_AT] = 3;
        assert_eq!(BatchHeader::parse(&bytes), Err(BatchError::Magic(3)));
    }
}
