//! What the quorum knows of the local log: its ends, epochs and snapshots, and the voters that stand in it.

use std::cmp::Ordering;

use thalweg_base::{LeaderEpoch, Offset};

use crate::voters::{KRaftVersion, Voters};

/// A position in the log with the epoch of the record before it: the end of a log, or a snapshot's id.
/// Ordered as logs are: the one with the later epoch is ahead, then the longer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OffsetAndEpoch {
    /// The offset after the last record.
    pub offset: Offset,
    /// The epoch of the last record.
    pub epoch: LeaderEpoch,
}

impl Ord for OffsetAndEpoch {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.epoch, self.offset).cmp(&(other.epoch, other.offset))
    }
}

impl PartialOrd for OffsetAndEpoch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The snapshot that formatting writes. It is local: never sent to other replicas.
pub(crate) const BOOTSTRAP_SNAPSHOT: OffsetAndEpoch = OffsetAndEpoch { offset: Offset(0), epoch: LeaderEpoch(0) };

/// The first record of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The offset of its first record.
    pub start: Offset,
}

/// A control record in the log that changes the quorum itself. It counts as soon as it is appended, committed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `KRaftVersionRecord`.
    KRaftVersion(KRaftVersion),
    /// `VotersRecord`.
    Voters(Voters),
}

/// The log as the driver finds it when it starts.
#[derive(Clone, Debug, Default)]
pub struct LocalLog {
    /// The offset of the first record kept.
    pub start: Offset,
    /// The offset that the next record gets. All before it is durable.
    pub end: Offset,
    /// The epochs of the records kept, ascending.
    pub epochs: Vec<EpochStart>,
    /// The oldest snapshot kept, and the newest.
    pub snapshots: Option<(OffsetAndEpoch, OffsetAndEpoch)>,
    /// The control records that stand in the newest snapshot (at its last offset; -1 if it is the one of formatting) and in
    /// the log after it.
    pub changes: Vec<(Offset, Change)>,
}

/// What the leader finds about a fetch position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Valid,
    Diverging(OffsetAndEpoch),
    Snapshot(OffsetAndEpoch),
}

/// The local log as the quorum knows it.
///
/// Invariants: `start <= end`, `flushed <= end`; epochs ascend strictly, their starts too, and lie before `end`.
#[derive(Clone, Debug)]
pub(crate) struct LogView {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) flushed: Offset,
    epochs: Vec<EpochStart>,
    snapshots: Option<(OffsetAndEpoch, OffsetAndEpoch)>,
    /// The voters as long as the log names none.
    static_voters: Voters,
    /// The first is what was configured (version 0) or in the snapshot; the others were appended since.
    voters: Vec<(Offset, Voters)>,
    versions: Vec<(Offset, KRaftVersion)>,
}

/// Where voters count from that do not stand in the log itself.
const BEFORE_LOG: Offset = Offset(-1);

impl LogView {
    pub(crate) fn new(log: LocalLog, static_voters: Voters) -> Self {
        assert!(log.start <= log.end, "a log begins before it ends");
        let mut view = Self {
            start: log.start,
            end: log.end,
            flushed: log.end,
            epochs: Vec::new(),
            snapshots: log.snapshots,
            voters: vec![(BEFORE_LOG, static_voters.clone())],
            static_voters,
            versions: vec![(BEFORE_LOG, KRaftVersion::STATIC)],
        };
        // The epochs come from a file that may know more than the log has kept.
        for EpochStart { epoch, start } in log.epochs {
            let start = start.max(log.start);
            let last = view.epochs.last().copied();
            match last {
                Some(last) if last.epoch >= epoch => {}
                _ if start >= log.end => {}
                Some(last) if last.start >= start => {
                    view.epochs.pop();
                    view.epochs.push(EpochStart { epoch, start });
                }
                _ => view.epochs.push(EpochStart { epoch, start }),
            }
        }
        for (offset, change) in log.changes {
            view.change(offset, change);
        }
        view.check();
        view
    }

    pub(crate) fn voters(&self) -> &Voters {
        self.voters.last().map_or(&EMPTY, |(_, voters)| voters)
    }

    /// Where the newest voters stand in the log, -1: only in the configuration or in the snapshot of formatting.
    pub(crate) fn voters_offset(&self) -> Offset {
        self.voters.last().map_or(BEFORE_LOG, |(offset, _)| *offset)
    }

    pub(crate) fn kraft_version(&self) -> KRaftVersion {
        self.versions.last().map_or(KRaftVersion::STATIC, |(_, version)| *version)
    }

    /// The end of the log with the epoch of its last record; epoch 0 if there never was one.
    pub(crate) fn end_and_epoch(&self) -> OffsetAndEpoch {
        let in_snapshot = self.snapshots.map_or(LeaderEpoch(0), |(_, latest)| latest.epoch);
        let epoch = self.epochs.last().map_or(in_snapshot, |last| last.epoch);
        OffsetAndEpoch { offset: self.end, epoch }
    }

    pub(crate) fn latest_snapshot(&self) -> Option<OffsetAndEpoch> {
        self.snapshots.map(|(_, latest)| latest).filter(|latest| *latest != BOOTSTRAP_SNAPSHOT)
    }

    /// The largest epoch not larger than `epoch` in this log, and where it ends.
    pub(crate) fn end_of_epoch(&self, epoch: LeaderEpoch) -> OffsetAndEpoch {
        let next = self.epochs.partition_point(|entry| entry.epoch <= epoch);
        let Some(after) = self.epochs.get(next) else {
            return self.end_and_epoch();
        };
        let earliest = self.snapshots.map(|(earliest, _)| earliest);
        let own = match next.checked_sub(1) {
            Some(floor) => self.epochs[floor].epoch,
            // The log has no epoch as small: the snapshot at its start stands for all of them.
            None => earliest.map_or(epoch, |earliest| earliest.epoch.min(epoch)),
        };
        OffsetAndEpoch { offset: after.start, epoch: own }
    }

    /// What a replica may do whose log ends at `offset` with a record of `epoch`.
    pub(crate) fn position(&self, offset: Offset, epoch: LeaderEpoch) -> Position {
        if offset == Offset::ZERO
            && let Some(latest) = self.latest_snapshot()
        {
            return Position::Snapshot(latest);
        }
        if self.start == Offset::ZERO && offset == Offset::ZERO {
            return Position::Valid;
        }
        if let Some((earliest, latest)) = self.snapshots {
            let at_start = offset == self.start && epoch != earliest.epoch;
            if offset < self.start || at_start || epoch < earliest.epoch {
                return Position::Snapshot(latest);
            }
        }
        let end = self.end_of_epoch(epoch);
        if end.epoch != epoch || end.offset < offset { Position::Diverging(end) } else { Position::Valid }
    }

    /// Where to cut this log off if the leader says that it diverges after `leaders`.
    pub(crate) fn common_end(&self, leaders: OffsetAndEpoch) -> Offset {
        let own = self.end_of_epoch(leaders.epoch);
        let common = if own.epoch == leaders.epoch { own.offset.min(leaders.offset) } else { own.offset };
        common.min(self.end)
    }

    pub(crate) fn append(&mut self, end: Offset, epochs: &[EpochStart]) {
        assert!(self.end <= end, "appending does not shorten the log");
        for new in epochs {
            if self.epochs.last().is_none_or(|last| last.epoch < new.epoch) {
                self.epochs.push(*new);
            }
        }
        self.end = end;
        self.check();
    }

    pub(crate) fn change(&mut self, offset: Offset, change: Change) {
        match change {
            Change::Voters(voters) => push(&mut self.voters, offset, voters),
            Change::KRaftVersion(version) => push(&mut self.versions, offset, version),
        }
    }

    pub(crate) fn truncate(&mut self, to: Offset) {
        assert!(self.start <= to && to <= self.end, "a truncation lies within the log");
        self.end = to;
        self.flushed = self.flushed.min(to);
        self.epochs.retain(|entry| entry.start < to);
        self.voters.retain(|(offset, _)| *offset < to);
        self.versions.retain(|(offset, _)| *offset < to);
        self.check();
    }

    /// A snapshot was written here, and the log may begin later. What was committed before need not be told apart.
    pub(crate) fn snapshot_written(&mut self, earliest: OffsetAndEpoch, latest: OffsetAndEpoch, log_start: Offset) {
        assert!(log_start <= self.end, "a log begins before it ends");
        self.snapshots = Some((earliest, latest));
        self.start = self.start.max(log_start);
        let covering = self.epochs.partition_point(|entry| entry.start <= self.start).saturating_sub(1);
        self.epochs.drain(..covering);
        if let Some(first) = self.epochs.first_mut() {
            first.start = first.start.max(self.start);
        }
        if self.start == self.end {
            self.epochs.clear();
        }
        forget(&mut self.voters, self.start);
        forget(&mut self.versions, self.start);
        self.check();
    }

    /// A snapshot of the leader has replaced the whole log.
    pub(crate) fn start_over(&mut self, snapshot: OffsetAndEpoch, changes: Vec<Change>) {
        self.start = snapshot.offset;
        self.end = snapshot.offset;
        self.flushed = snapshot.offset;
        self.epochs.clear();
        self.snapshots = Some((snapshot, snapshot));
        // What stood in the replaced log does not count any longer, unless it stands in the snapshot too.
        self.voters = vec![(BEFORE_LOG, self.static_voters.clone())];
        self.versions = vec![(BEFORE_LOG, KRaftVersion::STATIC)];
        for change in changes {
            self.change(snapshot.offset.plus(-1), change);
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.start <= self.end, "a log begins before it ends");
        assert!(self.flushed <= self.end, "only what is in the log is durable");
        assert!(self.epochs.last().is_none_or(|last| last.start < self.end), "every epoch has a record");
        let ascending = |pair: &[EpochStart]| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start;
        assert!(self.epochs.windows(2).all(ascending), "epochs ascend");
    }
}

static EMPTY: Voters = Voters::none();

/// Appends an entry; one at the same or a later offset is replaced.
fn push<T>(history: &mut Vec<(Offset, T)>, offset: Offset, value: T) {
    history.retain(|(at, _)| *at < offset);
    history.push((offset, value));
}

/// Drops what only told apart positions before `start`.
fn forget<T>(history: &mut Vec<(Offset, T)>, start: Offset) {
    let current = history.partition_point(|(at, _)| *at < start).saturating_sub(1);
    history.drain(..current);
}
