//! A log whose compaction ends at any of its operations: by a power failure, or by a disk that fails before one.

#![cfg(sim)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use thalweg_base::{LeaderEpoch, Offset, Timestamp};
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch, batches};
use thalweg_storage::{CleanerLimits, Cleaning, Fault, FirstBatch, Flush, Log, LogConfig, OpenHints, Origin, Progress};
use thalweg_sys::disk::{self, Unsynced};
use thalweg_sys::faults::{self, Kind, Plan};
use thalweg_sys::fs;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const DIR: &str = "/data/t-0";
const KEYS: i64 = 7;
const RECORDS: i64 = 45;

/// Where each key stands last, and the log's end.
type Live = (BTreeMap<Vec<u8>, i64>, i64);

fn config() -> LogConfig {
    LogConfig { segment_bytes: 900, index_interval_bytes: 100, compact: true, delete: false, ..LogConfig::default() }
}

fn open(recovery_point: Offset) -> Result<Log, Fault> {
    let hints = OpenHints { recovery_point, ..OpenHints::UNKNOWN };
    Ok(Log::open(Path::new(DIR), None, config(), &hints, NOW)?.0)
}

fn fill(log: &mut Log) -> Result<(), Fault> {
    for n in 0..RECORDS {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        // Now and then a key that comes only once, so that every segment keeps something.
        let key = if n % 10 == 0 { format!("once{n}") } else { format!("key{}", n % KEYS) };
        builder.append(NOW, Some(key.as_bytes()), Some(format!("value{n}").as_bytes()), &[]);
        let batch = PreparedBatch::parse(&builder.build().expect("a batch")).expect("a batch");
        log.append(&mut [batch], LeaderEpoch(0), Origin::Client, NOW).expect("an append");
    }
    log.flush(Flush::All, NOW)
}

fn clean(log: &mut Log) -> Result<(), Fault> {
    let end = log.log_end();
    let dirt = log.dirt(None, end, NOW)?;
    let Some(plan) = log.clean_plan(dirt, end)? else { return Ok(()) };
    let limits = CleanerLimits { dedupe_buffer_bytes: 1 << 20, load_factor: 0.9 };
    let mut cleaning = Cleaning::begin(plan, limits, NOW);
    loop {
        match cleaning.step()? {
            Progress::Worked { .. } => {}
            Progress::Swap(group) => {
                let swap = log.begin_swap(group)?.expect("nothing else changes the log");
                swap.sync()?;
                let replaced = log.replace_segments(swap)?.expect("nothing else changes the log");
                replaced.sync()?;
                log.end_swap(replaced)?.sync_and_remove()?;
            }
            Progress::Done(_) => return Ok(()),
        }
    }
}

/// The last offset of each key, as a reader from the beginning finds it.
fn live(log: &Log) -> Live {
    let (mut last, mut from) = (BTreeMap::new(), log.log_start());
    while from < log.log_end() {
        let plan = log.read(from, log.log_end(), 300, FirstBatch::Whole).expect("a plan");
        let before = from;
        for view in batches(plan.read().expect("bytes")).map_while(Result::ok) {
            view.verify_crc().expect("a sound batch");
            assert!(view.next_offset() > from, "offsets grow");
            for record in view.records(1 << 20).expect("records").map(Result::unwrap) {
                let offset = view.header().offset_of(record.offset_delta).0;
                assert_eq!(record.value.as_deref(), Some(format!("value{offset}").as_bytes()), "at its offset");
                last.insert(record.key.expect("a key").to_vec(), offset);
            }
            from = view.next_offset();
        }
        if from == before {
            break;
        }
    }
    (last, log.log_end().0)
}

/// Cleans a log whose operations fail as planned, ends it in this way, and opens it again. Gives how many operations the
/// cleaning had.
fn run(seed: u64, end: End, at: u64, kind: Kind) -> u64 {
    thalweg_sys::random::seed(seed);
    let mut builder = turmoil::Builder::new();
    builder.rng_seed(seed);
    disk::replace();
    let mut sim = builder.build();
    let expected: Rc<RefCell<Option<Live>>> = Rc::default();
    let (seen, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (known, count, finished) = (Rc::clone(&expected), Rc::clone(&seen), Rc::clone(&done));
    sim.host("disk", move || {
        let (known, count, finished) = (Rc::clone(&known), Rc::clone(&count), Rc::clone(&finished));
        async move {
            disk::lose_power(
                Path::new("/"),
                [Unsynced::Lost, Unsynced::PartlyThere, Unsynced::AnyOrder][seed as usize % 3],
            );
            if known.borrow().is_none() {
                fs::create_dir_all_durably(Path::new(DIR))?;
                let mut log = open(Offset::ZERO)?;
                fill(&mut log)?;
                let before = live(&log);
                let times = if end == End::Disk { 1 } else { u64::MAX };
                faults::plan(Some(Plan { under: DIR.into(), at, times, kind }));
                let cleaned = clean(&mut log);
                count.set(faults::seen());
                assert_eq!(cleaned.is_ok(), at >= count.get(), "at {at}: {cleaned:?}");
                faults::plan(None);
                assert!(log.is_offline() || live(&log) == before, "at {at} readers go on, or the log is offline");
                *known.borrow_mut() = Some(before);
                finished.set(true);
                std::future::pending::<()>().await;
            }
            let mut log = open(Offset(RECORDS))?;
            assert_eq!(Some(live(&log)), *known.borrow(), "at {at} after {end:?}");
            clean(&mut log)?;
            let again = live(&log);
            assert_eq!(Some(&again), known.borrow().as_ref(), "cleaned after {at}");
            let batches = log.size();
            assert!(batches < 2500, "{batches} bytes are left after {at}");
            finished.set(true);
            std::future::pending::<()>().await;
            Ok(())
        }
    });
    let until_done = |sim: &mut turmoil::Sim<'_>| {
        while !done.replace(false) {
            sim.step().unwrap_or_else(|e| panic!("{end:?} at {at}: {e}"));
        }
    };
    until_done(&mut sim);
    sim.crash("disk");
    sim.bounce("disk");
    until_done(&mut sim);
    seen.get()
}

/// How a cleaning ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// From one operation on there is no power, and the seed says how what was not synced is lost.
    Power,
    /// One operation fails; later there is no power.
    Disk,
}

#[test]
fn a_compaction_that_ends_at_any_operation_loses_nothing() {
    for end in [End::Power, End::Disk] {
        let operations = run(1, end, u64::MAX, Kind::Io);
        assert!(operations > 30, "{operations}");
        // Every operation by one of the two, and some by both.
        for at in (0..operations).step_by(if end == End::Power { 1 } else { 3 }) {
            let kind = [Kind::Io, Kind::Full, Kind::ReadOnly][at as usize % 3];
            // Each way of losing what was not synced.
            for seed in 0..3 {
                run(3 * at + seed, end, at, kind);
            }
        }
    }
}
