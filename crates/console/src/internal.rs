//! Keys and values of Kafka's own topics, as JSON.

use serde_json::{Value, json};
use thalweg_client::ConsumerRecord;
use thalweg_schema::{Schemas, expand_consumers};

/// Reads the records of one of Kafka's own topics.
#[derive(Debug)]
pub(crate) struct Internal {
    records: Schemas,
    /// What consumers say of themselves inside the records of groups.
    data: Schemas,
}

impl Internal {
    /// The reader of a topic's records; `None` if the topic is none of those that are known.
    pub(crate) fn of_topic(name: &str) -> Option<Self> {
        let records = match name {
            "__consumer_offsets" => Schemas::groups(),
            "__transaction_state" => Schemas::transactions(),
            "__share_group_state" => Schemas::share_states(),
            _ => return None,
        };
        Some(Self { records, data: Schemas::data() })
    }

    /// The key and the value of a record as documents; `None` if it is none that is known. A value that is not there deletes.
    pub(crate) fn documents(&self, record: &ConsumerRecord) -> Option<(Value, Option<Value>)> {
        let found = self.records.record(record.key.as_deref()?, record.value.as_deref()).ok()?;
        let value = found.value.map(|(version, mut data)| {
            expand_consumers(&self.data, &mut data);
            json!({ "version": version, "data": data })
        });
        Some((json!({ "type": found.kind, "data": found.key }), value))
    }
}
