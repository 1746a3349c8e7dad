//! What a produce and a fetch allocate in the node, all in all, while it is warm. One test in a program of its own: it
//! counts what the whole program allocates, and its client allocates nothing.
//!
//! The limits are what was measured, and a tenth: whoever makes a request dearer learns of it here, on any machine.

use std::alloc::System;

use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use thalweg_base::Timestamp;
use thalweg_broker::Node;
use thalweg_broker::config::NodeConfig;
use thalweg_records::{BatchBuilder, BatchOptions};
use thalweg_sys::net::TcpStream;
use thalweg_wire::messages::create_topics_request::CreatableTopic;
use thalweg_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use thalweg_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use thalweg_wire::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest, RequestHeader};
use thalweg_wire::{Request, Writer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// As many requests make the node warm, and as many are counted.
const REQUESTS: usize = 500;

fn frame<Q: Request>(request: &Q, version: i16) -> Bytes {
    let mut writer = Writer::new();
    let header =
        RequestHeader { request_api_key: Q::API.code(), request_api_version: version, ..RequestHeader::default() };
    header.encode(&mut writer, Q::API.request_header_version(version)).expect("a header");
    request.encode(&mut writer, version).expect("a request");
    writer.into_frame().expect("a frame").concat().into()
}

/// A connection whose answers all fit in one buffer.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    /// Sends a request and reads its answer; says how long that was.
    async fn ask(&mut self, frame: &[u8]) -> usize {
        self.stream.write_all(frame).await.expect("the node reads");
        let len = self.stream.read_i32().await.expect("an answer");
        let len = usize::try_from(len).expect("a length");
        self.stream.read_exact(&mut self.answer[..len]).await.expect("a whole answer");
        len
    }

    /// Allocations per request.
    async fn count(&mut self, frame: &[u8], least_answer: usize) -> f64 {
        for _ in 0..REQUESTS {
            self.ask(frame).await;
        }
        let region = Region::new(ALLOCATOR);
        for _ in 0..REQUESTS {
            assert!(self.ask(frame).await >= least_answer, "the answer is too short to be the right one");
        }
        let change = region.change();
        (change.allocations + change.reallocations) as f64 / REQUESTS as f64
    }
}

fn batch() -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..100 {
        builder.append(Timestamp(1), None, Some(&[b'x'; 100]), &[]);
    }
    builder.build().expect("a batch")
}

#[tokio::test]
async fn a_warm_node_allocates_little_for_a_produce_and_a_fetch() {
    let dir = tempfile::tempdir().expect("a directory");
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let overrides = [
        own("log.dirs", &dir.path().display().to_string()),
        own("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
    ];
    let (config, _) = NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("a config");
    let node = Node::start(config).await.expect("a node");
    let stream = TcpStream::connect(&node.bootstrap_servers()).await.expect("a connection");
    let mut client = Client { stream, answer: vec![0; 1 << 20] };
    let topic =
        CreatableTopic { name: "t".into(), num_partitions: 1, replication_factor: 1, ..CreatableTopic::default() };
    client
        .ask(&frame(
            &CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..CreateTopicsRequest::default() },
            7,
        ))
        .await;

    let records = batch();
    let data = PartitionProduceData { index: 0, records: Some(records.clone()) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..TopicProduceData::default() };
    let produce = ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..ProduceRequest::default() };
    let for_produce = client.count(&frame(&produce, 12), 40).await;

    let partition =
        FetchPartition { partition: 0, fetch_offset: 0, partition_max_bytes: 20_000, ..FetchPartition::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..FetchTopic::default() };
    let fetch = FetchRequest {
        session_epoch: -1,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let for_fetch = client.count(&frame(&fetch, 12), records.len()).await;

    println!("allocations: {for_produce} for a produce, {for_fetch} for a fetch");
    assert!(for_produce < 9.95, "{for_produce} allocations for each produce");
    assert!(for_fetch < 20.9, "{for_fetch} allocations for each fetch");
    drop(client);
    node.stop().await;
}
