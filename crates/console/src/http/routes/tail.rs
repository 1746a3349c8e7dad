//! `/topic/{name}/tail`: records as they are written, as server-sent events.

use askama::Template as _;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Serialize;
use thalweg_client::ConsumerRecord;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now};

use super::super::stream::{Sender, streamed};
use super::super::{Answer, Wants, troubled};
use super::search::{SearchQuery, formats};
use super::{Console, answered, queried};
use crate::kafka::{Needle, Tail};
use crate::pages::{Found, TailPage};
use crate::text;
use crate::values::Formats;

/// A tail ends by itself after so long, so that pages that nobody looks at cost nothing.
const TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// Events come so often.
const EVENT_TIME: Duration = Duration::from_millis(500);
/// An event shows so many records; the others are only counted.
const SHOWN_MAX: usize = 10;

/// What an event says.
#[derive(Serialize)]
struct Event {
    /// The records that are shown, as items of the page's list.
    html: String,
    /// How many records were read since the last event,
    seen: usize,
    /// how many of them fit,
    fitting: usize,
    /// how many of those are shown,
    shown: usize,
    /// and how many offsets were leapt over, because records come faster than they can be read.
    skipped: i64,
}

/// The page, which a script fills.
pub(super) async fn page(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Response {
    let work = async {
        let query = queried(query)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let topic = snapshot.topic(&name)?;
        let form = query.form(&shared)?;
        let tool = format!("--topic {}", text::shell(&name));
        let frame = shared.frame(&headers).at("topics").with_tool("kafka-console-consumer.sh", &tool);
        Ok(Answer::page(&TailPage::new(frame, &name, topic, form)))
    };
    answered(&shared, &headers, Wants::Html, work).await
}

/// The events.
pub(super) async fn events(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Response {
    let begun = async {
        let query = queried(query)?;
        let needle = query.needle()?;
        let formats = formats(&shared, &name, &query)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let tail = shared.kafka.tail(&name, snapshot.topic(&name)?, query.only_partition()).await?;
        Ok((tail, needle, formats))
    };
    match begun.await {
        Ok((tail, needle, formats)) => {
            let (response, sender) = streamed("text/event-stream");
            task::spawn(send_all(tail, needle, (shared.base.clone(), formats), sender));
            response.into_response()
        }
        Err(trouble) => troubled(&trouble, Wants::of(&headers, Wants::Json), &shared.frame(&headers)),
    }
}

/// Sends events until nobody listens, or it is time to stop.
async fn send_all(mut tail: Tail, needle: Needle, (base, mut formats): (String, Formats), sender: Sender) {
    let end = now() + TIME_MAX;
    while now() < end && !sender.is_closed() {
        let deadline = now() + EVENT_TIME;
        let mut event = Event { html: String::new(), seen: 0, fitting: 0, shown: 0, skipped: 0 };
        let mut shown: Vec<ConsumerRecord> = Vec::new();
        while now() < deadline {
            let records = match tail.poll(deadline).await {
                Ok(records) => records,
                Err(trouble) => {
                    let _ = sender.send(Ok(said("trouble", &serde_json::json!(trouble.to_string())))).await;
                    return;
                }
            };
            event.seen += records.len();
            formats.learn(&records).await;
            for record in records {
                if !needle.fits(&record, &formats.decoded(&record)) {
                    continue;
                }
                event.fitting += 1;
                if shown.len() < SHOWN_MAX {
                    shown.push(record);
                }
            }
        }
        event.skipped = tail.leap();
        event.shown = shown.len();
        // It writes to a string, and the template calls nothing that may fail.
        event.html = Found::new(&base, &shown, &formats).render().unwrap_or_default();
        if sender.send(Ok(said("records", &event))).await.is_err() {
            return;
        }
    }
    let _ = sender.send(Ok(said("end", &serde_json::json!(null)))).await;
}

/// An event of this name. Its data is JSON, which has no line's end.
fn said(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
