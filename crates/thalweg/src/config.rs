//! `thalweg config`: what each config does, its default, and whether this node honours it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use thalweg_broker::config::reference;

/// Look up configs.
#[derive(Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One line for each config: where it is set, its default, and what this node does with it.
    List,
    /// Everything about some configs: type, default, values, whether a change needs a restart.
    Explain {
        /// Names as in server.properties, such as log.retention.hours.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// The page docs/configuration.md.
    #[command(hide = true)]
    Page,
}

impl Config {
    /// Prints what was asked for. An unknown key makes the exit code 1.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::List => print!("{}", reference::list()),
            Command::Page => print!("{}", reference::page()),
            Command::Explain { keys } => return explain(&keys),
        }
        ExitCode::SUCCESS
    }
}

fn explain(keys: &[String]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for key in keys {
        match reference::explain(key) {
            Ok(text) => print!("{text}"),
            Err(near) => {
                code = ExitCode::FAILURE;
                match near.is_empty() {
                    true => eprintln!("{key} is no known config"),
                    false => eprintln!("{key} is no known config; did you mean {}?", near.join(" or ")),
                }
            }
        }
    }
    code
}
