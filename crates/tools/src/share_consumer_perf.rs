//! `kafka-share-consumer-perf-test.sh`: measures how fast records are read by members of a share group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_base::Timestamp;
use thalweg_client::{Properties, ShareConsumer};
use thalweg_sys::task;
use thalweg_sys::time::{self, Instant, now};

use crate::admin::{self, block_on, client_config, resolvable};
use crate::console_consumer::{consumer_config, thrown};
use crate::consumer_perf::rate;
use crate::date;
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, key_values, optional_number, value};
use crate::options::BOOTSTRAP_SERVER;
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "share-consumer-perf-test",
    script: "kafka-share-consumer-perf-test",
    classes: &["org.apache.kafka.tools.ShareConsumerPerformance"],
    about: "Measure how fast records are read by members of a share group.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool is used to verify the share consumer performance.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-share-consumer-perf-test --bootstrap-server localhost:9092 --topic tasks --num-records 100000 --threads 4",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    value("topic", "topic", "The topic."),
    value("group", "gid", "The share group. Default: perf-share-consumer."),
    value("fetch-size", "size", "The most that one fetch brings. Default: 1048576."),
    value("command-property", "prop1=val1", "A property of the consumers, as key=value. May be repeated."),
    value("socket-buffer-size", "size", "The size of the socket's buffer. Default: 2097152."),
    value("consumer.config", "config file", "Deprecated: use --command-config."),
    value("command-config", "config file", "A properties file for the consumers."),
    flag("print-metrics", "Accepted; this consumer has no metrics to print."),
    flag("show-detailed-stats", "Print a line for each interval of each member."),
    optional_number("timeout", "milliseconds", "End when no record has come for so long. Default: 10000."),
    value("messages", "count", "Deprecated: use --num-records."),
    value("num-records", "count", "How many records to read."),
    value("reporting-interval", "interval_ms", "How long an interval is. Default: 5000."),
    value(
        "date-format",
        "date format",
        "How times are printed, as Java's SimpleDateFormat. Default: yyyy-MM-dd HH:mm:ss:SSS.",
    ),
    flag("hide-header", "Print no head line."),
    value("threads", "count", "How many members share the work. Default: 1."),
    flag("show-consumer-stats", "Print a line for each member in the end."),
];

/// How many members there may be: each has connections of its own.
const MEMBERS_MAX: i32 = 1000;

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["topic", "bootstrap-server"])?;
    line.require_one_of(&["messages", "num-records"])?;
    line.forbid("consumer.config", &["command-config"])?;
    if line.has("messages") {
        out.line("Warning: --messages is deprecated. Use --num-records instead.");
    }
    if line.has("consumer.config") {
        out.line("Warning: --consumer.config is deprecated. Use --command-config instead.");
    }
    let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let plan = Plan {
        topic: line.value("topic")?.unwrap_or_default().to_owned(),
        records: line.number::<i64>("messages")?.or(line.number("num-records")?).unwrap_or(0).max(0).unsigned_abs(),
        timeout: millis(line.number::<i64>("timeout")?.unwrap_or(10_000)),
        interval: millis(line.number::<i64>("reporting-interval")?.unwrap_or(5000)),
        is_detailed: line.has("show-detailed-stats"),
        date_format: line.value("date-format")?.unwrap_or("yyyy-MM-dd HH:mm:ss:SSS").to_owned(),
        read: AtomicU64::new(0),
    };
    let members = line.number::<i32>("threads")?.unwrap_or(1).clamp(1, MEMBERS_MAX);
    if !line.has("hide-header") {
        out.line("start.time, end.time, data.consumed.in.MB, MB.sec, nMsg.sec, data.consumed.in.nMsg, fetch.time.ms");
    }
    out.flush();
    let properties = properties(line)?;
    block_on(measure(line, &properties, Arc::new(plan), members, out))
}

fn properties(line: &Line) -> Result<Properties, Thrown> {
    let path = line.value("consumer.config")?.or(line.value("command-config")?);
    let mut properties = admin::properties_of(path)?;
    for (key, value) in key_values(line.values("command-property")) {
        properties.set(&key, &value);
    }
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set("group.id", line.value("group")?.unwrap_or("perf-share-consumer"));
    let fetch = line.number::<i32>("fetch-size")?.unwrap_or(1024 * 1024);
    properties.set("fetch.max.bytes", &fetch.to_string());
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-share-consumer-client");
    Ok(properties)
}

/// What is measured.
struct Plan {
    topic: String,
    records: u64,
    timeout: Duration,
    interval: Duration,
    is_detailed: bool,
    date_format: String,
    /// What all members have read.
    read: AtomicU64,
}

impl Plan {
    fn date(&self, at: i64) -> String {
        date::formatted(&self.date_format, Timestamp(at))
    }

    /// A line of numbers: what was read between two times.
    fn stats(&self, count: Count, began: i64, ended: i64) -> String {
        let took = Duration::from_millis(u64::try_from(ended - began).unwrap_or(0));
        let megabytes = count.bytes as f64 / MEGABYTE;
        format!(
            "{}, {}, {megabytes:.4}, {}, {}, {}, {}",
            self.date(began),
            self.date(ended),
            rate(megabytes, took),
            rate(count.records as f64, took),
            count.records,
            took.as_millis()
        )
    }
}

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Records and their bytes.
#[derive(Clone, Copy, Default)]
struct Count {
    records: u64,
    bytes: u64,
}

async fn measure(
    line: &Line,
    properties: &Properties,
    plan: Arc<Plan>,
    members: i32,
    out: &mut Out,
) -> Result<(), Failure> {
    resolvable(&client_config(properties)?.bootstrap, out).await?;
    let client = properties.text("client.id").unwrap_or_default().to_owned();
    let began = time::wall_clock_ms();
    let mut tasks = Vec::new();
    for index in 1..=members {
        let mut own = properties.clone();
        let id = if members == 1 { client.clone() } else { format!("{client}-{index}") };
        own.set("client.id", &id);
        let consumer = ShareConsumer::new(consumer_config(&own)?).map_err(|e| thrown(&e))?;
        tasks.push((id, task::spawn(read(consumer, Arc::clone(&plan), index))));
    }
    let mut counts = Vec::new();
    for (id, task) in tasks {
        let count = task.await.map_err(|e| Failure::Message(e.to_string()))?;
        counts.push((id, count.map_err(|e| thrown(&e))?));
    }
    let ended = time::wall_clock_ms();
    if line.has("show-consumer-stats") {
        for (index, (id, count)) in counts.iter().enumerate() {
            let stats = plan.stats(*count, began, ended);
            out.line(format_args!("Share consumer {index} having client id {id} consumption metrics- {stats}"));
        }
    }
    let records: u64 = counts.iter().map(|(_, count)| count.records).sum();
    let bytes: u64 = counts.iter().map(|(_, count)| count.bytes).sum();
    if records < plan.records {
        out.line(format_args!(
            "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the \
             --timeout option to increase the timeout.",
            plan.timeout.as_millis()
        ));
    }
    out.line(plan.stats(Count { records, bytes }, began, ended));
    Ok(())
}

/// Reads as one member until all have enough.
async fn read(mut consumer: ShareConsumer, plan: Arc<Plan>, index: i32) -> Result<Count, thalweg_client::Error> {
    let mut out = Out::default();
    consumer.subscribe([plan.topic.as_str()]);
    let (mut count, mut reported) = (Count::default(), Count::default());
    let (mut consumed_at, mut reported_at): (Instant, i64) = (now(), time::wall_clock_ms());
    while plan.read.load(Ordering::Relaxed) < plan.records
        && now().saturating_duration_since(consumed_at) <= plan.timeout
    {
        let records = consumer.poll(now() + Duration::from_millis(100)).await?;
        if records.is_empty() {
            continue;
        }
        consumed_at = now();
        count.records += records.len() as u64;
        plan.read.fetch_add(records.len() as u64, Ordering::Relaxed);
        for record in &records {
            let len = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, |part| part.len() as u64);
            count.bytes += len(&record.record.key) + len(&record.record.value);
        }
        let at = time::wall_clock_ms();
        if Duration::from_millis(u64::try_from(at - reported_at).unwrap_or(0)) >= plan.interval {
            if plan.is_detailed {
                let since = Count { records: count.records - reported.records, bytes: count.bytes - reported.bytes };
                out.line(format_args!("{} for share consumer {index}", plan.stats(since, reported_at, at)));
                out.flush();
            }
            (reported, reported_at) = (count, at);
        }
    }
    // What cannot be said any more is delivered again when its lock has ended.
    let _ = consumer.close(now() + Duration::from_secs(5)).await;
    Ok(count)
}
