//! Kafka's command-line tools: the same options, output and exit codes, in milliseconds, against any Kafka.
//!
//! A tool is a file of its own. What they share stands beside them: the two grammars of Kafka's command lines
//! ([`jopt`], [`argparse`]), Java's exceptions and habits as far as Kafka's output shows them ([`thrown`], [`java`]),
//! standard output and log lines ([`out`]).

mod absent;
mod acls;
pub mod admin;
mod api_versions;
pub mod argparse;
mod client_metrics;
mod cluster;
pub mod clusters;
pub mod completions;
mod configs;
mod console_consumer;
mod console_producer;
mod console_share_consumer;
mod consume;
mod consumer_groups;
mod consumer_perf;
pub mod date;
mod delegation_tokens;
mod delete_records;
mod dump_log;
mod e2e_latency;
mod envelope;
pub mod failure;
pub mod features;
mod get_offsets;
mod group_commands;
mod groups;
pub mod java;
pub mod jopt;
pub mod json;
mod leader_election;
pub mod legacy;
mod log_dirs;
pub mod man;
mod metadata_quorum;
mod metadata_shell;
pub mod options;
pub mod out;
mod perf;
mod plain;
pub mod principal;
mod produce;
mod producer_perf;
mod reassign;
mod replica_verification;
mod share_consumer_perf;
mod share_groups;
mod signals;
mod streams_groups;
mod streams_reset;
pub mod table;
pub mod thrown;
pub mod tool;
pub mod topic_filter;
mod topics;
mod transactions;
mod verifiable_consumer;
mod verifiable_producer;
mod verifiable_share_consumer;
mod zookeeper;

use std::process::ExitCode;

use out::Out;
use tool::Tool;

/// The tools of this crate.
pub const TOOLS: &[Tool] = &[
    topics::TOOL,
    configs::TOOL,
    console_producer::TOOL,
    console_consumer::TOOL,
    console_share_consumer::TOOL,
    consumer_groups::TOOL,
    groups::TOOL,
    share_groups::TOOL,
    streams_groups::TOOL,
    get_offsets::TOOL,
    client_metrics::TOOL,
    delete_records::TOOL,
    cluster::TOOL,
    features::TOOL,
    metadata_quorum::TOOL,
    api_versions::TOOL,
    log_dirs::TOOL,
    transactions::TOOL,
    acls::TOOL,
    delegation_tokens::TOOL,
    leader_election::TOOL,
    reassign::TOOL,
    dump_log::TOOL,
    metadata_shell::TOOL,
    producer_perf::TOOL,
    consumer_perf::TOOL,
    share_consumer_perf::TOOL,
    e2e_latency::TOOL,
    verifiable_producer::TOOL,
    verifiable_consumer::TOOL,
    verifiable_share_consumer::TOOL,
    replica_verification::TOOL,
    streams_reset::TOOL,
    produce::TOOL,
    consume::TOOL,
    zookeeper::START,
    zookeeper::STOP,
    zookeeper::SHELL,
    absent::CONNECT_DISTRIBUTED,
    absent::CONNECT_STANDALONE,
    absent::CONNECT_MIRROR_MAKER,
    absent::CONNECT_PLUGIN_PATH,
    absent::JMX,
    absent::TROGDOR,
];

/// The tool that a program name stands for: a command of `thalweg`, or Kafka's script with or without its ending.
#[must_use]
pub fn named(more: &'static [Tool], name: &str) -> Option<&'static Tool> {
    let name = name.strip_suffix(".sh").or_else(|| name.strip_suffix(".bat")).unwrap_or(name);
    TOOLS.iter().chain(more).find(|tool| tool.name == name || tool.script == name)
}

/// The tools of this crate by name, for the help of the program.
#[must_use]
pub fn overview() -> String {
    let lines = TOOLS.iter().map(|tool| format!("  {:<26}  {}\n", tool.name, tool.about));
    format!(
        "Kafka's tools, also under the names of Kafka's scripts (see install-tools):\n{}",
        lines.collect::<String>()
    )
}

/// Runs a tool on the words of its command line.
#[must_use]
pub fn run(tool: &Tool, words: &[String]) -> ExitCode {
    let mut out = Out::default();
    let code = (tool.run)(words, &mut out);
    out.finish();
    ExitCode::from(code)
}
