//! `/topic/{name}/search-messages`: searching records.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use thalweg_client::ConsumerRecord;
use thalweg_sys::time::{Duration, now};

use super::super::{Answer, Wants};
use super::messages::{self, format};
use super::{Console, answered, queried, time};
use crate::console::Shared;
use crate::kafdrop::Message;
use crate::kafka::{Chase, Cursor, Hunt, JsonCondition, Needle, Place};
use crate::pages::{Found, Outcome, SearchForm, SearchPage, Took};
use crate::text;
use crate::trouble::Trouble;
use crate::values::Formats;

/// A page comes after so long, with what was found until then; the search goes on from there.
const PAGE_TIME_MAX: Duration = Duration::from_secs(2);
/// A document comes after so long, and says that it has not read everything.
const DOCUMENT_TIME_MAX: Duration = Duration::from_secs(50);
/// So many records can be asked for at once, as in Kafdrop.
const FOUND_MAX: usize = 1000;
/// What is found is held until it is shown: no more than so many bytes of it.
const FOUND_BYTES_MAX: usize = 32 << 20;

/// What is asked for, under Kafdrop's names: in an address, or in a JSON document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SearchQuery {
    search_text: Option<String>,
    maximum_count: Option<i64>,
    partition: Option<i32>,
    format: Option<String>,
    key_format: Option<String>,
    start_timestamp: Option<String>,
    end_timestamp: Option<String>,
    keys: Option<Keys>,
    regex: Option<String>,
    /// Where the text is looked for: `any`, `key`, `value` or `headers`.
    r#in: Option<String>,
    /// A header that records must have: `name`, or `name=value`.
    header: Option<String>,
    /// A condition on values that are JSON.
    json: Option<String>,
    /// Set by the page's own form.
    search: Option<String>,
    /// Where an earlier search of the same stopped.
    cursor: Option<String>,
    /// How a file of what is found is written.
    r#as: Option<String>,
}

/// Keys with commas between, or as a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Keys {
    Text(String),
    List(Vec<String>),
}

impl Keys {
    fn list(&self) -> Vec<String> {
        match self {
            Self::Text(text) => {
                text.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect()
            }
            Self::List(keys) => keys.clone(),
        }
    }
}

/// What was typed into a field; `None` if nothing was.
fn typed(field: Option<&String>) -> Option<&str> {
    field.map(|typed| typed.trim()).filter(|typed| !typed.is_empty())
}

impl SearchQuery {
    fn found_max(&self, otherwise: usize) -> Result<usize, Trouble> {
        let Some(count) = self.maximum_count else { return Ok(otherwise) };
        let count = usize::try_from(count).ok().filter(|count| (1..=FOUND_MAX).contains(count));
        count.ok_or_else(|| Trouble::Bad(format!("maximumCount must be between 1 and {FOUND_MAX}")))
    }

    pub(super) fn only_partition(&self) -> Option<i32> {
        self.partition.filter(|id| *id >= 0)
    }

    fn time(field: Option<&String>) -> Result<Option<i64>, Trouble> {
        typed(field).map(time).transpose()
    }

    pub(super) fn needle(&self) -> Result<Needle, Trouble> {
        let text = self.search_text.as_deref().unwrap_or_default();
        let needle = Needle::new(text, self.regex.is_some())?;
        let keys = self.keys.as_ref().map(Keys::list).unwrap_or_default();
        let place = typed(self.r#in.as_ref()).map_or(Ok(Place::default()), Place::of_name)?;
        let json = typed(self.json.as_ref()).map(str::parse::<JsonCondition>).transpose()?;
        let (since, until) = (Self::time(self.start_timestamp.as_ref())?, Self::time(self.end_timestamp.as_ref())?);
        let needle = needle.in_place(place).with_keys(keys).with_header(typed(self.header.as_ref())).with_json(json);
        Ok(needle.between(since, until))
    }

    fn cursor(&self) -> Result<Option<Cursor>, Trouble> {
        self.cursor.as_deref().filter(|text| !text.is_empty()).map(str::parse).transpose()
    }

    /// The form in which a file of what is found is written.
    pub(super) fn file_form(&self) -> Option<&str> {
        typed(self.r#as.as_ref())
    }

    /// The page's form as it was filled in.
    pub(super) fn form(&self, shared: &Shared) -> Result<SearchForm, Trouble> {
        let key = format(self.key_format.as_deref(), shared.settings.key_format)?;
        let value = format(self.format.as_deref(), shared.settings.format)?;
        Ok(SearchForm {
            text: self.search_text.clone().unwrap_or_default(),
            is_regex: self.regex.is_some(),
            partition: self.only_partition().unwrap_or(-1),
            count: self.found_max(100)?,
            since: self.start_timestamp.clone().unwrap_or_default(),
            until: self.end_timestamp.clone().unwrap_or_default(),
            keys: self.keys.as_ref().map(|keys| keys.list().join(",")).unwrap_or_default(),
            place: typed(self.r#in.as_ref()).map_or(Ok(Place::default()), Place::of_name)?.name(),
            header: self.header.clone().unwrap_or_default(),
            json: self.json.clone().unwrap_or_default(),
            key: key.name(),
            value: value.name(),
            fields: self.fields(),
            filled: self.filled(),
        })
    }

    /// The fields that say what is looked for.
    fn filled(&self) -> Vec<(&'static str, String)> {
        let keys = self.keys.as_ref().map(|keys| keys.list().join(","));
        let fields = [
            ("searchText", self.search_text.clone()),
            ("maximumCount", self.maximum_count.map(|count| count.to_string())),
            ("partition", self.partition.map(|id| id.to_string())),
            ("format", self.format.clone()),
            ("keyFormat", self.key_format.clone()),
            ("startTimestamp", self.start_timestamp.clone()),
            ("endTimestamp", self.end_timestamp.clone()),
            ("keys", keys),
            ("regex", self.regex.clone()),
            ("in", self.r#in.clone()),
            ("header", self.header.clone()),
            ("json", self.json.clone()),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.filter(|it| !it.is_empty())?))).collect()
    }

    /// The fields that say what is looked for, as an address has them.
    fn fields(&self) -> String {
        let fields = self.filled();
        fields.iter().map(|(name, value)| format!("{name}={}", text::part(value))).collect::<Vec<_>>().join("&")
    }

    /// The address of this search from where `hunt` has come to.
    fn address(&self, path: &str, hunt: &Hunt) -> String {
        format!("{path}?{}&search=true&cursor={}", self.fields(), hunt.cursor())
    }
}

/// A search of a topic that has not begun.
pub(super) async fn hunt(shared: &Shared, name: &str, query: &SearchQuery, found_max: usize) -> Result<Hunt, Trouble> {
    let needle = query.needle()?;
    if let Some(cursor) = query.cursor()? {
        shared.kafka.snapshot_with(name).await?;
        return Ok(Hunt::resumed(needle, found_max, cursor));
    }
    let since = SearchQuery::time(query.start_timestamp.as_ref())?;
    let snapshot = shared.kafka.snapshot_with(name).await?;
    let spans = shared.kafka.spans(&snapshot, name, query.only_partition(), since).await?;
    Ok(Hunt::new(needle, found_max, spans))
}

/// Searches until it is over, or time is.
async fn search(
    shared: &Shared,
    name: &str,
    (hunt, formats): (Hunt, Formats),
    time_max: Duration,
) -> Result<(Chase, Vec<ConsumerRecord>), Trouble> {
    let deadline = now() + time_max;
    let mut chase = shared.kafka.chase(name, hunt, formats).await?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while !chase.hunt.is_over() && now() < deadline && bytes < FOUND_BYTES_MAX {
        let more = chase.step(deadline).await?;
        bytes += more.iter().map(crate::kafka::bytes_of).sum::<usize>();
        found.extend(more);
    }
    found.sort_by_key(|record| (record.timestamp, record.partition, record.offset));
    Ok((chase, found))
}

/// The page: the form, and what the search has found within two seconds.
pub(super) async fn form(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let query = queried(query)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let topic = snapshot.topic(&name)?;
        let formats = formats(&shared, &name, &query)?;
        let form = query.form(&shared)?;
        let tool = format!("--topic {} --from-beginning", text::shell(&name));
        let file = format!("/topic/{}/download?as=jsonl&{}", text::part(&name), form.fields);
        let frame = shared.frame(&headers).at("topics");
        let frame = frame.with_tool("kafka-console-consumer.sh", &tool).with_curl(&file);
        if query.search.is_none() && form.text.is_empty() {
            let found = Found::new(&shared.base, &[], &formats);
            return Ok(Answer::page(&SearchPage::new(frame, &name, topic, form, None, found)));
        }
        let began = now();
        let hunt = hunt(&shared, &name, &query, form.count).await?;
        let bytes_before = hunt.bytes();
        let (chase, records) = search(&shared, &name, (hunt, formats), PAGE_TIME_MAX).await?;
        let hunt = &chase.hunt;
        let took = Took { ms: began.elapsed().as_millis(), bytes: hunt.bytes().saturating_sub(bytes_before) };
        let path = format!("{}/topic/{}/search-messages", shared.base, text::part(&name));
        let go_on = query.address(&path, hunt);
        let outcome = Outcome::new(hunt, took, go_on);
        Ok(Answer::page(&SearchPage::new(
            frame,
            &name,
            topic,
            form,
            Some(outcome),
            Found::new(&shared.base, &records, &chase.formats),
        )))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

pub(super) fn formats(shared: &Shared, name: &str, query: &SearchQuery) -> Result<Formats, Trouble> {
    messages::formats(shared, name, query.key_format.as_deref(), query.format.as_deref())
}

/// Kafdrop's document: a search as JSON, answered when it is over.
pub(super) async fn document(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    body: Result<axum::Json<SearchQuery>, JsonRejection>,
) -> Response {
    let work = async {
        let axum::Json(query) = body.map_err(|e| Trouble::Bad(e.body_text()))?;
        let formats = formats(&shared, &name, &query)?;
        let hunt = hunt(&shared, &name, &query, query.found_max(FOUND_MAX)?).await?;
        let (chase, records) = search(&shared, &name, (hunt, formats), DOCUMENT_TIME_MAX).await?;
        let messages: Vec<Message> = records.iter().map(|record| Message::new(record, &chase.formats)).collect();
        Ok(Answer::json(&serde_json::json!({ "messages": messages, "completionDetails": details(&chase.hunt) })))
    };
    answered(&shared, &headers, Wants::Json, work).await
}

/// How a search has ended, in Kafdrop's words where they are true.
fn details(hunt: &Hunt) -> String {
    let scanned = hunt.records();
    if hunt.is_complete() {
        return format!(
            "Search reached the end of the topic before finding requested number of results.  Scanned {scanned} messages."
        );
    }
    if hunt.is_over() {
        return format!("Search completed after finding requested number of results.  Scanned {scanned} messages.");
    }
    let last = hunt.last_ms().map(text::time).unwrap_or_default();
    format!(
        "Search timed out after scanning {scanned} messages. Last scanned message timestamp was {last}. \
         Adjust your time span for more results."
    )
}
