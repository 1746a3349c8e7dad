//! `kafka-cluster.sh`: the cluster's id, its endpoints, and brokers that are gone for good.

use serde_json::json;
use thalweg_wire::messages::{DescribeClusterRequest, DescribeClusterResponse, UnregisterBrokerRequest};

use crate::admin::{self, Admin, check};
use crate::argparse::{Command, Group, Kind, OUTPUT, Opt, Parsed, flag, value};
use crate::failure::Failure;
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "cluster",
    script: "kafka-cluster",
    classes: &["org.apache.kafka.tools.ClusterTool", "kafka.tools.ClusterTool"],
    about: "Print the cluster's id and endpoints; unregister brokers.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 1,
    empty_is_help: false,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const SERVERS: &[Group] = &[Group {
    required: true,
    options: &[
        value("bootstrap-server", "BOOTSTRAP_SERVER", "The brokers to begin with, as HOST:PORT[,...].").short('b'),
        value("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "The controllers to begin with, as HOST:PORT[,...].")
            .short('C'),
    ],
}];

const CONFIG: Opt = value("config", "CONFIG", "Deprecated: use --command-config.");
const COMMAND_CONFIG: Opt = value("command-config", "COMMAND_CONFIG", "A properties file for the client.").short('c');

const PROGRAM: Command = Command {
    name: "kafka-cluster",
    about: "The Kafka cluster tool.",
    commands: &[
        Command {
            name: "cluster-id",
            about: "Print the id of the cluster.",
            options: &[CONFIG, COMMAND_CONFIG],
            groups: SERVERS,
            ..Command::EMPTY
        },
        Command {
            name: "unregister",
            about: "Remove a broker that is gone for good.",
            options: &[
                CONFIG,
                COMMAND_CONFIG,
                value("id", "ID", "The id of the broker.").short('i').kind(Kind::Int).required(),
            ],
            groups: SERVERS,
            ..Command::EMPTY
        },
        Command {
            name: "list-endpoints",
            about: "List the addresses of the nodes.",
            options: &[
                CONFIG,
                COMMAND_CONFIG,
                flag("include-fenced-brokers", "Brokers that are fenced as well."),
                OUTPUT,
            ],
            groups: SERVERS,
            ..Command::EMPTY
        },
    ],
    ..Command::EMPTY
};

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    if parsed.has("config") && parsed.has("command-config") {
        return Err(Failure::Usage("--config and --command-config cannot be specified together.".into()));
    }
    if parsed.has("config") {
        out.line(
            "Option --config has been deprecated and will be removed in a future version. Use --command-config instead.",
        );
    }
    let mut properties = admin::properties_of(parsed.value("command-config").or(parsed.value("config")))?;
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), parsed.value("bootstrap-controller"));
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        match parsed.command {
            "cluster-id" => {
                let response = describe(&admin, parsed).await?;
                out.line(format_args!("Cluster ID: {}", response.cluster_id));
            }
            "unregister" => unregister(&admin, parsed.number("id").unwrap_or(-1), out).await?,
            _ => list_endpoints(&admin, parsed, out).await?,
        }
        Ok(())
    })
}

/// What the cluster says about its brokers or, if the line names controllers, about these.
async fn describe(admin: &Admin, parsed: &Parsed) -> Result<DescribeClusterResponse, Thrown> {
    let request = DescribeClusterRequest {
        endpoint_type: if parsed.has("bootstrap-controller") { 2 } else { 1 },
        include_fenced_brokers: parsed.has("include-fenced-brokers"),
        ..DescribeClusterRequest::default()
    };
    let response = admin.any("describeCluster", &request).await.map_err(Thrown::execution)?;
    check(response.error_code, response.error_message.as_deref()).map_err(Thrown::execution)?;
    Ok(response)
}

async fn unregister(admin: &Admin, id: i32, out: &mut Out) -> Result<(), Thrown> {
    let response =
        admin.broker_or_active_controller("unregisterBroker", &UnregisterBrokerRequest { broker_id: id }).await;
    let checked = response.and_then(|response| check(response.error_code, response.error_message.as_deref()));
    match checked {
        Ok(()) => out.line(format_args!("Broker {id} is no longer registered.")),
        Err(thrown) if thrown.is("UnsupportedVersionException") => {
            out.line("The target cluster does not support the broker unregistration API.");
        }
        Err(thrown) => {
            let text = format!(
                "[AdminClient clientId=adminclient-1] Unregister broker request for broker ID {id} failed: {}",
                thrown.text()
            );
            out.log("ERROR", text, "org.apache.kafka.clients.admin.KafkaAdminClient");
            return Err(thrown.execution());
        }
    }
    Ok(())
}

async fn list_endpoints(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let controllers = parsed.has("bootstrap-controller");
    if controllers && parsed.has("include-fenced-brokers") {
        let text = "The option --include-fenced-brokers is only supported with --bootstrap-server option";
        return Err(Thrown::illegal_argument(text).into());
    }
    let response = describe(admin, parsed).await?;
    if out.is_json() {
        for node in &response.brokers {
            out.object(&json!({
                "id": node.broker_id,
                "host": &*node.host,
                "port": node.port,
                "rack": node.rack.as_deref(),
                "state": if controllers { None } else { Some(if node.is_fenced { "fenced" } else { "unfenced" }) },
                "endpointType": if controllers { "controller" } else { "broker" },
            }));
        }
        return Ok(());
    }
    let host_width = response.brokers.iter().map(|node| node.host.len()).max().unwrap_or(100);
    let rack_width =
        response.brokers.iter().filter_map(|node| node.rack.as_ref()).map(|rack| rack.len()).max().unwrap_or(10);
    let mut row = |id: &str, host: &str, port: &str, rack: &str, state: &str, kind: &str| {
        let state = if controllers { String::new() } else { format!("{state:<10} ") };
        out.line(format_args!("{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state}{kind:<15}"));
    };
    row("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE");
    for node in &response.brokers {
        let (id, port) = (node.broker_id.to_string(), node.port.to_string());
        let rack = node.rack.as_deref().unwrap_or("null");
        let state = if node.is_fenced { "fenced" } else { "unfenced" };
        row(&id, &node.host, &port, rack, state, if controllers { "controller" } else { "broker" });
    }
    Ok(())
}
