//! `thalweg config`: what each config does, its default, and whether this node honours it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use thalweg_broker::config::reference;
use thalweg_tools::out::Out;

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
        let mut out = Out::default();
        let code = match self.command {
            Command::List => {
                out.text(reference::list());
                ExitCode::SUCCESS
            }
            Command::Page => {
                out.text(reference::page());
                ExitCode::SUCCESS
            }
            Command::Explain { keys } => explain(&keys, &mut out),
        };
        out.finish();
        code
    }
}

fn explain(keys: &[String], out: &mut Out) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for key in keys {
        match reference::explain(key) {
            Ok(text) => out.text(text),
            Err(near) => {
                code = ExitCode::FAILURE;
                match near.is_empty() {
                    true => out.error(format_args!("{key} is no known config")),
                    false => out.error(format_args!("{key} is no known config; did you mean {}?", near.join(" or "))),
                }
            }
        }
    }
    code
}
