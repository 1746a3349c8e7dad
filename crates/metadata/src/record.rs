//! The records of the metadata log, and the frame around each of them.

use bytes::Bytes;
use thalweg_wire::messages;
use thalweg_wire::{DecodeError, EncodeError, Reader, Writer};

use crate::MetadataVersion;

/// The only version of the frame that there has ever been.
const FRAME_VERSION: u32 = 1;

macro_rules! metadata_records {
    ($($(#[$doc:meta])* $variant:ident($record:ident)),* $(,)?) => {
        /// One record of the metadata log (KIP-631 and later).
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $($(#[$doc])* $variant(messages::$record),)*
        }

        impl MetadataRecord {
            /// The number that stands for the kind of record in its frame.
            #[must_use]
            pub fn api_key(&self) -> i16 {
                match self {
                    $(Self::$variant(_) => messages::$record::API_KEY,)*
                }
            }

            /// The name of the kind of record, as in Kafka's schemas.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($record),)*
                }
            }

            fn encode_body(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $(Self::$variant(record) => record.encode(w, version),)*
                }
            }

            fn decode_body(r: &mut Reader, api_key: u32, version: i16) -> Result<Self, RecordError> {
                $(if i64::from(api_key) == i64::from(messages::$record::API_KEY) {
                    if !messages::$record::VERSIONS.contains(&version) {
                        return Err(RecordError::Version { name: stringify!($record), version });
                    }
                    return Ok(Self::$variant(messages::$record::decode(r, version)?));
                })*
                Err(RecordError::Kind(api_key))
            }
        }

        $(impl From<messages::$record> for MetadataRecord {
            fn from(record: messages::$record) -> Self {
                Self::$variant(record)
            }
        })*
    };
}

metadata_records! {
    /// A broker registers, anew or with changed properties.
    RegisterBroker(RegisterBrokerRecord),
    /// A broker's registration is removed.
    UnregisterBroker(UnregisterBrokerRecord),
    /// A topic begins to exist; its partitions follow.
    Topic(TopicRecord),
    /// A partition begins to exist, or is replaced as a whole.
    Partition(PartitionRecord),
    /// A dynamic configuration is set, or deleted when the value is null.
    Config(ConfigRecord),
    /// Some fields of a partition change.
    PartitionChange(PartitionChangeRecord),
    /// A broker is fenced: the older form of `BrokerRegistrationChange`.
    FenceBroker(FenceBrokerRecord),
    /// A broker is unfenced: the older form of `BrokerRegistrationChange`.
    UnfenceBroker(UnfenceBrokerRecord),
    /// A topic ends, with all partitions and configurations.
    RemoveTopic(RemoveTopicRecord),
    /// A delegation token is issued or prolonged.
    DelegationToken(DelegationTokenRecord),
    /// A user's SCRAM credential is set.
    UserScramCredential(UserScramCredentialRecord),
    /// A feature gets a level.
    FeatureLevel(FeatureLevelRecord),
    /// A client quota is set or removed.
    ClientQuota(ClientQuotaRecord),
    /// A block of producer ids has been handed out.
    ProducerIds(ProducerIdsRecord),
    /// A broker's registration changes in some fields.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    /// An ACL begins to hold.
    AccessControlEntry(AccessControlEntryRecord),
    /// An ACL ends.
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    /// Nothing: it keeps the high watermark moving.
    NoOp(NoOpRecord),
    /// How far a migration from ZooKeeper came, in clusters that once did one.
    ZkMigrationState(ZkMigrationStateRecord),
    /// A user's SCRAM credential is removed.
    RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    /// The records up to the next end count together or not at all (KIP-868).
    BeginTransaction(BeginTransactionRecord),
    /// The records since the last begin count.
    EndTransaction(EndTransactionRecord),
    /// The records since the last begin do not count.
    AbortTransaction(AbortTransactionRecord),
    /// A delegation token ends.
    RemoveDelegationToken(RemoveDelegationTokenRecord),
    /// A controller registers (KIP-919).
    RegisterController(RegisterControllerRecord),
    /// The eligible leader replicas of one topic, or of all, are forgotten (KIP-966).
    ClearElr(ClearElrRecord),
}

/// Why bytes are no metadata record that this node can replay.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The frame has another version than 1.
    #[error("metadata record frame has version {0}, expected {FRAME_VERSION}")]
    Frame(u32),
    /// A kind of record that this node does not know: a newer Kafka wrote it.
    #[error("unknown metadata record with api key {0}")]
    Kind(u32),
    /// A version of a known kind that this node does not know.
    #[error("{name} has unknown version {version}")]
    Version {
        /// The kind of record.
        name: &'static str,
        /// The version that its frame names.
        version: i16,
    },
    /// The body is longer than the record.
    #[error("{count} bytes follow a {name}")]
    Garbage {
        /// The kind of record.
        name: &'static str,
        /// How many bytes follow it.
        count: usize,
    },
    /// The bytes do not follow the schema.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl MetadataRecord {
    /// The version in which this record is written while the cluster has that metadata version: one that every member
    /// understands. Records with tagged fields take the lowest version that holds what they carry, as Kafka does.
    #[must_use]
    pub fn version_at(&self, version: MetadataVersion) -> i16 {
        match self {
            Self::RegisterBroker(_) => version.register_broker_record_version(),
            Self::Partition(_) | Self::PartitionChange(_) => version.partition_record_version(),
            Self::BrokerRegistrationChange(record) => match record {
                r if r.cordoned_log_dirs.is_some() => 3,
                r if !r.log_dirs.is_empty() => 2,
                r if r.in_controlled_shutdown != 0 => 1,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Writes the record at a version of its own kind: the value of one record in the metadata log.
    ///
    /// # Errors
    /// If the record carries something that this version cannot hold; never at [`Self::version_at`] of a record that
    /// was made for that metadata version.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        w.uvarint(FRAME_VERSION);
        w.uvarint(u32::from(self.api_key().unsigned_abs()));
        w.uvarint(u32::from(version.unsigned_abs()));
        self.encode_body(&mut w, version)?;
        Ok(w.into_bytes())
    }

    /// Writes the record as [`Self::version_at`] says.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_at(&self, version: MetadataVersion) -> Result<Bytes, EncodeError> {
        self.encode(self.version_at(version))
    }

    /// Reads the value of one record of the metadata log.
    ///
    /// # Errors
    /// If the bytes are no record that this node knows.
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let mut r = Reader::new(bytes);
        let (frame, api_key, version) = (r.uvarint(), r.uvarint(), r.uvarint());
        if let Some(failure) = r.failure() {
            return Err(failure.into());
        }
        if frame != FRAME_VERSION {
            return Err(RecordError::Frame(frame));
        }
        // A version that does not fit is none that anyone knows.
        let version = i16::try_from(version).unwrap_or(i16::MAX);
        let record = Self::decode_body(&mut r, api_key, version)?;
        match r.remaining() {
            0 => Ok(record),
            count => Err(RecordError::Garbage { name: record.name(), count }),
        }
    }
}

#[cfg(test)]
mod tests;
