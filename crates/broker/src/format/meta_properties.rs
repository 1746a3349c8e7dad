//! `meta.properties`: which cluster and node a directory belongs to.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use thalweg_base::{NodeId, Uuid, properties};
use thalweg_sys::{fs, random};

use super::{FormatError, Named, path};

/// The file's name.
pub const META_PROPERTIES: &str = "meta.properties";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// 1 in every cluster of this Kafka; 0 from the days of ZooKeeper.
    pub version: i32,
    /// `cluster.id`
    pub cluster_id: Option<String>,
    /// `node.id`, or `broker.id` in version 0.
    pub node_id: Option<NodeId>,
    /// `directory.id` (KIP-858).
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// Those of a directory that is formatted now.
    #[must_use]
    pub fn new(cluster_id: &str, node_id: NodeId, directory_id: Uuid) -> Self {
        Self {
            version: 1,
            cluster_id: Some(cluster_id.to_owned()),
            node_id: Some(node_id),
            directory_id: Some(directory_id),
        }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Kafka's message, when a key is missing or no number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries: BTreeMap<String, String> = properties::parse(text).into_iter().collect();
        let text = entries.get("version").map_or("0", String::as_str);
        let version = match text.trim().parse::<i32>() {
            Ok(version @ (0 | 1)) => version,
            Ok(version) => return Err(format!("Unknown meta.properties version number {version}")),
            Err(_) => return Err(format!("Invalid meta.properties version string '{text}'")),
        };
        let int = |key: &str| match entries.get(key).map(|text| text.parse()) {
            None => Err(format!("Failed to find {key}")),
            Some(Err(_)) => Err(format!("Unable to read {key} as a base-10 number.")),
            Some(Ok(number)) => Ok(Some(NodeId(number))),
        };
        let node_id = match version {
            0 if !entries.contains_key("broker.id") => None,
            0 => int("broker.id")?,
            _ => int("node.id")?,
        };
        let cluster_id = entries.get("cluster.id").cloned();
        let directory_id = match entries.get("directory.id").map(|text| text.parse::<Uuid>()) {
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(e)) => return Err(format!("Unable to read directory.id as a Uuid: {e}")),
        };
        if version == 1 && cluster_id.is_none() {
            return Err("cluster.id was not found.".to_owned());
        }
        Ok(Self { version, cluster_id, node_id, directory_id })
    }

    /// The keys and values, by key.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<&'static str, String> {
        let node_key = if self.version == 0 { "broker.id" } else { "node.id" };
        let entries = [
            ("version", Some(self.version.to_string())),
            ("cluster.id", self.cluster_id.clone()),
            (node_key, self.node_id.map(|id| id.0.to_string())),
            ("directory.id", self.directory_id.map(|id| id.to_string())),
        ];
        entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.entries().iter().map(|(key, value)| properties::entry(key, value) + "\n").collect()
    }
}

/// The `meta.properties` of all directories of one node.
#[derive(Debug, Default)]
pub(super) struct Ensemble {
    /// Those that have one.
    pub(super) formatted: Named<MetaProperties>,
    /// Those that have none, or do not exist.
    pub(super) empty: Vec<String>,
    /// Those whose file cannot be read, and why.
    pub(super) failed: Named<String>,
}

impl Ensemble {
    pub(super) fn load(directories: &[String]) -> Self {
        let mut ensemble = Self::default();
        for directory in directories {
            match read(&path(directory)) {
                Ok(Some(meta)) => {
                    ensemble.formatted.insert(directory.clone(), meta);
                }
                Ok(None) => ensemble.empty.push(directory.clone()),
                Err(why) => {
                    ensemble.failed.insert(directory.clone(), why);
                }
            }
        }
        ensemble
    }

    /// Checks that all directories belong to one node of one cluster, those that were expected if any were, and that
    /// each has an id of its own.
    pub(super) fn verify(&self, cluster_id: Option<&str>, node_id: Option<NodeId>) -> Result<(), FormatError> {
        let (mut cluster_id, mut node_id) = (cluster_id, node_id);
        let mut ids: BTreeMap<Uuid, &str> = BTreeMap::new();
        for (directory, meta) in &self.formatted {
            let file = path(directory).join(META_PROPERTIES);
            let file = file.display();
            match (meta.cluster_id.as_deref(), cluster_id) {
                (Some(read), Some(expected)) if read != expected => {
                    return Err(FormatError::runtime(format!(
                        "Invalid cluster.id in: {file}. Expected {expected}, but read {read}"
                    )));
                }
                (read, expected) => cluster_id = expected.or(read),
            }
            match (meta.node_id, node_id) {
                (Some(read), Some(expected)) if read != expected => {
                    return Err(FormatError::runtime(format!(
                        "Stored node id {} doesn't match previous node id {} in {file}. If you moved your data, make \
                         sure your configured node id matches. If you intend to create a new node, you should remove \
                         all data in your data directories.",
                        read.0, expected.0
                    )));
                }
                (read, expected) => node_id = expected.or(read),
            }
            let Some(id) = meta.directory_id else { continue };
            if is_reserved(id) {
                return Err(FormatError::runtime(format!("Invalid reserved directory ID {id} found in {directory}")));
            }
            if let Some(other) = ids.insert(id, directory) {
                return Err(FormatError::runtime(format!(
                    "Duplicate directory ID Optional[{id}] found. It was the ID of {other}, but also of {directory}"
                )));
            }
        }
        Ok(())
    }
}

/// `None` when there is no such file.
fn read(directory: &Path) -> Result<Option<MetaProperties>, String> {
    match fs::read_to_string(&directory.join(META_PROPERTIES)) {
        Ok(text) => MetaProperties::parse(&text).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// The first 100 ids have meanings of their own (KIP-858).
fn is_reserved(id: Uuid) -> bool {
    u128::from_be_bytes(id.0) < 100
}

/// An id that no other directory has.
pub(super) fn new_directory_id(taken: &[Uuid]) -> Uuid {
    loop {
        let id = Uuid::from_random(random::bytes16());
        if !is_reserved(id) && !taken.contains(&id) {
            return id;
        }
    }
}
