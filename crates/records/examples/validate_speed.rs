//! Prints how long the produce path's checks take: `cargo run --release -p thalweg-records --example validate_speed`.

use std::hint::black_box;

use bytes::Bytes;
use thalweg_base::{Timestamp, TopicPartition};
use thalweg_records::validate::{Rules, Scratch, TopicCompression, validate_with};
use thalweg_records::{BatchBuilder, BatchOptions, Compression};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const BATCH: usize = 16 * 1024;

/// A batch of about 16 KiB before compression, of records that look like text.
fn batch(record: usize, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions { codec: compression.into(), ..BatchOptions::default() });
    let mut seed = 1u32;
    while builder.uncompressed_size() + record <= BATCH {
        let value: Vec<u8> = (0..record - 10)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b'a' + (seed >> 29) as u8
            })
            .collect();
        builder.append(NOW, None, Some(&value), &[]);
    }
    builder.build().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn measure(name: &str, batch: &Bytes, rules: &Rules) {
    // Many short samples: the best of them is what an undisturbed core does.
    const ROUNDS: u32 = 50;
    let mut scratch = Scratch::default();
    let mut best = f64::MAX;
    for _ in 0..1000 {
        let start = std::time::Instant::now();
        for _ in 0..ROUNDS {
            let _ = black_box(validate_with(&mut scratch, black_box(batch.clone()), rules, NOW));
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(ROUNDS));
    }
    println!("{name:<36} {:>8.0} ns/batch {:>8} bytes", best * 1e9, batch.len());
}

fn main() {
    let rules = Rules::new(TopicPartition::new("t", 0));
    for record in [1024, 100] {
        for compression in
            [Compression::None, Compression::Lz4, Compression::Snappy, Compression::Zstd, Compression::Gzip]
        {
            measure(&format!("{record} B records, {compression}"), &batch(record, compression), &rules);
        }
    }
    let appended = Rules { timestamp_type: thalweg_records::TimestampType::LogAppendTime, ..rules.clone() };
    measure("1024 B records, log append time", &batch(1024, Compression::None), &appended);
    let zstd = Rules { compression: TopicCompression::Fixed(Compression::Zstd.into()), ..rules };
    measure("1024 B records, none to zstd", &batch(1024, Compression::None), &zstd);
}
