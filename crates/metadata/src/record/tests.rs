use thalweg_base::Uuid;
use thalweg_wire::messages::{
    BrokerRegistrationChangeRecord, FeatureLevelRecord, NoOpRecord, PartitionChangeRecord, PartitionRecord,
    RegisterBrokerRecord,
};

use super::*;

fn error(bytes: &[u8]) -> String {
    MetadataRecord::decode(Bytes::copy_from_slice(bytes)).expect_err("these are no record").to_string()
}

#[test]
fn a_frame_is_version_kind_version_body() {
    let record = MetadataRecord::from(FeatureLevelRecord { name: "group.version".into(), feature_level: 1 });
    let bytes = record.encode(0).expect("it fits");
    assert_eq!(&bytes[..], b"\x01\x0c\x00\x0egroup.version\x00\x01\x00");
    assert_eq!(MetadataRecord::decode(bytes).expect("it can be read"), record);
    assert_eq!(&MetadataRecord::from(NoOpRecord::default()).encode(0).expect("it fits")[..], b"\x01\x14\x00\x00");
}

#[test]
fn every_kind_has_its_own_number() {
    let mut known: Vec<u8> = Vec::new();
    for key in 0..127 {
        match MetadataRecord::decode(Bytes::copy_from_slice(&[1, key, 99])) {
            Err(RecordError::Version { version: 99, .. }) => known.push(key),
            other => assert!(matches!(other, Err(RecordError::Kind(_))), "{key}: {other:?}"),
        }
    }
    let expected = (0..=28).filter(|key| ![6, 13, 16].contains(key));
    assert_eq!(known, expected.collect::<Vec<u8>>());
}

#[test]
fn bytes_that_are_no_record_are_refused() {
    assert_eq!(error(&[0, 12, 0]), "metadata record frame has version 0, expected 1");
    assert_eq!(error(&[1, 120, 0]), "unknown metadata record with api key 120");
    assert_eq!(error(&[1, 12, 7]), "FeatureLevelRecord has unknown version 7");
    assert_eq!(error(&[1, 20, 0, 0, 9, 9]), "2 bytes follow a NoOpRecord");
    assert!(error(&[]).contains("end inside"));
    assert!(error(&[1, 12, 0, 200]).contains("byte"));
    assert!(error(&[1, 12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).contains("too long"));
}

#[test]
fn no_cut_or_changed_record_panics() {
    let record = PartitionRecord {
        topic_id: Uuid([5; 16]),
        replicas: vec![1, 2],
        isr: vec![1],
        directories: vec![Uuid([6; 16]); 2],
        eligible_leader_replicas: Some(vec![2]),
        ..PartitionRecord::default()
    };
    let bytes = MetadataRecord::from(record).encode(2).expect("it fits");
    for end in 0..bytes.len() {
        let _ = MetadataRecord::decode(bytes.slice(..end)).expect_err("a part of it is missing");
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[end] = value;
            let _ = MetadataRecord::decode(changed.into());
        }
    }
}

#[test]
fn records_are_written_as_old_as_the_metadata_version_needs() {
    let versions = |record: MetadataRecord| [7, 8, 17, 23, 30].map(|level| record.version_at(MetadataVersion(level)));
    assert_eq!(versions(RegisterBrokerRecord::default().into()), [1, 2, 3, 3, 4]);
    assert_eq!(versions(PartitionRecord::default().into()), [0, 0, 1, 2, 2]);
    assert_eq!(versions(PartitionChangeRecord::default().into()), [0, 0, 1, 2, 2]);
    assert_eq!(versions(NoOpRecord::default().into()), [0; 5]);
}

#[test]
fn a_registration_change_takes_the_lowest_version_that_holds_it() {
    let version = |set: fn(&mut BrokerRegistrationChangeRecord)| {
        let mut record = BrokerRegistrationChangeRecord::default();
        set(&mut record);
        MetadataRecord::from(record).version_at(MetadataVersion::LATEST)
    };
    assert_eq!(version(|r| r.fenced = 1), 0);
    assert_eq!(version(|r| r.in_controlled_shutdown = 1), 1);
    assert_eq!(version(|r| r.log_dirs = vec![Uuid::ONE]), 2);
    assert_eq!(version(|r| r.cordoned_log_dirs = Some(vec![])), 3);
}
