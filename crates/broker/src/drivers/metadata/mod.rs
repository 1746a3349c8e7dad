//! The metadata quorum on this node: its log, its state machine, the controller above it, and the image that everybody
//! else reads.

mod control;
mod driver;
mod handle;
mod log;
mod snapshots;

pub(crate) use driver::{Acting, Driver, Ended, QuorumSettings, SnapshotPolicy};
pub(crate) use handle::{Decide, MetadataHandle, QuorumView};
pub(crate) use log::{LoadError, MetadataLog};
pub(crate) use snapshots::Retention;
