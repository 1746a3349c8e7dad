//! A clean stop and a start.

use m::describe_quorum_request::{PartitionData, TopicData};
use m::metadata_request::MetadataRequestTopic;
use thalweg_sys::fs;
use thalweg_wire::messages as m;

use crate::client::Cluster;
use crate::producing::{batch_of, produce};

const PARTITIONS: i32 = 50;

/// Where the metadata log ends.
async fn metadata_end(cluster: &mut Cluster) -> i64 {
    let topic = TopicData { topic_name: "__cluster_metadata".into(), partitions: vec![PartitionData::default()] };
    let request = m::DescribeQuorumRequest { topics: vec![topic] };
    cluster.ask(&request, 2).await.topics[0].partitions[0].high_watermark
}

#[tokio::test]
async fn a_node_on_its_own_leads_on_in_the_same_epoch_and_writes_nothing_per_partition() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    let more =
        m::create_partitions_request::CreatePartitionsTopic { name: "t".into(), count: PARTITIONS, assignments: None };
    let request =
        m::CreatePartitionsRequest { topics: vec![more], timeout_ms: 10_000, ..m::CreatePartitionsRequest::default() };
    assert_eq!(cluster.ask(&request, 3).await.results[0].error_code, 0);
    assert_eq!(produce(&mut cluster, topic, None, &[batch_of(b"before")]).await[0].error_code, 0);
    let before = metadata_end(&mut cluster).await;
    let dir = cluster.stop_only().await;

    let log_dirs = dir.path().display().to_string();
    let mut cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs)]).await;
    let written = metadata_end(&mut cluster).await - before;
    assert!(written < i64::from(PARTITIONS), "{written} records");
    let asked = MetadataRequestTopic { name: Some("t".into()), ..MetadataRequestTopic::default() };
    let request = m::MetadataRequest { topics: Some(vec![asked]), ..m::MetadataRequest::default() };
    let described = cluster.ask(&request, 12).await.topics.remove(0);
    assert_eq!(described.partitions.len(), 50);
    assert!(described.partitions.iter().all(|p| (p.error_code, p.leader_id, p.leader_epoch) == (0, 1, 0)));
    let answer = produce(&mut cluster, topic, None, &[batch_of(b"after")]).await.remove(0);
    assert_eq!((answer.error_code, answer.base_offset), (0, 1));
    cluster.stop().await;
}

/// What is appended after a crash that took the end of a log is not flushed, whatever the checkpoint said before.
#[tokio::test]
async fn a_recovery_point_beyond_the_end_of_its_log_is_corrected_before_anything_is_appended() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    assert_eq!(produce(&mut cluster, topic, None, &[batch_of(b"one")]).await[0].error_code, 0);
    let dir = cluster.stop_only().await;
    let checkpoint = dir.path().join("recovery-point-offset-checkpoint");
    fs::remove_file(&dir.path().join(".kafka_cleanshutdown")).expect("a clean stop");
    fs::write(&checkpoint, b"0\n2\nt 0 1000\ngone 0 7\n").expect("a checkpoint");

    let log_dirs = dir.path().display().to_string();
    let cluster = Cluster::start_in(dir, &[("log.dirs", &log_dirs)]).await;
    assert_eq!(fs::read_to_string(&checkpoint).expect("a checkpoint"), "0\n1\nt 0 1\n");
    cluster.stop().await;
}
