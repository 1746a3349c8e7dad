//! `kafka-topics.sh`: creates, lists, describes, alters and deletes topics.

mod checks;
mod describe;

use std::collections::BTreeSet;

use serde_json::json;
use thalweg_metadata::config::{BrokerConfigs, ConfigMap, validate_topic};
use thalweg_metadata::topic_name;
use thalweg_wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use thalweg_wire::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use thalweg_wire::messages::delete_topics_request::DeleteTopicState;
use thalweg_wire::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};

use crate::admin::{self, Admin, check, config_exception};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};
use crate::topic_filter::IncludeList;

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "topics",
    script: "kafka-topics",
    classes: &["org.apache.kafka.tools.TopicCommand", "kafka.admin.TopicCommand"],
    about: "Create, list, describe, alter and delete topics.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const JOPT: Jopt = Jopt {
    about: "This tool helps to create, delete, describe, or change a topic.",
    about_empty: "Create, delete, describe, or change a topic.",
    examples: &[
        "kafka-topics --bootstrap-server localhost:9092 --create --topic orders --partitions 6",
        "kafka-topics --bootstrap-server localhost:9092 --list",
        "kafka-topics --bootstrap-server localhost:9092 --describe --topic 'orders|payments.*'",
        "kafka-topics --bootstrap-server localhost:9092 --describe --under-replicated-partitions",
        "kafka-topics --bootstrap-server localhost:9092 --alter --topic orders --partitions 12",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    COMMAND_CONFIG,
    OUTPUT,
    flag("list", "List the topics."),
    flag("create", "Create a topic."),
    flag("delete", "Delete topics."),
    flag("alter", "Add partitions to topics. Configs are altered with kafka-configs."),
    flag("describe", "Describe topics: partitions, leaders, replicas, configs."),
    value("topic", "topic", "The topic. Except with --create, a regular expression that the whole name must match."),
    value("topic-id", "topic-id", "The id of the topic to describe."),
    value("config", "name=value", "With --create: a config of the new topic. May be repeated."),
    value("delete-config", "name", "No longer supported: use kafka-configs."),
    value(
        "partitions",
        "# of partitions",
        "How many partitions a new or altered topic has; else the cluster's default. More \
        partitions send the records of a key elsewhere than before.",
    ),
    value(
        "replication-factor",
        "replication factor",
        "With --create: how many replicas each partition has; else the cluster's default.",
    ),
    value(
        "replica-assignment",
        "broker:broker,broker:broker,...",
        "The brokers of each partition: colons between those of one \
        partition, commas between partitions.",
    ),
    flag("under-replicated-partitions", "With --describe: only partitions with fewer in-sync replicas than replicas."),
    flag("unavailable-partitions", "With --describe: only partitions without an available leader."),
    flag(
        "under-min-isr-partitions",
        "With --describe: only partitions with fewer in-sync replicas than min.insync.replicas.",
    ),
    flag(
        "at-min-isr-partitions",
        "With --describe: only partitions with as many in-sync replicas as min.insync.replicas.",
    ),
    flag("topics-with-overrides", "With --describe: only topics whose configs were set, without their partitions."),
    flag("if-exists", "With --alter, --delete or --describe: a topic that does not exist is no error."),
    flag("if-not-exists", "With --create: a topic that exists is no error."),
    flag("exclude-internal", "With --list or --describe: without Kafka's own topics."),
    value(
        "partition-size-limit-per-response",
        "maximum number of partitions per response",
        "With --describe: how many partitions one \
        response may hold.",
    ),
];

const LOGGER: &str = "org.apache.kafka.tools.TopicCommand";

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    checks::check(line, out)?;
    admin::block_on(async {
        let admin = Admin::of_line(line, out).await?;
        match act(line, &admin, out).await {
            Ok(()) => Ok(()),
            Err(thrown) => {
                out.line(format_args!("Error while executing topic command : {}", thrown.text()));
                out.log("ERROR", thrown.trace(), LOGGER);
                Err(Failure::Exit(1))
            }
        }
    })
}

async fn act(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    if line.has("create") {
        create(line, admin, out).await
    } else if line.has("alter") {
        alter(line, admin).await
    } else if line.has("list") {
        let names = names(line, admin).await?;
        if out.is_json() {
            names.iter().for_each(|name| out.object(&json!({"topic": name})));
        } else {
            out.line(names.join("\n"));
        }
        Ok(())
    } else if line.has("describe") {
        describe::describe(line, admin, out).await
    } else {
        delete(line, admin).await
    }
}

/// The names of the topics that the line chooses, sorted.
async fn names(line: &Line, admin: &Admin) -> Result<Vec<String>, Thrown> {
    let excludes_internal = line.has("exclude-internal");
    let mut names: Vec<String> = admin.list_topics().await?.into_iter().map(|topic| topic.name).collect();
    match line.value("topic")? {
        Some(pattern) => {
            let list = IncludeList::new(pattern)?;
            names.retain(|name| list.allows(name, excludes_internal));
        }
        None => names.retain(|name| !(excludes_internal && topic_name::is_internal(name))),
    }
    Ok(names)
}

/// Refuses a topic that does not exist, if the line wants it to.
fn ensure_exists(line: &Line, found: &[String]) -> Result<(), Thrown> {
    match line.value("topic")? {
        Some(topic) if !topic.is_empty() && found.is_empty() && !line.has("if-exists") => {
            Err(Thrown::illegal_argument(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(()),
    }
}

async fn create(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let name = line.value("topic")?.unwrap_or_default().to_owned();
    let partitions = line.number::<i32>("partitions")?;
    let replication_factor = line.number::<i32>("replication-factor")?;
    let assignment = assignment(line)?;
    let configs = configs(line)?;
    if topic_name::has_collision_chars(&name) {
        out.line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both.",
        );
    }
    if replication_factor.is_some_and(|factor| !(1..=i32::from(i16::MAX)).contains(&factor)) {
        return Err(Thrown::illegal_argument("The replication factor must be between 1 and 32767 inclusive"));
    }
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Thrown::illegal_argument("The partitions must be greater than 0"));
    }
    if name.is_empty() {
        let text = "The given topic name '' cannot be represented in a request.";
        return Err(Thrown::new("org.apache.kafka.common.errors.InvalidTopicException", text));
    }
    if line.zookeeper {
        enough_brokers(replication_factor, admin).await?;
    }
    let assigned = !assignment.is_empty();
    let topic = CreatableTopic {
        name: name.as_str().into(),
        num_partitions: if assigned { -1 } else { partitions.unwrap_or(-1) },
        replication_factor: match replication_factor {
            Some(factor) if !assigned => i16::try_from(factor).unwrap_or(-1),
            _ => -1,
        },
        assignments: (0..)
            .zip(assignment)
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment { partition_index, broker_ids })
            .collect(),
        configs: configs
            .into_iter()
            .map(|(name, value)| CreatableTopicConfig { name: name.into(), value: Some(value.into()) })
            .collect(),
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let response = admin.controller("createTopics", &request).await?;
    for topic in &response.topics {
        match check(topic.error_code, topic.error_message.as_deref()) {
            Err(thrown) if thrown.is("TopicExistsException") && line.has("if-not-exists") => return Ok(()),
            checked => checked?,
        }
    }
    admin.wait_until_known(&name).await;
    out.line(format_args!("Created topic {name}."));
    Ok(())
}

/// What ZooKeeper's tool checked itself, with its words.
async fn enough_brokers(replication_factor: Option<i32>, admin: &Admin) -> Result<(), Thrown> {
    let Some(factor) = replication_factor else { return Ok(()) };
    let brokers = admin.brokers("describeCluster").await?.len();
    if usize::try_from(factor).is_ok_and(|factor| factor <= brokers) {
        return Ok(());
    }
    let class = "org.apache.kafka.common.errors.InvalidReplicationFactorException";
    Err(Thrown::new(class, format!("replication factor: {factor} larger than available brokers: {brokers}")))
}

/// The replicas of each partition that the line assigns.
fn assignment(line: &Line) -> Result<Vec<Vec<i32>>, Thrown> {
    let Some(text) = line.value("replica-assignment")?.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let mut assignment: Vec<Vec<i32>> = Vec::new();
    for (partition, brokers) in java::split(text, ',').into_iter().enumerate() {
        let brokers: Vec<i32> =
            java::split(brokers, ':').iter().map(|id| java::number(id.trim())).collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<i32> = brokers.iter().copied().filter(|broker| !seen.insert(*broker)).collect();
        if !twice.is_empty() {
            let twice: Vec<String> = twice.iter().map(ToString::to_string).collect();
            let text = format!("Partition replica lists may not contain duplicate entries: {}", twice.join(","));
            return Err(Thrown::command_failed(text));
        }
        if assignment.first().is_some_and(|first| first.len() != brokers.len()) {
            let text = format!("Partition {partition} has different replication factor: {brokers:?}");
            return Err(Thrown::operation_failed(text));
        }
        assignment.push(brokers);
    }
    Ok(assignment)
}

/// The configs of a new topic, checked as the broker will check them.
fn configs(line: &Line) -> Result<Vec<(String, String)>, Thrown> {
    let mut configs: Vec<(String, String)> = Vec::new();
    for text in line.values("config") {
        let parts = java::split(text, '=');
        let [name, value] = parts[..] else {
            return Err(Thrown::illegal_argument(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".",
            ));
        };
        let name = name.trim().to_owned();
        configs.retain(|(other, _)| *other != name);
        configs.push((name, value.trim().to_owned()));
    }
    let map: ConfigMap = configs.iter().cloned().collect();
    let none = ConfigMap::new();
    let broker = BrokerConfigs { static_node: &none, dynamic_cluster: &none, dynamic_node: &none };
    validate_topic(&ConfigMap::new(), &map, &broker, true).map_err(|e| {
        let text = e.to_string();
        if text.starts_with("Unknown topic config name") {
            Thrown::new("org.apache.kafka.common.errors.InvalidConfigurationException", text)
        } else {
            config_exception(text)
        }
    })?;
    Ok(configs)
}

async fn alter(line: &Line, admin: &Admin) -> Result<(), Thrown> {
    let partitions = line.number::<i32>("partitions")?.unwrap_or(0);
    let assignment = assignment(line)?;
    let names = names(line, admin).await?;
    ensure_exists(line, &names)?;
    if names.is_empty() {
        return Ok(());
    }
    let infos = if assignment.is_empty() { Vec::new() } else { admin.describe_topics(&names).await? };
    let mut topics = Vec::new();
    for name in &names {
        let mut assignments = None;
        if let Some((_, info)) = infos.iter().find(|(other, _)| other == name) {
            let standing = info.as_ref().map_err(|thrown| thrown.clone().execution().runtime())?.partitions.len();
            let new = assignment
                .iter()
                .skip(standing)
                .map(|brokers| CreatePartitionsAssignment { broker_ids: brokers.clone() });
            assignments = Some(new.collect());
        }
        topics.push(CreatePartitionsTopic { name: name.as_str().into(), count: partitions, assignments });
    }
    let request = CreatePartitionsRequest { topics, timeout_ms: 60_000, ..CreatePartitionsRequest::default() };
    let response = admin.controller("createPartitions", &request).await?;
    response.results.iter().try_for_each(|result| check(result.error_code, result.error_message.as_deref()))
}

async fn delete(line: &Line, admin: &Admin) -> Result<(), Thrown> {
    let names = names(line, admin).await?;
    ensure_exists(line, &names)?;
    if names.is_empty() {
        return Ok(());
    }
    let state = |name: &String| DeleteTopicState { name: Some(name.as_str().into()), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest {
        topics: names.iter().map(state).collect(),
        topic_names: names.iter().map(|name| name.as_str().into()).collect(),
        timeout_ms: 60_000,
    };
    let response = admin.controller("deleteTopics", &request).await?;
    response.responses.iter().try_for_each(|topic| check(topic.error_code, topic.error_message.as_deref()))
}
