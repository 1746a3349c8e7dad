//! The records of `__consumer_offsets`, in Kafka's schemas.
//!
//! The version of a key says what kind of record it is; a null value takes back what the key stands for. Kinds that this
//! node does not know are [`RecordError::Kind`] and are passed over.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::LogRecord;
use thalweg_wire::messages as m;
use thalweg_wire::{Codec, DecodeError, EncodeError, Reader, Writer};

/// The oldest form of a committed offset, before Kafka 0.9: read, never written.
const LEGACY_OFFSET_COMMIT: i16 = 0;

macro_rules! group_records {
    ($($(#[$doc:meta])* $variant:ident($key:ident, $value:ident)),* $(,)?) => {
        /// One record of `__consumer_offsets`; a value of `None` is a tombstone.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record {
            $($(#[$doc])* $variant {
                /// What it is about.
                key: m::$key,
                /// What is so from now on.
                value: Option<m::$value>,
            },)*
        }

        impl Record {
            /// The kind of record: the version of its key.
            #[must_use]
            pub fn kind(&self) -> i16 {
                match self {
                    $(Self::$variant { .. } => m::$key::API_KEY,)*
                }
            }

            /// Whether it takes back what its key stands for.
            #[must_use]
            pub fn is_tombstone(&self) -> bool {
                match self {
                    $(Self::$variant { value, .. } => value.is_none(),)*
                }
            }

            fn encode_key(&self, w: &mut Writer) -> Result<(), EncodeError> {
                match self {
                    $(Self::$variant { key, .. } => key.encode(w, 0),)*
                }
            }

            fn encode_value(&self, version: i16) -> Result<Option<Bytes>, EncodeError> {
                match self {
                    $(Self::$variant { value, .. } => value.as_ref().map(|value| versioned(value, version)).transpose(),)*
                }
            }

            fn decode_kind(kind: i16, key: &mut Reader, value: Option<Bytes>) -> Result<Self, RecordError> {
                $(if kind == m::$key::API_KEY {
                    return Ok(Self::$variant { key: m::$key::decode(key, 0)?, value: value.map(decode_value).transpose()? });
                })*
                Err(RecordError::Kind(kind))
            }
        }

        $(impl From<(m::$key, m::$value)> for Record {
            fn from((key, value): (m::$key, m::$value)) -> Self {
                Self::$variant { key, value: Some(value) }
            }
        }

        impl From<m::$key> for Record {
            /// The tombstone of that key.
            fn from(key: m::$key) -> Self {
                Self::$variant { key, value: None }
            }
        })*
    };
}

group_records! {
    /// A committed offset.
    OffsetCommit(OffsetCommitKey, OffsetCommitValue),
    /// A classic group with its members and their assignments.
    GroupMetadata(GroupMetadataKey, GroupMetadataValue),
    /// A consumer group's epoch.
    ConsumerGroupMetadata(ConsumerGroupMetadataKey, ConsumerGroupMetadataValue),
    /// What a consumer group knew about its topics before Kafka 4.1: read, and only ever taken back.
    ConsumerGroupPartitionMetadata(ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue),
    /// A member of a consumer group and its subscription.
    ConsumerGroupMember(ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue),
    /// The epoch of a consumer group's target assignment.
    ConsumerGroupTargetAssignment(ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue),
    /// What a member is to have.
    ConsumerGroupTargetAssignmentMember(
        ConsumerGroupTargetAssignmentMemberKey,
        ConsumerGroupTargetAssignmentMemberValue
    ),
    /// What a member has and is giving up.
    ConsumerGroupCurrentAssignment(
        ConsumerGroupCurrentMemberAssignmentKey,
        ConsumerGroupCurrentMemberAssignmentValue
    ),
    /// The topics that a regular expression stands for.
    ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue),
    /// A share group's epoch.
    ShareGroupMetadata(ShareGroupMetadataKey, ShareGroupMetadataValue),
    /// A member of a share group and its subscription.
    ShareGroupMember(ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue),
    /// The epoch of a share group's target assignment.
    ShareGroupTargetAssignment(ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue),
    /// What a member of a share group is to fetch.
    ShareGroupTargetAssignmentMember(ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue),
    /// What a member of a share group fetches.
    ShareGroupCurrentAssignment(ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue),
    /// A streams group's epoch.
    StreamsGroupMetadata(StreamsGroupMetadataKey, StreamsGroupMetadataValue),
    /// A member of a streams group and what it has said.
    StreamsGroupMember(StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue),
    /// The epoch of a streams group's target assignment.
    StreamsGroupTargetAssignment(StreamsGroupTargetAssignmentMetadataKey, StreamsGroupTargetAssignmentMetadataValue),
    /// Which tasks a member of a streams group is to run.
    StreamsGroupTargetAssignmentMember(StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue),
    /// Which tasks a member of a streams group runs and is giving up.
    StreamsGroupCurrentAssignment(StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue),
    /// The topology of a streams group.
    StreamsGroupTopology(StreamsGroupTopologyKey, StreamsGroupTopologyValue),
    /// Which partitions of a share group the share coordinator knows.
    ShareGroupStatePartitions(ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue),
}

/// Why bytes are no record that this node can replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A kind that this node does not know.
    #[error("unknown group record of kind {0}")]
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
    pub fn decode(record: &LogRecord) -> Result<Self, RecordError> {
        let mut key = Reader::new(record.key.clone());
        let kind = key.i16();
        if let Some(failure) = key.failure() {
            return Err(failure.into());
        }
        if kind == LEGACY_OFFSET_COMMIT {
            return legacy(&mut key, record.value.clone());
        }
        Self::decode_kind(kind, &mut key, record.value.clone())
    }

    /// Writes the record as Kafka 4.3 does.
    ///
    /// # Errors
    /// If a string is too long for its schema: one of more than 32767 bytes.
    pub fn encode(&self) -> Result<LogRecord, EncodeError> {
        let mut w = Writer::with_capacity(64);
        w.i16(self.kind());
        self.encode_key(&mut w)?;
        Ok(LogRecord { key: w.into_bytes(), value: self.encode_value(self.value_version())? })
    }

    /// The version in which Kafka 4.3 writes the value of such a record.
    fn value_version(&self) -> i16 {
        match self {
            // Only version 1 has a time at which one offset expires.
            Self::OffsetCommit { value: Some(value), .. } if value.expire_timestamp >= 0 => 1,
            Self::OffsetCommit { .. } => 4,
            Self::GroupMetadata { .. } => 3,
            _ => 0,
        }
    }

    /// Whether the record belongs to a share group.
    #[must_use]
    pub fn is_of_share_group(&self) -> bool {
        matches!(
            self,
            Self::ShareGroupMetadata { .. }
                | Self::ShareGroupMember { .. }
                | Self::ShareGroupTargetAssignment { .. }
                | Self::ShareGroupTargetAssignmentMember { .. }
                | Self::ShareGroupCurrentAssignment { .. }
                | Self::ShareGroupStatePartitions { .. }
        )
    }

    /// Whether the record belongs to a streams group.
    #[must_use]
    pub fn is_of_streams_group(&self) -> bool {
        matches!(
            self,
            Self::StreamsGroupMetadata { .. }
                | Self::StreamsGroupMember { .. }
                | Self::StreamsGroupTargetAssignment { .. }
                | Self::StreamsGroupTargetAssignmentMember { .. }
                | Self::StreamsGroupCurrentAssignment { .. }
                | Self::StreamsGroupTopology { .. }
        )
    }

    /// The group that the record belongs to.
    #[must_use]
    pub fn group_id(&self) -> &ByteString {
        match self {
            Self::OffsetCommit { key, .. } => &key.group,
            Self::GroupMetadata { key, .. } => &key.group,
            Self::ConsumerGroupMetadata { key, .. } => &key.group_id,
            Self::ConsumerGroupPartitionMetadata { key, .. } => &key.group_id,
            Self::ConsumerGroupMember { key, .. } => &key.group_id,
            Self::ConsumerGroupTargetAssignment { key, .. } => &key.group_id,
            Self::ConsumerGroupTargetAssignmentMember { key, .. } => &key.group_id,
            Self::ConsumerGroupCurrentAssignment { key, .. } => &key.group_id,
            Self::ConsumerGroupRegularExpression { key, .. } => &key.group_id,
            Self::ShareGroupMetadata { key, .. } => &key.group_id,
            Self::ShareGroupMember { key, .. } => &key.group_id,
            Self::ShareGroupTargetAssignment { key, .. } => &key.group_id,
            Self::ShareGroupTargetAssignmentMember { key, .. } => &key.group_id,
            Self::ShareGroupCurrentAssignment { key, .. } => &key.group_id,
            Self::ShareGroupStatePartitions { key, .. } => &key.group_id,
            Self::StreamsGroupMetadata { key, .. } => &key.group_id,
            Self::StreamsGroupMember { key, .. } => &key.group_id,
            Self::StreamsGroupTargetAssignment { key, .. } => &key.group_id,
            Self::StreamsGroupTargetAssignmentMember { key, .. } => &key.group_id,
            Self::StreamsGroupCurrentAssignment { key, .. } => &key.group_id,
            Self::StreamsGroupTopology { key, .. } => &key.group_id,
        }
    }
}

/// A value with its version in front.
fn versioned<T: Codec>(value: &T, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::with_capacity(64);
    w.i16(version);
    value.encode(&mut w, version)?;
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

/// A committed offset of the oldest form, as one of today's.
fn legacy(key: &mut Reader, value: Option<Bytes>) -> Result<Record, RecordError> {
    let key = m::LegacyOffsetCommitKey::decode(key, 0)?;
    let key = m::OffsetCommitKey { group: key.group, topic: key.topic, partition: key.partition };
    let value = value.map(decode_value::<m::LegacyOffsetCommitValue>).transpose()?;
    let value = value.map(|value| m::OffsetCommitValue {
        offset: value.offset,
        metadata: value.metadata,
        commit_timestamp: value.commit_timestamp,
        ..m::OffsetCommitValue::default()
    });
    Ok(Record::OffsetCommit { key, value })
}

#[cfg(test)]
mod tests;
