//! The records of `__share_group_state`, in Kafka's schemas: snapshots of a share partition's state, and updates of it.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::LogRecord;
use thalweg_wire::messages as m;
use thalweg_wire::{Codec, DecodeError, EncodeError, Reader, Writer};

use super::request::Key;
use crate::partition::{DeliveryState, StateBatch};

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// All that is known of a share partition; `None` if it is forgotten.
    Snapshot(Key, Option<m::ShareSnapshotValue>),
    /// What has changed since its snapshot.
    Update(Key, m::ShareUpdateValue),
}

/// Why bytes are no record that this node can replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    /// A kind that this node does not know.
    #[error("unknown share state record of kind {0}")]
    Kind(i16),
    /// The bytes do not follow the schema, or have an unknown version.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl Record {
    /// Reads a record of the log.
    ///
    /// # Errors
    /// If it is of no kind that this node knows, or does not follow its schema.
    pub(super) fn decode(record: &LogRecord) -> Result<Self, RecordError> {
        let mut key = Reader::new(record.key.clone());
        let kind = key.i16();
        if let Some(failure) = key.failure() {
            return Err(failure.into());
        }
        match (kind, &record.value) {
            (m::ShareSnapshotKey::API_KEY, value) => {
                let key = m::ShareSnapshotKey::decode(&mut key, 0)?;
                let key = own(&key.group_id, key.topic_id, key.partition);
                Ok(Self::Snapshot(key, value.clone().map(decode_value).transpose()?))
            }
            (m::ShareUpdateKey::API_KEY, Some(value)) => {
                let key = m::ShareUpdateKey::decode(&mut key, 0)?;
                let key = own(&key.group_id, key.topic_id, key.partition);
                Ok(Self::Update(key, decode_value(value.clone())?))
            }
            (kind, _) => Err(RecordError::Kind(kind)),
        }
    }

    /// Writes the record as Kafka 4.3 does.
    ///
    /// # Errors
    /// If the group's name is too long for the schema.
    pub(super) fn encode(&self) -> Result<LogRecord, EncodeError> {
        let mut w = Writer::with_capacity(64);
        let value = match self {
            Self::Snapshot(key, value) => {
                w.i16(m::ShareSnapshotKey::API_KEY);
                let Key { group, topic, partition } = key.clone();
                m::ShareSnapshotKey { group_id: group, topic_id: topic, partition }.encode(&mut w, 0)?;
                value.as_ref().map(encode_value).transpose()?
            }
            Self::Update(key, value) => {
                w.i16(m::ShareUpdateKey::API_KEY);
                let Key { group, topic, partition } = key.clone();
                m::ShareUpdateKey { group_id: group, topic_id: topic, partition }.encode(&mut w, 0)?;
                Some(encode_value(value)?)
            }
        };
        Ok(LogRecord { key: w.into_bytes(), value })
    }
}

/// A key that does not keep the bytes alive that it came in.
fn own(group: &ByteString, topic: thalweg_base::Uuid, partition: i32) -> Key {
    Key { group: ByteString::from(&**group), topic, partition }
}

fn encode_value<T: Codec>(value: &T) -> Result<Bytes, EncodeError> {
    let mut w = Writer::with_capacity(64);
    w.i16(0);
    value.encode(&mut w, 0)?;
    Ok(w.into_bytes())
}

fn decode_value<T: Codec>(bytes: Bytes) -> Result<T, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.i16();
    if let Some(failure) = r.failure() {
        return Err(failure);
    }
    T::decode(&mut r, version)
}

macro_rules! batches_of {
    ($to:ident, $from:ident, $module:ident) => {
        /// Batches as the schema has them.
        pub(super) fn $to(batches: &[StateBatch]) -> Vec<m::$module::StateBatch> {
            let batch = |batch: &StateBatch| m::$module::StateBatch {
                first_offset: batch.first,
                last_offset: batch.last,
                delivery_state: batch.state as i8,
                delivery_count: batch.delivery_count,
            };
            batches.iter().map(batch).collect()
        }

        /// Batches of the schema; those in an unknown state are passed over.
        pub(super) fn $from(batches: &[m::$module::StateBatch]) -> Vec<StateBatch> {
            let batch = |batch: &m::$module::StateBatch| {
                Some(StateBatch {
                    first: batch.first_offset,
                    last: batch.last_offset,
                    state: DeliveryState::from_i8(batch.delivery_state)?,
                    delivery_count: batch.delivery_count,
                })
            };
            batches.iter().filter_map(batch).collect()
        }
    };
}

batches_of!(to_snapshot, from_snapshot, share_snapshot_value);
batches_of!(to_update, from_update, share_update_value);
