use thalweg_base::Uuid;

use super::*;

fn commit(expire_timestamp: i64) -> Record {
    let key = m::OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 7 };
    let value = m::OffsetCommitValue {
        offset: 42,
        leader_epoch: -1,
        metadata: "note".into(),
        commit_timestamp: 1_000,
        expire_timestamp,
        topic_id: Uuid::default(),
    };
    (key, value).into()
}

fn raw(key: &[u8], value: Option<&[u8]>) -> LogRecord {
    LogRecord { key: Bytes::copy_from_slice(key), value: value.map(Bytes::copy_from_slice) }
}

#[test]
fn an_offset_is_written_in_version_4_and_in_version_1_only_to_expire() {
    let plain = commit(-1).encode().unwrap();
    assert_eq!(&plain.key[..], b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x07");
    assert_eq!(plain.value.as_deref().map(|v| v[..2].to_vec()), Some(vec![0, 4]));
    let expiring = commit(5_000).encode().unwrap();
    assert_eq!(expiring.value.as_deref().map(|v| v[..2].to_vec()), Some(vec![0, 1]));
    assert_eq!(Record::decode(&plain), Ok(commit(-1)));
    assert_eq!(Record::decode(&expiring), Ok(commit(5_000)));
}

#[test]
fn a_group_is_written_in_version_3() {
    let key = m::GroupMetadataKey { group: "g".into() };
    let value = m::GroupMetadataValue { current_state_timestamp: 9, ..m::GroupMetadataValue::default() };
    let record = Record::from((key.clone(), value));
    let written = record.encode().unwrap();
    assert_eq!(&written.key[..], b"\x00\x02\x00\x01g");
    assert_eq!(written.value.as_deref().map(|v| v[..2].to_vec()), Some(vec![0, 3]));
    assert_eq!(Record::decode(&written), Ok(record));
    let tombstone = Record::from(key).encode().unwrap();
    assert_eq!((tombstone.key, tombstone.value), (written.key, None));
}

#[test]
fn an_offset_of_the_oldest_form_is_read() {
    let value = b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x2a\x00\x04note\x00\x00\x00\x00\x00\x00\x03\xe8";
    let record = raw(b"\x00\x00\x00\x01g\x00\x01t\x00\x00\x00\x07", Some(value));
    assert_eq!(Record::decode(&record), Ok(commit(-1)));
}

#[test]
fn what_this_node_does_not_know_is_said_and_never_panics() {
    assert_eq!(Record::decode(&raw(b"\x00\x63\x00\x01g", None)), Err(RecordError::Kind(99)));
    assert_eq!(Record::decode(&raw(b"\xff\xff", None)), Err(RecordError::Kind(-1)));
    for bytes in [&b""[..], b"\x00", b"\x00\x01", b"\x00\x01\x7f\xff", b"\x00\x02\xff\xff"] {
        assert!(matches!(Record::decode(&raw(bytes, None)), Err(RecordError::Malformed(_))), "{bytes:?}");
    }
    for value in [&b""[..], b"\x00", b"\x00\x09", b"\x00\x04\x00"] {
        let record = raw(b"\x00\x02\x00\x01g", Some(value));
        assert!(matches!(Record::decode(&record), Err(RecordError::Malformed(_))), "{value:?}");
    }
}
