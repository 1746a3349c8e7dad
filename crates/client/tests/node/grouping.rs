//! Members of groups.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_base::{Offset, TopicPartition};
use thalweg_client::{Consumer, ConsumerConfig, Error};
use thalweg_records::BatchOptions;

use crate::node::{Running, append, create, soon};

const PROTOCOLS: [(&str, &[(&str, &str)]); 4] = [
    ("range", &[("partition.assignment.strategy", "range")]),
    ("roundrobin", &[("partition.assignment.strategy", "roundrobin")]),
    ("cooperative", &[("partition.assignment.strategy", "cooperative-sticky")]),
    ("consumer", &[("group.protocol", "consumer")]),
];

fn member(node: &Running, group: &str, more: &[(&str, &str)]) -> Consumer {
    let mut properties =
        node.properties(&[("group.id", group), ("auto.offset.reset", "earliest"), ("heartbeat.interval.ms", "100")]);
    for (name, value) in more {
        properties.set(name, value);
    }
    Consumer::new(ConsumerConfig::from_properties(&properties).expect("a configuration"))
}

/// Polls all members in turn until each has so many partitions; gives what they read meanwhile.
async fn settle(members: &mut [Consumer], counts: &[usize]) -> Vec<(TopicPartition, i64)> {
    let deadline = soon();
    let mut read = Vec::new();
    loop {
        for member in members.iter_mut() {
            for record in member.poll_for(Duration::from_millis(20)).await.expect("records") {
                read.push((TopicPartition { topic: record.topic, partition: record.partition }, record.offset.0));
            }
        }
        let now: Vec<usize> = members.iter().map(|member| member.assignment().count()).collect();
        if now == counts {
            return read;
        }
        assert!(thalweg_sys::time::now() < deadline, "the members have {now:?} partitions instead of {counts:?}");
    }
}

async fn read(members: &mut [Consumer], count: usize) -> Vec<(TopicPartition, i64)> {
    let deadline = soon();
    let mut read = Vec::new();
    while read.len() < count {
        assert!(thalweg_sys::time::now() < deadline, "only {} of {count} records came", read.len());
        for member in members.iter_mut() {
            for record in member.poll_for(Duration::from_millis(20)).await.expect("records") {
                read.push((TopicPartition { topic: record.topic, partition: record.partition }, record.offset.0));
            }
        }
    }
    read
}

#[tokio::test]
async fn members_share_the_partitions_and_go_on_where_others_stopped() {
    let node = Running::start().await;
    let client = node.client();
    for (group, properties) in PROTOCOLS {
        create(&client, group, 4).await;
        for partition in 0..4 {
            append(&client, group, partition, BatchOptions::default(), &[(1, "a"), (1, "b")]).await;
        }
        let mut members = vec![member(&node, group, properties)];
        members[0].subscribe([group]).expect("a group");
        assert_eq!(read(&mut members, 8).await.len(), 8, "{group}");
        let mut second = member(&node, group, properties);
        second.subscribe([group]).expect("a group");
        members.push(second);
        assert_eq!(settle(&mut members, &[2, 2]).await, [], "{group}: nothing is read twice");
        for partition in 0..4 {
            append(&client, group, partition, BatchOptions::default(), &[(1, "c")]).await;
        }
        let news: BTreeSet<(TopicPartition, i64)> = read(&mut members, 4).await.into_iter().collect();
        assert_eq!(news, (0..4).map(|index| (TopicPartition::new(group, index), 2)).collect(), "{group}");
        members.remove(1).close(soon()).await.expect("left");
        assert_eq!(settle(&mut members, &[4]).await, [], "{group}: the other had committed");
        members.remove(0).close(soon()).await.expect("left");
        let mut later = vec![member(&node, group, properties)];
        later[0].subscribe([group]).expect("a group");
        settle(&mut later, &[4]).await;
        append(&client, group, 0, BatchOptions::default(), &[(1, "d")]).await;
        assert_eq!(read(&mut later, 1).await, [(TopicPartition::new(group, 0), 3)], "{group}");
        later.remove(0).close(soon()).await.expect("left");
    }
    node.stop().await;
}

#[tokio::test]
async fn an_assigned_consumer_commits_and_begins_there() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 1).await;
    append(&client, "t", 0, BatchOptions::default(), &[(1, "a"), (1, "b"), (1, "c")]).await;
    let partition = TopicPartition::new("t", 0);
    let start = thalweg_client::Start::Committed;
    let mut consumer = member(&node, "g", &[("max.poll.records", "2")]);
    consumer.assign([(partition.clone(), start)]);
    assert_eq!(consumer.poll(soon()).await.expect("records").len(), 2);
    consumer.commit(soon()).await.expect("committed");
    let mut second = member(&node, "g", &[]);
    second.assign([(partition.clone(), start)]);
    assert_eq!(second.poll(soon()).await.expect("records")[0].offset, Offset(2));
    let mut without = member(&node, "other", &[("auto.offset.reset", "none")]);
    without.assign([(partition, start)]);
    let error = without.poll(soon()).await.expect_err("no offset");
    assert!(matches!(error, Error::NoOffset { .. }), "{error}");
    node.stop().await;
}
