//! Writing records, in transactions and without.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_base::{LeaderEpoch, Offset, TopicPartition};
use thalweg_client::{
    Client, Consumer, ConsumerConfig, Destination, Error, GroupMetadata, Producer, ProducerConfig, ProducerRecord,
    Start,
};
use thalweg_wire::messages as m;

use crate::node::{Running, create, soon};

fn producer(node: &Running, more: &[(&str, &str)]) -> Producer {
    Producer::new(ProducerConfig::from_properties(&node.properties(more)).expect("a configuration"))
}

/// Every record of partition 0 that a reader of committed records sees.
async fn committed(node: &Running, topic: &str) -> Vec<String> {
    let properties = node.properties(&[("isolation.level", "read_committed")]);
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(&properties).expect("a configuration"));
    consumer.assign([(TopicPartition::new(topic, 0), Start::Beginning)]);
    let mut found = Vec::new();
    loop {
        let records = consumer.poll_for(Duration::from_millis(700)).await.expect("records");
        if records.is_empty() {
            return found;
        }
        let text = |value: Option<bytes::Bytes>| String::from_utf8(value.unwrap_or_default().to_vec()).expect("text");
        found.extend(records.into_iter().map(|record| text(record.value)));
    }
}

#[tokio::test]
async fn records_are_written_once_in_order_with_every_codec() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 1).await;
    let mut expected = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer = producer(&node, &[("compression.type", codec), ("batch.size", "300"), ("linger.ms", "2")]);
        let mut deliveries = Vec::new();
        for number in 0..100 {
            let value = format!("{codec} {number}");
            expected.push(value.clone());
            deliveries.push(producer.send(ProducerRecord::new("t", value)).await.expect("taken"));
        }
        producer.flush(soon()).await.expect("written");
        for (at, delivery) in deliveries.into_iter().enumerate() {
            let metadata = delivery.wait().await.expect("written");
            assert_eq!(metadata.offset, Some(Offset((expected.len() - 100 + at) as i64)));
        }
    }
    assert_eq!(committed(&node, "t").await, expected);
    node.stop().await;
}

#[tokio::test]
async fn keys_decide_the_partition_and_acks_0_asks_for_no_answer() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 4).await;
    for acks in ["all", "1", "0"] {
        let producer = producer(&node, &[("acks", acks)]);
        for key in ["a", "b", "c", "d", "e"] {
            let record = ProducerRecord::new("t", key).with_key(key);
            let metadata = producer.send(record).await.expect("taken").wait().await.expect("written");
            let partition = thalweg_client::partition_for_key(key.as_bytes(), 4);
            assert_eq!(metadata.partition, TopicPartition::new("t", partition));
            assert_eq!(metadata.offset.is_some(), acks != "0");
        }
    }
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_written_says_why() {
    let node = Running::start_with(&[("auto.create.topics.enable", "false")]).await;
    let producer = producer(&node, &[("max.block.ms", "300")]);
    let error = producer.send(ProducerRecord::new("nowhere", "x")).await.expect_err("no topic").to_string();
    assert!(error.starts_with("topic nowhere: UNKNOWN_TOPIC_OR_PARTITION: "), "{error}");
    let large = vec![0; 2 << 20];
    let error = producer.send(ProducerRecord::new("nowhere", large)).await.expect_err("too large");
    assert!(matches!(error, Error::RecordTooLarge { .. }), "{error}");
    node.stop().await;
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_the_topic_is_split() {
    let node = Running::start_with(&[("message.max.bytes", "3000")]).await;
    let client = node.client();
    create(&client, "t", 1).await;
    let producer = producer(&node, &[("batch.size", "100000"), ("linger.ms", "1000")]);
    let values: Vec<String> = (0..20).map(|number| format!("{number} {}", "x".repeat(600))).collect();
    let mut deliveries = Vec::new();
    for value in &values {
        deliveries.push(producer.send(ProducerRecord::new("t", value.clone())).await.expect("taken"));
    }
    producer.flush(soon()).await.expect("written");
    for (at, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.wait().await.expect("written").offset, Some(Offset(at as i64)));
    }
    assert_eq!(committed(&node, "t").await, values);
    node.stop().await;
}

async fn committed_offset(client: &Client, group: &str, topic: &str) -> i64 {
    use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
    let topic_id = client.topics(&[topic], soon()).await.expect("metadata").topics[topic].id;
    let topic = OffsetFetchRequestTopics { name: topic.into(), topic_id, partition_indexes: vec![0] };
    let wanted = OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = m::OffsetFetchRequest { groups: vec![wanted], ..m::OffsetFetchRequest::default() };
    let response = client.send(Destination::GroupCoordinator(group.into()), &request).await.expect("an answer");
    response.groups[0].topics[0].partitions[0].committed_offset
}

#[tokio::test]
async fn transactions_are_whole() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 1).await;
    let producer = producer(&node, &[("transactional.id", "x")]);
    producer.init_transactions(soon()).await.expect("initialized");
    let early = producer.send(ProducerRecord::new("t", "early")).await.expect_err("no transaction");
    assert_eq!(early.to_string(), "no transaction was begun");
    for (number, commits) in [(0, true), (1, false), (2, true), (3, false), (4, true)] {
        producer.begin_transaction().expect("begun");
        for part in ["a", "b"] {
            let delivery = producer.send(ProducerRecord::new("t", format!("{number}{part}"))).await.expect("taken");
            if !commits {
                // Otherwise it may be given up before it is sent.
                delivery.wait().await.expect("written");
            }
        }
        let offsets = BTreeMap::from([(TopicPartition::new("t", 0), (Offset(number), LeaderEpoch::NONE))]);
        producer.send_offsets(&offsets, &GroupMetadata::new("g"), soon()).await.expect("offsets");
        if commits {
            producer.commit_transaction(soon()).await.expect("committed");
        } else {
            producer.abort_transaction(soon()).await.expect("aborted");
        }
        let expected = if commits { number } else { number - 1 };
        assert_eq!(committed_offset(&client, "g", "t").await, expected);
    }
    assert_eq!(committed(&node, "t").await, ["0a", "0b", "2a", "2b", "4a", "4b"]);
    // A second producer with the same id fences the first.
    let second = self::producer(&node, &[("transactional.id", "x")]);
    second.init_transactions(soon()).await.expect("initialized");
    producer.begin_transaction().expect("begun");
    let fenced = match producer.send(ProducerRecord::new("t", "fenced")).await {
        Ok(delivery) => delivery.wait().await.expect_err("fenced"),
        Err(error) => error,
    };
    assert!(!fenced.is_retriable(), "{fenced}");
    assert!(producer.commit_transaction(soon()).await.is_err());
    node.stop().await;
}
