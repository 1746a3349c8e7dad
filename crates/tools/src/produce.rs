//! `thalweg produce`: writes records in the way of kcat and rpk. Kafka has no such tool.

mod input;

use thalweg_base::Timestamp;
use thalweg_client::{Delivery, Producer, ProducerConfig, ProducerRecord, Properties};
use thalweg_records::RecordHeader;
use thalweg_sys::task::spawn;
use tokio::sync::mpsc;

use crate::admin::block_on_beside_input;
use crate::argparse::{Command, Kind, Parsed, flag, value};
use crate::envelope;
use crate::failure::Failure;
use crate::out::Out;
use crate::plain::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG, PROPERTY, failed, unescaped};
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};
use input::Input;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "produce",
    script: "thalweg-produce",
    classes: &[],
    about: "Write records in the way of kcat: lines or whole files, keys, headers, JSON.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 0,
    empty_is_help: true,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::Message,
    run,
};

const PROGRAM: Command = Command {
    name: "thalweg produce",
    about: "Writes each line of the files, or of standard input, as a record, and waits until all are acknowledged.",
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        PROPERTY,
        value("key", "KEY", "The key of all records.").short('k'),
        value("key-delimiter", "TEXT", "What stands between key and value of a line.").short('K'),
        value("delimiter", "TEXT", "What stands behind each record. Default: \\n").short('D'),
        value("header", "NAME=VALUE", "A header of all records. May be repeated.").short('H').repeated(),
        value("partition", "N", "The partition. Default: by the key, as Kafka's producer.").short('p').kind(Kind::Int),
        value("timestamp", "TIME", "The time of all records. Default: now."),
        flag("null", "An empty key or value is none: a tombstone.").short('Z'),
        flag("whole", "Each file, or all of standard input, is one record.").short('w'),
        flag("json", "Each line is a record as `consume --json` prints it: key, payload, headers and ts.").short('J'),
        value("compression", "CODEC", "gzip, snappy, lz4, zstd or none, the default.").short('z'),
        value("acks", "ACKS", "all, which is the default, 1 or 0.").short('a'),
        flag("verbose", "Print partition and offset of each record.").short('v'),
    ],
    words: "TOPIC [FILE ...]",
    words_min: 1,
    examples: &[
        "seq 20 | thalweg produce numbers",
        "echo user-1:hello | thalweg produce greetings -K :",
        "thalweg produce pictures --whole -H type=png a.png b.png",
        "thalweg consume orders -J -e | thalweg produce orders-copy -J",
    ],
    ..Command::EMPTY
};

/// How many records may wait for their acknowledgements; then nothing further is read.
const WAITING_MAX: usize = 10_000;
/// How many failures are said one by one.
const FAILURES_SHOWN_MAX: u64 = 10;

fn wrong(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}

/// What the line says about each record.
struct Template {
    topic: String,
    key: Option<Vec<u8>>,
    key_delimiter: Option<Vec<u8>>,
    headers: Vec<RecordHeader>,
    partition: Option<i32>,
    timestamp: Option<Timestamp>,
    empty_is_null: bool,
    is_json: bool,
}

impl Template {
    fn of_line(parsed: &Parsed) -> Result<Self, Failure> {
        for (one, other) in [("key", "key-delimiter"), ("json", "key-delimiter"), ("json", "key"), ("json", "whole")] {
            if parsed.has(one) && parsed.has(other) {
                return Err(wrong(format!("--{one} and --{other} exclude each other")));
            }
        }
        let text =
            |name: &str| parsed.value(name).map(unescaped).transpose().map_err(|e| wrong(format!("--{name}: {e}")));
        let key_delimiter = text("key-delimiter")?;
        if key_delimiter.as_ref().is_some_and(Vec::is_empty) {
            return Err(wrong("--key-delimiter: it is empty"));
        }
        let now = Timestamp(thalweg_sys::time::wall_clock_ms());
        let timestamp = parsed.value("timestamp").map(|text| plain::time(text, now)).transpose();
        let header = |text: &String| plain::header(text).map(|(key, value)| RecordHeader { key, value });
        Ok(Self {
            topic: parsed.words.first().cloned().unwrap_or_default(),
            key: text("key")?,
            key_delimiter,
            headers: parsed.values("header").iter().map(header).collect::<Result<_, _>>().map_err(wrong)?,
            partition: parsed.number("partition"),
            timestamp: timestamp.map_err(|e| wrong(format!("--timestamp {e}")))?,
            empty_is_null: parsed.has("null"),
            is_json: parsed.has("json"),
        })
    }

    /// The record of what was read.
    fn record(&self, bytes: &[u8]) -> Result<ProducerRecord, String> {
        let mut record = if self.is_json { envelope::to_record(&self.topic, bytes)? } else { self.of_bytes(bytes)? };
        record.headers.extend(self.headers.iter().cloned());
        record.partition = self.partition;
        record.timestamp = self.timestamp.or(record.timestamp);
        Ok(record)
    }

    fn of_bytes(&self, bytes: &[u8]) -> Result<ProducerRecord, String> {
        let (key, value) = match &self.key_delimiter {
            Some(delimiter) => {
                let at = bytes.windows(delimiter.len()).position(|window| window == delimiter);
                let at = at.ok_or("there is no key delimiter")?;
                (Some(&bytes[..at]), &bytes[at + delimiter.len()..])
            }
            None => (self.key.as_deref(), bytes),
        };
        let is_there = |part: &&[u8]| !(self.empty_is_null && part.is_empty());
        let copied = |part: &[u8]| bytes::Bytes::copy_from_slice(part);
        let mut record = ProducerRecord::new(self.topic.as_str(), bytes::Bytes::new());
        record.key = key.filter(is_there).map(copied);
        record.value = Some(value).filter(is_there).map(copied);
        Ok(record)
    }
}

fn config(parsed: &Parsed) -> Result<ProducerConfig, Failure> {
    let mut properties: Properties = plain::properties(parsed, "thalweg-produce")?;
    // A topic that does not exist, and brokers that cannot be reached, are said as soon as an answer would be overdue.
    let timeout = properties.get("default.api.timeout.ms").unwrap_or_default().to_owned();
    properties.set_default("max.block.ms", &timeout);
    properties.set_default("linger.ms", "5");
    for (option, key) in [("compression", "compression.type"), ("acks", "acks")] {
        if let Some(value) = parsed.value(option) {
            properties.set(key, value);
        }
    }
    ProducerConfig::from_properties(&properties).map_err(|e| Failure::Message(e.to_string()))
}

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let template = Template::of_line(parsed)?;
    let delimiter = parsed.value("delimiter").map(unescaped).transpose();
    let delimiter = delimiter.map_err(|e| wrong(format!("--delimiter: {e}")))?.unwrap_or(b"\n".to_vec());
    let delimiter = if parsed.has("whole") { Vec::new() } else { delimiter };
    let config = config(parsed)?;
    let files = parsed.words.get(1..).unwrap_or_default();
    let is_verbose = parsed.has("verbose");
    block_on_beside_input(async {
        let producer = Producer::new(config);
        let (sent, receiver) = mpsc::channel(WAITING_MAX);
        let reporter = spawn(report(receiver, is_verbose));
        let read = send_all(&template, Input::new(files, delimiter), &producer, &sent).await;
        drop(sent);
        // Whatever is waited for ends in time: delivery.timeout.ms.
        let flushed = producer.flush(producer.client().api_deadline()).await;
        let failures = reporter.await.unwrap_or_default();
        out.flush();
        read?;
        match (failures, flushed) {
            (0, flushed) => flushed.map_err(|e| failed(&e)),
            (1, _) => Err(Failure::Exit(1)),
            (more, _) => Err(Failure::Message(format!("{more} records were not written"))),
        }
    })
}

async fn send_all(
    template: &Template,
    mut input: Input<'_>,
    producer: &Producer,
    sent: &mpsc::Sender<(String, Delivery)>,
) -> Result<(), Failure> {
    while let Some(place) = input.next().map_err(Failure::Message)? {
        let record = template.record(input.bytes());
        let record = record.map_err(|e| Failure::Message(format!("{place}: {e}")))?;
        let delivery = producer.send(record).await.map_err(|e| Failure::Message(format!("{place}: {e}")))?;
        // The other end is there until this one is dropped.
        let _ = sent.send((place, delivery)).await;
    }
    Ok(())
}

/// Says which records were not written, and, if asked for, where the others are. Gives how many were not.
async fn report(mut sent: mpsc::Receiver<(String, Delivery)>, is_verbose: bool) -> u64 {
    let mut out = Out::default();
    let mut failures = 0;
    while let Some((place, delivery)) = sent.recv().await {
        match delivery.wait().await {
            Ok(written) if is_verbose => {
                let offset = written.offset.map_or("unknown".to_owned(), |offset| offset.0.to_string());
                out.line(format_args!("{place}: {} offset {offset}", written.partition));
                out.flush();
            }
            Ok(_) => {}
            Err(error) => {
                failures += 1;
                if failures <= FAILURES_SHOWN_MAX {
                    out.error(format_args!("{place}: {error}"));
                }
            }
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template {
            topic: "t".into(),
            key: None,
            key_delimiter: None,
            headers: vec![RecordHeader { key: "h".into(), value: Some("1".into()) }],
            partition: Some(3),
            timestamp: None,
            empty_is_null: false,
            is_json: false,
        }
    }

    #[test]
    fn a_line_is_a_key_and_a_value() {
        let template = Template { key_delimiter: Some(b"::".to_vec()), ..template() };
        let record = template.record(b"a::b::c").expect("a record");
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"a"[..]), Some(&b"b::c"[..])));
        assert_eq!((record.partition, record.headers.len()), (Some(3), 1));
        assert_eq!(template.record(b"a:b").unwrap_err(), "there is no key delimiter");
    }

    #[test]
    fn what_is_empty_is_none_if_the_line_says_so() {
        let kept = Template { key: Some(Vec::new()), ..template() }.record(b"").expect("a record");
        assert_eq!((kept.key.as_deref(), kept.value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
        let none = Template { key: Some(Vec::new()), empty_is_null: true, ..template() }.record(b"").expect("a record");
        assert_eq!((none.key, none.value), (None, None));
    }

    #[test]
    fn an_envelope_keeps_its_headers_and_time() {
        let template = Template { is_json: true, ..template() };
        let record = template.record(br#"{"key":"k","payload":"v","ts":5,"headers":["a","b"]}"#).expect("a record");
        assert_eq!((record.headers.len(), record.timestamp), (2, Some(Timestamp(5))));
    }
}
