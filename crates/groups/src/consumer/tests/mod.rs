//! Stories of consumer groups, told through the shard.

mod membership;
mod migration;
mod regexes;
mod topics;

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::{Offset, Uuid};
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_heartbeat_request::TopicPartitions;

use crate::describable::Describable;
use crate::group::Group;
use crate::records::Record;
use crate::request::{Answer, Request};
use crate::tests::testbed::Testbed;

pub(super) type Request848 = m::ConsumerGroupHeartbeatRequest;
pub(super) type Response848 = m::ConsumerGroupHeartbeatResponse;

/// A cluster with these topics; the id of the first is 1.
pub(super) fn cluster(topics: &[(&str, i32)]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (number, (name, partitions)) in (1..).zip(topics) {
        create(&mut image, number, name, *partitions);
    }
    image
}

pub(crate) fn create(image: &mut MetadataImage, number: u64, name: &str, partitions: i32) {
    let record = m::TopicRecord { name: name.into(), topic_id: topic(number) };
    replay(image, record.into());
    grow(image, number, 0..partitions);
}

pub(crate) fn grow(image: &mut MetadataImage, number: u64, partitions: std::ops::Range<i32>) {
    for partition_id in partitions {
        let record = m::PartitionRecord {
            partition_id,
            topic_id: topic(number),
            replicas: vec![1],
            isr: vec![1],
            ..Default::default()
        };
        replay(image, record.into());
    }
}

pub(super) fn delete(image: &mut MetadataImage, number: u64) {
    replay(image, m::RemoveTopicRecord { topic_id: topic(number) }.into());
}

fn replay(image: &mut MetadataImage, record: thalweg_metadata::MetadataRecord) {
    let offset = Offset(image.provenance().offset.0 + 1);
    image.replay(&record, offset);
    let mut provenance = image.provenance();
    provenance.offset = offset;
    image.set_provenance(provenance);
}

pub(crate) fn topic(number: u64) -> Uuid {
    Uuid(u128::from(number).to_be_bytes())
}

/// A coordinator of a cluster with these topics.
pub(crate) fn coordinator(topics: &[(&str, i32)]) -> Testbed {
    let mut bed = Testbed::new(Default::default());
    bed.change(cluster(topics));
    bed.image = cluster(topics);
    bed
}

/// The request with which a member joins the group `g`.
pub(super) fn join(member: &str, topics: &[&str]) -> Request848 {
    Request848 {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: 0,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|topic| ByteString::from(*topic)).collect()),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    }
}

/// A heartbeat that says nothing new.
pub(super) fn beat(member: &str, member_epoch: i32) -> Request848 {
    Request848 {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch,
        rebalance_timeout_ms: -1,
        ..Default::default()
    }
}

/// A heartbeat that says what the member has.
pub(super) fn owning(member: &str, member_epoch: i32, owned: &[(u64, &[i32])]) -> Request848 {
    let topics = owned
        .iter()
        .map(|(number, partitions)| TopicPartitions { topic_id: topic(*number), partitions: partitions.to_vec() });
    Request848 { topic_partitions: Some(topics.collect()), ..beat(member, member_epoch) }
}

pub(super) fn send(bed: &mut Testbed, request: Request848) -> Response848 {
    match bed.call(1, Request::ConsumerGroupHeartbeat(request)) {
        Answer::ConsumerGroupHeartbeat(response) => response,
        other => panic!("not a heartbeat's answer: {other:?}"),
    }
}

/// Sends a heartbeat that is let in: the member's epoch and, if the answer tells, what it has.
pub(super) fn alive(bed: &mut Testbed, request: Request848) -> (i32, Option<BTreeMap<u64, Vec<i32>>>) {
    let response = send(bed, request);
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let assignment = response.assignment.map(|assignment| {
        let topics = assignment.topic_partitions.into_iter();
        topics.map(|topic| (u128::from_be_bytes(topic.topic_id.0) as u64, topic.partitions)).collect()
    });
    (response.member_epoch, assignment)
}

/// Sends a heartbeat that is refused: why.
pub(super) fn refused(bed: &mut Testbed, request: Request848) -> (ErrorCode, String) {
    let response = send(bed, request);
    (response.error_code.into(), response.error_message.map(|text| text.to_string()).unwrap_or_default())
}

/// What a member has, in short.
pub(super) fn has(owned: &[(u64, &[i32])]) -> Option<BTreeMap<u64, Vec<i32>>> {
    Some(owned.iter().map(|(topic, partitions)| (*topic, partitions.to_vec())).collect())
}

/// The state of the group `g`.
pub(super) fn state(bed: &Testbed) -> &'static str {
    match bed.shard.groups.get("g") {
        Some(Group::Consumer(group)) => {
            group.assert_consistent();
            group.state_name()
        }
        Some(Group::Classic(_)) => "classic",
        Some(Group::Share(_)) => "share",
        Some(Group::Streams(_)) => "streams",
        None => "none",
    }
}

/// The kinds of the records that were written since the last look; tombstones are negative.
pub(crate) fn kinds(bed: &mut Testbed) -> Vec<i16> {
    let sign = |record: &Record| if record.is_tombstone() { -1 } else { 1 };
    bed.take_records().iter().map(|record| record.kind() * sign(record)).collect()
}
