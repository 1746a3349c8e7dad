//! A search and what it has found.

use askama::Template;
use thalweg_client::ConsumerRecord;

use super::Frame;
use super::messages::MessageRow;
use crate::Format;
use crate::kafka::{Hunt, Topic};
use crate::text;
use crate::values::Formats;

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
    pub(crate) place: &'static str,
    pub(crate) header: String,
    pub(crate) json: String,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    /// All of it as an address has it.
    pub(crate) fields: String,
    /// The fields that are filled in, by name.
    pub(crate) filled: Vec<(&'static str, String)>,
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
    base: String,
    messages: Vec<MessageRow>,
}

/// What one page of a search took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Took {
    pub(crate) ms: u128,
    /// The bytes of keys, values and headers that it read.
    pub(crate) bytes: u64,
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
    aborted: String,
    markers: String,
    compacted: String,
    is_complete: bool,
}

/// A record that a script adds to the page.
#[derive(Template)]
#[template(path = "message_list.html")]
pub(crate) struct Found {
    /// What stands before every path.
    base: String,
    messages: Vec<MessageRow>,
}

impl Found {
    /// These records, as items of a list.
    pub(crate) fn new(base: &str, records: &[ConsumerRecord], formats: &Formats) -> Self {
        Self {
            base: base.to_owned(),
            messages: records.iter().map(|record| MessageRow::new(record, formats)).collect(),
        }
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
            base: found.base,
            messages: found.messages,
        }
    }
}

impl Outcome {
    /// What a search has come to. `took` is what its last page took, `go_on` where it goes on, if not everything was read.
    pub(crate) fn new(hunt: &Hunt, took: Took, go_on: String) -> Self {
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
        let rate = u128::from(took.bytes) * 1000 / took.ms.max(1);
        let numbers = format!(
            "{} records, {} of keys, values and headers; this page took {} ms, {} a second",
            text::number(hunt.records()),
            text::size(bytes),
            took.ms,
            text::size(i64::try_from(rate).unwrap_or(i64::MAX)),
        );
        let row = |(id, span): (&i32, &crate::kafka::Span)| SpanRow {
            partition: *id,
            from: text::number(span.from),
            end: text::number(span.end),
            at: text::number(span.at),
            records: text::number(span.records),
            aborted: text::number(span.aborted),
            markers: text::number(span.markers),
            compacted: text::number(span.compacted()),
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
