//! `thalweg cluster use|add|remove|list`: the clusters that have names, for the tools.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg_tools::clusters::{Clusters, NamedCluster, is_name, path, unknown};

/// The words behind `thalweg cluster` that are about names; all others are those of kafka-cluster.sh.
pub(crate) const WORDS: [&str; 4] = ["use", "add", "remove", "list"];

/// Give clusters names, so that tools need no --bootstrap-server
#[derive(Parser)]
#[command(name = "thalweg cluster")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Let tools use a cluster when their line names none; THALWEG_CLUSTER=NAME does so for one command
    Use {
        /// Its name
        name: String,
    },
    /// Give a cluster a name, or change what the name stands for
    Add {
        /// Its name: letters, digits, _ and -
        name: String,
        /// The brokers to begin with, as HOST:PORT[,...]
        bootstrap_server: String,
        /// A properties file for the client, such as security settings
        #[arg(long, value_name = "FILE")]
        command_config: Option<PathBuf>,
    },
    /// Forget a name
    Remove {
        /// Its name
        name: String,
    },
    /// List the names, a * before the one in use
    List,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        match self.apply() {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("{message}");
                ExitCode::FAILURE
            }
        }
    }

    fn apply(self) -> Result<(), String> {
        let path = path().ok_or("neither XDG_CONFIG_HOME nor HOME is set")?;
        let mut clusters = Clusters::load(&path)?;
        match self.command {
            Command::Use { name } => {
                if !clusters.named.contains_key(&name) {
                    return Err(unknown(&name));
                }
                clusters.current = Some(name);
            }
            Command::Add { name, bootstrap_server, command_config } => {
                if !is_name(&name) {
                    return Err(format!("{name}: a name has letters, digits, _ and - only"));
                }
                let cluster = NamedCluster::new(bootstrap_server, command_config.map(absolute).transpose()?)?;
                clusters.current.get_or_insert_with(|| name.clone());
                clusters.named.insert(name, cluster);
            }
            Command::Remove { name } => {
                clusters.named.remove(&name).ok_or_else(|| unknown(&name))?;
                clusters.current = clusters.current.filter(|current| *current != name);
            }
            Command::List => {
                for (name, cluster) in &clusters.named {
                    let mark = if clusters.current.as_ref() == Some(name) { '*' } else { ' ' };
                    let config = cluster.command_config.as_deref().unwrap_or_default();
                    println!("{}", format!("{mark} {name:<20} {} {config}", cluster.bootstrap_server).trim_end());
                }
                return Ok(());
            }
        }
        clusters.save(&path)
    }
}

/// The tools may be called from anywhere.
fn absolute(file: PathBuf) -> Result<String, String> {
    let absolute = std::path::absolute(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    absolute.to_str().map(str::to_owned).ok_or_else(|| format!("{}: the name is not text", file.display()))
}
