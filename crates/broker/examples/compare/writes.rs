//! Produce and InitProducerId.

use bytes::Bytes;
use m::produce_request::{PartitionProduceData, TopicProduceData};
use thalweg_base::Uuid;
use thalweg_records::{BatchOptions, Compression};
use thalweg_wire::messages as m;

use crate::pair::{Pair, versions};
use crate::records::{TIME, batch, compressed, damaged, patched, plain, sequenced};
use crate::side::Side;

/// A produce of partitions of one topic.
pub(crate) fn produce(side: &Side, topic: &str, partitions: &[(i32, Option<Bytes>)], acks: i16) -> m::ProduceRequest {
    let data =
        |(index, records): &(i32, Option<Bytes>)| PartitionProduceData { index: *index, records: records.clone() };
    m::ProduceRequest {
        acks,
        timeout_ms: 5000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            topic_id: side.id(topic),
            partition_data: partitions.iter().map(data).collect(),
        }],
        ..m::ProduceRequest::default()
    }
}

pub(crate) fn play(pair: &mut Pair) {
    for name in ["one", "three", "compacted", "small", "appended", "timely", "both", "strict"] {
        pair.learn(name);
    }
    let to = |pair: &mut Pair, topic: &str, what: &str, records: Bytes| {
        pair.all(&format!("{topic}: {what}"), |side| produce(side, topic, &[(0, Some(records.clone()))], -1));
    };
    for acks in [-1, 1, 2, -2, 100] {
        pair.all(&format!("acks {acks}"), |side| produce(side, "one", &[(0, Some(plain(3)))], acks));
    }
    pair.all("no records", |side| produce(side, "one", &[(0, Some(Bytes::new()))], -1));
    pair.all("unknown partition", |side| produce(side, "one", &[(9, Some(plain(1))), (-1, Some(plain(1)))], -1));
    pair.all("unknown topic", |side| produce(side, "none", &[(0, Some(plain(1)))], -1));
    pair.all("bad topic name", |side| produce(side, "a b", &[(0, Some(plain(1)))], -1));
    pair.last("unknown id", |side| {
        let mut request = produce(side, "none", &[(0, Some(plain(1)))], -1);
        request.topic_data[0].topic_id = Uuid([7; 16]);
        request
    });
    pair.all("a partition twice", |side| produce(side, "three", &[(0, Some(plain(1))), (0, Some(plain(2)))], -1));
    pair.all("two partitions, one bad", |side| {
        produce(side, "three", &[(1, Some(plain(1))), (2, Some(damaged(&plain(2), 62, b"x")))], -1)
    });
    pair.all("nothing", |_| m::ProduceRequest { acks: -1, timeout_ms: 1000, ..m::ProduceRequest::default() });
    pair.all("strict, one replica", |side| produce(side, "strict", &[(0, Some(plain(1)))], -1));
    pair.all("strict, acks 1", |side| produce(side, "strict", &[(0, Some(plain(1)))], 1));
    pair.all("a transactional id", |side| m::ProduceRequest {
        transactional_id: Some("t".into()),
        ..produce(side, "one", &[(0, Some(plain(1)))], -1)
    });

    for compression in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        to(pair, "one", &format!("{compression:?}"), compressed(compression, 3));
        to(pair, "both", &format!("{compression:?}"), compressed(compression, 3));
    }
    to(pair, "both", "plain", plain(3));
    to(pair, "appended", "plain", plain(1));
    to(pair, "small", "fits", plain(3));
    to(pair, "small", "too large", plain(30));
    to(pair, "small", "too large, compressed", compressed(Compression::Gzip, 300));
    to(pair, "compacted", "without keys", batch(BatchOptions::default(), 3, false, TIME));
    to(pair, "compacted", "with keys", plain(2));
    to(pair, "both", "without keys", batch(BatchOptions::default(), 2, false, TIME));
    to(pair, "timely", "too old", plain(3));
    to(pair, "timely", "too new", batch(BatchOptions::default(), 3, true, 4_000_000_000_000));
    to(pair, "timely", "without time", batch(BatchOptions::default(), 1, true, -1));
    broken(pair);
    producer_ids(pair);
    sequences(pair);
}

fn broken(pair: &mut Pair) {
    let good = plain(3);
    let len = good.len();
    let cut = |from: usize, to: usize| good.slice(from..to);
    let two = Bytes::from([&good[..], &good[..]].concat());
    let options = BatchOptions::default();
    let transactional = BatchOptions { transactional: true, ..options };
    let control = batch(BatchOptions { control: true, ..options }, 1, true, TIME);
    let cases: &[(&str, Bytes)] = &[
        ("wrong checksum", damaged(&good, 17, &[1, 2, 3, 4])),
        ("damaged record", damaged(&good, len - 3, b"?")),
        ("magic 0", damaged(&good, 16, &[0])),
        ("magic 1", damaged(&good, 16, &[1])),
        ("magic 3", damaged(&good, 16, &[3])),
        ("magic -1", damaged(&good, 16, &[255])),
        ("short length", damaged(&good, 8, &[0, 0, 0, 10])),
        ("negative length", damaged(&good, 8, &[255, 0, 0, 10])),
        ("long length", damaged(&good, 8, &[0, 0, 255, 10])),
        ("length of 49", damaged(&good, 8, &[0, 0, 0, 49])),
        ("cut at its end", cut(0, len - 1)),
        ("cut in its head", cut(0, 40)),
        ("12 bytes", cut(0, 12)),
        ("1 byte", cut(0, 1)),
        ("bytes behind", Bytes::from([&good[..], b"xyz"].concat())),
        ("two batches", two),
        ("base offset 5", damaged(&good, 0, &[0, 0, 0, 0, 0, 0, 0, 5])),
        ("leader epoch 5", damaged(&good, 12, &[0, 0, 0, 5])),
        ("control", control),
        ("count 2 of 3", patched(&good, 57, &[0, 0, 0, 2])),
        ("count 4 of 3", patched(&good, 57, &[0, 0, 0, 4])),
        ("count 0", patched(&good, 57, &[0, 0, 0, 0])),
        ("count -1", patched(&good, 57, &[255, 255, 255, 255])),
        ("last delta 5", patched(&good, 23, &[0, 0, 0, 5])),
        ("last delta -1", patched(&good, 23, &[255, 255, 255, 255])),
        ("log append time", patched(&good, 21, &[0, 8])),
        ("codec 5", patched(&good, 21, &[0, 5])),
        ("codec 7", patched(&good, 21, &[0, 7])),
        ("gzip that is none", patched(&good, 21, &[0, 1])),
        ("zstd that is none", patched(&good, 21, &[0, 4])),
        ("unknown attribute", patched(&good, 21, &[1, 0])),
        ("delete horizon", patched(&good, 21, &[0, 64])),
        ("wrong first delta", patched(&good, 64, &[4])),
        ("no records", patched(&good.slice(..61), 57, &[0, 0, 0, 0])),
        ("transactional", batch(transactional, 1, true, TIME)),
        ("max timestamp", patched(&good, 35, &[0, 0, 1, 0x90, 0, 0, 0, 0])),
        ("base timestamp", patched(&good, 27, &[0, 0, 1, 0x90, 0, 0, 0, 0])),
        ("negative base timestamp", patched(&good, 27, &[255, 255, 255, 255, 255, 255, 255, 0])),
    ];
    for (what, records) in cases {
        for topic in ["one", "appended", "both"] {
            // The versions before and after record errors, and the one with topic ids.
            for version in [7, 8, 13] {
                pair.at(&format!("{topic}: {what}"), version..=version, |side| {
                    produce(side, topic, &[(0, Some(records.clone()))], -1)
                });
            }
        }
    }
}

fn producer_ids(pair: &mut Pair) {
    let init = |id: Option<&str>, timeout, producer_id, producer_epoch| m::InitProducerIdRequest {
        transactional_id: id.map(Into::into),
        transaction_timeout_ms: timeout,
        producer_id,
        producer_epoch,
        ..m::InitProducerIdRequest::default()
    };
    pair.all("idempotent", |_| init(None, 0, -1, -1));
    pair.all("idempotent, timeout -1", |_| init(None, -1, -1, -1));
    pair.all("empty transactional id", |_| init(Some(""), 1000, -1, -1));
    pair.all("an id again", |_| init(None, 0, 5, 3));
    pair.all("an id without epoch", |_| init(None, 0, 5, -1));
    pair.all("an epoch without id", |_| init(None, 0, -1, 5));
    pair.all("negative id", |_| init(None, 0, -7, 5));
    pair.all("negative epoch", |_| init(None, 0, 7, -5));
    for name in ["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"] {
        let note = |side: &mut Side, response: &m::InitProducerIdResponse| {
            side.numbers.insert(name, response.producer_id);
        };
        pair.one("for later", *versions::<m::InitProducerIdRequest>().end(), |_| init(None, 0, -1, -1), note);
    }
}

fn sequences(pair: &mut Pair) {
    // Producer, epoch, sequence, count.
    let steps: &[(&str, i16, i32, i64)] = &[
        ("p1", 0, 0, 3),
        ("p1", 0, 3, 2),
        ("p1", 0, 3, 2),
        ("p1", 0, 0, 3),
        ("p1", 0, 0, 2),
        ("p1", 0, 4, 1),
        ("p1", 0, 7, 1),
        ("p1", 0, 5, 1),
        ("p1", 0, 6, 1),
        ("p1", 0, 7, 1),
        ("p1", 0, 8, 1),
        ("p1", 0, 9, 1),
        ("p1", 0, 0, 3),
        ("p1", 1, 5, 1),
        ("p1", 1, 0, 1),
        ("p1", 0, 10, 1),
        ("p1", 0, 9, 1),
        ("p1", 3, 0, 1),
        ("p2", 0, 5, 1),
        ("p2", 0, 6, 1),
        ("p2", 0, 5, 1),
        ("p3", 5, 0, 1),
        ("p3", 4, 0, 1),
        ("p4", -1, 0, 1),
        ("p4", 0, -1, 1),
        ("p4", 0, -2, 1),
        ("p4", -2, 0, 1),
        ("p5", 0, i32::MAX, 1),
        ("p5", 0, 0, 1),
        ("p6", 0, i32::MAX - 1, 4),
        ("p6", 0, 2, 1),
        ("p7", 0, 0, 1),
        ("p7", 0, 2, 1),
        ("p7", 0, 2, 1),
        ("p7", 0, 1, 1),
        ("none", 0, 0, 1),
        ("none", 0, -1, 1),
        ("none", -1, 0, 1),
    ];
    // Each step at one version, so that all producers walk the same way.
    for topic in ["three", "appended", "both"] {
        for (name, epoch, sequence, count) in steps {
            pair.last(&format!("{topic}: {name} epoch {epoch} sequence {sequence} of {count}"), |side| {
                let records = sequenced(side.number(name), *epoch, *sequence, *count);
                produce(side, topic, &[(0, Some(records))], -1)
            });
        }
    }
    for version in 3..=13 {
        for (name, epoch, sequence) in [("p8", 0, 7), ("p8", 0, 100), ("p9", 1, 0), ("p9", 0, 0), ("p9", 1, 5)] {
            pair.at(&format!("{name} {epoch} {sequence}"), version..=version, |side| {
                produce(side, "three", &[(3, Some(sequenced(side.number(name), epoch, sequence, 1)))], -1)
            });
        }
    }
}
