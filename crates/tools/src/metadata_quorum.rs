//! `kafka-metadata-quorum.sh`: the quorum of controllers.

use std::path::Path;

use serde_json::json;
use thalweg_base::{Uuid, properties};
use thalweg_client::Properties;
use thalweg_sys::{fs, time};
use thalweg_wire::messages::add_raft_voter_request::Listener;
use thalweg_wire::messages::describe_quorum_request::{PartitionData, TopicData};
use thalweg_wire::messages::describe_quorum_response::{PartitionData as Quorum, ReplicaState};
use thalweg_wire::messages::{
    AddRaftVoterRequest, DescribeClusterRequest, DescribeQuorumRequest, DescribeQuorumResponse, RemoveRaftVoterRequest,
};

use crate::admin::{self, Admin, check};
use crate::argparse::{Command, Group, Kind, OUTPUT, Parsed, flag, value};
use crate::failure::Failure;
use crate::java;
use crate::out::Out;
use crate::table;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "metadata-quorum",
    script: "kafka-metadata-quorum",
    classes: &["org.apache.kafka.tools.MetadataQuorumCommand", "kafka.admin.MetadataQuorumCommand"],
    about: "Describe and change the quorum of controllers.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 0,
    empty_is_help: false,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const PROGRAM: Command = Command {
    name: "kafka-metadata-quorum",
    about: "This tool describes kraft metadata quorum status.",
    options: &[value(
        "command-config",
        "COMMAND_CONFIG",
        "A properties file for the client; with add-controller, also the \
        server.properties of the controller.",
    )],
    groups: &[Group {
        required: true,
        options: &[
            value("bootstrap-server", "BOOTSTRAP_SERVER", "The brokers to begin with, as HOST:PORT[,...]."),
            value("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "The controllers to begin with, as HOST:PORT[,...]."),
        ],
    }],
    commands: &[
        Command {
            name: "describe",
            about: "Describe the quorum.",
            options: &[
                flag("status", "A summary."),
                flag("replication", "How far each voter and observer is."),
                flag("human-readable", "With --replication: times as so long ago."),
                OUTPUT,
            ],
            ..Command::EMPTY
        },
        Command {
            name: "add-controller",
            about: "Add a controller to the voters.",
            options: &[flag("dry-run", "Say what would be done, and do nothing.")],
            ..Command::EMPTY
        },
        Command {
            name: "remove-controller",
            about: "Remove a controller from the voters.",
            options: &[
                value("controller-id", "CONTROLLER_ID", "The id of the controller.")
                    .short('i')
                    .kind(Kind::Int)
                    .required(),
                value("controller-directory-id", "CONTROLLER_DIRECTORY_ID", "The id of its metadata directory.")
                    .short('d')
                    .required(),
                flag("dry-run", "Say what would be done, and do nothing."),
            ],
            ..Command::EMPTY
        },
    ],
    ..Command::EMPTY
};

fn terse(message: impl Into<String>) -> Failure {
    Failure::Message(message.into())
}

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let file = parsed.value("command-config");
    if let Some(missing) = file.filter(|path| !fs::exists(Path::new(path))) {
        return Err(terse(format!("Properties file {missing} does not exist.")));
    }
    let mut properties = admin::properties_of(file)?;
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), parsed.value("bootstrap-controller"));
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        match parsed.command {
            "describe" => describe(&admin, parsed, out).await,
            "add-controller" if file.is_none() => Err(terse(
                "You must supply the configuration file of the controller you are adding when using add-controller.",
            )),
            "add-controller" => add(&admin, parsed, &properties, out).await,
            _ => remove(&admin, parsed, out).await,
        }
    })
}

async fn describe(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    match (parsed.has("status"), parsed.has("replication")) {
        (true, true) => {
            Err(terse("Only one of --status or --replication should be specified with describe sub-command"))
        }
        (false, false) => Err(terse("One of --status or --replication must be specified with describe sub-command")),
        (true, false) if parsed.has("human-readable") => {
            Err(terse("The option --human-readable is only supported along with --replication"))
        }
        (true, false) => Ok(status(admin, out).await?),
        (false, true) => Ok(replication(admin, parsed, out).await?),
    }
}

async fn quorum(admin: &Admin) -> Result<(DescribeQuorumResponse, Quorum), Thrown> {
    let topic =
        TopicData { topic_name: "__cluster_metadata".into(), partitions: vec![PartitionData { partition_index: 0 }] };
    let request = DescribeQuorumRequest { topics: vec![topic] };
    let response =
        admin.broker_or_active_controller("describeMetadataQuorum", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, response.error_message.as_deref()).map_err(Thrown::execution)?;
    let partition = response.topics.first().and_then(|topic| topic.partitions.first()).cloned();
    let partition = partition.ok_or_else(|| {
        Thrown::new("org.apache.kafka.common.errors.UnknownServerException", "The response holds no quorum").execution()
    })?;
    check(partition.error_code, partition.error_message.as_deref()).map_err(Thrown::execution)?;
    Ok((response, partition))
}

fn leader(quorum: &Quorum) -> Result<&ReplicaState, Thrown> {
    let leader = quorum.current_voters.iter().find(|voter| voter.replica_id == quorum.leader_id);
    leader.ok_or_else(|| Thrown::new("java.util.NoSuchElementException", "No value present"))
}

async fn status(admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let cluster = admin
        .any(
            "describeCluster",
            &DescribeClusterRequest { endpoint_type: endpoint_type(admin), ..DescribeClusterRequest::default() },
        )
        .await?;
    let (response, quorum) = quorum(admin).await?;
    let leader = leader(&quorum)?;
    let slowest = quorum.current_voters.iter().min_by_key(|voter| voter.log_end_offset).unwrap_or(leader);
    let lag_time = if slowest.replica_id == leader.replica_id {
        0
    } else if leader.last_caught_up_timestamp >= 0 && slowest.last_caught_up_timestamp >= 0 {
        leader.last_caught_up_timestamp - slowest.last_caught_up_timestamp
    } else {
        -1
    };
    if out.is_json() {
        let ids = |replicas: &[ReplicaState]| replicas.iter().map(|replica| replica.replica_id).collect::<Vec<_>>();
        out.object(&json!({
            "clusterId": &*cluster.cluster_id,
            "leaderId": quorum.leader_id,
            "leaderEpoch": quorum.leader_epoch,
            "highWatermark": quorum.high_watermark,
            "maxFollowerLag": leader.log_end_offset - slowest.log_end_offset,
            "maxFollowerLagTimeMs": lag_time,
            "currentVoters": ids(&quorum.current_voters),
            "currentObservers": ids(&quorum.observers),
        }));
        return Ok(());
    }
    let lines = [
        ("ClusterId:", cluster.cluster_id.to_string()),
        ("LeaderId:", quorum.leader_id.to_string()),
        ("LeaderEpoch:", quorum.leader_epoch.to_string()),
        ("HighWatermark:", quorum.high_watermark.to_string()),
        ("MaxFollowerLag:", (leader.log_end_offset - slowest.log_end_offset).to_string()),
        ("MaxFollowerLagTimeMs:", lag_time.to_string()),
        ("CurrentVoters:", replicas(&response, &quorum.current_voters)),
        ("CurrentObservers:", replicas(&response, &quorum.observers)),
    ];
    for (name, value) in lines {
        out.line(format_args!("{name:<23} {value}"));
    }
    Ok(())
}

/// Brokers and controllers describe those of their own kind.
fn endpoint_type(admin: &Admin) -> i8 {
    match admin.client().config().bootstrap_kind {
        thalweg_client::Bootstrap::Brokers => 1,
        thalweg_client::Bootstrap::Controllers => 2,
    }
}

fn replicas(response: &DescribeQuorumResponse, replicas: &[ReplicaState]) -> String {
    let shown: Vec<String> = replicas
        .iter()
        .map(|replica| {
            let mut text = format!("{{\"id\": {}", replica.replica_id);
            if !replica.replica_directory_id.is_zero() {
                text += &format!(", \"directoryId\": \"{}\"", replica.replica_directory_id);
            }
            let node = response.nodes.iter().find(|node| node.node_id == replica.replica_id);
            let endpoints: Vec<String> = node
                .iter()
                .flat_map(|node| &node.listeners)
                .map(|listener| {
                    let host = bracketed(&listener.host);
                    format!("\"{}://{host}:{}\"", listener.name, listener.port)
                })
                .collect();
            if !endpoints.is_empty() {
                text += &format!(", \"endpoints\": [{}]", endpoints.join(", "));
            }
            text + "}"
        })
        .collect();
    format!("[{}]", shown.join(", "))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

async fn replication(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Thrown> {
    let (_, quorum) = quorum(admin).await?;
    let leader = leader(&quorum)?;
    let now = time::wall_clock_ms();
    let ago = |timestamp: i64| match timestamp {
        timestamp if timestamp < 0 => "-1".to_owned(),
        timestamp if parsed.has("human-readable") => format!("{} ms ago", now - timestamp),
        timestamp => timestamp.to_string(),
    };
    let row = |replica: &ReplicaState, status: &str| {
        vec![
            replica.replica_id.to_string(),
            replica.replica_directory_id.to_string(),
            replica.log_end_offset.to_string(),
            (leader.log_end_offset - replica.log_end_offset).to_string(),
            ago(replica.last_fetch_timestamp),
            ago(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]
    };
    let mut rows = vec![row(leader, "Leader")];
    let followers = quorum.current_voters.iter().filter(|voter| voter.replica_id != quorum.leader_id);
    rows.extend(followers.map(|voter| row(voter, "Follower")));
    rows.extend(quorum.observers.iter().map(|observer| row(observer, "Observer")));
    let head =
        ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
    table::print(&head, &rows, out);
    Ok(())
}

/// A controller that is to be added, as its `server.properties` and its directory say.
struct Controller {
    id: i32,
    directory: Uuid,
    listeners: Vec<(String, String, u16)>,
}

fn controller(config: &Properties) -> Result<Controller, Failure> {
    const VALID: &str = "Is this a valid controller configuration file?";
    let id = config.get("node.id").ok_or_else(|| terse(format!("node.id not found in configuration file. {VALID}")))?;
    let id: i32 = java::number(id)?;
    if id < 0 {
        return Err(terse(format!("node.id was negative in configuration file. {VALID}")));
    }
    if !config.get("process.roles").unwrap_or_default().contains("controller") {
        return Err(terse(format!("process.roles did not contain 'controller' in configuration file. {VALID}")));
    }
    let dir = config.get("metadata.log.dir").or_else(|| config.list("log.dirs").first().copied());
    let dir = dir.ok_or_else(|| terse(format!("Neither metadata.log.dir nor log.dirs were found. {VALID}")))?;
    let names = config.get("controller.listener.names");
    let names = names.ok_or_else(|| terse(format!("controller.listener.names was not found. {VALID}")))?;
    let mut listeners = Vec::new();
    for name in names.split(',').map(|name| name.trim().to_uppercase()) {
        let found = endpoint(config, &name);
        let missing = || terse(format!("Cannot find information about controller listener name: {name}"));
        let (host, port) = found.ok_or_else(missing)?;
        listeners.push((name, host, port));
    }
    Ok(Controller { id, directory: directory_id(dir)?, listeners })
}

/// Where a listener is reached: as it is advertised, else as it is bound.
fn endpoint(config: &Properties, name: &str) -> Option<(String, u16)> {
    let lists = ["advertised.listeners", "listeners"].map(|key| config.list(key));
    lists.iter().flatten().find_map(|text| {
        let (listener, address) = text.split_once("://")?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let host = if host.is_empty() { "localhost" } else { host };
        listener.eq_ignore_ascii_case(name).then(|| Some((host.to_owned(), port.parse().ok()?)))?
    })
}

fn directory_id(dir: &str) -> Result<Uuid, Failure> {
    let text = fs::read_to_string(&Path::new(dir).join("meta.properties"));
    let text = text.map_err(|_| terse(format!("Unable to read meta.properties from {dir}")))?;
    let id = properties::parse(&text).into_iter().find(|(key, _)| key == "directory.id");
    let (_, id) = id.ok_or_else(|| terse(format!("No directory id found in {dir}")))?;
    Ok(java::uuid(&id)?)
}

async fn add(admin: &Admin, parsed: &Parsed, config: &Properties, out: &mut Out) -> Result<(), Failure> {
    let controller = controller(config)?;
    let dry_run = parsed.has("dry-run");
    if !dry_run {
        let listener = |(name, host, port): &(String, String, u16)| Listener {
            name: name.as_str().into(),
            host: host.as_str().into(),
            port: *port,
        };
        let request = AddRaftVoterRequest {
            cluster_id: None,
            timeout_ms: 30_000,
            voter_id: controller.id,
            voter_directory_id: controller.directory,
            listeners: controller.listeners.iter().map(listener).collect(),
            ..AddRaftVoterRequest::default()
        };
        let response = admin.broker_or_active_controller("addRaftVoter", &request).await.map_err(Thrown::execution)?;
        check(response.error_code, response.error_message.as_deref()).map_err(Thrown::execution)?;
    }
    let endpoints: Vec<String> =
        controller.listeners.iter().map(|(name, host, port)| format!("{name}://{}:{port}", bracketed(host))).collect();
    let done = if dry_run { "DRY RUN of adding" } else { "Added" };
    out.line(format_args!(
        "{done} controller {} with directory id {} and endpoints: {}",
        controller.id,
        controller.directory,
        endpoints.join(", ")
    ));
    Ok(())
}

async fn remove(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let id = parsed.number::<i32>("controller-id").unwrap_or(-1);
    if id < 0 {
        return Err(terse(format!("Invalid negative --controller-id: {id}")));
    }
    let text = parsed.value("controller-directory-id").unwrap_or_default();
    let directory = java::uuid(text)
        .map_err(|thrown| terse(format!("Failed to parse --controller-directory-id: {}", thrown.text())))?;
    let dry_run = parsed.has("dry-run");
    if !dry_run {
        let request = RemoveRaftVoterRequest { cluster_id: None, voter_id: id, voter_directory_id: directory };
        let response =
            admin.broker_or_active_controller("removeRaftVoter", &request).await.map_err(|thrown| removal(&thrown))?;
        check(response.error_code, response.error_message.as_deref()).map_err(|thrown| removal(&thrown))?;
    }
    let done = if dry_run { "DRY RUN of removing" } else { "Removed" };
    out.line(format_args!("{done} KRaft controller {id} with directory id {directory}"));
    Ok(())
}

fn removal(thrown: &Thrown) -> Thrown {
    thrown.clone().execution()
}
