//! Indexes: of offsets, of times, of aborted transactions.

use bytes::{Buf as _, Bytes};
use thalweg_records::{BatchView, batches};

use super::{Findings, base_offset, beside, content};
use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// An entry of an offset index: a relative offset and a position, of four bytes each.
const OFFSET_ENTRY: usize = 8;
/// An entry of a time index: a timestamp of eight bytes and a relative offset of four.
const TIME_ENTRY: usize = 12;
/// An entry of an index of aborted transactions: a version of two bytes and four numbers of eight.
const ABORTED_ENTRY: usize = 34;

fn corrupt(path: &str, why: &str) -> Thrown {
    let class = "org.apache.kafka.storage.internals.log.CorruptIndexException";
    Thrown::new(class, format!("Corrupt index found, index file ({path}) {why}"))
}

/// Offsets and positions.
fn offsets(mut bytes: Bytes, base: i64) -> Vec<(i64, usize)> {
    let mut entries = Vec::new();
    while bytes.remaining() >= OFFSET_ENTRY {
        let offset = base + i64::from(bytes.get_i32());
        let position = usize::try_from(bytes.get_i32()).unwrap_or(usize::MAX);
        // Behind the last entry of a file that was not closed stand zeros.
        if offset == base && !entries.is_empty() {
            break;
        }
        entries.push((offset, position));
    }
    entries
}

pub(super) fn dump_offsets(line: &Line, path: &str, findings: &mut Findings, out: &mut Out) -> Result<(), Failure> {
    let log = content(&beside(path, "log"))?;
    let bytes = content(path)?;
    if bytes.is_empty() {
        out.line(format_args!("{path} is empty."));
        return Ok(());
    }
    if line.has("index-sanity-check") {
        if bytes.len() % OFFSET_ENTRY != 0 {
            return Err(corrupt(path, "has a length that is no multiple of 8").into());
        }
        out.line(format_args!("{path} passed sanity check."));
        return Ok(());
    }
    for (offset, position) in offsets(bytes, base_offset(path)) {
        let at = log.slice(position.min(log.len())..);
        let found = BatchView::parse(&at).map_or(-1, |batch| batch.last_offset().0);
        if found != offset {
            findings.index.entry(path.to_owned()).or_default().push((offset, found));
        }
        if !line.has("verify-index-only") {
            out.line(format_args!("offset: {offset} position: {position}"));
        }
    }
    Ok(())
}

pub(super) fn dump_times(line: &Line, path: &str, findings: &mut Findings, out: &mut Out) -> Result<(), Failure> {
    let log = content(&beside(path, "log"))?;
    let mut bytes = content(path)?;
    let base = base_offset(path);
    if line.has("index-sanity-check") {
        if bytes.len() % TIME_ENTRY != 0 {
            return Err(corrupt(path, "has a length that is no multiple of 12").into());
        }
        out.line(format_args!("{path} passed sanity check."));
        return Ok(());
    }
    let mut is_first = true;
    while bytes.remaining() >= TIME_ENTRY {
        let (timestamp, offset) = (bytes.get_i64(), base + i64::from(bytes.get_i32()));
        if offset == base && !is_first {
            break;
        }
        is_first = false;
        let mut found = batches(log.clone()).filter_map(Result::ok);
        let batch = found.find(|batch| batch.last_offset().0 >= offset);
        if let Some(batch) = batch.filter(|batch| batch.max_timestamp().0 != timestamp) {
            findings.times.entry(path.to_owned()).or_default().push((timestamp, batch.max_timestamp().0));
        }
        if !line.has("verify-index-only") {
            out.line(format_args!("timestamp: {timestamp} offset: {offset}"));
        }
    }
    Ok(())
}

pub(super) fn dump_aborted(path: &str, out: &mut Out) -> Result<(), Failure> {
    let mut bytes = content(path)?;
    while bytes.remaining() >= ABORTED_ENTRY {
        let version = bytes.get_i16();
        let [producer, first, last, stable] = [(); 4].map(|()| bytes.get_i64());
        out.line(format_args!(
            "version: {version} producerId: {producer} firstOffset: {first} lastOffset: {last} lastStableOffset: {stable}"
        ));
    }
    Ok(())
}
