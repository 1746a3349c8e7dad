//! How records are printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use thalweg_client::ConsumerRecord;
use thalweg_records::TimestampType;
use thalweg_schema::{NoRecord, Schemas};

use super::deserializer::Deserializer;
use crate::admin;
use crate::failure::Failure;
use crate::jopt::{Line, key_values};
use crate::options::{exclusive, warn_deprecated};
use crate::out::Out;
use crate::thrown::Thrown;

const LOGGER: &str = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";

/// How records are printed.
#[derive(Clone, Debug)]
pub(crate) enum Formatter {
    /// As Kafka's `DefaultMessageFormatter`.
    Default(Box<Layout>),
    /// Records of one of Kafka's own topics as JSON, those of these types.
    Internal(Arc<Schemas>, &'static [i16]),
    /// Not at all.
    NoOp,
}

/// The formatter of Kafka's own topics with this name.
fn internal(name: Option<&str>) -> Option<Formatter> {
    Some(match name? {
        "OffsetsMessageFormatter" => Formatter::Internal(Arc::new(Schemas::groups()), &[0, 1]),
        "GroupMetadataMessageFormatter" => Formatter::Internal(Arc::new(Schemas::groups()), &[2]),
        "ShareGroupMessageFormatter" => Formatter::Internal(Arc::new(Schemas::groups()), &[10, 11, 12, 13, 14, 15]),
        "TransactionLogMessageFormatter" => Formatter::Internal(Arc::new(Schemas::transactions()), &[0]),
        _ => return None,
    })
}

/// Prints a record of a coordinator, if it is of one of the types.
fn write_internal(schemas: &Schemas, kinds: &[i16], record: &ConsumerRecord, out: &mut Out) -> Result<(), Thrown> {
    let Some(key) = &record.key else { return Ok(()) };
    let found = match schemas.record(key, record.value.as_deref()) {
        Ok(found) => found,
        Err(NoRecord::Unknown(_)) => return Ok(()),
        Err(NoRecord::Unreadable(e)) => {
            let text = format!("Could not read record at offset {} due to: {e}", record.offset.0);
            return Err(Thrown::new("java.lang.RuntimeException", text));
        }
    };
    if kinds.contains(&found.kind) {
        let value = found.value.map(|(version, data)| json!({"version": version, "data": data}));
        out.text(json!({"key": {"type": found.kind, "data": found.key}, "value": value}));
    }
    Ok(())
}

/// Which parts of a record are printed, and what stands between them.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key_deserializer: Option<Deserializer>,
    value_deserializer: Option<Deserializer>,
    headers_deserializer: Option<Deserializer>,
}

pub(crate) fn of_line(line: &Line, out: &mut Out) -> Result<Formatter, Failure> {
    let class = line.value("formatter")?.unwrap_or("org.apache.kafka.tools.consumer.DefaultMessageFormatter");
    let simple =
        ["org.apache.kafka.tools.consumer.", "kafka.tools."].iter().find_map(|package| class.strip_prefix(package));
    let fixed = match simple {
        Some("DefaultMessageFormatter" | "LoggingMessageFormatter") => None,
        Some("NoOpMessageFormatter") => Some(Formatter::NoOp),
        other => Some(internal(other).ok_or_else(|| Failure::Usage(class.to_owned()))?),
    };
    exclusive(line, "property", "formatter-property")?;
    warn_deprecated(line, "property", "formatter-property", out);
    let mut settings = admin::settings_of(line.value("formatter-config")?)?;
    for (option, key) in [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")] {
        if let Some(class) = line.value(option)?.filter(|class| !class.is_empty()) {
            settings.insert(key.to_owned(), class.to_owned());
        }
    }
    for name in ["property", "formatter-property"] {
        settings.extend(key_values(line.values(name)));
    }
    if let Some(fixed) = fixed {
        return Ok(fixed);
    }
    Ok(Formatter::Default(Box::new(Layout::new(&settings, out))))
}

impl Layout {
    fn new(settings: &BTreeMap<String, String>, out: &mut Out) -> Self {
        let is_true = |name: &str, default: bool| {
            settings.get(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let bytes = |name: &str, default: &str| settings.get(name).map_or(default, String::as_str).as_bytes().to_vec();
        let mut deserializer = |name: &str| {
            let class = settings.get(name)?;
            let found = Deserializer::by_class(class);
            if found.is_none() {
                out.log("ERROR", format_args!("Unable to instantiate a deserializer from {class}"), LOGGER);
                out.error(Thrown::new("java.lang.ClassNotFoundException", class.as_str()));
            }
            found
        };
        Self {
            timestamp: is_true("print.timestamp", false),
            partition: is_true("print.partition", false),
            offset: is_true("print.offset", false),
            delivery: is_true("print.delivery", false),
            epoch: is_true("print.epoch", false),
            headers: is_true("print.headers", false),
            key: is_true("print.key", false),
            value: is_true("print.value", true),
            key_separator: bytes("key.separator", "\t"),
            line_separator: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null_literal: bytes("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer"),
            value_deserializer: deserializer("value.deserializer"),
            headers_deserializer: deserializer("headers.deserializer"),
        }
    }

    fn write(&self, record: &ConsumerRecord, delivery: Option<i16>, out: &mut Out) -> Result<(), Thrown> {
        // Behind each part stands the separator of parts, or that of lines if it is the last one.
        let shown = [
            self.timestamp,
            self.partition,
            self.offset,
            self.delivery,
            self.epoch,
            self.headers,
            self.key,
            self.value,
        ];
        let behind = |at: usize| {
            if shown[at + 1..].contains(&true) { &self.key_separator } else { &self.line_separator }
        };
        if self.timestamp {
            match record.timestamp_type {
                TimestampType::CreateTime => out.text(format_args!("CreateTime:{}", record.timestamp.0)),
                TimestampType::LogAppendTime => out.text(format_args!("LogAppendTime:{}", record.timestamp.0)),
            }
            out.bytes(behind(0));
        }
        if self.partition {
            out.text(format_args!("Partition:{}", record.partition));
            out.bytes(behind(1));
        }
        if self.offset {
            out.text(format_args!("Offset:{}", record.offset.0));
            out.bytes(behind(2));
        }
        if self.delivery {
            match delivery {
                Some(count) => out.text(format_args!("Delivery:{count}")),
                None => out.text("Delivery:NOT_PRESENT"),
            }
            out.bytes(behind(3));
        }
        if self.epoch {
            // Kafka's tool drops the epoch before it prints.
            out.text("Epoch:NOT_PRESENT");
            out.bytes(behind(4));
        }
        if self.headers {
            self.write_headers(record, out)?;
            out.bytes(behind(5));
        }
        if self.key {
            self.write_value(record.key.as_ref(), self.key_deserializer, out)?;
            out.bytes(behind(6));
        }
        if self.value {
            self.write_value(record.value.as_ref(), self.value_deserializer, out)?;
            out.bytes(&self.line_separator);
        }
        Ok(())
    }

    fn write_headers(&self, record: &ConsumerRecord, out: &mut Out) -> Result<(), Thrown> {
        if record.headers.is_empty() {
            out.text("NO_HEADERS");
        }
        for (at, header) in record.headers.iter().enumerate() {
            if at > 0 {
                out.bytes(&self.headers_separator);
            }
            out.bytes(&header.key);
            out.bytes(b":");
            self.write_value(header.value.as_ref(), self.headers_deserializer, out)?;
        }
        Ok(())
    }

    fn write_value(&self, bytes: Option<&Bytes>, how: Option<Deserializer>, out: &mut Out) -> Result<(), Thrown> {
        let bytes = bytes.map_or(self.null_literal.as_slice(), |bytes| bytes);
        match how {
            Some(deserializer) => out.text(deserializer.read(bytes)?),
            None => out.bytes(bytes),
        }
        Ok(())
    }
}

impl Formatter {
    /// Prints a record, which a share group has delivered so often.
    ///
    /// # Errors
    /// When a deserializer refuses it.
    pub(crate) fn write(&self, record: &ConsumerRecord, delivery: Option<i16>, out: &mut Out) -> Result<(), Thrown> {
        match self {
            Self::Default(layout) => layout.write(record, delivery, out),
            Self::Internal(schemas, kinds) => write_internal(schemas, kinds, record, out),
            Self::NoOp => Ok(()),
        }
    }
}
