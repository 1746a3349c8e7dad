//! `/topic/{name}/download`: records as a file, written while they are read.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Serialize;
use thalweg_client::ConsumerRecord;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now};

use super::super::stream::{Broken, Sender, streamed};
use super::super::{Wants, troubled};
use super::search::{SearchQuery, formats, hunt};
use super::{Console, queried};
use crate::kafka::Chase;
use crate::text;
use crate::trouble::Trouble;
use crate::values::Formats;

/// A download ends, cut off, after so long; the server would end it soon after.
const TIME_MAX: Duration = Duration::from_secs(9 * 60);
/// A step reads for so long at most before it looks whether anybody still takes the file.
const STEP_TIME_MAX: Duration = Duration::from_secs(2);
/// Records are sent on in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// How records are written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A JSON document on each line.
    JsonLines,
    /// A head and a line for each record, with commas (RFC 4180).
    Csv,
    /// The values alone, each with a line's end behind it.
    Raw,
}

impl Form {
    fn of_name(name: Option<&str>) -> Result<Self, Trouble> {
        match name.unwrap_or("jsonl") {
            "jsonl" => Ok(Self::JsonLines),
            "csv" => Ok(Self::Csv),
            "raw" => Ok(Self::Raw),
            other => Err(Trouble::Bad(format!("`{other}` is no form of a file: jsonl, csv or raw"))),
        }
    }

    /// The kind of its content, and how the names of such files end.
    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Self::JsonLines => ("application/x-ndjson", "jsonl"),
            Self::Csv => ("text/csv; charset=utf-8", "csv"),
            Self::Raw => ("application/octet-stream", "bin"),
        }
    }
}

/// A line of a JSON file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: String,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl Form {
    fn write(self, record: &ConsumerRecord, formats: &Formats, out: &mut Vec<u8>) {
        if self == Self::Raw {
            out.extend_from_slice(record.value.as_deref().unwrap_or_default());
            out.push(b'\n');
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = record.headers.iter().map(|header| (text(&header.key), header.value.as_deref().map(text)));
        let (key, value) = formats.texts(record);
        let line = Line {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset.0,
            timestamp: text::time(record.timestamp.0),
            key,
            value,
            headers: headers.collect(),
        };
        if self == Self::JsonLines {
            // It writes to memory, and has nothing that JSON has no form for.
            let _ = serde_json::to_writer(&mut *out, &line);
            out.push(b'\n');
            return;
        }
        let headers: Vec<String> = line
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or_default()))
            .collect();
        let fields = [
            line.partition.to_string(),
            line.offset.to_string(),
            line.timestamp,
            line.key.unwrap_or_default(),
            line.value.unwrap_or_default(),
            headers.join(";"),
        ];
        let quoted: Vec<String> = fields.iter().map(|field| csv_field(field)).collect();
        out.extend_from_slice(quoted.join(",").as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// A field of a CSV file, in quotes where it needs some.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// The records that a search finds, as a file: all of them, however many there are.
pub(super) async fn file(
    State(shared): Console,
    headers: HeaderMap,
    Path(name): Path<String>,
    query: Result<Query<SearchQuery>, QueryRejection>,
) -> Response {
    let begun = async {
        let query = queried(query)?;
        let form = Form::of_name(query.file_form())?;
        let formats = formats(&shared, &name, &query)?;
        let hunt = hunt(&shared, &name, &query, usize::MAX).await?;
        let chase = shared.kafka.long_chase(&name, hunt, formats).await?;
        Ok((form, chase))
    };
    let (form, chase) = match begun.await {
        Ok(begun) => begun,
        Err(trouble) => return troubled(&trouble, Wants::of(&headers, Wants::Html), &shared.frame(&headers)),
    };
    let (kind, ending) = form.kind();
    let (mut response, sender) = streamed(kind);
    let disposition = format!("attachment; filename=\"{}.{ending}\"", text::part(&name));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    task::spawn(write_all(chase, form, sender));
    response.into_response()
}

/// Writes all that is found, until it is over or nobody takes it any more.
async fn write_all(mut chase: Chase, form: Form, sender: Sender) {
    let end = now() + TIME_MAX;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    if form == Form::Csv {
        piece.extend_from_slice(b"partition,offset,timestamp,key,value,headers\r\n");
    }
    while !chase.hunt.is_over() && !sender.is_closed() {
        if now() >= end {
            // Cut off, it cannot be taken for the whole.
            let _ = sender.send(Err(Broken("the file took too long".to_owned()))).await;
            return;
        }
        match chase.step(end.min(now() + STEP_TIME_MAX)).await {
            Ok(found) => {
                for record in &found {
                    form.write(record, &chase.formats, &mut piece);
                    if piece.len() >= PIECE_BYTES
                        && sender.send(Ok(Bytes::from(std::mem::take(&mut piece)))).await.is_err()
                    {
                        return;
                    }
                }
            }
            Err(trouble) => {
                let _ = sender.send(Err(Broken(trouble.to_string()))).await;
                return;
            }
        }
    }
    // Whoever has gone does not miss the last piece.
    let _ = sender.send(Ok(Bytes::from(piece))).await;
}

#[cfg(test)]
mod tests {
    use thalweg_base::{LeaderEpoch, Offset, Timestamp};
    use thalweg_records::TimestampType;

    use super::*;
    use crate::Format;

    #[test]
    fn records_are_written_in_each_form() {
        let record = ConsumerRecord {
            topic: "t".into(),
            partition: 1,
            offset: Offset(7),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(0),
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(Bytes::from_static(b"a \"b\", c")),
            headers: Vec::new(),
        };
        let written = |form: Form| {
            let mut out = Vec::new();
            let formats = Formats::new("t", Format::Default, Format::Default, None).expect("formats");
            form.write(&record, &formats, &mut out);
            String::from_utf8(out).expect("text")
        };
        assert_eq!(written(Form::Raw), "a \"b\", c\n");
        assert_eq!(written(Form::Csv), "1,7,1970-01-01T00:00:00.000Z,,\"a \"\"b\"\", c\",\r\n");
        let line: serde_json::Value = serde_json::from_str(&written(Form::JsonLines)).expect("a document");
        assert_eq!((&line["value"], &line["key"]), (&"a \"b\", c".into(), &serde_json::Value::Null));
    }
}
