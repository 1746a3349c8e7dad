//! What consumers of the classic protocol tell each other inside of it: subscriptions and assignments.

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_metadata::MetadataImage;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use thalweg_wire::{Codec, Reader, Writer};

use super::assignor::Assignment;

/// The version in front of the bytes; `None` if there is none or it is negative. A later one than this node knows is
/// read as the latest, since later ones only add to the end.
fn version<T: Codec>(r: &mut Reader) -> Option<i16> {
    let version = r.i16();
    (r.failure().is_none() && version >= 0).then_some(version.min(T::HIGH))
}

fn decode<T: Codec>(bytes: Bytes) -> Option<T> {
    let mut r = Reader::new(bytes);
    let version = version::<T>(&mut r)?;
    T::decode(&mut r, version).ok()
}

/// Reads a subscription; `None` if it is of a shape that nobody knows.
pub(super) fn subscription(metadata: &Bytes) -> Option<m::ConsumerProtocolSubscription> {
    decode(metadata.clone())
}

/// Reads an assignment; `None` if it is of a shape that nobody knows.
pub(super) fn assignment(bytes: &Bytes) -> Option<m::ConsumerProtocolAssignment> {
    decode(bytes.clone())
}

/// The partitions of an assignment whose topics exist.
pub(super) fn by_id(assignment: &m::ConsumerProtocolAssignment, image: &MetadataImage) -> Assignment {
    let mut by_id = Assignment::new();
    for topic in assignment.assigned_partitions.iter().filter(|topic| !topic.partitions.is_empty()) {
        if let Some(known) = image.topics().by_name(&topic.topic) {
            by_id.entry(known.id).or_default().extend(&topic.partitions);
        }
    }
    by_id
}

/// The partitions that a member says it has, of topics that exist.
pub(super) fn owned(subscription: &m::ConsumerProtocolSubscription, image: &MetadataImage) -> Vec<TopicPartitions> {
    let topics = subscription.owned_partitions.iter().filter_map(|topic| {
        let topic_id = image.topics().by_name(&topic.topic)?.id;
        Some(TopicPartitions { topic_id, partitions: topic.partitions.clone() })
    });
    topics.collect()
}

/// An assignment in the version of a member's subscription. Topics that are gone are left out.
pub(super) fn encode(target: &Assignment, metadata: &Bytes, image: &MetadataImage) -> Bytes {
    let version = version::<m::ConsumerProtocolAssignment>(&mut Reader::new(metadata.clone())).unwrap_or(0);
    let topics = target.iter().filter_map(|(id, partitions)| {
        let topic = ByteString::from(&*image.topics().by_id(*id)?.name);
        let partitions = partitions.iter().copied().collect();
        Some(m::consumer_protocol_assignment::TopicPartition { topic, partitions })
    });
    let assignment = m::ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
    let mut w = Writer::new();
    w.i16(version);
    // Names of topics are short, and every version can say the rest: it does not fail.
    match assignment.encode(&mut w, version) {
        Ok(()) => w.into_bytes(),
        Err(_) => Bytes::new(),
    }
}
