//! Which leader epoch began at which offset (KIP-101, KIP-320): how replicas find where their logs part.

use std::path::Path;

use thalweg_base::{LeaderEpoch, Offset};

use crate::Fault;
use crate::checkpoints::{read_entries, read_if_exists, text_of};

/// One epoch and its first offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of the first record that was appended in it.
    pub start_offset: Offset,
}

/// The leader epochs of one log.
///
/// Invariant: epochs and start offsets grow strictly from entry to entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// Reads the checkpoint file; `None` when it is missing, or empty, as a power failure leaves a file that was not synced.
    /// Entries that contradict later ones are dropped.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Fault> {
        match read_if_exists(path)?.as_deref() {
            None | Some("") => return Ok(None),
            Some(text) if !text.ends_with('\n') => return Err(Fault::corrupt(path, "it ends inside a line")),
            Some(_) => {}
        }
        let entries = read_entries(path, |[epoch, offset]| {
            Some(EpochEntry { epoch: LeaderEpoch(epoch.parse().ok()?), start_offset: Offset(offset.parse().ok()?) })
        })?;
        let mut epochs = Self::default();
        for entry in entries {
            if entry.epoch.0 < 0 || entry.start_offset.0 < 0 {
                return Err(Fault::corrupt(path, "it has a negative epoch or offset"));
            }
            epochs.assign(entry.epoch, entry.start_offset);
        }
        Ok(Some(epochs))
    }

    /// The checkpoint file's text.
    pub(crate) fn to_text(&self) -> String {
        text_of(self.entries.iter().map(|e| format!("{} {}", e.epoch, e.start_offset)))
    }

    /// All epochs, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The oldest epoch.
    #[must_use]
    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// Enters that `epoch` began at `start_offset`, and says whether that was news. Entries that contradict it go away.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch.0 < 0 {
            return false;
        }
        if let Some(last) = self.latest()
            && last.epoch == epoch
            && start_offset >= last.start_offset
        {
            return false;
        }
        while self.latest().is_some_and(|e| e.epoch >= epoch || e.start_offset >= start_offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// Where `epoch` ended: the largest known epoch that is not above it, and the first offset of the epoch after that.
    /// The newest epoch ends at `log_end`. `None` when the epoch is above all known ones or not known at all.
    #[must_use]
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest()?.epoch == epoch {
            return Some((epoch, log_end));
        }
        let higher = self.entries.partition_point(|e| e.epoch <= epoch);
        let end = self.entries.get(higher)?.start_offset;
        let floor = higher.checked_sub(1).map_or(epoch, |i| self.entries[i].epoch);
        Some((floor, end))
    }

    /// The epoch in which the record at `offset` was appended.
    #[must_use]
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|e| e.start_offset <= offset);
        after.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// The log now ends at `log_end`: epochs that began there or later never were. Says whether there were any.
    pub(crate) fn truncate_from_end(&mut self, log_end: Offset) -> bool {
        let keep = self.entries.partition_point(|e| e.start_offset < log_end);
        let removed = keep < self.entries.len();
        self.entries.truncate(keep);
        removed
    }

    /// The log now begins at `log_start`: the epoch of its first record begins there too. Says whether that changed any.
    pub(crate) fn truncate_from_start(&mut self, log_start: Offset) -> bool {
        let after = self.entries.partition_point(|e| e.start_offset <= log_start);
        let Some(first) = after.checked_sub(1) else { return false };
        if first == 0 && self.entries[0].start_offset == log_start {
            return false;
        }
        self.entries.drain(..first);
        self.entries[0].start_offset = log_start;
        true
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, offset) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*offset));
        }
        epochs
    }

    fn end(epochs: &LeaderEpochs, epoch: i32) -> Option<(i32, i64)> {
        epochs.end_offset_for(LeaderEpoch(epoch), Offset(100)).map(|(e, o)| (e.0, o.0))
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        let epochs = epochs(&[(2, 10), (4, 20), (7, 50)]);
        let ends: Vec<_> = [-1, 1, 2, 3, 4, 5, 7, 8].map(|e| end(&epochs, e)).into();
        let expected =
            [None, Some((1, 10)), Some((2, 20)), Some((2, 20)), Some((4, 50)), Some((4, 50)), Some((7, 100)), None];
        assert_eq!(ends, expected);
        assert_eq!(end(&LeaderEpochs::default(), 3), None);
        let of: Vec<_> = [9, 10, 19, 20, 99].map(|o| epochs.epoch_for(Offset(o)).map(|e| e.0)).into();
        assert_eq!(of, [None, Some(2), Some(2), Some(4), Some(7)]);
    }

    #[test]
    fn contradicting_entries_go_away() {
        let mut e = epochs(&[(1, 10), (2, 20), (3, 30)]);
        assert!(!e.assign(LeaderEpoch(3), Offset(35)), "it began before");
        assert!(!e.assign(LeaderEpoch(-1), Offset(35)));
        assert!(e.assign(LeaderEpoch(4), Offset(20)));
        assert_eq!(e, epochs(&[(1, 10), (4, 20)]));
    }

    #[test]
    fn truncation_keeps_what_the_log_still_holds() {
        let mut e = epochs(&[(1, 10), (2, 20), (3, 30)]);
        assert!(e.truncate_from_end(Offset(30)));
        assert!(!e.truncate_from_end(Offset(21)));
        assert!(e.truncate_from_start(Offset(25)));
        assert!(!e.truncate_from_start(Offset(25)));
        assert_eq!(e, epochs(&[(2, 25)]));
    }

    #[test]
    fn the_file_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e");
        assert_eq!(LeaderEpochs::read(&path).unwrap(), None);
        let e = epochs(&[(0, 0), (5, 7)]);
        thalweg_sys::fs::write(&path, e.to_text().as_bytes()).unwrap();
        assert_eq!(thalweg_sys::fs::read_to_string(&path).unwrap(), "0\n2\n0 0\n5 7\n");
        assert_eq!(LeaderEpochs::read(&path).unwrap(), Some(e));
        thalweg_sys::fs::write(&path, b"0\n1\n0 1").unwrap();
        assert!(LeaderEpochs::read(&path).is_err(), "it may be `0 12`");
        thalweg_sys::fs::write(&path, b"0\n1\n-2 7\n").unwrap();
        assert!(LeaderEpochs::read(&path).is_err());
    }
}
