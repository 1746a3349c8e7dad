//! Why the quorum's task ends.

use std::io;

use thalweg_storage::Fault;

use super::load_error::LoadError;
use super::log::WriteError;

/// Why the quorum has ended before it was asked to. The node cannot go on without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the metadata log has failed: {0}")]
    Write(#[from] WriteError),
    #[error("the metadata log has failed: {0}")]
    Fault(#[from] Fault),
    #[error("the metadata log could not be synced: {0}")]
    Sync(#[from] io::Error),
}
