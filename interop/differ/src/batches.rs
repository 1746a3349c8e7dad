//! Record batches: made for requests, good ones and damaged ones, and shown as values in answers.

use bytes::Bytes;
use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::{BatchBuilder, BatchOptions, BatchView, Compression, batches, crc32c};

use crate::codec::{bytes_of, hex};
use crate::value::Value;

/// When records say they were made: long ago, but never the same for two of a batch.
const TIME: i64 = 1_700_000_000_000;
/// No batch of a scenario holds more.
const DECOMPRESSED_MAX: usize = 16 << 20;

/// The arguments of a call.
pub(crate) struct Arguments<'a> {
    pub(crate) plain: &'a [Value],
    pub(crate) named: &'a [(String, Value)],
}

impl Arguments<'_> {
    fn word(&self, at: usize) -> Result<&str, String> {
        match self.plain.get(at) {
            Some(Value::Word(text)) => Ok(text),
            other => Err(format!("argument {} is {other:?}", at + 1)),
        }
    }

    fn number(&self, at: usize) -> Result<usize, String> {
        self.word(at)?.parse().map_err(|e| format!("argument {}: {e}", at + 1))
    }

    fn bytes(&self, at: usize) -> Result<Vec<u8>, String> {
        self.plain.get(at).and_then(bytes_of).ok_or_else(|| format!("argument {} has no bytes", at + 1))
    }
}

/// What a call makes.
pub(crate) fn call(name: &str, arguments: &Arguments<'_>) -> Result<Vec<u8>, String> {
    match name {
        "batch" => batch(arguments),
        "patched" | "damaged" => changed(name == "patched", arguments),
        "cut" => {
            let (bytes, from, to) = (arguments.bytes(0)?, arguments.number(1)?, arguments.number(2)?);
            bytes.get(from..to.min(bytes.len())).map(<[u8]>::to_vec).ok_or_else(|| "cut behind the end".to_owned())
        }
        "concat" => (0..arguments.plain.len())
            .map(|at| arguments.bytes(at))
            .collect::<Result<Vec<_>, _>>()
            .map(|parts| parts.concat()),
        "zeros" => Ok(vec![0; arguments.number(0)?]),
        _ => Err(format!("there is no function {name}")),
    }
}

/// `batch(COUNT codec=gzip keys=false time=0 producer=5 epoch=0 sequence=0 transactional=true control=true size=100)`
fn batch(arguments: &Arguments<'_>) -> Result<Vec<u8>, String> {
    let mut options = BatchOptions::default();
    let (mut keys, mut time, mut size) = (true, TIME, 0);
    for (name, value) in arguments.named {
        let Value::Word(text) = value else { return Err(format!("{name} is no word")) };
        let number = || text.parse::<i64>().map_err(|e| format!("{name} {text}: {e}"));
        match name.as_str() {
            "codec" => options.codec = Compression::from_name(text).ok_or_else(|| format!("no codec {text}"))?.into(),
            "keys" => keys = text == "true",
            "time" => time = number()?,
            "size" => size = number()? as usize,
            "base" => options.base_offset = Offset(number()?),
            "producer" => options.producer_id = ProducerId(number()?),
            "epoch" => options.producer_epoch = ProducerEpoch(number()? as i16),
            "sequence" => options.base_sequence = number()? as i32,
            "transactional" => options.transactional = text == "true",
            "control" => options.control = text == "true",
            _ => return Err(format!("a batch has no {name}")),
        }
    }
    let mut builder = BatchBuilder::new(options);
    for number in 0..arguments.number(0)? as i64 {
        let key = format!("key {number}");
        // Of three records, the middle one is the latest.
        let latest = if number == 1 { 1000 } else { number };
        let value = format!("value {number}{}", "x".repeat(size));
        let key = keys.then_some(key.as_bytes());
        builder.append(Timestamp(time + latest), key, Some(value.as_bytes()), &[]);
    }
    builder.build().map(|bytes| bytes.to_vec()).map_err(|e| e.to_string())
}

/// Other bytes at a place; `patched` makes the checksum right again.
fn changed(right: bool, arguments: &Arguments<'_>) -> Result<Vec<u8>, String> {
    let (mut bytes, at, new) = (arguments.bytes(0)?, arguments.number(1)?, arguments.bytes(2)?);
    bytes.get_mut(at..at + new.len()).ok_or("a change behind the end")?.copy_from_slice(&new);
    if right {
        let crc = crc32c(0, &bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    Ok(bytes)
}

/// A run of batches as a list.
pub(crate) fn show(bytes: &[u8]) -> Value {
    let mut run = batches(Bytes::copy_from_slice(bytes));
    let mut shown = Vec::new();
    for batch in run.by_ref() {
        match batch {
            Ok(batch) => shown.push(show_batch(&batch)),
            Err(_) => break,
        }
    }
    if !run.rest().is_empty() {
        // How much of the batch at the end is there depends on nothing but the limits of the request.
        shown.push(Value::Struct(vec![("partialBytes".to_owned(), Value::word(run.rest().len()))]));
    }
    Value::List(shown)
}

fn show_batch(batch: &BatchView) -> Value {
    let head = batch.header();
    let field = |name: &str, value: String| (name.to_owned(), Value::Word(value));
    let mut fields = vec![
        field("baseOffset", batch.base_offset().0.to_string()),
        field("lastOffset", batch.last_offset().0.to_string()),
        field("count", head.count.to_string()),
        field("leaderEpoch", head.leader_epoch.0.to_string()),
        field("attributes", head.attributes.0.to_string()),
        field("baseTimestamp", head.base_timestamp.0.to_string()),
        field("maxTimestamp", batch.max_timestamp().0.to_string()),
    ];
    if head.magic != 2 {
        fields.push(field("magic", head.magic.to_string()));
    }
    if head.producer_id.0 >= 0 || head.base_sequence != -1 {
        fields.push(field("producerId", head.producer_id.0.to_string()));
        fields.push(field("producerEpoch", head.producer_epoch.0.to_string()));
        fields.push(field("baseSequence", head.base_sequence.to_string()));
    }
    if let Err(e) = batch.verify_crc() {
        fields.push(field("crc", e.to_string()));
    }
    let records = match batch.records(DECOMPRESSED_MAX) {
        Ok(records) => records
            .map(|record| record.map_or_else(|e| Value::word(e.to_string()), |record| show_record(&record)))
            .collect(),
        Err(e) => vec![Value::word(e.to_string())],
    };
    fields.push(("records".to_owned(), Value::List(records)));
    Value::Struct(fields)
}

/// `offset delta, time delta, key, value` and the headers.
fn show_record(record: &thalweg_records::Record) -> Value {
    let text = |bytes: &Option<Bytes>| match bytes {
        None => "null".to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            // Long values are told by their length.
            Ok(text) if text.len() > 60 => format!("{}...{}", &text[..20], text.len()),
            Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
            _ => hex(bytes),
        },
    };
    let mut told = format!(
        "+{} +{}ms {}: {}",
        record.offset_delta,
        record.timestamp_delta,
        text(&record.key),
        text(&record.value)
    );
    for header in &record.headers {
        told += &format!(" {}={}", String::from_utf8_lossy(&header.key), text(&header.value));
    }
    Value::Word(told)
}
