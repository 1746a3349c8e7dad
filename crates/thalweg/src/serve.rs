//! `thalweg serve`: runs a node.

mod abort;
pub(crate) mod entries;
mod web;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thalweg_broker::Node;
use thalweg_broker::config::{HTTP_LISTEN, LOG_LEVEL, NodeConfig, Notice};
use thalweg_broker::format::META_PROPERTIES;
use thalweg_sys::fs;
use thalweg_sys::process::{self, Asked, Signals};
use thalweg_sys::time::Duration;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::logs::{LogFormat, Logs};
use entries::CommandLine;

/// What still runs where it may block, such as the removal of a deleted topic, is waited for so long in the end.
const BLOCKING_WORK_MAX: Duration = Duration::from_secs(1);

/// Run a node.
///
/// Without a file: broker and controller in one, on localhost:9092 (127.0.0.1 and ::1), with its data in ./thalweg-data. An
/// empty data directory is formatted by itself when the configuration names no other voters.
///
/// SIGTERM or Ctrl-C stops the node: it answers the requests that it has accepted and closes the logs. A second signal does not
/// wait for clients, a third one not for the logs. SIGHUP reads the properties again, applies what may change at run time, and
/// logs what needs a restart.
///
/// Logs go to standard error. Apache Kafka's log4j2 files are not read: --log-level takes their place.
#[derive(Args, Default)]
pub(crate) struct Serve {
    /// Kafka's own server.properties.
    properties: Option<PathBuf>,
    /// A key of server.properties and its value; overrides the file. May be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The address for clients, localhost:9092 by default; a port alone is on localhost, `:9092` is every interface. The
    /// controller listens on loopback at the next port.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The data directory, ./thalweg-data by default; the same as log.dirs in the properties.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Run a server.properties of a broker with ZooKeeper as a single node with its own controller. Its data directory is
    /// not migrated: use a new one.
    #[arg(long, requires = "properties")]
    adopt: bool,
    /// A node for tests: on a free port of 127.0.0.1, its data in a temporary directory that is removed in the end. The
    /// first line on standard output is bootstrap.servers=HOST:PORT.
    #[arg(long)]
    ephemeral: bool,
    /// Stop cleanly when the process that started this one ends.
    #[arg(long)]
    with_parent: bool,
    /// Serves /metrics, /healthz, /readyz and the web console over HTTP there, without encryption or password; the same as
    /// thalweg.http.listen in the properties. Without it and without a file this is 127.0.0.1:9404, which is what the JMX
    /// exporter's users scrape, or a free port; with a file it is off.
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<String>,
    /// The form of a line of the log.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace or off, for all and for modules, such as
    /// info,thalweg_network=debug. Else the environment variable THALWEG_LOG says it, else thalweg.log.level in
    /// the properties, which SIGHUP reads again, else it is info.
    #[arg(long, value_name = "LEVELS")]
    log_level: Option<String>,
}

/// Why the command has failed.
#[derive(Debug)]
struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Serve {
    /// Runs until Ctrl-C or SIGTERM.
    pub(crate) fn run(self) -> ExitCode {
        process::take_small_pages();
        if self.with_parent
            && let Err(e) = process::end_with_parent()
        {
            eprintln!("--with-parent is not possible on this system: {e}");
            return ExitCode::FAILURE;
        }
        let logs = match Logs::start(self.log_format, self.log_level.as_deref()) {
            Ok(logs) => logs,
            Err(e) => {
                eprintln!("the levels of the log (--log-level or THALWEG_LOG) cannot be read: {e}");
                return ExitCode::FAILURE;
            }
        };
        abort::on_panic();
        let temporary = self.ephemeral.then(|| {
            let unique = thalweg_sys::random::u64();
            fs::temp_dir().join(format!("thalweg-{}-{unique:016x}", process::id()))
        });
        let served = self.serve(temporary.as_deref(), &logs);
        if let Some(dir) = &temporary
            && fs::exists(dir)
            && let Err(e) = fs::remove_dir_all(dir)
        {
            error!(dir = %dir.display(), error = %e, "the temporary directory cannot be removed");
        }
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failed(message)) => {
                error!("{message}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(&self, temporary: Option<&Path>, logs: &Logs) -> Result<(), Failed> {
        let (mut config, notices) = self.configuration(temporary)?;
        // Who names nothing gets a console to look at; a node for tests does without.
        let offers_console = self.properties.is_none() && temporary.is_none();
        config.storage.make_absolute()?;
        follow_levels(logs, &config)?;
        for notice in notices {
            match notice {
                Notice::NoEffect { .. } => info!("{notice}"),
                Notice::Unknown { .. } | Notice::Warning(_) => warn!("{notice}"),
            }
        }
        process::raise_open_files_max();
        let descriptors = process::DescriptorBudget::of_this_process();
        info!(
            limit = descriptors.limit,
            log_files = descriptors.log_files,
            connections = descriptors.connections,
            "file descriptors and what they allow"
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(self.run_node(config, offers_console, temporary, logs));
        runtime.shutdown_timeout(BLOCKING_WORK_MAX);
        served
    }

    async fn run_node(
        &self,
        mut config: NodeConfig,
        offers_console: bool,
        temporary: Option<&Path>,
        logs: &Logs,
    ) -> Result<(), Failed> {
        if offers_console {
            web::offer(&mut config).await;
        }
        let console = web::Offer::of(&config);
        let dirs: Vec<String> = config.storage.log_dirs.iter().map(|dir| dir.display().to_string()).collect();
        let is_new = !fs::exists(&config.storage.metadata_log_dir.join(META_PROPERTIES));
        let mut signals = Signals::listen()?;
        let had_terminal = std::io::stderr().is_terminal();
        let mut node = tokio::select! {
            biased;
            () = signals.asked_to_end() => return Ok(()),
            started = Node::start_with(config, logs.loggers()) => started?,
        };
        let bootstrap = node.bootstrap_servers();
        let console = console.and_then(|offer| offer.open(&node));
        if self.ephemeral {
            println!("bootstrap.servers={bootstrap}");
        } else {
            // A node without the role of a broker serves controllers and their clients only.
            let listens = if bootstrap.is_empty() { node.bootstrap_controllers() } else { bootstrap };
            println!(
                "Thalweg listens on {listens}, its data is in {} ({}, cluster {}); Ctrl-C stops it",
                dirs.join(","),
                if is_new { "new" } else { "opened" },
                node.cluster_id()
            );
            if let Some(address) = console {
                println!("Its console is at {address}");
            }
        }
        tell_systemd("READY=1");
        let failure = loop {
            tokio::select! {
                biased;
                asked = signals.asked() => match asked {
                    Asked::ToEnd => break None,
                    // The terminal was closed: that ends what runs in it.
                    Asked::ToReload if had_terminal && !std::io::stderr().is_terminal() => break None,
                    Asked::ToReload => self.reload(&node, temporary, logs).await,
                },
                failure = node.failed() => break Some(failure),
            }
        };
        tell_systemd("STOPPING=1");
        stop(node, signals).await?;
        failure.map_or(Ok(()), |message| Err(Failed(message)))
    }

    /// Reads the properties again, applies what may change, and says what came of it.
    async fn reload(&self, node: &Node, temporary: Option<&Path>, logs: &Logs) {
        info!("SIGHUP: reading the properties again");
        let read = self.configuration(temporary).and_then(|(config, _)| follow_levels(logs, &config).map(|()| config));
        let config = match read {
            Ok(config) => config,
            Err(Failed(why)) => return error!("nothing has changed, for the properties cannot be used: {why}"),
        };
        let reloaded = node.reload(&config).await;
        if reloaded.applied.is_empty() && reloaded.for_restart.is_empty() {
            info!("no property has changed");
        }
        if !reloaded.applied.is_empty() {
            info!("these properties have changed and count from now on: {}", reloaded.applied.join(", "));
        }
        if !reloaded.for_restart.is_empty() {
            warn!("these properties have changed and need a restart: {}", reloaded.for_restart.join(", "));
        }
    }

    fn configuration(&self, temporary: Option<&Path>) -> Result<(NodeConfig, Vec<Notice>), Failed> {
        let mut overrides = Vec::new();
        if let Some(dir) = temporary {
            let listeners = "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".to_owned();
            overrides.push(("listeners".to_owned(), listeners));
            overrides.push(("log.dirs".to_owned(), dir.display().to_string()));
        }
        if let Some(address) = &self.http_listen {
            overrides.push((HTTP_LISTEN.to_owned(), address.clone()));
        }
        let command_line = CommandLine {
            listen: self.listen.as_deref(),
            data: self.data.as_deref(),
            overrides: &self.overrides,
            adopt: self.adopt,
        };
        let file = self.properties.as_deref();
        let read = entries::read(file, &command_line).map_err(Failed)?;
        overrides.extend(read.overrides);
        NodeConfig::from_properties(&read.entries, &overrides).map_err(|refused| invalid(file, &refused.message))
    }
}

/// Names the file, and the line if the message names its key.
fn invalid(file: Option<&Path>, message: &str) -> Failed {
    let Some(path) = file else { return Failed(format!("invalid configuration: {message}")) };
    let line = fs::read_to_string(path).ok().and_then(|text| entries::line_of(&text, message));
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    Failed(format!("invalid configuration in {}{line}: {message}", path.display()))
}

/// What the properties say of the log counts, if they have the word.
fn follow_levels(logs: &Logs, config: &NodeConfig) -> Result<(), Failed> {
    let levels = config.properties.get(LOG_LEVEL).map(|levels| &**levels);
    let followed = logs.follow_properties(levels).map_err(|e| Failed(format!("{LOG_LEVEL} cannot be read: {e}")))?;
    if !followed && levels.is_some() {
        info!("{LOG_LEVEL} has no effect: --log-level or THALWEG_LOG say what is logged");
    }
    Ok(())
}

/// Stops the node; whoever asks again makes it quicker.
/// Says how the node is, where it runs as a service. That nobody hears it is no reason to end.
fn tell_systemd(state: &str) {
    if let Err(e) = process::tell_systemd(state) {
        warn!(error = %e, state, "systemd cannot be told how the node is");
    }
}

async fn stop(node: Node, mut signals: Signals) -> Result<(), Failed> {
    let hurry = Notify::new();
    let impatience = async {
        signals.asked_to_end().await;
        warn!("asked to end again: clients are not waited for any more");
        hurry.notify_one();
        signals.asked_to_end().await;
    };
    tokio::select! {
        biased;
        () = node.stop_hurried_by(hurry.notified()) => Ok(()),
        () = impatience => {
            Err(Failed("asked to end a third time: the logs were not closed and are recovered at the next start".to_owned()))
        }
    }
}
