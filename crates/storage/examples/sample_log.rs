//! Writes a log with a little of everything, for Kafka's own tools to look at: `sample_log DIRECTORY [clean|crash]`.
//!
//! The directory becomes that of a partition, such as `logs/sample-0`. `clean` closes the log, which is the default;
//! `crash` leaves it as a killed process would.

use std::error::Error;
use std::path::Path;

use thalweg_base::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp, Uuid};
use thalweg_records::control::{ControlType, EndTxnMarker};
use thalweg_records::{BatchBuilder, BatchOptions, Codec, Compression, PreparedBatch};
use thalweg_storage::{Log, LogConfig, OpenHints, Origin};

const START: i64 = 1_700_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: sample_log DIRECTORY [clean|crash]")?;
    let config = LogConfig { segment_bytes: 16 << 10, index_interval_bytes: 1024, ..LogConfig::default() };
    let id = Some(Uuid(*b"thalweg's sample"));
    let now = Timestamp(START);
    let (mut log, _) = Log::open(Path::new(&dir), id, config, &OpenHints::UNKNOWN, now)?;
    for i in 0..300 {
        let (batch, origin) = batch(i)?;
        log.append(&mut [batch], LeaderEpoch(i / 70), origin, now)?;
    }
    println!("{}", log.log_end());
    if args.next().as_deref() != Some("crash") {
        log.close()?;
    }
    Ok(())
}

/// Plain and compressed batches, an idempotent producer, and transactions that end both ways.
fn batch(i: i32) -> Result<(PreparedBatch, Origin), Box<dyn Error>> {
    let time = Timestamp(START + i64::from(i) * 1000);
    let mut options = BatchOptions::default();
    let round = i % 10;
    let coordinator = Origin::Coordinator { transaction_version: 0 };
    let mut origin = Origin::Client;
    match round {
        0..=3 => {
            let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
            options.codec = Codec::from(codecs[usize::try_from(round)?]);
        }
        4..=6 => producer(&mut options, 1, (i / 10 * 3 + round - 4) * 5),
        7..=9 => {
            producer(&mut options, 2, if round == 9 { -1 } else { (i / 10 * 2 + round - 7) * 5 });
            options.transactional = true;
            options.control = round == 9;
        }
        _ => {}
    }
    let mut builder = BatchBuilder::new(options);
    if options.control {
        origin = coordinator;
        let control = if i / 10 % 2 == 0 { ControlType::Commit } else { ControlType::Abort };
        builder.append_control(time, control, &EndTxnMarker { coordinator_epoch: 3 }.to_bytes());
    } else {
        for n in 0..5 {
            let value = format!("value {i} {n} ").repeat(8);
            builder.append(time, Some(format!("key {n}").as_bytes()), Some(value.as_bytes()), &[]);
        }
    }
    Ok((PreparedBatch::parse(&builder.build()?)?, origin))
}

fn producer(options: &mut BatchOptions, id: i64, base_sequence: i32) {
    options.producer_id = ProducerId(id);
    options.producer_epoch = ProducerEpoch(0);
    options.base_sequence = base_sequence;
}
