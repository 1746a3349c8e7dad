//! The schema text of `crates/wire`, read at run time: the differ shares no generated code with the node it judges.

#[path = "../../../crates/wire/build/parse.rs"]
mod parse;

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::model::{Field, Kind, Message, Struct, Type, Versions};

/// Every message of Kafka 4.3.
pub(crate) struct Schema {
    messages: BTreeMap<String, Message>,
    /// The names of error codes.
    errors: BTreeMap<i64, String>,
}

impl Schema {
    /// Reads the schema files and the table of error codes below the repository's root.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let mut messages = BTreeMap::new();
        for folder in ["api", "data", "group", "metadata", "transaction", "share"] {
            let folder = root.join("crates/wire/schema").join(folder);
            for entry in fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))? {
                let path = entry.map_err(|e| e.to_string())?.path();
                let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                for message in parse::parse(&text).map_err(|e| format!("{}: {e}", path.display()))? {
                    messages.insert(message.name().to_owned(), message);
                }
            }
        }
        let errors = thalweg_wire_errors(root)?;
        Ok(Self { messages, errors })
    }

    pub(crate) fn message(&self, name: &str) -> Result<&Message, String> {
        self.messages.get(name).ok_or_else(|| format!("there is no message {name}"))
    }

    pub(crate) fn error_name(&self, code: i64) -> Option<&str> {
        self.errors.get(&code).map(String::as_str)
    }

    /// The request with this API key.
    pub(crate) fn request(&self, key: i16) -> Option<&Message> {
        self.messages.values().find(|message| message.kind == Kind::Request && message.key == Some(key))
    }

    /// The requests that brokers serve, by their number.
    pub(crate) fn apis(&self) -> Vec<&Message> {
        let serves = |m: &&Message| {
            m.kind == Kind::Request && !m.versions.is_empty() && m.listeners.iter().any(|l| l == "broker")
        };
        let mut apis: Vec<_> = self.messages.values().filter(serves).collect();
        apis.sort_by_key(|message| message.key);
        apis
    }
}

/// The versions that Kafka serves by default.
pub(crate) fn served(message: &Message) -> RangeInclusive<i16> {
    message.versions.low..=message.versions.high - i16::from(message.unstable)
}

pub(crate) fn is_flexible(message: &Message, version: i16) -> bool {
    !message.flexible.is_empty() && version >= message.flexible.low
}

/// A struct of a message.
pub(crate) fn find<'a>(message: &'a Message, name: &str) -> Result<&'a Struct, String> {
    message.structs.iter().find(|s| s.name == name).ok_or_else(|| format!("{} has no struct {name}", message.name()))
}

pub(crate) fn has(versions: Versions, version: i16) -> bool {
    versions.low <= version && version <= versions.high
}

/// The value of a field that was not given, as text; `None` is null.
pub(crate) fn default_text(field: &Field) -> Option<String> {
    match field.default.as_deref() {
        Some("null") => None,
        Some(text) => {
            let hex = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
            Some(hex.map_or_else(|| text.to_owned(), |number| number.to_string()))
        }
        None => Some(match field.ty {
            Type::Bool => "false".to_owned(),
            Type::String | Type::Bytes | Type::Records | Type::AnswerRecords | Type::Struct(_) | Type::Array(_) => {
                String::new()
            }
            Type::Uuid => thalweg_base::Uuid::ZERO.to_string(),
            _ => "0".to_owned(),
        }),
    }
}

/// Kafka's names of the error codes, from the rows `CODE Variant NAME ...` of the table in `wire`.
fn thalweg_wire_errors(root: &Path) -> Result<BTreeMap<i64, String>, String> {
    let path = root.join("crates/wire/src/error_code.rs");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let code = words.next()?.parse().ok()?;
        let name = words.nth(1)?;
        name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()).then(|| (code, name.to_owned()))
    };
    Ok(text.lines().filter_map(row).collect())
}
