//! What is known about one offset.

use askama::Template;
use serde_json::{Value, json};
use thalweg_records::control::ControlType;

use super::Frame;
use super::messages::MessageRow;
use crate::kafka::{Fate, Story, StoryFound};
use crate::text;
use crate::values::Formats;

/// What is known about one offset: the record, its batch, and what became of its transaction.
#[derive(Template)]
#[template(path = "record.html")]
pub(crate) struct RecordPage {
    base: String,
    frame: Frame,
    name: String,
    part: String,
    partition: i32,
    offset: i64,
    /// What stands there, in a sentence.
    says: String,
    messages: Vec<MessageRow>,
    /// Names and values of what is known, in the order in which they are shown.
    facts: Vec<(&'static str, String)>,
    previous: Option<i64>,
    next: Option<i64>,
    /// The groups and where they stand; `None` where they were not asked for.
    groups: Option<Vec<GroupRow>>,
}

struct GroupRow {
    id: String,
    part: String,
    offset: String,
    has_passed: bool,
}

impl RecordPage {
    /// `passed` has the offsets of groups in the partition, if they were asked for.
    pub(crate) fn new(
        frame: Frame,
        name: &str,
        partition: i32,
        offset: i64,
        story: &Story,
        formats: &Formats,
        passed: Option<Vec<(String, i64)>>,
    ) -> Self {
        let messages = match &story.found {
            StoryFound::Record(record) => vec![MessageRow::new(record, formats)],
            StoryFound::Control(_) | StoryFound::Gone => Vec::new(),
        };
        let group = |(id, at): (String, i64)| GroupRow {
            part: text::part(&id),
            id,
            offset: text::number(at),
            has_passed: at > offset,
        };
        Self {
            base: frame.base.clone(),
            frame,
            name: name.to_owned(),
            part: text::part(name),
            partition,
            offset,
            says: says(story),
            messages,
            facts: facts(story, offset),
            previous: (offset > story.log_start).then(|| offset - 1),
            next: (offset + 1 < story.high_watermark).then(|| offset + 1),
            groups: passed.map(|groups| groups.into_iter().map(group).collect()),
        }
    }

    /// The same as JSON.
    pub(crate) fn document(&self) -> Value {
        let facts: serde_json::Map<String, Value> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let message = self.messages.first().map(|message| {
            let headers: Vec<Value> =
                message.headers.iter().map(|(name, value)| json!({ "key": name, "value": value })).collect();
            json!({ "key": message.key.text, "value": message.value.text, "headers": headers, "timestamp": message.timestamp })
        });
        let groups = self.groups.as_ref().map(|groups| {
            let group =
                |row: &GroupRow| json!({ "groupId": row.id, "offset": row.offset, "hasPassed": row.has_passed });
            groups.iter().map(group).collect::<Vec<Value>>()
        });
        json!({
            "topic": self.name, "partition": self.partition, "offset": self.offset, "says": self.says,
            "record": message, "facts": facts, "groups": groups,
        })
    }
}

fn says(story: &Story) -> String {
    let text = match (&story.found, story.fate) {
        (StoryFound::Gone, _) => "Nothing stands at this offset any more: it was compacted.",
        (StoryFound::Control(Some(ControlType::Commit)), _) => "The marker of a transaction that was committed.",
        (StoryFound::Control(Some(ControlType::Abort)), _) => "The marker of a transaction that was aborted.",
        (StoryFound::Control(_), _) => "A control record.",
        (StoryFound::Record(_), Fate::None) => "A record outside of transactions.",
        (StoryFound::Record(_), Fate::Open) => {
            "A record of a transaction that is open: readers of committed transactions do not get it yet."
        }
        (StoryFound::Record(_), Fate::Committed) => "A record of a transaction that was committed.",
        (StoryFound::Record(_), Fate::Aborted) => {
            "A record of a transaction that was aborted: readers of committed transactions never get it."
        }
    };
    text.to_owned()
}

fn facts(story: &Story, offset: i64) -> Vec<(&'static str, String)> {
    let batch = &story.batch;
    let compression =
        batch.attributes.compression().map_or("unknown".to_owned(), |compression| compression.name().to_owned());
    let mut facts = vec![
        ("batch", format!("{} to {}", text::number(batch.base_offset.0), text::number(batch.last_offset().0))),
        ("records in the batch", text::number(batch.count)),
        ("bytes of the batch", text::count(batch.size())),
        ("compression", compression),
        ("format", batch.magic.to_string()),
        ("leader epoch", batch.leader_epoch.0.to_string()),
        ("largest timestamp", text::time(batch.max_timestamp.0)),
        ("CRC32C", format!("{:08x}", batch.crc)),
    ];
    if batch.has_producer_id() {
        facts.push(("producer id", batch.producer_id.0.to_string()));
        facts.push(("producer epoch", batch.producer_epoch.0.to_string()));
    }
    if let Some(sequence) = story.sequence(offset).filter(|_| !batch.attributes.is_control()) {
        facts.push(("sequence", sequence.to_string()));
    }
    facts.extend([
        ("transactional", if batch.attributes.is_transactional() { "yes" } else { "no" }.to_owned()),
        ("log start offset", text::number(story.log_start)),
        ("last stable offset", text::number(story.last_stable)),
        ("high watermark", text::number(story.high_watermark)),
    ]);
    facts
}
