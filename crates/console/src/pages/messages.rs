//! Records of a partition.

use askama::Template;
use serde::Deserialize;
use thalweg_client::ConsumerRecord;
use thalweg_records::TimestampType;

use super::Frame;
use crate::Format;
use crate::kafka::{Read, Topic};
use crate::text;
use crate::values::{Formats, Shown};

/// So many bytes of one key or value are shown on a page.
const SHOWN_BYTES_MAX: usize = 64 << 10;
/// So many bytes of one header.
const HEADER_BYTES_MAX: usize = 4 << 10;

/// Which records are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessagesQuery {
    pub(crate) partition: Option<i32>,
    pub(crate) offset: Option<i64>,
    pub(crate) count: Option<i64>,
    pub(crate) format: Option<String>,
    pub(crate) key_format: Option<String>,
}

impl MessagesQuery {
    /// So many records at most on one page, as in Kafdrop.
    pub(crate) const COUNT_MAX: i64 = 100;
}

/// Records of a partition, from an offset on.
#[derive(Template)]
#[template(path = "messages.html")]
pub(crate) struct MessagesPage {
    base: String,
    frame: Frame,
    name: String,
    part: String,
    partitions: Vec<i32>,
    partition: i32,
    offset: i64,
    count: i64,
    count_max: i64,
    formats: Vec<&'static str>,
    key_format: &'static str,
    value_format: &'static str,
    first: String,
    end: String,
    said: Option<String>,
    messages: Vec<MessageRow>,
    older: Option<String>,
    newer: Option<String>,
    newest: Option<String>,
}

/// A record.
pub(super) struct MessageRow {
    /// The topic's name, as a part of an address.
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp: String,
    pub(super) timestamp_type: &'static str,
    pub(super) size: String,
    pub(super) key: Shown,
    pub(super) headers: Vec<(String, String)>,
    pub(super) value: Shown,
    pub(super) value_size: String,
}

/// What a page of records is made of.
pub(crate) struct Asked {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) count: i64,
    pub(crate) formats: Formats,
}

impl MessagesPage {
    /// What was read; `said` is what is to be said about it.
    pub(crate) fn new(
        frame: Frame,
        name: &str,
        topic: &Topic,
        asked: &Asked,
        read: &Read,
        said: Option<String>,
    ) -> Self {
        let (part, range) = (text::part(name), read.range);
        let link = |offset: i64| {
            let (key, value) = (asked.formats.key.name(), asked.formats.value.name());
            format!(
                "{}/topic/{part}/messages?partition={}&offset={}&count={}&keyFormat={key}&format={value}",
                frame.base,
                asked.partition,
                offset.clamp(range.first, range.end.max(range.first)),
                asked.count
            )
        };
        let newest = range.end - asked.count;
        Self {
            older: (asked.offset > range.first).then(|| link(asked.offset - asked.count)),
            newer: (read.next < range.end).then(|| link(read.next)),
            newest: (range.len() > 0 && asked.offset < newest).then(|| link(newest)),
            name: name.to_owned(),
            partitions: topic.partitions.iter().map(|partition| partition.id).collect(),
            partition: asked.partition,
            offset: asked.offset,
            count: asked.count,
            count_max: MessagesQuery::COUNT_MAX,
            formats: Format::ALL.iter().map(|format| format.name()).collect(),
            key_format: asked.formats.key.name(),
            value_format: asked.formats.value.name(),
            first: text::number(range.first),
            end: text::number(range.end),
            said,
            messages: read.records.iter().map(|record| MessageRow::new(record, &asked.formats)).collect(),
            part,
            base: frame.base.clone(),
            frame,
        }
    }
}

impl MessageRow {
    pub(super) fn new(record: &ConsumerRecord, formats: &Formats) -> Self {
        let (key, value) = formats.shown(record, SHOWN_BYTES_MAX);
        let bytes = record.value.as_ref().map_or(0, bytes::Bytes::len);
        let header = |header: &thalweg_records::RecordHeader| {
            let name = String::from_utf8_lossy(&header.key).into_owned();
            let value = Shown::new(Format::Default, header.value.as_deref(), HEADER_BYTES_MAX);
            (name, value.text.unwrap_or_else(|| "null".to_owned()))
        };
        let size = i64::try_from(crate::kafka::bytes_of(record)).unwrap_or(i64::MAX);
        Self {
            topic: text::part(&record.topic),
            partition: record.partition,
            offset: record.offset.0,
            timestamp: text::time(record.timestamp.0),
            timestamp_type: match record.timestamp_type {
                TimestampType::CreateTime => "create time",
                TimestampType::LogAppendTime => "append time",
            },
            size: text::size(size),
            key,
            headers: record.headers.iter().map(header).collect(),
            value,
            value_size: text::size(i64::try_from(bytes).unwrap_or(i64::MAX)),
        }
    }
}

/// Records of all partitions, by time.
#[derive(Template)]
#[template(path = "all_messages.html")]
pub(crate) struct AllMessagesPage {
    base: String,
    frame: Frame,
    name: String,
    part: String,
    partitions: usize,
    count: usize,
    count_max: usize,
    newest: bool,
    is_cut: bool,
    messages: Vec<MessageRow>,
}

/// Records of all partitions, and how they were chosen.
pub(crate) struct AllMessages<'a> {
    pub(crate) count: usize,
    pub(crate) count_max: usize,
    pub(crate) newest: bool,
    /// Whether there was no room for more.
    pub(crate) is_cut: bool,
    pub(crate) records: &'a [&'a ConsumerRecord],
    pub(crate) formats: &'a Formats,
}

impl AllMessagesPage {
    /// What was read of a topic.
    pub(crate) fn new(frame: Frame, name: &str, topic: &Topic, list: &AllMessages<'_>) -> Self {
        Self {
            base: frame.base.clone(),
            frame,
            name: name.to_owned(),
            part: text::part(name),
            partitions: topic.partitions.len(),
            count: list.count,
            count_max: list.count_max,
            newest: list.newest,
            is_cut: list.is_cut,
            messages: list.records.iter().map(|record| MessageRow::new(record, list.formats)).collect(),
        }
    }
}
