use thalweg_base::Uuid;
use thalweg_wire::messages::client_quota_record::EntityData;
use thalweg_wire::messages::register_broker_record::BrokerEndpoint;
use thalweg_wire::messages::{
    AbortTransactionRecord, AccessControlEntryRecord, BeginTransactionRecord, ClearElrRecord, ClientQuotaRecord,
    ConfigRecord, DelegationTokenRecord, EndTransactionRecord, FeatureLevelRecord, FenceBrokerRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, RegisterControllerRecord,
    RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord, RemoveTopicRecord, RemoveUserScramCredentialRecord,
    TopicRecord, UnfenceBrokerRecord, UnregisterBrokerRecord, UserScramCredentialRecord,
};

use super::partition::{directory, nodes};
use super::*;

fn id(byte: u8) -> Uuid {
    Uuid([byte; 16])
}

fn image(records: impl IntoIterator<Item = MetadataRecord>) -> MetadataImage {
    let mut image = MetadataImage::default();
    for (offset, record) in (0..).zip(records) {
        image.replay(&record, Offset(offset));
    }
    image
}

fn topic(name: &str, byte: u8) -> MetadataRecord {
    TopicRecord { name: name.into(), topic_id: id(byte) }.into()
}

fn partition(byte: u8, index: i32) -> MetadataRecord {
    PartitionRecord {
        partition_id: index,
        topic_id: id(byte),
        replicas: vec![1, 2],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![id(90), id(91)],
        eligible_leader_replicas: Some(vec![2]),
        ..PartitionRecord::default()
    }
    .into()
}

fn config(kind: i8, resource: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    ConfigRecord {
        resource_type: kind,
        resource_name: resource.into(),
        name: name.into(),
        value: value.map(Into::into),
    }
    .into()
}

fn broker(broker_id: i32, broker_epoch: i64) -> RegisterBrokerRecord {
    let end_points =
        vec![BrokerEndpoint { name: "PLAINTEXT".into(), host: "h".into(), port: 9092, security_protocol: 0 }];
    RegisterBrokerRecord {
        broker_id,
        broker_epoch,
        incarnation_id: id(70),
        end_points,
        rack: None,
        log_dirs: vec![id(80)],
        ..RegisterBrokerRecord::default()
    }
}

fn quota(entity_name: Option<&str>, remove: bool) -> MetadataRecord {
    let entity = vec![EntityData { entity_type: "user".into(), entity_name: entity_name.map(Into::into) }];
    ClientQuotaRecord { entity, key: "producer_byte_rate".into(), value: 1.5, remove }.into()
}

/// One record of everything that a snapshot holds.
fn everything() -> Vec<MetadataRecord> {
    let level = |name: &str, feature_level| FeatureLevelRecord { name: name.into(), feature_level }.into();
    let scram = UserScramCredentialRecord { name: "u".into(), mechanism: 1, iterations: 4096, ..Default::default() };
    vec![
        level("metadata.version", 30),
        level("group.version", 1),
        broker(1, 5).into(),
        RegisterControllerRecord { controller_id: 3, incarnation_id: id(71), ..Default::default() }.into(),
        topic("a.b", 1),
        partition(1, 0),
        partition(1, 1),
        config(4, "", "min.insync.replicas", Some("1")),
        config(2, "a.b", "retention.ms", Some("5")),
        quota(Some("u"), false),
        quota(None, false),
        ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: 1000 }.into(),
        AccessControlEntryRecord { id: id(9), principal: "User:u".into(), ..Default::default() }.into(),
        scram.into(),
        DelegationTokenRecord { token_id: "t".into(), owner: "User:u".into(), ..Default::default() }.into(),
    ]
}

#[test]
fn a_snapshot_gives_the_image_again_in_kafkas_order() {
    let before = image(everything());
    let records = before.to_records();
    let names = |records: &[MetadataRecord]| records.iter().map(|record| record.name()).collect::<Vec<_>>();
    assert_eq!(names(&records), names(&everything()));
    let after = image(records);
    assert!(after == before && before != MetadataImage::default());
    assert_eq!(after.topics().by_name("a.b"), before.topics().by_name("a.b"));
}

#[test]
fn an_older_snapshot_leaves_out_what_older_members_do_not_know() {
    let mut records = everything();
    records[0] = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 7 }.into();
    let before = image(records);
    let written = before.to_records();
    for record in &written {
        assert!(record.encode_at(MetadataVersion(7)).is_ok(), "{record:?}");
    }
    let names: Vec<_> = written.iter().map(|record| record.name()).collect();
    assert!(!names.contains(&"UserScramCredentialRecord") && !names.contains(&"RegisterControllerRecord"));
    let after = image(written);
    assert_eq!(after.topics().partition(id(1), 0).expect("it is there").directories, [directory::MIGRATING; 2]);
}

#[test]
fn topics_are_found_by_name_and_by_id() {
    let mut image = image([topic("b", 2), topic("a", 1), partition(1, 0)]);
    let names = |image: &MetadataImage| image.topics().iter_by_name("").map(|t| t.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&image), ["a", "b"]);
    assert_eq!(image.topics().iter_by_name("aa").count(), 1);
    assert_eq!(image.topics().by_name("a").map(|t| (t.id, t.partition_count())), Some((id(1), 1)));
    image.replay(&topic("a", 3), Offset(9));
    assert_eq!(image.topics().by_name("a").map(|t| (t.id, t.partition_count())), Some((id(3), 0)));
    assert!(image.topics().by_id(id(1)).is_none(), "two topics cannot have one name");
    image.replay(&topic("c", 3), Offset(10));
    assert_eq!(names(&image), ["b", "c"]);
}

#[test]
fn a_removed_topic_takes_its_configs_along() {
    let mut image = image([topic("a", 1), config(2, "a", "x", Some("1")), config(2, "b", "x", Some("1"))]);
    image.replay(&RemoveTopicRecord { topic_id: id(1) }.into(), Offset(3));
    assert!(image.topics().is_empty());
    assert!(image.configs().topic("a", "x").is_none() && image.configs().topic("b", "x").is_some());
}

#[test]
fn names_that_collide_in_metrics_are_found() {
    let mut image = image([topic("a.b", 1), topic("plain", 2)]);
    assert_eq!(image.topics().colliding_with("a_b"), Some("a.b"));
    assert_eq!(image.topics().colliding_with("a.b.c"), None);
    assert_eq!(image.topics().colliding_with("plain"), None);
    image.replay(&RemoveTopicRecord { topic_id: id(1) }.into(), Offset(3));
    assert_eq!(image.topics().colliding_with("a_b"), None);
}

#[test]
fn a_partition_changes_field_by_field() {
    let mut image = image([topic("a", 1), partition(1, 0)]);
    let change = PartitionChangeRecord {
        topic_id: id(1),
        partition_id: 0,
        isr: Some(vec![2, 1]),
        ..PartitionChangeRecord::default()
    };
    image.replay(&change.clone().into(), Offset(2));
    let now = image.topics().partition(id(1), 0).expect("it is there");
    assert_eq!((now.isr.clone(), now.leader_epoch, now.partition_epoch.0), (nodes(&[2, 1]), LeaderEpoch(0), 1));
    image.replay(&PartitionChangeRecord { leader: 1, isr: None, ..change }.into(), Offset(3));
    let now = image.topics().partition(id(1), 0).expect("it is there");
    assert_eq!((now.leader_epoch, now.partition_epoch.0), (LeaderEpoch(1), 2), "even the same leader has a new epoch");
    assert_eq!(now.directory(NodeId(2)), Some(id(91)));
    image.replay(&ClearElrRecord { topic_name: "a".into() }.into(), Offset(4));
    image.replay(&ClearElrRecord { topic_name: "".into() }.into(), Offset(5));
    let now = image.topics().partition(id(1), 0).expect("it is there");
    assert_eq!((now.elr.clone(), now.partition_epoch.0), (nodes(&[]), 3), "the second one changes nothing");
}

#[test]
fn a_broker_changes_only_in_its_own_epoch() {
    let mut image = image([broker(1, 5).into()]);
    assert_eq!(image.cluster().registered_at(NodeId(1)), Some(Offset(0)));
    image.replay(&UnfenceBrokerRecord { id: 1, epoch: 4 }.into(), Offset(1));
    assert!(!image.cluster().is_active(NodeId(1)));
    image.replay(&UnfenceBrokerRecord { id: 1, epoch: 5 }.into(), Offset(2));
    assert!(image.cluster().is_active(NodeId(1)));
    image.replay(&FenceBrokerRecord { id: 1, epoch: 5 }.into(), Offset(3));
    assert!(!image.cluster().is_active(NodeId(1)));
    image.replay(&UnregisterBrokerRecord { broker_id: 1, broker_epoch: 4 }.into(), Offset(4));
    assert!(image.cluster().broker(NodeId(1)).is_some());
    image.replay(&UnregisterBrokerRecord { broker_id: 1, broker_epoch: 5 }.into(), Offset(5));
    assert!(image.cluster().broker(NodeId(1)).is_none());
}

#[test]
fn what_is_removed_is_gone() {
    let mut image = image(everything());
    let removals: [MetadataRecord; 8] = [
        quota(Some("u"), true),
        quota(None, true),
        RemoveAccessControlEntryRecord { id: id(9) }.into(),
        RemoveUserScramCredentialRecord { name: "u".into(), mechanism: 1 }.into(),
        RemoveDelegationTokenRecord { token_id: "t".into() }.into(),
        config(4, "", "min.insync.replicas", None),
        config(2, "a.b", "retention.ms", None),
        FeatureLevelRecord { name: "group.version".into(), feature_level: 0 }.into(),
    ];
    removals.iter().for_each(|record| image.replay(record, Offset(50)));
    assert_eq!(image.client_quotas().iter().count() + image.acls().iter().count() + image.scram().iter().count(), 0);
    assert_eq!(image.delegation_tokens().iter().count() + image.configs().iter().count(), 0);
    assert_eq!(image.features().iter().collect::<Vec<_>>(), [("metadata.version", 30)]);
}

#[test]
fn records_about_something_unknown_change_nothing() {
    let strangers: Vec<MetadataRecord> = vec![
        partition(1, 0),
        PartitionChangeRecord { topic_id: id(1), isr: Some(vec![-7]), ..Default::default() }.into(),
        RemoveTopicRecord { topic_id: id(1) }.into(),
        ClearElrRecord { topic_name: "a".into() }.into(),
        config(99, "a", "b", Some("c")),
        UnregisterBrokerRecord { broker_id: 1, broker_epoch: 1 }.into(),
        RemoveAccessControlEntryRecord { id: id(1) }.into(),
        EndTransactionRecord::default().into(),
        AbortTransactionRecord::default().into(),
    ];
    assert_eq!(image(strangers), MetadataImage::default());
}

#[test]
fn odd_partitions_do_no_harm() {
    let odd = PartitionRecord {
        topic_id: id(1),
        partition_id: -3,
        replicas: vec![1, 1, -1],
        directories: vec![id(5)],
        leader_epoch: i32::MAX,
        partition_epoch: i32::MAX,
        leader_recovery_state: 9,
        ..PartitionRecord::default()
    };
    let change = PartitionChangeRecord {
        topic_id: id(1),
        partition_id: -3,
        leader: 7,
        replicas: Some(vec![]),
        ..PartitionChangeRecord::default()
    };
    let image = image([topic("a", 1), odd.into(), change.into()]);
    let now = image.topics().partition(id(1), -3).expect("it is there");
    assert_eq!((now.leader_epoch, now.directories.len()), (LeaderEpoch(i32::MAX), 0));
}

#[test]
fn an_open_transaction_is_not_visible_and_can_be_taken_back() {
    let mut image = image([topic("a", 1)]);
    let begin: MetadataRecord = BeginTransactionRecord::default().into();
    image.replay(&begin, Offset(1));
    image.replay(&topic("b", 2), Offset(2));
    assert!(image.in_transaction());
    assert_eq!((image.topics().len(), image.visible().topics().len()), (2, 1));
    image.replay(&AbortTransactionRecord::default().into(), Offset(3));
    assert_eq!((image.topics().len(), image.visible().topics().len()), (1, 1));
    assert_eq!(image.provenance().offset, Offset(3));
    image.replay(&begin, Offset(4));
    image.replay(&topic("b", 2), Offset(5));
    image.replay(&EndTransactionRecord::default().into(), Offset(6));
    assert_eq!((image.in_transaction(), image.visible().topics().len()), (false, 2));
}

#[test]
fn an_image_does_not_change_under_its_readers() {
    let mut image = image(everything());
    let held = image.clone();
    image.replay(&RemoveTopicRecord { topic_id: id(1) }.into(), Offset(40));
    image.replay(&UnfenceBrokerRecord { id: 1, epoch: 5 }.into(), Offset(41));
    assert!(held == self::image(everything()) && held != image);
}
