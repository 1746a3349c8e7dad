//! `thalweg console`: the web console of any Kafka cluster.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thalweg_console::{Console as Served, Launch, Options};
use thalweg_http::Server;
use thalweg_sys::closing::Close;
use thalweg_sys::fs;
use thalweg_sys::process::Signals;
use tracing::{error, warn};

use crate::logs::{LogFormat, Logs};

/// Serve the web console of a Kafka cluster, of this program or of Apache Kafka.
///
/// On an address that other machines reach, nothing can be changed unless a switch says so, such as --topic.deleteEnabled=true.
///
/// It takes Kafdrop's settings too, as options (--message.format=HEX), in CMD_ARGS, and as variables (KAFKA_BROKERCONNECT,
/// KAFKA_PROPERTIES, SERVER_PORT, ...). Started by these it listens on every interface, as Kafdrop does.
#[derive(Args)]
pub(crate) struct Console {
    /// Brokers of the cluster; localhost:9092 by default.
    #[arg(long, value_name = "HOST:PORT,...")]
    bootstrap_server: Option<String>,
    /// Where it is served: an address and a port, or a port of 127.0.0.1; 9000 by default.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Properties of the client, as for Kafka's tools.
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A host name under which it may be called, besides addresses and names without a dot. May be repeated.
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// A file with a line user_NAME=PASSWORD, or reader_NAME=PASSWORD, for each who may log in.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// `cluster`: visitors log in with the name and password that the cluster knows (SASL), and have those rights.
    #[arg(long, value_name = "cluster", conflicts_with = "users")]
    login: Option<String>,
    /// What is hidden of records: TOPIC:key, TOPIC:value, TOPIC:header=NAME or TOPIC:json=PATH. May be repeated.
    #[arg(long, value_name = "RULE")]
    mask: Vec<String>,
    /// Settings of Kafdrop.
    #[arg(allow_hyphen_values = true, value_name = "--NAME=VALUE")]
    settings: Vec<String>,
}

impl Console {
    /// Runs until Ctrl-C or SIGTERM.
    pub(crate) fn run(self) -> ExitCode {
        if let Err(e) = Logs::start(LogFormat::default(), None) {
            eprintln!("the levels of the log (THALWEG_LOG) cannot be read: {e}");
            return ExitCode::FAILURE;
        }
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                error!("{why}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(self) -> Result<(), String> {
        let read = |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
        let options = Options {
            bootstrap: self.bootstrap_server,
            listen: self.listen,
            command_config: self.command_config.as_deref().map(read).transpose()?,
            hosts: self.allow_host,
            users: self.users.as_deref().map(read).transpose()?,
            login: self.login,
            masks: self.mask,
            words: self.settings,
        };
        let variable = |name: &str| std::env::var(name).ok();
        let launch = Launch::new(&options, &variable, &|path| fs::read_to_string(Path::new(path)).ok())?;
        for (path, content) in &launch.files {
            fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        for name in &launch.without_effect {
            warn!("{name} has no effect here");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("cannot start: {e}"))?;
        runtime.block_on(run(launch))
    }
}

async fn run(launch: Launch) -> Result<(), String> {
    let mut signals = Signals::listen().map_err(|e| format!("cannot listen to signals: {e}"))?;
    let (listen, path) = (launch.listen, launch.settings.path.clone());
    let console = Served::new(launch.settings).map_err(|e| e.to_string())?;
    let server = Server::bind(&listen.ip().to_string(), listen.port()).await;
    let server = server.map_err(|e| format!("cannot listen on {listen}: {e}"))?;
    println!("The console is at http://{}{}/; Ctrl-C stops it", server.local(), path.trim_end_matches('/'));
    let close = Close::new();
    let serving = thalweg_sys::task::spawn(console.serve(server, close.closing()));
    signals.asked_to_end().await;
    close.now();
    let _ = serving.await;
    Ok(())
}
