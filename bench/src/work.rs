//! What is measured: each work is one way in which people use a broker.

use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::load::{self, Latency, Production};
use crate::raw;

/// One way to load a broker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The batches that librdkafka makes with a little linger.
    Produce1K,
    /// The batches of 16 KiB that the Java client sends by default.
    Produce16K,
    /// Many small records as soon as they come.
    Produce100B,
    /// Reading what was produced, from the beginning.
    Consume1K,
    /// Records on a schedule, from the producer's call to the consumer's hand.
    Latency1000,
    /// The same, ten times as many.
    Latency10000,
    /// Clients that connect, ask one thing and go.
    Connections,
}

/// How many connections come and go.
const CONNECTIONS: usize = 2_000;

/// The partitions of each topic.
pub const PARTITIONS: i32 = 4;

/// A measured figure: its name with the unit, and the value.
pub type Figure = (&'static str, f64);

const CPU: &str = "CPU s/GB";

impl Work {
    /// Every work, in the order in which a round plays them.
    pub const ALL: [Self; 7] = [
        Self::Produce1K,
        Self::Produce16K,
        Self::Produce100B,
        Self::Consume1K,
        Self::Latency1000,
        Self::Latency10000,
        Self::Connections,
    ];

    /// A name for tables and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce1K => "produce-1k",
            Self::Produce16K => "produce-16k-batches",
            Self::Produce100B => "produce-100b",
            Self::Consume1K => "consume-1k",
            Self::Latency1000 => "latency-1000",
            Self::Latency10000 => "latency-10000",
            Self::Connections => "connections-2000",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Produce1K => "produce records of 1 KiB, acks=all, linger 5 ms",
            Self::Produce16K => "produce records of 1 KiB in idempotent batches of 16 KiB, five in flight",
            Self::Produce100B => "produce records of 100 B, acks=all, linger 0",
            Self::Consume1K => "consume records of 1 KiB from the beginning",
            Self::Latency1000 => "1,000 records a second of 100 B from end to end, linger 0",
            Self::Latency10000 => "10,000 records a second of 100 B from end to end, linger 0",
            Self::Connections => "2,000 connections one after the other, each with one request",
        }
    }

    /// The settings and the size of its records, for works that produce.
    pub fn production(self) -> Production {
        let settings: &[(&str, &str)] = match self {
            Self::Produce16K => &[
                ("enable.idempotence", "true"),
                ("linger.ms", "5"),
                ("batch.size", "16384"),
                ("max.in.flight.requests.per.connection", "5"),
            ],
            Self::Produce100B => &[("linger.ms", "0")],
            _ => &[("linger.ms", "5")],
        };
        let record_bytes = if self == Self::Produce100B { 100 } else { 1024 };
        Production { settings, record_bytes, keys: 0 }
    }

    /// Plays it once against `broker`.
    pub fn play(self, broker: &Broker, megabytes: usize, seconds: u64) -> Result<Vec<Figure>, String> {
        broker.check()?;
        let topic = load::create_topic(broker, self.name(), PARTITIONS)?;
        let figures = self.measure(broker, &topic, megabytes, seconds);
        broker.check()?;
        let deleted = load::delete_topic(broker, &topic);
        figures.and_then(|figures| deleted.map(|()| figures))
    }

    fn measure(self, broker: &Broker, topic: &str, megabytes: usize, seconds: u64) -> Result<Vec<Figure>, String> {
        match self {
            Self::Produce1K | Self::Produce16K | Self::Produce100B => {
                // Small records cost more: fewer megabytes say as much.
                let bytes = if self == Self::Produce100B { megabytes * 200_000 } else { megabytes * 1_000_000 };
                self.production().run(broker, topic, 1_000_000)?;
                per_gigabyte(broker, bytes, || self.production().run(broker, topic, bytes))
            }
            Self::Consume1K => {
                let bytes = megabytes * 1_000_000;
                let records = self.production().run(broker, topic, bytes)?;
                per_gigabyte(broker, bytes, || load::consume(broker, topic, PARTITIONS, records))
            }
            Self::Latency1000 => latency(broker, topic, 1_000, seconds),
            Self::Latency10000 => latency(broker, topic, 10_000, seconds),
            Self::Connections => connections(broker),
        }
    }
}

/// What a new connection costs, once the broker has seen some.
fn connections(broker: &Broker) -> Result<Vec<Figure>, String> {
    raw::coming_and_going(broker, CONNECTIONS / 10)?;
    broker.settle();
    let before = broker.cpu();
    raw::coming_and_going(broker, CONNECTIONS)?;
    Ok(vec![("CPU ms a connection", broker.cpu_seconds_since(&before) * 1000.0 / CONNECTIONS as f64)])
}

/// The broker's CPU time and the speed of a work that moves so many bytes.
pub fn per_gigabyte<T>(
    broker: &Broker,
    bytes: usize,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<Vec<Figure>, String> {
    broker.settle();
    let (before, began) = (broker.cpu(), Instant::now());
    work()?;
    let (cpu, took) = (broker.cpu_seconds_since(&before), began.elapsed());
    let gigabytes = bytes as f64 / 1e9;
    Ok(vec![(CPU, cpu / gigabytes), ("MB/s", gigabytes * 1000.0 / took.as_secs_f64())])
}

/// How late the records of a schedule come.
pub fn latency(broker: &Broker, topic: &str, rate: u32, seconds: u64) -> Result<Vec<Figure>, String> {
    broker.settle();
    let latency = Latency { rate, time: Duration::from_secs(seconds) };
    let mut times = latency.run(broker, topic, PARTITIONS)?;
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    Ok(vec![("p50 ms", at(0.5)), ("p99 ms", at(0.99)), ("p99.9 ms", at(0.999))])
}
