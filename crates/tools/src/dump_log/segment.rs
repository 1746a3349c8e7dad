//! Batches and records.

use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchHeader, BatchView, Record, batches};

use super::decoder::Decoder;
use super::{Findings, base_offset, content, optional_long};
use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// The options that let each record be printed.
const DEEP: &[&str] = &[
    "deep-iteration",
    "print-data-log",
    "offsets-decoder",
    "transaction-log-decoder",
    "share-group-state-decoder",
    "cluster-metadata-decoder",
];

/// How large the records of one batch may be when they are decompressed.
const RECORDS_MAX: usize = 1 << 30;

pub(super) fn dump(line: &Line, path: &str, findings: &mut Findings, out: &mut Out) -> Result<(), Failure> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "bootstrap.checkpoint" {
        out.line("KRaft bootstrap snapshot");
    } else if let Some(stem) = name.strip_suffix(".checkpoint") {
        let (offset, epoch) = stem.split_once('-').unwrap_or((stem, "0"));
        let number = |text: &str| text.parse::<i64>().unwrap_or(0);
        out.line(format_args!("Snapshot end offset: {}, epoch: {}", number(offset), number(epoch)));
    } else {
        out.line(format_args!("Log starting offset: {}", base_offset(path)));
    }
    let max_bytes = line.number::<i32>("max-bytes")?;
    let mut bytes = content(path)?;
    if let Some(max) = max_bytes.and_then(|max| usize::try_from(max).ok()) {
        bytes.truncate(max);
    }
    let decoder = Decoder::of_line(line);
    let whole = bytes.len();
    let mut valid = 0;
    let mut last = -1;
    for batch in batches(bytes) {
        let Ok(batch) = batch else { break };
        print_batch(&batch, valid, out);
        if line.has_any(DEEP) {
            print_records(line, &decoder, &batch, path, (&mut last, &mut *findings), out)?;
        }
        valid += batch.len();
    }
    if whole > valid && max_bytes.is_none() {
        out.line(format_args!("Found {} invalid bytes at the end of {name}", whole - valid));
    }
    Ok(())
}

fn print_batch(batch: &BatchView, position: usize, out: &mut Out) {
    let header = batch.header();
    let attributes = header.attributes;
    if header.magic >= 2 {
        let horizon = header.delete_horizon().map_or(-1, |horizon| horizon.0);
        out.text(format_args!(
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
             partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {}",
            header.base_offset.0,
            header.last_offset().0,
            header.count,
            header.base_sequence,
            header.last_sequence(),
            header.producer_id.0,
            header.producer_epoch.0,
            header.leader_epoch.0,
            attributes.is_transactional(),
            attributes.is_control(),
            optional_long(horizon),
        ));
    } else {
        out.text(format_args!("offset: {}", header.last_offset().0));
    }
    let codec = attributes.compression().map_or("unknown".to_owned(), |codec| codec.to_string());
    out.line(format_args!(
        " position: {position} {}: {} size: {} magic: {} compresscodec: {codec} crc: {} isvalid: {}",
        attributes.timestamp_type().name(),
        header.max_timestamp.0,
        batch.len(),
        header.magic,
        header.crc,
        batch.verify_crc().is_ok(),
    ));
}

fn print_records(
    line: &Line,
    decoder: &Decoder,
    batch: &BatchView,
    path: &str,
    (last, findings): (&mut i64, &mut Findings),
    out: &mut Out,
) -> Result<(), Failure> {
    let header = batch.header();
    let corrupt = |e: &dyn std::fmt::Display| {
        Failure::Thrown(Thrown::new("org.apache.kafka.common.errors.CorruptRecordException", e.to_string()))
    };
    for record in batch.records(RECORDS_MAX).map_err(|e| corrupt(&e))? {
        let record = record.map_err(|e| corrupt(&e))?;
        let offset = header.offset_of(record.offset_delta).0;
        if *last >= 0 && offset != *last + 1 {
            findings.gaps.entry(path.to_owned()).or_default().push((*last, offset));
        }
        *last = offset;
        let mut text = String::from("|");
        if !line.has("skip-record-metadata") {
            text += &metadata(header, &record);
        }
        if header.attributes.is_control() {
            if !line.has("skip-record-metadata") {
                text += &control(decoder, &record);
            }
        } else if line.has_any(&DEEP[1..]) {
            let (key, value) = decoder.show(&record, offset, &text, out)?;
            if let Some(key) = key {
                text += &format!(" key: {key}");
            }
            if let Some(value) = value {
                text += &format!(" payload: {value}");
            }
        }
        out.line(text);
    }
    Ok(())
}

fn metadata(header: &BatchHeader, record: &Record) -> String {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or("-1".to_owned(), |bytes| bytes.len().to_string());
    let sequence = if header.base_sequence < 0 {
        -1
    } else {
        thalweg_records::sequence_after(header.base_sequence, record.offset_delta)
    };
    let names: Vec<String> =
        record.headers.iter().map(|header| String::from_utf8_lossy(&header.key).into_owned()).collect();
    format!(
        " offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        header.offset_of(record.offset_delta).0,
        header.attributes.timestamp_type().name(),
        header.timestamp_of(record.timestamp_delta).0,
        len(&record.key),
        len(&record.value),
        names.join(",")
    )
}

/// What a control record says, as far as it ends a transaction.
fn control(decoder: &Decoder, record: &Record) -> String {
    let kind = record.key.as_deref().map(ControlType::parse_key);
    let name = match kind {
        Some(Ok(Some(ControlType::Commit))) => "COMMIT",
        Some(Ok(Some(ControlType::Abort))) => "ABORT",
        Some(Ok(Some(other))) => return quorum(decoder, other, record.value.as_deref().unwrap_or_default()),
        _ => return " controlType: UNKNOWN(-1)".to_owned(),
    };
    let epoch = record.value.as_deref().and_then(|value| EndTxnMarker::parse(value).ok());
    format!(" endTxnMarker: {name} coordinatorEpoch: {}", epoch.map_or(-1, |marker| marker.coordinator_epoch))
}

/// What a control record of the metadata log says.
fn quorum(decoder: &Decoder, kind: ControlType, value: &[u8]) -> String {
    let (shown, message) = match kind {
        ControlType::LeaderChange => ("LeaderChange:", "LeaderChangeMessage"),
        ControlType::SnapshotHeader => ("SnapshotHeader", "SnapshotHeaderRecord"),
        ControlType::SnapshotFooter => ("SnapshotFooter", "SnapshotFooterRecord"),
        ControlType::KRaftVersion => ("KRaftVersion", "KRaftVersionRecord"),
        ControlType::KRaftVoters => ("KRaftVoters", "VotersRecord"),
        ControlType::Abort | ControlType::Commit => return String::new(),
    };
    decoder.quorum_record(message, value).map_or_else(String::new, |data| format!(" {shown} {data}"))
}
