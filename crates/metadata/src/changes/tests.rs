use thalweg_base::{Offset, Uuid};
use thalweg_wire::messages::{
    ConfigRecord, FeatureLevelRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord,
    TopicRecord,
};

use super::*;
use crate::MetadataRecord;

fn topic(name: &str, byte: u8) -> MetadataRecord {
    TopicRecord { name: name.into(), topic_id: Uuid([byte; 16]) }.into()
}

fn partition(byte: u8, partition_id: i32) -> MetadataRecord {
    let topic_id = Uuid([byte; 16]);
    PartitionRecord { topic_id, partition_id, replicas: vec![1], isr: vec![1], leader: 1, ..Default::default() }.into()
}

fn config(name: &str) -> MetadataRecord {
    ConfigRecord { resource_type: 2, resource_name: name.into(), name: "x".into(), value: Some("1".into()) }.into()
}

fn replayed(image: &MetadataImage, records: &[MetadataRecord]) -> MetadataImage {
    let mut image = image.clone();
    records.iter().for_each(|record| image.replay(record, Offset(0)));
    image
}

fn two_topics() -> MetadataImage {
    let records = [topic("a", 1), partition(1, 0), partition(1, 1), topic("b", 2), partition(2, 0), config("b")];
    replayed(&MetadataImage::default(), &records)
}

/// What changed: `+a -b a-0 b-0! config b`.
fn text(changes: &Changes) -> String {
    let created = changes.topics_created.iter().map(|topic| format!("+{}", topic.name));
    let deleted = changes.topics_deleted.iter().map(|topic| format!("-{}", topic.name));
    let partitions = changes.partitions_changed.iter().map(|p| {
        let mark = match (&p.before, &p.after) {
            (None, _) => "+",
            (_, None) => "!",
            _ => "",
        };
        format!("{}-{}{mark}", p.topic.name, p.partition)
    });
    let configs = changes.configs_changed.iter().map(|resource| format!("config {}", resource.name));
    created.chain(deleted).chain(partitions).chain(configs).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_image_does_not_differ_from_itself() {
    assert!(Changes::between(&two_topics(), &two_topics()).is_empty());
}

#[test]
fn everything_is_new_to_an_empty_image() {
    let changes = Changes::between(&MetadataImage::default(), &two_topics());
    assert_eq!(text(&changes), "+a +b a-0+ a-1+ b-0+ config b");
}

#[test]
fn a_deleted_topic_takes_partitions_and_configs_along() {
    let before = two_topics();
    let after = replayed(&before, &[RemoveTopicRecord { topic_id: Uuid([2; 16]) }.into()]);
    assert_eq!(text(&Changes::between(&before, &after)), "-b b-0! config b");
}

#[test]
fn a_topic_that_is_created_again_is_another_one() {
    let before = two_topics();
    let removed = RemoveTopicRecord { topic_id: Uuid([1; 16]) }.into();
    let after = replayed(&before, &[removed, topic("a", 3), partition(3, 0)]);
    assert_eq!(text(&Changes::between(&before, &after)), "+a -a a-0! a-1! a-0+");
}

#[test]
fn one_changed_partition_is_one_change() {
    let mut before = two_topics();
    for byte in 3..200 {
        before = replayed(&before, &[topic(&format!("t{byte}"), byte), partition(byte, 0)]);
    }
    let isr = PartitionChangeRecord {
        topic_id: Uuid([1; 16]),
        partition_id: 1,
        isr: Some(vec![]),
        ..PartitionChangeRecord::default()
    };
    let after = replayed(&before, &[isr.into()]);
    let changes = Changes::between(&before, &after);
    assert_eq!(text(&changes), "a-1");
    assert_eq!(changes.partitions_changed[0].after.as_ref().map(|p| p.isr.len()), Some(0));
}

#[test]
fn brokers_and_features_are_told_as_well() {
    let before = two_topics();
    let level = FeatureLevelRecord { name: "group.version".into(), feature_level: 1 };
    let broker = RegisterBrokerRecord { broker_id: 4, ..RegisterBrokerRecord::default() };
    let after = replayed(&before, &[level.into(), broker.into()]);
    let changes = Changes::between(&before, &after);
    assert_eq!((changes.features_changed, changes.brokers_changed), (true, vec![NodeId(4)]));
    assert!(!changes.acls_changed && changes.topics_created.is_empty());
}
