//! Three nodes that form one cluster, of Thalweg or of Apache Kafka: each is a broker and a voter, with a directory of its own.

mod steady;
mod works;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::Metadata;

use crate::broker::{self, Broker};

pub use works::ClusterWork;

/// The nodes of each cluster, and the replicas of each topic.
const NODES: usize = 3;
/// How long the nodes may take until they are one cluster, or one again.
const READY_MAX: Duration = Duration::from_secs(180);
/// Between two looks at whether something has happened.
const LOOK: Duration = Duration::from_millis(10);
/// How long one question to a node may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Settings of both kinds. Everything else has its default, the time-outs too.
const SETTINGS: &str = "process.roles=broker,controller\ncontroller.listener.names=CONTROLLER\n\
    min.insync.replicas=2\noffsets.topic.replication.factor=3\ntransaction.state.log.replication.factor=3\n\
    auto.create.topics.enable=false\nfile.delete.delay.ms=0\n";

/// Three nodes, which end with it.
pub struct Cluster {
    /// What the tables call it.
    pub name: String,
    kind: Kind,
    dir: PathBuf,
    nodes: Vec<Node>,
    /// The Thalweg binary whose tools ask clusters of either kind.
    tool: PathBuf,
}

/// What a cluster's nodes are.
#[derive(Clone)]
pub enum Kind {
    /// Thalweg, by its binary.
    Thalweg(PathBuf),
    /// Apache Kafka, by the script that starts it.
    Kafka(PathBuf),
}

struct Node {
    port: u16,
    controller: u16,
    properties: PathBuf,
    /// None while it is down.
    child: Option<Child>,
}

/// A node by its place in the cluster, from 0; its `node.id` is one more.
pub type Place = usize;

impl Kind {
    fn command(&self, of_node: bool) -> Command {
        let (program, words): (_, &[&str]) = match (self, of_node) {
            (Self::Thalweg(binary), true) => (binary, &["serve"]),
            (Self::Thalweg(binary), false) => (binary, &["storage"]),
            (Self::Kafka(script), true) => (script, &["node"]),
            (Self::Kafka(script), false) => (script, &["bin", "kafka-storage.sh"]),
        };
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null());
        command
    }
}

impl Cluster {
    /// Formats and starts three nodes, and waits until each knows the others. `tool` is a Thalweg binary.
    pub fn start(name: &str, kind: Kind, tool: &Path) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("bench-cluster-{name}-{}", std::process::id()));
        let mut cluster = Self { name: name.to_owned(), kind, dir, nodes: Vec::new(), tool: tool.to_owned() };
        for place in 0..NODES {
            let properties = cluster.dir.join(format!("node{}/server.properties", place + 1));
            let (port, controller) = (broker::free_port()?, broker::free_port()?);
            cluster.nodes.push(Node { port, controller, properties, child: None });
        }
        for place in 0..NODES {
            cluster.format(place)?;
        }
        for place in 0..NODES {
            cluster.launch(place)?;
        }
        cluster.until_ready(None)?;
        Ok(cluster)
    }

    fn format(&self, place: Place) -> Result<(), String> {
        let node = &self.nodes[place];
        let voter = |(place, node): (usize, &Node)| format!("{}@127.0.0.1:{}", place + 1, node.controller);
        let voters: Vec<String> = self.nodes.iter().enumerate().map(voter).collect();
        let home = node.properties.parent().unwrap_or(&self.dir);
        let text = format!(
            "{SETTINGS}node.id={}\ncontroller.quorum.voters={}\nlog.dirs={}\n\
             listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}\n",
            place + 1,
            voters.join(","),
            home.join("data").display(),
            node.port,
            node.controller
        );
        fs::create_dir_all(home).and_then(|()| fs::write(&node.properties, text)).map_err(|e| e.to_string())?;
        broker::format(&mut self.kind.command(false), &node.properties).map_err(|e| format!("{}: {e}", self.name))
    }

    /// Starts a node that is down, and does not wait for it.
    fn launch(&mut self, place: Place) -> Result<(), String> {
        let node = &mut self.nodes[place];
        let log = node.properties.with_file_name("node.log");
        let log = fs::File::options().create(true).append(true).open(log).map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let child = self.kind.command(true).arg(&node.properties).stdout(log).stderr(errors).spawn();
        node.child = Some(child.map_err(|e| format!("{} cannot be started: {e}", self.name))?);
        Ok(())
    }

    /// Ends a node at once, as `kill -9` does.
    fn kill(&mut self, place: Place) {
        if let Some(mut child) = self.nodes[place].child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks nodes to end, all at once, and waits until they have.
    fn stop(&mut self, places: &[Place]) {
        let mut children: Vec<Child> = places.iter().filter_map(|place| self.nodes[*place].child.take()).collect();
        children.iter().for_each(broker::ask_to_end);
        children.iter_mut().for_each(broker::wait_for_end);
    }

    /// Waits until every node is a broker of the cluster, and all replicas of `topic` are in sync.
    fn until_ready(&self, topic: Option<&str>) -> Result<(), String> {
        let all = self.nodes.iter().map(|node| node.port).collect::<Vec<_>>();
        let began = Instant::now();
        for port in all {
            let at = Broker::nodes(&self.name, format!("127.0.0.1:{port}"), self.pids(), NODES as i32);
            loop {
                let ready = |metadata: Metadata| {
                    let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
                    metadata.brokers().len() == NODES && partitions.all(|partition| partition.isr().len() == NODES)
                };
                if ask(&at, topic).is_ok_and(ready) {
                    break;
                }
                at.check()?;
                if began.elapsed() > READY_MAX {
                    return Err(format!("{} is not ready: its logs are in {}", self.name, self.dir.display()));
                }
                thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Starts the nodes that are down, and waits until all is well again.
    fn heal(&mut self, topic: &str) -> Result<(), String> {
        for place in 0..NODES {
            if self.nodes[place].child.is_none() {
                self.launch(place)?;
            }
        }
        self.until_ready(Some(topic))
    }

    fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| node.child.as_ref()).map(Child::id).collect()
    }

    /// The nodes that run, for clients.
    pub fn view(&self) -> Broker {
        let running = self.nodes.iter().filter(|node| node.child.is_some());
        let addresses: Vec<String> = running.map(|node| format!("127.0.0.1:{}", node.port)).collect();
        Broker::nodes(&self.name, addresses.join(","), self.pids(), NODES as i32)
    }

    /// One node that runs, to count what it takes.
    fn node(&self, place: Place) -> Result<Broker, String> {
        let node = &self.nodes[place];
        let child = node.child.as_ref().ok_or("a node is down that should be measured")?;
        Ok(Broker::nodes(&self.name, format!("127.0.0.1:{}", node.port), vec![child.id()], NODES as i32))
    }

    /// Which node is the active controller.
    fn active_controller(&self) -> Result<Place, String> {
        let mut tool = Command::new(&self.tool);
        tool.args(["metadata-quorum", "--bootstrap-server", &self.view().address, "describe", "--status"]);
        let answered = succeeded(&tool.output().map_err(|e| format!("{}: {e}", self.tool.display()))?)?;
        let leader = answered.lines().find_map(|line| line.strip_prefix("LeaderId:")?.trim().parse::<usize>().ok());
        let place = leader.and_then(|id| id.checked_sub(1)).filter(|place| *place < NODES);
        place.ok_or_else(|| format!("{} names no active controller: {answered}", self.name))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(&[0, 1, 2]);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What a cluster knows of a topic, or of none.
fn ask(at: &Broker, topic: Option<&str>) -> Result<Metadata, String> {
    let client: BaseConsumer = at.config().create().map_err(|e| e.to_string())?;
    client.fetch_metadata(topic.or(Some("__none")), ANSWER_MAX).map_err(|e| e.to_string())
}

/// A program's output, when it has ended well.
fn succeeded(output: &Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
