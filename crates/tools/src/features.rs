//! `kafka-features.sh`: the levels of the cluster's features.

pub mod mapping;

use std::collections::BTreeMap;

use serde_json::json;
use thalweg_metadata::MetadataVersion;
use thalweg_metadata::feature::FEATURES;
use thalweg_wire::messages::update_features_request::FeatureUpdateKey;
use thalweg_wire::messages::{ApiVersionsRequest, UpdateFeaturesRequest};

use crate::admin::{self, Admin, check};
use crate::argparse::{Command, Group, Kind, OUTPUT, Opt, Parsed, flag, value};
use crate::failure::Failure;
use crate::java;
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "features",
    script: "kafka-features",
    classes: &["org.apache.kafka.tools.FeatureCommand", "kafka.admin.FeatureCommand"],
    about: "Describe, upgrade and downgrade the cluster's features.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 0,
    empty_is_help: false,
    wrong: Wrong::Terse,
    has_version: false,
    uncaught: Uncaught::Message,
    run,
};

const FEATURE: Opt =
    value("feature", "FEATURE", "A feature and its level, as feature=level. May be repeated.").repeated();
const METADATA: Opt = value("metadata", "METADATA", "Deprecated: the metadata version, such as 4.3-IV0.");
const RELEASE: Opt = value("release-version", "RELEASE_VERSION", "The release whose levels all features are to have.");
const UNSAFE: Opt = flag("unsafe", "Even if metadata is lost for good.");
const DRY_RUN: Opt = flag("dry-run", "Check it, and do nothing.");

const PROGRAM: Command = Command {
    name: "kafka-features",
    about: "This tool manages feature flags in Kafka.",
    options: &[value("command-config", "COMMAND_CONFIG", "A properties file for the client.")],
    groups: &[Group {
        required: false,
        options: &[
            value("bootstrap-server", "BOOTSTRAP_SERVER", "The brokers to begin with, as HOST:PORT[,...]."),
            value("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "The controllers to begin with, as HOST:PORT[,...]."),
        ],
    }],
    commands: &[
        Command {
            name: "describe",
            about: "Print the features and their levels.",
            options: &[value("node-id", "NODE_ID", "The node to ask; else any.").kind(Kind::Int), OUTPUT],
            ..Command::EMPTY
        },
        Command {
            name: "upgrade",
            about: "Raise the levels of features.",
            options: &[METADATA, RELEASE, FEATURE, DRY_RUN],
            ..Command::EMPTY
        },
        Command {
            name: "downgrade",
            about: "Lower the levels of features.",
            options: &[METADATA, RELEASE, FEATURE, UNSAFE, DRY_RUN],
            ..Command::EMPTY
        },
        Command {
            name: "disable",
            about: "Lower the levels of features to zero.",
            options: &[FEATURE, UNSAFE, DRY_RUN],
            ..Command::EMPTY
        },
        Command {
            name: "version-mapping",
            about: "Print the levels that a release begins with.",
            options: &[value("release-version", "RELEASE_VERSION", "The release, such as 4.3; else the latest.")],
            ..Command::EMPTY
        },
        Command {
            name: "feature-dependencies",
            about: "Print what levels of features need of other features.",
            options: &[FEATURE.required()],
            ..Command::EMPTY
        },
    ],
    ..Command::EMPTY
};

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    match parsed.command {
        "version-mapping" => return mapping::print_mapping(parsed.value("release-version"), out),
        "feature-dependencies" => return mapping::print_dependencies(parsed.values("feature"), out),
        _ => {}
    }
    let mut properties = admin::properties_of(parsed.value("command-config"))?;
    if !parsed.has("bootstrap-server") && !parsed.has("bootstrap-controller") {
        return Err(Failure::Usage("You must specify either --bootstrap-controller or --bootstrap-server.".into()));
    }
    admin::set_bootstrap(&mut properties, parsed.value("bootstrap-server"), parsed.value("bootstrap-controller"));
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        match parsed.command {
            "describe" => describe(&admin, parsed, out).await,
            _ => update(&admin, parsed, out).await,
        }
    })
}

fn level_text(feature: &str, level: i16) -> String {
    if feature != MetadataVersion::FEATURE {
        return level.to_string();
    }
    mapping::version_name(level).unwrap_or_else(|| format!("UNKNOWN {level}"))
}

async fn describe(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let request = ApiVersionsRequest {
        client_software_name: "thalweg".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    let response = match parsed.number::<i32>("node-id") {
        Some(node) if node < 0 => {
            return Err(Failure::Message(format!("Invalid node id {node}: must be non-negative.")));
        }
        Some(node) => admin.node("describeFeatures", node, &request).await?,
        None => admin.broker_or_active_controller("describeFeatures", &request).await?,
    };
    check(response.error_code, None).map_err(Thrown::execution)?;
    let epoch = match response.finalized_features_epoch {
        epoch if epoch < 0 => "-".to_owned(),
        epoch => epoch.to_string(),
    };
    let mut supported: Vec<_> = response.supported_features.iter().collect();
    supported.sort_by(|a, b| a.name.cmp(&b.name));
    for feature in supported {
        let name = &*feature.name;
        let finalized = response.finalized_features.iter().find(|other| other.name == feature.name);
        let level = |level: i16| level_text(name, level);
        let finalized_level = finalized.map_or(0, |finalized| finalized.max_version_level);
        if out.is_json() {
            out.object(&json!({
                "feature": name,
                "supportedMinVersion": level(feature.min_version),
                "supportedMaxVersion": level(feature.max_version),
                "finalizedVersionLevel": level(finalized_level),
                "epoch": response.finalized_features_epoch,
            }));
            continue;
        }
        out.line(format_args!(
            "Feature: {name:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: {:<15}  Epoch: {epoch}",
            level(feature.min_version),
            level(feature.max_version),
            level(finalized_level),
        ));
    }
    Ok(())
}

/// What features are changed to.
fn updates(parsed: &Parsed, out: &mut Out) -> Result<BTreeMap<String, i16>, Failure> {
    let mut updates = BTreeMap::new();
    let twice = |name: &str| Failure::Message(format!("Feature {name} was specified more than once."));
    if parsed.command == "disable" {
        for name in parsed.values("feature") {
            if updates.insert(name.clone(), 0).is_some() {
                return Err(twice(name));
            }
        }
        return Ok(updates);
    }
    if let Some(release) = parsed.value("release-version") {
        if parsed.has("metadata") || parsed.has("feature") {
            return Err(Failure::Message("Can not specify `release-version` with other feature flags.".into()));
        }
        let version = mapping::parse_version(release)?;
        updates.insert(MetadataVersion::FEATURE.to_owned(), version.0);
        for feature in FEATURES {
            let level = feature.default_level(version);
            if parsed.command != "upgrade" || level > 0 {
                updates.insert(feature.name.to_owned(), level);
            }
        }
        return Ok(updates);
    }
    if let Some(metadata) = parsed.value("metadata") {
        out.line(" `metadata` flag is deprecated and may be removed in a future release.");
        updates.insert(MetadataVersion::FEATURE.to_owned(), mapping::parse_version(metadata)?.0);
    }
    for text in parsed.values("feature") {
        let wrong = |why: &str| Failure::Message(format!("Can't parse feature=level string {text}: {why}"));
        let (name, level) = text.split_once('=').ok_or_else(|| wrong("equals sign not found."))?;
        let (name, level) = (name.trim(), level.trim());
        let level = java::number(level).map_err(|_| wrong(&format!("unable to parse {level} as a short.")))?;
        if updates.insert(name.to_owned(), level).is_some() {
            return Err(twice(name));
        }
    }
    Ok(updates)
}

async fn update(admin: &Admin, parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let command = parsed.command;
    let updates = updates(parsed, out)?;
    if updates.is_empty() {
        return Err(Failure::Message(format!("You must specify at least one feature to {command}")));
    }
    let dry_run = parsed.has("dry-run");
    let upgrade_type = match (command, parsed.has("unsafe")) {
        ("upgrade", _) => 1,
        (_, false) => 2,
        (_, true) => 3,
    };
    let update = |(name, level): (&String, &i16)| FeatureUpdateKey {
        feature: name.as_str().into(),
        max_version_level: *level,
        allow_downgrade: false,
        upgrade_type,
    };
    let request = UpdateFeaturesRequest {
        timeout_ms: 60_000,
        feature_updates: updates.iter().map(update).collect(),
        validate_only: dry_run,
    };
    let response = admin.controller("updateFeatures", &request).await;
    let mut failures = 0;
    for (name, level) in &updates {
        let result = match &response {
            Err(thrown) => Err(thrown.clone()),
            Ok(response) => check(response.error_code, response.error_message.as_deref()).and_then(|()| {
                let result = response.results.iter().find(|result| *result.feature == **name);
                result.map_or(Ok(()), |result| check(result.error_code, result.error_message.as_deref()))
            }),
        };
        let is_disable = command == "disable";
        match result {
            Ok(()) => {
                let verb = if dry_run { "can be" } else { "was" };
                let done = if is_disable { "disabled.".to_owned() } else { format!("{command}d to {level}.") };
                out.line(format_args!("{name} {verb} {done}"));
            }
            Err(thrown) => {
                failures += 1;
                let could = if dry_run { "Can not" } else { "Could not" };
                let to = if is_disable { String::new() } else { format!(" to {level}") };
                out.line(format_args!("{could} {command} {name}{to}. {}", thrown.text()));
            }
        }
    }
    if failures == 0 {
        return Ok(());
    }
    Err(Failure::Message(format!("{failures} out of {} operation(s) failed.", updates.len())))
}
