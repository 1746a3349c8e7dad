//! Records of Kafka's own topics as JSON, as Kafka's tools print them: `__consumer_offsets`, `__transaction_state`,
//! `__share_group_state` and `__cluster_metadata`.
//!
//! The generated structs of `thalweg-wire` have no names at run time, so that the same schema texts are read here, and bytes
//! after them.

mod decode;
mod text;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use decode::Unreadable;
use text::Message;

/// The messages of some schema files.
#[derive(Debug)]
pub struct Schemas {
    messages: Vec<Message>,
}

/// Names a schema file of `thalweg-wire`.
macro_rules! schemas {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../wire/schema/", $folder, "/", $name, ".kfk"))),*]
    };
}

const GROUP: &[&str] = schemas!("group":
    "consumer_group_current_member_assignment",
    "consumer_group_member_metadata",
    "consumer_group_metadata",
    "consumer_group_partition_metadata",
    "consumer_group_regular_expression",
    "consumer_group_target_assignment_member",
    "consumer_group_target_assignment_metadata",
    "group_metadata",
    "legacy_offset_commit",
    "offset_commit",
    "share_group_current_member_assignment",
    "share_group_member_metadata",
    "share_group_metadata",
    "share_group_state_partition_metadata",
    "share_group_target_assignment_member",
    "share_group_target_assignment_metadata",
    "streams_group_current_member_assignment",
    "streams_group_member_metadata",
    "streams_group_metadata",
    "streams_group_target_assignment_member",
    "streams_group_target_assignment_metadata",
    "streams_group_topology",
);
const TRANSACTION: &[&str] = schemas!("transaction":
    "transaction_log",
);
const SHARE: &[&str] = schemas!("share":
    "share_snapshot",
    "share_update",
);
const METADATA: &[&str] = schemas!("metadata":
    "abort_transaction_record",
    "access_control_entry_record",
    "begin_transaction_record",
    "broker_registration_change_record",
    "clear_elr_record",
    "client_quota_record",
    "config_record",
    "delegation_token_record",
    "end_transaction_record",
    "feature_level_record",
    "fence_broker_record",
    "no_op_record",
    "partition_change_record",
    "partition_record",
    "producer_ids_record",
    "register_broker_record",
    "register_controller_record",
    "remove_access_control_entry_record",
    "remove_delegation_token_record",
    "remove_topic_record",
    "remove_user_scram_credential_record",
    "topic_record",
    "unfence_broker_record",
    "unregister_broker_record",
    "user_scram_credential_record",
    "zk_migration_state_record",
);
const DATA: &[&str] = schemas!("data":
    "consumer_protocol_assignment",
    "consumer_protocol_subscription",
    "leader_change_message",
    "snapshot_header_record",
    "snapshot_footer_record",
    "k_raft_version_record",
    "voters_record",
);

/// A record of a coordinator: its type with the data of its key, and its version with the data of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct CoordinatorRecord {
    /// The type, which is the version of the key.
    pub kind: i16,
    /// What the key says.
    pub key: Value,
    /// The version of the value and what it says; none for a record that deletes.
    pub value: Option<(i16, Value)>,
}

/// Why there is no such record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRecord {
    /// Its type is none that this version knows.
    Unknown(i16),
    /// Its bytes are not what its type says.
    Unreadable(Unreadable),
}

impl From<Unreadable> for NoRecord {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl Schemas {
    fn of(texts: &[&str]) -> Self {
        Self { messages: texts.iter().flat_map(|text| text::parse(text)).collect() }
    }

    /// The records of `__consumer_offsets`.
    #[must_use]
    pub fn groups() -> Self {
        Self::of(GROUP)
    }

    /// The records of `__transaction_state`.
    #[must_use]
    pub fn transactions() -> Self {
        Self::of(TRANSACTION)
    }

    /// The records of `__share_group_state`.
    #[must_use]
    pub fn share_states() -> Self {
        Self::of(SHARE)
    }

    /// The records of `__cluster_metadata`.
    #[must_use]
    pub fn metadata() -> Self {
        Self::of(METADATA)
    }

    /// What consumers say of themselves in groups, and the control records of the metadata log.
    #[must_use]
    pub fn data() -> Self {
        Self::of(DATA)
    }

    fn find(&self, kind: &str, key: i32) -> Option<&Message> {
        self.messages.iter().find(|message| message.kind == kind && message.key == key)
    }

    /// Reads a record of a coordinator.
    ///
    /// # Errors
    /// When its type is not known, or its bytes are not what its type says.
    pub fn record(&self, key: &[u8], value: Option<&[u8]>) -> Result<CoordinatorRecord, NoRecord> {
        let (kind, key) = versioned(key)?;
        let message = self.find("coordinator-key", i32::from(kind)).ok_or(NoRecord::Unknown(kind))?;
        // Keys have one version: what stands in its place is their type.
        let key = Value::Object(decode::decode(message, 0, key)?);
        let value = match value {
            None => None,
            Some(value) => {
                let message = self.find("coordinator-value", i32::from(kind)).ok_or(NoRecord::Unknown(kind))?;
                let (version, value) = versioned(value)?;
                Some((version, Value::Object(decode::decode(message, version, value)?)))
            }
        };
        Ok(CoordinatorRecord { kind, key, value })
    }

    /// Reads a record of the metadata log: the name of its type, its version and what it says.
    ///
    /// # Errors
    /// When its type is not known, or its bytes are not what its type says.
    pub fn metadata_record(&self, value: &[u8]) -> Result<(String, i16, Value), Unreadable> {
        let mut reader = decode::Input::new(value);
        let _frame = reader.unsigned()?;
        let kind = i32::try_from(reader.unsigned()?).map_err(|_| Unreadable("a type is too large"))?;
        let version = i16::try_from(reader.unsigned()?).map_err(|_| Unreadable("a version is too large"))?;
        let message = self.find("metadata", kind).ok_or(Unreadable("the type is not known"))?;
        let data = decode::decode(message, version, reader.rest())?;
        Ok((upper_snake(&message.name), version, Value::Object(data)))
    }

    /// Reads a message by name, of a version.
    ///
    /// # Errors
    /// When there is none of that name, or the bytes are not what it says.
    pub fn named(&self, name: &str, version: i16, bytes: &[u8]) -> Result<Value, Unreadable> {
        let message = self.messages.iter().find(|message| message.name == name);
        let message = message.ok_or(Unreadable("the message is not known"))?;
        decode::decode(message, version, bytes).map(Value::Object)
    }

    /// Reads a message by name, whose version stands in front.
    ///
    /// # Errors
    /// As [`Schemas::named`].
    pub fn named_with_version(&self, name: &str, bytes: &[u8]) -> Result<Value, Unreadable> {
        let (version, bytes) = versioned(bytes)?;
        self.named(name, version, bytes)
    }
}

/// The two bytes of the version in front, and the rest.
fn versioned(bytes: &[u8]) -> Result<(i16, &[u8]), Unreadable> {
    let (version, rest) = bytes.split_first_chunk::<2>().ok_or(Unreadable("it ends before its version"))?;
    Ok((i16::from_be_bytes(*version), rest))
}

/// `FeatureLevelRecord` as `FEATURE_LEVEL_RECORD`.
fn upper_snake(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

/// What consumers say of themselves in a group's record, in the place of the bytes; what is not theirs stays as it is.
/// `data` are the schemas of [`Schemas::data`].
pub fn expand_consumers(data: &Schemas, group: &mut Value) {
    if group.get("protocolType").and_then(Value::as_str) != Some("consumer") {
        return;
    }
    let parts = BTreeMap::from([
        ("subscription", "ConsumerProtocolSubscription"),
        ("assignment", "ConsumerProtocolAssignment"),
    ]);
    let Some(members) = group.get_mut("members").and_then(Value::as_array_mut) else { return };
    for member in members {
        for (field, message) in &parts {
            let Some(text) = member.get(*field).and_then(Value::as_str) else { continue };
            let bytes = thalweg_base::base64::decode(thalweg_base::base64::Alphabet::Standard, text);
            if let Some(Ok(said)) = bytes.map(|bytes| data.named_with_version(message, &bytes)) {
                member[*field] = said;
            }
        }
    }
}

/// One field of an object.
fn set(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use thalweg_wire::Writer;
    use thalweg_wire::messages::{ConsumerProtocolSubscription, OffsetCommitKey, OffsetCommitValue};

    use super::*;

    fn written(version: i16, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.i16(version);
        write(&mut writer);
        writer.into_bytes().to_vec()
    }

    #[test]
    fn a_record_that_was_written_is_read_as_json() {
        let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 7 };
        let value = OffsetCommitValue { offset: 12, metadata: "m".into(), ..OffsetCommitValue::default() };
        let key = written(1, |writer| key.encode(writer, 0).expect("a key"));
        let value = written(4, |writer| value.encode(writer, 4).expect("a value"));
        let record = Schemas::groups().record(&key, Some(&value)).expect("a record");
        assert_eq!(record.kind, 1);
        assert_eq!(record.key, json!({"group": "g", "topic": "t", "partition": 7}));
        let data = json!({"offset": 12, "leaderEpoch": -1, "metadata": "m", "commitTimestamp": 0});
        assert_eq!(record.value, Some((4, data)));
        assert_eq!(Schemas::groups().record(&[0x6b, 0x31], None), Err(NoRecord::Unknown(0x6b31)));
    }

    #[test]
    fn bytes_that_end_early_are_refused() {
        let subscription = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
        let bytes = written(3, |writer| subscription.encode(writer, 3).expect("a subscription"));
        let data = Schemas::data();
        let whole = data.named_with_version("ConsumerProtocolSubscription", &bytes).expect("a subscription");
        assert_eq!(whole["topics"], json!(["t"]));
        for end in 0..bytes.len() {
            assert!(data.named_with_version("ConsumerProtocolSubscription", &bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn every_schema_is_read_and_names_its_type() {
        for schemas in [Schemas::groups(), Schemas::transactions(), Schemas::share_states(), Schemas::metadata()] {
            assert!(schemas.messages.iter().all(|message| message.key >= 0 && !message.name.is_empty()));
        }
        assert_eq!(upper_snake("FeatureLevelRecord"), "FEATURE_LEVEL_RECORD");
    }
}
