//! The newest records of a topic.

use askama::Template;

use super::Frame;
use super::messages::MessageRow;
use crate::Format;
use crate::kafka::{Newest, Topic};
use crate::text;
use crate::values::Formats;

/// The newest records of all partitions, or those before them.
#[derive(Template)]
#[template(path = "newest.html")]
pub(crate) struct NewestPage {
    base: String,
    frame: Frame,
    name: String,
    part: String,
    partitions: usize,
    count: i64,
    formats: Vec<&'static str>,
    key_format: &'static str,
    value_format: &'static str,
    messages: Vec<MessageRow>,
    older: Option<String>,
}

impl NewestPage {
    pub(crate) fn new(frame: Frame, name: &str, topic: &Topic, count: i64, newest: &Newest, formats: &Formats) -> Self {
        let (base, part) = (frame.base.clone(), text::part(name));
        let (key, value) = (formats.key.name(), formats.value.name());
        let link = |cursor: &crate::kafka::Cursor| {
            format!("{base}/topic/{part}/newest?count={count}&keyFormat={key}&format={value}&cursor={cursor}")
        };
        Self {
            older: newest.older.as_ref().map(link),
            base,
            frame,
            name: name.to_owned(),
            part,
            partitions: topic.partitions.len(),
            count,
            formats: Format::ALL.iter().map(|format| format.name()).collect(),
            key_format: key,
            value_format: value,
            messages: newest.records.iter().map(|record| MessageRow::new(record, formats)).collect(),
        }
    }
}
