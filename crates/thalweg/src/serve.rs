//! `thalweg serve`: runs a node.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use thalweg_broker::Node;
use thalweg_broker::config::{NodeConfig, Notice};
use thalweg_sys::fs;
use thalweg_sys::process::{self, EndSignals};
use tracing::{debug, error, info, warn};
use tracing_subscriber::EnvFilter;

/// Run a node.
///
/// Without a file: broker and controller in one, on 127.0.0.1:9092, with its data in ./thalweg-data. An empty data
/// directory is formatted by itself when the configuration names no other voters.
#[derive(Args, Default)]
pub(crate) struct Serve {
    /// Kafka's own server.properties.
    properties: Option<PathBuf>,
    /// A key of server.properties and its value; counts over the file. May be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// A node for tests: on a free port of 127.0.0.1, its data in a temporary directory that is removed in the end. The
    /// first line on standard output is bootstrap.servers=HOST:PORT.
    #[arg(long)]
    ephemeral: bool,
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
        let filter = EnvFilter::try_from_env("THALWEG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let to_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(to_terminal).init();
        let temporary = self.ephemeral.then(|| {
            let unique = thalweg_sys::random::u64();
            fs::temp_dir().join(format!("thalweg-{}-{unique:016x}", process::id()))
        });
        let served = self.serve(temporary.as_deref());
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

    fn serve(&self, temporary: Option<&Path>) -> Result<(), Failed> {
        let (config, notices) = self.configuration(temporary)?;
        for notice in notices {
            match notice {
                Notice::NoEffect { .. } => info!("{notice}"),
                Notice::Unknown { .. } | Notice::Warning(_) => warn!("{notice}"),
            }
        }
        debug!(open_files_max = process::raise_open_files_max(), "raised the limit on open files");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(serve(config, self.ephemeral))
    }

    fn configuration(&self, temporary: Option<&Path>) -> Result<(NodeConfig, Vec<Notice>), Failed> {
        let entries = match &self.properties {
            Some(path) => {
                let text =
                    fs::read_to_string(path).map_err(|e| Failed(format!("cannot read {}: {e}", path.display())))?;
                thalweg_base::properties::parse(&text)
            }
            None => NodeConfig::default_entries(),
        };
        let mut overrides = Vec::new();
        if let Some(dir) = temporary {
            let listeners = "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0".to_owned();
            overrides.push(("listeners".to_owned(), listeners));
            overrides.push(("log.dirs".to_owned(), dir.display().to_string()));
        }
        for text in &self.overrides {
            let Some((key, value)) = text.split_once('=') else {
                return Err(Failed(format!("--override takes KEY=VALUE, and `{text}` has no `=`")));
            };
            overrides.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(NodeConfig::from_properties(&entries, &overrides)?)
    }
}

async fn serve(config: NodeConfig, ephemeral: bool) -> Result<(), Failed> {
    let dirs: Vec<String> = config.storage.log_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let mut signals = EndSignals::listen()?;
    let mut node = tokio::select! {
        biased;
        () = signals.asked_to_end() => return Ok(()),
        started = Node::start(config) => started?,
    };
    let bootstrap = node.bootstrap_servers();
    if ephemeral {
        println!("bootstrap.servers={bootstrap}");
    } else {
        println!(
            "Thalweg listens on {bootstrap}, its data is in {} (cluster {}); Ctrl-C stops it",
            dirs.join(","),
            node.cluster_id()
        );
    }
    let failure = tokio::select! {
        biased;
        () = signals.asked_to_end() => None,
        failure = node.failed() => Some(failure),
    };
    node.stop().await;
    failure.map_or(Ok(()), |message| Err(Failed(message)))
}
