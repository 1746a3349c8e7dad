//! Forms of the small files, and what is made of broken ones.

use super::*;

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(RECOVERY_POINTS);
    assert_eq!(read_offsets(&path).unwrap(), BTreeMap::new());
    let offsets =
        BTreeMap::from([(TopicPartition::new("a", 0), Offset(7)), (TopicPartition::new("b-c", 12), Offset(0))]);
    write_offsets(&path, &offsets).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "0\n2\na 0 7\nb-c 12 0\n");
    assert_eq!(read_offsets(&path).unwrap(), offsets);
}

#[test]
fn broken_checkpoints_are_faults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c");
    for text in ["1\n0\n", "0\n2\na 0 1\n", "0\nx\n", "0\n1\na 0\n", "0\n1\na 0 1 2\n", "0\n1\na 0 x\n", "0\n-1\n"] {
        fs::write(&path, text.as_bytes()).unwrap();
        assert!(matches!(read_offsets(&path), Err(Fault::Corrupt { .. })), "{text:?}");
    }
    fs::write(&path, &[0xff, 0xfe]).unwrap();
    assert!(matches!(read_offsets(&path), Err(Fault::Corrupt { .. })));
    for text in ["", "0\n", "0\n0\n"] {
        fs::write(&path, text.as_bytes()).unwrap();
        assert_eq!(read_offsets(&path).unwrap(), BTreeMap::new(), "{text:?}");
    }
}

#[test]
fn the_mark_of_a_clean_shutdown_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    mark_clean_shutdown(dir.path(), 42).unwrap();
    assert_eq!(take_clean_shutdown(dir.path()).unwrap(), Shutdown::Clean { broker_epoch: Some(42) });
    assert_eq!(take_clean_shutdown(dir.path()).unwrap(), Shutdown::Unclean);
    fs::write(&dir.path().join(CLEAN_SHUTDOWN), b"").unwrap();
    assert_eq!(take_clean_shutdown(dir.path()).unwrap(), Shutdown::Clean { broker_epoch: None });
}

#[test]
fn a_topic_id_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_topic_id(dir.path()).unwrap(), None);
    write_topic_id(dir.path(), Uuid([9; 16])).unwrap();
    assert_eq!(read_topic_id(dir.path()).unwrap(), Some(Uuid([9; 16])));
    let path = dir.path().join(names::PARTITION_METADATA);
    for text in ["version: 1\ntopic_id: x", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "version: 0\n"] {
        fs::write(&path, text.as_bytes()).unwrap();
        assert!(matches!(read_topic_id(dir.path()), Err(Fault::Corrupt { .. })), "{text:?}");
    }
    for text in ["", "\0\0\0"] {
        fs::write(&path, text.as_bytes()).unwrap();
        assert_eq!(read_topic_id(dir.path()).unwrap(), None, "{text:?} is what a power failure leaves");
    }
}
