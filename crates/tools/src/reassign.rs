//! `kafka-reassign-partitions.sh`: moves partitions between brokers and directories.

mod execute;
mod generate;
mod plan;
mod throttle;
mod verify;

use std::collections::BTreeMap;

use serde_json::json;
use thalweg_base::TopicPartition;

use crate::admin::{self, Admin, Replica, TopicInfo};
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, value};
use crate::options::{BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "reassign-partitions",
    script: "kafka-reassign-partitions",
    classes: &["org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "kafka.admin.ReassignPartitionsCommand"],
    about: "Move partitions between brokers and log directories.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to move topic partitions between replicas.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-reassign-partitions --bootstrap-server localhost:9092 --generate --topics-to-move-json-file topics.json --broker-list 1,2,3",
        "  topics.json: {\"topics\": [{\"topic\": \"orders\"}], \"version\": 1}",
        "kafka-reassign-partitions --bootstrap-server localhost:9092 --execute --reassignment-json-file plan.json --throttle 50000000",
        "  plan.json: {\"version\": 1, \"partitions\": [{\"topic\": \"orders\", \"partition\": 0, \"replicas\": [2, 3]}]}",
        "kafka-reassign-partitions --bootstrap-server localhost:9092 --verify --reassignment-json-file plan.json",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::Printed("Error: "),
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    BOOTSTRAP_CONTROLLER,
    COMMAND_CONFIG,
    OUTPUT,
    flag("generate", "Propose a plan that spreads topics over brokers. Nothing is changed."),
    flag("execute", "Begin what a plan says."),
    flag("verify", "Say how far a plan is, and lift its throttles when it is done."),
    flag("cancel", "Stop what a plan began."),
    flag("list", "List the reassignments that go on."),
    value(
        "reassignment-json-file",
        "manual assignment json file path",
        "The plan: partitions with their replicas, and, if wanted, the directory of each replica or any.",
    ),
    value("topics-to-move-json-file", "topics to reassign json file path", "With --generate: the topics."),
    value("broker-list", "brokerlist", "With --generate: the brokers, between commas."),
    flag("disable-rack-aware", "With --generate: pay no regard to racks."),
    value("throttle", "throttle", "With --execute: how many bytes a second brokers may copy among themselves for it."),
    value(
        "replica-alter-log-dirs-throttle",
        "replicaAlterLogDirsThrottle",
        "With --execute: how many bytes a second a broker may copy between its directories for it.",
    ),
    value("timeout", "timeout", "How many milliseconds moves between directories may take to begin. Default: 10000."),
    flag("additional", "With --execute: although other reassignments go on; also to change the throttle."),
    flag("preserve-throttles", "Lift no throttles."),
    flag(
        "disallow-replication-factor-change",
        "With --execute: refuse a plan that changes how many replicas there are.",
    ),
];

const ACTIONS: [&str; 5] = ["generate", "execute", "verify", "cancel", "list"];

/// Ends with a message on standard output.
fn terse(message: impl std::fmt::Display, out: &mut Out) -> Failure {
    out.line(message);
    Failure::Exit(1)
}

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let action = check(line)?;
    let mut properties = admin::command_config(line)?;
    let (servers, controllers) = (line.value("bootstrap-server")?, line.value("bootstrap-controller")?);
    admin::set_bootstrap(&mut properties, servers, controllers);
    properties.set_default("client.id", "reassign-partitions-tool");
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        match action {
            "generate" => Ok(generate::generate(line, &admin, out).await?),
            "execute" => execute::execute(line, &admin, out).await,
            "verify" => Ok(verify::verify(line, &admin, out).await?),
            "cancel" => execute::cancel(line, &admin, out).await,
            _ => Ok(list(&admin, out).await?),
        }
    })
}

/// The one action of the line; what the options need of each other.
fn check(line: &Line) -> Result<&'static str, Failure> {
    let usage = |text: String| Err(Failure::Usage(text));
    let actions: Vec<&'static str> = ACTIONS.into_iter().filter(|action| line.has(action)).collect();
    let [action] = actions[..] else {
        let all = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return usage(format!("Command must include exactly one action: {all}"));
    };
    match (line.has("bootstrap-server"), line.has("bootstrap-controller")) {
        (true, true) => return usage("Please don't specify both --bootstrap-server and --bootstrap-controller".into()),
        (false, false) => return usage("Please specify either --bootstrap-server or --bootstrap-controller".into()),
        _ => {}
    }
    let (needed, permitted): (&[&str], &[&str]) = match action {
        "verify" => (&["reassignment-json-file"], &["preserve-throttles"]),
        "generate" => (&["topics-to-move-json-file", "broker-list"], &["disable-rack-aware"]),
        "execute" => (
            &["reassignment-json-file"],
            &[
                "additional",
                "throttle",
                "replica-alter-log-dirs-throttle",
                "timeout",
                "disallow-replication-factor-change",
            ],
        ),
        "cancel" => (&["reassignment-json-file"], &["bootstrap-controller", "preserve-throttles", "timeout"]),
        _ => (&[], &["bootstrap-controller", "output"]),
    };
    line.require(needed)?;
    let everywhere = [action, "bootstrap-server", "command-config"];
    let is_permitted = |name: &&str| everywhere.contains(name) || needed.contains(name) || permitted.contains(name);
    match line.names().iter().find(|name| !is_permitted(name)) {
        Some(other) => usage(format!("Option \"[{other}]\" can't be used with action \"[{action}]\"")),
        None => Ok(action),
    }
}

async fn list(admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let found = admin.reassignments(None).await.map_err(Thrown::execution)?;
    if out.is_json() {
        for (partition, reassignment) in &found {
            out.object(&json!({
                "topic": &*partition.topic,
                "partition": partition.partition,
                "replicas": reassignment.replicas,
                "addingReplicas": reassignment.adding,
                "removingReplicas": reassignment.removing,
            }));
        }
        return Ok(());
    }
    if found.is_empty() {
        out.line("No partition reassignments found.");
        return Ok(());
    }
    out.line("Current partition reassignments:");
    for (partition, reassignment) in &found {
        let mut text = format!("{partition}: replicas: {}.", java::joined(&reassignment.replicas, ","));
        if !reassignment.adding.is_empty() {
            text += &format!(" adding: {}.", java::joined(&reassignment.adding, ","));
        }
        if !reassignment.removing.is_empty() {
            text += &format!(" removing: {}.", java::joined(&reassignment.removing, ","));
        }
        out.line(text);
    }
    Ok(())
}

/// The replicas of each partition.
type Assignment = BTreeMap<TopicPartition, Vec<i32>>;

/// Topics by name.
async fn describe(admin: &Admin, topics: &[String]) -> Result<Vec<TopicInfo>, Thrown> {
    let mut found = Vec::new();
    for (name, info) in admin.describe_topics(topics).await.map_err(Thrown::execution)? {
        found.push(info.map_err(|thrown| {
            if thrown.is("UnknownTopicOrPartitionException") {
                let text = format!("Topic {name} not found.");
                return Thrown { message: Some(text), ..thrown }.execution();
            }
            thrown.execution()
        })?);
    }
    Ok(found)
}

/// What partitions have now, as a plan.
async fn current_plan(admin: &Admin, current: &Assignment) -> Result<String, Thrown> {
    let replicas: Vec<Replica> = current
        .iter()
        .flat_map(|(partition, brokers)| {
            brokers.iter().map(|broker| Replica { broker: *broker, partition: partition.clone() })
        })
        .collect();
    let dirs = admin.replica_dirs(&replicas).await.map_err(Thrown::execution)?;
    let dirs = dirs.into_iter().filter_map(|(replica, dirs)| Some((replica, dirs.current?))).collect();
    Ok(plan::text(current, &dirs))
}
