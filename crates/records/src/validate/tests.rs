use bytes::Bytes;
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::*;
use crate::control::{ControlType, EndTxnMarker};
use crate::crc32c;

const NOW: Timestamp = Timestamp(1_000_000);

fn rules() -> Rules {
    Rules::new(TopicPartition::new("t", 0))
}

fn options(compression: Compression) -> BatchOptions {
    BatchOptions { codec: compression.into(), ..BatchOptions::default() }
}

fn batch(options: BatchOptions, values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for value in values {
        builder.append(NOW, Some(b"k"), Some(value), &[]);
    }
    builder.build().expect("builds")
}

/// The batch with other bytes at `at` and a checksum that is right again.
fn patched(batch: &Bytes, at: usize, with: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    let crc = crc32c(0, &bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn kind(records: Bytes, rules: &Rules) -> InvalidKind {
    validate(records, rules, NOW).expect_err("a refusal").kind
}

#[test]
fn an_untouched_batch_shares_its_bytes_with_the_request() {
    let request = batch(options(Compression::None), &[b"one", b"two"]);
    let mut validated = validate(request.clone(), &rules(), NOW).expect("valid");
    let prepared = &mut validated.batches[0];
    assert_eq!(prepared.tail().as_ptr(), request[crate::HEAD..].as_ptr());
    assert_eq!(prepared.to_bytes(), request);

    prepared.assign(Offset(500), LeaderEpoch(7));
    assert_eq!((prepared.base_offset(), prepared.last_offset()), (Offset(500), Offset(501)));
    assert_eq!(prepared.header().leader_epoch, LeaderEpoch(7));
    let written = BatchView::parse(&prepared.to_bytes()).expect("a batch");
    assert_eq!(written.verify_crc(), Ok(()));
    let Validated { max_timestamp, max_timestamp_offset_delta, log_append_time, count, rebuilt, .. } = validated;
    assert_eq!((max_timestamp, max_timestamp_offset_delta, log_append_time, count, rebuilt), (NOW, 1, None, 2, false));
}

#[test]
fn log_append_time_is_told_to_the_producer_and_sealed_by_the_checksum() {
    let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    let later = Timestamp(NOW.0 + 5);
    let validated = validate(batch(options(Compression::Lz4), &[b"v"]), &rules, later).expect("valid");
    assert_eq!((validated.max_timestamp, validated.log_append_time), (later, Some(later)));
    let header = validated.batches[0].header();
    assert_eq!((header.attributes.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, later));
    let written = BatchView::parse(&validated.batches[0].to_bytes()).expect("a batch");
    assert_eq!(written.verify_crc(), Ok(()));
}

#[test]
fn a_request_has_exactly_one_whole_batch() {
    let one = batch(options(Compression::None), &[b"v"]);
    assert_eq!(kind(Bytes::new(), &rules()), InvalidKind::InvalidRecord);
    assert_eq!(kind(one.slice(..one.len() - 1), &rules()), InvalidKind::InvalidRecord, "none is whole");
    let two: Bytes = [one.clone(), one.clone()].concat().into();
    assert_eq!(kind(two.clone(), &rules()), InvalidKind::InvalidRecord);

    let and_a_part = two.slice(..two.len() - 1);
    assert_eq!(validate(and_a_part, &rules(), NOW).expect("the part is ignored").batches[0].to_bytes(), one);
    let and_garbage: Bytes = [&one[..], &[0; 12]].concat().into();
    assert_eq!(kind(and_garbage, &rules()), InvalidKind::CorruptMessage, "a length of 0");
    let magic = patched(&one, 16, &[3]);
    assert_eq!(kind(magic, &rules()), InvalidKind::CorruptMessage, "an unknown format");
}

#[test]
fn the_formats_before_magic_2_are_refused() {
    let mut message = vec![0; 12 + 22];
    message[11] = 22;
    assert_eq!(kind(message.clone().into(), &rules()), InvalidKind::InvalidRecord);
    message[16] = 1;
    assert_eq!(kind(message.into(), &rules()), InvalidKind::InvalidRecord);
}

#[test]
fn offsets_of_a_producer_start_at_0() {
    let elsewhere = batch(BatchOptions { base_offset: Offset(1), ..options(Compression::None) }, &[b"v"]);
    let invalid = validate(elsewhere.clone(), &rules(), NOW).expect_err("a refusal");
    assert_eq!(invalid.kind, InvalidKind::InvalidRecord);
    assert_eq!(invalid.message, "The baseOffset of the record batch in the append to t-0 should be 0, but it is 1");
    assert_eq!(invalid.response_message(), None, "Kafka sends no message without record errors");
    let coordinator = Rules { origin: Origin::Coordinator, ..rules() };
    assert!(validate(elsewhere, &coordinator, NOW).is_ok());
}

#[test]
fn a_batch_may_be_as_large_as_max_message_bytes() {
    let small = batch(options(Compression::None), &[b"value"]);
    let exact = Rules { message_bytes_max: small.len(), ..rules() };
    assert!(validate(small.clone(), &exact, NOW).is_ok());
    let less = Rules { message_bytes_max: small.len() - 1, ..rules() };
    let invalid = validate(small, &less, NOW).expect_err("a refusal");
    assert_eq!((invalid.kind, invalid.meter), (InvalidKind::MessageTooLarge, Some(Meter::BytesRejected)));
    assert_eq!(
        invalid.message,
        "The record batch size in the append to t-0 is 74 bytes which exceeds the maximum configured value of 73)."
    );
}

#[test]
fn the_limit_also_holds_for_what_becomes_larger_by_decompression() {
    let zeros = batch(options(Compression::Zstd), &[&[0; 10_000]]);
    let rules =
        Rules { message_bytes_max: 5_000, compression: TopicCompression::Fixed(Compression::None.into()), ..rules() };
    let invalid = validate(zeros, &rules, NOW).expect_err("a refusal");
    assert_eq!(invalid.kind, InvalidKind::MessageTooLarge);
    assert!(invalid.message.starts_with("Message batch size is 100"), "{}", invalid.message);
}

#[test]
fn a_wrong_checksum_is_a_corrupt_message() {
    let mut bytes = batch(options(Compression::None), &[b"value"]).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let invalid = validate(bytes.into(), &rules(), NOW).expect_err("a refusal");
    assert_eq!((invalid.kind, invalid.meter), (InvalidKind::CorruptMessage, Some(Meter::InvalidMessageCrc)));
}

#[test]
fn zstd_needs_produce_version_7() {
    let zstd = batch(options(Compression::Zstd), &[b"v"]);
    let old = Rules { produce_version: 6, ..rules() };
    assert_eq!(kind(zstd.clone(), &old), InvalidKind::UnsupportedCompressionType);
    assert!(validate(zstd, &Rules { produce_version: 7, ..rules() }, NOW).is_ok());
}

#[test]
fn unknown_codecs_and_broken_streams_have_kafkas_code() {
    let plain = batch(options(Compression::None), &[b"v"]);
    for codec in 1..8 {
        assert_eq!(kind(patched(&plain, 22, &[codec]), &rules()).code(), -1, "codec {codec}");
    }
}

#[test]
fn only_coordinators_write_control_batches_and_these_are_never_compressed() {
    let mut builder = BatchBuilder::new(BatchOptions {
        producer_id: ProducerId(9),
        producer_epoch: ProducerEpoch(0),
        transactional: true,
        control: true,
        ..BatchOptions::default()
    });
    builder.append_control(NOW, ControlType::Commit, &EndTxnMarker { coordinator_epoch: 3 }.to_bytes());
    let marker = builder.build().expect("builds");
    assert_eq!(kind(marker.clone(), &rules()), InvalidKind::InvalidRecord);

    let coordinator = Rules {
        origin: Origin::Coordinator,
        compacted: true,
        compression: TopicCompression::Fixed(Compression::Zstd.into()),
        ..rules()
    };
    let validated = validate(marker.clone(), &coordinator, NOW).expect("valid");
    assert_eq!((validated.rebuilt, validated.batches[0].to_bytes()), (false, marker));
}

#[test]
fn a_topics_codec_replaces_the_producers_at_the_topics_level() {
    let value = (0..20_000).map(|i| (i % 251) as u8 ^ (i / 300) as u8).collect::<Vec<_>>();
    let sent = batch(options(Compression::Snappy), &[&value, b"second"]);
    let stored = |level| {
        let codec = Codec { compression: Compression::Zstd, level };
        let rules = Rules { compression: TopicCompression::Fixed(codec), ..rules() };
        let validated = validate(sent.clone(), &rules, NOW).expect("valid");
        assert!(validated.rebuilt);
        validated.batches[0].clone()
    };
    let (fast, small) = (stored(-50), stored(19));
    assert!(small.len() < fast.len());
    let records = |bytes: Bytes| BatchView::parse(&bytes).expect("a batch").records(1 << 20).expect("records");
    let expected: Vec<_> = records(sent.clone()).collect();
    assert_eq!(records(small.to_bytes()).collect::<Vec<_>>(), expected);
    assert_eq!(small.header().attributes.compression(), Ok(Compression::Zstd));
}

#[test]
fn repeated_offsets_in_an_uncompressed_batch_are_repaired() {
    let good = batch(options(Compression::None), &[b"a", b"b"]);
    // The second record has nine bytes: length, attributes, timestamp, offset, key, value, headers.
    let bad = patched(&good, good.len() - 9 + 3, &[0]);
    assert_ne!(bad, good);
    let validated = validate(bad, &rules(), NOW).expect("valid");
    assert_eq!((validated.rebuilt, validated.batches[0].to_bytes()), (true, good));
}

#[test]
fn an_endless_list_of_errors_is_cut_but_counted() {
    let mut builder = BatchBuilder::new(options(Compression::Gzip));
    for _ in 0..RECORD_ERRORS_MAX + 500 {
        builder.append(NOW, None, Some(b"v"), &[]);
    }
    let rules = Rules { compacted: true, ..rules() };
    let invalid = validate(builder.build().expect("builds"), &rules, NOW).expect_err("a refusal");
    assert_eq!((invalid.record_errors.len(), invalid.meter), (RECORD_ERRORS_MAX, Some(Meter::NoKeyCompactedTopic)));
    let message = invalid.response_message().expect("a message");
    assert!(
        message.starts_with("One or more records have been rejected due to 1500 record errors in total"),
        "{message}"
    );
}

#[test]
fn a_bomb_ends_at_the_limit() {
    // 64 MB of one record in a few KB.
    let bomb = batch(options(Compression::Zstd), &[&vec![0; 64 << 20]]);
    assert!(bomb.len() < 10_000, "{}", bomb.len());
    let limit = 1 << 20;
    let rules = Rules { decompressed_bytes_max: limit, ..rules() };
    assert_eq!(kind(bomb.clone(), &rules), InvalidKind::MessageTooLarge);
    let view = BatchView::parse(&bomb).expect("a batch");
    assert_eq!(view.records(limit).expect_err("an error"), BatchError::TooLarge { limit });
}

#[test]
fn declared_counts_and_lengths_take_no_memory() {
    let good = batch(options(Compression::None), &[b"v"]);
    let count = [i32::MAX.to_be_bytes(), i32::MAX.to_be_bytes()];
    let many = patched(&patched(&good, 23, &(i32::MAX - 1).to_be_bytes()), 57, &count[0]);
    assert_eq!(kind(many.clone(), &rules()), InvalidKind::InvalidRecord);
    let records = BatchView::parse(&many).expect("a batch").records(1 << 20).expect("records");
    assert_eq!(records.size_hint(), (0, Some(2)));
    // A record whose length is 2^31 - 1.
    let long = patched(&good, 61, &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
    assert_eq!(kind(long, &rules()), InvalidKind::InvalidRecord);
}

#[test]
fn kept_memory_carries_nothing_from_one_batch_to_the_next() {
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let codecs = [Compression::Zstd, Compression::Lz4, Compression::Snappy, Compression::Gzip];
    let rules = Rules { message_bytes_max: 8 << 20, ..rules() };
    let mut scratch = Scratch::default();
    for _ in 0..2 {
        for codec in codecs {
            let good = batch(options(codec), &[b"one", b"two"]);
            let cut = good.slice(..good.len() - 5);
            let cut = patched(&cut, 8, &((cut.len() - 12) as i32).to_be_bytes());
            for request in [cut, good.clone(), batch(options(codec), &[&large]), good] {
                let kept = validate_with(&mut scratch, request.clone(), &rules, NOW);
                assert_eq!(kept, validate(request, &rules, NOW), "{codec}");
            }
        }
    }
}
