//! `thalweg storage`: what `kafka-storage.sh` does, with its options, answers and exit codes.

mod arguments;

use std::path::Path;

use thalweg_base::{Timestamp, Uuid, properties};
use thalweg_broker::config::NodeConfig;
use thalweg_broker::format::{FirstVoters, FormatRequest, format, info};
use thalweg_metadata::MetadataVersion;
use thalweg_metadata::feature::{FEATURES, Feature};
use thalweg_sys::{fs, random, time};
use thalweg_tools::argparse::Parsed;
use thalweg_tools::failure::Failure;
use thalweg_tools::out::Out;
use thalweg_tools::tool::{Argparse, Tool, Uncaught, Wrong};

/// The tool, as `thalweg-tools` lists it.
pub(crate) const TOOL: Tool = Tool {
    name: "storage",
    script: "kafka-storage",
    classes: &["kafka.tools.StorageTool"],
    about: "Format data directories and say what stands in them.",
    run: |words, out| STORAGE.run(words, out),
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
        ("version-mapping", _) => version_mapping(parsed.value("release-version")),
        ("feature-dependencies", _) => feature_dependencies(parsed.values("feature")),
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

/// Known to Kafka 4.3 by name, and run with only where `unstable.feature.versions.enable` says so.
const UNSTABLE: MetadataVersion = MetadataVersion::UNSTABLE;

/// The features that a cluster of a metadata version begins with.
fn version_mapping(release: Option<&str>) -> Answer {
    let latest = MetadataVersion::LATEST.to_string();
    let release = release.unwrap_or(&latest);
    let (level, defaults) = match MetadataVersion::parse(release) {
        Ok(version) => (version.0, version),
        // The next version is known by name, and has the defaults of the latest.
        Err(_) if release == UNSTABLE.to_string() => (UNSTABLE.0, MetadataVersion::LATEST),
        Err(unknown) => return Answer::failed(format!("{unknown}, {UNSTABLE}")),
    };
    let mut lines = vec![format!("{}={level} ({release})", MetadataVersion::FEATURE)];
    lines.extend(FEATURES.iter().map(|feature| format!("{}={}", feature.name, feature.default_level(defaults))));
    Answer::good(lines)
}

/// What levels of features need of other features.
fn feature_dependencies(features: &[String]) -> Answer {
    let mut lines = Vec::new();
    for text in features {
        match dependencies(text) {
            Ok(mut more) => lines.append(&mut more),
            Err(failure) => return Answer { lines, failure: Some(failure), quiet_failure: false },
        }
    }
    Answer::good(lines)
}

fn dependencies(text: &str) -> Result<Vec<String>, String> {
    let (name, level) = text.split_once('=').ok_or_else(|| {
        format!("Invalid feature format: {text}. Expected format: 'feature=version' (e.g. 'group.version=1')")
    })?;
    let (name, level) = (name.trim(), level.trim());
    let level: i16 = level.parse().map_err(|_| format!("Invalid version format: {level} for feature {name}"))?;
    if name == MetadataVersion::FEATURE {
        let version = version_name(level).ok_or_else(|| format!("Unknown metadata.version {level}"))?;
        return Ok(vec![format!("{name}={level} ({version}) has no dependencies.")]);
    }
    let feature = Feature::by_name(name).ok_or_else(|| format!("Unknown feature: {name}"))?;
    if level < 0 || level > feature.level_max() {
        return Err(format!("Feature level {level} is not supported for feature {name}"));
    }
    let needs = feature.needs(level);
    if needs.is_empty() {
        return Ok(vec![format!("{name}={level} has no dependencies.")]);
    }
    let mut lines = vec![format!("{name}={level} requires:")];
    lines.extend(needs.iter().map(|&(on, needed)| match version_name(needed) {
        Some(version) if on == MetadataVersion::FEATURE => format!("    {on}={needed} ({version})"),
        _ => format!("    {on}={needed}"),
    }));
    Ok(lines)
}

fn version_name(level: i16) -> Option<String> {
    let version = MetadataVersion(level);
    (version == UNSTABLE || version.is_known()).then(|| version.to_string())
}
