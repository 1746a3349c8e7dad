//! Reading assigned partitions.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_base::{Offset, Timestamp, TopicPartition};
use thalweg_client::{Consumer, ConsumerConfig, ConsumerRecord, Isolation, OffsetSpec, Start};
use thalweg_records::{BatchOptions, Codec, Compression};

use crate::node::{Running, append, create, soon};

fn consumer(node: &Running, more: &[(&str, &str)]) -> Consumer {
    Consumer::new(ConsumerConfig::from_properties(&node.properties(more)).expect("a configuration"))
}

/// Polls until there are so many records.
async fn read(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        let more = consumer.poll(soon()).await.expect("records");
        assert!(!more.is_empty(), "only {} of {count} records came", records.len());
        records.extend(more);
    }
    records
}

fn values(records: &[ConsumerRecord]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record.value.as_deref().expect("a value")).expect("text")).collect()
}

#[tokio::test]
async fn every_codec_is_read_from_every_start() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 1).await;
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (at, codec) in codecs.into_iter().enumerate() {
        let options = BatchOptions { codec: Codec::from(codec), ..BatchOptions::default() };
        let time = 100 * (at as i64 + 1);
        append(&client, "t", 0, options, &[(time, codec.name()), (time + 1, "second")]).await;
    }
    let partition = TopicPartition::new("t", 0);
    let mut consumer = consumer(&node, &[("auto.offset.reset", "earliest")]);
    consumer.assign([(partition.clone(), Start::Beginning)]);
    let all = read(&mut consumer, 10).await;
    let expected = ["none", "second", "gzip", "second", "snappy", "second", "lz4", "second", "zstd", "second"];
    assert_eq!(values(&all), expected);
    assert_eq!(consumer.position(&partition), Some(Offset(10)));
    assert_eq!(consumer.high_watermark(&partition), Some(Offset(10)));
    for (start, first) in [
        (Start::At(Offset(3)), "second"),
        (Start::Time(Timestamp(300)), "snappy"),
        (Start::Time(Timestamp(301)), "second"),
        (Start::Beginning, "none"),
    ] {
        assert!(consumer.seek(&partition, start));
        assert_eq!(values(&read(&mut consumer, 1).await)[0], first, "{start:?}");
    }
    consumer.seek(&partition, Start::End);
    assert_eq!(consumer.poll_for(Duration::from_millis(50)).await.expect("nothing"), []);
    append(&client, "t", 0, BatchOptions::default(), &[(900, "new")]).await;
    assert_eq!(values(&read(&mut consumer, 1).await), ["new"]);
    // Out of range: as auto.offset.reset says.
    consumer.seek(&partition, Start::At(Offset(1000)));
    assert_eq!(values(&read(&mut consumer, 1).await)[0], "none");
    node.stop().await;
}

#[tokio::test]
async fn many_partitions_are_read_without_loss_under_small_limits() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 5).await;
    let mut expected = BTreeSet::new();
    for round in 0..20 {
        for partition in 0..5 {
            let value = format!("{partition}/{round}/{}", "x".repeat(200));
            append(&client, "t", partition, BatchOptions::default(), &[(1, &value), (2, &value)]).await;
            expected.insert(value);
        }
    }
    let limits = [("max.partition.fetch.bytes", "700"), ("fetch.max.bytes", "2000"), ("max.poll.records", "7")];
    let mut consumer = consumer(&node, &limits);
    consumer.assign((0..5).map(|partition| (TopicPartition::new("t", partition), Start::Beginning)));
    let records = read(&mut consumer, 200).await;
    assert_eq!(records.len(), 200);
    assert_eq!(values(&records).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    for partition in 0..5 {
        let of_it = records.iter().filter(|record| record.partition == partition);
        let offsets: Vec<i64> = of_it.map(|record| record.offset.0).collect();
        assert_eq!(offsets, (0..40).collect::<Vec<i64>>());
    }
    node.stop().await;
}

#[tokio::test]
async fn offsets_are_looked_up_by_what_they_are() {
    let node = Running::start().await;
    let client = node.client();
    create(&client, "t", 2).await;
    append(&client, "t", 0, BatchOptions::default(), &[(10, "a"), (30, "b"), (20, "c")]).await;
    let (zero, missing) = (TopicPartition::new("t", 0), TopicPartition::new("t", 7));
    let specs = [
        OffsetSpec::Earliest,
        OffsetSpec::Latest,
        OffsetSpec::MaxTimestamp,
        OffsetSpec::At(Timestamp(11)),
        OffsetSpec::At(Timestamp(31)),
    ];
    let mut offsets = Vec::new();
    for spec in specs {
        let listed = client.list_offsets(&[(zero.clone(), spec)], Isolation::ReadUncommitted, soon()).await;
        offsets.push(listed.expect("an answer")[0].expect("an offset").offset.map(|offset| offset.0));
    }
    assert_eq!(offsets, [Some(0), Some(3), Some(1), Some(1), None]);
    let deadline = thalweg_sys::time::now() + Duration::from_millis(300);
    let listed = client.list_offsets(&[(missing, OffsetSpec::Latest)], Isolation::ReadUncommitted, deadline).await;
    assert_eq!(listed.expect("an answer")[0], Err(thalweg_wire::ErrorCode::UnknownTopicOrPartition));
    node.stop().await;
}
