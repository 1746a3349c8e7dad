//! A log does what a list of batches does, whatever happens to it in whatever order, crashes included.

use std::path::PathBuf;

use proptest::prelude::*;
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch, batches};
use thalweg_storage::{AppendOutcome, FirstBatch, Flush, Log, LogConfig, OpenHints, Origin, names};
use thalweg_sys::fs;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// What happens to a log.
#[derive(Clone, Debug)]
enum Step {
    /// A leader appends batches with so many records each.
    Append(Vec<u8>),
    /// A follower appends a batch so many offsets beyond the end.
    Follow { gap: u8, records: u8 },
    /// A new leader epoch begins.
    NewEpoch,
    /// The log loses its newest so many offsets.
    TruncateBack(u8),
    /// The log begins anew so many offsets beyond its end.
    Restart(u8),
    /// The oldest so many offsets are deleted, and segments with them.
    DeleteFront(u8),
    /// Segments beyond the size are deleted.
    Retain,
    /// Everything is flushed and entered into the checkpoints.
    Flush,
    /// Finished segments are flushed and entered into the checkpoints.
    FlushFinished,
    /// The process is killed.
    Kill,
    /// The process is killed, and the last segment loses so many bytes that were not flushed.
    Tear(u16),
    /// The log is closed and opened.
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(1..6u8, 1..4).prop_map(Step::Append),
        4 => (0..20u8, 1..5u8).prop_map(|(gap, records)| Step::Follow { gap, records }),
        2 => Just(Step::NewEpoch),
        2 => any::<u8>().prop_map(Step::TruncateBack),
        1 => any::<u8>().prop_map(Step::Restart),
        2 => (0..60u8).prop_map(Step::DeleteFront),
        1 => Just(Step::Retain),
        2 => Just(Step::Flush),
        2 => Just(Step::FlushFinished),
        3 => Just(Step::Kill),
        2 => (0..400u16).prop_map(Step::Tear),
        1 => Just(Step::Close),
    ]
}

/// A batch as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    first: i64,
    last: i64,
    epoch: i32,
    sequence: i32,
}

struct Model {
    _root: tempfile::TempDir,
    dir: PathBuf,
    log: Option<Log>,
    batches: Vec<Known>,
    start: i64,
    end: i64,
    epoch: i32,
    /// The last batch's last sequence number.
    sequence: i32,
    recovery_point: Offset,
    log_start: Offset,
}

impl Model {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("model-0");
        let mut model = Self {
            _root: root,
            dir,
            log: None,
            batches: Vec::new(),
            start: 0,
            end: 0,
            epoch: 0,
            sequence: -1,
            recovery_point: Offset::ZERO,
            log_start: Offset::ZERO,
        };
        model.reopen(false);
        model
    }

    fn config() -> LogConfig {
        LogConfig {
            segment_bytes: 900,
            index_interval_bytes: 200,
            segment_index_bytes: 96,
            retention_bytes: 3000,
            retention_ms: -1,
            ..LogConfig::default()
        }
    }

    fn reopen(&mut self, clean_shutdown: bool) {
        self.log = None;
        let hints = OpenHints { recovery_point: self.recovery_point, log_start_offset: self.log_start, clean_shutdown };
        self.log = Some(Log::open(&self.dir, None, Self::config(), &hints, NOW).unwrap().0);
        // As `Log::open` demands of its callers.
        self.recovery_point = self.recovery_point.min(self.log().recovery_point());
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn batch(&mut self, records: u8) -> PreparedBatch {
        let mut builder = BatchBuilder::new(BatchOptions {
            producer_id: ProducerId(5),
            producer_epoch: ProducerEpoch(0),
            base_sequence: self.sequence + 1,
            ..BatchOptions::default()
        });
        for i in 0..records {
            builder.append(Timestamp(NOW.0 + self.end), Some(&[i]), Some(&[b'v'; 17]), &[]);
        }
        self.sequence += i32::from(records);
        PreparedBatch::parse(&builder.build().unwrap()).unwrap()
    }

    fn appended(&mut self, batch: &PreparedBatch) {
        let header = batch.header();
        self.batches.push(Known {
            first: header.base_offset.0,
            last: header.last_offset().0,
            epoch: header.leader_epoch.0,
            sequence: header.last_sequence(),
        });
        self.end = header.next_offset().0;
    }

    /// The log now ends at `end`, or where the batch begins that holds it.
    fn cut(&mut self, end: i64) {
        self.batches.retain(|b| b.last < end);
        self.end = end;
        self.start = self.start.min(end);
        self.sequence = self.batches.last().map_or(-1, |b| b.sequence);
    }

    fn checkpoint(&mut self) {
        self.recovery_point = self.log().recovery_point();
        self.log_start = self.log().log_start();
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append(records) => {
                let mut prepared: Vec<_> = records.iter().map(|n| self.batch(*n)).collect();
                let epoch = LeaderEpoch(self.epoch);
                let outcome = self.log().append(&mut prepared, epoch, Origin::Client, NOW).unwrap();
                assert!(matches!(outcome, AppendOutcome::Appended(_)), "{outcome:?}");
                prepared.iter().for_each(|batch| self.appended(batch));
            }
            Step::Follow { gap, records } => {
                let mut prepared = self.batch(*records);
                prepared.assign(Offset(self.end + i64::from(*gap)), LeaderEpoch(self.epoch));
                let epoch = LeaderEpoch(self.epoch);
                self.log().append_as_follower(prepared.to_bytes(), epoch, NOW).unwrap().unwrap();
                self.appended(&prepared);
            }
            Step::NewEpoch => self.epoch += 1,
            Step::TruncateBack(by) => {
                // A follower truncates where a batch begins.
                let target = self.end - i64::from(*by);
                let target = self.batches.iter().map(|b| b.first).rfind(|first| *first <= target);
                if let Some(target) = target.filter(|t| *t >= self.start) {
                    self.log().truncate_to(Offset(target), NOW).unwrap();
                    self.cut(target);
                    self.checkpoint();
                }
            }
            Step::Restart(by) => {
                let target = self.end + i64::from(*by);
                self.log().truncate_fully_and_start_at(Offset(target), NOW).unwrap();
                (self.start, self.end, self.sequence) = (target, target, -1);
                self.batches.clear();
                self.checkpoint();
            }
            Step::DeleteFront(by) => {
                let (target, end) = ((self.start + i64::from(*by)).min(self.end), Offset(self.end));
                self.log().advance_log_start(Offset(target)).unwrap();
                self.log().delete_old_segments(end, NOW).unwrap();
                self.start_moved();
            }
            Step::Retain => {
                let end = Offset(self.end);
                self.log().delete_old_segments(end, NOW).unwrap();
                self.log().take_doomed().sync_and_remove().unwrap();
                self.start_moved();
            }
            Step::Flush => self.flush(Flush::All),
            Step::FlushFinished => self.flush(Flush::Finished),
            Step::Kill => {
                self.reopen(false);
                self.after_reopening();
            }
            Step::Tear(by) => self.tear(u64::from(*by)),
            Step::Close => {
                self.log_start = self.log().log_start();
                self.recovery_point = self.log.take().unwrap().close().unwrap();
                assert_eq!(self.recovery_point, Offset(self.end));
                self.reopen(true);
                self.after_reopening();
                assert_eq!(self.log().recovery_point(), Offset(self.end));
            }
        }
    }

    fn start_moved(&mut self) {
        let start = self.log().log_start().0;
        assert!(start >= self.start);
        self.start = start;
    }

    fn flush(&mut self, flush: Flush) {
        if let Some(plan) = self.log().flush_plan(flush).unwrap() {
            plan.execute().unwrap();
            self.log().flushed(&plan, NOW);
        }
        self.checkpoint();
    }

    /// Cuts unflushed bytes off the last segment, and opens the log after that.
    fn tear(&mut self, by: u64) {
        let base = self.log().segment_bases().last().copied().unwrap();
        self.log = None;
        let path = names::file_at(&self.dir, base, names::LOG);
        let bytes = fs::read(&path).unwrap();
        let (mut at, mut ends) = (0, Vec::new());
        for view in batches(bytes.clone().into()).map(Result::unwrap) {
            at += view.len();
            ends.push((at, view.next_offset()));
        }
        let flushed = ends.iter().rfind(|(_, next)| *next <= self.recovery_point).map_or(0, |(end, _)| *end);
        let keep = bytes.len().saturating_sub(usize::try_from(by).unwrap()).max(flushed);
        fs::write(&path, &bytes[..keep]).unwrap();
        let end = ends.iter().rfind(|(end, _)| *end <= keep).map_or(base, |(_, next)| *next);
        if keep < bytes.len() {
            self.cut(end.0);
        }
        self.reopen(false);
        self.after_reopening();
    }

    /// The start goes back to the checkpoint's, where segments still hold it. No file knows of a gap at the end.
    fn after_reopening(&mut self) {
        let (start, end) = (self.log().log_start().0, self.log().log_end().0);
        assert!(self.log_start.0 <= start);
        let lost_all = end == self.log_start.0 && self.batches.iter().all(|b| b.last < end);
        assert!(start <= self.start || lost_all, "start was {} and is {start}", self.start);
        assert!(end <= self.end || lost_all, "end was {} and is {end}", self.end);
        let last = self.batches.last().map_or(0, |b| b.last + 1);
        assert!(end >= last, "batches up to {last} are lost at {end}");
        (self.start, self.end) = (start, end);
    }

    /// Compares all that can be seen.
    fn check(&mut self) {
        let (start, end, sequence) = (self.start, self.end, self.sequence);
        let expected: Vec<Known> = self.batches.iter().filter(|b| b.last >= start).copied().collect();
        let log = self.log();
        assert_eq!((log.log_start().0, log.log_end().0), (start, end));
        let (mut found, mut from) = (Vec::new(), Offset(start));
        while from < Offset(end) {
            let plan = log.read(from, Offset(end), 300, FirstBatch::Whole).unwrap();
            if plan.is_empty() {
                break;
            }
            let bytes = plan.read().unwrap();
            log.has_read(&plan, &bytes);
            for view in batches(bytes).map_while(Result::ok) {
                view.verify_crc().unwrap();
                let h = view.header();
                let (first, last) = (h.base_offset.0, h.last_offset().0);
                found.push(Known { first, last, epoch: h.leader_epoch.0, sequence: h.last_sequence() });
                from = view.next_offset();
            }
        }
        assert_eq!(found, expected);
        for batch in expected.iter().filter(|b| b.first >= start) {
            assert_eq!(log.epoch_for(Offset(batch.first)), Some(LeaderEpoch(batch.epoch)), "{batch:?}");
            let plan = log.read(Offset(batch.last), Offset(end), 1, FirstBatch::Whole).unwrap();
            let view = batches(plan.read().unwrap()).next().unwrap().unwrap();
            assert_eq!(view.base_offset(), Offset(batch.first));
        }
        let known = log.producer(ProducerId(5)).map(|p| p.last_sequence());
        assert!(known == Some(sequence) || (known.is_none() && expected.is_empty()), "{known:?} {sequence}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 4000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_log_does_what_a_list_of_batches_does(steps in prop::collection::vec(step(), 1..50)) {
        let mut model = Model::new();
        for step in &steps {
            model.apply(step);
            model.check();
        }
    }
}

/// The log ends in a gap when it is killed, so that it ends before its recovery point when it is opened again.
#[test]
fn a_log_that_ends_before_its_recovery_point_is_recovered_from_its_end() {
    let mut model = Model::new();
    for step in [
        Step::Append(vec![4, 3, 5, 2, 3]),
        Step::Append(vec![5]),
        Step::Follow { gap: 9, records: 1 },
        Step::Flush,
        Step::NewEpoch,
        Step::Follow { gap: 13, records: 3 },
        Step::TruncateBack(4),
        Step::Kill,
        Step::Append(vec![1, 2, 5]),
        Step::Append(vec![2, 3, 1]),
        Step::Kill,
    ] {
        model.apply(&step);
        model.check();
    }
}
