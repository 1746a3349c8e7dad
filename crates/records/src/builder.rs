//! Making batches of magic 2.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::compression::compress;
use crate::control::ControlType;
use crate::header::{ATTRIBUTES_AT, CRC_AT};
use crate::{
    Attributes, BatchError, BatchHeader, Codec, Compression, HEAD, RecordHeader, TimestampType, crc32c, varint,
};

/// What a batch says about all of its records. The default is a batch at offset 0 without producer, epoch and
/// compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The epoch of the leader that appends the batch.
    pub leader_epoch: LeaderEpoch,
    /// How the records are compressed.
    pub codec: Codec,
    /// Makes it a batch with log append time: this is then the time of all its records.
    pub log_append_time: Option<Timestamp>,
    /// From when on the cleaner may drop the batch's tombstones and markers (KIP-534). It takes the place of the base
    /// timestamp.
    pub delete_horizon: Option<Timestamp>,
    /// The producer's id.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the records are control records.
    pub control: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            codec: Codec::default(),
            log_append_time: None,
            delete_horizon: None,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            transactional: false,
            control: false,
        }
    }
}

/// Collects records and makes one batch of them.
///
/// Invariants: offsets only grow; the base timestamp is the first record's, or the delete horizon.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    /// Room for the header, then the records without compression.
    bytes: Vec<u8>,
    count: i32,
    last_offset: Option<Offset>,
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub fn new(options: BatchOptions) -> Self {
        Self {
            options,
            bytes: vec![0; HEAD],
            count: 0,
            last_offset: None,
            base_timestamp: options.delete_horizon,
            max_timestamp: Timestamp::NONE,
        }
    }

    /// Appends a record at the next offset.
    pub fn append(&mut self, time: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[RecordHeader]) {
        self.append_at(self.next_offset(), time, key, value, headers);
    }

    /// Appends a control record at the next offset. The options have to say `control`.
    pub fn append_control(&mut self, time: Timestamp, control: ControlType, value: &[u8]) {
        assert!(self.options.control, "control records only go into control batches");
        self.append(time, Some(&control.key()), Some(value), &[]);
    }

    /// Appends a record at an offset that lies behind all before it and within 2^31 of the base offset, as the cleaner
    /// does when it drops records between.
    pub fn append_at(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) {
        assert!(offset >= self.next_offset(), "offsets only grow within a batch");
        let offset_delta = offset.0 - self.options.base_offset.0;
        assert!(offset_delta <= i64::from(i32::MAX), "an offset delta has 31 bits");
        let base = *self.base_timestamp.get_or_insert(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(base.0);

        let body = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + field_len(key)
            + field_len(value)
            + varint::len(headers.len() as i64)
            + headers.iter().map(|h| field_len(Some(&h.key)) + field_len(h.value.as_deref())).sum::<usize>();
        assert!(body <= i32::MAX as usize, "a record's length has 31 bits");
        self.bytes.reserve(body + varint::MAX);
        varint::write(&mut self.bytes, body as i64);
        self.bytes.push(0);
        varint::write(&mut self.bytes, timestamp_delta);
        varint::write(&mut self.bytes, offset_delta);
        write_field(&mut self.bytes, key);
        write_field(&mut self.bytes, value);
        varint::write(&mut self.bytes, headers.len() as i64);
        for header in headers {
            write_field(&mut self.bytes, Some(&header.key));
            write_field(&mut self.bytes, header.value.as_deref());
        }

        self.count += 1;
        self.last_offset = Some(offset);
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// Lets the batch end at this offset although its last records are gone: the cleaner keeps the range of a batch.
    pub fn end_at(&mut self, last_offset: Offset) {
        assert!(last_offset >= self.last_offset.unwrap_or(self.options.base_offset), "a batch covers its records");
        self.last_offset = Some(last_offset);
    }

    /// How many records there are.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size in bytes that the batch has without compression.
    #[must_use]
    pub fn uncompressed_size(&self) -> usize {
        self.bytes.len()
    }

    /// The offset that [`Self::append`] gives.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset.map_or(self.options.base_offset, Offset::next)
    }

    /// The batch. It has at least one record; [`empty_batch`] makes one without.
    pub fn build(self) -> Result<Bytes, BatchError> {
        assert!(!self.is_empty(), "a batch has records");
        let options = self.options;
        let last_offset = self.last_offset.unwrap_or(options.base_offset);
        let (timestamp_type, max_timestamp) = match options.log_append_time {
            None => (TimestampType::CreateTime, self.max_timestamp),
            Some(time) => (TimestampType::LogAppendTime, time),
        };
        let mut attributes = Attributes::new(options.codec.compression, timestamp_type);
        for (flag, set) in [
            (Attributes::transactional as fn(Attributes) -> Attributes, options.transactional),
            (Attributes::control, options.control),
            (Attributes::delete_horizon, options.delete_horizon.is_some()),
        ] {
            attributes = if set { flag(attributes) } else { attributes };
        }
        let mut bytes = self.bytes;
        if options.codec.compression != Compression::None {
            let compressed = compress(options.codec, &bytes[HEAD..])?;
            bytes.truncate(HEAD);
            bytes.extend_from_slice(&compressed);
        }
        let header = BatchHeader {
            base_offset: options.base_offset,
            batch_length: 0,
            leader_epoch: options.leader_epoch,
            magic: 2,
            crc: 0,
            attributes,
            last_offset_delta: (last_offset.0 - options.base_offset.0) as i32,
            base_timestamp: self.base_timestamp.unwrap_or(Timestamp::NONE),
            max_timestamp,
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            count: self.count,
        };
        Ok(seal(header, bytes))
    }
}

/// The batch that the cleaner leaves when it has removed every record of a batch whose producer's sequence numbers
/// still have to be known: its header without records.
#[must_use]
pub fn empty_batch(of: &BatchHeader) -> Bytes {
    let mut attributes = Attributes::new(Compression::None, of.attributes.timestamp_type());
    if of.attributes.is_transactional() {
        attributes = attributes.transactional();
    }
    if of.attributes.is_control() {
        attributes = attributes.control();
    }
    seal(BatchHeader { attributes, base_timestamp: Timestamp::NONE, count: 0, ..*of }, vec![0; HEAD])
}

/// The magic 2 batch `bytes` as another producer's: with its id, its epoch and the sequence number of the first record. This
/// is how a producer gives a batch its place only when it is sent.
///
/// Copies the batch unless `bytes` is the only handle to it. Bytes that are too short for a batch stay as they are.
#[must_use]
pub fn with_producer(bytes: Bytes, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Bytes {
    if bytes.len() < HEAD {
        return bytes;
    }
    let mut header = BatchHeader::parse_v2(&bytes);
    if (header.producer_id, header.producer_epoch, header.base_sequence) == (id, epoch, base_sequence) {
        return bytes;
    }
    header.producer_id = id;
    header.producer_epoch = epoch;
    header.base_sequence = base_sequence;
    seal(header, bytes.into())
}

/// Puts `header` into the first bytes of `bytes`, with the length and the checksum that these give.
fn seal(mut header: BatchHeader, mut bytes: Vec<u8>) -> Bytes {
    assert!(bytes.len() <= i32::MAX as usize, "a batch's length has 31 bits");
    header.batch_length = (bytes.len() - crate::LOG_OVERHEAD) as i32;
    bytes[..HEAD].copy_from_slice(&header.to_bytes());
    let crc = crc32c(0, &bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

fn field_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint::len(bytes.len() as i64) + bytes.len())
}

fn write_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
