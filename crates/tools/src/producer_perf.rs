//! `kafka-producer-perf-test.sh`: how fast records are written.

use std::time::Duration;

use bytes::Bytes;
use thalweg_client::{Delivery, Producer, ProducerConfig, ProducerRecord, Properties};
use thalweg_sys::task;
use thalweg_sys::time::{self, Instant, now};
use tokio::sync::mpsc;

use crate::admin::{self, block_on, client_config, config_exception, resolvable};
use crate::argparse::{Command, Group, Kind, Parsed, flag, value};
use crate::console_producer;
use crate::failure::Failure;
use crate::jopt::key_values;
use crate::out::Out;
use crate::perf;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "producer-perf-test",
    script: "kafka-producer-perf-test",
    classes: &["org.apache.kafka.tools.ProducerPerformance"],
    about: "Measure how fast records are written.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 1,
    empty_is_help: true,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::Main,
    run,
};

const PROPERTIES: &str = "PROP-NAME=PROP-VALUE";

const PROGRAM: Command = Command {
    name: "kafka-producer-perf-test",
    about: "Writes records as fast as it may, and prints rates and latencies.",
    options: &[
        value("bootstrap-server", "BOOTSTRAP-SERVER", "The brokers to begin with."),
        value("topic", "TOPIC", "The topic.").required(),
        value("num-records", "NUM-RECORDS", "How many records.").kind(Kind::Long).required(),
        value(
            "payload-delimiter",
            "PAYLOAD-DELIMITER",
            "What stands between the payloads of a file. Default: a line end.",
        ),
        value("throughput", "THROUGHPUT", "At most about so many records a second; no limit if -1.")
            .kind(Kind::Double)
            .required(),
        value("producer-props", PROPERTIES, "Deprecated: use --command-property.").several(),
        value("command-property", PROPERTIES, "Properties of the producer.").several(),
        value("producer.config", "CONFIG-FILE", "Deprecated: use --command-config."),
        value("command-config", "CONFIG-FILE", "A properties file for the producer."),
        flag("print-metrics", "Kafka's client metrics; this client has none, and nothing is printed."),
        value("transactional-id", "TRANSACTIONAL-ID", "Write in transactions of this id."),
        value("transaction-duration-ms", "TRANSACTION-DURATION", "How long a transaction lasts. Default: 3000.")
            .kind(Kind::Long),
        value("warmup-records", "WARMUP-RECORDS", "How many records are left out of a second summary.")
            .kind(Kind::Long),
        value("reporting-interval", "INTERVAL-MS", "How often progress is printed. Default: 5000.").kind(Kind::Long),
    ],
    groups: &[Group {
        required: true,
        options: &[
            value("record-size", "RECORD-SIZE", "Random payloads of so many bytes.").kind(Kind::Int),
            value("payload-file", "PAYLOAD-FILE", "Payloads of a file, by chance."),
            flag("payload-monotonic", "Numbers that count up."),
        ],
    }],
    ..Command::EMPTY
};

fn usage<T>(message: &str) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let sources = ["bootstrap-server", "command-property", "producer-props", "producer.config", "command-config"];
    if !sources.iter().any(|name| parsed.has(name)) {
        return usage(
            "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must \
             be specified.",
        );
    }
    for (old, new) in [("producer-props", "command-property"), ("producer.config", "command-config")] {
        if parsed.has(old) {
            out.line(format_args!(
                "Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead."
            ));
        }
    }
    let count = parsed.number::<i64>("num-records").unwrap_or(0);
    let warmup = parsed.number::<i64>("warmup-records").unwrap_or(0);
    if count <= 0 {
        return usage("--num-records should be greater than zero.");
    }
    if warmup >= count {
        return usage(
            "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
        );
    }
    if parsed.number::<i32>("record-size").is_some_and(|size| size <= 0) {
        return usage("--record-size should be greater than zero.");
    }
    let payloads = payloads(parsed, out)?;
    let properties = properties(parsed)?;
    let checked = client_config(&properties)?;
    let config = ProducerConfig::from_properties(&properties).map_err(|e| config_exception(e.to_string()))?;
    block_on(async {
        resolvable(&checked.bootstrap, out).await?;
        if warmup > 0 {
            out.line(format_args!(
                "Warmup first {warmup} records. Steady state results will print after the complete test summary."
            ));
        }
        let plan = Plan { count: count.unsigned_abs(), warmup: warmup.max(0).unsigned_abs(), payloads };
        measure(parsed, &plan, config, out).await
    })
}

fn properties(parsed: &Parsed) -> Result<Properties, Thrown> {
    let mut properties = admin::properties_of(parsed.value("command-config").or(parsed.value("producer.config")))?;
    for name in ["producer-props", "command-property"] {
        for (key, value) in key_values(parsed.values(name)) {
            properties.set(&key, &value);
        }
    }
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), None);
    let wants_transactions = parsed.has("transaction-duration-ms");
    match parsed.value("transactional-id") {
        Some(id) => properties.set("transactional.id", id),
        None if wants_transactions => {
            let id = thalweg_base::Uuid::from_random(thalweg_sys::random::bytes16());
            properties.set_default("transactional.id", &format!("performance-producer-{id}"));
        }
        None => {}
    }
    properties.set_default("client.id", "perf-producer-client");
    Ok(properties)
}

/// What is written.
enum Payloads {
    /// One random payload, over and over: making a new one each time would be measured too.
    Random(Bytes),
    Listed(Vec<Bytes>),
    Numbers,
}

fn payloads(parsed: &Parsed, out: &mut Out) -> Result<Payloads, Failure> {
    if let Some(size) = parsed.number::<i32>("record-size").and_then(|size| usize::try_from(size).ok()) {
        let letters = (0..size).map(|_| b'A' + (thalweg_sys::random::u64() % 26) as u8);
        return Ok(Payloads::Random(letters.collect::<Vec<u8>>().into()));
    }
    let Some(path) = parsed.value("payload-file") else { return Ok(Payloads::Numbers) };
    out.line(format_args!("Reading payloads from: {path}"));
    let text = admin::read_file(path).unwrap_or_default();
    if text.is_empty() {
        return Err(Thrown::illegal_argument("File does not exist or empty file provided.").into());
    }
    let delimiter = parsed.value("payload-delimiter").unwrap_or("\n").replace("\\n", "\n");
    let listed: Vec<Bytes> = text
        .split(&*delimiter)
        .filter(|part| !part.is_empty())
        .map(|part| Bytes::copy_from_slice(part.as_bytes()))
        .collect();
    out.line(format_args!("Number of records read: {}", listed.len()));
    Ok(Payloads::Listed(listed))
}

impl Payloads {
    fn next(&self, at: u64) -> Bytes {
        match self {
            Self::Random(bytes) => bytes.clone(),
            Self::Listed(listed) => listed[(thalweg_sys::random::u64() % listed.len() as u64) as usize].clone(),
            Self::Numbers => at.to_string().into(),
        }
    }
}

struct Plan {
    count: u64,
    warmup: u64,
    payloads: Payloads,
}

/// What was measured.
struct Stats {
    began: Instant,
    /// Milliseconds of each record.
    latencies: Vec<u32>,
    bytes: u64,
}

impl Stats {
    fn new() -> Self {
        Self { began: now(), latencies: Vec::new(), bytes: 0 }
    }

    fn record(&mut self, since: Instant, bytes: usize) {
        let ms = now().saturating_duration_since(since).as_millis();
        self.latencies.push(u32::try_from(ms).unwrap_or(u32::MAX));
        self.bytes += bytes as u64;
    }

    /// Records a second, megabytes a second, average and maximum latency.
    fn rates(&self) -> (f64, f64, f64, u32) {
        let seconds = (now().saturating_duration_since(self.began).as_millis().max(1)) as f64 / 1000.0;
        let count = self.latencies.len();
        let sum: u64 = self.latencies.iter().map(|ms| u64::from(*ms)).sum();
        let max = self.latencies.iter().copied().max().unwrap_or(0);
        let megabytes = perf::megabytes(self.bytes);
        (count as f64 / seconds, megabytes / seconds, sum as f64 / count.max(1) as f64, max)
    }

    fn window(&mut self, out: &mut Out) {
        let (rate, megabytes, average, max) = self.rates();
        out.line(format_args!(
            "{} records sent, {rate:.1} records/sec ({megabytes:.2} MB/sec), {average:.1} ms avg latency, {:.1} ms max latency.",
            self.latencies.len(),
            f64::from(max)
        ));
        out.flush();
        *self = Self::new();
    }

    fn total(&mut self, what: &str, out: &mut Out) {
        let (rate, megabytes, average, max) = self.rates();
        let count = self.latencies.len();
        self.latencies.sort_unstable();
        let quantile = |part: f64| {
            self.latencies.get((part * count as f64) as usize).or(self.latencies.last()).copied().unwrap_or(0)
        };
        out.line(format_args!(
            "{count}{what} records sent, {rate:.6} records/sec ({megabytes:.2} MB/sec), {average:.2} ms avg latency, {:.2} ms max \
             latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            f64::from(max),
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            quantile(0.999)
        ));
    }
}

/// How many records may wait for the one that looks at their deliveries.
const WAITING_MAX: usize = 50_000;

/// A record on its way: what it waits for, since when, its bytes, and whether it is behind the warm-up.
type Sent = (Delivery, Instant, usize, bool);

async fn measure(parsed: &Parsed, plan: &Plan, config: ProducerConfig, out: &mut Out) -> Result<(), Failure> {
    let failed = |e: &thalweg_client::Error| Failure::Thrown(console_producer::thrown(e));
    let millis = |name: &str, default: i64| {
        Duration::from_millis(parsed.number::<i64>(name).unwrap_or(default).max(1).unsigned_abs())
    };
    let throughput: f64 = parsed.number("throughput").unwrap_or(-1.0);
    let duration = millis("transaction-duration-ms", 3000);
    let is_transactional = config.transactional_id.is_some();
    let topic = parsed.value("topic").unwrap_or_default();
    let producer = Producer::new(config);
    let deadline = || producer.client().api_deadline();
    if is_transactional {
        producer.init_transactions(deadline()).await.map_err(|e| failed(&e))?;
    }
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let collector = task::spawn(collect(receiver, millis("reporting-interval", 5000)));
    let began = now();
    let mut transaction_began = None;
    for at in 0..plan.count {
        if is_transactional && transaction_began.is_none() {
            producer.begin_transaction().map_err(|e| failed(&e))?;
            transaction_began = Some(now());
        }
        let payload = plan.payloads.next(at);
        let (len, sent_at) = (payload.len(), now());
        let delivery = producer.send(ProducerRecord::new(topic, payload)).await.map_err(|e| failed(&e))?;
        if sender.send((delivery, sent_at, len, at >= plan.warmup)).await.is_err() {
            break;
        }
        if transaction_began.is_some_and(|began| now() >= began + duration) {
            producer.commit_transaction(deadline()).await.map_err(|e| failed(&e))?;
            transaction_began = None;
        }
        if throughput > 0.0 {
            time::sleep_until(began + Duration::from_secs_f64((at + 1) as f64 / throughput)).await;
        }
    }
    drop(sender);
    if transaction_began.is_some() {
        producer.commit_transaction(deadline()).await.map_err(|e| failed(&e))?;
    }
    producer.flush(deadline()).await.map_err(|e| failed(&e))?;
    let collected = collector.await.map_err(|e| Failure::Message(e.to_string()))?;
    let (mut all, mut steady) = collected;
    all.total("", out);
    if plan.warmup > 0 {
        steady.total(" steady state", out);
    }
    Ok(())
}

/// Waits for each record, and prints progress. Gives what was measured of all, and of those behind the warm-up.
async fn collect(mut sent: mpsc::Receiver<Sent>, interval: Duration) -> (Stats, Stats) {
    let mut out = Out::default();
    let (mut all, mut steady, mut window) = (Stats::new(), Stats::new(), Stats::new());
    while let Some((delivery, since, len, is_steady)) = sent.recv().await {
        match delivery.wait().await {
            Ok(_) => {
                all.record(since, len);
                window.record(since, len);
            }
            Err(error) => {
                out.error(console_producer::thrown(&error).trace().trim_end_matches('\n'));
                continue;
            }
        }
        if is_steady {
            if steady.latencies.is_empty() {
                steady.began = since;
            }
            steady.record(since, len);
        }
        if now().saturating_duration_since(window.began) >= interval {
            window.window(&mut out);
        }
    }
    (all, steady)
}
