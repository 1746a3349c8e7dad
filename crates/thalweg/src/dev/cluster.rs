//! The files of a cluster on one machine: a directory for each node with its properties and its data.

use std::path::{Path, PathBuf};

use thalweg_base::{Timestamp, Uuid, properties};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{self, FirstVoters, FormatRequest, META_PROPERTIES};
use thalweg_sys::{fs, random, time};

const PROPERTIES: &str = "server.properties";

/// What the command line says of the cluster.
pub(super) struct Layout<'a> {
    pub(super) nodes: u16,
    pub(super) dir: PathBuf,
    /// The port of the first node's listener.
    pub(super) port: u16,
    /// Keys and values for every node's properties.
    pub(super) overrides: &'a [String],
}

/// One node of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: u16,
    /// Where clients reach it.
    pub(super) port: u16,
    pub(super) dir: PathBuf,
}

impl Node {
    pub(super) fn properties(&self) -> PathBuf {
        self.dir.join(PROPERTIES)
    }

    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
}

/// Writes the properties of each node, and formats its data directory if that is not formatted yet.
///
/// # Errors
/// A message for people: a port beyond 65535, a directory that cannot be written, or an override that is malformed.
pub(super) fn prepare(layout: &Layout<'_>) -> Result<Vec<Node>, String> {
    let nodes = nodes(layout)?;
    let cluster_id = cluster_id(&nodes);
    for node in &nodes {
        fs::create_dir_all(&node.dir).map_err(|e| format!("cannot make {}: {e}", node.dir.display()))?;
        let text = text(node, &nodes, layout.overrides)?;
        let file = node.properties();
        fs::write_atomic(&file, text.as_bytes()).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        let config = NodeConfig::for_formatting(&properties::parse(&text)).map_err(|refused| refused.message)?;
        let request =
            FormatRequest { ignore_formatted: true, ..FormatRequest::new(cluster_id.clone(), FirstVoters::Unsaid) };
        format::format(&config, &request, Timestamp(time::wall_clock_ms()), &mut Vec::new())
            .map_err(|e| e.to_string())?;
    }
    Ok(nodes)
}

fn nodes(layout: &Layout<'_>) -> Result<Vec<Node>, String> {
    let dir = std::path::absolute(&layout.dir).map_err(|e| format!("cannot use {}: {e}", layout.dir.display()))?;
    let last = u32::from(layout.port) + 2 * u32::from(layout.nodes) - 1;
    if last > u32::from(u16::MAX) {
        return Err(format!("{} nodes from port {} on need ports up to {last}", layout.nodes, layout.port));
    }
    let node = |id: u16| Node { id, port: layout.port + 2 * (id - 1), dir: dir.join(format!("node-{id}")) };
    Ok((1..=layout.nodes).map(node).collect())
}

/// The id of the cluster that is there already, or a new one.
fn cluster_id(nodes: &[Node]) -> String {
    let read = |node: &Node| {
        let text = fs::read_to_string(&node.data().join(META_PROPERTIES)).ok()?;
        properties::parse(&text).into_iter().find(|(key, _)| key == "cluster.id").map(|(_, id)| id)
    };
    nodes.iter().find_map(read).unwrap_or_else(|| Uuid::from_random(random::bytes16()).to_string())
}

/// The `server.properties` of one node.
fn text(node: &Node, nodes: &[Node], overrides: &[String]) -> Result<String, String> {
    let voters: Vec<String> = nodes.iter().map(|node| format!("{}@127.0.0.1:{}", node.id, node.port + 1)).collect();
    let replicas = nodes.len().min(3);
    let in_sync = replicas.div_ceil(2).max(1);
    let mut entries = vec![
        ("process.roles".to_owned(), "broker,controller".to_owned()),
        ("node.id".to_owned(), node.id.to_string()),
        ("controller.quorum.voters".to_owned(), voters.join(",")),
        ("controller.listener.names".to_owned(), "CONTROLLER".to_owned()),
        (
            "listeners".to_owned(),
            format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", node.port, node.port + 1),
        ),
        ("log.dirs".to_owned(), path_text(&node.data())),
        ("default.replication.factor".to_owned(), replicas.to_string()),
        ("min.insync.replicas".to_owned(), in_sync.to_string()),
        ("offsets.topic.replication.factor".to_owned(), replicas.to_string()),
        ("transaction.state.log.replication.factor".to_owned(), replicas.to_string()),
        ("transaction.state.log.min.isr".to_owned(), in_sync.to_string()),
    ];
    for pair in overrides {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!("--override takes KEY=VALUE, and `{pair}` has no `=`"));
        };
        entries.retain(|(name, _)| name != key.trim());
        entries.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    let lines: Vec<String> = entries.iter().map(|(key, value)| properties::entry(key, value)).collect();
    Ok(format!("# Written by `thalweg dev`, anew at each start.\n{}\n", lines.join("\n")))
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_name_each_other_as_voters_and_know_their_directories() {
        let layout = Layout { nodes: 3, dir: PathBuf::from("/c"), port: 19092, overrides: &[] };
        let nodes = nodes(&layout).expect("nodes");
        let text = text(&nodes[1], &nodes, &["num.partitions=3".to_owned()]).expect("a text");
        let entries = properties::parse(&text);
        let value = |key: &str| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!(value("controller.quorum.voters"), Some("1@127.0.0.1:19093,2@127.0.0.1:19095,3@127.0.0.1:19097"));
        assert_eq!(value("listeners"), Some("PLAINTEXT://127.0.0.1:19094,CONTROLLER://127.0.0.1:19095"));
        assert_eq!((value("log.dirs"), value("num.partitions")), (Some("/c/node-2/data"), Some("3")));
        assert_eq!((value("min.insync.replicas"), value("default.replication.factor")), (Some("2"), Some("3")));
        NodeConfig::for_formatting(&entries).expect("a configuration that Kafka takes, too");
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let layout = Layout { nodes: 3, dir: PathBuf::from("/c"), port: 65_532, overrides: &[] };
        assert!(nodes(&layout).expect_err("refused").contains("65537"));
    }
}
