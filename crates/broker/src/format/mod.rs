//! Formatting and opening of a node's directories: `meta.properties`, `bootstrap.checkpoint`, and the snapshot that names
//! the first voters (KIP-853).
//!
//! What is written here is accepted by Apache Kafka, and what its `kafka-storage.sh` has written is accepted here.

mod bootstrap;
mod info;
mod meta_properties;
mod open;
mod scram;
mod voters;

#[cfg(all(test, not(sim)))]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thalweg_base::{NodeId, Timestamp, Uuid};
use thalweg_metadata::bootstrap::{bootstrap_records, default_levels};
use thalweg_metadata::feature::{FEATURES, Feature, KRAFT_VERSION};
use thalweg_metadata::{MetadataRecord, MetadataVersion};
use thalweg_sys::fs;
use thalweg_wire::Unstable;

use crate::config::{NodeConfig, Refused};

pub(crate) use bootstrap::{SnapshotContent, snapshot_file};
pub use bootstrap::{read_bootstrap, read_bootstrap_file};
pub use info::{Info, info};
pub use meta_properties::{META_PROPERTIES, MetaProperties};
pub(crate) use open::is_alone;
pub use open::{OpenDirectories, open};
pub use voters::{DynamicVoter, DynamicVoters};

use meta_properties::{Ensemble, new_directory_id};

/// The directory of the metadata log inside its data directory.
pub const METADATA_LOG: &str = "__cluster_metadata-0";
/// The file with the first metadata records of a cluster, in every data directory.
pub const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// The file in [`METADATA_LOG`] with the first voters.
pub const FIRST_SNAPSHOT: &str = "00000000000000000000-0000000000.checkpoint";

/// Why directories cannot be formatted, read or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// What was asked for cannot be done; Kafka's tool prints only the message.
    #[error("{0}")]
    Terse(String),
    /// What Kafka's tool fails on with an exception that nobody catches: its class and message.
    #[error("{message}")]
    Uncaught {
        /// The Java class.
        class: &'static str,
        /// The message.
        message: String,
    },
}

impl FormatError {
    fn terse(message: impl Into<String>) -> Self {
        Self::Terse(message.into())
    }

    fn runtime(message: impl Into<String>) -> Self {
        Self::Uncaught { class: "java.lang.RuntimeException", message: message.into() }
    }

    fn illegal(message: impl Into<String>) -> Self {
        Self::Uncaught { class: "java.lang.IllegalArgumentException", message: message.into() }
    }

    /// What Kafka's tool prints on standard error.
    #[must_use]
    pub fn tool_text(&self) -> String {
        match self {
            Self::Terse(message) => message.clone(),
            Self::Uncaught { class, message } => format!("Exception in thread \"main\" {class}: {message}"),
        }
    }
}

impl From<Refused> for FormatError {
    fn from(refused: Refused) -> Self {
        Self::Terse(refused.message)
    }
}

/// Who votes first in the metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstVoters {
    /// Nobody was named: right for brokers, and for controllers with `controller.quorum.voters`.
    Unsaid,
    /// `--no-initial-controllers`: this node will be added to a quorum.
    None,
    /// `--standalone`: this node alone.
    Standalone,
    /// `--initial-controllers`: these, each with the id of its metadata directory.
    Named(String),
}

/// What `storage format` was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatRequest {
    /// `--cluster-id`: any text.
    pub cluster_id: String,
    /// `--release-version`
    pub release_version: Option<String>,
    /// Each `--feature`, as it was written.
    pub features: Vec<String>,
    /// Each `--add-scram`, as it was written.
    pub scram: Vec<String>,
    /// Who votes first.
    pub voters: FirstVoters,
    /// `--ignore-formatted`
    pub ignore_formatted: bool,
}

impl FormatRequest {
    /// A cluster of the newest release with nothing besides, in directories that must not be formatted yet.
    #[must_use]
    pub fn new(cluster_id: impl Into<String>, voters: FirstVoters) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            release_version: None,
            features: Vec::new(),
            scram: Vec::new(),
            voters,
            ignore_formatted: false,
        }
    }
}

/// Formats the node's directories that are not formatted yet, and appends what Kafka's tool prints to `out`.
///
/// # Errors
/// When something that was asked for does not go together, when a directory is formatted already, or when one cannot be
/// written.
pub fn format(
    config: &NodeConfig,
    request: &FormatRequest,
    now: Timestamp,
    out: &mut Vec<String>,
) -> Result<(), FormatError> {
    let plan = plan(config, request)?;
    let directories = names(config);
    let ensemble = Ensemble::load(&directories);
    ensemble.verify(Some(&request.cluster_id), Some(config.node_id))?;
    if let (Some((first, _)), false) = (ensemble.formatted.first_key_value(), request.ignore_formatted) {
        return Err(FormatError::terse(format!(
            "Log directory {first} is already formatted. Use --ignore-formatted to ignore this directory and format the \
             others."
        )));
    }
    out.extend(ensemble.failed.keys().map(|dir| format!("I/O error trying to read log directory {dir}. Ignoring...")));
    if ensemble.empty.is_empty() {
        if ensemble.formatted.is_empty() {
            return Err(FormatError::terse("No available log directories to format."));
        }
        out.push("All of the log directories are already formatted.".to_owned());
        return Ok(());
    }
    out.push(format!("Bootstrap metadata: {}", bootstrap::text(&plan.records, plan.version)));
    let metadata_directory = name(&config.storage.metadata_log_dir);
    let mut ids: Vec<Uuid> = ensemble.formatted.values().filter_map(|meta| meta.directory_id).collect();
    for directory in &ensemble.empty {
        let kind = Kind::of(directory == &metadata_directory, plan.voters.as_ref(), config.node_id);
        out.push(format!("Formatting {} {directory} with metadata.version {}.", kind.description(), plan.version));
        let directory_id = match (kind, &plan.voters) {
            (Kind::Voter, Some(voters)) => {
                voters.get(config.node_id).map_or_else(|| new_directory_id(&ids), |v| v.directory_id)
            }
            _ => new_directory_id(&ids),
        };
        ids.push(directory_id);
        let meta = MetaProperties::new(&request.cluster_id, config.node_id, directory_id);
        write(Path::new(directory), &meta, &plan, kind, now)
            .map_err(|e| FormatError::terse(format!("Error while writing meta.properties file {directory}: {e}")))?;
    }
    Ok(())
}

/// The node's directories as they were written, sorted.
fn names(config: &NodeConfig) -> Vec<String> {
    let mut names: Vec<String> = config.storage.directories().iter().map(|directory| name(directory)).collect();
    names.sort_unstable();
    names
}

fn name(directory: &Path) -> String {
    directory.to_string_lossy().into_owned()
}

/// What a directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Metadata,
    NonVoter,
    Voter,
}

impl Kind {
    fn of(is_metadata: bool, voters: Option<&DynamicVoters>, node: NodeId) -> Self {
        match voters {
            _ if !is_metadata => Self::Data,
            None => Self::Metadata,
            Some(voters) if voters.get(node).is_some() => Self::Voter,
            Some(_) => Self::NonVoter,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Data => "data directory",
            Self::Metadata => "metadata directory",
            Self::NonVoter => "dynamic metadata directory",
            Self::Voter => "dynamic metadata voter directory",
        }
    }
}

/// Everything that the files will hold.
struct Plan {
    version: MetadataVersion,
    kraft_version: i16,
    records: Vec<MetadataRecord>,
    voters: Option<DynamicVoters>,
    listener: String,
}

fn plan(config: &NodeConfig, request: &FormatRequest) -> Result<Plan, FormatError> {
    let release = match &request.release_version {
        Some(text) => Some(release(text, config.unstable_features)?),
        None => None,
    };
    let asked = request.features.iter().map(|text| feature(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
    let voters = first_voters(config, request)?;
    let version = version(release, &asked, config.unstable_features)?;
    let levels = levels(version, asked, config.quorum.voters.is_empty())?;
    let scram = scram::records(&request.scram, version)?;
    Ok(Plan {
        version,
        kraft_version: levels.get(KRAFT_VERSION.name).copied().unwrap_or_default(),
        records: bootstrap_records(version, &levels, &scram),
        voters,
        listener: config.network.controller_listener_names.first().cloned().unwrap_or_default(),
    })
}

fn release(text: &str, unstable: Unstable) -> Result<MetadataVersion, FormatError> {
    if unstable == Unstable::Shown && text == MetadataVersion::UNSTABLE.to_string() {
        return Ok(MetadataVersion::UNSTABLE);
    }
    MetadataVersion::parse(text).map_err(|e| FormatError::terse(e.to_string()))
}

/// Reads `name=level`.
fn feature(text: &str) -> Result<(String, i16), FormatError> {
    let refuse = |why: String| FormatError::runtime(format!("Can't parse feature=level string {text}: {why}"));
    let (name, level) = text.split_once('=').ok_or_else(|| refuse("equals sign not found.".to_owned()))?;
    let level = level.trim();
    let number = level.parse().map_err(|_| refuse(format!("unable to parse {level} as a short.")))?;
    Ok((name.trim().to_owned(), number))
}

fn first_voters(config: &NodeConfig, request: &FormatRequest) -> Result<Option<DynamicVoters>, FormatError> {
    let is_static = !config.quorum.voters.is_empty();
    match &request.voters {
        FirstVoters::Standalone | FirstVoters::Named(_) if is_static => Err(FormatError::terse(
            "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. \
             If you want to use dynamic quorum, please remove controller.quorum.voters and specify \
             controller.quorum.bootstrap.servers instead.",
        )),
        FirstVoters::Named(text) => Ok(Some(DynamicVoters::parse(text).map_err(FormatError::illegal)?)),
        FirstVoters::Standalone if !config.roles.controller => {
            Err(FormatError::terse("You can only use --standalone on a controller."))
        }
        FirstVoters::Standalone => Ok(Some(DynamicVoters::standalone(config, new_directory_id(&[])))),
        FirstVoters::Unsaid if config.roles.controller && !is_static => Err(FormatError::terse(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: \
             --standalone, --initial-controllers, or --no-initial-controllers.",
        )),
        FirstVoters::Unsaid | FirstVoters::None => Ok(None),
    }
}

fn version(
    release: Option<MetadataVersion>,
    asked: &BTreeMap<String, i16>,
    unstable: Unstable,
) -> Result<MetadataVersion, FormatError> {
    let newest = MetadataVersion::newest(unstable);
    let Some(&level) = asked.get(MetadataVersion::FEATURE) else {
        return Ok(release.unwrap_or(newest));
    };
    if release.is_some() {
        return Err(FormatError::terse(
            "Use --release-version instead of --feature metadata.version=X to avoid ambiguity.",
        ));
    }
    let version = MetadataVersion(level);
    if version == MetadataVersion::UNSTABLE && version != newest {
        return Err(FormatError::terse(format!("metadata.version {version} is not yet stable.")));
    }
    if version != newest && !version.is_known() {
        return Err(FormatError::illegal(format!(
            "No MetadataVersion with feature level {level}. Valid feature levels are from {} to {}.",
            MetadataVersion::MINIMUM.0,
            MetadataVersion::UNSTABLE.0
        )));
    }
    Ok(version)
}

fn levels(
    version: MetadataVersion,
    asked: BTreeMap<String, i16>,
    dynamic: bool,
) -> Result<BTreeMap<String, i16>, FormatError> {
    for name in asked.keys().filter(|name| *name != MetadataVersion::FEATURE) {
        if Feature::by_name(name).is_none() {
            let mut known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
            known.sort_unstable();
            return Err(FormatError::terse(format!(
                "Unsupported feature: {name}. Supported features are: {}",
                known.join(", ")
            )));
        }
    }
    let kraft = match (asked.get(KRAFT_VERSION.name), dynamic) {
        (Some(0), true) => {
            return Err(FormatError::terse(
                "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, \
                 --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try \
                 removing the --feature flag for kraft.version.",
            ));
        }
        (Some(level), false) if *level != 0 => {
            return Err(FormatError::terse(format!(
                "Cannot set kraft.version to {level} unless controller.quorum.voters is empty and one of the flags \
                 --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers \
                 support, try using one of --standalone, --initial-controllers, or --no-initial-controllers and removing \
                 controller.quorum.voters."
            )));
        }
        (Some(level), _) => *level,
        (None, dynamic) => i16::from(dynamic),
    };
    let mut levels = default_levels(version);
    levels.extend(asked);
    levels.insert(KRAFT_VERSION.name.to_owned(), kraft);
    levels.insert(MetadataVersion::FEATURE.to_owned(), version.0);
    for feature in FEATURES {
        let level = levels.get(feature.name).copied().unwrap_or_default();
        let level_of = |name: &str| levels.get(name).copied();
        feature.validate(level, level_of).map_err(|e| FormatError::illegal(e.to_string()))?;
    }
    Ok(levels)
}

/// Writes one directory. `meta.properties` comes last: with it the directory is formatted.
fn write(directory: &Path, meta: &MetaProperties, plan: &Plan, kind: Kind, now: Timestamp) -> std::io::Result<()> {
    let encoding = |e: String| std::io::Error::other(e);
    fs::create_dir_all_durably(directory)?;
    let bytes = bootstrap::bootstrap_file(&plan.records, plan.version, now).map_err(encoding)?;
    fs::write_atomic(&directory.join(BOOTSTRAP), &bytes)?;
    if let (Kind::Voter | Kind::NonVoter, Some(voters)) = (kind, &plan.voters) {
        let log = directory.join(METADATA_LOG);
        fs::create_dir_all_durably(&log)?;
        let bytes: Bytes =
            bootstrap::first_snapshot(voters, &plan.listener, plan.kraft_version, now).map_err(encoding)?;
        fs::write_atomic(&log.join(FIRST_SNAPSHOT), &bytes)?;
    }
    fs::write_atomic(&directory.join(META_PROPERTIES), meta.to_text().as_bytes())
}

/// Paths by what was written for them, for messages.
type Named<T> = BTreeMap<String, T>;

/// The path that a directory's name stands for.
fn path(name: &str) -> PathBuf {
    PathBuf::from(name)
}
