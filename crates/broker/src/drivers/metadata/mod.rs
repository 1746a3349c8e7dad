//! The metadata quorum on this node: its log, its state machine, the controller above it, and the image that everybody
//! else reads.

mod control;
mod driver;
mod handle;
mod load_error;
mod log;
mod snapshots;

pub(crate) use driver::{Acting, Driver, Ended, QuorumSettings, SnapshotPolicy};
pub(crate) use handle::{Decide, MetadataHandle, QuorumView};
pub(crate) use load_error::LoadError;
pub(crate) use log::MetadataLog;
pub(crate) use snapshots::Retention;
