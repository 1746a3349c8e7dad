//! When snapshots of the metadata are written and how long they are kept, and the one that is being written.

use std::io;

use thalweg_sys::task::JoinHandle;
use thalweg_sys::time::Duration;

use super::ended::Ended;
use super::load_error::LoadError;
use super::snapshots::{Retention, Snapshot};

/// How often is looked for snapshots that are older, or more, than is to be kept: as in Kafka.
pub(super) const CLEANING_INTERVAL: Duration = Duration::from_secs(60);

/// When the metadata is written into a snapshot, so that its log does not grow for ever (KIP-630).
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotPolicy {
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub(crate) bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` is never.
    pub(crate) interval: Option<Duration>,
    /// How long older ones are kept.
    pub(crate) retention: Retention,
}

/// A snapshot that is being written, while decisions go on, and how many bytes of records it has seen.
pub(super) struct Writing {
    pub(super) task: JoinHandle<io::Result<Result<Snapshot, LoadError>>>,
    pub(super) appended: u64,
}

/// Waits for the snapshot that is being written, if there is one.
pub(super) async fn written(writing: &mut Option<Writing>) -> Result<(Result<Snapshot, LoadError>, u64), Ended> {
    let Some(Writing { task, appended }) = writing else { return std::future::pending().await };
    let (done, appended) = (task.await, *appended);
    *writing = None;
    Ok((done.map_err(io::Error::other)??, appended))
}
