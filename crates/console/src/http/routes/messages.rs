//! `/topic/{name}/messages`: records.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use thalweg_base::TopicPartition;

use super::super::{Answer, Wants};
use super::{Console, answered, queried};
use crate::Format;
use crate::console::Shared;
use crate::kafdrop::{self, Message};
use crate::kafka::{Read, ReadLimits, Turn};
use crate::pages::{AllMessages, AllMessagesPage, Asked, MessagesPage, MessagesQuery};
use crate::text;
use crate::trouble::Trouble;
use crate::values::Formats;

/// No further record is read for a page or a document once there are so many bytes.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Kafdrop has no limit for JSON.
const JSON_COUNT_MAX: i64 = 10_000;

/// Records of a partition, or where the partitions begin and end.
pub(super) async fn of_partition(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<MessagesQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let query = queried(query)?;
        match Wants::of(&headers, Wants::Html) {
            Wants::Json => document(&shared, &name, &query).await,
            Wants::Html => page(&shared, &headers, &name, &query).await,
        }
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// Which records of all partitions are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct AllQuery {
    count: Option<i64>,
    which: Option<String>,
}

/// So many records of each partition.
const ALL_COUNT_MAX: usize = 1000;
/// And so many in all on a page.
const ALL_SHOWN_MAX: usize = 500;

/// Records of all partitions by time: of each the oldest, as in Kafdrop, or the newest.
pub(super) async fn of_all_partitions(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<AllQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let query = queried(query)?;
        let newest = query.which.as_deref() == Some("newest");
        let count = usize::try_from(query.count.unwrap_or(100)).unwrap_or(0).clamp(1, ALL_COUNT_MAX);
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let topic = snapshot.topic(&name)?;
        let mut reads = BTreeMap::new();
        for (partition, range) in topic.partitions.iter().zip(shared.kafka.topic_ranges(&name, topic).await?) {
            let Some(range) = range else { continue };
            let back = i64::try_from(count).unwrap_or(i64::MAX);
            let next = if newest { (range.end - back).max(range.first) } else { range.first };
            reads.insert(TopicPartition::new(&*name, partition.id), Read { records: Vec::new(), next, range });
        }
        let _turn = shared.kafka.read_all(&mut reads, ReadLimits { records: count, bytes: BYTES_MAX }).await?;
        let mut formats = formats(&shared, &name, None, None)?;
        formats.learn(reads.values().flat_map(|read| &read.records)).await;
        let mut records: Vec<_> = reads.values().flat_map(|read| &read.records).collect();
        records.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            let messages = records.iter().map(|record| Message::new(record, &formats));
            return Ok(Answer::json(&messages.collect::<Vec<_>>()));
        }
        let is_cut = records.len() > ALL_SHOWN_MAX;
        if newest {
            records.reverse();
        }
        records.truncate(ALL_SHOWN_MAX);
        let path = format!("/topic/{}/allmessages?count={count}", text::part(&name));
        let frame = shared.frame(&headers).at("topics").with_curl(&path);
        let records = &records;
        let list = AllMessages { count, count_max: ALL_COUNT_MAX, newest, is_cut, records, formats: &formats };
        Ok(Answer::page(&AllMessagesPage::new(frame, &name, topic, &list)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// As Kafdrop: the offsets of all partitions, unless a partition, an offset and a count are named.
async fn document(shared: &Shared, name: &str, query: &MessagesQuery) -> Result<Answer, Trouble> {
    let (Some(partition), Some(offset), Some(count)) = (query.partition, query.offset, query.count) else {
        let snapshot = shared.kafka.snapshot_with(name).await?;
        let topic = snapshot.topic(name)?;
        let ranges = shared.kafka.topic_ranges(name, topic).await?;
        return Ok(Answer::json(&kafdrop::partition_offsets(topic, &ranges)));
    };
    let mut asked = asked(shared, name, query, partition, offset, count.min(JSON_COUNT_MAX))?;
    let (read, _turn) = read(shared, name, &mut asked).await?;
    let messages = read.records.iter().map(|record| Message::new(record, &asked.formats));
    Ok(Answer::json(&messages.collect::<Vec<_>>()))
}

async fn page(shared: &Shared, headers: &HeaderMap, name: &str, query: &MessagesQuery) -> Result<Answer, Trouble> {
    let snapshot = shared.kafka.snapshot_with(name).await?;
    let topic = snapshot.topic(name)?;
    let first = topic.partitions.first().map_or(0, |partition| partition.id);
    let count = query.count.unwrap_or(MessagesQuery::COUNT_MAX).min(MessagesQuery::COUNT_MAX);
    let mut asked = asked(shared, name, query, query.partition.unwrap_or(first), query.offset.unwrap_or(0), count)?;
    let (read, _turn) = read(shared, name, &mut asked).await?;
    let said = (asked.offset < read.range.first && query.offset.is_some())
        .then(|| format!("Offset {} is gone: this begins at the first that is left.", asked.offset));
    asked.offset = asked.offset.max(read.range.first);
    let part = text::part(name);
    let (partition, offset) = (asked.partition, asked.offset);
    let tool =
        format!("--topic {} --partition {partition} --offset {offset} --max-messages {count}", text::shell(name));
    let frame = shared
        .frame(headers)
        .at("topics")
        .with_tool("kafka-console-consumer.sh", &tool)
        .with_curl(&format!("/topic/{part}/messages?partition={partition}&offset={offset}&count={count}"));
    Ok(Answer::page(&MessagesPage::new(frame, name, topic, &asked, &read, said)))
}

fn asked(
    shared: &Shared,
    name: &str,
    query: &MessagesQuery,
    partition: i32,
    offset: i64,
    count: i64,
) -> Result<Asked, Trouble> {
    if partition < 0 || offset < 0 || count < 1 {
        let text = "the partition and the offset must be at least 0, and the count at least 1";
        return Err(Trouble::Bad(text.to_owned()));
    }
    let formats = formats(shared, name, query.key_format.as_deref(), query.format.as_deref())?;
    Ok(Asked { partition, offset, count, formats })
}

async fn read(shared: &Shared, name: &str, asked: &mut Asked) -> Result<(Read, Turn), Trouble> {
    let limits = ReadLimits { records: usize::try_from(asked.count).unwrap_or(1), bytes: BYTES_MAX };
    let (read, turn) = shared.kafka.read(&TopicPartition::new(name, asked.partition), asked.offset, limits).await?;
    asked.formats.learn(&read.records).await;
    Ok((read, turn))
}

/// How records of a topic are shown: in the formats of these names, or those that were set.
pub(super) fn formats(
    shared: &Shared,
    topic: &str,
    key: Option<&str>,
    value: Option<&str>,
) -> Result<Formats, Trouble> {
    let key = format(key, shared.settings.key_format)?;
    let value = format(value, shared.settings.format)?;
    Formats::new(topic, key, value, shared.registry.as_ref()).map_err(Trouble::Bad)
}

/// The format of this name; the one that was set where none is named.
pub(super) fn format(name: Option<&str>, otherwise: Format) -> Result<Format, Trouble> {
    let name = name.filter(|name| !name.is_empty());
    name.map_or(Ok(otherwise), |name| name.parse().map_err(Trouble::Bad))
}
