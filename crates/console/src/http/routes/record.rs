//! `/topic/{name}/record`: what is known about one offset; and `/topic/{name}/newest`: the newest records.

use std::collections::BTreeMap;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use thalweg_base::TopicPartition;

use super::super::{Answer, Wants};
use super::messages::{BYTES_MAX, formats};
use super::{Console, answered, queried};
use crate::kafdrop::Message;
use crate::kafka::{Cursor, Range, ReadLimits};
use crate::pages::{NewestPage, RecordPage};
use crate::text;
use crate::trouble::Trouble;

/// Which offset is asked for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RecordQuery {
    partition: i32,
    offset: i64,
    /// Whether the groups that have passed it are looked for.
    groups: Option<String>,
}

/// The whole story of an offset.
pub(super) async fn one(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<RecordQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let query = queried(query)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let partition = TopicPartition::new(&*name, query.partition);
        let none = || Trouble::no_partition(&name, query.partition);
        snapshot.topic(&name)?.partition(query.partition).ok_or_else(none)?;
        let story = shared.kafka.story(&partition, query.offset).await?;
        let passed = match query.groups {
            None => None,
            Some(_) => {
                let (groups, _) = shared.kafka.groups(&snapshot).await?;
                let range = Range { first: story.log_start, end: story.last_stable };
                let ranges = BTreeMap::from([(partition.clone(), range)]);
                let progress = shared.kafka.progress_in(&name, &ranges, &groups).await?;
                let offsets = progress.into_iter().filter_map(|(id, it)| Some((id, *it.committed.get(&partition)?)));
                Some(offsets.collect())
            }
        };
        let (partition, offset) = (query.partition, query.offset);
        let tool = format!("--topic {} --partition {partition} --offset {offset} --max-messages 1", text::shell(&name));
        let path = format!("/topic/{}/record?partition={partition}&offset={offset}", text::part(&name));
        let frame = shared.frame(&headers).at("topics").with_tool("kafka-console-consumer.sh", &tool).with_curl(&path);
        let mut formats = formats(&shared, &name, None, None)?;
        formats.learn(story.record()).await;
        let page = RecordPage::new(frame, &name, partition, offset, &story, &formats, passed);
        Ok(Answer::in_form(&headers, &page, || page.document()))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// How many of the newest records, and before which ends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NewestQuery {
    count: Option<i64>,
    cursor: Option<String>,
    format: Option<String>,
    key_format: Option<String>,
}

/// So many records at most.
const COUNT_MAX: i64 = 500;

/// The newest records of all partitions, and with a cursor those before them.
pub(super) async fn newest(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<NewestQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let query = queried(query)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let topic = snapshot.topic(&name)?;
        let count = query.count.unwrap_or(50).clamp(1, COUNT_MAX);
        let mut formats = formats(&shared, &name, query.key_format.as_deref(), query.format.as_deref())?;
        let cursor = query.cursor.as_deref().map(str::parse::<Cursor>).transpose()?;
        let now = shared.kafka.topic_ranges(&name, topic).await?;
        let now = topic.partitions.iter().zip(now).filter_map(|(partition, range)| Some((partition.id, range?)));
        let ends: BTreeMap<i32, Range> = match cursor.as_ref().map(Cursor::ranges) {
            None => now.collect(),
            Some(before) => {
                // An address may say anything: only what there is is read.
                let before = |(id, range): (i32, Range)| {
                    let end = before.get(&id)?.end.clamp(range.first, range.end.max(range.first));
                    Some((id, Range { first: range.first, end }))
                };
                now.filter_map(before).collect()
            }
        };
        let limits = ReadLimits { records: usize::try_from(count).unwrap_or(1), bytes: BYTES_MAX };
        let newest = shared.kafka.newest(&name, ends, limits).await?;
        formats.learn(&newest.records).await;
        if Wants::of(&headers, Wants::Html) == Wants::Json {
            let messages = newest.records.iter().map(|record| Message::new(record, &formats));
            let older = newest.older.as_ref().map(ToString::to_string);
            return Ok(Answer::json(&serde_json::json!({ "messages": messages.collect::<Vec<_>>(), "older": older })));
        }
        let path = format!("/topic/{}/newest?count={count}", text::part(&name));
        let frame = shared.frame(&headers).at("topics").with_curl(&path);
        Ok(Answer::page(&NewestPage::new(frame, &name, topic, count, &newest, &formats)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}
