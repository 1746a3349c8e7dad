//! `thalweg storage`: what `kafka-storage.sh` does, with its options, answers and exit codes.

mod arguments;

use std::path::Path;

use thalweg_base::{Timestamp, Uuid, properties};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{FirstVoters, FormatRequest, format, info};
use thalweg_sys::{fs, random, time};
use thalweg_tools::argparse::Parsed;
use thalweg_tools::failure::Failure;
use thalweg_tools::features::mapping;
use thalweg_tools::out::Out;
use thalweg_tools::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool, as `thalweg-tools` lists it.
pub(crate) const TOOL: Tool = Tool {
    name: "storage",
    script: "kafka-storage",
    classes: &["kafka.tools.StorageTool"],
    about: "Format data directories and say what stands in them.",
    run: |words, out| STORAGE.run(words, out),
    grammar: Grammar::Argparse(STORAGE.program),
};

const STORAGE: Argparse = Argparse {
    program: &arguments::PROGRAM,
    help_exit: 0,
    empty_is_help: false,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::Main,
    run,
};

/// What a command prints, and with which exit code it ends.
struct Answer {
    lines: Vec<String>,
    failure: Option<String>,
    /// Whether it fails without a message: `info` has said everything in its lines.
    quiet_failure: bool,
}

impl Answer {
    fn good(lines: Vec<String>) -> Self {
        Self { lines, failure: None, quiet_failure: false }
    }

    fn failed(failure: String) -> Self {
        Self { lines: Vec::new(), failure: Some(failure), quiet_failure: false }
    }
}

/// Runs the command that the line asks for.
fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    match parsed.command {
        "version-mapping" => return mapping::print_mapping(parsed.value("release-version"), out),
        "feature-dependencies" => return mapping::print_dependencies(parsed.values("feature"), out),
        _ => {}
    }
    let answer = answer(parsed);
    for line in &answer.lines {
        out.line(line);
    }
    match answer.failure {
        Some(failure) => Err(Failure::Message(failure)),
        None if answer.quiet_failure => Err(Failure::Exit(1)),
        None => Ok(()),
    }
}

fn answer(parsed: &Parsed) -> Answer {
    let config = match parsed.value("config").map(load).transpose() {
        Ok(config) => config,
        Err(exception) => return Answer::failed(format!("Exception in thread \"main\" {exception}")),
    };
    match (parsed.command, config) {
        ("info", Some(config)) => {
            let info = info(&config);
            Answer { lines: info.lines, failure: None, quiet_failure: info.has_problems }
        }
        ("format", Some(config)) => format_answer(parsed, &config),
        _ => Answer::good(vec![Uuid::from_random(random::bytes16()).to_string()]),
    }
}

/// Reads a properties file; the error is what Java would throw.
fn load(path: &str) -> Result<NodeConfig, String> {
    let text = fs::read_to_string(Path::new(path)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("java.nio.file.NoSuchFileException: {path}"),
        std::io::ErrorKind::PermissionDenied => format!("java.nio.file.AccessDeniedException: {path}"),
        _ => format!("java.io.IOException: {path}: {e}"),
    })?;
    NodeConfig::for_formatting(&properties::parse(&text)).map_err(|refused| refused.java_text())
}

fn format_answer(parsed: &Parsed, config: &NodeConfig) -> Answer {
    let voters = match parsed.value("initial-controllers") {
        Some(voters) => FirstVoters::Named(voters.to_owned()),
        None if parsed.has("standalone") => FirstVoters::Standalone,
        None if parsed.has("no-initial-controllers") => FirstVoters::None,
        None => FirstVoters::Unsaid,
    };
    let request = FormatRequest {
        cluster_id: parsed.value("cluster-id").unwrap_or_default().to_owned(),
        release_version: parsed.value("release-version").map(ToOwned::to_owned),
        features: parsed.values("feature").to_vec(),
        scram: parsed.values("add-scram").to_vec(),
        voters,
        ignore_formatted: parsed.has("ignore-formatted"),
    };
    let mut lines = Vec::new();
    let formatted = format(config, &request, Timestamp(time::wall_clock_ms()), &mut lines);
    Answer { lines, failure: formatted.err().map(|e| e.tool_text()), quiet_failure: false }
}
