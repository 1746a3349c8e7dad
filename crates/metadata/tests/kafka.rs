//! Records that Apache Kafka 4.3.1 wrote: a cluster of one was formatted, used, stopped, killed and started again.

use bytes::Bytes;
use thalweg_base::{NodeId, Offset};
use thalweg_metadata::image::partition::nodes;
use thalweg_metadata::image::{ConfigResource, LeaderRecoveryState};
use thalweg_metadata::{MetadataImage, MetadataRecord, MetadataVersion, bootstrap};

const LOG: &str = include_str!("fixtures/kafka-4.3.1-metadata.txt");

fn log() -> Vec<(Offset, Bytes)> {
    let hex = |text: &str| (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16)).collect();
    let line = |line: &str| {
        let (offset, value) = line.split_once(' ').expect("an offset and a value");
        let value: Result<Vec<u8>, _> = hex(value);
        (Offset(offset.parse().expect("a number")), Bytes::from(value.expect("hexadecimal digits")))
    };
    LOG.lines().filter(|text| !text.starts_with('#')).map(line).collect()
}

fn records() -> Vec<(Offset, MetadataRecord)> {
    log().into_iter().map(|(offset, value)| (offset, MetadataRecord::decode(value).expect("Kafka wrote it"))).collect()
}

fn image_up_to(offset: i64) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (at, record) in records().iter().filter(|(at, _)| at.0 <= offset) {
        image.replay(record, *at);
    }
    image
}

#[test]
fn every_record_is_written_as_kafka_wrote_it() {
    for (offset, value) in log() {
        let record = MetadataRecord::decode(value.clone()).expect("Kafka wrote it");
        let written = record.encode_at(MetadataVersion::LATEST).expect("it fits");
        assert_eq!(written, value, "{offset}: {record:?}");
    }
}

#[test]
fn a_new_cluster_begins_with_kafkas_records() {
    let levels = bootstrap::default_levels(MetadataVersion::LATEST);
    let ours = bootstrap::bootstrap_records(MetadataVersion::LATEST, &levels, &[]);
    let theirs: Vec<MetadataRecord> =
        records().into_iter().filter(|(at, _)| (4..=9).contains(&at.0)).map(|(_, record)| record).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn the_log_replays_to_what_kafka_showed() {
    let image = image_up_to(i64::MAX);
    let one = image.topics().by_name("one").expect("it was created");
    assert_eq!((image.topics().len(), one.partition_count()), (1, 2));
    let partition = one.partition(0).expect("it has two");
    // The broker was stopped cleanly at the end.
    assert_eq!((partition.leader, partition.elr.clone()), (NodeId::NONE, nodes(&[1])));
    assert_eq!(partition.leader_recovery_state, LeaderRecoveryState::Recovering);
    let broker = image.cluster().broker(NodeId(1)).expect("it is registered");
    assert!(broker.fenced && broker.in_controlled_shutdown);
    assert_eq!((broker.epoch.0, broker.cordoned_directories.as_deref()), (230, Some(&[][..])));
    assert_eq!(image.cluster().registered_at(broker.id), Some(Offset(232)));
    assert_eq!(image.configs().topic("one", "retention.ms").map(|value| &**value), Some("1000"));
    let cluster = image.configs().get(&ConfigResource::cluster()).expect("it has configs");
    assert_eq!(cluster.len(), 2);
    assert_eq!(image.features().level("share.version"), 0, "it was taken back");
    assert_eq!(image.next_producer_id().0, 1000);
    assert_eq!(image.client_quotas().iter().count(), 1);
    assert_eq!(image.acls().iter().count(), 1);
    assert_eq!(image.scram().get(1, "alice").map(|credential| credential.iterations), Some(4096));
    assert!(!image.in_transaction());
}

#[test]
fn a_snapshot_at_any_offset_holds_everything() {
    for (offset, _) in records() {
        let image = image_up_to(offset.0);
        let mut again = MetadataImage::default();
        image.to_records().iter().for_each(|record| again.replay(record, offset));
        assert!(again == image, "{offset}");
    }
}
