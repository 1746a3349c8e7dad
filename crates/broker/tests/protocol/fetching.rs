//! Fetch.

use std::time::Duration;

use m::fetch_request::{FetchPartition, FetchTopic};
use thalweg_base::Uuid;
use thalweg_wire::messages as m;

use crate::client::Cluster;
use crate::producing::{batch_of, produce};

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
