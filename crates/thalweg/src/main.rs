//! Thalweg, the streaming platform: one binary, one file per command.

mod config;
mod logs;
mod serve;
mod storage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Memory is taken and given back by the request: mimalloc does that faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Apache Kafka's protocol and guarantees in one binary.
///
/// Without a command it serves: one node on 127.0.0.1:9092 with its data in ./thalweg-data.
#[derive(Parser)]
#[command(name = "thalweg", version, arg_required_else_help = false, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    serve: serve::Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Serve),
    /// Look up what a config does: every key of server.properties, of topics and of groups.
    Config(config::Config),
    /// Prepare and inspect data directories, as kafka-storage.sh does.
    #[command(disable_help_flag = true)]
    Storage {
        /// What kafka-storage.sh takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let Arguments { serve, command } = Arguments::parse();
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(serve) => serve.run(),
        Command::Config(config) => config.run(),
        Command::Storage { arguments } => storage::run(&arguments),
    }
}
