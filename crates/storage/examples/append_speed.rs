//! Measures appends and tail reads of 16 KiB batches: `append_speed DIRECTORY [BATCHES]`. The directory is removed after.

use std::error::Error;
use std::path::Path;

use thalweg_base::{LeaderEpoch, Timestamp};
use thalweg_records::{BatchBuilder, BatchOptions, PreparedBatch};
use thalweg_storage::{AppendOutcome, FirstBatch, Log, LogConfig, OpenHints, Origin};
use thalweg_sys::{fs, time};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: append_speed DIRECTORY [BATCHES]")?;
    let count: u32 = args.next().map_or(Ok(60_000), |n| n.parse())?;
    let now = Timestamp(1_700_000_000_000);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..16 {
        builder.append(now, None, Some(&[b'x'; 1010]), &[]);
    }
    let batch = PreparedBatch::parse(&builder.build()?)?;
    let config = LogConfig { retention_bytes: 1 << 30, segment_bytes: 256 << 20, ..LogConfig::default() };
    let (mut log, _) = Log::open(Path::new(&dir), None, config, &OpenHints::UNKNOWN, now)?;

    let start = time::now();
    for _ in 0..count {
        let outcome = log.append(&mut [batch.clone()], LeaderEpoch(0), Origin::Client, now)?;
        if matches!(outcome, AppendOutcome::Appended(appended) if appended.rolled) {
            log.delete_old_segments(log.log_end(), now)?;
            log.take_doomed().sync_and_remove()?;
        }
    }
    report("append", count, start);

    let start = time::now();
    let mut bytes = vec![0; batch.len()];
    for _ in 0..count {
        let from = log.log_end();
        log.append(&mut [batch.clone()], LeaderEpoch(0), Origin::Client, now)?;
        let plan = log.read(from, log.log_end(), 1 << 20, FirstBatch::Whole)?;
        let (file, position) = plan.source().ok_or("nothing to read")?;
        file.file().read_exact_at(&mut bytes, position)?;
        log.has_read(&plan, &bytes);
    }
    report("append and read", count, start);

    let start = time::now();
    let (mut from, mut plans) = (log.log_start(), 0);
    while from < log.log_end() {
        let plan = log.read(from, log.log_end(), 16 * batch.len() + 100, FirstBatch::Whole)?;
        let bytes = plan.read()?;
        log.has_read(&plan, &bytes);
        from = from.plus(16 * (bytes.len() / batch.len()) as i64);
        plans += 1;
    }
    report("read of 16 batches", plans, start);
    fs::remove_dir_all(Path::new(&dir))?;
    Ok(())
}

fn report(what: &str, count: u32, start: time::Instant) {
    let each = start.elapsed().as_nanos() / u128::from(count.max(1));
    println!("{what}: {each} ns");
}
