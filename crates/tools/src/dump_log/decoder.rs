//! How keys and values of records are shown.

use serde_json::{Value, json};
use thalweg_records::Record;
use thalweg_schema::{NoRecord, Schemas, expand_consumers};

use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// How keys and values of records are shown.
#[derive(Debug)]
enum Kind {
    /// As text.
    Text,
    /// As records of a coordinator.
    Coordinator(Schemas),
    /// As records of the metadata log, which have no keys.
    Metadata(Schemas),
}

/// Shows keys and values of records, and what control records say. Schemas are read once for all of them.
#[derive(Debug)]
pub(super) struct Decoder {
    kind: Kind,
    data: Schemas,
}

impl Kind {
    /// What the line names first in Kafka's order.
    fn of_line(line: &Line) -> Self {
        if line.has("offsets-decoder") {
            return Self::Coordinator(Schemas::groups());
        }
        if line.has("transaction-log-decoder") {
            return Self::Coordinator(Schemas::transactions());
        }
        if line.has("cluster-metadata-decoder") {
            return Self::Metadata(Schemas::metadata());
        }
        if line.has("share-group-state-decoder") {
            return Self::Coordinator(Schemas::share_states());
        }
        Self::Text
    }
}

impl Decoder {
    /// The decoder that the line names.
    pub(super) fn of_line(line: &Line) -> Self {
        Self { kind: Kind::of_line(line), data: Schemas::data() }
    }

    /// The key and the value of a record, as far as there is something to show. `shown` is what of its line is printed
    /// already when it cannot be decoded at all.
    pub(super) fn show(
        &self,
        record: &Record,
        offset: i64,
        shown: &str,
        out: &mut Out,
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
        match &self.kind {
            Kind::Text => Ok((record.key.as_ref().map(text), record.value.as_ref().map(text))),
            Kind::Coordinator(schemas) => self.coordinator(schemas, record, offset, shown, out),
            Kind::Metadata(schemas) => {
                let text = match schemas.metadata_record(record.value.as_deref().unwrap_or_default()) {
                    Ok((kind, version, data)) => json!({"type": kind, "version": version, "data": data}).to_string(),
                    Err(e) => format!("Error at {offset}, skipping. {e}"),
                };
                Ok((None, Some(text)))
            }
        }
    }

    fn coordinator(
        &self,
        schemas: &Schemas,
        record: &Record,
        offset: i64,
        shown: &str,
        out: &mut Out,
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let Some(key) = &record.key else {
            out.text(shown);
            let text = format!(
                "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
            );
            return Err(Thrown::new("java.lang.RuntimeException", text).into());
        };
        Ok(match schemas.record(key, record.value.as_deref()) {
            Ok(record) => {
                let value = match record.value {
                    Some((version, mut data)) => {
                        expand_consumers(&self.data, &mut data);
                        json!({"version": version.to_string(), "data": data}).to_string()
                    }
                    None => "<DELETE>".to_owned(),
                };
                (Some(json!({"type": record.kind.to_string(), "data": record.key}).to_string()), Some(value))
            }
            Err(NoRecord::Unknown(kind)) => {
                (Some(format!("Unknown record type {kind} at offset {offset}, skipping.")), None)
            }
            Err(NoRecord::Unreadable(e)) => (Some(format!("Error at offset {offset}, skipping. {e}")), None),
        })
    }

    /// A control record of the metadata log: its name and what it says.
    pub(super) fn quorum_record(&self, name: &str, value: &[u8]) -> Option<Value> {
        let version = value.first_chunk::<2>().map(|head| i16::from_be_bytes(*head))?;
        self.data.named(name, version, value).ok()
    }
}
