//! A node on a temporary directory, and what tests ask of it.

use std::time::Duration;

use bytes::Bytes;
use thalweg_base::{Timestamp, TopicPartition};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::{Loggers, Node};
use thalweg_client::{Client, ClientConfig, Destination, Peer, Properties};
use thalweg_records::{BatchBuilder, BatchOptions};
use thalweg_sys::time::{Instant, now};
use thalweg_wire::messages as m;

/// Long enough that only a broken test meets it.
pub(crate) fn soon() -> Instant {
    now() + Duration::from_secs(30)
}

/// A running node.
pub(crate) struct Running {
    node: Node,
    _dir: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(properties: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log_dirs = dir.path().display().to_string();
        let listeners = ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0");
        let fixed = [listeners, ("log.dirs", &log_dirs), ("group.initial.rebalance.delay.ms", "0")];
        let all = fixed.iter().chain(properties);
        let overrides: Vec<_> = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = NodeConfig::from_properties(&NodeConfig::default_entries(), &overrides).expect("a config").0;
        let node = Node::start_with(config, Loggers::new(|_| {})).await.expect("a node");
        Self { node, _dir: dir }
    }

    pub(crate) async fn stop(self) {
        self.node.stop().await;
    }

    /// The properties that every client of it needs, and others.
    pub(crate) fn properties(&self, more: &[(&str, &str)]) -> Properties {
        let servers = self.node.bootstrap_servers();
        let mut properties = Properties::from_iter([("bootstrap.servers", servers.as_str())]);
        for (name, value) in more {
            properties.set(name, value);
        }
        properties
    }

    pub(crate) fn client(&self) -> Client {
        let peers = Peer::parse_list(&self.node.bootstrap_servers()).expect("an address");
        Client::new(ClientConfig::new(peers))
    }
}

/// Creates a topic.
pub(crate) async fn create(client: &Client, name: &str, partitions: i32) {
    use m::create_topics_request::CreatableTopic;
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request =
        m::CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..m::CreateTopicsRequest::default() };
    let response = client.send(Destination::Controller, &request).await.expect("an answer");
    assert_eq!(response.topics[0].error_code, 0);
}

/// Appends one batch with these values and timestamps.
pub(crate) async fn append(
    client: &Client,
    topic: &str,
    partition: i32,
    options: BatchOptions,
    values: &[(i64, &str)],
) {
    use m::produce_request::{PartitionProduceData, TopicProduceData};
    let mut builder = BatchBuilder::new(options);
    for (timestamp, value) in values {
        builder.append(Timestamp(*timestamp), None, Some(value.as_bytes()), &[]);
    }
    let records: Bytes = builder.build().expect("a batch");
    let cluster = client.topics(&[topic], soon()).await.expect("metadata");
    let data = PartitionProduceData { index: partition, records: Some(records) };
    let topic_data =
        TopicProduceData { name: topic.into(), topic_id: cluster.topics[topic].id, partition_data: vec![data] };
    let request = m::ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic_data],
        ..m::ProduceRequest::default()
    };
    let leader = Destination::Leader(TopicPartition::new(topic, partition));
    let response = client.send(leader, &request).await.expect("an answer");
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}
