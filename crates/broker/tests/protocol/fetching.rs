//! Fetch.

use std::time::Duration;

use m::fetch_request::{FetchPartition, FetchTopic};
use thalweg_base::Uuid;
use thalweg_wire::messages as m;

use crate::client::{Cluster, exchange};
use crate::producing::{batch_of, produce};
use crate::watching::{get, sample};

/// More than the sockets between client and node hold.
const BATCHES: usize = 8;
const VALUE_LEN: usize = 1_000_000;

fn from_the_beginning(topic_id: Uuid) -> m::FetchRequest {
    let partition = FetchPartition { partition_max_bytes: i32::MAX, ..FetchPartition::default() };
    let topic = FetchTopic { topic_id, partitions: vec![partition], ..FetchTopic::default() };
    m::FetchRequest { topics: vec![topic], ..m::FetchRequest::default() }
}

#[tokio::test]
async fn a_client_is_heard_again_after_it_took_its_time_with_a_large_answer() {
    let mut cluster = Cluster::start().await;
    let topic = cluster.create("t", &[]).await;
    let batch = batch_of(&vec![b'x'; VALUE_LEN]);
    for _ in 0..BATCHES {
        assert_eq!(produce(&mut cluster, topic, None, std::slice::from_ref(&batch)).await[0].error_code, 0);
    }
    let request = from_the_beginning(topic);
    for _ in 0..3 {
        let asked = cluster.ask(&request, 16);
        let answer = tokio::time::timeout(Duration::from_secs(120), asked).await.expect("an answer in time");
        let records = answer.responses[0].partitions[0].records.as_ref().map_or(0, thalweg_wire::Records::len);
        assert!(records > 7 * VALUE_LEN, "the answer has only {records} bytes of records");
    }
    cluster.stop().await;
}

/// A parked fetch by id is answered as one by name, as in Kafka.
#[tokio::test]
async fn a_fetch_that_waits_while_its_topic_is_deleted_learns_that_it_is_unknown() {
    let mut cluster = Cluster::watched().await;
    for version in [12, 13] {
        let topic_id = cluster.create("t", &[]).await;
        let mut request = from_the_beginning(topic_id);
        request.topics[0].topic = "t".into();
        request.max_wait_ms = 60_000;
        request.min_bytes = 1;
        let mut waiting = cluster.connect().await;
        let waiter = thalweg_sys::task::spawn(async move { exchange(&mut waiting, &request, version).await });
        let parked = "kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"}";
        while sample(&get(&cluster, "/metrics").await, parked) < 1.0 {
            tokio::task::yield_now().await;
        }
        cluster.delete("t").await;
        let answer = tokio::time::timeout(Duration::from_secs(30), waiter).await.expect("an answer in time");
        let answer = answer.expect("an answer");
        assert_eq!(answer.responses[0].partitions[0].error_code, 3, "in version {version}");
    }
    cluster.stop().await;
}
