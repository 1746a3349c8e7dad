//! What old command lines ask of ZooKeeper, answered without one.
//!
//! `zookeeper-server-start.sh` and `-stop.sh` say that none is needed. `zookeeper-shell.sh` answers the few questions that
//! health checks put, from the cluster's metadata and in ZooKeeper's JSON shapes.

use serde_json::json;
use thalweg_client::Properties;
use thalweg_sys::time;

use crate::admin::{self, Admin, NodeInfo};
use crate::failure::Failure;
use crate::legacy::{BOOTSTRAP_VARIABLE, bootstrap_of};
use crate::out::Out;
use crate::tool::{Grammar, Tool};

/// `zookeeper-server-start.sh`.
pub(crate) const START: Tool = Tool {
    name: "zookeeper-server-start",
    script: "zookeeper-server-start",
    classes: &["org.apache.zookeeper.server.quorum.QuorumPeerMain"],
    about: "Does nothing: no ZooKeeper is needed.",
    run: not_needed,
    grammar: Grammar::Words,
};

/// `zookeeper-server-stop.sh`.
pub(crate) const STOP: Tool = Tool {
    name: "zookeeper-server-stop",
    script: "zookeeper-server-stop",
    classes: &[],
    about: "Does nothing: no ZooKeeper is needed.",
    run: not_needed,
    grammar: Grammar::Words,
};

/// `zookeeper-shell.sh`.
pub(crate) const SHELL: Tool = Tool {
    name: "zookeeper-shell",
    script: "zookeeper-shell",
    classes: &["org.apache.zookeeper.ZooKeeperMainWithTlsSupportForKafka", "org.apache.zookeeper.ZooKeeperMain"],
    about: "Answer ls and get of /brokers and /controller from the cluster's metadata.",
    run: shell,
    grammar: Grammar::Words,
};

fn not_needed(_: &[String], out: &mut Out) -> u8 {
    out.line("No ZooKeeper is needed: brokers keep the cluster's metadata themselves (KRaft).");
    0
}

fn shell(words: &[String], out: &mut Out) -> u8 {
    let [address, command, path] = words else {
        out.error("usage: zookeeper-shell HOST:PORT ls|get PATH");
        return 1;
    };
    let servers = bootstrap_of(address, std::env::var(BOOTSTRAP_VARIABLE).ok().as_deref());
    let properties =
        Properties::from_iter([("bootstrap.servers", servers.as_str()), ("default.api.timeout.ms", "10000")]);
    let answered = admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        out.line(format_args!("Connecting to {address}"));
        answer(command, path.trim_end_matches('/'), &admin).await
    });
    match answered {
        Ok(text) => {
            out.line(text);
            0
        }
        Err(Failure::Thrown(thrown)) => {
            out.error(thrown.text());
            1
        }
        Err(Failure::Message(message) | Failure::Usage(message)) => {
            out.error(message);
            1
        }
        Err(Failure::Exit(code)) => code,
    }
}

async fn answer(command: &str, path: &str, admin: &Admin) -> Result<String, Failure> {
    let missing = || Failure::Message(format!("Node does not exist: {path}"));
    let nodes = admin.nodes("describeCluster").await?;
    match (command, path) {
        ("ls", "") => Ok("[brokers, controller]".into()),
        ("ls", "/brokers") => Ok("[ids, topics]".into()),
        ("ls", "/brokers/ids") => Ok(list(nodes.iter().map(|node| node.id.to_string()))),
        ("ls", "/brokers/topics") => Ok(list(admin.list_topics().await?.into_iter().map(|topic| topic.name))),
        ("get", "/controller") => {
            let controller = admin.client().cluster().controller.map_or(-1, |id| id.0);
            let now = time::wall_clock_ms().to_string();
            Ok(json!({"version": 2, "brokerid": controller, "timestamp": now, "kraftControllerEpoch": -1}).to_string())
        }
        ("get", path) => {
            let id = path.strip_prefix("/brokers/ids/").ok_or_else(missing)?;
            let node = nodes.iter().find(|node| node.id.to_string() == id).ok_or_else(missing)?;
            Ok(broker(node))
        }
        ("ls", path) => match path.strip_prefix("/brokers/ids/") {
            Some(id) if nodes.iter().any(|node| node.id.to_string() == id) => Ok("[]".into()),
            _ => Err(missing()),
        },
        _ => Err(Failure::Message(format!("Command not found: {command}"))),
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    format!("[{}]", names.collect::<Vec<_>>().join(", "))
}

/// A broker as it registered itself with ZooKeeper.
fn broker(node: &NodeInfo) -> String {
    let (host, port) = (&node.host, node.port);
    let value = json!({
        "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"},
        "endpoints": [format!("PLAINTEXT://{host}:{port}")],
        "jmx_port": -1,
        "features": {},
        "host": host,
        "timestamp": time::wall_clock_ms().to_string(),
        "port": port,
        "version": 5,
    });
    value.to_string()
}
