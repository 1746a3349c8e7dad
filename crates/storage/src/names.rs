//! How Kafka names the files of a log and the directories of partitions.

use std::path::{Path, PathBuf};

use thalweg_base::{Offset, TopicPartition};

/// The records of a segment.
pub const LOG: &str = ".log";
/// A segment's sparse index from offset to position.
pub const OFFSET_INDEX: &str = ".index";
/// A segment's sparse index from timestamp to offset.
pub const TIME_INDEX: &str = ".timeindex";
/// A segment's aborted transactions.
pub const TXN_INDEX: &str = ".txnindex";
/// The producers as they were at an offset.
pub const PRODUCER_SNAPSHOT: &str = ".snapshot";
/// A file that is going to be removed.
pub const DELETED: &str = ".deleted";
/// A file that the cleaner is still writing.
pub const CLEANED: &str = ".cleaned";
/// A file that the cleaner has finished and that is taking its place.
pub const SWAP: &str = ".swap";
/// The file with a partition's topic id.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// The file with a partition's leader epochs.
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";

/// A file name of 255 bytes is the longest that common file systems take.
const NAME_LEN_MAX: usize = 255;

/// The file of `kind` (one of the suffixes above) at `offset` in `dir`.
#[must_use]
pub fn file_at(dir: &Path, offset: Offset, kind: &str) -> PathBuf {
    dir.join(format!("{:020}{kind}", offset.0))
}

/// The offset at the beginning of a file's name, and what follows it; `None` for names of another form.
#[must_use]
pub fn offset_of(name: &str) -> Option<(Offset, &str)> {
    let (digits, _) = name.split_once('.')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((Offset(digits.parse().ok()?), &name[digits.len()..]))
}

/// What a partition directory is, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirKind {
    /// `topic-0`: a partition's log.
    Current,
    /// `topic-0.<id>-delete`: going to be removed.
    Deleted,
    /// `topic-0.<id>-future`: a copy that will take the log's place (KIP-113).
    Future,
    /// `topic-0.<id>-stray`: a partition that the cluster does not place here.
    Stray,
}

impl DirKind {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Current => "",
            Self::Deleted => "-delete",
            Self::Future => "-future",
            Self::Stray => "-stray",
        }
    }
}

/// The directory name of a partition's log.
#[must_use]
pub fn dir_name(partition: &TopicPartition) -> String {
    partition.to_string()
}

/// The name that a partition's directory takes when it becomes `kind`. `unique` is 16 random bytes. A topic name that
/// would make the whole too long is cut, as Kafka does, except in `Future`, which must be read back.
#[must_use]
pub fn renamed_dir_name(partition: &TopicPartition, kind: DirKind, unique: [u8; 16]) -> String {
    let mut end = format!("-{}.", partition.partition);
    for byte in unique {
        end.push_str(&format!("{byte:02x}"));
    }
    end.push_str(kind.suffix());
    let mut keep = partition.topic.len();
    if kind != DirKind::Future {
        keep = keep.min(NAME_LEN_MAX.saturating_sub(end.len()));
        while !partition.topic.is_char_boundary(keep) {
            keep -= 1;
        }
    }
    format!("{}{end}", &partition.topic[..keep])
}

/// Reads a partition directory's name. `None` when Kafka would not take it for one.
#[must_use]
pub fn parse_dir_name(name: &str) -> Option<(TopicPartition, DirKind)> {
    let kind = [DirKind::Deleted, DirKind::Future, DirKind::Stray].into_iter().find(|k| name.ends_with(k.suffix()));
    let (stem, kind) = match kind {
        Some(kind) => {
            let (stem, id) = name[..name.len() - kind.suffix().len()].rsplit_once('.')?;
            if id.is_empty() || id.contains(char::is_whitespace) {
                return None;
            }
            (stem, kind)
        }
        None => (name, DirKind::Current),
    };
    let (topic, partition) = stem.rsplit_once('-')?;
    let plain = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    if topic.is_empty() || !plain {
        return None;
    }
    Some((TopicPartition::new(topic, partition.parse().ok()?), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_files_are_named_by_twenty_digits() {
        let path = file_at(Path::new("d"), Offset(42), LOG);
        assert_eq!(path, Path::new("d/00000000000000000042.log"));
        assert_eq!(offset_of("00000000000000000042.log"), Some((Offset(42), ".log")));
        assert_eq!(offset_of("00000000000000000042.index.deleted"), Some((Offset(42), ".index.deleted")));
        for other in ["partition.metadata", ".log", "+1.log", "99999999999999999999.log", "quorum-state"] {
            assert_eq!(offset_of(other), None, "{other}");
        }
    }

    #[test]
    fn directory_names_are_read_back() {
        let partition = TopicPartition::new("a-b.c", 7);
        assert_eq!(parse_dir_name(&dir_name(&partition)), Some((partition.clone(), DirKind::Current)));
        for kind in [DirKind::Deleted, DirKind::Future, DirKind::Stray] {
            let name = renamed_dir_name(&partition, kind, [0xab; 16]);
            assert_eq!(parse_dir_name(&name), Some((partition.clone(), kind)), "{name}");
        }
    }

    #[test]
    fn a_long_topic_name_is_cut_for_deletion() {
        let partition = TopicPartition::new("x".repeat(249), 12345);
        assert_eq!(renamed_dir_name(&partition, DirKind::Deleted, [1; 16]).len(), NAME_LEN_MAX);
    }

    #[test]
    fn other_directories_are_no_partitions() {
        for name in ["", "abc", "-1", "a-", "a-b", "a--delete", "a-0-delete", "a-0.x-delete2x", "a-+1", "a-99999999999"]
        {
            assert_eq!(parse_dir_name(name), None, "{name}");
        }
    }
}
