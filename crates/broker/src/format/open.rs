//! Opening a node's directories at its start, and formatting them where that is plainly what is wanted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thalweg_base::{Timestamp, Uuid};
use thalweg_sys::{fs, random};

use super::meta_properties::{Ensemble, META_PROPERTIES, new_directory_id};
use super::{FirstVoters, FormatError, FormatRequest, METADATA_LOG, format, name, names, path};
use crate::config::{Listener, NodeConfig};

/// A node's directories, all of one cluster and one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenDirectories {
    /// `cluster.id`
    pub cluster_id: String,
    /// The id of every directory that can be used.
    pub directory_ids: BTreeMap<PathBuf, Uuid>,
    /// Directories whose `meta.properties` cannot be read, and why: they are offline. The metadata directory is never
    /// among them.
    pub offline: BTreeMap<PathBuf, String>,
    /// Whether they were formatted just now.
    pub formatted: bool,
}

/// Reads what the directories say, and checks that it fits the configuration. Directories that are all empty are
/// formatted as a new cluster of this node alone, if the configuration names nobody else.
///
/// # Errors
/// When directories are not formatted, belong to another node or cluster, or cannot be written.
pub fn open(config: &NodeConfig, now: Timestamp) -> Result<OpenDirectories, FormatError> {
    let directories = names(config);
    let mut ensemble = Ensemble::load(&directories);
    let fresh = ensemble.formatted.is_empty() && ensemble.failed.is_empty();
    if fresh {
        if !is_alone(config) {
            return Err(FormatError::terse(format!(
                "{} is not formatted, and the configuration names other controllers: run `thalweg storage format` first",
                name(&config.storage.metadata_log_dir)
            )));
        }
        format_alone(config, now)?;
        ensemble = Ensemble::load(&directories);
    }
    ensemble.verify(None, Some(config.node_id))?;
    if let Some(why) = ensemble.failed.get(&name(&config.storage.metadata_log_dir)) {
        let directory = config.storage.metadata_log_dir.display();
        return Err(FormatError::runtime(format!(
            "Encountered I/O error in metadata log directory {directory}. Cannot continue: {why}"
        )));
    }
    if let Some(directory) = ensemble.empty.first() {
        return Err(FormatError::runtime(format!(
            "No `meta.properties` found in {directory}: run `thalweg storage format --ignore-formatted` to format it"
        )));
    }
    metadata_log_elsewhere(config, &directories)?;
    belong_to_somebody(&ensemble)?;
    let mut directory_ids = BTreeMap::new();
    let mut taken: Vec<Uuid> = ensemble.formatted.values().filter_map(|meta| meta.directory_id).collect();
    let mut cluster_id = None;
    for (directory, meta) in &ensemble.formatted {
        cluster_id = cluster_id.or(meta.cluster_id.clone());
        let id = match meta.directory_id {
            Some(id) => id,
            None => {
                let id = new_directory_id(&taken);
                let renewed = super::MetaProperties { directory_id: Some(id), ..meta.clone() };
                let file = path(directory).join(META_PROPERTIES);
                fs::write_atomic(&file, renewed.to_text().as_bytes())
                    .map_err(|e| FormatError::terse(format!("cannot write {}: {e}", file.display())))?;
                taken.push(id);
                id
            }
        };
        directory_ids.insert(path(directory), id);
    }
    Ok(OpenDirectories {
        cluster_id: cluster_id.ok_or_else(|| FormatError::runtime("No readable meta.properties files found."))?,
        directory_ids,
        offline: ensemble.failed.into_iter().map(|(directory, why)| (path(&directory), why)).collect(),
        formatted: fresh,
    })
}

/// A file from the days of ZooKeeper, or an empty one, need not say whose the directory is: such a directory is nobody's.
fn belong_to_somebody(ensemble: &Ensemble) -> Result<(), FormatError> {
    for (directory, meta) in &ensemble.formatted {
        let missing = match (meta.node_id, &meta.cluster_id) {
            (None, _) => "node",
            (_, None) => "cluster",
            (Some(_), Some(_)) => continue,
        };
        return Err(FormatError::runtime(format!("Error: {missing} ID not found in {directory}")));
    }
    Ok(())
}

/// The metadata log lies in one directory only: one elsewhere belongs to another configuration.
fn metadata_log_elsewhere(config: &NodeConfig, directories: &[String]) -> Result<(), FormatError> {
    let metadata = name(&config.storage.metadata_log_dir);
    let other = directories.iter().find(|&d| *d != metadata && fs::exists(&path(d).join(METADATA_LOG)));
    match other {
        Some(other) => Err(FormatError::runtime(format!(
            "Found unexpected metadata location in data directory `{other}` (the configured metadata directory is \
             {metadata})."
        ))),
        None => Ok(()),
    }
}

/// Whether the configuration names no controller but this one.
pub(crate) fn is_alone(config: &NodeConfig) -> bool {
    if !config.roles.controller {
        return false;
    }
    let quorum = &config.quorum;
    if !quorum.voters.is_empty() {
        return quorum.voters.len() == 1 && quorum.voters.contains_key(&config.node_id);
    }
    quorum.bootstrap_servers.iter().all(|(host, port)| {
        let own = config.network.controller_listeners().chain(&config.network.advertised_controller_listeners);
        // Port 0 is a free one, which only this node can mean.
        *port == 0 || own.into_iter().any(|listener| is_own(listener, host, *port))
    })
}

fn is_own(listener: &Listener, host: &str, port: u16) -> bool {
    let local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1");
    let everywhere = matches!(listener.host.as_deref(), None | Some("0.0.0.0" | "::"));
    listener.port == port
        && (everywhere || listener.host.as_deref().is_some_and(|own| own == host || local(own) && local(host)))
}

fn format_alone(config: &NodeConfig, now: Timestamp) -> Result<(), FormatError> {
    let voters = if config.quorum.voters.is_empty() { FirstVoters::Standalone } else { FirstVoters::Unsaid };
    let request = FormatRequest::new(Uuid::from_random(random::bytes16()).to_string(), voters);
    format(config, &request, now, &mut Vec::new())
}
