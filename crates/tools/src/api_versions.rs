//! `kafka-broker-api-versions.sh`: which versions of which APIs brokers have.

use std::fmt::Write as _;

use serde_json::{Value, json};
use thalweg_base::NodeId;
use thalweg_client::{Destination, Lane};
use thalweg_wire::ApiKey;
use thalweg_wire::messages::ApiVersionsRequest;
use thalweg_wire::messages::ApiVersionsResponse;
use thalweg_wire::messages::api_versions_response::ApiVersion;

use crate::admin::{self, Admin};
use crate::failure::Failure;
use crate::java;
use crate::jopt::Line;
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "broker-api-versions",
    script: "kafka-broker-api-versions",
    classes: &["org.apache.kafka.tools.BrokerApiVersionsCommand", "kafka.admin.BrokerApiVersionsCommand"],
    about: "Print the versions of the APIs that brokers have.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const JOPT: Jopt = Jopt {
    about: "This tool helps to retrieve broker version information.",
    about_empty: "This tool helps to retrieve broker version information.",
    examples: &["kafka-broker-api-versions --bootstrap-server localhost:9092"],
    options: &[BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT],
    parse_errors: ParseErrors::Uncaught,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    admin::block_on(async {
        let admin = Admin::of_line(line, out).await?;
        let nodes = admin.nodes("describeCluster").await?;
        let nodes = java::hash_order(nodes, 16, |node| node.id);
        for node in nodes {
            let shown =
                format!("{}:{} (id: {} rack: {} isFenced: false)", node.host, node.port, node.id, node.rack_text());
            match ask(&admin, node.id).await {
                Ok(response) if out.is_json() => {
                    let apis: Vec<Value> = response.api_keys.iter().map(api_object).collect();
                    let (id, host, port, rack) = (node.id, node.host, node.port, node.rack);
                    out.object(&json!({"id": id, "host": host, "port": port, "rack": rack, "apis": apis}));
                }
                Ok(response) => out.line(format_args!("{shown} -> {}", versions(&response))),
                Err(error) => out.line(format_args!("{shown} -> ERROR: {error}")),
            }
        }
        Ok(())
    })
}

fn api_object(api: &ApiVersion) -> Value {
    json!({
        "key": api.api_key,
        "name": ApiKey::from_i16(api.api_key).map(ApiKey::name),
        "minVersion": api.min_version,
        "maxVersion": api.max_version,
    })
}

async fn ask(admin: &Admin, node: i32) -> Result<ApiVersionsResponse, thalweg_client::Error> {
    let client = admin.client();
    let deadline = client.api_deadline();
    let connection = client.connection(&Destination::Node(NodeId(node)), Lane::Requests, deadline).await?;
    let request = ApiVersionsRequest {
        client_software_name: "thalweg".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    connection.send(&request, deadline).await
}

fn versions(response: &ApiVersionsResponse) -> String {
    let known = ApiKey::ALL.iter().filter(|key| key.on_broker() && !key.valid_versions().is_empty());
    let mut keys: Vec<i16> =
        known.map(|key| key.code()).chain(response.api_keys.iter().map(|key| key.api_key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut text = String::from("(");
    for (at, code) in keys.iter().enumerate() {
        let between = if at == 0 { "" } else { "," };
        let key = ApiKey::from_i16(*code);
        let name = key.map_or("UNKNOWN", ApiKey::name);
        let _ = write!(text, "{between}\n\t{name}({code}): ");
        let Some(theirs) = response.api_keys.iter().find(|theirs| theirs.api_key == *code) else {
            text.push_str("UNSUPPORTED");
            continue;
        };
        let (low, high) = (theirs.min_version, theirs.max_version);
        let _ = if low == high { write!(text, "{low}") } else { write!(text, "{low} to {high}") };
        if let Some(key) = key {
            let ours = key.valid_versions();
            let usable = high.min(*ours.end());
            let _ = if usable >= low.max(*ours.start()) {
                write!(text, " [usable: {usable}]")
            } else {
                write!(text, " [unusable: node too {}]", if high < *ours.start() { "old" } else { "new" })
            };
        }
    }
    text + "\n)"
}
