//! The records inside a batch.

use bytes::Bytes;

use crate::error::Fault;
use crate::{BatchError, varint};

/// One record of a batch. Its bytes are slices of the batch, or of the buffer that it was decompressed into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The record's offset minus the batch's base offset ([`crate::BatchHeader::offset_of`]); negative in compressed
    /// messages of magic 0 and 1, which carry the offset of their last record.
    pub offset_delta: i32,
    /// The record's timestamp minus the batch's base timestamp ([`crate::BatchHeader::timestamp_of`]).
    pub timestamp_delta: i64,
    /// The key; `None` is Kafka's null.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers in the producer's order (KIP-82).
    pub headers: Vec<RecordHeader>,
}

/// A name and a value that travel with a record (KIP-82).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// The name, UTF-8 by convention; nothing in Kafka checks it. Several headers of a record may share one.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

/// Iterates over the records of a batch; made by [`crate::BatchView::records`]. It ends after the first error.
#[derive(Debug)]
pub struct RecordIter(Source);

#[derive(Debug)]
enum Source {
    /// The uncompressed records of a magic 2 batch.
    Packed { bytes: Bytes, at: usize, left: i32 },
    /// The records of a message of magic 0 or 1.
    Listed(std::vec::IntoIter<Record>),
}

impl RecordIter {
    /// `bytes` are the `count` records of a magic 2 batch, decompressed.
    pub(crate) fn packed(bytes: Bytes, count: i32) -> Result<Self, BatchError> {
        if count < 0 {
            return Err(BatchError::Record("the record count is negative"));
        }
        Ok(Self(Source::Packed { bytes, at: 0, left: count }))
    }

    pub(crate) fn listed(records: Vec<Record>) -> Self {
        Self(Source::Listed(records.into_iter()))
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (bytes, at, left) = match &mut self.0 {
            Source::Listed(records) => return records.next().map(Ok),
            Source::Packed { left: 0, .. } => return None,
            Source::Packed { bytes, at, left } => (bytes, at, left),
        };
        let record = read_record(bytes, at);
        *left -= 1;
        if record.is_err() {
            *left = 0;
        } else if *left == 0 && *at != bytes.len() {
            return Some(Err(Fault::BytesLeft.into()));
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            // Seven bytes are the smallest record, so that a count never promises more than the bytes can hold.
            Source::Packed { bytes, at, left } => (0, Some((*left as usize).min((bytes.len() - at) / 7 + 1))),
            Source::Listed(records) => records.size_hint(),
        }
    }
}

fn read_record(bytes: &Bytes, at: &mut usize) -> Result<Record, BatchError> {
    let layout = Layout::read(bytes, at)?;
    let slice = |field: Field| (field.len >= 0).then(|| bytes.slice(field.at..field.at + field.len as usize));
    let mut headers = Vec::with_capacity(layout.header_count);
    let mut header_at = layout.headers_at;
    for _ in 0..layout.header_count {
        let (key, value) = read_header(&bytes[..*at], &mut header_at)?;
        headers.push(RecordHeader { key: slice(key).unwrap_or_default(), value: slice(value) });
    }
    Ok(Record {
        offset_delta: layout.offset_delta,
        timestamp_delta: layout.timestamp_delta,
        key: slice(layout.key),
        value: slice(layout.value),
        headers,
    })
}

/// Where a nullable field lies; a negative length is null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) at: usize,
    pub(crate) len: i32,
}

/// Where the parts of a record lie, all within the bytes that it was read from. Costs no allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) offset_delta: i32,
    pub(crate) timestamp_delta: i64,
    pub(crate) key: Field,
    pub(crate) value: Field,
    header_count: usize,
    headers_at: usize,
}

impl Layout {
    /// Reads the record at `bytes[*at..]`, checks all of its lengths, and moves `at` behind it.
    #[inline(always)]
    pub(crate) fn read(bytes: &[u8], at: &mut usize) -> Result<Self, Fault> {
        // A copy, so that the position stays in a register.
        let mut here = *at;
        let size = varint::read_i32(bytes, &mut here)?;
        let body = match usize::try_from(size) {
            Ok(size) if size <= bytes.len() - here => &bytes[..here + size],
            _ => return Err(Fault::RecordTooLong),
        };
        here += 1; // the attributes, of which no bit has a meaning
        let timestamp_delta = varint::read_i64(body, &mut here)?;
        let offset_delta = varint::read_i32(body, &mut here)?;
        let key = read_field(body, &mut here)?;
        let value = read_field(body, &mut here)?;
        let header_count = varint::read_i32(body, &mut here)?;
        let headers_at = here;
        if header_count != 0 {
            here = skip_headers(body, here, header_count)?;
        }
        if here != body.len() {
            return Err(Fault::FieldsTooShort);
        }
        *at = here;
        let header_count = header_count as usize;
        Ok(Self { offset_delta, timestamp_delta, key, value, header_count, headers_at })
    }
}

/// Reads a length and passes over as many bytes.
#[inline(always)]
fn read_field(body: &[u8], at: &mut usize) -> Result<Field, Fault> {
    let len = varint::read_i32(body, at)?;
    let field = Field { at: *at, len };
    if len > 0 {
        if len as usize > body.len() - *at {
            return Err(Fault::FieldTooLong);
        }
        *at += len as usize;
    }
    Ok(field)
}

fn read_header(body: &[u8], at: &mut usize) -> Result<(Field, Field), Fault> {
    let key = read_field(body, at)?;
    if key.len < 0 {
        return Err(Fault::HeaderWithoutName);
    }
    Ok((key, read_field(body, at)?))
}

fn skip_headers(body: &[u8], mut at: usize, count: i32) -> Result<usize, Fault> {
    if count < 0 || count as usize > (body.len() - at) / 2 {
        return Err(Fault::HeaderCount);
    }
    for _ in 0..count {
        read_header(body, &mut at)?;
    }
    Ok(at)
}
