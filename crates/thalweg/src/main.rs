//! Thalweg, the streaming platform: one binary, one file per command.

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
#[command(name = "thalweg", version, arg_required_else_help = false)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Serve),
    /// Prepare and inspect data directories, as kafka-storage.sh does.
    #[command(disable_help_flag = true)]
    Storage {
        /// What kafka-storage.sh takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command.unwrap_or(Command::Serve(serve::Serve::default())) {
        Command::Serve(serve) => serve.run(),
        Command::Storage { arguments } => storage::run(&arguments),
    }
}
