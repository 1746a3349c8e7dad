//! A hash of what a group subscribes to: it differs when topics appear, grow, move to other racks or go away.
//!
//! The same number as Kafka writes, so that a group does not rebalance when a Kafka node takes it over, or gives it.

use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::TopicImage;
use twox_hash::XxHash3_64;

use super::group::Subscriptions;

/// The version of the layout that is hashed.
const MAGIC: u8 = 0;

/// The hash of the topics that exist; 0 if none does.
pub(super) fn metadata_hash(topics: &Subscriptions, image: &MetadataImage) -> i64 {
    let mut bytes = Vec::new();
    let mut buffer = Vec::new();
    // Ordered by name, as the map is.
    for topic in topics.keys().filter_map(|name| image.topics().by_name(name)) {
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
    use thalweg_base::Uuid;

    use super::*;

    #[test]
    fn strings_and_numbers_are_hashed_as_kafka_does() {
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

    #[test]
    fn an_id_is_two_numbers() {
        let id = Uuid([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
        let topic = TopicImage { id, name: "t".into(), partitions: Default::default() };
        let mut buffer = Vec::new();
        topic_hash(&topic, &MetadataImage::default(), &mut buffer);
        assert_eq!(&buffer[..17], [0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
