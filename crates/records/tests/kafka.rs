//! Compares this crate with what Apache Kafka's own classes wrote and read; see `fixtures/README.md`.

use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use thalweg_records::validate::{Rules, TopicCompression, validate};
use thalweg_records::{
    BatchBuilder, BatchOptions, BatchView, Compression, PreparedBatch, Record, TimestampType, batches, crc32c,
    empty_batch,
};

const LIMIT: usize = 1 << 20;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn unhex(text: &str) -> Bytes {
    assert_eq!(text.len() % 2, 0);
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn field(bytes: Option<&Bytes>) -> String {
    match bytes {
        None => "null".into(),
        Some(bytes) if bytes.len() > 1000 => format!("#{},{}", bytes.len(), crc32c(0, bytes)),
        Some(bytes) => bytes.iter().fold(".".into(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// The lines that the Java program prints for a batch.
fn describe(batch: &BatchView) -> Vec<String> {
    let h = batch.header();
    let timestamps = match h.magic {
        0 => "NoTimestampType".into(),
        _ => h.attributes.timestamp_type().to_string(),
    };
    let mut lines = vec![format!(
        "batch {} {} {} {} {timestamps} {} {} {} {} {} {} {} {} {} {} {}",
        batch.first_offset(LIMIT).expect("a first offset"),
        h.last_offset(),
        h.magic,
        h.attributes.compression().expect("a codec"),
        h.max_timestamp,
        h.producer_id,
        h.producer_epoch,
        h.base_sequence,
        h.last_sequence(),
        h.attributes.is_transactional(),
        h.attributes.is_control(),
        h.leader_epoch,
        h.size(),
        h.crc,
        h.delete_horizon().unwrap_or(Timestamp::NONE),
    )];
    for record in batch.records(LIMIT).expect("records") {
        let record = record.expect("a record");
        let headers = record.headers.iter().map(|h| format!(" {}={}", field(Some(&h.key)), field(h.value.as_ref())));
        lines.push(format!(
            "record {} {} {} {}{}",
            h.offset_of(record.offset_delta),
            h.timestamp_of(record.timestamp_delta),
            field(record.key.as_ref()),
            field(record.value.as_ref()),
            headers.collect::<String>(),
        ));
    }
    lines
}

/// The runs of `batches.txt`: name, bytes, expected lines.
fn runs() -> Vec<(&'static str, Bytes, Vec<&'static str>)> {
    let mut runs = Vec::new();
    for line in include_str!("fixtures/batches.txt").lines() {
        match line.strip_prefix("batches ") {
            Some(run) => {
                let (name, hex) = run.split_once(' ').expect("a name");
                runs.push((name, unhex(hex), Vec::new()));
            }
            None => runs.last_mut().expect("a run").2.push(line),
        }
    }
    runs
}

#[test]
fn reads_what_kafka_wrote_in_every_format() {
    let runs = runs();
    assert_eq!(runs.len(), 30);
    for (name, bytes, expected) in runs {
        let mut found = Vec::new();
        for batch in batches(bytes) {
            let batch = batch.unwrap_or_else(|error| panic!("{name}: {error}"));
            batch.verify_crc().unwrap_or_else(|error| panic!("{name}: {error}"));
            found.extend(describe(&batch));
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn builds_the_bytes_that_kafka_builds() {
    for (name, bytes, _) in runs() {
        let batch = BatchView::parse(&bytes).expect("a batch");
        let h = batch.header();
        if h.magic != 2 || h.count == 0 {
            continue;
        }
        let codec = h.attributes.compression().expect("a codec");
        let appended = h.attributes.timestamp_type() == TimestampType::LogAppendTime;
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: h.base_offset,
            leader_epoch: h.leader_epoch,
            codec: codec.into(),
            log_append_time: appended.then_some(h.max_timestamp),
            delete_horizon: h.delete_horizon(),
            producer_id: h.producer_id,
            producer_epoch: h.producer_epoch,
            base_sequence: h.base_sequence,
            transactional: h.attributes.is_transactional(),
            control: h.attributes.is_control(),
        });
        for record in batch.records(LIMIT).expect("records") {
            let Record { offset_delta, timestamp_delta, key, value, headers } = record.expect("a record");
            let timestamp = Timestamp(h.base_timestamp.0 + timestamp_delta);
            builder.append_at(h.offset_of(offset_delta), timestamp, key.as_deref(), value.as_deref(), &headers);
        }
        builder.end_at(h.last_offset());
        let built = builder.build().expect("builds");
        if codec == Compression::None {
            assert_eq!(built, bytes, "{name}");
            continue;
        }
        // Compressed streams may differ; the header may not, but for its length and checksum.
        let built = BatchView::parse(&built).expect("a batch");
        let expected = thalweg_records::BatchHeader { batch_length: h.batch_length, crc: h.crc, ..*built.header() };
        assert_eq!(*h, expected, "{name}");
        let uncompressed = |batch: &BatchView| -> Vec<_> { batch.records(LIMIT).expect("records").collect() };
        assert_eq!(uncompressed(&built), uncompressed(&batch), "{name}");
    }
}

#[test]
fn empties_a_batch_as_kafka_does() {
    let runs = runs();
    let (_, empty, _) = runs.iter().find(|run| run.0 == "v2-empty").expect("the empty batch");
    let header = *BatchView::parse(empty).expect("a batch").header();
    assert_eq!(empty_batch(&header), empty);
}

/// Runs one case of `validator.txt` and prints the outcome as the Java program does.
fn outcome(case: &str, input: Bytes, expected_rebuilt: Option<Bytes>) -> Vec<String> {
    let mut words = case.split(' ').skip(1);
    let mut next = || words.next().expect("a word");
    let compression = match next() {
        "producer" => TopicCompression::Producer,
        name => TopicCompression::Fixed(Compression::from_name(name).expect("a codec").into()),
    };
    let rules = Rules {
        compression,
        compacted: next() == "true",
        timestamp_type: TimestampType::from_name(next()).expect("a type"),
        timestamp_before_max_ms: next().parse().expect("a number"),
        timestamp_after_max_ms: next().parse().expect("a number"),
        ..Rules::new(TopicPartition::new("a-topic", 3))
    };
    match validate(input, &rules, NOW) {
        Ok(mut validated) => {
            assert_eq!(validated.batches.len(), 1);
            let batch = &mut validated.batches[0];
            batch.assign(Offset(1000), LeaderEpoch(5));
            let bytes = match expected_rebuilt {
                Some(expected) if validated.rebuilt => same_but_for_the_stream(batch, expected),
                _ => batch.to_bytes(),
            };
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            vec![format!("ok {} {} {hex}", validated.max_timestamp, validated.rebuilt)]
        }
        Err(invalid) => {
            let message = invalid.response_message().map(|message| format!(" {message}")).unwrap_or_default();
            let mut lines = vec![format!("error {}{message}", invalid.kind.code())];
            lines.extend(invalid.record_errors.iter().map(|(index, message)| format!("record {index} {message}")));
            lines
        }
    }
}

/// `expected` when the batches only differ in how their stream was compressed; otherwise what was built.
fn same_but_for_the_stream(built: &PreparedBatch, expected: Bytes) -> Bytes {
    let built = BatchView::parse(&built.to_bytes()).expect("a batch");
    built.verify_crc().expect("a right checksum");
    let kafka = BatchView::parse(&expected).expect("a batch");
    let sealed = thalweg_records::BatchHeader {
        batch_length: kafka.header().batch_length,
        crc: kafka.header().crc,
        ..*built.header()
    };
    let records = |batch: &BatchView| -> Vec<_> { batch.records(LIMIT).expect("records").collect() };
    if sealed == *kafka.header() && records(&built) == records(&kafka) { expected } else { built.bytes().clone() }
}

#[test]
fn validates_as_kafka_does() {
    let lines: Vec<&str> = include_str!("fixtures/validator.txt").lines().collect();
    let cases: Vec<&[&str]> = lines.chunk_by(|_, next| !next.starts_with("case ")).collect();
    assert_eq!(cases.len(), 174);
    for case in cases {
        let name = case[0].strip_prefix("case ").expect("a case");
        let input = unhex(case[1].strip_prefix("input ").expect("an input"));
        let appended = case[2].strip_prefix("ok ").and_then(|ok| ok.rsplit_once(' ')).map(|(_, hex)| unhex(hex));
        let outcome = outcome(name, input, appended);
        if name.contains("-offsets-with-gaps ") {
            // Kafka means to rebuild such a batch and trips over its own iterator; we do what it means.
            assert_eq!(case[2..], ["error -1"], "{name}");
            assert!(outcome[0].starts_with("ok 1700000000000 true "), "{name}: {outcome:?}");
            continue;
        }
        assert_eq!(outcome, case[2..], "{name}");
    }
}
