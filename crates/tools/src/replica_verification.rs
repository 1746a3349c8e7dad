//! `kafka-replica-verification.sh`: compares what the replicas of partitions hold, batch by batch.

mod rounds;

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_base::{NodeId, Offset, Timestamp, TopicPartition, Uuid};
use thalweg_client::{OffsetSpec, Properties};
use thalweg_sys::time;

use crate::admin::{Admin, TopicInfo, block_on};
use crate::date;
use crate::failure::Failure;
use crate::jopt::{Line, Opt, value};
use crate::options;
use crate::out::Out;
use crate::signals::Signals;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use crate::topic_filter::IncludeList;
use rounds::{Fetching, Findings, Round};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "replica-verification",
    script: "kafka-replica-verification",
    classes: &["org.apache.kafka.tools.ReplicaVerificationTool", "kafka.tools.ReplicaVerificationTool"],
    about: "Compare what the replicas of partitions hold.",
    run: run_words,
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "Validate that all replicas for a set of topics have the same data.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-replica-verification --broker-list localhost:9092 --time -2",
        "kafka-replica-verification --broker-list localhost:9092 --topics-include 'orders|bills' --report-interval-ms 1000",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    value("broker-list", "hostname:port,...,hostname:port", "The brokers to begin with, as HOST:PORT[,...]."),
    value("fetch-size", "bytes", "The most that is read of a partition at once. Default: 1048576."),
    value("max-wait-ms", "ms", "How long a broker waits for records. Default: 1000."),
    value("topics-include", "Java regex (String)", "A regular expression of topics. Default: .*"),
    value(
        "time",
        "timestamp/-1(latest)/-2(earliest)",
        "From which record on. Default: -1, those that come from now on.",
    ),
    value("report-interval-ms", "ms", "How often the largest lag is printed. Default: 30000."),
];

const LOGGER: &str = "org.apache.kafka.tools.ReplicaVerificationTool";

fn run_words(words: &[String], out: &mut Out) -> u8 {
    out.log("WARN", "This tool is deprecated and may be removed in a future major release.", LOGGER);
    JOPT.run(words, out)
}

/// The time as the tool prints it.
fn stamp() -> String {
    date::log_time(Timestamp(time::wall_clock_ms()))
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["broker-list"])?;
    let servers = line.value("broker-list")?.unwrap_or_default();
    options::valid_addresses(servers.split(',').map(str::trim))?;
    let pattern = line.value("topics-include")?.unwrap_or(".*");
    let include = IncludeList::new(pattern)?;
    let spec = match line.number::<i64>("time")?.unwrap_or(-1) {
        -1 => OffsetSpec::Latest,
        -2 => OffsetSpec::Earliest,
        time => OffsetSpec::At(Timestamp(time)),
    };
    let fetching = Fetching {
        bytes_max: line.number("fetch-size")?.unwrap_or(1 << 20),
        wait_ms: line.number("max-wait-ms")?.unwrap_or(1000),
    };
    let interval = u64::try_from(line.number::<i64>("report-interval-ms")?.unwrap_or(30_000)).unwrap_or(0);
    let properties = Properties::from_iter([("bootstrap.servers", servers)]);
    block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        let topics = topics(&admin, &include).await?;
        if topics.is_empty() {
            let text = format!(
                "No topics found. {pattern} if specified, is either filtering out all topics or there is no topic."
            );
            out.log("ERROR", text, LOGGER);
            return Err(Failure::Exit(1));
        }
        let round = first_round(&admin, &topics, spec).await?;
        verify(&admin, round, fetching, Duration::from_millis(interval), out).await
    })
}

async fn topics(admin: &Admin, include: &IncludeList) -> Result<Vec<TopicInfo>, Thrown> {
    let names = admin.list_topics().await?.into_iter().map(|topic| topic.name);
    let names: Vec<String> = names.filter(|name| include.allows(name, false)).collect();
    admin.describe_topics(&names).await?.into_iter().map(|(_, topic)| topic).collect()
}

/// What is compared, and from where on.
async fn first_round(admin: &Admin, topics: &[TopicInfo], spec: OffsetSpec) -> Result<Round, Thrown> {
    let mut replicas: BTreeMap<TopicPartition, Vec<NodeId>> = BTreeMap::new();
    let mut ids: BTreeMap<String, Uuid> = BTreeMap::new();
    for topic in topics {
        ids.insert(topic.name.clone(), topic.id);
        for partition in &topic.partitions {
            let nodes = partition.replicas.iter().map(|id| NodeId(*id)).collect();
            replicas.insert(TopicPartition::new(topic.name.as_str(), partition.index), nodes);
        }
    }
    let offsets = admin.offsets_at(replicas.keys().cloned(), spec).await?;
    // A partition without a record as new as the line asks for is read from its end on.
    let missing: Vec<TopicPartition> =
        offsets.iter().filter(|(_, offset)| *offset < 0).map(|(partition, _)| partition.clone()).collect();
    let ends = admin.offsets_at(missing, OffsetSpec::Latest).await?;
    let next = offsets.into_iter().filter(|(_, offset)| *offset >= 0).chain(ends);
    let next = next.map(|(partition, offset)| (partition, Offset(offset))).collect();
    Ok(Round { replicas, ids, next })
}

/// Reads and compares until a signal comes or an offset differs.
async fn verify(
    admin: &Admin,
    mut round: Round,
    fetching: Fetching,
    interval: Duration,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    out.line(format_args!("{}: verification process is started", stamp()));
    out.flush();
    let mut reported = time::now();
    while !out.is_broken() {
        let fetched = tokio::select! {
            biased;
            code = signals.exit_code() => return Err(Failure::Exit(code)),
            fetched = round.fetch(admin.client(), fetching) => fetched,
        };
        let Findings { lines, is_over, lag } = round.compare(&fetched);
        for line in &lines {
            out.line(format_args!("{}: {line}", stamp()));
        }
        if is_over {
            return Err(Failure::Exit(1));
        }
        if reported.elapsed() > interval {
            let (lag, partition, offset) = lag;
            out.line(format_args!(
                "{}: max lag is {lag} for partition {partition} at offset {offset} among {} partitions",
                stamp(),
                round.replicas.len()
            ));
            reported = time::now();
        }
        out.flush();
    }
    Ok(())
}
