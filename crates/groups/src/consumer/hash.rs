//! A hash of what a group subscribes to: it differs when topics appear, grow, move to other racks or go away.
//!
//! The same number as Kafka writes, so that a group does not rebalance when a Kafka node takes it over, or gives it.

use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::TopicImage;
use twox_hash::XxHash3_64;

use super::group::Subscriptions;

/// The version of the layout that is hashed.
const MAGIC: u8 = 0;

/// The hash of the topics that exist; 0 if none does.
pub(super) fn metadata_hash(topics: &Subscriptions, image: &MetadataImage) -> i64 {
    hash_of_topics(topics.keys(), image)
}

/// The hash of the topics of these names, in their order, that exist; 0 if none does.
pub(crate) fn hash_of_topics<'a>(names: impl Iterator<Item = &'a ByteString>, image: &MetadataImage) -> i64 {
    let mut bytes = Vec::new();
    let mut buffer = Vec::new();
    for topic in names.filter_map(|name| image.topics().by_name(name)) {
        bytes.extend_from_slice(&topic_hash(topic, image, &mut buffer).to_le_bytes());
    }
    if bytes.is_empty() { 0 } else { XxHash3_64::oneshot(&bytes).cast_signed() }
}

/// The hash of a topic's id, name, and the racks of each partition.
fn topic_hash(topic: &TopicImage, image: &MetadataImage, buffer: &mut Vec<u8>) -> i64 {
    buffer.clear();
    buffer.push(MAGIC);
    let (high, low) = topic.id.0.split_at(8);
    // Kafka hashes the two halves as numbers, little end first.
    buffer.extend(high.iter().rev());
    buffer.extend(low.iter().rev());
    put_string(buffer, &topic.name);
    put_len(buffer, topic.partition_count());
    for index in 0..topic.partition_count() {
        put_len(buffer, index);
        let partition = i32::try_from(index).ok().and_then(|index| topic.partition(index));
        let replicas = partition.iter().flat_map(|partition| &partition.replicas);
        let mut racks: Vec<&str> =
            replicas.filter_map(|id| image.cluster().broker(*id)).filter_map(|broker| broker.rack.as_deref()).collect();
        racks.sort_unstable();
        for rack in racks {
            put_len(buffer, rack.encode_utf16().count());
            put_string(buffer, rack);
        }
    }
    XxHash3_64::oneshot(buffer).cast_signed()
}

fn put_len(buffer: &mut Vec<u8>, len: usize) {
    buffer.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

/// UTF-16 units, then how many.
fn put_string(buffer: &mut Vec<u8>, text: &str) {
    let before = buffer.len();
    buffer.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    put_len(buffer, (buffer.len() - before) / 2);
}

#[cfg(test)]
mod tests {
    use thalweg_base::{Offset, Uuid};
    use thalweg_wire::messages::{PartitionRecord, RegisterBrokerRecord, TopicRecord};

    use super::*;
    use crate::consumer::group::Subscribers;

    /// A topic with two partitions, the first on brokers of two racks, the second on one without a rack.
    fn image() -> MetadataImage {
        let mut image = MetadataImage::default();
        let topic_id = Uuid(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210_u128.to_be_bytes());
        for (broker_id, rack) in [(1, Some("rack-b".into())), (2, Some("rack-a".into())), (3, None)] {
            let broker = RegisterBrokerRecord { broker_id, rack, ..Default::default() };
            image.replay(&broker.into(), Offset(0));
        }
        image.replay(&TopicRecord { name: "topic-1".into(), topic_id }.into(), Offset(1));
        for (partition_id, replicas) in [(0, vec![1, 2]), (1, vec![3])] {
            let partition = PartitionRecord { partition_id, topic_id, replicas, ..Default::default() };
            image.replay(&partition.into(), Offset(2));
        }
        image
    }

    #[test]
    fn a_topic_and_a_group_have_the_hashes_that_kafka_gives_them() {
        // Kafka 4.3.1's class Utils gave these numbers.
        let image = image();
        let topic = image.topics().by_name("topic-1").unwrap();
        assert_eq!(topic_hash(topic, &image, &mut Vec::new()), 2_395_246_885_756_811_105);
        let topics = ["topic-1", "no-such-topic"].map(|name| (name.into(), Subscribers::default()));
        assert_eq!(metadata_hash(&topics.into(), &image), 7_904_741_518_115_157_557);
        assert_eq!(metadata_hash(&Subscriptions::new(), &image), 0);
    }

    #[test]
    fn names_are_hashed_in_utf_16() {
        // The same calls of hash4j 0.22, which Kafka 4.3.1 uses, gave this number.
        let mut buffer = vec![MAGIC];
        for half in [1_u64, 2] {
            buffer.extend_from_slice(&half.to_le_bytes());
        }
        put_string(&mut buffer, "topic-ä");
        put_len(&mut buffer, 2);
        put_len(&mut buffer, 0);
        put_len(&mut buffer, 2);
        put_string(&mut buffer, "r1");
        put_len(&mut buffer, 1);
        assert_eq!(XxHash3_64::oneshot(&buffer), 4_175_116_538_311_098_199);
    }
}
