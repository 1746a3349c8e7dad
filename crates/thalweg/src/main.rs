//! Thalweg, the streaming platform: one binary, one file per command.

mod clusters;
mod completions;
mod config;
mod console;
mod container;
mod dev;
mod install;
mod logs;
mod man;
mod serve;
mod server;
mod storage;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg_tools::tool::Tool;

/// Memory is taken and given back by the request: mimalloc does that faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Apache Kafka's protocol and guarantees in one binary.
///
/// Without a command it serves: one node on localhost:9092 with its data in ./thalweg-data.
#[derive(Parser)]
#[command(
    name = "thalweg",
    version,
    arg_required_else_help = false,
    args_conflicts_with_subcommands = true,
    after_help = thalweg_tools::overview()
)]
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
    /// Serve the web console of any Kafka cluster.
    Console(console::Console),
    /// Run a cluster of several nodes on this machine, to look at and to break.
    Dev(dev::Dev),
    /// Run a node in a container, with the variables of Kafka's images.
    Container(container::Container),
    /// Make links named like Kafka's scripts.
    InstallTools(install::Install),
    /// Print a script for the completion of command lines.
    Completions(completions::Completions),
    /// Write the man pages of Kafka's tools.
    Man(man::Man),
}

/// The tools that need the node's own code, beside those of the crate `thalweg-tools`.
const TOOLS: &[Tool] = &[storage::TOOL, server::START, server::STOP, server::RUN_CLASS];

/// The tool that the program was called for, by its own name or by its first word, and the words of its command line.
fn tool(words: &[String]) -> Option<(&'static Tool, &[String])> {
    let (program, rest) = words.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    if let Some(tool) = thalweg_tools::named(TOOLS, name) {
        return Some((tool, rest));
    }
    let (command, rest) = rest.split_first()?;
    Some((thalweg_tools::named(TOOLS, command)?, rest))
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.get(1).is_some_and(|word| word == "cluster")
        && words.get(2).is_some_and(|word| clusters::WORDS.contains(&word.as_str()))
    {
        return clusters::Arguments::parse_from(&words[1..]).run();
    }
    if let Some((tool, words)) = tool(&words) {
        return thalweg_tools::run(tool, words);
    }
    let Arguments { serve, command } = Arguments::parse();
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(serve) => serve.run(),
        Command::Config(config) => config.run(),
        Command::Console(console) => console.run(),
        Command::Dev(dev) => dev.run(),
        Command::Container(container) => container.run(),
        Command::InstallTools(install) => install.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
