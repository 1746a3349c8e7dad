//! What the stories have in common: a compacted log, keyed batches, a whole cleaning, reading everything back.

use std::path::PathBuf;

use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_records::{BatchBuilder, BatchOptions, BatchView, PreparedBatch, batches};
use thalweg_sys::fs;

use crate::cleaner::{Cleaned, CleanerLimits, Cleaning, Progress};
use crate::{AppendOutcome, CleanedGroup, Fault, FirstBatch, Log, LogConfig, OpenHints, Origin};

/// The time at which all stories begin.
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);
pub(super) const DAY: i64 = 86_400_000;
pub(super) const LIMITS: CleanerLimits = CleanerLimits { dedupe_buffer_bytes: 1 << 20, load_factor: 0.9 };

/// Small segments with a dense index, only compacted.
pub(super) fn compacted() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 150, compact: true, delete: false, ..LogConfig::default() }
}

/// A batch of records with these keys and values.
pub(super) fn keyed(options: BatchOptions, time: Timestamp, records: &[(&str, Option<&str>)]) -> PreparedBatch {
    let mut builder = BatchBuilder::new(options);
    for (key, value) in records {
        builder.append(time, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    }
    PreparedBatch::parse(&builder.build().unwrap()).unwrap()
}

pub(super) fn producer(id: i64, epoch: i16, base_sequence: i32, transactional: bool) -> BatchOptions {
    BatchOptions {
        producer_id: ProducerId(id),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence,
        transactional,
        ..BatchOptions::default()
    }
}

/// A log in a directory that goes away with the test.
pub(super) struct Rig {
    _root: tempfile::TempDir,
    dir: PathBuf,
    pub(super) log: Log,
    filled: u32,
}

impl Rig {
    pub(super) fn new(config: LogConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("t-0");
        let (log, _) = Log::open(&dir, Some(Uuid([7; 16])), config, &OpenHints::UNKNOWN, NOW).unwrap();
        Self { _root: root, dir, log, filled: 0 }
    }

    pub(super) fn append(&mut self, batch: PreparedBatch) -> Offset {
        self.append_by(batch, Origin::Client)
    }

    pub(super) fn append_by(&mut self, batch: PreparedBatch, origin: Origin) -> Offset {
        match self.log.append(&mut [batch], LeaderEpoch(0), origin, NOW).unwrap() {
            AppendOutcome::Appended(appended) => appended.first_offset,
            AppendOutcome::Duplicate(duplicate) => panic!("{duplicate:?}"),
        }
    }

    pub(super) fn put(&mut self, key: &str, value: &str) {
        self.append(keyed(BatchOptions::default(), NOW, &[(key, Some(value))]));
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.append(keyed(BatchOptions::default(), NOW, &[(key, None)]));
    }

    /// Puts what was written so far into finished segments, with a record of another key after it.
    pub(super) fn fill(&mut self) {
        self.filled += 1;
        let end = self.log.log_end();
        self.log.roll(end, NOW).unwrap();
        self.put(&format!("fill{}", self.filled), "in the active segment");
    }

    pub(super) fn clean(&mut self, from: Option<Offset>, now: Timestamp) -> Cleaned {
        self.clean_with(from, now, LIMITS).unwrap()
    }

    pub(super) fn clean_with(
        &mut self,
        from: Option<Offset>,
        now: Timestamp,
        limits: CleanerLimits,
    ) -> Result<Cleaned, Fault> {
        let high_watermark = self.log.log_end();
        self.log.replicated(high_watermark);
        let dirt = self.log.dirt(from, high_watermark, now)?;
        let plan = self.log.clean_plan(dirt, high_watermark)?.expect("something is dirty");
        self.finish(&mut Cleaning::begin(plan, limits, now))
    }

    pub(super) fn finish(&mut self, cleaning: &mut Cleaning) -> Result<Cleaned, Fault> {
        loop {
            match cleaning.step()? {
                Progress::Worked { .. } => {}
                Progress::Swap(group) => {
                    let swap = self.log.begin_swap(group)?.unwrap();
                    swap.sync()?;
                    let replaced = self.log.replace_segments(swap)?.unwrap();
                    replaced.sync()?;
                    self.log.end_swap(replaced)?.sync_and_remove()?;
                }
                Progress::Done(cleaned) => return Ok(cleaned),
            }
        }
    }

    /// Cleans until the first group is ready to be swapped.
    pub(super) fn first_group(&mut self) -> CleanedGroup {
        let high_watermark = self.log.log_end();
        let dirt = self.log.dirt(None, high_watermark, NOW).unwrap();
        let plan = self.log.clean_plan(dirt, high_watermark).unwrap().unwrap();
        let mut cleaning = Cleaning::begin(plan, LIMITS, NOW);
        loop {
            if let Progress::Swap(group) = cleaning.step().unwrap() {
                return group;
            }
        }
    }

    /// Opens the log again without closing it.
    pub(super) fn reopen(&mut self, hints: OpenHints) {
        let config = self.log.config().clone();
        self.log = Log::open(&self.dir, None, config, &hints, NOW).unwrap().0;
    }

    pub(super) fn reopens_the_same(&mut self) {
        let before = self.records();
        let hints = OpenHints { recovery_point: self.log.log_end(), ..OpenHints::UNKNOWN };
        self.reopen(hints);
        assert_eq!(self.records(), before);
        self.reopen(OpenHints::UNKNOWN);
        assert_eq!(self.records(), before, "after everything was recovered");
        self.reads_from_every_offset();
    }

    pub(super) fn batches(&self) -> Vec<BatchView> {
        let (mut found, mut from) = (Vec::new(), self.log.log_start());
        while from < self.log.log_end() {
            let plan = self.log.read(from, self.log.log_end(), 700, FirstBatch::Whole).unwrap();
            let bytes = plan.read().unwrap();
            self.log.has_read(&plan, &bytes);
            let before = from;
            for view in batches(bytes).take_while(|b| !matches!(b, Err(e) if e.is_truncated())) {
                let view = view.unwrap();
                view.verify_crc().unwrap();
                assert!(view.next_offset() > from, "offsets grow");
                from = view.next_offset();
                found.push(view);
            }
            if from == before {
                break;
            }
        }
        found
    }

    /// All records, as `offset=key:value`; control records as `offset!producer`, aborted ones with a `~`.
    pub(super) fn records(&self) -> Vec<String> {
        let mut found = Vec::new();
        for view in self.batches() {
            let header = *view.header();
            for record in view.records(1 << 20).unwrap().map(Result::unwrap) {
                let offset = header.offset_of(record.offset_delta);
                let text = |bytes: Option<bytes::Bytes>| {
                    bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(&b).into_owned())
                };
                found.push(match header.attributes.is_control() {
                    true => format!("{offset}!{}", header.producer_id),
                    false => format!("{offset}={}:{}", text(record.key), text(record.value)),
                });
            }
        }
        found
    }

    /// A reader may begin at every offset, those that are gone included, and comes to the next batch.
    pub(super) fn reads_from_every_offset(&self) {
        let all = self.batches();
        let end = self.log.log_end();
        assert!(end.0 < 10_000 || all.len() < 100, "too much for this");
        let offsets: Vec<Offset> = match end.0 < 10_000 {
            true => (self.log.log_start().0..end.0).map(Offset).collect(),
            false => all.iter().flat_map(|b| [b.base_offset(), b.next_offset()]).filter(|o| *o < end).collect(),
        };
        for from in offsets {
            let expected = all.iter().find(|b| b.last_offset() >= from).map(BatchView::base_offset);
            let plan = self.log.read(from, end, 1, FirstBatch::Whole).unwrap();
            let found = batches(plan.read().unwrap()).next().map(|b| b.unwrap().base_offset());
            assert_eq!(found, expected, "from {from}");
        }
    }

    pub(super) fn sizes(&self) -> Vec<u64> {
        self.log.segments().iter().map(crate::segment::Segment::size).collect()
    }

    pub(super) fn files_with(&self, suffix: &str) -> usize {
        fs::read_dir(&self.dir).unwrap().iter().filter(|e| e.name.ends_with(suffix)).count()
    }

    pub(super) fn snapshots(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.dir).unwrap();
        entries.iter().filter(|e| e.name.ends_with(".snapshot")).map(|e| self.dir.join(&e.name)).collect()
    }
}
