//! Starts a fresh node, Apache Kafka or Thalweg, from the same properties.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::connection::Connection;

/// Which program.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// The script that starts Apache Kafka.
    Kafka(PathBuf),
    Thalweg(PathBuf),
}

/// A node that runs, in a directory of its own; both go with this value.
pub(crate) struct Node {
    child: Child,
    home: PathBuf,
    pub(crate) address: String,
    /// Where its controller listens.
    pub(crate) controller: String,
    /// What in its answers tells of its ports and directories.
    pub(crate) literals: Vec<(String, String)>,
}

const READY: Duration = Duration::from_secs(90);
/// Metadata of no topics at version 9, from the client "differ".
const METADATA: &[u8] = b"\0\x03\0\x09\0\0\0\x01\0\x06differ\0\x01\0\0\0\0";

impl Node {
    pub(crate) fn start(program: &Program, home: PathBuf, properties: &[String]) -> Result<Self, String> {
        let fault = |e: std::io::Error| format!("{}: {e}", home.display());
        fs::create_dir_all(&home).map_err(fault)?;
        let (port, controller) = free_ports().map_err(fault)?;
        let config = home.join("server.properties");
        let mut text = server_properties(&home, port, controller);
        for property in properties {
            text += &format!("{property}\n");
        }
        fs::write(&config, text).map_err(fault)?;
        let mut command = match program {
            Program::Thalweg(binary) => {
                let mut command = Command::new(binary);
                command.arg("serve").arg(&config);
                command
            }
            Program::Kafka(script) => {
                let mut format = Command::new(script);
                format.args([
                    "bin",
                    "kafka-storage.sh",
                    "format",
                    "--standalone",
                    "-t",
                    "aW50ZXJvcC1kaWZmZXItMQ",
                    "-c",
                ]);
                let done = format.arg(&config).stdin(Stdio::null()).output().map_err(fault)?;
                if !done.status.success() {
                    return Err(format!("kafka-storage.sh: {}", String::from_utf8_lossy(&done.stderr)));
                }
                let mut command = Command::new(script);
                command.arg("node").arg(&config);
                command
            }
        };
        let log = |name: &str| fs::File::create(home.join(name)).map_err(fault);
        let child =
            command.stdin(Stdio::null()).stdout(log("out.log")?).stderr(log("err.log")?).spawn().map_err(fault)?;
        let literals = vec![
            (home.display().to_string(), "<home>".to_owned()),
            (port.to_string(), "<port>".to_owned()),
            (controller.to_string(), "<controller port>".to_owned()),
        ];
        let (address, controller) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{controller}"));
        let mut node = Self { child, home, address, controller, literals };
        node.wait()?;
        Ok(node)
    }

    /// Until the node tells of a broker that is not fenced.
    fn wait(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < READY {
            if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                let log = fs::read_to_string(self.home.join("err.log")).unwrap_or_default();
                return Err(format!("the node ended with {status}: {}", tail(&log)));
            }
            // Behind header, tags and throttle time: the number of brokers plus one.
            let answer = Connection::new(&self.address).exchange(METADATA);
            if answer.is_ok_and(|bytes| bytes.get(9).is_some_and(|brokers| *brokers > 1)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the node at {} is not ready after {} s", self.address, READY.as_secs()))
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn log(&self) -> String {
        let text = |name: &str| fs::read_to_string(self.home.join(name)).unwrap_or_default();
        tail(&(text("out.log") + &text("err.log"))).to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(e) = ended.and_then(|_| fs::remove_dir_all(&self.home)) {
            eprintln!("{}: {e}", self.home.display());
        }
    }
}

fn tail(text: &str) -> &str {
    let at = text.len().saturating_sub(2000);
    text.get(at..).unwrap_or(text)
}

/// Two ports on loopback that were free a moment ago; five digits, so that no other number contains them by chance.
fn free_ports() -> std::io::Result<(u16, u16)> {
    let (a, b) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((a.local_addr()?.port(), b.local_addr()?.port()))
}

fn server_properties(home: &Path, port: u16, controller: u16) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners={listeners}
advertised.listeners={listeners}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
",
        home.display()
    )
}
