//! `kafka-log-dirs.sh`: what stands in the log directories of brokers.

use serde_json::{Value, json};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeLogDirsRequest;
use thalweg_wire::messages::describe_log_dirs_response::DescribeLogDirsResult;

use crate::admin::{self, Admin, check};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, flag, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "log-dirs",
    script: "kafka-log-dirs",
    classes: &["org.apache.kafka.tools.LogDirsCommand", "kafka.admin.LogDirsCommand"],
    about: "Say what stands in the log directories of brokers.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const JOPT: Jopt = Jopt {
    about: "This tool helps to query log directory usage on the specified brokers.",
    about_empty: "This tool helps to query log directory usage on the specified brokers.",
    examples: &[
        "kafka-log-dirs --bootstrap-server localhost:9092 --describe",
        "kafka-log-dirs --bootstrap-server localhost:9092 --describe --broker-list 1,2 --topic-list orders",
    ],
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        flag("describe", "Describe the log directories."),
        value("topic-list", "Topic list", "The topics, between commas; else all."),
        value("broker-list", "Broker list", "The brokers, between commas; else all."),
    ],
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

fn list(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split(',').filter(|part| !part.is_empty()).collect()
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["bootstrap-server", "describe"])?;
    admin::block_on(async {
        let admin = Admin::of_line(line, out).await?;
        let topics = list(line.value("topic-list")?);
        let standing = admin.brokers("describeCluster").await?;
        let mut wanted: Vec<i32> =
            list(line.value("broker-list")?).into_iter().map(java::number).collect::<Result<_, _>>()?;
        wanted.sort_unstable();
        wanted.dedup();
        let missing: Vec<i32> = wanted.iter().copied().filter(|id| !standing.contains(id)).collect();
        if !missing.is_empty() {
            return Err(Failure::Message(format!(
                "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
                java::joined(&missing, ","),
                java::joined(&standing, ",")
            )));
        }
        let brokers = if wanted.is_empty() { standing } else { wanted };
        out.line("Querying brokers for log directories information");
        let mut described = Vec::new();
        for broker in &brokers {
            described.push(describe(&admin, *broker, &topics).await?);
        }
        out.line(format_args!("Received log directory information from brokers {}", java::joined(&brokers, ",")));
        out.line(json!({"brokers": described, "version": 1}));
        Ok(())
    })
}

async fn describe(admin: &Admin, broker: i32, topics: &[&str]) -> Result<Value, Thrown> {
    let request = DescribeLogDirsRequest { topics: None };
    let response = admin.node("describeLogDirs", broker, &request).await?;
    check(response.error_code, None).map_err(Thrown::execution)?;
    let dirs = java::hash_order(response.results.iter().collect(), 16, |dir: &&DescribeLogDirsResult| {
        java::string_hash(&dir.log_dir)
    });
    let dirs: Vec<Value> = dirs.into_iter().map(|dir| directory(dir, topics)).collect();
    Ok(json!({"broker": broker, "logDirs": dirs}))
}

fn directory(dir: &DescribeLogDirsResult, topics: &[&str]) -> Value {
    let mut replicas = Vec::new();
    for topic in dir.topics.iter().filter(|topic| topics.is_empty() || topics.contains(&&*topic.name)) {
        replicas.extend(topic.partitions.iter().map(|partition| (&*topic.name, partition)));
    }
    let replicas = java::hash_order(replicas, 16, |(topic, partition)| {
        java::topic_partition_hash(topic, partition.partition_index)
    });
    let replicas: Vec<Value> = replicas
        .into_iter()
        .map(|(topic, partition)| {
            json!({
                "partition": format!("{topic}-{}", partition.partition_index),
                "size": partition.partition_size,
                "offsetLag": partition.offset_lag,
                "isFuture": partition.is_future_key,
            })
        })
        .collect();
    let code = ErrorCode::from(dir.error_code);
    let error = if code.is_error() { Value::String(Thrown::of_code(code, None).class) } else { Value::Null };
    json!({"partitions": replicas, "error": error, "logDir": &*dir.log_dir})
}
