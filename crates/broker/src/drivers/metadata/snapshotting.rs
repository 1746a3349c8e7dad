//! Snapshots of the metadata, which every node writes for itself so that its log does not grow for ever (KIP-630).

use thalweg_base::Offset;
use thalweg_raft::OffsetAndEpoch;
use thalweg_sys::task;
use thalweg_sys::time::Duration;
use tracing::{error, info};

use super::control;
use super::ended::Ended;
use super::load_error::LoadError;
use super::quorum::QuorumDriver;
use super::snapshots::{self, Snapshot};
use super::writing::{CLEANING_INTERVAL, Writing};
use crate::drivers::clock::timestamp;
use crate::format::SnapshotContent;

/// How long to wait after a snapshot that could not be written, on a full disk say.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

impl QuorumDriver {
    /// Begins to write a snapshot of what is committed when the log has grown enough, or when the last one is old.
    pub(super) fn snapshot_if_due(&mut self) {
        let Some(committed) = self.images.committed() else { return };
        let grown = committed.appended.saturating_sub(self.log.snapshotted());
        let policy = self.settings.snapshots;
        let old = policy.interval.is_some_and(|interval| self.last_snapshot.elapsed() >= interval);
        let due = grown >= policy.bytes || old && grown > 0;
        let waits = self.snapshot_after.is_some_and(|at| thalweg_sys::time::now() < at);
        if !due || waits || self.writing.is_some() || self.fetching.is_some() {
            return;
        }
        let provenance = committed.image.provenance();
        let id = OffsetAndEpoch { offset: committed.end, epoch: provenance.epoch };
        // Voters that are not committed are in no snapshot.
        let whole = !committed.image.in_transaction() && id.offset >= self.reconfigured;
        // The quorum may not know yet that all of this is committed, which another leader has said.
        if !whole || id.offset > self.quorum.high_watermark() {
            return;
        }
        let (image, dir, appended) = (committed.image.clone(), self.log.dir().to_owned(), committed.appended);
        let quorum = control::in_snapshot(self.quorum.kraft_version(), self.quorum.voters());
        let task = task::spawn(task::blocking(move || {
            let (records, version) = (image.to_records(), image.metadata_version());
            let (last, epoch) = (provenance.timestamp, id.epoch);
            let content = SnapshotContent { last, epoch, quorum: &quorum, records: &records, version };
            snapshots::write(&dir, id, &content, timestamp())
        }));
        self.writing = Some(Writing { task, appended });
        self.last_snapshot = thalweg_sys::time::now();
    }

    /// A snapshot was written, or could not be: then the log goes on without it, and another attempt is made in a while.
    pub(super) async fn snapshot_ended(
        &mut self,
        result: Result<Snapshot, LoadError>,
        appended: u64,
    ) -> Result<(), Ended> {
        match result {
            Ok(snapshot) => self.snapshot_written(snapshot, appended).await,
            Err(e) => {
                error!(error = %e, "a snapshot of the metadata cannot be written; it is tried again in a minute");
                self.snapshot_after = Some(thalweg_sys::time::now() + RETRY_INTERVAL);
                Ok(())
            }
        }
    }

    async fn snapshot_written(&mut self, snapshot: Snapshot, appended: u64) -> Result<(), Ended> {
        if snapshot.id.offset <= self.log.start() && self.log.start() > Offset::ZERO {
            // A newer one of the leader has replaced the log meanwhile.
            info!(offset = %snapshot.id.offset, "a snapshot of the metadata is older than the log");
            return Ok(());
        }
        info!(offset = %snapshot.id.offset, epoch = %snapshot.id.epoch, "wrote a snapshot of the metadata");
        self.log.snapshot_written(snapshot, appended);
        self.snapshots_changed().await
    }

    /// Lets go of old snapshots, and of the log before them, as often as Kafka does.
    pub(super) async fn clean_if_due(&mut self) -> Result<(), Ended> {
        if self.last_cleaned.elapsed() < CLEANING_INTERVAL {
            return Ok(());
        }
        self.last_cleaned = thalweg_sys::time::now();
        let Some(cleaned) = self.log.clean(self.settings.snapshots.retention, timestamp())? else {
            return Ok(());
        };
        info!(log_start = %self.log.start(), "old snapshots of the metadata go, and the log before the oldest that is left");
        task::blocking(move || cleaned.remove()).await??;
        self.snapshots_changed().await
    }

    async fn snapshots_changed(&mut self) -> Result<(), Ended> {
        let Some((oldest, newest)) = self.log.kept() else { return Ok(()) };
        let effects = self.quorum.snapshot_written(oldest, newest, self.log.start(), self.moment());
        self.add_effects(effects).await
    }
}
