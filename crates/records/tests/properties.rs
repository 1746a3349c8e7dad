//! What must hold for any records and for any damage to them.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use thalweg_base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use thalweg_records::compression::compress;
use thalweg_records::validate::{InvalidKind, Origin, Rules, TopicCompression, validate};
use thalweg_records::{
    BatchBuilder, BatchOptions, BatchView, Codec, Compression, Record, RecordHeader, TimestampType, batches, crc32c,
};

const LIMIT: usize = 4 << 20;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Timestamp, key, value and headers.
type Fields = (i64, Option<Bytes>, Option<Bytes>, Vec<RecordHeader>);

fn any_bytes(max: usize) -> impl Strategy<Value = Bytes> {
    // Some compressible, some not, a few larger than every window.
    prop_oneof![
        8 => vec(any::<u8>(), 0..max).prop_map(Bytes::from),
        2 => (any::<u8>(), 0..max * 40).prop_map(|(byte, len)| Bytes::from(vec![byte; len])),
    ]
}

fn any_record() -> impl Strategy<Value = Fields> {
    let header = (any_bytes(10), option::of(any_bytes(10))).prop_map(|(key, value)| RecordHeader { key, value });
    let timestamp = prop_oneof![Just(-1), NOW.0 - 1000..NOW.0 + 1000, any::<i64>()];
    (timestamp, option::of(any_bytes(100)), option::of(any_bytes(2000)), vec(header, 0..3))
}

fn any_codec() -> impl Strategy<Value = Codec> {
    (0u8..5).prop_map(|id| Compression::from_id(id).expect("a codec").into())
}

fn build(options: BatchOptions, records: &[Fields]) -> Bytes {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value, headers) in records {
        builder.append(Timestamp(*timestamp), key.as_deref(), value.as_deref(), headers);
    }
    builder.build().expect("builds")
}

/// The batch's records as they were appended.
fn read(batch: &BatchView) -> Vec<Fields> {
    let header = batch.header();
    let read = |(index, record): (usize, Result<Record, _>)| {
        let record = record.expect("a record");
        assert_eq!(record.offset_delta, index as i32);
        let timestamp = header.base_timestamp.0.wrapping_add(record.timestamp_delta);
        (timestamp, record.key, record.value, record.headers)
    };
    batch.records(LIMIT).expect("records").enumerate().map(read).collect()
}

/// Looks at damaged bytes in every way there is.
fn look_at(bytes: &Bytes, rules: &Rules) {
    for batch in batches(bytes.clone()).flatten() {
        let _ = batch.verify_crc();
        let _ = batch.first_offset(LIMIT);
        let _ = (batch.next_offset(), batch.header().last_sequence(), batch.header().delete_horizon());
        if let Ok(records) = batch.records(LIMIT) {
            records.for_each(drop);
        }
    }
    for origin in [Origin::Client, Origin::Coordinator] {
        let rules = Rules { origin, ..rules.clone() };
        if let Ok(mut validated) = validate(bytes.clone(), &rules, NOW) {
            validated.batches[0].assign(Offset(1 << 40), LeaderEpoch(3));
            let stored = BatchView::parse(&validated.batches[0].to_bytes()).expect("a batch");
            assert_eq!(stored.verify_crc(), Ok(()));
            assert!(stored.records(LIMIT).expect("records").all(|record| record.is_ok()));
        }
    }
}

fn reseal(bytes: &mut [u8]) {
    if bytes.len() > 21 {
        let crc = crc32c(0, &bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

fn kafkas_batches() -> Vec<Bytes> {
    let runs = include_str!("fixtures/batches.txt").lines().filter_map(|line| line.strip_prefix("batches "));
    let hex = runs.filter_map(|run| Some(run.split_once(' ')?.1));
    let byte = |hex: &str, at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    hex.map(|hex| (0..hex.len()).step_by(2).map(|at| byte(hex, at)).collect()).collect()
}

proptest! {
    #[test]
    fn what_is_built_is_valid_and_read_back(
        records in vec(any_record(), 1..12),
        codec in any_codec(),
        target in option::of(any_codec()),
        appended in any::<bool>(),
        producer in option::of((0i64..1 << 40, 0i16..100, 0i32..1 << 20)),
    ) {
        let mut options = BatchOptions { codec, ..BatchOptions::default() };
        if let Some((id, epoch, sequence)) = producer {
            options.producer_id = ProducerId(id);
            options.producer_epoch = ProducerEpoch(epoch);
            options.base_sequence = sequence;
            options.transactional = true;
        }
        let bytes = build(options, &records);
        let sent = BatchView::parse(&bytes).expect("a batch");
        prop_assert_eq!(sent.verify_crc(), Ok(()));
        prop_assert_eq!(read(&sent), records.clone());

        let rules = Rules {
            compression: target.map_or(TopicCompression::Producer, TopicCompression::Fixed),
            timestamp_type: if appended { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: i64::MAX,
            ..Rules::new(TopicPartition::new("t", 0))
        };
        let in_range = |timestamp: i64| timestamp == -1 || NOW.0.wrapping_sub(timestamp) != i64::MIN;
        let validated = match validate(bytes, &rules, NOW) {
            Ok(validated) => validated,
            Err(invalid) => {
                prop_assert!(!records.iter().all(|record| in_range(record.0)), "{:?}", invalid);
                return Ok(());
            }
        };
        let stored = BatchView::parse(&validated.batches[0].to_bytes()).expect("a batch");
        prop_assert_eq!(stored.verify_crc(), Ok(()));
        prop_assert_eq!(read(&stored), records.clone());
        prop_assert_eq!(validated.rebuilt, target.is_some_and(|target| target != codec));
        let max = records.iter().map(|record| record.0).max().unwrap_or(-1).max(-1);
        prop_assert_eq!(stored.max_timestamp(), if appended { NOW } else { Timestamp(max) });
        let header = stored.header();
        prop_assert_eq!(
            (header.count, header.last_offset_delta, header.producer_id, header.base_sequence),
            (records.len() as i32, records.len() as i32 - 1, options.producer_id, options.base_sequence)
        );
        prop_assert_eq!(header.attributes.is_transactional(), options.transactional);
    }

    #[test]
    fn damage_never_panics(
        which in any::<prop::sample::Index>(),
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in option::of(any::<prop::sample::Index>()),
        resealed in any::<bool>(),
        compacted in any::<bool>(),
        target in option::of(any_codec()),
    ) {
        let batches = kafkas_batches();
        let mut bytes = which.get(&batches).to_vec();
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()) + 1);
        }
        for (at, with) in hits {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if resealed {
            // A length that fits what is left, so that the damage is found behind it.
            if bytes.len() > 61 {
                let length = (bytes.len() - 12) as i32;
                bytes[8..12].copy_from_slice(&length.to_be_bytes());
            }
            reseal(&mut bytes);
        }
        let rules = Rules {
            compacted,
            compression: target.map_or(TopicCompression::Producer, TopicCompression::Fixed),
            decompressed_bytes_max: LIMIT,
            ..Rules::new(TopicPartition::new("t", 0))
        };
        look_at(&bytes.into(), &rules);
    }

    #[test]
    fn a_codec_changes_nothing_about_what_is_valid(
        records in vec(any_record(), 1..6),
        hits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        extra in -1i32..2,
        codec in any_codec(),
    ) {
        let mut plain = build(BatchOptions::default(), &records).to_vec();
        for (at, with) in hits {
            let at = 61 + at.index(plain.len() - 61);
            plain[at] = with;
        }
        let count = records.len() as i32 + extra;
        plain[57..61].copy_from_slice(&count.to_be_bytes());
        plain[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        let mut packed = plain[..61].to_vec();
        packed[22] |= codec.compression.id();
        packed.extend(compress(codec, &plain[61..]).expect("compresses"));
        let length = (packed.len() - 12) as i32;
        packed[8..12].copy_from_slice(&length.to_be_bytes());
        reseal(&mut plain);
        reseal(&mut packed);
        let rules = Rules { timestamp_after_max_ms: i64::MAX, ..Rules::new(TopicPartition::new("t", 0)) };
        let outcome = |bytes: Vec<u8>| {
            let validated = validate(bytes.into(), &rules, NOW).map_err(|invalid| (invalid.kind, invalid.record_errors))?;
            Ok::<_, (InvalidKind, Vec<(i32, String)>)>((validated.max_timestamp, validated.count, validated.rebuilt))
        };
        prop_assert_eq!(outcome(packed), outcome(plain));
    }

    #[test]
    fn noise_never_panics(
        mut bytes in vec(any::<u8>(), 0..400),
        magic in 0u8..3,
        framed in any::<bool>(),
    ) {
        if framed && bytes.len() > 30 {
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = magic;
            bytes[21] = 0;
            reseal(&mut bytes);
        }
        look_at(&bytes.into(), &Rules { decompressed_bytes_max: LIMIT, ..Rules::new(TopicPartition::new("t", 0)) });
    }
}
