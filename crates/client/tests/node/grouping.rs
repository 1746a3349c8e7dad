//! Members of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_base::{LeaderEpoch, Offset, TopicPartition};
use thalweg_client::{Consumer, ConsumerConfig, Destination, Error, RebalanceListener};
use thalweg_records::BatchOptions;
use thalweg_wire::messages::DeleteTopicsRequest;
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;

use crate::node::{Running, append, create, soon};

const PROTOCOLS: [(&str, &[(&str, &str)]); 5] = [
    ("range", &[("partition.assignment.strategy", "range")]),
    ("roundrobin", &[("partition.assignment.strategy", "roundrobin")]),
    ("sticky", &[("partition.assignment.strategy", "sticky")]),
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

/// Notes what a listener is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        self.0.lock().expect("a lock").push(format!("{what} {}", names.join(" ")));
    }
}

impl RebalanceListener for Told {
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.note("assigned", partitions);
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, (Offset, LeaderEpoch)> {
        self.note("revoked", partitions);
        partitions.iter().map(|partition| (partition.clone(), (Offset(1), LeaderEpoch::NONE))).collect()
    }
}

#[tokio::test]
async fn a_listener_says_what_is_committed_before_partitions_go() {
    let node = Running::start().await;
    let client = node.client();
    for (group, properties) in PROTOCOLS {
        create(&client, group, 1).await;
        append(&client, group, 0, BatchOptions::default(), &[(1, "a"), (1, "b")]).await;
        let mut properties = properties.to_vec();
        properties.push(("enable.auto.commit", "false"));
        let told = Told::default();
        let mut first = member(&node, group, &properties);
        first.set_rebalance_listener(told.clone());
        first.subscribe([group]).expect("a group");
        assert_eq!(first.poll(soon()).await.expect("records").len(), 2, "{group}");
        first.close(soon()).await.expect("left");
        let heard = std::mem::take(&mut *told.0.lock().expect("a lock"));
        assert_eq!(heard, [format!("assigned {group}-0"), format!("revoked {group}-0")], "{group}");
        let mut second = member(&node, group, &properties);
        second.subscribe([group]).expect("a group");
        assert_eq!(second.poll(soon()).await.expect("records")[0].offset, Offset(1), "{group}: it was committed");
        second.close(soon()).await.expect("left");
    }
    node.stop().await;
}

#[tokio::test]
async fn topics_that_come_later_are_read_if_they_are_chosen() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "logs-a", 1).await;
    create(&client, "other", 1).await;
    for (group, properties) in PROTOCOLS {
        let mut properties = properties.to_vec();
        properties.push(("metadata.max.age.ms", "200"));
        let mut members = vec![member(&node, group, &properties)];
        members[0].subscribe_matching(|name| name.starts_with("logs-")).expect("a group");
        settle(&mut members, &[1]).await;
        let later = format!("logs-{group}");
        create(&client, &later, 1).await;
        settle(&mut members, &[2]).await;
        assert!(members[0].assignment().any(|partition| *partition.topic == *later), "{group}");
        members.remove(0).close(soon()).await.expect("left");
        let gone = DeleteTopicState { name: Some(later.as_str().into()), ..Default::default() };
        let request = DeleteTopicsRequest { topics: vec![gone], timeout_ms: 30_000, ..Default::default() };
        client.send(Destination::Controller, &request).await.expect("deleted");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_coordinator_chooses_topics_by_a_pattern() {
    let node = Running::start().await;
    let client = node.client();
    for topic in ["logs-a", "logs-b", "other"] {
        create(&client, topic, 1).await;
        append(&client, topic, 0, BatchOptions::default(), &[(1, "x")]).await;
    }
    let mut members = vec![member(&node, "patterns", &[("group.protocol", "consumer")])];
    members[0].subscribe_pattern("logs-.*").expect("a group");
    let topics: BTreeSet<String> =
        read(&mut members, 2).await.into_iter().map(|(partition, _)| partition.topic.to_string()).collect();
    assert_eq!(topics, BTreeSet::from(["logs-a", "logs-b"].map(str::to_owned)));
    members.remove(0).close(soon()).await.expect("left");
    let mut wrong = member(&node, "wrong", &[("group.protocol", "consumer")]);
    wrong.subscribe_pattern("logs-(").expect("a group");
    let error = wrong.poll(soon()).await.expect_err("no pattern");
    assert!(error.to_string().contains("INVALID_REGULAR_EXPRESSION"), "{error}");
    let classic = member(&node, "classic", &[]).subscribe_pattern("logs-.*");
    assert!(classic.is_err(), "only coordinators of KIP-848 groups know patterns");
    node.stop().await;
}
