//! Logs that move to another log directory.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::{Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions, batches};
use thalweg_sys::fs;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use crate::client::Cluster;
use crate::disks::{fetch, one_in_each, produced, two_dirs};
use crate::producing::produce;

/// A batch of 20 KB.
fn large_batch() -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.append(Timestamp(1_700_000_000_000), None, Some(&[b'v'; 20_000]), &[]);
    builder.build().expect("a batch")
}

/// The first offsets of the batches below `end`.
async fn offsets(cluster: &mut Cluster, topic: Uuid, end: i64) -> Vec<i64> {
    let (mut offsets, mut from) = (Vec::new(), 0);
    while from < end {
        let (error, records) = fetch(cluster, topic, from).await;
        assert_eq!(error, 0);
        for batch in batches(records).map_while(Result::ok) {
            from = batch.next_offset().0;
            offsets.push(batch.base_offset().0);
        }
    }
    offsets
}

/// The copies of logs that lie in a directory.
fn copies(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.iter().filter(|entry| entry.name.ends_with("-future")).map(|entry| dir.join(&entry.name)).collect()
}

/// What DescribeLogDirs tells of a topic: the directory, whether it is a copy there, its size and how much it lacks.
async fn described(cluster: &mut Cluster, topic: &str) -> Vec<(String, bool, i64, i64)> {
    let response = cluster.ask(&m::DescribeLogDirsRequest { topics: None }, 4).await;
    let mut found = Vec::new();
    for dir in &response.results {
        let name = dir.log_dir.rsplit('/').next().unwrap_or_default().to_owned();
        for here in dir.topics.iter().filter(|here| *here.name == *topic).flat_map(|here| &here.partitions) {
            found.push((name.clone(), here.is_future_key, here.partition_size, here.offset_lag));
        }
    }
    found
}

/// How many bytes a second all moves may copy.
async fn limit(cluster: &mut Cluster, bytes_per_second: i64) {
    use m::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let config = AlterableConfig {
        name: "replica.alter.log.dirs.io.max.bytes.per.second".into(),
        value: Some(bytes_per_second.to_string().into()),
        ..AlterableConfig::default()
    };
    let broker = AlterConfigsResource { resource_type: 4, resource_name: "1".into(), configs: vec![config] };
    let request = m::IncrementalAlterConfigsRequest { resources: vec![broker], validate_only: false };
    assert_eq!(cluster.ask(&request, 1).await.responses[0].error_code, 0);
}

/// A node with a log of 50 batches in `a`, and nothing that may be copied in a reasonable time. Gives the log's topic.
async fn slow(cluster: &mut Cluster) -> (String, Uuid) {
    let [(name, topic), _] = one_in_each(cluster).await;
    for n in 0..50 {
        let answer = produce(cluster, topic, None, &[large_batch()]).await.remove(0);
        assert_eq!((answer.error_code, answer.base_offset), (0, n));
    }
    limit(cluster, 30_000).await;
    (name, topic)
}

async fn until_some_is_copied(cluster: &mut Cluster, topic: &str, dir: &str) {
    loop {
        let found = described(cluster, topic).await;
        if let Some((_, _, size, lag)) = found.iter().find(|(place, is_copy, ..)| place == dir && *is_copy)
            && *size > 0
        {
            assert!(*lag > 0, "{found:?}");
            return;
        }
    }
}

#[tokio::test]
async fn a_move_goes_on_when_the_node_starts_again_and_is_as_slow_as_it_must_be() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let (name, topic) = slow(&mut cluster).await;
    let (a, b) = (cluster.dir().join("a"), cluster.dir().join("b"));
    assert_eq!(move_to(&mut cluster, &name, &b).await, 0);
    until_some_is_copied(&mut cluster, &name, "b").await;
    let copy = copies(&b);
    let dir = cluster.stop_only().await;
    assert_eq!((copy.len(), copies(&b)), (1, copy.clone()), "the copy stays");

    // Nothing was copied completely: a log of 1 MB takes half a minute.
    let mut cluster = two_dirs(dir).await;
    until_some_is_copied(&mut cluster, &name, "b").await;
    assert_eq!(copies(&b), copy, "the same copy goes on");
    assert_eq!(move_to(&mut cluster, &name, &b).await, 0, "it is under way");
    assert_eq!(produced(&mut cluster, topic).await, (0, 50));
    limit(&mut cluster, i64::MAX).await;
    let there = b.join(format!("{name}-0"));
    while !fs::exists(&there) || fs::exists(&a.join(format!("{name}-0"))) {
        described(&mut cluster, &name).await;
    }
    assert_eq!(produced(&mut cluster, topic).await, (0, 51));
    assert_eq!(offsets(&mut cluster, topic, 52).await, Vec::from_iter(0..52));
    assert_eq!(copies(&b), Vec::<PathBuf>::new());
    cluster.stop().await;
}

#[tokio::test]
async fn a_move_may_change_its_target_and_ends_when_the_log_is_to_stay_or_is_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let log_dirs = format!("{0}/a,{0}/b,{0}/c", dir.path().display());
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs)]).await;
    let (name, topic) = slow(&mut cluster).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| cluster.dir().join(name));
    assert_eq!(move_to(&mut cluster, &name, &b).await, 0);
    until_some_is_copied(&mut cluster, &name, "b").await;

    assert_eq!(move_to(&mut cluster, &name, &c).await, 0);
    until_some_is_copied(&mut cluster, &name, "c").await;
    assert_eq!((copies(&b).len(), copies(&c).len()), (0, 1), "the other copy is gone");

    assert_eq!(move_to(&mut cluster, &name, &a).await, 0);
    while !copies(&c).is_empty() {
        described(&mut cluster, &name).await;
    }
    let found = described(&mut cluster, &name).await;
    assert!(matches!(&found[..], [(dir, false, ..)] if dir == "a"), "{found:?}");
    assert_eq!(produced(&mut cluster, topic).await, (0, 50));

    assert_eq!(move_to(&mut cluster, &name, &b).await, 0);
    until_some_is_copied(&mut cluster, &name, "b").await;
    cluster.delete(&name).await;
    while !copies(&b).is_empty() {
        described(&mut cluster, &name).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_log_of_no_topic_is_put_aside() {
    let cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let dir = cluster.stop_only().await;
    let b = dir.path().join("b");
    fs::create_dir_all(&b.join("ghost-0.0123456789abcdef0123456789abcdef-future")).expect("a directory");
    let cluster = two_dirs(dir).await;
    let entries = fs::read_dir(&b).expect("a directory");
    assert_eq!(copies(&b), Vec::<PathBuf>::new());
    assert!(entries.iter().any(|entry| entry.name.starts_with("ghost-0.") && entry.name.ends_with("-stray")));
    cluster.stop().await;
}

async fn move_to(cluster: &mut Cluster, topic: &str, dir: &Path) -> i16 {
    use m::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
    let topics = vec![AlterReplicaLogDirTopic { name: topic.into(), partitions: vec![0] }];
    let dirs = vec![AlterReplicaLogDir { path: dir.display().to_string().into(), topics }];
    let response = cluster.ask(&m::AlterReplicaLogDirsRequest { dirs }, 2).await;
    response.results[0].partitions[0].error_code
}

#[tokio::test]
async fn a_log_that_is_not_here_yet_is_made_where_it_is_wanted() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    one_in_each(&mut cluster).await;
    for dir in ["b", "a", "b"] {
        let dir = cluster.dir().join(dir);
        for topic in ["wanted-1", "wanted-2", "wanted-3"] {
            assert_eq!(move_to(&mut cluster, topic, &dir).await, ErrorCode::UnknownTopicOrPartition.code());
        }
    }
    for topic in ["wanted-1", "wanted-2", "wanted-3"] {
        cluster.create(topic, &[]).await;
        assert!(fs::exists(&cluster.dir().join("b").join(format!("{topic}-0"))), "the last one counts");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_log_moves_to_another_directory_while_it_is_written_to() {
    let mut cluster = two_dirs(tempfile::tempdir().expect("a directory")).await;
    let [(name, topic), _] = one_in_each(&mut cluster).await;
    for n in 0..50 {
        assert_eq!(produced(&mut cluster, topic).await, (0, n));
    }
    let (a, b) = (cluster.dir().join("a"), cluster.dir().join("b"));
    let none = cluster.dir().join("c");
    assert_eq!(move_to(&mut cluster, &name, &none).await, ErrorCode::LogDirNotFound.code());
    assert_eq!(move_to(&mut cluster, "unknown", &b).await, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(move_to(&mut cluster, &name, &a).await, 0, "it is there already");
    assert_eq!(move_to(&mut cluster, &name, &b).await, 0);
    let mut next = 50;
    while !fs::exists(&b.join(format!("{name}-0"))) || fs::exists(&a.join(format!("{name}-0"))) {
        assert_eq!(produced(&mut cluster, topic).await, (0, next));
        next += 1;
    }
    assert_eq!(produced(&mut cluster, topic).await, (0, next));
    let dir = cluster.stop_only().await;
    let mut cluster = two_dirs(dir).await;
    assert_eq!(produced(&mut cluster, topic).await, (0, next + 1));
    assert_eq!(offsets(&mut cluster, topic, next + 2).await, Vec::from_iter(0..next + 2));
    cluster.stop().await;
}
