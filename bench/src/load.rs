//! The clients: a producer as fast as it can, a producer on a schedule, a consumer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::broker::Broker;

/// How long any step may take before the measurement is given up.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How long a client waits between two looks at whether the broker lives.
const LOOK: Duration = Duration::from_secs(1);
/// How long a producer whose queue is full waits.
const FULL: Duration = Duration::from_millis(5);

/// Creates a topic whose name nobody has used.
pub fn create_topic(broker: &Broker, name: &str, partitions: i32) -> Result<String, String> {
    create_topic_with(broker, name, partitions, &[])
}

/// As [`create_topic`], with some of Kafka's own settings.
pub fn create_topic_with(
    broker: &Broker,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<String, String> {
    let topic = unused_name(name);
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(broker.replicas));
    create(broker, settings.iter().fold(new, |new, (name, value)| new.set(name, value)), PATIENCE)?;
    Ok(topic)
}

/// As [`create_topic`], with the replicas of each partition, of which the first leads. Gives up after `patience`.
pub fn create_placed(
    broker: &Broker,
    name: &str,
    partitions: i32,
    replicas: &[i32],
    patience: Duration,
) -> Result<String, String> {
    let topic = unused_name(name);
    let placed = vec![replicas; partitions as usize];
    create(broker, NewTopic::new(&topic, partitions, TopicReplication::Variable(&placed)), patience)?;
    Ok(topic)
}

fn unused_name(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("bench-{name}-{}-{count}", std::process::id())
}

fn create(broker: &Broker, new: NewTopic<'_>, patience: Duration) -> Result<(), String> {
    let admin = admin(broker)?;
    let options = AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
    let created = wait(admin.create_topics([&new], &options))?;
    match created.first() {
        Some(Ok(_)) => Ok(()),
        other => Err(format!("topic {} was not created: {other:?}", new.name)),
    }
}

/// Deletes a topic, so that the page cache is free for the next work.
pub fn delete_topic(broker: &Broker, topic: &str) -> Result<(), String> {
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    wait(admin(broker)?.delete_topics(&[topic], &options)).map(drop)
}

/// Sets all of a topic's own settings.
pub fn alter_topic(broker: &Broker, topic: &str, settings: &[(&str, &str)]) -> Result<(), String> {
    let new = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
    let altered = wait(admin(broker)?.alter_configs([&new], &AdminOptions::new()))?;
    match altered.first() {
        Some(Ok(_)) => Ok(()),
        other => Err(format!("topic {topic} was not altered: {other:?}")),
    }
}

fn admin(broker: &Broker) -> Result<AdminClient<DefaultClientContext>, String> {
    broker.config().create().map_err(|e| e.to_string())
}

/// Runs a future of the admin client, which completes on a thread of its own.
fn wait<T>(future: impl Future<Output = Result<T, KafkaError>>) -> Result<T, String> {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => return result.map_err(|e| e.to_string()),
            std::task::Poll::Pending => thread::park(),
        }
    }
}

/// Counts what was delivered and what was not.
#[derive(Default)]
struct Deliveries {
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn producer(broker: &Broker, settings: &[(&str, &str)]) -> Result<BaseProducer<Deliveries>, String> {
    let mut config = broker.config();
    config.set("acks", "all").set("queue.buffering.max.messages", "500000").set("queue.buffering.max.kbytes", "200000");
    config.set("message.max.bytes", "2000000");
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config.create_with_context(Deliveries::default()).map_err(|e| e.to_string())
}

/// Waits until all is delivered, as long as the broker lives.
fn finish(broker: &Broker, producer: &BaseProducer<Deliveries>) -> Result<(), String> {
    let began = Instant::now();
    while let Err(e) = producer.flush(LOOK) {
        broker.check()?;
        if began.elapsed() > PATIENCE {
            return Err(format!("not everything was delivered: {e}"));
        }
    }
    match producer.context().failed.load(Ordering::Relaxed) {
        0 => Ok(()),
        failed => Err(format!("{failed} records were not delivered")),
    }
}

/// A producer that sends as fast as it can.
#[derive(Clone, Copy)]
pub struct Production {
    /// librdkafka's settings beside `acks=all`.
    pub settings: &'static [(&'static str, &'static str)],
    /// The size of each record's value.
    pub record_bytes: usize,
    /// How many different keys there are; without any, records have none.
    pub keys: usize,
}

impl Production {
    /// Produces so many bytes to the partitions in turn and waits until all are acknowledged. Gives the number of
    /// records.
    pub fn run(self, broker: &Broker, topic: &str, bytes: usize) -> Result<usize, String> {
        let producer = producer(broker, self.settings)?;
        let value: Vec<u8> = (0..self.record_bytes).map(|at| b'a' + (at % 26) as u8).collect();
        let (records, mut looked) = (bytes / self.record_bytes, Instant::now());
        for at in 0..records {
            let partition = (at % crate::work::PARTITIONS as usize) as i32;
            let key = at.checked_rem(self.keys).map(|key| key.to_be_bytes());
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(&value).partition(partition);
            if let Some(key) = &key {
                record = record.key(&key[..]);
            }
            loop {
                match producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                        record = back;
                        producer.poll(FULL);
                        if looked.elapsed() > LOOK {
                            broker.check()?;
                            looked = Instant::now();
                        }
                    }
                    Err((e, _)) => return Err(e.to_string()),
                }
            }
            if at % 1000 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        finish(broker, &producer)?;
        Ok(records)
    }
}

fn consumer(broker: &Broker, topic: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<BaseConsumer, String> {
    let mut config = broker.config();
    config.set("group.id", "bench").set("enable.auto.commit", "false");
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    let consumer: BaseConsumer = config.create().map_err(|e| e.to_string())?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).map_err(|e| e.to_string())?;
    }
    consumer.assign(&assignment).map_err(|e| e.to_string())?;
    Ok(consumer)
}

/// Consumes so many records from the beginning.
pub fn consume(broker: &Broker, topic: &str, partitions: i32, records: usize) -> Result<usize, String> {
    let consumer = consumer(broker, topic, partitions, &[])?;
    let (mut seen, began) = (0, Instant::now());
    while seen < records {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(_)) => seen += 1,
            Some(Err(e)) => return Err(e.to_string()),
            None if began.elapsed() > PATIENCE => return Err(format!("only {seen} of {records} records came")),
            None => broker.check()?,
        }
    }
    Ok(seen)
}

/// How many records the partitions of a topic hold together, by their first and last offsets.
pub fn count_records(broker: &Broker, topic: &str, partitions: i32) -> Result<i64, String> {
    let consumer: BaseConsumer = broker.config().create().map_err(|e| e.to_string())?;
    let mut count = 0;
    for partition in 0..partitions {
        let ends = consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(|e| e.to_string())?;
        count += ends.1 - ends.0;
    }
    Ok(count)
}

/// Records on a schedule. Each carries when it was *due*: a producer or broker that stalls makes late records, it does
/// not make fewer (no coordinated omission).
#[derive(Clone, Copy)]
pub struct Latency {
    /// Records a second.
    pub rate: u32,
    /// For how long.
    pub time: Duration,
}

/// Records of the first part of a run are not counted: connections and caches are cold.
pub const WARM_UP: Duration = Duration::from_secs(1);
const LATENCY_RECORD_BYTES: usize = 100;

impl Latency {
    /// The time from when each record was due until a consumer had it.
    pub fn run(self, broker: &Broker, topic: &str, partitions: i32) -> Result<Vec<Duration>, String> {
        let reading = consumer(broker, topic, partitions, &[("fetch.wait.max.ms", "500")])?;
        // The first poll starts the fetching.
        let _ = reading.poll(Duration::from_millis(500));
        let producer = producer(broker, &[("linger.ms", "0")])?;
        let origin = Instant::now();
        let stop = AtomicBool::new(false);
        let records = self.rate as usize * (self.time + WARM_UP).as_secs() as usize;
        thread::scope(|scope| {
            let read = scope.spawn(|| read_times(broker, &reading, origin, records, &stop));
            let polling = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    producer.poll(Duration::from_millis(50));
                }
            });
            let sent = on_schedule(&producer, (topic, partitions), self.rate, origin, |sent| sent < records);
            let sent = sent.and_then(|_| finish(broker, &producer));
            if sent.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            let times = read.join().map_err(|_| "the consumer has failed".to_owned())?;
            stop.store(true, Ordering::Relaxed);
            polling.join().map_err(|_| "the producer has failed".to_owned())?;
            sent.and(times)
        })
    }
}

/// Sends records on a schedule, so many a second to the partitions in turn, while `goes_on` says so of how many were sent. Each
/// carries when it is due, as [`due_of`] reads it. Gives the number of records.
pub fn on_schedule<C: ProducerContext<DeliveryOpaque = ()>>(
    producer: &BaseProducer<C>,
    (topic, partitions): (&str, i32),
    rate: u32,
    origin: Instant,
    goes_on: impl Fn(usize) -> bool,
) -> Result<usize, String> {
    let (mut value, mut sent) = ([b'x'; LATENCY_RECORD_BYTES], 0);
    while goes_on(sent) {
        let due = Duration::from_secs_f64(sent as f64 / f64::from(rate));
        if let Some(wait) = due.checked_sub(origin.elapsed()) {
            thread::sleep(wait);
        }
        value[..8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        let record = BaseRecord::<(), [u8]>::to(topic).payload(&value[..]).partition(sent as i32 % partitions);
        producer.send(record).map_err(|(e, _)| e.to_string())?;
        sent += 1;
    }
    Ok(sent)
}

/// When a record of [`on_schedule`] was due.
pub fn due_of(record: &impl Message) -> Option<Duration> {
    let due = record.payload()?.first_chunk::<8>()?;
    Some(Duration::from_nanos(u64::from_be_bytes(*due)))
}

fn read_times(
    broker: &Broker,
    consumer: &BaseConsumer,
    origin: Instant,
    records: usize,
    stop: &AtomicBool,
) -> Result<Vec<Duration>, String> {
    let mut times = Vec::with_capacity(records);
    let mut seen = 0;
    while seen < records && !stop.load(Ordering::Relaxed) && origin.elapsed() < PATIENCE {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            broker.check()?;
            continue;
        };
        let message = message.map_err(|e| e.to_string())?;
        let due = due_of(&message).ok_or("a record has no time")?;
        seen += 1;
        if due >= WARM_UP {
            times.push(origin.elapsed().saturating_sub(due));
        }
    }
    if seen < records { Err(format!("only {seen} of {records} records came")) } else { Ok(times) }
}
