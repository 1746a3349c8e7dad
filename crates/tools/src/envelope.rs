//! A record as a line of JSON, in the form of kcat: what `consume --json` prints, `produce --json` writes again.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use thalweg_base::Timestamp;
use thalweg_base::base64;
use thalweg_client::{ConsumerRecord, ProducerRecord};
use thalweg_records::{RecordHeader, TimestampType};

/// Bytes that are no UTF-8 stand, in base64, in a field whose name ends so.
const BASE64: &str = "_base64";

fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&Bytes>) {
    let text = bytes.map(|bytes| std::str::from_utf8(bytes));
    match (text, bytes) {
        (Some(Ok(text)), _) => drop(object.insert(name.to_owned(), json!(text))),
        (Some(Err(_)), Some(bytes)) => {
            object.insert(format!("{name}{BASE64}"), json!(base64::encode(bytes)));
        }
        _ => drop(object.insert(name.to_owned(), Value::Null)),
    }
}

/// The envelope of a record.
pub(crate) fn of_record(record: &ConsumerRecord) -> Value {
    let kind = match record.timestamp_type {
        TimestampType::CreateTime => "create",
        TimestampType::LogAppendTime => "logappend",
    };
    let mut object = Map::new();
    object.insert("topic".into(), json!(&*record.topic));
    object.insert("partition".into(), json!(record.partition));
    object.insert("offset".into(), json!(record.offset.0));
    object.insert("tstype".into(), json!(kind));
    object.insert("ts".into(), json!(record.timestamp.0));
    if !record.headers.is_empty() {
        let text = |bytes: &Bytes| json!(String::from_utf8_lossy(bytes));
        let pair = |header: &RecordHeader| [text(&header.key), header.value.as_ref().map_or(Value::Null, text)];
        object.insert("headers".into(), record.headers.iter().flat_map(pair).collect());
    }
    put(&mut object, "key", record.key.as_ref());
    put(&mut object, "payload", record.value.as_ref());
    Value::Object(object)
}

fn bytes(object: &Map<String, Value>, name: &str) -> Result<Option<Bytes>, String> {
    if let Some(Value::String(text)) = object.get(&format!("{name}{BASE64}")) {
        let decoded = base64::decode(base64::Alphabet::Standard, text);
        return decoded.map(|bytes| Some(bytes.into())).ok_or_else(|| format!("{name}{BASE64} is no base64"));
    }
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
        // Anything else is taken as the JSON that it is.
        Some(other) => Ok(Some(other.to_string().into_bytes().into())),
    }
}

/// The record of an envelope: its key, payload, headers and time. Topic, partition and offset are not its own.
pub(crate) fn to_record(topic: &str, line: &[u8]) -> Result<ProducerRecord, String> {
    let object = match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("an object is needed".to_owned()),
        Err(e) => return Err(e.to_string()),
    };
    let headers = match object.get("headers") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(parts)) if parts.len().is_multiple_of(2) => &parts[..],
        Some(_) => return Err("headers are a list of names and values".to_owned()),
    };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        other => Some(other.to_string().into_bytes().into()),
    };
    let header = |pair: &[Value]| RecordHeader { key: text(&pair[0]).unwrap_or_default(), value: text(&pair[1]) };
    Ok(ProducerRecord {
        topic: topic.into(),
        partition: None,
        timestamp: object.get("ts").and_then(Value::as_i64).filter(|ms| *ms >= 0).map(Timestamp),
        key: bytes(&object, "key")?,
        value: bytes(&object, "payload")?,
        headers: headers.chunks(2).map(header).collect(),
    })
}

#[cfg(test)]
mod tests {
    use thalweg_base::{LeaderEpoch, Offset};

    use super::*;

    fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> ConsumerRecord {
        ConsumerRecord {
            topic: "t".into(),
            partition: 2,
            offset: Offset(7),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(99),
            timestamp_type: TimestampType::CreateTime,
            key: key.map(Bytes::from_static),
            value: value.map(Bytes::from_static),
            headers: vec![RecordHeader { key: "h".into(), value: None }],
        }
    }

    #[test]
    fn an_envelope_has_the_fields_of_kcat() {
        assert_eq!(
            of_record(&record(Some(b"k"), None)).to_string(),
            r#"{"topic":"t","partition":2,"offset":7,"tstype":"create","ts":99,"headers":["h",null],"key":"k","payload":null}"#
        );
    }

    #[test]
    fn what_is_read_is_written_again() {
        for (key, value) in
            [(None, Some(&b"v"[..])), (Some(&b"\xff\x00"[..]), None), (Some(&b""[..]), Some(&b"\xfe"[..]))]
        {
            let read = record(key, value);
            let written = to_record("u", of_record(&read).to_string().as_bytes()).expect("a record");
            assert_eq!((&written.key, &written.value), (&read.key, &read.value));
            assert_eq!((written.timestamp, written.headers), (Some(read.timestamp), read.headers));
        }
    }

    #[test]
    fn values_may_be_json() {
        let record = to_record("t", br#"{"payload":{"a":[1]}}"#).expect("a record");
        assert_eq!(record.value.as_deref(), Some(&br#"{"a":[1]}"#[..]));
        for wrong in [&b"1"[..], b"{", br#"{"headers":["a"]}"#, br#"{"key_base64":"?"}"#] {
            assert!(to_record("t", wrong).is_err(), "{wrong:?}");
        }
    }
}
