//! The records of `__transaction_state`, in Kafka's schemas.

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId, Timestamp};
use thalweg_coordinator::LogRecord;
use thalweg_wire::messages::transaction_log_value::PartitionsSchema;
use thalweg_wire::messages::{TransactionLogKey, TransactionLogValue};
use thalweg_wire::{DecodeError, EncodeError, Reader, Writer};

use crate::transaction::{State, Transaction};

/// What a record says of a transactional id: how it is from now on, or that it is forgotten.
pub(crate) type Said = (ByteString, Option<Transaction>);

/// Why bytes are no record that this node can replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this node does not know.
    #[error("unknown transaction record of kind {0}")]
    Kind(i16),
    /// A state that never stands in the log, or that a newer version has.
    #[error("a transaction in the unknown state {0}")]
    State(i8),
    /// The bytes do not follow the schema, or have an unknown version.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// Reads a record of the log.
///
/// # Errors
/// If it is of no kind that this node knows, or does not follow its schema.
pub(crate) fn decode(record: &LogRecord) -> Result<Said, RecordError> {
    let mut key = Reader::new(record.key.clone());
    let kind = key.i16();
    if let Some(failure) = key.failure() {
        return Err(failure.into());
    }
    if kind != TransactionLogKey::API_KEY {
        return Err(RecordError::Kind(kind));
    }
    let id = TransactionLogKey::decode(&mut key, 0)?.transactional_id;
    // A copy, so that the map does not keep the bytes alive that it came in.
    let id = ByteString::from(&*id);
    let Some(value) = &record.value else { return Ok((id, None)) };
    let mut value = Reader::new(value.clone());
    let version = value.i16();
    if let Some(failure) = value.failure() {
        return Err(failure.into());
    }
    let value = TransactionLogValue::decode(&mut value, version)?;
    Ok((id, Some(transaction(value)?)))
}

fn transaction(value: TransactionLogValue) -> Result<Transaction, RecordError> {
    let number = value.transaction_status;
    let state = State::from_i8(number).ok_or(RecordError::State(number))?;
    let mut transaction = Transaction {
        producer: ProducerId(value.producer_id),
        previous_producer: ProducerId(value.previous_producer_id),
        next_producer: ProducerId(value.next_producer_id),
        epoch: ProducerEpoch(value.producer_epoch),
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions: crate::Partitions::new(),
        started: Timestamp(value.transaction_start_timestamp_ms),
        updated: Timestamp(value.transaction_last_update_timestamp_ms),
        client_version: value.client_transaction_version,
    };
    for topic in value.transaction_partitions.into_iter().flatten() {
        if state != State::Empty && !topic.partition_ids.is_empty() {
            transaction.partitions.entry(Box::from(&*topic.topic)).or_default().extend(topic.partition_ids);
        }
    }
    Ok(transaction)
}

/// Writes how a transactional id is from now on, as Kafka 4.3 does while its feature `transaction.version` has this level.
///
/// # Errors
/// If a string is too long for its schema: one of more than 32767 bytes.
pub(crate) fn encode(id: &ByteString, transaction: &Transaction, level: i16) -> Result<LogRecord, EncodeError> {
    // The fields of KIP-890 have no place in the older form.
    let version = i16::from(level >= 1);
    let topics = transaction.partitions.iter().map(|(topic, indexes)| PartitionsSchema {
        topic: (&**topic).into(),
        partition_ids: indexes.iter().copied().collect(),
    });
    let mut value = TransactionLogValue {
        producer_id: transaction.producer.0,
        producer_epoch: transaction.epoch.0,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state as i8,
        transaction_partitions: (transaction.state != State::Empty).then(|| topics.collect()),
        transaction_last_update_timestamp_ms: transaction.updated.0,
        transaction_start_timestamp_ms: transaction.started.0,
        ..TransactionLogValue::default()
    };
    if version >= 1 {
        value.previous_producer_id = transaction.previous_producer.0;
        value.next_producer_id = transaction.next_producer.0;
        value.client_transaction_version = transaction.client_version;
    }
    let mut w = Writer::with_capacity(64);
    w.i16(version);
    value.encode(&mut w, version)?;
    Ok(LogRecord { key: key(id)?, value: Some(w.into_bytes()) })
}

/// Writes that a transactional id is forgotten.
///
/// # Errors
/// As [`encode`].
pub(crate) fn tombstone(id: &ByteString) -> Result<LogRecord, EncodeError> {
    Ok(LogRecord { key: key(id)?, value: None })
}

fn key(id: &ByteString) -> Result<bytes::Bytes, EncodeError> {
    let mut w = Writer::with_capacity(8 + id.len());
    w.i16(TransactionLogKey::API_KEY);
    TransactionLogKey { transactional_id: id.clone() }.encode(&mut w, 0)?;
    Ok(w.into_bytes())
}
