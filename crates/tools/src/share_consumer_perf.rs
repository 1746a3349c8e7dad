//! `kafka-share-consumer-perf-test.sh`: measures how fast records are read by members of a share group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_client::{Properties, ShareConsumer};
use thalweg_sys::task;
use thalweg_sys::time::{self, Instant, now};

use crate::admin::{block_on, client_config, resolvable};
use crate::console_consumer::{consumer_config, thrown};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, optional_number, value};
use crate::options::BOOTSTRAP_SERVER;
use crate::out::Out;
use crate::perf::{self, Count, Plan, millis, rate};
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
    perf::check_renamed(line, out)?;
    let topic = line.value("topic")?.unwrap_or_default().to_owned();
    let work = Work { topic, plan: Plan::of_line(line)?, read: AtomicU64::new(0) };
    let members = line.number::<i32>("threads")?.unwrap_or(1).clamp(1, MEMBERS_MAX);
    if !line.has("hide-header") {
        out.line("start.time, end.time, data.consumed.in.MB, MB.sec, nMsg.sec, data.consumed.in.nMsg, fetch.time.ms");
    }
    out.flush();
    let properties = properties(line)?;
    block_on(measure(line, &properties, Arc::new(work), members, out))
}

fn properties(line: &Line) -> Result<Properties, Thrown> {
    let mut properties = perf::properties(line)?;
    properties.set("group.id", line.value("group")?.unwrap_or("perf-share-consumer"));
    let fetch = line.number::<i32>("fetch-size")?.unwrap_or(1024 * 1024);
    properties.set("fetch.max.bytes", &fetch.to_string());
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-share-consumer-client");
    Ok(properties)
}

/// What all members do together.
struct Work {
    topic: String,
    plan: Plan,
    /// What all of them have read.
    read: AtomicU64,
}

/// A line of numbers: what was read between two times.
fn stats(plan: &Plan, count: Count, began: i64, ended: i64) -> String {
    let (took, megabytes) = (millis(ended - began), count.megabytes());
    format!(
        "{}, {}, {megabytes:.4}, {}, {}, {}, {}",
        plan.date(began),
        plan.date(ended),
        rate(megabytes, took),
        rate(count.records as f64, took),
        count.records,
        took.as_millis()
    )
}

async fn measure(
    line: &Line,
    properties: &Properties,
    work: Arc<Work>,
    members: i32,
    out: &mut Out,
) -> Result<(), Failure> {
    resolvable(&client_config(properties)?.bootstrap, out).await?;
    let plan = &work.plan;
    let client = properties.text("client.id").unwrap_or_default().to_owned();
    let began = time::wall_clock_ms();
    let mut tasks = Vec::new();
    for index in 1..=members {
        let mut own = properties.clone();
        let id = if members == 1 { client.clone() } else { format!("{client}-{index}") };
        own.set("client.id", &id);
        let consumer = ShareConsumer::new(consumer_config(&own)?).map_err(|e| thrown(&e))?;
        tasks.push((id, task::spawn(read(consumer, Arc::clone(&work), index))));
    }
    let mut counts = Vec::new();
    for (id, task) in tasks {
        let count = task.await.map_err(|e| Failure::Message(e.to_string()))?;
        counts.push((id, count.map_err(|e| thrown(&e))?));
    }
    let ended = time::wall_clock_ms();
    if line.has("show-consumer-stats") {
        for (index, (id, count)) in counts.iter().enumerate() {
            let stats = stats(plan, *count, began, ended);
            out.line(format_args!("Share consumer {index} having client id {id} consumption metrics- {stats}"));
        }
    }
    let records: u64 = counts.iter().map(|(_, count)| count.records).sum();
    let bytes: u64 = counts.iter().map(|(_, count)| count.bytes).sum();
    plan.warn_of_missing(records, out);
    out.line(stats(plan, Count { records, bytes }, began, ended));
    Ok(())
}

/// Reads as one member until all have enough.
async fn read(mut consumer: ShareConsumer, work: Arc<Work>, index: i32) -> Result<Count, thalweg_client::Error> {
    let (mut out, plan) = (Out::default(), &work.plan);
    consumer.subscribe([work.topic.as_str()]);
    let (mut count, mut reported) = (Count::default(), Count::default());
    let (mut consumed_at, mut reported_at): (Instant, i64) = (now(), time::wall_clock_ms());
    while work.read.load(Ordering::Relaxed) < plan.records
        && !plan.is_over(now().saturating_duration_since(consumed_at))
    {
        let records = consumer.poll(now() + Duration::from_millis(100)).await?;
        if records.is_empty() {
            continue;
        }
        consumed_at = now();
        work.read.fetch_add(records.len() as u64, Ordering::Relaxed);
        records.iter().for_each(|record| count.add(&record.record));
        let at = time::wall_clock_ms();
        if millis(at - reported_at) >= plan.interval {
            if plan.is_detailed {
                let stats = stats(plan, count.since(reported), reported_at, at);
                out.line(format_args!("{stats} for share consumer {index}"));
                out.flush();
            }
            (reported, reported_at) = (count, at);
        }
    }
    // What cannot be said any more is delivered again when its lock has ended.
    let _ = consumer.close(now() + Duration::from_secs(5)).await;
    Ok(count)
}
