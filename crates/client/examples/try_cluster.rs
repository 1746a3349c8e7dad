//! Tries the client against any cluster: writes and reads records of 1 KiB, as a member of groups too, commits and aborts
//! transactions, and prints how fast that went.
//!
//! `cargo run --release -p thalweg-client --example try_cluster -- HOST:PORT [RECORDS] [PROPERTY=VALUE ...]`

use std::error::Error;
use std::time::Duration;

use thalweg_base::TopicPartition;
use thalweg_client::{
    Client, ClientConfig, Consumer, ConsumerConfig, Destination, Producer, ProducerConfig, ProducerRecord, Properties,
    Start,
};
use thalweg_sys::time::{Instant, now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;
use thalweg_wire::messages::{ApiVersionsRequest, DeleteTopicsRequest};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PARTITIONS: i32 = 3;
const RECORD_BYTES: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().ok_or("HOST:PORT is missing")?;
    let records: usize = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let mut properties = Properties::from_iter([("bootstrap.servers", bootstrap)]);
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or("a property is NAME=VALUE")?;
        properties.set(name, value);
    }
    let client = Client::new(ClientConfig::from_properties(&properties)?);
    let connection = client.connection(&Destination::Any, thalweg_client::Lane::Requests, now() + PATIENCE).await?;
    println!("{} has {} APIs", connection.peer(), connection.versions().all().count());
    connection.send(&ApiVersionsRequest::default(), now() + PATIENCE).await?;
    let topic = format!("try-{:016x}", thalweg_sys::random::u64());
    create(&client, &topic).await?;
    produce(&properties, &topic, records).await?;
    assigned(&properties, &topic, records).await?;
    for protocol in ["classic", "consumer"] {
        subscribed(&properties, &topic, protocol, records).await?;
    }
    transactions(&properties, &topic).await?;
    let names = vec![DeleteTopicState { name: Some(topic.as_str().into()), ..DeleteTopicState::default() }];
    let legacy = vec![topic.as_str().into()];
    let version = connection.version(thalweg_wire::ApiKey::DeleteTopics)?;
    let request = match version {
        6.. => DeleteTopicsRequest { topics: names, timeout_ms: 10_000, ..DeleteTopicsRequest::default() },
        _ => DeleteTopicsRequest { topic_names: legacy, timeout_ms: 10_000, ..DeleteTopicsRequest::default() },
    };
    client.send(Destination::Controller, &request).await?;
    Ok(())
}

async fn create(client: &Client, topic: &str) -> Outcome<()> {
    let new = CreatableTopic {
        name: topic.into(),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![new], timeout_ms: 10_000, ..CreateTopicsRequest::default() };
    let response = client.send(Destination::Controller, &request).await?;
    let code = response.topics.first().map_or(0, |topic| topic.error_code);
    match ErrorCode::from(code) {
        ErrorCode::None => Ok(()),
        code => Err(format!("{topic} was not created: {code}").into()),
    }
}

fn report(what: &str, records: usize, began: Instant) {
    let seconds = now().saturating_duration_since(began).as_secs_f64();
    let megabytes = (records * RECORD_BYTES) as f64 / 1e6;
    println!("{what}: {records} records in {seconds:.2} s, {:.0} MB/s", megabytes / seconds);
}

async fn produce(properties: &Properties, topic: &str, records: usize) -> Outcome<()> {
    let began = now();
    let producer = Producer::new(ProducerConfig::from_properties(properties)?);
    let value = bytes::Bytes::from(vec![b'x'; RECORD_BYTES]);
    let mut last = None;
    for _ in 0..records {
        last = Some(producer.send(ProducerRecord::new(topic, value.clone())).await?);
    }
    producer.flush(now() + PATIENCE).await?;
    if let Some(delivery) = last {
        delivery.wait().await?;
    }
    report("produced", records, began);
    Ok(())
}

async fn drain(consumer: &mut Consumer, records: usize) -> Outcome<usize> {
    let deadline = now() + PATIENCE;
    let mut count = 0;
    while count < records && now() < deadline {
        count += consumer.poll_for(Duration::from_secs(1)).await?.len();
    }
    // Nothing comes twice.
    count += consumer.poll_for(Duration::from_millis(700)).await?.len();
    if count == records { Ok(count) } else { Err(format!("{count} records were read instead of {records}").into()) }
}

async fn assigned(properties: &Properties, topic: &str, records: usize) -> Outcome<()> {
    let began = now();
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(properties)?);
    consumer.assign((0..PARTITIONS).map(|index| (TopicPartition::new(topic, index), Start::Beginning)));
    drain(&mut consumer, records).await?;
    report("read", records, began);
    Ok(())
}

async fn subscribed(properties: &Properties, topic: &str, protocol: &str, records: usize) -> Outcome<()> {
    let began = now();
    let mut properties = properties.clone();
    properties.set("group.id", &format!("{topic}-{protocol}"));
    properties.set("group.protocol", protocol);
    properties.set("auto.offset.reset", "earliest");
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(&properties)?);
    consumer.subscribe([topic])?;
    drain(&mut consumer, records).await?;
    consumer.close(now() + PATIENCE).await?;
    report(&format!("read in a group ({protocol})"), records, began);
    let mut again = Consumer::new(ConsumerConfig::from_properties(&properties)?);
    again.subscribe([topic])?;
    drain(&mut again, 0).await?;
    again.close(now() + PATIENCE).await?;
    Ok(())
}

async fn transactions(properties: &Properties, topic: &str) -> Outcome<()> {
    let mut transactional = properties.clone();
    transactional.set("transactional.id", topic);
    let producer = Producer::new(ProducerConfig::from_properties(&transactional)?);
    producer.init_transactions(now() + PATIENCE).await?;
    for (value, commits) in [("a", true), ("b", false), ("c", true)] {
        producer.begin_transaction()?;
        let record = ProducerRecord { partition: Some(0), ..ProducerRecord::new(topic, value).with_key("transaction") };
        producer.send(record).await?.wait().await?;
        match commits {
            true => producer.commit_transaction(now() + PATIENCE).await?,
            false => producer.abort_transaction(now() + PATIENCE).await?,
        }
    }
    let mut committed = properties.clone();
    committed.set("isolation.level", "read_committed");
    let mut consumer = Consumer::new(ConsumerConfig::from_properties(&committed)?);
    consumer.assign([(TopicPartition::new(topic, 0), Start::Beginning)]);
    let mut values = Vec::new();
    let deadline = now() + PATIENCE;
    while values.len() < 2 && now() < deadline {
        let records = consumer.poll_for(Duration::from_secs(1)).await?;
        values.extend(records.into_iter().filter(|record| record.key.is_some()).filter_map(|record| record.value));
    }
    match values.as_slice() {
        [a, c] if &a[..] == b"a" && &c[..] == b"c" => println!("transactions: two committed, one aborted"),
        other => return Err(format!("committed records are {other:?}").into()),
    }
    Ok(())
}
