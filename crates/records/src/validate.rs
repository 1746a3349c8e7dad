//! What a leader checks before it appends what a producer sent.
//!
//! The rules and their order are those of Apache Kafka 4.3, because clients see the result: the error code, the errors
//! of single records (KIP-467), and which batches are repaired instead of refused. Two rules are stricter: a record's
//! length must match its fields also in compressed batches, and offsets inside a batch must be consecutive also in
//! uncompressed ones (such a batch is rebuilt, as Kafka rebuilds compressed ones).

mod walk;

pub use crate::stream::Scratch;

use bytes::Bytes;
use thalweg_base::{Timestamp, TopicPartition};

use crate::builder::{BatchBuilder, BatchOptions};
use crate::{BatchError, BatchHeader, BatchView, Batches, Codec, Compression, PreparedBatch, TimestampType, batches};

/// How many records of a batch are listed when they are refused. Kafka lists all; a batch of a million tiny records
/// would make an answer many times its size.
pub const RECORD_ERRORS_MAX: usize = 1000;

/// How many bytes the records of a batch may have when nothing else is said: as many as a consumer's 31-bit sizes reach.
pub const DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

/// How many bytes the records of a batch may have that is compressed anew: it takes the memory.
const REBUILT_BYTES_MAX: usize = 256 << 20;

/// Who appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A producer: offsets start at 0, sequences at 0 or above, control batches are refused.
    #[default]
    Client,
    /// A coordinator of this node, which also writes control batches.
    Coordinator,
}

/// The topic's `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicCompression {
    /// Whatever the producer chose.
    #[default]
    Producer,
    /// This codec; batches with another are compressed anew.
    Fixed(Codec),
}

/// What a partition asks of the batches that are appended to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Named in messages.
    pub topic_partition: TopicPartition,
    /// Who appends.
    pub origin: Origin,
    /// The version of the produce request: zstd exists since 7 (KIP-110).
    pub produce_version: i16,
    /// Whether `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms` (KIP-937).
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms` (KIP-937).
    pub timestamp_after_max_ms: i64,
    /// `max.message.bytes`: how large a batch may be as it is stored.
    pub message_bytes_max: usize,
    /// `compression.type` and its level.
    pub compression: TopicCompression,
    /// How many bytes the records of a compressed batch may have. Checking takes a fixed buffer, and time for these bytes.
    pub decompressed_bytes_max: usize,
}

impl Rules {
    /// Kafka's defaults, for a producer of today.
    #[must_use]
    pub fn new(topic_partition: TopicPartition) -> Self {
        Self {
            topic_partition,
            origin: Origin::Client,
            produce_version: i16::MAX,
            compacted: false,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            message_bytes_max: 1_048_588,
            compression: TopicCompression::Producer,
            decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        }
    }
}

/// What may be appended, and what the answer to the producer needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The batches, with the offsets of the request, which the log replaces. Today always one.
    pub batches: Vec<PreparedBatch>,
    /// The largest timestamp, or the log append time; -1 when no record has one.
    pub max_timestamp: Timestamp,
    /// The offset that the time index notes for `max_timestamp`, counted from the first offset: the last of the batch
    /// (as in Kafka, which does not look for the record itself).
    pub max_timestamp_offset_delta: i32,
    /// The time that the broker set: `Some` when the topic has log append time.
    pub log_append_time: Option<Timestamp>,
    /// How many records there are.
    pub count: i32,
    /// Whether the records were built anew, because of `compression.type` or of their offsets.
    pub rebuilt: bool,
}

/// Why a batch is refused: the kinds are Kafka's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKind {
    /// The bytes are no batch, or not with this checksum.
    CorruptMessage,
    /// The batch or its records break a rule.
    InvalidRecord,
    /// Timestamps are out of range, or the producer set log append time.
    InvalidTimestamp,
    /// The batch is larger than `max.message.bytes`, or its records than the limit.
    MessageTooLarge,
    /// zstd in an old request.
    UnsupportedCompressionType,
    /// The stream cannot be decompressed, or its codec is unknown. Kafka has no better code for it.
    UnknownServerError,
}

impl InvalidKind {
    /// Kafka's error code.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::UnknownServerError => -1,
            Self::CorruptMessage => 2,
            Self::MessageTooLarge => 10,
            Self::InvalidTimestamp => 32,
            Self::UnsupportedCompressionType => 76,
            Self::InvalidRecord => 87,
        }
    }
}

/// Kafka's meters of refused batches (`kafka.server:type=BrokerTopicMetrics,name=...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// `InvalidMagicNumberRecordsPerSec`
    InvalidMagicNumber,
    /// `InvalidMessageCrcRecordsPerSec`
    InvalidMessageCrc,
    /// `InvalidOffsetOrSequenceRecordsPerSec`
    InvalidOffsetOrSequence,
    /// `NoKeyCompactedTopicRecordsPerSec`
    NoKeyCompactedTopic,
    /// `BytesRejectedPerSec`, counted by the size of what was sent.
    BytesRejected,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The error code.
    pub kind: InvalidKind,
    /// Which records are wrong and why: at most [`RECORD_ERRORS_MAX`], by index in the batch.
    pub record_errors: Vec<(i32, String)>,
    /// What is wrong, for the log.
    pub message: String,
    /// What counts the refusal, if anything does.
    pub meter: Option<Meter>,
    /// The request is wrong as such: nobody has looked at the log.
    pub of_request: bool,
    /// What Kafka tells the client, where it tells something without record errors.
    told: Option<String>,
}

impl Invalid {
    /// The error message of the response: Kafka sends one along with record errors, and when it finds no batch at all.
    #[must_use]
    pub fn response_message(&self) -> Option<&str> {
        self.told.as_deref().or_else(|| (!self.record_errors.is_empty()).then_some(&self.message))
    }

    fn new(kind: InvalidKind, meter: impl Into<Option<Meter>>, message: impl Into<String>) -> Self {
        let (record_errors, meter) = (Vec::new(), meter.into());
        Self { kind, record_errors, message: message.into(), meter, of_request: false, told: None }
    }
}

/// Checks the batch of one partition in a produce request, and prepares it for the log.
///
/// `now` is the log append time and what timestamps are compared with. An uncompressed batch costs one pass for the
/// checksum and one over the lengths of its records, without an allocation for each.
pub fn validate(records: Bytes, rules: &Rules, now: Timestamp) -> Result<Validated, Invalid> {
    validate_with(&mut Scratch::default(), records, rules, now)
}

/// As [`validate`], with memory kept from batch to batch: compressed ones are checked up to twice as fast.
pub fn validate_with(
    scratch: &mut Scratch,
    records: Bytes,
    rules: &Rules,
    now: Timestamp,
) -> Result<Validated, Invalid> {
    let view = only_batch(records, rules).map_err(|invalid| Invalid { of_request: true, ..invalid })?;
    let header = *view.header();
    check_frame(&view, rules)?;
    check_header(&header, rules)?;
    let source = compression_of(&header, rules)?;
    let target = match rules.compression {
        TopicCompression::Fixed(codec) if codec.compression != source => Some(codec),
        _ => None,
    };
    // Markers are read without a codec everywhere: they stay as they were written.
    let target = target.filter(|_| !(header.attributes.is_control() && source == Compression::None));
    let walked = walk::walk(&view, source, target.is_none(), rules, now, scratch)?;
    match target {
        Some(codec) => rebuild(&view, codec, rules, now),
        None if !walked.offsets_are_consecutive => {
            let codec = match rules.compression {
                TopicCompression::Fixed(codec) if !header.attributes.is_control() => codec,
                _ => source.into(),
            };
            rebuild(&view, codec, rules, now)
        }
        None => {
            let batch = PreparedBatch::from_view(&view).map_err(|error| from_batch_error(&error, rules))?;
            Ok(finish(batch, walked.max_timestamp, rules, now))
        }
    }
}

/// Sets the timestamps of a batch that stays as it is.
fn finish(mut batch: PreparedBatch, max_timestamp: Timestamp, rules: &Rules, now: Timestamp) -> Validated {
    let log_append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now);
    let max_timestamp = log_append_time.unwrap_or(max_timestamp);
    batch.set_timestamps(rules.timestamp_type, max_timestamp);
    let header = batch.header();
    Validated {
        batches: vec![batch],
        max_timestamp,
        max_timestamp_offset_delta: header.last_offset_delta,
        log_append_time,
        count: header.count,
        rebuilt: false,
    }
}

/// The request's batch: exactly one, of magic 2. A partial batch behind it is ignored, as Kafka does.
fn only_batch(records: Bytes, rules: &Rules) -> Result<BatchView, Invalid> {
    let topic_partition = &rules.topic_partition;
    let mut found: Batches = batches(records);
    let view = match found.next() {
        Some(Ok(view)) => view,
        Some(Err(error)) if !error.is_truncated() => return Err(no_batch(&error, rules)),
        _ => {
            let message = format!("a produce request has no record batch for {topic_partition}");
            return Err(Invalid::new(InvalidKind::InvalidRecord, None, message));
        }
    };
    let magic = view.header().magic;
    if magic != 2 {
        let message = format!("a produce request has a batch of magic {magic} for {topic_partition}");
        return Err(Invalid::new(InvalidKind::InvalidRecord, None, message));
    }
    if rules.produce_version < 7 && view.header().attributes.compression() == Ok(Compression::Zstd) {
        let message = format!("produce version {} for {topic_partition} cannot have zstd", rules.produce_version);
        return Err(Invalid::new(InvalidKind::UnsupportedCompressionType, None, message));
    }
    match found.next() {
        None => Ok(view),
        Some(Err(error)) if error.is_truncated() => Ok(view),
        Some(Err(error)) => Err(from_batch_error(&error, rules)),
        Some(Ok(_)) => {
            let message = format!("a produce request has more than one record batch for {topic_partition}");
            Err(Invalid::new(InvalidKind::InvalidRecord, None, message))
        }
    }
}

/// Offset, size and checksum.
fn check_frame(view: &BatchView, rules: &Rules) -> Result<(), Invalid> {
    let topic_partition = &rules.topic_partition;
    if rules.origin == Origin::Client && view.base_offset().0 != 0 {
        let message = format!(
            "The baseOffset of the record batch in the append to {topic_partition} should be 0, but it is {}",
            view.base_offset()
        );
        return Err(Invalid::new(InvalidKind::InvalidRecord, None, message));
    }
    if view.len() > rules.message_bytes_max {
        let message = format!(
            "The record batch size in the append to {topic_partition} is {} bytes which exceeds the maximum configured \
             value of {}).",
            view.len(),
            rules.message_bytes_max
        );
        return Err(Invalid::new(InvalidKind::MessageTooLarge, Meter::BytesRejected, message));
    }
    view.verify_crc().map_err(|_| {
        let crc = view.header().crc;
        let message = format!("Record is corrupt (stored crc = {crc}) in topic partition {topic_partition}.");
        Invalid::new(InvalidKind::CorruptMessage, Meter::InvalidMessageCrc, message)
    })
}

/// What the header must say.
fn check_header(header: &BatchHeader, rules: &Rules) -> Result<(), Invalid> {
    let topic_partition = &rules.topic_partition;
    let refuse = |what: String| {
        let message = format!("{what} in topic partition {topic_partition}");
        Err(Invalid::new(InvalidKind::InvalidRecord, Meter::InvalidOffsetOrSequence, message))
    };
    let (base, last) = (header.base_offset, header.last_offset());
    if header.last_offset_delta < 0 {
        return refuse(format!("Batch has an invalid offset range: [{base}, {last}]"));
    }
    if header.count <= 0 {
        return refuse(format!("Invalid reported count for record batch: {}", header.count));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.count) {
        let count = header.count;
        return refuse(format!("Inconsistent batch offset range [{base}, {last}] and count of records {count}"));
    }
    if rules.origin == Origin::Coordinator {
        return Ok(());
    }
    if header.attributes.is_control() {
        return refuse("Clients are not allowed to write control records".into());
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        let (sequence, id) = (header.base_sequence, header.producer_id);
        return refuse(format!("Invalid sequence number {sequence} in record batch with producerId {id}"));
    }
    Ok(())
}

fn compression_of(header: &BatchHeader, rules: &Rules) -> Result<Compression, Invalid> {
    header.attributes.compression().map_err(|error| from_batch_error(&error, rules))
}

/// Compresses the records with `codec`, at offsets that follow each other.
fn rebuild(view: &BatchView, codec: Codec, rules: &Rules, now: Timestamp) -> Result<Validated, Invalid> {
    let failed = |error: BatchError| from_batch_error(&error, rules);
    let header = view.header();
    let log_append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now);
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: header.base_offset,
        leader_epoch: header.leader_epoch,
        codec,
        log_append_time,
        delete_horizon: None,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control(),
    });
    for record in view.records(rules.decompressed_bytes_max.min(REBUILT_BYTES_MAX)).map_err(failed)? {
        let record = record.map_err(failed)?;
        let timestamp = header.timestamp_of(record.timestamp_delta);
        builder.append(timestamp, record.key.as_deref(), record.value.as_deref(), &record.headers);
    }
    let bytes = builder.build().map_err(failed)?;
    if bytes.len() > rules.message_bytes_max {
        let message = format!(
            "Message batch size is {} bytes in append to partition {} which exceeds the maximum configured size of {}.",
            bytes.len(),
            rules.topic_partition,
            rules.message_bytes_max
        );
        return Err(Invalid::new(InvalidKind::MessageTooLarge, Meter::BytesRejected, message));
    }
    let batch = PreparedBatch::parse(&bytes).map_err(failed)?;
    let max_timestamp = batch.max_timestamp();
    Ok(Validated { rebuilt: true, ..finish(batch, max_timestamp, rules, now) })
}

/// The refusal for bytes that are no batch, with what Kafka says to them.
fn no_batch(error: &BatchError, rules: &Rules) -> Invalid {
    /// The size of the smallest record that any format has had.
    const SMALLEST: i32 = 14;
    let told = match error {
        BatchError::Magic(magic) => Some(format!("Invalid magic found in record: {magic}")),
        BatchError::Length(size) if *size < SMALLEST => {
            Some(format!("Record size {size} is less than the minimum record overhead ({SMALLEST})"))
        }
        _ => None,
    };
    Invalid { told, ..from_batch_error(error, rules) }
}

/// The refusal for bytes that cannot be read.
fn from_batch_error(error: &BatchError, rules: &Rules) -> Invalid {
    let (kind, meter) = match error {
        BatchError::Truncated { .. } | BatchError::Length(_) | BatchError::Magic(_) => {
            (InvalidKind::CorruptMessage, None)
        }
        BatchError::Crc { .. } => (InvalidKind::CorruptMessage, Some(Meter::InvalidMessageCrc)),
        BatchError::Codec(_) | BatchError::Compressed { .. } => (InvalidKind::UnknownServerError, None),
        BatchError::TooLarge { .. } => (InvalidKind::MessageTooLarge, Some(Meter::BytesRejected)),
        BatchError::Record(_) => (InvalidKind::InvalidRecord, None),
    };
    Invalid::new(kind, meter, format!("{error}, in the append to {}", rules.topic_partition))
}

#[cfg(test)]
mod tests;
