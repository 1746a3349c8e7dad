//! `kafka-get-offsets.sh`: offsets of partitions, by time.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::json;
use thalweg_base::{Timestamp, TopicPartition};
use thalweg_client::{ListedOffset, OffsetSpec};

use crate::admin::{self, Admin, command_config};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, value};
use crate::options::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use crate::topic_filter::IncludeList;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "get-offsets",
    script: "kafka-get-offsets",
    classes: &["org.apache.kafka.tools.GetOffsetShell", "kafka.tools.GetOffsetShell"],
    about: "Print the offsets of partitions at a time.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const JOPT: Jopt = Jopt {
    about: "An interactive shell for getting topic-partition offsets.",
    about_empty: "An interactive shell for getting topic-partition offsets.",
    examples: &[
        "kafka-get-offsets --bootstrap-server localhost:9092 --topic orders",
        "kafka-get-offsets --bootstrap-server localhost:9092 --topic orders --time earliest",
        "kafka-get-offsets --bootstrap-server localhost:9092 --topic-partitions orders:0-3,payments",
    ],
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        OUTPUT,
        value("topic", "topic", "The topics, as a regular expression that the whole name must match; else all."),
        value("partitions", "partition ids", "The partitions, between commas; else all."),
        value(
            "topic-partitions",
            "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
            "Topics with partitions: a regular expression, \
            then after a colon one partition or a range without its end; either part may be left out.",
        ),
        value(
            "time",
            "<timestamp> / -1 or latest / -2 or earliest / ...",
            "Which offset: latest (-1), earliest (-2), max-timestamp (-3), \
            earliest-local (-4), latest-tiered (-5), earliest-pending-upload (-6), or that of the first record at a time in milliseconds. \
            Default: latest.",
        ),
        flag("exclude-internal-topics", "Without Kafka's own topics."),
    ] as &[Opt],
    parse_errors: ParseErrors::Message("Error occurred: "),
    uncaught: Uncaught::BehindAndTrace("Error occurred: "),
    run,
};

fn terse(message: &str) -> Failure {
    Failure::Message(format!("Error occurred: {message}"))
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    options::valid_servers(line)?;
    if line.has("topic-partitions") && line.has_any(&["topic", "partitions"]) {
        return Err(terse("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let spec = offset_spec(line.value("time")?.unwrap_or("latest"))?;
    let rules = rules(line)?;
    admin::block_on(async {
        let mut properties = command_config(line)?;
        properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
        let admin = Admin::connect(&properties, out).await?;
        let partitions = partitions(&admin, &rules, line.has("exclude-internal-topics")).await?;
        if partitions.is_empty() {
            return Err(terse("Could not match any topic-partitions with the specified filters"));
        }
        let wanted: Vec<(TopicPartition, OffsetSpec)> =
            partitions.into_iter().map(|partition| (partition, spec)).collect();
        let found = admin.list_offsets(&wanted).await?;
        print(&wanted, found, out);
        Ok(())
    })
}

/// Prints what was found, sorted by the text of the partition.
fn print(wanted: &[(TopicPartition, OffsetSpec)], found: Vec<Result<ListedOffset, Thrown>>, out: &mut Out) {
    let mut offsets = BTreeMap::new();
    for ((partition, _), listed) in wanted.iter().zip(found) {
        match listed {
            Ok(listed) => offsets.extend(listed.offset.map(|offset| (partition.to_string(), (partition, offset)))),
            Err(thrown) => {
                out.error(format_args!("Skip getting offsets for topic-partition {partition} due to error: {thrown}"))
            }
        }
    }
    for (partition, offset) in offsets.values() {
        let (topic, partition, offset) = (&*partition.topic, partition.partition, offset.0);
        if out.is_json() {
            out.object(&json!({"topic": topic, "partition": partition, "offset": offset}));
        } else {
            out.line(format_args!("{topic}:{partition}:{offset}"));
        }
    }
}

fn offset_spec(text: &str) -> Result<OffsetSpec, Failure> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        "earliest-pending-upload" | "-6" => OffsetSpec::EarliestPendingUpload,
        _ => {
            let timestamp = java::number::<i64>(text).map_err(|_| {
                terse(&format!(
                    "Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or \
                     earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
                ))
            })?;
            OffsetSpec::At(Timestamp(timestamp))
        }
    })
}

/// Which partitions of which topics.
struct Rule {
    topics: IncludeList,
    partitions: Partitions,
}

enum Partitions {
    Set(Vec<i32>),
    Range(i32, i32),
}

impl Rule {
    fn allows(&self, topic: &str, partition: i32) -> bool {
        self.topics.allows(topic, false)
            && match &self.partitions {
                Partitions::Set(set) => set.is_empty() || set.contains(&partition),
                Partitions::Range(low, high) => (*low..*high).contains(&partition),
            }
    }
}

fn rules(line: &Line) -> Result<Vec<Rule>, Failure> {
    if let Some(text) = line.value("topic-partitions")? {
        return java::split(text, ',').into_iter().map(|rule| Ok(parse_rule(rule)?)).collect();
    }
    let topics = IncludeList::new(line.value("topic")?.unwrap_or(".*"))?;
    let text = line.value("partitions")?.unwrap_or_default();
    let ids: Result<Vec<i32>, Thrown> = match text {
        "" => Ok(Vec::new()),
        text => java::split(text, ',').into_iter().map(java::number).collect(),
    };
    let ids = ids.map_err(|_| {
        terse(&format!("--partitions expects a comma separated list of numeric partition ids, but received: {text}"))
    })?;
    Ok(vec![Rule { topics, partitions: Partitions::Set(ids) }])
}

fn parse_rule(text: &str) -> Result<Rule, Thrown> {
    let invalid = || {
        let class = "org.apache.kafka.tools.TerseException";
        Thrown::wrapping(
            "java.lang.RuntimeException",
            Thrown::new(class, format!("Invalid rule specification: {text}")),
        )
    };
    let pattern = Regex::new("^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$").map_err(|_| invalid())?;
    let groups = pattern.captures(text).ok_or_else(invalid)?;
    let group = |at: usize| groups.get(at).map(|found| found.as_str()).filter(|text| !text.is_empty());
    let topics = IncludeList::new(group(1).unwrap_or(".*"))?;
    let partitions = match group(2) {
        Some(id) => Partitions::Set(vec![java::number(id)?]),
        None => Partitions::Range(group(3).map_or(Ok(0), java::number)?, group(4).map_or(Ok(i32::MAX), java::number)?),
    };
    Ok(Rule { topics, partitions })
}

async fn partitions(admin: &Admin, rules: &[Rule], excludes_internal: bool) -> Result<Vec<TopicPartition>, Thrown> {
    let topics = admin.list_topics().await?.into_iter().filter(|topic| !(excludes_internal && topic.is_internal));
    let names: Vec<String> = topics
        .map(|topic| topic.name)
        .filter(|name| rules.iter().any(|rule| rule.topics.allows(name, false)))
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut partitions = Vec::new();
    for (name, info) in admin.describe_topics(&names).await? {
        for partition in info?.partitions {
            if rules.iter().any(|rule| rule.allows(&name, partition.index)) {
                partitions.push(TopicPartition::new(&*name, partition.index));
            }
        }
    }
    Ok(partitions)
}
