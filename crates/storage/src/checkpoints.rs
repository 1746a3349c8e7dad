//! The small text files of a log directory: checkpoints, the mark of a clean shutdown, topic ids.
//!
//! A checkpoint is a line with the version 0, a line with the number of entries, and a line for each entry.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use thalweg_base::{Offset, TopicPartition, Uuid};
use thalweg_sys::fs;

use crate::{Fault, names};

/// Up to where each log was flushed: recovery begins there.
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Where logs begin whose first records were deleted by `DeleteRecords`.
pub const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
/// The high watermarks.
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Up to where the cleaner has cleaned each log.
pub const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
/// Present while the logs are as a clean shutdown left them.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// The lock that keeps a second node out of the directory.
pub const LOCK: &str = ".lock";

const VERSION: &str = "0";

/// Reads a checkpoint's entries as their fields. A missing file and an empty one have none.
pub(crate) fn read_entries<const FIELDS: usize, T>(
    path: &Path,
    parse: impl Fn([&str; FIELDS]) -> Option<T>,
) -> Result<Vec<T>, Fault> {
    let Some(text) = read_if_exists(path)? else { return Ok(Vec::new()) };
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => {}
        Some(other) => return Err(Fault::corrupt(path, format!("version `{other}` is not {VERSION}"))),
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for line in lines {
        let mut fields = [""; FIELDS];
        let mut words = line.split_whitespace();
        for field in &mut fields {
            *field = words.next().unwrap_or_default();
        }
        let entry = if words.next().is_none() { parse(fields) } else { None };
        entries.push(entry.ok_or_else(|| Fault::corrupt(path, format!("malformed line `{line}`")))?);
    }
    if count.parse() != Ok(entries.len()) {
        return Err(Fault::corrupt(path, format!("it says {count} entries and has {}", entries.len())));
    }
    Ok(entries)
}

/// The text of a checkpoint with these lines.
pub(crate) fn text_of(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Reads one of the offset checkpoints of a log directory. A missing file has no entries.
///
/// # Errors
/// When it cannot be read or has another form.
pub fn read_offsets(path: &Path) -> Result<BTreeMap<TopicPartition, Offset>, Fault> {
    let entries = read_entries(path, |[topic, partition, offset]| {
        Some((TopicPartition::new(topic, partition.parse().ok()?), Offset(offset.parse().ok()?)))
    })?;
    Ok(entries.into_iter().collect())
}

/// Replaces one of the offset checkpoints of a log directory, durably and atomically.
///
/// # Errors
/// When it cannot be written; then the old one stands.
pub fn write_offsets(path: &Path, offsets: &BTreeMap<TopicPartition, Offset>) -> Result<(), Fault> {
    let lines = offsets.iter().map(|(p, offset)| format!("{} {} {offset}", p.topic, p.partition));
    fs::write_atomic(path, text_of(lines).as_bytes()).map_err(Fault::io("write", path))
}

/// Marks `dir` as cleanly shut down by the broker with this epoch (KIP-966). To be written after all logs were closed.
///
/// # Errors
/// When it cannot be written.
pub fn mark_clean_shutdown(dir: &Path, broker_epoch: i64) -> Result<(), Fault> {
    let path = dir.join(CLEAN_SHUTDOWN);
    let mut text = String::new();
    let _ = write!(text, "{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    fs::write_atomic(&path, text.as_bytes()).map_err(Fault::io("write", &path))
}

/// How a directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Every log was closed. The broker epoch is unknown when the mark is one of an older version.
    Clean {
        /// The epoch of the broker that shut down.
        broker_epoch: Option<i64>,
    },
    /// The process ended in another way: logs must be recovered.
    Unclean,
}

/// Reads the mark of a clean shutdown and removes it, durably: from now on the directory counts as unclean.
///
/// # Errors
/// When the mark cannot be read or removed.
pub fn take_clean_shutdown(dir: &Path) -> Result<Shutdown, Fault> {
    let path = dir.join(CLEAN_SHUTDOWN);
    let Some(text) = read_if_exists(&path)? else { return Ok(Shutdown::Unclean) };
    fs::remove_file(&path).map_err(Fault::io("remove", &path))?;
    fs::sync_dir(dir).map_err(Fault::io("sync", dir))?;
    Ok(Shutdown::Clean { broker_epoch: broker_epoch_of(&text) })
}

/// Finds `"brokerEpoch": number` in a JSON object.
fn broker_epoch_of(json: &str) -> Option<i64> {
    let (_, rest) = json.split_once("\"brokerEpoch\"")?;
    let number = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = number.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

/// The topic id in a partition's directory. `None` when the file is missing, or empty or full of zeros after a power failure.
///
/// # Errors
/// When it cannot be read or has another form.
pub fn read_topic_id(dir: &Path) -> Result<Option<Uuid>, Fault> {
    let path = dir.join(names::PARTITION_METADATA);
    let Some(text) = read_if_exists(&path)? else { return Ok(None) };
    if text.bytes().all(|byte| byte == 0) {
        return Ok(None);
    }
    let field = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.split_once(':')).filter(|(key, _)| *key == name);
        values.next().map(|(_, value)| value.trim())
    };
    let (Some(VERSION), Some(id)) = (field("version"), field("topic_id")) else {
        return Err(Fault::corrupt(&path, "it has no `version: 0` and `topic_id`"));
    };
    match id.parse() {
        Ok(id) if id != Uuid::ZERO => Ok(Some(id)),
        _ => Err(Fault::corrupt(&path, format!("topic id `{id}` is invalid"))),
    }
}

/// Puts the topic id into a partition's directory. Durable only once the file and the directory are synced, which the
/// log's first flush does.
pub(crate) fn write_topic_id(dir: &Path, id: Uuid) -> Result<(), Fault> {
    let path = dir.join(names::PARTITION_METADATA);
    let tmp = dir.join("partition.metadata.tmp");
    let text = format!("version: {VERSION}\ntopic_id: {id}");
    fs::write(&tmp, text.as_bytes()).map_err(Fault::io("write", &tmp))?;
    fs::rename(&tmp, &path).map_err(Fault::io("rename", &tmp))
}

pub(crate) fn read_if_exists(path: &Path) -> Result<Option<String>, Fault> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Err(Fault::corrupt(path, "it is not text")),
        Err(e) => Err(Fault::io("read", path)(e)),
    }
}

#[cfg(test)]
mod tests;
