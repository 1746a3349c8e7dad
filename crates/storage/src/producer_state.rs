//! The producers of a log: whose batches are duplicates, which transactions are open, how far consumers of committed
//! records may read (KIP-98).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use thalweg_base::{Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::BatchHeader;
use thalweg_sys::fs;

use crate::producer_entry::{CompletedTxn, Marker, Origin, Producer, ProducerRefusal, WrittenBatch};
use crate::txn_index::AbortedTxn;
use crate::{Fault, names, producer_snapshot};

/// What the batches of one append would change. It is filled before the write and applied after it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    updates: Vec<(ProducerId, Producer)>,
    started: Vec<(Offset, ProducerId)>,
    completed: Vec<CompletedTxn>,
}

impl Changes {
    pub(crate) fn clear(&mut self) {
        self.updates.clear();
        self.started.clear();
        self.completed.clear();
    }
}

/// All producers of one log.
///
/// Invariants:
/// - every open transaction is the open transaction of its producer;
/// - `map_end` is the offset up to which batches have been entered.
#[derive(Debug)]
pub(crate) struct ProducerState {
    producers: BTreeMap<ProducerId, Producer>,
    /// Open transactions by first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended transactions, from first offset to marker, whose marker may not be replicated yet.
    unreplicated: BTreeMap<Offset, Offset>,
    /// The offsets of the snapshot files.
    snapshots: BTreeSet<Offset>,
    last_snapshot: Offset,
    map_end: Offset,
}

impl ProducerState {
    /// A log without producers, and the snapshot files that lie in its directory.
    pub(crate) fn new(snapshots: BTreeSet<Offset>) -> Self {
        Self {
            producers: BTreeMap::new(),
            ongoing: BTreeMap::new(),
            unreplicated: BTreeMap::new(),
            snapshots,
            last_snapshot: Offset::ZERO,
            map_end: Offset::ZERO,
        }
    }

    pub(crate) fn get(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, producer))
    }

    pub(crate) fn map_end(&self) -> Offset {
        self.map_end
    }

    pub(crate) fn set_map_end(&mut self, offset: Offset) {
        self.map_end = offset;
    }

    /// The batch that `header` repeats.
    pub(crate) fn duplicate_of(&self, header: &BatchHeader) -> Option<WrittenBatch> {
        self.producers.get(&header.producer_id)?.duplicate_of(header)
    }

    /// Whether the producer has a transaction open in this epoch.
    pub(crate) fn has_ongoing_txn(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.get(&id).is_some_and(|p| p.txn_first_offset().is_some() && p.epoch() == epoch)
    }

    /// Checks one batch of a producer on top of `changes` and adds to them. A control batch comes with its marker; one
    /// without has been emptied by the cleaner and changes nothing.
    pub(crate) fn prepare(
        &self,
        header: &BatchHeader,
        marker: Option<Marker>,
        origin: Origin,
        changes: &mut Changes,
    ) -> Result<(), ProducerRefusal> {
        let id = header.producer_id;
        let known = changes.updates.iter().rposition(|(other, _)| *other == id);
        let at = known.unwrap_or_else(|| {
            let current = self.producers.get(&id).cloned().unwrap_or_else(Producer::unknown);
            changes.updates.push((id, current));
            changes.updates.len() - 1
        });
        let producer = &mut changes.updates[at].1;
        match (header.attributes.is_control(), marker) {
            (false, _) => changes.started.extend(producer.append(header, origin)?.map(|offset| (offset, id))),
            (true, Some(marker)) => changes.completed.extend(producer.end_txn(header, marker, origin)?),
            (true, None) if known.is_none() => {
                changes.updates.pop();
            }
            (true, None) => {}
        }
        Ok(())
    }

    /// The batches of `changes` are in the log, which now ends at `log_end`. Hands the transactions that were aborted to
    /// `aborted`, for the transaction index.
    pub(crate) fn apply(
        &mut self,
        changes: &mut Changes,
        log_end: Offset,
        mut aborted: impl FnMut(AbortedTxn) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.producers.extend(changes.updates.drain(..));
        self.ongoing.extend(changes.started.drain(..));
        for txn in changes.completed.drain(..) {
            let other = self.ongoing.iter().find(|(_, id)| **id != txn.producer_id);
            let last_stable_offset = other.map_or(txn.last_offset.next(), |(first, _)| *first);
            self.ongoing.remove(&txn.first_offset);
            self.unreplicated.insert(txn.first_offset, txn.last_offset);
            if txn.aborted {
                aborted(AbortedTxn {
                    producer_id: txn.producer_id,
                    first_offset: txn.first_offset,
                    last_offset: txn.last_offset,
                    last_stable_offset,
                })?;
            }
        }
        self.map_end = log_end;
        Ok(())
    }

    /// The first offset of a transaction that is open, or whose marker is not below `high_watermark`.
    pub(crate) fn first_unstable(&self, high_watermark: Offset) -> Option<Offset> {
        let ongoing = self.ongoing.keys().next().copied();
        let unreplicated = self.unreplicated.iter().find(|(_, last)| **last >= high_watermark).map(|(first, _)| *first);
        match (ongoing, unreplicated) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The high watermark is now `offset`: transactions that ended below it need not be remembered. Says whether there was
    /// any.
    pub(crate) fn replicated(&mut self, offset: Offset) -> bool {
        let before = self.unreplicated.len();
        self.unreplicated.retain(|_, last| *last >= offset);
        self.unreplicated.len() < before
    }

    /// Forgets producers that wrote nothing for `expiration_ms` and have no open transaction.
    pub(crate) fn remove_expired(&mut self, now: Timestamp, expiration_ms: i64) {
        self.producers.retain(|_, producer| !is_expired(producer, now, expiration_ms));
    }

    /// The log now begins at `log_start`.
    pub(crate) fn log_start_moved(&mut self, log_start: Offset) {
        self.replicated(log_start);
        self.map_end = self.map_end.max(log_start);
        self.last_snapshot = self.snapshots.last().copied().unwrap_or(log_start);
    }

    /// Writes a snapshot at `map_end`, unless there is one that is not older. Not durable until it is synced; returns its
    /// path when it was written.
    pub(crate) fn take_snapshot(&mut self, dir: &Path) -> Result<Option<PathBuf>, Fault> {
        if self.map_end <= self.last_snapshot {
            return Ok(None);
        }
        let path = names::file_at(dir, self.map_end, names::PRODUCER_SNAPSHOT);
        fs::write(&path, &producer_snapshot::encode(&self.producers)).map_err(Fault::io("write", &path))?;
        self.snapshots.insert(self.map_end);
        self.last_snapshot = self.map_end;
        Ok(Some(path))
    }

    /// What is known of producers before anything is loaded, with the snapshots up to `offset` alone: for reading a part of
    /// the log again, while the others keep theirs.
    pub(crate) fn before(&self, offset: Offset) -> Self {
        Self::new(self.snapshots.range(..=offset).copied().collect())
    }

    /// Goes back to the newest usable snapshot in `log_start..=log_end`; the caller then enters the batches from
    /// [`ProducerState::map_end`] on. Snapshots outside that range, and unreadable ones, are removed.
    pub(crate) fn reload(
        &mut self,
        dir: &Path,
        log_start: Offset,
        log_end: Offset,
        now: Timestamp,
        expiration_ms: i64,
    ) -> Result<(), Fault> {
        let outside: Vec<Offset> = self.snapshots.iter().copied().filter(|s| *s > log_end || *s <= log_start).collect();
        for offset in outside {
            self.remove_snapshot(dir, offset)?;
        }
        self.clear();
        while let Some(offset) = self.snapshots.last().copied() {
            let path = names::file_at(dir, offset, names::PRODUCER_SNAPSHOT);
            let bytes = match fs::read(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                other => other.map_err(Fault::io("read", &path))?,
            };
            match producer_snapshot::decode(&bytes) {
                Ok(producers) => {
                    self.enter(producers, now, expiration_ms);
                    self.last_snapshot = offset;
                    self.map_end = offset;
                    return Ok(());
                }
                Err(reason) => {
                    tracing::warn!(file = %path.display(), reason, "producer snapshot is unusable and is removed");
                    self.remove_snapshot(dir, offset)?;
                }
            }
        }
        self.last_snapshot = log_start;
        self.map_end = log_start;
        Ok(())
    }

    /// The log is empty and begins at `offset`.
    pub(crate) fn restart(&mut self, dir: &Path, offset: Offset) -> Result<(), Fault> {
        self.clear();
        while let Some(snapshot) = self.snapshots.last().copied() {
            self.remove_snapshot(dir, snapshot)?;
        }
        self.last_snapshot = Offset::ZERO;
        self.map_end = offset;
        Ok(())
    }

    /// Removes the snapshots that belong to no segment: of those only the newest stays, if it is above all segments.
    pub(crate) fn remove_stray_snapshots(&mut self, dir: &Path, bases: &[Offset]) -> Result<(), Fault> {
        let strays: Vec<Offset> = self.snapshots.iter().copied().filter(|s| !bases.contains(s)).collect();
        let newest = strays.last().copied().filter(|s| bases.last().is_none_or(|base| s > base));
        for stray in strays {
            if Some(stray) != newest {
                self.remove_snapshot(dir, stray)?;
            }
        }
        Ok(())
    }

    /// The segment that begins at `base` goes away; so does its snapshot.
    pub(crate) fn remove_snapshot(&mut self, dir: &Path, base: Offset) -> Result<(), Fault> {
        if !self.snapshots.remove(&base) {
            return Ok(());
        }
        let path = names::file_at(dir, base, names::PRODUCER_SNAPSHOT);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::io("remove", &path)(e)),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, producers: BTreeMap<ProducerId, Producer>, now: Timestamp, expiration_ms: i64) {
        for (id, producer) in producers {
            if is_expired(&producer, now, expiration_ms) {
                continue;
            }
            self.ongoing.extend(producer.txn_first_offset().map(|offset| (offset, id)));
            self.producers.insert(id, producer);
        }
    }

    fn clear(&mut self) {
        self.producers.clear();
        self.ongoing.clear();
        self.unreplicated.clear();
    }
}

fn is_expired(producer: &Producer, now: Timestamp, expiration_ms: i64) -> bool {
    producer.txn_first_offset().is_none() && now.0.saturating_sub(producer.last_timestamp().0) >= expiration_ms
}
