//! Log directories that fail, at the start and later, and logs that are compacted.

use std::path::Path;

use bytes::Bytes;
use m::fetch_request::{FetchPartition, FetchTopic};
use thalweg_base::{Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions, batches};
use thalweg_sys::fs;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::Cluster;
use crate::producing::{batch_of, produce};

const STORAGE_ERROR: i16 = ErrorCode::KafkaStorageError.code();

/// A node with the data directories `a`, which has the metadata, and `b`.
pub(crate) async fn two_dirs(dir: tempfile::TempDir) -> Cluster {
    let log_dirs = format!("{0}/a,{0}/b", dir.path().display());
    Cluster::start_in(dir, &[("log.dirs", &log_dirs), ("num.recovery.threads.per.data.dir", "3")]).await
}

/// Puts a file in the place of a directory, as if its disk were gone; the directory is kept.
fn lose(dir: &Path) {
    fs::rename(dir, &dir.with_extension("kept")).expect("a rename");
    fs::write(dir, b"").expect("a file");
}

fn find_again(dir: &Path) {
    fs::remove_file(dir).expect("a removal");
    fs::rename(&dir.with_extension("kept"), dir).expect("a rename");
}

/// Creates topics until one is in `b`; gives the last one in each directory.
pub(crate) async fn one_in_each(cluster: &mut Cluster) -> [(String, Uuid); 2] {
    let mut found = [None, None];
    for n in 0..4 {
        let name = format!("t{n}");
        let id = cluster.create(&name, &[]).await;
        let dir = usize::from(fs::exists(&cluster.dir().join(format!("b/{name}-0"))));
        found[dir] = Some((name, id));
    }
    found.map(|topic| topic.expect("partitions go where the fewest are"))
}

async fn log_dirs(cluster: &mut Cluster) -> Vec<(String, i16, usize)> {
    let response = cluster.ask(&m::DescribeLogDirsRequest { topics: None }, 4).await;
    let name = |dir: &str| dir.rsplit('/').next().unwrap_or_default().to_owned();
    response.results.iter().map(|dir| (name(&dir.log_dir), dir.error_code, dir.topics.len())).collect()
}

pub(crate) async fn fetch(cluster: &mut Cluster, topic_id: Uuid, offset: i64) -> (i16, Bytes) {
    let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let request = m::FetchRequest {
        max_wait_ms: 0,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic { topic_id, partitions: vec![partition], ..FetchTopic::default() }],
        ..m::FetchRequest::default()
    };
    let mut response = cluster.ask(&request, 16).await;
    let data = response.responses.remove(0).partitions.remove(0);
    let records = data.records.and_then(|records| records.here().cloned()).unwrap_or_default();
    (data.error_code, records)
}

pub(crate) async fn produced(cluster: &mut Cluster, topic: Uuid) -> (i16, i64) {
    let answer = produce(cluster, topic, None, &[batch_of(b"v")]).await.remove(0);
    (answer.error_code, answer.base_offset)
}

#[tokio::test]
async fn a_directory_that_is_lost_at_the_start_takes_its_partitions_offline_and_no_others() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let [(_, in_a), (name_b, in_b)] = one_in_each(&mut cluster).await;
    for topic in [in_a, in_b] {
        assert_eq!(produced(&mut cluster, topic).await, (0, 0));
    }
    let dir = cluster.stop_only().await;
    lose(&dir.path().join("b"));

    let mut cluster = two_dirs(dir).await;
    assert_eq!(produced(&mut cluster, in_a).await, (0, 1));
    assert_eq!(produced(&mut cluster, in_b).await, (STORAGE_ERROR, -1));
    assert_eq!(fetch(&mut cluster, in_b, 0).await.0, STORAGE_ERROR);
    assert_eq!(log_dirs(&mut cluster).await, [("a".to_owned(), 0, 2), ("b".to_owned(), STORAGE_ERROR, 0)]);
    assert!(!fs::exists(&cluster.dir().join(format!("a/{name_b}-0"))), "it is not begun anew elsewhere");
    let another = cluster.create("another", &[]).await;
    assert_eq!(produced(&mut cluster, another).await, (0, 0));
    let dir = cluster.stop_only().await;
    find_again(&dir.path().join("b"));

    let mut cluster = two_dirs(dir).await;
    assert_eq!(produced(&mut cluster, in_b).await, (0, 1));
    let (error, records) = fetch(&mut cluster, in_b, 0).await;
    assert_eq!((error, batches(records).count()), (0, 2));
    cluster.stop().await;
}

#[tokio::test]
async fn a_directory_that_fails_later_takes_its_partitions_offline_and_no_others() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let [(_, in_a), (_, in_b)] = one_in_each(&mut cluster).await;
    assert_eq!(produced(&mut cluster, in_b).await, (0, 0));
    lose(&cluster.dir().join("b"));
    // Creating a log there finds out; the topic goes to the other directory.
    for n in 0..2 {
        let topic = cluster.create(&format!("new{n}"), &[]).await;
        assert_eq!(produced(&mut cluster, topic).await, (0, 0));
    }
    assert_eq!(produced(&mut cluster, in_b).await, (STORAGE_ERROR, -1));
    assert_eq!(fetch(&mut cluster, in_b, 0).await.0, STORAGE_ERROR);
    assert_eq!(produced(&mut cluster, in_a).await, (0, 0));
    assert_eq!(log_dirs(&mut cluster).await, [("a".to_owned(), 0, 4), ("b".to_owned(), STORAGE_ERROR, 0)]);
    // The controller learns of it: nobody leads those partitions.
    loop {
        let topic = m::metadata_request::MetadataRequestTopic { topic_id: in_b, name: None };
        let request = m::MetadataRequest { topics: Some(vec![topic]), ..m::MetadataRequest::default() };
        let response = cluster.ask(&request, 12).await;
        if response.topics[0].partitions[0].leader_id == -1 {
            break;
        }
    }
    let dir = cluster.stop_only().await;
    find_again(&dir.path().join("b"));
    let mut cluster = two_dirs(dir).await;
    assert_eq!(produced(&mut cluster, in_b).await, (0, 1));
    cluster.stop().await;
}

#[tokio::test]
async fn a_directory_that_nobody_writes_to_is_found_lost_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs_of = format!("{0}/a,{0}/b", dir.path().display());
    let checkpoints = ("replica.high.watermark.checkpoint.interval.ms", "10");
    let first = ("log.initial.task.delay.ms", "0");
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs_of), checkpoints, first]).await;
    let [_, (last, _)] = one_in_each(&mut cluster).await;
    // Until the checkpoints tell of the topics, so that nothing is left to be written.
    let checkpoint = cluster.dir().join("b/replication-offset-checkpoint");
    while !fs::read_to_string(&checkpoint).is_ok_and(|text| text.contains(&last)) {
        tokio::task::yield_now().await;
    }
    lose(&cluster.dir().join("b"));
    while log_dirs(&mut cluster).await.iter().all(|(_, error, _)| *error == 0) {}
    assert_eq!(log_dirs(&mut cluster).await, [("a".to_owned(), 0, 2), ("b".to_owned(), STORAGE_ERROR, 0)]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_node_without_its_metadata_directory_does_not_go_on() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let a = cluster.dir().join("a");
    lose(&a);
    let asked = m::create_topics_request::CreatableTopic {
        name: "t".into(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    let request = m::CreateTopicsRequest { topics: vec![asked], ..m::CreateTopicsRequest::default() };
    cluster.ask(&request, 7).await;
    let why = cluster.failed().await;
    assert!(why.contains("metadata"), "{why}");
    find_again(&a);
    cluster.stop().await;
}

#[tokio::test]
async fn a_directory_that_gets_a_new_id_keeps_its_partitions() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let [_, (_, in_b)] = one_in_each(&mut cluster).await;
    assert_eq!(produced(&mut cluster, in_b).await, (0, 0));
    let dir = cluster.stop_only().await;
    let path = dir.path().join("b/meta.properties");
    let properties = fs::read_to_string(&path).expect("properties");
    let without = properties.lines().filter(|line| !line.starts_with("directory.id"));
    fs::write(&path, without.map(|line| format!("{line}\n")).collect::<String>().as_bytes()).expect("a file");

    let mut cluster = two_dirs(dir).await;
    // The controller learns where the partition is now, and lets it be led again.
    while produced(&mut cluster, in_b).await.0 != 0 {}
    let (error, records) = fetch(&mut cluster, in_b, 0).await;
    assert_eq!((error, batches(records).count()), (0, 2));
    cluster.stop().await;
}

#[tokio::test]
async fn a_snapshot_that_was_cut_off_is_not_read_while_the_log_has_all_that_it_had() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", log_dirs.as_str()), ("metadata.log.max.record.bytes.between.snapshots", "1")];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let topic = cluster.create("t", &[]).await;
    let mut dir = cluster.stop_only().await;
    for keep in [|len: usize| len - 1, |len| len / 2, |_| 0] {
        for path in snapshots(dir.path()) {
            let whole = fs::read(&path).expect("a snapshot");
            fs::write(&path, &whole[..keep(whole.len())]).expect("a file");
        }
        let mut cluster = Cluster::start_in(dir, &properties).await;
        assert_eq!(produced(&mut cluster, topic).await.0, 0);
        dir = cluster.stop_only().await;
    }
}

#[tokio::test]
async fn a_node_does_not_start_with_a_part_of_its_metadata() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = dir.path().display().to_string();
    let properties = [("log.dirs", log_dirs.as_str()), ("metadata.log.max.record.bytes.between.snapshots", "1")];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    cluster.create("t", &[]).await;
    let dir = cluster.stop_only().await;
    // A log that was lost is begun anew behind the newest snapshot.
    let metadata = dir.path().join("__cluster_metadata-0");
    for entry in fs::read_dir(&metadata).expect("a directory") {
        if entry.name.ends_with(".log") {
            fs::remove_file(&metadata.join(&entry.name)).expect("a removal");
        }
    }
    let cluster = Cluster::start_in(dir, &properties).await;
    let dir = cluster.stop_only().await;
    snapshots(dir.path()).iter().for_each(|path| fs::remove_file(path).expect("a removal"));
    let why = Cluster::refused(&properties).await;
    assert!(why.contains("begins behind every whole snapshot"), "{why}");
}

fn snapshots(dir: &Path) -> Vec<std::path::PathBuf> {
    let metadata = dir.join("__cluster_metadata-0");
    let entries = fs::read_dir(&metadata).expect("a directory");
    let snapshots = entries.iter().filter(|entry| entry.name.ends_with(".checkpoint"));
    snapshots.map(|entry| metadata.join(&entry.name)).collect()
}

#[tokio::test]
async fn a_compacted_topic_keeps_the_last_value_of_each_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = dir.path().display().to_string();
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs), ("log.cleaner.backoff.ms", "20")]).await;
    let topic = cluster.create("t", &[("cleanup.policy", "compact"), ("segment.ms", "1")]).await;
    for n in 0..40 {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        // Each batch is younger than the one before, so that it begins a segment.
        let key = [b'a' + n % 4];
        builder.append(Timestamp(1_700_000_000_000 + i64::from(n) * 10), Some(&key), Some(&[n]), &[]);
        let answer = produce(&mut cluster, topic, None, &[builder.build().expect("a batch")]).await;
        assert_eq!((answer[0].error_code, answer[0].base_offset), (0, i64::from(n)));
    }
    let offsets = loop {
        let (mut offsets, mut next) = (Vec::new(), 0);
        while next < 40 {
            let (error, records) = fetch(&mut cluster, topic, next).await;
            assert_eq!(error, 0);
            for batch in batches(records).map_while(Result::ok) {
                next = batch.next_offset().0;
                offsets.push(batch.base_offset().0);
            }
        }
        if offsets.len() < 10 && fs::exists(&cluster.dir().join("cleaner-offset-checkpoint")) {
            break offsets;
        }
    };
    assert!(offsets.ends_with(&[36, 37, 38, 39]), "{offsets:?}");
    let dir = cluster.stop_only().await;
    let log_dirs = dir.path().display().to_string();
    let checkpoint = fs::read_to_string(&dir.path().join("cleaner-offset-checkpoint")).expect("a checkpoint");
    assert!(checkpoint.starts_with("0\n1\nt 0 "), "{checkpoint}");
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs)]).await;
    assert_eq!(produced_with_key(&mut cluster, topic).await, (0, 40));
    cluster.stop().await;
}

async fn produced_with_key(cluster: &mut Cluster, topic: Uuid) -> (i16, i64) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(1_700_000_001_000), Some(b"k"), Some(b"v"), &[]);
    let answer = produce(cluster, topic, None, &[builder.build().expect("a batch")]).await.remove(0);
    (answer.error_code, answer.base_offset)
}

#[tokio::test]
async fn the_metadata_may_have_a_directory_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (log_dirs, metadata) = (dir.path().join("a").display().to_string(), dir.path().join("m").display().to_string());
    let properties = [("log.dirs", log_dirs.as_str()), ("metadata.log.dir", metadata.as_str())];
    let mut cluster = Cluster::start_in(dir, &properties).await;
    let topic = cluster.create("t", &[]).await;
    let dir = cluster.stop_only().await;
    assert!(fs::exists(&dir.path().join("m/__cluster_metadata-0")) && fs::exists(&dir.path().join("a/t-0")));
    let mut cluster = Cluster::start_in(dir, &properties).await;
    assert_eq!(produce(&mut cluster, topic, None, &[batch_of(b"value")]).await[0].error_code, 0);
    cluster.stop().await;
}

/// Kafka writes it up to a minute later, and has the records back if it is killed before.
#[tokio::test]
async fn the_first_offset_that_is_left_is_on_the_disk_when_a_deletion_of_records_is_answered() {
    use m::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let mut cluster = Cluster::start().await;
    let topic_id = cluster.create("t", &[]).await;
    for _ in 0..3 {
        assert_eq!(produce(&mut cluster, topic_id, None, &[batch_of(b"value")]).await[0].error_code, 0);
    }
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 2 };
    let topic = DeleteRecordsTopic { name: "t".into(), partitions: vec![partition] };
    let request = m::DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
    let answer = &cluster.ask(&request, 2).await.topics[0].partitions[0];
    assert_eq!((answer.error_code, answer.low_watermark), (0, 2));
    let checkpoint = fs::read(&cluster.dir().join("log-start-offset-checkpoint")).expect("a checkpoint file");
    let checkpoint = String::from_utf8(checkpoint).expect("text");
    assert!(checkpoint.lines().any(|line| line == "t 0 2"), "{checkpoint}");
    cluster.stop().await;
}
