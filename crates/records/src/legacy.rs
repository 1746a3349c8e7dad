//! Messages of magic 0 and 1, which old brokers wrote and which are still read from their logs.
//!
//! A message is its own batch: offset, length, CRC-32 of what follows, magic, attributes, in magic 1 a timestamp
//! (KIP-32), then key and value. A compressed message is a wrapper: its value is a compressed run of messages, and its
//! offset is that of the last of them. Inside, magic 0 has absolute offsets and magic 1 offsets from the first inner
//! message (KIP-31).

use bytes::{Buf, Bytes};
use thalweg_base::Offset;

use crate::checksum::crc32;
use crate::compression::{Compression, decompress_legacy};
use crate::header::LOG_OVERHEAD;
use crate::{BatchError, BatchHeader, Record};

const CRC: usize = 4;

/// The CRC-32 that the message `bytes` should carry.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32(&bytes[LOG_OVERHEAD + CRC..])
}

/// The records of the message `bytes`, whose header is `header`.
pub(crate) fn records(header: &BatchHeader, bytes: &Bytes, limit: usize) -> Result<Vec<Record>, BatchError> {
    let message = Message::parse(&bytes.slice(LOG_OVERHEAD..))?;
    let codec = header.attributes.compression()?;
    if codec == Compression::None {
        return Ok(vec![Record { key: message.key, value: message.value, ..Record::default() }]);
    }
    let Some(value) = &message.value else {
        return Err(BatchError::Record("a compressed message has no value"));
    };
    if codec == Compression::Zstd {
        return Err(BatchError::Record("zstd does not exist before magic 2"));
    }
    let inner = inner_messages(decompress_legacy(codec, header.magic, value, limit)?)?;
    let Some((last, _)) = inner.last() else {
        return Err(BatchError::Record("a compressed message is empty"));
    };
    let base = absolute_base(header, *last)?;
    inner.into_iter().map(|(offset, message)| message.into_record(header, base.wrapping_add(offset.0))).collect()
}

/// What has to be added to the offsets inside the wrapper, of which `last` is the last.
fn absolute_base(wrapper: &BatchHeader, last: Offset) -> Result<i64, BatchError> {
    match wrapper.magic {
        0 => Ok(0),
        // Some producers left the wrapper's offset at 0; nothing is known then but the inner offsets.
        _ if wrapper.base_offset == Offset::ZERO => Ok(0),
        _ if wrapper.base_offset < last => Err(BatchError::Record("a wrapper's offset is before its last message")),
        _ => Ok(wrapper.base_offset.0.wrapping_sub(last.0)),
    }
}

/// Splits the decompressed value of a wrapper. A partial message at the end is left out, as Kafka does.
fn inner_messages(mut bytes: Bytes) -> Result<Vec<(Offset, Message)>, BatchError> {
    let mut messages = Vec::new();
    while bytes.len() >= LOG_OVERHEAD {
        let size = crate::frame_size(&bytes)?;
        if bytes.len() < size {
            break;
        }
        let offset = Offset((&bytes[..]).get_i64());
        let message = Message::parse(&bytes.slice(LOG_OVERHEAD..size))?;
        if message.compressed {
            return Err(BatchError::Record("a message inside a compressed message is compressed"));
        }
        messages.push((offset, message));
        bytes.advance(size);
    }
    Ok(messages)
}

/// A message without its offset and length.
#[derive(Debug)]
struct Message {
    compressed: bool,
    /// -1 in magic 0.
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
}

impl Message {
    /// `bytes` begin with the checksum, which is not looked at, and end with the message.
    fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let mut rest = bytes.clone();
        if rest.len() < CRC + 2 {
            return Err(SHORT);
        }
        rest.advance(CRC);
        let magic = rest.get_i8();
        let compressed = rest.get_u8() & 0x07 != 0;
        let timestamp = match magic {
            0 => -1,
            1 if rest.len() >= 8 => rest.get_i64(),
            1 => return Err(SHORT),
            _ => return Err(BatchError::Magic(magic)),
        };
        let key = take_field(&mut rest)?;
        let value = take_field(&mut rest)?;
        Ok(Self { compressed, timestamp, key, value })
    }

    fn into_record(self, wrapper: &BatchHeader, offset: i64) -> Result<Record, BatchError> {
        let Ok(offset_delta) = i32::try_from(offset.wrapping_sub(wrapper.base_offset.0)) else {
            return Err(BatchError::Record("an inner offset is too far from its wrapper's"));
        };
        let timestamp_delta = match self.timestamp {
            -1 if wrapper.magic == 0 => 0,
            timestamp => timestamp.wrapping_sub(wrapper.base_timestamp.0),
        };
        Ok(Record { offset_delta, timestamp_delta, key: self.key, value: self.value, headers: Vec::new() })
    }
}

const SHORT: BatchError = BatchError::Record("a message is shorter than its fields");

/// Takes a length and as many bytes; a negative length is null.
fn take_field(rest: &mut Bytes) -> Result<Option<Bytes>, BatchError> {
    if rest.len() < 4 {
        return Err(SHORT);
    }
    match usize::try_from(rest.get_i32()) {
        Err(_) => Ok(None),
        Ok(len) if len <= rest.len() => Ok(Some(rest.split_to(len))),
        Ok(_) => Err(SHORT),
    }
}

#[cfg(test)]
mod tests;
