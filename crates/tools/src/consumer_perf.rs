//! `kafka-consumer-perf-test.sh`: measures how fast records are read.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_base::{LeaderEpoch, Offset, TopicPartition};
use thalweg_client::{Consumer, Properties, RebalanceListener};
use thalweg_sys::random;
use thalweg_sys::time::{self, Instant, now};

use crate::admin::{block_on, client_config, resolvable};
use crate::console_consumer::{consumer_config, thrown};
use crate::failure::Failure;
use crate::jopt::{Line, Opt, flag, optional_number, value};
use crate::options::BOOTSTRAP_SERVER;
use crate::out::Out;
use crate::perf::{self, Count, Plan, rate};
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use crate::topic_filter::IncludeList;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "consumer-perf-test",
    script: "kafka-consumer-perf-test",
    classes: &["org.apache.kafka.tools.ConsumerPerformance", "kafka.tools.ConsumerPerformance"],
    about: "Measure how fast records are read.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool is used to verify the consumer performance.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-consumer-perf-test --bootstrap-server localhost:9092 --topic orders --num-records 1000000",
        "kafka-consumer-perf-test --bootstrap-server localhost:9092 --topic orders --num-records 1000000 --show-detailed-stats --reporting-interval 1000",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    value("topic", "topic", "The topic."),
    value("include", "Java regex (String)", "A regular expression of topics."),
    value("group", "gid", "The group. Default: one of its own."),
    value("fetch-size", "size", "The most that one fetch brings of a partition. Default: 1048576."),
    value("command-property", "prop1=val1", "A property of the consumer, as key=value. May be repeated."),
    flag("from-latest", "Begin behind the last record, where the group has no offset yet."),
    value("socket-buffer-size", "size", "The size of the socket's buffer. Default: 2097152."),
    value("consumer.config", "config file", "Deprecated: use --command-config."),
    value("command-config", "config file", "A properties file for the consumer."),
    flag("print-metrics", "Accepted; this consumer has no metrics to print."),
    flag("show-detailed-stats", "Print a line for each interval."),
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
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    line.require_one_of(&["topic", "include"])?;
    perf::check_renamed(line, out)?;
    let plan = Plan::of_line(line)?;
    if !line.has("hide-header") {
        let first = if plan.is_detailed { "time, threadId" } else { "start.time, end.time" };
        out.line(format_args!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, \
             fetch.MB.sec, fetch.nMsg.sec"
        ));
    }
    let properties = properties(line)?;
    block_on(measure(line, &properties, &plan, out))
}

fn properties(line: &Line) -> Result<Properties, Thrown> {
    let mut properties = perf::properties(line)?;
    let own = format!("perf-consumer-{}", random::u64() % 100_000);
    properties.set("group.id", line.value("group")?.unwrap_or(&own));
    let fetch = line.number::<i32>("fetch-size")?.unwrap_or(1024 * 1024);
    properties.set("max.partition.fetch.bytes", &fetch.to_string());
    properties.set("auto.offset.reset", if line.has("from-latest") { "latest" } else { "earliest" });
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-consumer-client");
    Ok(properties)
}

/// How long rebalances took.
struct Joining {
    assigned: Vec<TopicPartition>,
    began: Instant,
    total: Duration,
    /// Since the last line.
    in_interval: Duration,
}

struct Listener(Arc<Mutex<Joining>>);

impl RebalanceListener for Listener {
    fn assigned(&mut self, partitions: &[TopicPartition]) {
        let mut joining = self.0.lock();
        if joining.assigned.is_empty() {
            let took = now().saturating_duration_since(joining.began);
            joining.total += took;
            joining.in_interval += took;
        }
        joining.assigned.extend_from_slice(partitions);
    }

    fn revoked(
        &mut self,
        partitions: &[TopicPartition],
    ) -> std::collections::BTreeMap<TopicPartition, (Offset, LeaderEpoch)> {
        let mut joining = self.0.lock();
        joining.assigned.retain(|partition| !partitions.contains(partition));
        if joining.assigned.is_empty() {
            joining.began = now();
        }
        std::collections::BTreeMap::new()
    }

    fn lost(&mut self, partitions: &[TopicPartition]) {
        let _ = self.revoked(partitions);
    }
}

async fn measure(line: &Line, properties: &Properties, plan: &Plan, out: &mut Out) -> Result<(), Failure> {
    let constructed = |cause: Thrown| {
        Thrown::caused_by("org.apache.kafka.common.KafkaException", "Failed to construct kafka consumer", cause)
    };
    let config = consumer_config(properties)?;
    let checked = client_config(properties).map_err(constructed)?;
    resolvable(&checked.bootstrap, out).await.map_err(constructed)?;
    let joining = Joining { assigned: Vec::new(), began: now(), total: Duration::ZERO, in_interval: Duration::ZERO };
    let joining = Arc::new(Mutex::new(joining));
    let mut consumer = Consumer::new(config);
    consumer.set_rebalance_listener(Listener(Arc::clone(&joining)));
    let subscribed = match line.value("include")? {
        Some(pattern) => {
            let list = IncludeList::pattern(pattern)?;
            consumer.subscribe_matching(move |name| list.allows(name, false))
        }
        None => consumer.subscribe([line.value("topic")?.unwrap_or_default()]),
    };
    subscribed.map_err(|e| thrown(&e))?;
    let (began, began_ms) = (now(), time::wall_clock_ms());
    let count = read(&mut consumer, plan, &joining, out).await?;
    let (took, ended_ms) = (now().saturating_duration_since(began), time::wall_clock_ms());
    let rebalancing = joining.lock().total;
    // What cannot be committed any more is of no interest here.
    let _ = consumer.close(now() + Duration::from_secs(30)).await;
    if !plan.is_detailed {
        let megabytes = count.megabytes();
        let fetching = took.saturating_sub(rebalancing);
        out.line(format_args!(
            "{}, {}, {megabytes:.4}, {}, {}, {}, {}, {}, {}, {}",
            plan.date(began_ms),
            plan.date(ended_ms),
            rate(megabytes, took),
            count.records,
            rate(count.records as f64, took),
            rebalancing.as_millis(),
            fetching.as_millis(),
            rate(megabytes, fetching),
            rate(count.records as f64, fetching),
        ));
    }
    Ok(())
}

async fn read(consumer: &mut Consumer, plan: &Plan, joining: &Mutex<Joining>, out: &mut Out) -> Result<Count, Failure> {
    let (mut count, mut reported) = (Count::default(), Count::default());
    let (mut reported_at, mut consumed_at) = (now(), now());
    while count.records < plan.records && !plan.is_over(now().saturating_duration_since(consumed_at)) {
        let records = consumer.poll_for(Duration::from_millis(100)).await.map_err(|e| thrown(&e))?;
        if records.is_empty() {
            continue;
        }
        consumed_at = now();
        records.iter().for_each(|record| count.add(record));
        let interval = consumed_at.saturating_duration_since(reported_at);
        if interval >= plan.interval {
            let rebalancing = std::mem::take(&mut joining.lock().in_interval);
            if plan.is_detailed {
                progress(plan, count, reported, interval, rebalancing, out);
            }
            (reported, reported_at) = (count, consumed_at);
        }
    }
    plan.warn_of_missing(count.records, out);
    Ok(count)
}

/// The line of an interval.
fn progress(plan: &Plan, count: Count, before: Count, interval: Duration, rebalancing: Duration, out: &mut Out) {
    let new = count.since(before);
    let (megabytes, records) = (new.megabytes(), new.records as f64);
    let fetching = interval.saturating_sub(rebalancing);
    let fetched = |amount: f64| if fetching.is_zero() { 0.0 } else { amount / fetching.as_secs_f64() };
    out.line(format_args!(
        "{}, 0, {:.4}, {}, {}, {}, {}, {}, {:.4}, {:.4}",
        plan.date(time::wall_clock_ms()),
        count.megabytes(),
        rate(megabytes, interval),
        count.records,
        rate(records, interval),
        rebalancing.as_millis(),
        fetching.as_millis(),
        fetched(megabytes),
        fetched(records),
    ));
    out.flush();
}
