//! Loading a log from its directory, and repairing it after a crash.
//!
//! After a clean shutdown the files are taken as they stand. Otherwise the segment with the recovery point and those
//! after it are read: what is no whole, valid batch ends the log there, and indexes, producers and leader epochs are
//! built anew from the batches.

mod unfinished;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use thalweg_base::{Offset, Timestamp};
use thalweg_sys::fs;

use crate::leader_epochs::LeaderEpochs;
use crate::producer_entry::Origin;
use crate::producer_state::{Changes, ProducerState};
use crate::scan::{Found, Scan, Step, is_plausible};
use crate::segment::{Segment, SegmentFiles, remove_if_exists};
use crate::{Fault, LogConfig, OpenFiles, names};

/// What the owner of a log knows about it from the checkpoints of the log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHints {
    /// Up to here the log was flushed; the segment with this offset and later ones are recovered.
    pub recovery_point: Offset,
    /// Records below are deleted, even where segments still hold them.
    pub log_start_offset: Offset,
    /// The log was closed: nothing needs to be recovered.
    pub clean_shutdown: bool,
}

impl OpenHints {
    /// For a log of which no checkpoint knows: everything is recovered.
    pub const UNKNOWN: Self =
        Self { recovery_point: Offset::ZERO, log_start_offset: Offset::ZERO, clean_shutdown: false };
}

/// What opening a log found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many segments were read and their indexes built anew.
    pub segments: u64,
    /// How many bytes were cut off because they were no whole, valid batches.
    pub truncated_bytes: u64,
    /// How many segments were removed because they followed such bytes.
    pub removed_segments: u64,
}

/// What a directory holds.
pub(crate) struct Loaded {
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) recovery_point: Offset,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) epochs_dirty: bool,
    pub(crate) producers: ProducerState,
}

/// Loads the log in `dir`; an empty directory becomes an empty log.
pub(crate) fn load(
    dir: &Path,
    config: &LogConfig,
    hints: &OpenHints,
    now: Timestamp,
) -> Result<(Loaded, Recovered), Fault> {
    let look = || fs::read_dir(dir).map_err(Fault::io("list", dir));
    let mut entries = look()?;
    if unfinished::settle(dir, &entries)? {
        entries = look()?;
    }
    let (segments, snapshots, mut damaged) = list(dir, entries, now, &config.open_files)?;
    let had_snapshots = !snapshots.is_empty();
    let flushed = match hints.clean_shutdown {
        true => segments.len(),
        false => segments.partition_point(|s| s.base() <= hints.recovery_point).saturating_sub(1),
    };
    // The last of them may have been the active one when it was flushed: its indexes were not.
    if let Some(last) = flushed.checked_sub(1).filter(|_| !hints.clean_shutdown)
        && !damaged.contains(&last)
        && !segments[last].has_sane_indexes()?
    {
        damaged.push(last);
    }
    let mut loader = Loader {
        dir,
        config,
        hints,
        now,
        segments,
        flushed,
        had_snapshots,
        producers: ProducerState::new(snapshots),
        epochs: LeaderEpochs::default(),
        epochs_dirty: false,
        log_end: Offset::ZERO,
        report: Recovered::default(),
    };
    loader.read_epochs()?;
    for at in damaged.into_iter().filter(|at| *at < flushed) {
        loader.rebuild_indexes(at)?;
    }
    loader.find_end()?;
    loader.finish()
}

struct Loader<'a> {
    dir: &'a Path,
    config: &'a LogConfig,
    hints: &'a OpenHints,
    now: Timestamp,
    segments: Vec<Segment>,
    /// So many segments at the beginning need no recovery.
    flushed: usize,
    had_snapshots: bool,
    producers: ProducerState,
    epochs: LeaderEpochs,
    epochs_dirty: bool,
    log_end: Offset,
    report: Recovered,
}

impl Loader<'_> {
    /// Reads the leader epochs; without a usable file, they are gathered from the batches.
    fn read_epochs(&mut self) -> Result<(), Fault> {
        let path = self.dir.join(names::LEADER_EPOCHS);
        let needed = self.segments.iter().any(|s| s.size() > 0);
        match LeaderEpochs::read(&path) {
            Ok(Some(epochs)) => {
                self.epochs = epochs;
                return Ok(());
            }
            Ok(None) if !needed => return Ok(()),
            Ok(None) => {}
            Err(Fault::Corrupt { file, reason }) => {
                tracing::warn!(file = %file.display(), reason, "leader epochs are read from the log instead");
            }
            Err(fault) => return Err(fault),
        }
        // Those that are recovered enter their epochs then.
        for segment in &self.segments[..self.flushed] {
            let mut scan = segment.scan(0)?;
            while let Some(found) = scan.next()? {
                note_epoch(&mut self.epochs, &found);
            }
        }
        self.epochs_dirty = true;
        Ok(())
    }

    /// Builds the indexes of a segment anew whose index files are missing or impossible. Its batches were flushed and stay
    /// as they are.
    fn rebuild_indexes(&mut self, at: usize) -> Result<(), Fault> {
        let base = self.segments[at].base();
        tracing::warn!(segment = %self.segments[at].path().display(), "index files are missing or corrupt, building them");
        let before = self.producers.before(base);
        let all = std::mem::replace(&mut self.producers, before);
        self.reload_producers(base, at)?;
        self.segments[at].begin_rebuilding_indexes(self.dir)?;
        let (_, valid) = self.read_segment(at, base)?;
        self.producers = all;
        if valid < self.segments[at].size() {
            tracing::error!(segment = %self.segments[at].path().display(), valid, "segment has invalid bytes after its batches");
            self.segments[at].limit(valid);
        }
        self.segments[at].put_rebuilt_indexes(self.dir)
    }

    /// Finds where the log ends; recovers what may not have reached the disk.
    fn find_end(&mut self) -> Result<(), Fault> {
        if self.dir.to_str().is_some_and(|d| d.ends_with("-delete")) {
            return Ok(());
        }
        let Some(last) = self.segments.last() else { return Ok(()) };
        if self.hints.clean_shutdown {
            let (end, position) = last.end()?;
            let sane = last.has_sane_indexes()?;
            if position == last.size() && sane {
                self.log_end = end.max(last.base());
                return Ok(());
            }
            tracing::warn!(segment = %last.path().display(), "segment is not what a clean shutdown leaves, recovering it");
            return self.recover_from(self.segments.len() - 1);
        }
        self.recover_from(self.flushed)
    }

    /// Recovers the segments from `first` on: the log ends before the first bytes that are no valid batch.
    fn recover_from(&mut self, first: usize) -> Result<(), Fault> {
        let mut next = self.segments[first].base();
        self.reload_producers(next, first)?;
        // Epochs from here on are what the batches say: those of the file may be from before a truncation.
        self.epochs_dirty |= self.epochs.truncate_from_end(next);
        for at in first..self.segments.len() {
            next = next.max(self.segments[at].base());
            self.producers.set_map_end(next);
            self.producers.take_snapshot(self.dir)?;
            self.segments[at].forget_indexes()?;
            let (end, valid) = self.read_segment(at, next)?;
            next = end;
            self.report.segments += 1;
            // Nobody reads it again after a power failure if the next segment begins at the recovery point.
            if self.segments[at].base() < self.hints.recovery_point {
                self.segments[at].sync_txns(self.dir)?;
            }
            let invalid = self.segments[at].size() - valid;
            if invalid > 0 {
                let path = self.segments[at].path().display();
                tracing::warn!(segment = %path, at = valid, invalid, "log is cut before invalid bytes");
                self.segments[at].cut(valid)?;
                self.report.truncated_bytes += invalid;
                self.remove_after(at)?;
                break;
            }
            if at + 1 < self.segments.len() {
                self.segments[at].finish()?;
            }
        }
        self.log_end = next;
        Ok(())
    }

    /// Reads the valid batches of a segment, of which `next` is the lowest possible offset. Enters them into indexes,
    /// epochs and producers. Returns the offset after the last one, and the position where it ends.
    fn read_segment(&mut self, at: usize, mut next: Offset) -> Result<(Offset, u64), Fault> {
        let following = self.segments.get(at + 1).map_or(Offset::MAX, Segment::base);
        let segment = &mut self.segments[at];
        let path = segment.path().to_owned();
        let mut scan = Scan::bodies(segment.log()?, 0, segment.size());
        let mut changes = Changes::default();
        loop {
            let found = match scan.step()? {
                Step::Batch(found) => found,
                Step::End => return Ok((next, scan.position())),
                Step::Bad(error) => {
                    tracing::warn!(segment = %path.display(), at = scan.position(), %error, "invalid batch");
                    return Ok((next, scan.position()));
                }
            };
            let header = &found.header;
            let last = header.last_offset();
            let valid = if !is_plausible(header, next) || last >= following || !segment.reaches(last) {
                Err(thalweg_records::BatchError::Record("its offsets are impossible here"))
            } else {
                scan.verify(&found)?
            };
            if let Err(error) = valid {
                tracing::warn!(segment = %path.display(), at = found.position, %error, "invalid batch");
                return Ok((next, found.position));
            }
            next = header.next_offset();
            segment.enter(header, found.position, self.config.index_interval_bytes)?;
            self.epochs_dirty |= note_epoch(&mut self.epochs, &found);
            let Segment { txns, .. } = segment;
            enter_producer(&mut self.producers, &mut scan, &found, &mut changes, |txn| txns.append(&txn))?;
            self.producers.set_map_end(next);
        }
    }

    /// Removes the segments after `at`, the newest first.
    fn remove_after(&mut self, at: usize) -> Result<(), Fault> {
        while self.segments.len() > at + 1 {
            let Some(segment) = self.segments.pop() else { break };
            self.remove(&segment)?;
            self.report.removed_segments += 1;
        }
        // What comes next takes their offsets: they must not come back.
        fs::sync_dir(self.dir).map_err(Fault::io("sync", self.dir))
    }

    fn remove(&mut self, segment: &Segment) -> Result<(), Fault> {
        self.producers.remove_snapshot(self.dir, segment.base())?;
        segment.paths().into_iter().try_for_each(remove_if_exists)
    }

    /// Loads the producers as they were at `offset`, where the segment `before` begins.
    fn reload_producers(&mut self, offset: Offset, before: usize) -> Result<(), Fault> {
        let (start, expiration_ms) = (self.hints.log_start_offset, self.config.producer_id_expiration_ms);
        self.producers.reload(self.dir, start.min(offset), offset, self.now, expiration_ms)?;
        replay_producers(&mut self.producers, &self.segments[..before], start, offset)
    }

    /// The log's ends are known: brings everything in line with them.
    fn finish(mut self) -> Result<(Loaded, Recovered), Fault> {
        let start = self.hints.log_start_offset;
        if !self.segments.is_empty() && self.log_end < start && self.report_shorter_log(start) {
            while let Some(segment) = self.segments.pop() {
                self.remove(&segment)?;
            }
            self.epochs.clear();
            self.epochs_dirty = true;
            self.producers.restart(self.dir, start)?;
        }
        if self.segments.is_empty() {
            self.segments.push(Segment::create(self.dir, start, self.now, &self.config.open_files)?);
            self.log_end = start;
        }
        let log_start = start.max(self.segments[0].base());
        self.epochs_dirty |= self.epochs.truncate_from_end(self.log_end);
        self.epochs_dirty |= self.epochs.truncate_from_start(log_start);
        let bases: Vec<Offset> = self.segments.iter().map(Segment::base).collect();
        self.producers.remove_stray_snapshots(self.dir, &bases)?;
        if self.report.segments == 0 {
            self.load_producers(log_start)?;
        }
        self.producers.set_map_end(self.log_end);
        self.producers.take_snapshot(self.dir)?;
        self.segments.iter().for_each(Segment::rest);
        let clean = self.hints.clean_shutdown && self.report.segments == 0;
        let loaded = Loaded {
            log_start,
            log_end: self.log_end,
            recovery_point: if clean { self.log_end } else { self.hints.recovery_point.min(self.log_end) },
            segments: self.segments,
            epochs: self.epochs,
            epochs_dirty: self.epochs_dirty,
            producers: self.producers,
        };
        Ok((loaded, self.report))
    }

    fn report_shorter_log(&self, start: Offset) -> bool {
        tracing::warn!(dir = %self.dir.display(), end = %self.log_end, %start, "log ends before its start, beginning anew");
        true
    }

    /// The producers of a log that needed no recovery. A log without any snapshot that was closed cleanly is one of a
    /// version without producers.
    fn load_producers(&mut self, log_start: Offset) -> Result<(), Fault> {
        if self.hints.clean_shutdown && !self.had_snapshots {
            self.producers.set_map_end(self.log_end);
            return Ok(());
        }
        let expiration_ms = self.config.producer_id_expiration_ms;
        self.producers.reload(self.dir, log_start, self.log_end, self.now, expiration_ms)?;
        replay_producers(&mut self.producers, &self.segments, log_start, self.log_end)
    }
}

/// Enters the batches between what `producers` know and `end` into them.
pub(crate) fn replay_producers(
    producers: &mut ProducerState,
    segments: &[Segment],
    log_start: Offset,
    end: Offset,
) -> Result<(), Fault> {
    let from = producers.map_end().max(log_start);
    let mut changes = Changes::default();
    let first = segments.partition_point(|s| s.base() <= from).saturating_sub(1);
    for segment in segments.iter().skip(first).filter(|s| s.base() < end && s.size() > 0) {
        let mut scan = segment.scan(0)?;
        if segment.base() < from {
            segment.go_near(from, &mut scan)?;
        }
        while let Some(found) = scan.next()? {
            if found.header.base_offset >= end {
                break;
            }
            if found.header.last_offset() >= from {
                enter_producer(producers, &mut scan, &found, &mut changes, |_| Ok(()))?;
            }
        }
    }
    producers.set_map_end(end.max(from));
    Ok(())
}

/// Enters one batch of the log into the producers. One that cannot be read as what it claims to be is passed over: it was
/// accepted once, and only what depends on it is lost.
fn enter_producer(
    producers: &mut ProducerState,
    scan: &mut Scan,
    found: &Found,
    changes: &mut Changes,
    aborted: impl FnMut(crate::AbortedTxn) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let header = &found.header;
    if !header.has_producer_id() {
        return Ok(());
    }
    changes.clear();
    let prepared = match scan.marker(found)? {
        Ok(marker) => producers.prepare(header, marker, Origin::Replication, changes).map_err(|r| r.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match prepared {
        Ok(()) => producers.apply(changes, header.next_offset(), aborted),
        Err(error) => {
            tracing::warn!(at = found.position, error, "batch of a producer is passed over");
            Ok(())
        }
    }
}

fn note_epoch(epochs: &mut LeaderEpochs, found: &Found) -> bool {
    let (epoch, start) = (found.header.leader_epoch, found.header.base_offset);
    epochs.latest().is_none_or(|latest| epoch > latest.epoch) && epochs.assign(epoch, start)
}

type Listed = (Vec<Segment>, BTreeSet<Offset>, Vec<usize>);

/// The segments and producer snapshots in a directory, and which of the segments have no usable index files. Index files
/// without a log file are removed.
fn list(dir: &Path, entries: Vec<fs::DirEntry>, now: Timestamp, open_files: &OpenFiles) -> Result<Listed, Fault> {
    let mut found: BTreeMap<Offset, SegmentFiles> = BTreeMap::new();
    let mut snapshots = BTreeSet::new();
    for entry in entries {
        let Some((offset, kind)) = names::offset_of(&entry.name).filter(|_| !entry.is_dir) else { continue };
        let files = found.entry(offset).or_default();
        match kind {
            names::LOG => files.log = Some(entry.len),
            names::OFFSET_INDEX => files.offset_index = Some(entry.len),
            names::TIME_INDEX => files.time_index = Some(entry.len),
            names::TXN_INDEX => files.txn_index = Some(entry.len),
            names::PRODUCER_SNAPSHOT => {
                snapshots.insert(offset);
            }
            _ => {}
        }
    }
    let (mut segments, mut damaged) = (Vec::new(), Vec::new());
    for (base, files) in found {
        let segment = Segment::existing(dir, base, files, now, open_files);
        if files.log.is_none() {
            if files != SegmentFiles::default() {
                tracing::warn!(dir = %dir.display(), %base, "index files without a log file are removed");
                segment.paths().into_iter().try_for_each(remove_if_exists)?;
            }
            continue;
        }
        let lengths_fit = files.offset_index.is_some_and(|len| len % 8 == 0)
            && files.time_index.is_some_and(|len| len % 12 == 0)
            && segment.txns.is_sane(base)?;
        if !lengths_fit {
            damaged.push(segments.len());
        }
        segments.push(segment);
    }
    Ok((segments, snapshots, damaged))
}
