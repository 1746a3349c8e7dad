//! Why the metadata log or a snapshot cannot be used, and how large their batches may be.

use std::path::PathBuf;

use thalweg_metadata::RecordError;
use thalweg_records::BatchError;
use thalweg_storage::Fault;

/// A metadata batch may hold so much, as in Kafka.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;

/// Why the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is malformed: {source}", path.display())]
    Batch { path: PathBuf, source: BatchError },
    #[error("{} holds a metadata record that this version does not know: {source}; it was written by a newer Kafka", path.display())]
    Record { path: PathBuf, source: RecordError },
    #[error("{} {reason}", path.display())]
    State { path: PathBuf, reason: String },
}
