//! A whole cluster whose nodes lose their power, are cut off from each other and from their clients, and have wrong clocks,
//! while producers and consumers record a history: it has none of the anomalies that [`thalweg_sim::history`] names.
//!
//! `THALWEG_SIM_NODES` says how many nodes there are; without it there is one, as long as nodes form no quorum together.

#![cfg(sim)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::{Offset, TopicPartition};
use thalweg_client::{
    Client, ClientConfig, Consumer, ConsumerConfig, ConsumerRecord, Destination, Isolation, OffsetSpec, Peer, Producer,
    ProducerConfig, ProducerRecord, Start,
};
use thalweg_sim::history::{Anomaly, History, Outcome as Sent};
use thalweg_sim::story::pause;
use thalweg_sim::world::{Host, Outcome, seeds, with_cluster};
use thalweg_sys::time::{now, timeout};
use thalweg_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};

const TOPIC: &str = "t";
const PARTITIONS: i32 = 2;
const CLIENTS: &str = "clients";
/// What is acknowledged is durable: the power of all nodes may fail.
const PROPERTIES: &[(&str, &str)] = &[("log.flush.interval.messages", "1")];
/// How long a client waits for one thing before it gives up.
const PATIENCE: Duration = Duration::from_secs(8);

fn node_count() -> i32 {
    number("THALWEG_SIM_NODES").unwrap_or(1)
}

/// How many replicas each partition has: `THALWEG_SIM_REPLICAS`, or three where there are as many nodes.
fn replica_count() -> i16 {
    let count = number("THALWEG_SIM_REPLICAS").unwrap_or(node_count().min(3));
    i16::try_from(count).unwrap_or(1)
}

fn number(variable: &str) -> Option<i32> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What the clients of one run share.
#[derive(Clone)]
struct Shared {
    history: Rc<RefCell<History>>,
    next_value: Rc<Cell<u64>>,
    stop: Rc<Cell<bool>>,
    bootstrap: Vec<Peer>,
}

impl Shared {
    fn client_config(&self) -> ClientConfig {
        let (request_timeout, api_timeout) = (Duration::from_secs(2), PATIENCE);
        ClientConfig { request_timeout, api_timeout, ..ClientConfig::new(self.bootstrap.clone()) }
    }

    fn consumer(&self) -> Consumer {
        let mut consumer = Consumer::new(ConsumerConfig::new(self.client_config()));
        consumer.assign((0..PARTITIONS).map(|partition| (TopicPartition::new(TOPIC, partition), Start::Beginning)));
        consumer
    }

    /// Creates the topic, on as many nodes as there are, as soon as the cluster takes it.
    async fn create_topic(&self) {
        let client = Client::new(self.client_config());
        let topic = CreatableTopic {
            name: TOPIC.into(),
            num_partitions: PARTITIONS,
            replication_factor: replica_count(),
            configs: vec![CreatableTopicConfig {
                name: "min.insync.replicas".into(),
                value: Some(if replica_count() > 2 { "2" } else { "1" }.into()),
            }],
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..CreateTopicsRequest::default() };
        loop {
            let _ = client.send(Destination::Controller, &request).await;
            let cluster = client.topics(&[TOPIC], now() + PATIENCE).await;
            if cluster.is_ok_and(|cluster| cluster.partition(TOPIC, PARTITIONS - 1).is_some()) {
                return;
            }
            pause().await;
        }
    }

    /// Sends one value after the other to all partitions in turn, with an idempotent producer.
    async fn produce(&self, id: u32) {
        let mut config = ProducerConfig::new(self.client_config());
        (config.delivery_timeout, config.linger) = (PATIENCE, Duration::ZERO);
        let producer = Producer::new(config);
        while !self.stop.get() {
            let value = self.next_value.get();
            self.next_value.set(value + 1);
            let partition = i32::try_from(value % PARTITIONS as u64).unwrap_or(0);
            let pending = self.history.borrow_mut().sends(id, partition, value);
            let record = ProducerRecord { partition: Some(partition), ..ProducerRecord::new(TOPIC, value.to_string()) };
            let sent = match producer.send(record).await {
                Ok(delivery) => delivery.wait().await,
                Err(error) => Err(error),
            };
            let outcome = match sent {
                Ok(written) => written.offset.map_or(Sent::Written, |offset| Sent::Acknowledged(offset.0)),
                Err(_) => Sent::Unknown,
            };
            self.history.borrow_mut().sent(pending, outcome);
            pause().await;
        }
    }

    /// Reads along, and asks now and then where the logs end.
    async fn consume(&self, id: u32) {
        let mut consumer = self.consumer();
        while !self.stop.get() {
            let _ = self.poll(id, &mut consumer).await;
            self.ask_ends(consumer.client()).await;
            pause().await;
        }
    }

    /// One poll; says how many records it gave.
    async fn poll(&self, id: u32, consumer: &mut Consumer) -> usize {
        let partitions: Vec<TopicPartition> = consumer.assignment().cloned().collect();
        let before: Vec<Option<Offset>> = partitions.iter().map(|partition| consumer.position(partition)).collect();
        let Ok(records) = consumer.poll_for(Duration::from_millis(300)).await else { return 0 };
        for (partition, from) in partitions.iter().zip(before) {
            let own: Vec<&ConsumerRecord> = records.iter().filter(|r| r.partition == partition.partition).collect();
            let values = own.iter().map(|record| (record.offset.0, value_of(record))).collect();
            let from = from.map_or(0, |offset| offset.0);
            self.history.borrow_mut().polled(id, partition.partition, from, values);
        }
        records.len()
    }

    async fn ask_ends(&self, client: &Client) -> Vec<Option<i64>> {
        let wanted: Vec<_> = (0..PARTITIONS).map(|p| (TopicPartition::new(TOPIC, p), OffsetSpec::Latest)).collect();
        let begun = self.history.borrow_mut().asks_end();
        let found = client.list_offsets(&wanted, Isolation::ReadUncommitted, now() + PATIENCE).await;
        let ends = found.map(|found| found.into_iter().map(|end| end.ok()?.offset).collect::<Vec<_>>());
        let ends = ends.unwrap_or_else(|_| vec![None; wanted.len()]);
        for ((partition, _), end) in wanted.iter().zip(&ends) {
            if let Some(end) = end {
                self.history.borrow_mut().told_end(begun, partition.partition, end.0);
            }
        }
        ends.into_iter().map(|end| end.map(|end| end.0)).collect()
    }

    /// Reads everything from the beginning to the end, when nothing is written any more.
    async fn read_everything(&self) {
        let mut consumer = self.consumer();
        loop {
            let ends = self.ask_ends(consumer.client()).await;
            while self.poll(99, &mut consumer).await > 0 {}
            let position = |at: usize| consumer.position(&TopicPartition::new(TOPIC, i32::try_from(at).unwrap_or(0)));
            let is_read = |(at, end): (usize, &Option<i64>)| end.is_some() && position(at).map(|p| p.0) >= *end;
            if ends.iter().enumerate().all(is_read) {
                return;
            }
        }
    }
}

fn value_of(record: &ConsumerRecord) -> u64 {
    let text = record.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).expect("what was sent is a number")
}

/// What happens to the nodes, one thing after the other, as the seed says.
fn trouble(sim: &mut turmoil::Sim<'_>, hosts: &[Host], seed: u64) {
    let mut state = seed.wrapping_add(77);
    let mut draw = |range: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % range
    };
    let steps = |sim: &mut turmoil::Sim<'_>, count: usize| {
        for _ in 0..count {
            sim.step().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    };
    steps(sim, 3000);
    for _ in 0..6 {
        let host = &hosts[draw(hosts.len())];
        match draw(4) {
            0 | 1 => {
                sim.crash(&*host.name);
                steps(sim, draw(1500));
                sim.bounce(&*host.name);
            }
            2 => {
                let others = hosts.iter().map(|other| &*other.name).filter(|name| *name != host.name);
                let others: Vec<&str> = others.chain([CLIENTS]).collect();
                let other = others[draw(others.len())];
                sim.partition(&*host.name, other);
                steps(sim, draw(4000));
                sim.repair(&*host.name, other);
            }
            _ => host.clock.set_ms(i64::try_from(draw(7_200_000)).unwrap_or(0) - 3_600_000),
        }
        steps(sim, 500 + draw(3000));
    }
    // Everybody is well again.
    steps(sim, 3000);
}

fn run(seed: u64) -> (Vec<Anomaly>, usize) {
    let (mut sim, hosts) = with_cluster(seed, node_count(), PROPERTIES);
    let shared = Shared {
        history: Rc::default(),
        next_value: Rc::default(),
        stop: Rc::default(),
        bootstrap: hosts.iter().map(|host| Peer::new(&*host.name, 9092)).collect(),
    };
    let clients = shared.clone();
    sim.client(CLIENTS, async move {
        clients.create_topic().await;
        tokio::join!(clients.produce(1), clients.produce(2), clients.consume(3));
        let read = timeout(Duration::from_secs(120), clients.read_everything()).await;
        read.map_err(|_| "the cluster does not give everything back")?;
        Ok(()) as Outcome
    });
    trouble(&mut sim, &hosts, seed);
    shared.stop.set(true);
    sim.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let history = shared.history.borrow();
    (history.anomalies(), history.acknowledged())
}

#[test]
fn clients_see_no_anomaly_whatever_happens_to_nodes_and_network() {
    for seed in seeds(6) {
        let (anomalies, acknowledged) = run(seed);
        assert_eq!(anomalies, [], "seed {seed}");
        assert!(acknowledged > 20, "seed {seed}: only {acknowledged} records were acknowledged");
    }
}
