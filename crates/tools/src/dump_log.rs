//! `kafka-dump-log.sh`: what stands in the files of a log.

mod decoder;
mod index;
mod segment;

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use thalweg_sys::fs;
use thalweg_wire::Reader;
use thalweg_wire::messages::ProducerSnapshot;

use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, optional, value};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "dump-log",
    script: "kafka-dump-log",
    classes: &["org.apache.kafka.tools.DumpLogSegments", "kafka.tools.DumpLogSegments"],
    about: "Print the batches, records and indexes of log files.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-dump-log --files data/orders-0/00000000000000000000.log",
        "kafka-dump-log --files data/orders-0/00000000000000000000.log --print-data-log",
        "kafka-dump-log --files data/orders-0/00000000000000000000.index,data/orders-0/00000000000000000000.timeindex",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Main,
    uncaught: Uncaught::Main,
    run,
};

const OPTIONS: &[Opt] = &[
    value(
        "files",
        "file1, file2, ...",
        "The files, between commas: .log, .checkpoint, .index, .timeindex, .txnindex, .snapshot.",
    ),
    flag("print-data-log", "Print the records with keys and values."),
    flag("offsets-decoder", "Print the records of __consumer_offsets."),
    flag("transaction-log-decoder", "Print the records of __transaction_state."),
    flag("share-group-state-decoder", "Print the records of __share_group_state."),
    flag("cluster-metadata-decoder", "Print the records of __cluster_metadata, and of snapshots."),
    flag("deep-iteration", "Print the records without keys and values."),
    flag("skip-record-metadata", "Print keys and values alone."),
    flag("index-sanity-check", "Only check whether an index would be taken at the start of a node."),
    flag("verify-index-only", "Compare an index with its log, and print only what differs."),
    value("max-message-size", "size", "The largest batch, in bytes. Default: 5242880."),
    value("max-bytes", "size", "Read so many bytes of a log and no more."),
    optional("key-decoder-class", "String", "How keys are read: org.apache.kafka.tools.api.StringDecoder."),
    optional("value-decoder-class", "String", "How values are read: org.apache.kafka.tools.api.StringDecoder."),
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["files"])?;
    for option in ["key-decoder-class", "value-decoder-class"] {
        if let Some(class) = line.values(option).first().filter(|class| !class.ends_with("StringDecoder")) {
            return Err(Thrown::new("java.lang.ClassNotFoundException", class.as_str()).into());
        }
    }
    let mut findings = Findings::default();
    let files = line.value("files")?.unwrap_or_default().to_owned();
    for path in files.split(',').map(str::trim) {
        out.line(format_args!("Dumping {path}"));
        let name = path.rsplit('/').next().unwrap_or(path);
        match name.rsplit_once('.').map(|(_, suffix)| suffix) {
            Some("log" | "checkpoint") => segment::dump(line, path, &mut findings, out)?,
            Some("index") => index::dump_offsets(line, path, &mut findings, out)?,
            Some("timeindex") => index::dump_times(line, path, &mut findings, out)?,
            Some("txnindex") => index::dump_aborted(path, out)?,
            Some("snapshot") => producers(path, out)?,
            _ => out.error(format_args!("Ignoring unknown file {path}")),
        }
    }
    findings.report(out);
    Ok(())
}

/// What is wrong with the files, for the end.
#[derive(Debug, Default)]
struct Findings {
    /// Offsets of an index and what stands in the log there.
    index: BTreeMap<String, Vec<(i64, i64)>>,
    /// Timestamps of a time index and what the log has.
    times: BTreeMap<String, Vec<(i64, i64)>>,
    /// Offsets that do not follow one another.
    gaps: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Findings {
    fn report(&self, out: &mut Out) {
        for (file, pairs) in &self.index {
            out.error(format_args!("Mismatches in :{file}"));
            for (index, log) in pairs.iter().rev() {
                out.error(format_args!("  Index offset: {index}, log offset: {log}"));
            }
        }
        for (file, pairs) in &self.times {
            out.error(format_args!("Found timestamp mismatch in :{file}"));
            for (index, log) in pairs {
                out.error(format_args!("  Index timestamp: {index}, log timestamp: {log}"));
            }
        }
        for (file, pairs) in &self.gaps {
            out.error(format_args!("Non-consecutive offsets in {file}"));
            for (one, next) in pairs {
                out.error(format_args!("  {one} is followed by {next}"));
            }
        }
    }
}

/// The whole content of a file.
fn content(path: &str) -> Result<Bytes, Thrown> {
    fs::read(Path::new(path)).map(Bytes::from).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Thrown::new("java.nio.file.NoSuchFileException", path),
        _ => Thrown::new("java.io.IOException", format!("{path}: {e}")),
    })
}

/// The offset that a file's name begins with.
fn base_offset(path: &str) -> i64 {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The file beside this one with another ending.
fn beside(path: &str, suffix: &str) -> String {
    path.rsplit_once('.').map_or(path.to_owned(), |(stem, _)| format!("{stem}.{suffix}"))
}

fn producers(path: &str, out: &mut Out) -> Result<(), Failure> {
    let bytes = content(path)?;
    let version = bytes.get(..2).map_or(0, |head| i16::from_be_bytes([head[0], head[1]]));
    let decoded = ProducerSnapshot::decode(&mut Reader::new(bytes.slice(bytes.len().min(2)..)), version);
    let Ok(snapshot) = decoded else {
        out.error(format_args!("Snapshot failed schema validation: {path}"));
        return Ok(());
    };
    for entry in &snapshot.producer_entries {
        let mut text = format!(
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
            entry.producer_id,
            entry.epoch,
            entry.coordinator_epoch,
            optional_long(entry.current_txn_first_offset),
            entry.timestamp
        );
        if entry.last_offset >= 0 {
            text += &format!(
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                entry.last_sequence.saturating_sub(entry.offset_delta),
                entry.last_sequence,
                entry.last_offset,
                entry.offset_delta,
                entry.timestamp
            );
        }
        out.line(text);
    }
    Ok(())
}

/// `OptionalLong`, empty for a negative number.
fn optional_long(value: i64) -> String {
    if value < 0 { "OptionalLong.empty".to_owned() } else { format!("OptionalLong[{value}]") }
}
