//! What lies in the log directories when the node starts.

use std::path::PathBuf;
use std::sync::Arc;

use thalweg_base::TopicPartition;

use super::partition::Partition;

/// A log that was found on disk.
pub(super) struct Opened {
    pub(super) partition: Arc<Partition>,
    /// By index among the node's directories.
    pub(super) dir: usize,
}

/// A partition's directory that is to be opened.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) id: TopicPartition,
    pub(super) path: PathBuf,
    /// By index among the node's directories.
    pub(super) dir: usize,
}
