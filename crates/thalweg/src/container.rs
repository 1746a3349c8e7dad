//! `thalweg container`: a node whose properties are the environment's, as the images of Kafka take them.

mod settings;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use thalweg_base::properties;
use thalweg_sys::time::{Duration, now};
use thalweg_sys::{fs, net};

use crate::serve::entries::value_of;
use settings::{Secrets, Settings, compose};

/// Where the images of Apache Kafka keep data when nothing names a directory; a compose file may mount a volume there.
const OLD_DATA_DIRS: [&str; 2] = ["/tmp/kraft-combined-logs", "/tmp/kafka-logs"];
/// Where data is when none of them is mounted: a volume of the images of Apache Kafka and Confluent.
const DATA_DIR: &str = "/var/lib/kafka/data";

/// How long a health check waits for a connection.
const REACH_MAX: Duration = Duration::from_secs(3);

/// Run a node in a container, with the variables of the images apache/kafka and confluentinc/cp-kafka.
///
/// KAFKA_NODE_ID=1 sets node.id, and so on: `_` is a dot, `__` an underscore and `___` a dash. A server.properties that is
/// mounted comes first, and the variables override it; without either it is a lone node on port 9092. The data directory
/// is formatted with CLUSTER_ID when it is empty. KAFKA_SSL_KEYSTORE_FILENAME, KAFKA_SSL_KEYSTORE_CREDENTIALS and the like
/// name files in the directory for secrets. KAFKA_LOG4J_ROOT_LOGLEVEL is the level of the log. Variables of ZooKeeper's
/// time, with KAFKA_ZOOKEEPER_CONNECT, run a lone node.
#[derive(Args)]
pub(crate) struct Container {
    /// More variables, which override the environment's.
    #[arg(value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// The directory in which a server.properties may be mounted.
    #[arg(long, value_name = "DIR", default_value = "/mnt/shared/config")]
    mounted: PathBuf,
    /// The directory for key material.
    #[arg(long, value_name = "DIR", default_value = "/etc/kafka/secrets")]
    secrets: PathBuf,
    /// The directory for the properties that the node is run with.
    #[arg(long, value_name = "DIR", default_value = "/opt/kafka/config")]
    config: PathBuf,
    /// Ask the node that runs here which APIs it serves, and run none: for health checks.
    #[arg(long)]
    check: bool,
}

impl Container {
    pub(crate) fn run(&self) -> ExitCode {
        let done = if self.check { self.ask() } else { self.start() };
        done.unwrap_or_else(|message| {
            eprintln!("thalweg container: {message}");
            ExitCode::FAILURE
        })
    }

    /// Composes the properties, formats what is empty, and becomes the node.
    fn start(&self) -> Result<ExitCode, String> {
        let settings = self.settings()?;
        for warning in &settings.warnings {
            eprintln!("thalweg container: {warning}");
        }
        let file = self.file();
        write_properties(&file, &settings.entries).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        let code = format(&file, &settings);
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
        let mut node = this_program()?;
        node.arg("serve").arg(&file);
        if let Some(level) = &settings.log_level {
            node.args(["--log-level", level]);
        }
        Err(format!("cannot start the node: {}", node.exec()))
    }

    fn file(&self) -> PathBuf {
        self.config.join("server.properties")
    }

    fn settings(&self) -> Result<Settings, String> {
        let text_of = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut variables: Vec<(String, String)> = std::env::vars_os().filter_map(text_of).collect();
        variables.sort();
        for text in &self.variables {
            let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no NAME=VALUE"))?;
            variables.push((name.to_owned(), value.to_owned()));
        }
        let mounted = self.mounted.join("server.properties");
        let mounted = match fs::read_to_string(&mounted) {
            Ok(text) => properties::parse(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(format!("cannot read {}: {e}", mounted.display())),
        };
        let read = |name: &str| fs::read_to_string(&self.secrets.join(name)).map_err(|e| e.to_string());
        let secrets = Secrets { dir: &self.secrets.to_string_lossy(), read: &read };
        let data_dir = OLD_DATA_DIRS.into_iter().find(|dir| fs::exists(Path::new(dir))).unwrap_or(DATA_DIR);
        compose(&variables, mounted, &secrets, data_dir)
    }

    /// Asks the first listener for the id of the cluster, or, if it wants keys or a log-in, whether it takes connections.
    fn ask(&self) -> Result<ExitCode, String> {
        let file = self.file();
        let text = fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
        let entries = properties::parse(&text);
        let listener = first_listener(&entries).ok_or_else(|| format!("{} has no listener", file.display()))?;
        if !listener.is_plain {
            return reach(&listener.address).map(|()| ExitCode::SUCCESS);
        }
        let is_broker = value_of(&entries, "process.roles").is_none_or(|roles| roles.contains("broker"));
        let option = if is_broker { "--bootstrap-server" } else { "--bootstrap-controller" };
        let mut tool = this_program()?;
        tool.args(["cluster", "cluster-id", option, &listener.address]);
        Err(format!("cannot ask the node: {}", tool.exec()))
    }
}

/// Opens a connection and closes it.
fn reach(address: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let connected = runtime.block_on(async {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let port = port.parse().map_err(|_| std::io::ErrorKind::InvalidInput)?;
        let addresses = net::resolve(host.trim_matches(['[', ']']), port).await?;
        let first = addresses.first().copied().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
        net::connect(first, net::ConnectOptions::default(), now() + REACH_MAX).await
    });
    connected.map(|_| ()).map_err(|e| format!("{address} cannot be reached: {e}"))
}

fn this_program() -> Result<Command, String> {
    std::env::current_exe().map(Command::new).map_err(|e| format!("cannot find the program that is running: {e}"))
}

/// The file may hold passwords: nobody else reads it.
fn write_properties(file: &Path, entries: &[(String, String)]) -> std::io::Result<()> {
    let lines: String = entries.iter().map(|(key, value)| properties::entry(key, value) + "\n").collect();
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write_private(file, lines.as_bytes())
}

/// Formats the data directories that are empty.
fn format(file: &Path, settings: &Settings) -> ExitCode {
    let mut words = vec!["format", "--ignore-formatted", "--cluster-id", &settings.cluster_id, "--config"];
    let file = file.to_string_lossy();
    words.push(&file);
    if settings.is_standalone {
        words.push("--standalone");
    }
    let words: Vec<String> = words.into_iter().map(ToOwned::to_owned).collect();
    thalweg_tools::run(&crate::storage::TOOL, &words)
}

/// A listener as a health check sees it.
#[derive(Debug, PartialEq)]
struct Listener {
    /// `HOST:PORT` as this machine reaches it.
    address: String,
    /// Whether it takes connections without encryption and without a log-in.
    is_plain: bool,
}

fn first_listener(entries: &[(String, String)]) -> Option<Listener> {
    let protocols = value_of(entries, "listener.security.protocol.map").unwrap_or_default();
    let protocol = |name: &str| {
        let mut pairs = protocols.split(',').filter_map(|pair| pair.trim().split_once(':'));
        pairs.find(|(mapped, _)| *mapped == name).map_or(name.to_owned(), |(_, protocol)| protocol.to_owned())
    };
    let listeners = value_of(entries, "listeners").unwrap_or("PLAINTEXT://:9092");
    let (name, address) = listeners.split(',').next()?.trim().split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "localhost" } else { host };
    // The controller's listener is a plain one unless the map says otherwise.
    let controllers = value_of(entries, "controller.listener.names").unwrap_or_default();
    let is_plain =
        protocol(name) == "PLAINTEXT" || protocols.is_empty() && controllers.split(',').any(|one| one == name);
    Some(Listener { address: format!("{host}:{port}"), is_plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_asks_the_first_listener() {
        let of = |text: &str| first_listener(&properties::parse(text));
        let plain = |address: &str| Some(Listener { address: address.to_owned(), is_plain: true });
        assert_eq!(of("listeners=PLAINTEXT://:9092,CONTROLLER://:9093"), plain("localhost:9092"));
        let mapped = "listeners=IN://10.0.0.1:19092\nlistener.security.protocol.map=IN:PLAINTEXT,OUT:SSL";
        assert_eq!(of(mapped), plain("10.0.0.1:19092"));
        assert_eq!(of("listeners=C://:9093\ncontroller.listener.names=C"), plain("localhost:9093"));
        let keys = of("listeners=SSL://0.0.0.0:9092").expect("a listener");
        assert_eq!((keys.is_plain, &*keys.address), (false, "localhost:9092"));
    }
}
