use thalweg_metadata::bootstrap::{bootstrap_records, default_levels};
use thalweg_metadata::{MetadataImage, MetadataVersion};
use thalweg_wire::messages::{BeginTransactionRecord, TopicRecord};

use crate::tests::cluster::{Cluster, all_short};

#[test]
fn the_first_controller_writes_what_kafka_writes() {
    let cluster = Cluster::of(0);
    let version = MetadataVersion::LATEST;
    let bootstrap = bootstrap_records(version, &default_levels(version), &[]);
    let records = cluster.controller.activate(&MetadataImage::default(), &bootstrap);
    let expected = [
        "BeginTransaction",
        "metadata.version=30",
        "eligible.leader.replicas.version=1",
        "group.version=1",
        "share.version=1",
        "streams.version=1",
        "transaction.version=2",
        "config 4/ min.insync.replicas=1",
        "EndTransaction",
    ];
    assert_eq!(all_short(&records), expected);
    assert_eq!(cluster.image.features().level("transaction.version"), 2);
    assert!(!cluster.image.in_transaction());
}

#[test]
fn an_old_version_knows_no_transactions() {
    let cluster = Cluster::of(0);
    let bootstrap = bootstrap_records(MetadataVersion(12), &Default::default(), &[]);
    let records = cluster.controller.activate(&MetadataImage::default(), &bootstrap);
    assert_eq!(all_short(&records), ["metadata.version=12"]);
}

#[test]
fn a_later_controller_only_aborts_what_was_left_open() {
    let mut cluster = Cluster::of(1);
    assert_eq!(cluster.controller.activate(&cluster.image, &[]), []);
    let before = cluster.image.clone();
    let topic = TopicRecord { name: "half".into(), ..TopicRecord::default() };
    cluster.replay(&[BeginTransactionRecord::default().into(), topic.into()]);
    assert!(cluster.image.visible().topics().is_empty(), "nobody sees an open transaction");
    let records = cluster.controller.activate(&cluster.image, &[]);
    assert_eq!(all_short(&records), ["AbortTransaction"]);
    cluster.replay(&records);
    assert_eq!(cluster.image, before);
}

#[test]
fn a_bootstrap_that_was_cut_off_is_written_again() {
    let mut cluster = Cluster::of(0);
    let version = MetadataVersion::LATEST;
    let bootstrap = bootstrap_records(version, &default_levels(version), &[]);
    cluster.image = MetadataImage::default();
    let first = cluster.controller.activate(&cluster.image, &bootstrap);
    cluster.replay(&first[..3]);
    let again = cluster.controller.activate(&cluster.image, &bootstrap);
    assert_eq!(all_short(&again[..2]), ["AbortTransaction", "BeginTransaction"]);
    cluster.replay(&again);
    assert_eq!(cluster.image.features().level("group.version"), 1);
}
