//! A search and what it has found.

use askama::Template;
use thalweg_client::ConsumerRecord;

use super::Frame;
use super::messages::MessageRow;
use crate::Format;
use crate::kafka::{Hunt, Topic};
use crate::text;

/// What a search is asked for, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchForm {
    pub(crate) text: String,
    pub(crate) is_regex: bool,
    /// -1 for all.
    pub(crate) partition: i32,
    pub(crate) count: usize,
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) keys: String,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
}

/// A search and what it has found.
#[derive(Template)]
#[template(path = "search.html")]
pub(crate) struct SearchPage {
    frame: Frame,
    name: String,
    part: String,
    partitions: Vec<i32>,
    form: SearchForm,
    formats: Vec<&'static str>,
    outcome: Option<Outcome>,
    messages: Vec<MessageRow>,
}

/// How far a search has come.
#[derive(Template)]
#[template(path = "outcome.html")]
pub(crate) struct Outcome {
    verdict: String,
    is_complete: bool,
    read: i64,
    all: i64,
    numbers: String,
    rows: Vec<SpanRow>,
    /// Where to go on.
    go_on: Option<String>,
    /// Whether it goes on by itself, where there is a script.
    is_open: bool,
}

struct SpanRow {
    partition: i32,
    from: String,
    end: String,
    at: String,
    records: String,
    without: String,
    is_complete: bool,
}

/// A record that a script adds to the page.
#[derive(Template)]
#[template(path = "message_list.html")]
pub(crate) struct Found {
    messages: Vec<MessageRow>,
}

impl Found {
    pub(crate) fn new(records: &[ConsumerRecord], key: Format, value: Format) -> Self {
        Self { messages: records.iter().map(|record| MessageRow::new(record, key, value)).collect() }
    }
}

impl SearchPage {
    pub(crate) fn new(
        frame: Frame,
        name: &str,
        topic: &Topic,
        form: SearchForm,
        outcome: Option<Outcome>,
        found: Found,
    ) -> Self {
        Self {
            frame,
            name: name.to_owned(),
            part: text::part(name),
            partitions: topic.partitions.iter().map(|partition| partition.id).collect(),
            form,
            formats: Format::ALL.iter().map(|format| format.name()).collect(),
            outcome,
            messages: found.messages,
        }
    }
}

impl Outcome {
    /// What a search has come to. `go_on` is where it goes on, if not everything was read.
    pub(crate) fn new(hunt: &Hunt, took_ms: u64, go_on: String) -> Self {
        let (all, read) = hunt.offsets();
        let (found, is_complete) = (hunt.found(), hunt.is_complete());
        let verdict = match (is_complete, found) {
            (true, 0) => "Nothing found, and every offset was read.".to_owned(),
            (true, found) => format!("{} found, and every offset was read.", text::count(found)),
            (false, found) if hunt.is_over() => {
                format!("{} found: as many as were asked for. The rest was not read.", text::count(found))
            }
            (false, found) => format!("{} found so far. Not everything has been read yet.", text::count(found)),
        };
        let bytes = i64::try_from(hunt.bytes()).unwrap_or(i64::MAX);
        let numbers = format!(
            "{} records, {} of keys, values and headers; this page took {took_ms} ms",
            text::number(hunt.records()),
            text::size(bytes)
        );
        let row = |(id, span): (&i32, &crate::kafka::Span)| SpanRow {
            partition: *id,
            from: text::number(span.from),
            end: text::number(span.end),
            at: text::number(span.at),
            records: text::number(span.records),
            without: text::number(span.without_record()),
            is_complete: span.at >= span.end,
        };
        let rows = hunt.spans().iter().map(row).collect();
        Self {
            verdict,
            is_complete,
            read,
            all,
            numbers,
            rows,
            go_on: (!is_complete).then_some(go_on),
            is_open: !hunt.is_over(),
        }
    }
}
