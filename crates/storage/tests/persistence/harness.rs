//! A log on the simulated disk, what is known of it, and a reader of committed records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch, batches};
use thalweg_storage::checkpoints::{Shutdown, take_clean_shutdown};
use thalweg_storage::{CleanerLimits, Cleaning, FirstBatch, Log, LogConfig, OpenHints, Origin, Progress};
use thalweg_sys::{disk, fs, random};

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// The log directory, and the log in it.
pub const LOG_DIR: &str = "/data";
const DIR: &str = "/data/t-0";
const COORDINATOR: Origin = Origin::Coordinator { transaction_version: 0 };

/// Small segments with a dense index.
pub fn small() -> LogConfig {
    LogConfig { segment_bytes: 700, index_interval_bytes: 100, ..LogConfig::default() }
}

pub fn compacted() -> LogConfig {
    LogConfig { compact: true, delete: false, ..small() }
}

pub fn deleting() -> LogConfig {
    LogConfig { retention_ms: -1, ..small() }
}

/// A new log on a new disk.
pub fn start(config: LogConfig) -> Log {
    disk::replace();
    fs::create_dir_all_durably(Path::new(DIR)).expect("a directory");
    open_at(Offset::ZERO, config, "at first")
}

/// Opens the log as after a crash, with this recovery point in the checkpoint.
pub fn open_at(recovery_point: Offset, config: LogConfig, how: &str) -> Log {
    open_with(OpenHints { recovery_point, ..OpenHints::UNKNOWN }, config, how)
}

/// Opens the log as a node does that starts: the mark of a clean shutdown is taken away first.
pub fn open_as_left(recovery_point: Offset, config: LogConfig, how: &str) -> Log {
    let shutdown = take_clean_shutdown(Path::new(LOG_DIR)).unwrap_or_else(|fault| panic!("{how}: {fault}"));
    let clean_shutdown = shutdown != Shutdown::Unclean;
    open_with(OpenHints { recovery_point, clean_shutdown, ..OpenHints::UNKNOWN }, config, how)
}

fn open_with(hints: OpenHints, config: LogConfig, how: &str) -> Log {
    let opened = Log::open(Path::new(DIR), None, config, &hints, NOW);
    opened.unwrap_or_else(|fault| panic!("{how}: {fault}")).0
}

/// Compacts all that can be, and deletes what that replaces.
pub fn clean(log: &mut Log) {
    let end = log.log_end();
    log.replicated(end);
    let dirt = log.dirt(None, end, NOW).expect("a look");
    let Some(plan) = log.clean_plan(dirt, end).expect("a plan") else { return };
    let limits = CleanerLimits { dedupe_buffer_bytes: 1 << 20, load_factor: 0.9 };
    let mut cleaning = Cleaning::begin(plan, limits, NOW);
    loop {
        match cleaning.step().expect("a step") {
            Progress::Worked { .. } => {}
            Progress::Swap(group) => {
                let swap = log.begin_swap(group).expect("a swap").expect("nothing else changes the log");
                swap.sync().expect("a sync");
                let replaced = log.replace_segments(swap).expect("a swap").expect("nothing else changes the log");
                replaced.sync().expect("a sync");
                log.end_swap(replaced).expect("a swap").sync_and_remove().expect("a removal");
            }
            Progress::Done(_) => return,
        }
    }
}

/// Appends batches of some producers: plain ones, and transactions that are committed or aborted.
pub struct Appender {
    seed: u64,
    count: i64,
    epoch: i32,
    /// By producer: its next sequence number, and whether its transaction is open.
    producers: BTreeMap<i64, (i32, bool)>,
}

impl Appender {
    pub fn new(seed: u64) -> Self {
        Self { seed, count: 0, epoch: i32::try_from(seed % 7).unwrap_or(0), producers: BTreeMap::new() }
    }

    /// Other producers go on, in another epoch.
    pub fn after_truncation(&mut self, cut: Offset) {
        self.producers.clear();
        self.seed += 100;
        self.epoch += 5;
        self.count += 1000 + cut.0;
    }

    /// One batch.
    pub fn append(&mut self, log: &mut Log) {
        random::seed(self.seed.wrapping_mul(7919).wrapping_add(self.count as u64));
        self.count += 1;
        self.epoch += i32::from(random::u64() % 9 == 0);
        let id = (self.seed * 100 + random::u64() % 4) as i64;
        let (sequence, open) = self.producers.get(&id).copied().unwrap_or((0, false));
        if open && random::u64() % 2 == 0 {
            let kind = if random::u64() % 2 == 0 { ControlType::Abort } else { ControlType::Commit };
            self.write(log, marker(id, kind), COORDINATOR);
            self.producers.insert(id, (sequence, false));
            return;
        }
        // The odd ones have transactions.
        let transactional = id % 2 == 1;
        let options = BatchOptions { base_sequence: sequence, transactional, ..producer(id) };
        let mut builder = BatchBuilder::new(options);
        // Now and then a key that comes only once, so that every segment keeps something.
        let key = match random::u64() % 5 {
            0 => format!("once{}", self.count),
            key => format!("key{key}"),
        };
        builder.append(NOW, Some(key.as_bytes()), Some(format!("value{}", self.count).as_bytes()), &[]);
        self.write(log, PreparedBatch::parse(&builder.build().expect("a batch")).expect("a batch"), Origin::Client);
        self.producers.insert(id, (sequence + 1, transactional));
    }

    fn write(&self, log: &mut Log, batch: PreparedBatch, origin: Origin) {
        log.append(&mut [batch], LeaderEpoch(self.epoch), origin, NOW).expect("an append");
    }
}

fn producer(id: i64) -> BatchOptions {
    BatchOptions { producer_id: ProducerId(id), producer_epoch: ProducerEpoch(0), ..BatchOptions::default() }
}

fn marker(id: i64, kind: ControlType) -> PreparedBatch {
    let options = BatchOptions { transactional: true, control: true, ..producer(id) };
    let mut builder = BatchBuilder::new(options);
    builder.append_control(NOW, kind, &EndTxnMarker { coordinator_epoch: 1 }.to_bytes());
    PreparedBatch::parse(&builder.build().expect("a batch")).expect("a batch")
}

/// Records by their offsets: key and value.
type Records = BTreeMap<i64, (String, String)>;

/// What a reader finds.
#[derive(Clone, Debug, Default)]
struct Found {
    /// What a consumer of committed records sees, without transactions that have not ended.
    records: Records,
    /// The records of transactions that have not ended.
    undecided: Records,
    /// Of all batches: the offset after each.
    ends: BTreeSet<i64>,
}

/// What must be in the log.
#[derive(Clone, Debug)]
pub struct Known {
    found: Found,
    start: Offset,
    end: Offset,
    /// The one that stands in the checkpoint.
    pub recovery_point: Offset,
}

impl Known {
    /// Everything that is in the log now, as if it were all durable.
    pub fn of(log: &Log) -> Self {
        Self::up_to(log, log.log_end())
    }

    /// What is in the log below `end`.
    pub fn up_to(log: &Log, end: Offset) -> Self {
        let recovery_point = log.recovery_point().min(end);
        Self { found: read(log, log.log_start(), end, "before"), start: log.log_start(), end, recovery_point }
    }

    /// All batches are there, nobody sees an aborted record, and leader epochs are those of the batches.
    pub fn check_beginning(&self, log: &Log, how: &str) {
        assert!(log.log_end() >= self.end, "{how}: the log ends at {} and not at {}", log.log_end(), self.end);
        let found = read(log, self.start, self.end, how);
        assert_eq!(found.ends, self.found.ends, "{how}");
        assert_eq!(found.records, self.found.records, "{how}");
        assert_eq!(found.undecided, self.found.undecided, "{how}");
        // What lies behind is whole, whatever it is.
        read(log, self.end, log.log_end(), how);
    }

    /// Of each key the last record is there, where it was, and none that was not.
    pub fn check_last_values(&self, log: &Log, how: &str) {
        assert_eq!(log.log_end(), self.end, "{how}");
        let last = |records: &Records| -> BTreeMap<String, (i64, String)> {
            records.iter().map(|(offset, (key, value))| (key.clone(), (*offset, value.clone()))).collect()
        };
        let found = read(log, log.log_start(), self.end, how);
        assert_eq!(last(&found.records), last(&self.found.records), "{how}");
        assert_eq!(found.undecided, self.found.undecided, "{how}");
        for (offset, record) in &found.records {
            assert_eq!(self.found.records.get(offset), Some(record), "{how}: at {offset}");
        }
    }
}

/// Reads `from..to` as a consumer of committed records does.
fn read(log: &Log, mut from: Offset, to: Offset, how: &str) -> Found {
    let (mut found, mut open) = (Found::default(), BTreeMap::<ProducerId, Records>::new());
    from = from.max(log.log_start());
    while from < to {
        let plan = log.read(from, to, 400, FirstBatch::Whole).unwrap_or_else(|e| panic!("{how}: {e}"));
        let mut aborted = log.aborted_txns(from, &plan).unwrap_or_else(|e| panic!("{how}: {e}"));
        // Those that are aborted behind the range are still open in it.
        aborted.retain(|txn| txn.last_offset < to);
        aborted.sort_by_key(|txn| txn.first_offset);
        let (mut aborted, mut skipped) = (aborted.into_iter().peekable(), BTreeSet::new());
        let before = from;
        for view in batches(plan.read().unwrap_or_else(|e| panic!("{how}: {e}"))).map_while(Result::ok) {
            view.verify_crc().unwrap_or_else(|e| panic!("{how}: {e}"));
            let header = *view.header();
            assert!(header.next_offset() > from, "{how}: offsets grow");
            let epoch = log.epoch_for(header.base_offset);
            assert_eq!(epoch, Some(header.leader_epoch), "{how}: epoch at {}", header.base_offset);
            from = header.next_offset();
            found.ends.insert(from.0);
            while let Some(txn) = aborted.next_if(|txn| txn.first_offset <= header.last_offset()) {
                skipped.insert(txn.producer_id);
            }
            if header.attributes.is_control() {
                skipped.remove(&header.producer_id);
                found.records.extend(open.remove(&header.producer_id).unwrap_or_default());
                continue;
            }
            if header.attributes.is_transactional() && skipped.contains(&header.producer_id) {
                continue;
            }
            let into = match header.attributes.is_transactional() {
                true => open.entry(header.producer_id).or_default(),
                false => &mut found.records,
            };
            for record in view.records(1 << 20).expect("records").map(Result::unwrap) {
                let text =
                    |bytes: Option<bytes::Bytes>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
                into.insert(header.offset_of(record.offset_delta).0, (text(record.key), text(record.value)));
            }
        }
        if from == before {
            // A compaction has taken what was at the end of the segment.
            break;
        }
    }
    found.undecided = open.into_values().flatten().collect();
    found
}
