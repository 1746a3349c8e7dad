//! The clients of a story, which record what they do and see.

mod members;
mod moves;
mod transactions;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use thalweg_base::{Offset, TopicPartition};
use thalweg_client::{
    Client, ClientConfig, Consumer, ConsumerConfig, ConsumerRecord, Destination, Isolation, OffsetSpec, Producer,
    ProducerConfig, ProducerRecord, Start,
};
use thalweg_sys::time::{now, sleep, timeout};
use thalweg_wire::messages::CreateTopicsRequest;
use thalweg_wire::messages::create_topics_request::CreatableTopic;

use super::health::Health;
use super::topics::{PARTITIONS, PLAIN, TOPICS, TRANSACTIONAL, Topic};
use super::{HEALING_MAX, REPLICAS, Shared};
use crate::history::Outcome;
use crate::story::pause;

/// How long a client waits for one thing before it gives up.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a producer rests after each record.
const BETWEEN_SENDS: Duration = Duration::from_millis(20);
/// How long nobody asks how the cluster is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// The consumer that reads everything in the end.
const LAST_READER: u32 = 99;

/// All clients of one story.
#[derive(Clone)]
pub(super) struct Clients {
    shared: Shared,
    next_value: Rc<Cell<u64>>,
}

impl Clients {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared, next_value: Rc::default() }
    }

    /// Does everything, from the first topic to the last read.
    pub(super) async fn run(&self) -> Result<(), String> {
        for topic in TOPICS {
            self.create_topic(topic).await;
        }
        self.shared.ready.set(true);
        tokio::join!(
            self.produce(1),
            self.produce(2),
            self.transact(3),
            self.transact(4),
            self.consume(5, PLAIN),
            self.consume(6, TRANSACTIONAL),
            self.move_leaders(),
            self.look_after_health()
        );
        let begun = self.shared.clock.get();
        while let Err(ill) = Health::look(&self.shared).await {
            if u128::from(self.shared.clock.get() - begun) > HEALING_MAX.as_millis() {
                return Err(format!("the cluster does not heal: {ill}"));
            }
            pause().await;
        }
        for topic in TOPICS {
            let read = timeout(HEALING_MAX, self.read_everything(topic)).await;
            read.map_err(|_| format!("the cluster does not give everything of {} back", topic.name))?;
        }
        Ok(())
    }

    fn client_config(&self) -> ClientConfig {
        let (request_timeout, api_timeout) = (Duration::from_secs(2), PATIENCE);
        ClientConfig { request_timeout, api_timeout, ..ClientConfig::new(self.shared.peers.clone()) }
    }

    fn consumer(&self, topic: Topic) -> Consumer {
        let mut consumer =
            Consumer::new(ConsumerConfig { isolation: topic.isolation, ..ConsumerConfig::new(self.client_config()) });
        let partitions = topic.partitions().map(|partition| TopicPartition::new(topic.name, partition));
        consumer.assign(partitions.map(|partition| (partition, Start::Beginning)));
        consumer
    }

    /// A value that was not sent yet.
    fn value(&self) -> u64 {
        let value = self.next_value.get();
        self.next_value.set(value + 1);
        value
    }

    /// Creates a topic as soon as the cluster takes it.
    async fn create_topic(&self, topic: Topic) {
        let name = topic.name;
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: PARTITIONS,
            replication_factor: REPLICAS,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5000, ..CreateTopicsRequest::default() };
        loop {
            // One that has heard that there is no such topic does not ask again at once.
            let client = Client::new(self.client_config());
            let _ = client.send(Destination::Controller, &request).await;
            let cluster = client.topics(&[name], now() + PATIENCE).await;
            if cluster.is_ok_and(|cluster| cluster.partition(name, PARTITIONS - 1).is_some()) {
                return;
            }
            pause().await;
        }
    }

    async fn look_after_health(&self) {
        while !self.shared.stop.get() {
            let _ = Health::look(&self.shared).await;
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Sends one value after the other to all partitions in turn, with an idempotent producer.
    async fn produce(&self, id: u32) {
        let mut config = ProducerConfig::new(self.client_config());
        (config.delivery_timeout, config.linger) = (PATIENCE, Duration::ZERO);
        let producer = Producer::new(config);
        while !self.shared.stop.get() {
            let value = self.value();
            let partition = i32::try_from(value % PARTITIONS as u64).unwrap_or(0);
            let pending = self.shared.history.borrow_mut().sends(id, PLAIN.key(partition), value);
            let record =
                ProducerRecord { partition: Some(partition), ..ProducerRecord::new(PLAIN.name, value.to_string()) };
            let outcome = outcome_of(&producer, record).await;
            self.shared.history.borrow_mut().sent(pending, outcome);
            sleep(BETWEEN_SENDS).await;
        }
    }

    /// Reads along, and asks now and then where the logs end.
    async fn consume(&self, id: u32, topic: Topic) {
        let mut consumer = self.consumer(topic);
        while !self.shared.stop.get() {
            let _ = self.poll(id, topic, &mut consumer).await;
            self.ask_ends(topic, consumer.client()).await;
            pause().await;
        }
    }

    /// One poll; says how many records it gave.
    async fn poll(&self, id: u32, topic: Topic, consumer: &mut Consumer) -> usize {
        let partitions: Vec<TopicPartition> = consumer.assignment().cloned().collect();
        let before: Vec<Option<Offset>> = partitions.iter().map(|partition| consumer.position(partition)).collect();
        let Ok(records) = consumer.poll_for(Duration::from_millis(300)).await else { return 0 };
        for (partition, from) in partitions.iter().zip(before) {
            let own: Vec<&ConsumerRecord> = records.iter().filter(|r| r.partition == partition.partition).collect();
            let values = own.iter().map(|record| (record.offset.0, value_of(record))).collect();
            let from = from.map_or(0, |offset| offset.0);
            self.shared.history.borrow_mut().polled(id, topic.key(partition.partition), from, values);
        }
        records.len()
    }

    /// Where the logs end, as far as the topic's consumers may read.
    async fn ask_ends(&self, topic: Topic, client: &Client) -> Vec<Option<i64>> {
        let partitions = topic.partitions().map(|partition| TopicPartition::new(topic.name, partition));
        let wanted: Vec<_> = partitions.map(|partition| (partition, OffsetSpec::Latest)).collect();
        let begun = self.shared.history.borrow_mut().asks_end();
        let found = client.list_offsets(&wanted, topic.isolation, now() + PATIENCE).await;
        let ends = found.map(|found| found.into_iter().map(|end| end.ok()?.offset).collect::<Vec<_>>());
        let ends = ends.unwrap_or_else(|_| vec![None; wanted.len()]);
        for ((partition, _), end) in wanted.iter().zip(&ends) {
            // What is acknowledged in an open transaction is not to be read yet; and a leader that has not heard of its
            // successor tells where its own log ends, as in Kafka.
            let is_promised = topic.isolation == Isolation::ReadUncommitted && self.shared.stop.get();
            if let Some(end) = end.filter(|_| is_promised) {
                self.shared.history.borrow_mut().told_end(begun, topic.key(partition.partition), end.0);
            }
        }
        ends.into_iter().map(|end| end.map(|end| end.0)).collect()
    }

    /// Reads everything from the beginning to the end, when nothing is written any more.
    async fn read_everything(&self, topic: Topic) {
        let mut consumer = self.consumer(topic);
        loop {
            let ends = self.ask_ends(topic, consumer.client()).await;
            while self.poll(LAST_READER, topic, &mut consumer).await > 0 {}
            let position =
                |at: usize| consumer.position(&TopicPartition::new(topic.name, i32::try_from(at).unwrap_or(0)));
            let is_read = |(at, end): (usize, &Option<i64>)| end.is_some() && position(at).map(|p| p.0) >= *end;
            if ends.iter().enumerate().all(is_read) {
                return;
            }
        }
    }
}

/// Sends a record, and waits for what becomes of it.
async fn outcome_of(producer: &Producer, record: ProducerRecord) -> Outcome {
    let sent = match producer.send(record).await {
        Ok(delivery) => delivery.wait().await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(written) => written.offset.map_or(Outcome::Written, |offset| Outcome::Acknowledged(offset.0)),
        Err(_) => Outcome::Unknown,
    }
}

fn value_of(record: &ConsumerRecord) -> u64 {
    let text = record.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).expect("what was sent is a number")
}
