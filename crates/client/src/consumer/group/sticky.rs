//! What members of the `sticky` assignor remember of their partitions: they give all of them up before they join, so that
//! the subscription says in its user data what they had.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_base::TopicPartition;
use thalweg_wire::{Reader, Writer};

/// How many topics a member can say that it had: more than a subscription of 16 MiB has room for.
const TOPICS_MAX: i32 = 1 << 20;

/// Partitions that a member had, and in which generation.
pub(super) type Kept = (BTreeSet<TopicPartition>, i32);

/// The user data of a subscription.
pub(super) fn write((partitions, generation): &Kept) -> Bytes {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let count = |len: usize| i32::try_from(len).unwrap_or(i32::MAX);
    let mut writer = Writer::new();
    writer.i32(count(topics.len()));
    for (topic, partitions) in topics {
        writer.string(&ByteString::from(topic), false);
        writer.i32(count(partitions.len()));
        partitions.into_iter().for_each(|partition| writer.i32(partition));
    }
    writer.i32(*generation);
    writer.into_bytes()
}

/// Reads user data; members of old versions name no generation. What cannot be read counts as nothing.
pub(super) fn read(bytes: &Bytes) -> Kept {
    let mut reader = Reader::new(bytes.clone());
    let mut partitions = BTreeSet::new();
    let topics = reader.i32();
    for _ in 0..topics.clamp(0, TOPICS_MAX) {
        let mut topic = ByteString::new();
        reader.string(&mut topic, false);
        let count = reader.i32();
        // Each partition takes four bytes: a count that has not as many is a lie.
        if reader.failure().is_some() || usize::try_from(count).is_ok_and(|count| count > reader.remaining() / 4) {
            return Kept::default();
        }
        partitions.extend((0..count).map(|_| TopicPartition::new(&*topic, reader.i32())));
    }
    let generation = if reader.remaining() >= 4 { reader.i32() } else { -1 };
    if reader.failure().is_some() { Kept::default() } else { (partitions, generation) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_is_nothing() {
        let kept: Kept = ([("t", 0), ("t", 3), ("u", 1)].map(|(topic, at)| TopicPartition::new(topic, at)).into(), 7);
        let bytes = write(&kept);
        assert_eq!(read(&bytes), kept);
        for end in 1..bytes.len() - 4 {
            assert_eq!(read(&bytes.slice(..end)), Kept::default(), "{end}");
        }
        let old = bytes.slice(..bytes.len() - 4);
        assert_eq!(read(&old), (kept.0, -1), "members of old versions name no generation");
        assert_eq!(read(&Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff])), Kept::default());
    }
}
