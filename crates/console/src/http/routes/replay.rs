//! `/topic/{name}/replay`: the records that a search finds are written again, to another topic.

use axum::extract::{Path, Query};
use axum::http::Uri;
use axum::response::Response;
use thalweg_client::{ConsumerRecord, ProducerRecord};
use thalweg_sys::time::{Duration, now};

use super::super::{Answer, Wants};
use super::change::{Change, Fields, Sent};
use super::messages::formats;
use super::search::{SearchQuery, hunt};
use super::{answered, operations};
use crate::console::Shared;
use crate::kafka::{Chase, Kafka, bytes_of};
use crate::pages::{Cell, ChangeForm, Plan, Table};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// So many records are written again at most, and so many if nobody says.
const COUNT_MAX: usize = 100_000;
const COUNT: usize = 1000;
/// A dry run looks so long for the records.
const DRY_RUN_TIME_MAX: Duration = Duration::from_secs(5);
/// An answer comes after so long, and says where to go on.
const REPLAY_TIME_MAX: Duration = Duration::from_secs(20);

/// What is to be written where.
struct Order<'a> {
    from: &'a str,
    to: &'a str,
    query: SearchQuery,
    /// No more records than this.
    count: usize,
    /// How many partitions the other topic has, if records stay in the partitions that they are in.
    kept_partitions: Option<usize>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default)]
struct Copied {
    records: usize,
    bytes: usize,
}

impl<'a> Order<'a> {
    async fn of(shared: &Shared, from: &'a str, fields: &'a Fields) -> Result<Self, Trouble> {
        let to = fields.need("to")?;
        if to == from {
            return Err(Trouble::Bad("records cannot be written again to the topic that they come from".to_owned()));
        }
        if shared.kafka.hides(from) {
            return Err(Trouble::Forbidden(format!(
                "parts of the records of {from} are hidden by the console's masks"
            )));
        }
        shared.kafka.snapshot_with(from).await?;
        let snapshot = shared.kafka.snapshot_with(to).await?;
        let partitions = snapshot.topic(to)?.partitions.len();
        let count = fields.get("count").map_or(Ok(COUNT), |_| fields.number("count"))?;
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(Trouble::Bad(format!("count must be between 1 and {COUNT_MAX}")));
        }
        let uri: Uri =
            format!("/?{}", fields.query()).parse().map_err(|_| Trouble::Bad("the form is too long".to_owned()))?;
        let Query(query) = Query::try_from_uri(&uri).map_err(|e| Trouble::Bad(e.body_text()))?;
        let kept_partitions = fields.get("keepPartition").map(|_| partitions);
        Ok(Self { from, to, query, count, kept_partitions })
    }

    async fn chase(&self, shared: &Shared) -> Result<Chase, Trouble> {
        let hunt = hunt(shared, self.from, &self.query, self.count).await?;
        shared.kafka.long_chase(self.from, hunt, formats(shared, self.from, None, None)?).await
    }

    fn copy_of(&self, record: ConsumerRecord) -> Result<ProducerRecord, Trouble> {
        let partition = match self.kept_partitions {
            Some(count) if usize::try_from(record.partition).is_ok_and(|id| id < count) => Some(record.partition),
            Some(_) => return Err(Trouble::no_partition(self.to, record.partition)),
            None => None,
        };
        Ok(ProducerRecord {
            topic: self.to.into(),
            partition,
            // Records of the oldest format have no time.
            timestamp: Some(record.timestamp).filter(|at| at.0 >= 0),
            key: record.key,
            value: record.value,
            headers: record.headers,
        })
    }
}

/// Writes records again, or shows how many.
pub(super) async fn replay(Path(name): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let to = fields.need("to")?;
        let part = text::part(&name);
        let paths = (format!("/topic/{part}/replay"), format!("/topic/{part}/search-messages"));
        let change = Change::begin((&sent, fields), Switch::SendMessages, "write records again", to, paths)?;
        let order = Order::of(shared, &name, fields).await?;
        let mut chase = order.chase(shared).await?;
        if !change.is_confirmed()? {
            let plan = dry_run(&order, &mut chase).await?;
            let frame = shared.frame(headers).at("topics");
            return Ok(change.planned(&plan, frame));
        }
        let mut copied = Copied::default();
        let result = carry_out(shared, &order, &mut chase, &mut copied).await;
        let effect = format!("{} records of {name} were written to {to}.", text::count(copied.records));
        change.audit(&effect, &result);
        if let Err(trouble) = result {
            let text = format!("{effect} Then it failed, and others may have been written: {trouble}");
            return Err(Trouble::Conflict(text));
        }
        let left = order.count.saturating_sub(copied.records);
        let cursor = (!chase.hunt.is_complete() && left > 0).then(|| chase.hunt.cursor().to_string());
        if change.is_for_program() {
            let document = serde_json::json!({
                "done": true,
                "records": copied.records,
                "bytes": copied.bytes,
                "complete": chase.hunt.is_complete(),
                "cursor": cursor,
                "left": left,
            });
            return Ok(Answer::json(&document));
        }
        Ok(Answer::page(&outcome(shared, &sent, &order, (copied, effect), cursor.map(|cursor| (cursor, left)))))
    };
    answered(shared, headers, Wants::Html, work).await
}

/// Counts what would be written.
async fn dry_run(order: &Order<'_>, chase: &mut Chase) -> Result<Plan, Trouble> {
    let (deadline, mut found) = (now() + DRY_RUN_TIME_MAX, Copied::default());
    while !chase.hunt.is_over() && now() < deadline {
        for record in chase.step(deadline).await? {
            found.records += 1;
            found.bytes += bytes_of(&record);
            // Says now what would stop it half way.
            order.copy_of(record)?;
        }
    }
    let at_least = if chase.hunt.is_over() { "" } else { "At least " };
    let mut warnings = Vec::new();
    if !chase.hunt.is_complete() && found.records == order.count {
        warnings.push(format!("There may be more: these are the first {}.", text::count(order.count)));
    }
    Ok(Plan {
        title: format!("Write records again to {}", order.to),
        effect: format!(
            "{at_least}{} records with {} of keys, values and headers are written to {}, with the times that they have now.",
            text::count(found.records),
            text::size(i64::try_from(found.bytes).unwrap_or(i64::MAX)),
            order.to
        ),
        warnings,
        columns: Vec::new(),
        rows: Vec::new(),
    })
}

/// Writes what is found, step by step, until it is over or time is.
async fn carry_out(shared: &Shared, order: &Order<'_>, chase: &mut Chase, copied: &mut Copied) -> Result<(), Trouble> {
    let producer = shared.kafka.producer()?;
    let deadline = now() + REPLAY_TIME_MAX;
    while !chase.hunt.is_over() && now() < deadline {
        let found = chase.step(deadline).await?;
        let (records, bytes) = (found.len(), found.iter().map(bytes_of).sum::<usize>());
        let copies: Vec<ProducerRecord> =
            found.into_iter().map(|record| order.copy_of(record)).collect::<Result<_, _>>()?;
        Kafka::send_all(&producer, copies).await?;
        copied.records += records;
        copied.bytes += bytes;
    }
    Ok(())
}

/// What came of it, and a button that goes on where something is left.
fn outcome(
    shared: &Shared,
    sent: &Sent,
    order: &Order<'_>,
    (copied, effect): (Copied, String),
    left: Option<(String, usize)>,
) -> crate::pages::SheetPage {
    let frame = shared.frame(&sent.headers).at("topics");
    let table = Table {
        title: "Written",
        empty: "",
        columns: operations::columns(&[("topic", "Topic"), ("records", "Records"), ("bytes", "Bytes")]),
        rows: vec![vec![
            Cell::plain(order.to).leading_to(format!("/topic/{}/newest", text::part(order.to))),
            Cell::plain(copied.records),
            Cell::plain(copied.bytes),
        ]],
    };
    let note = match left {
        None => format!("{effect} Nothing is left."),
        Some(_) => format!("{effect} It took its time: go on for the rest."),
    };
    let mut page = operations::sheet(frame, "Records written again", note, vec![table]);
    if let (Some((cursor, left)), Ok(fields)) = (left, sent.fields()) {
        let kept = fields.own().into_iter().filter(|(name, _)| !matches!(*name, "cursor" | "count"));
        let mut all: Vec<(String, String)> = kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        all.extend(
            [("cursor", cursor), ("count", left.to_string()), ("confirm", order.to.to_owned())]
                .map(|(name, value)| (name.to_owned(), value)),
        );
        page.forms.push(ChangeForm {
            action: format!("/topic/{}/replay", text::part(order.from)),
            button: "Go on".to_owned(),
            inputs: Vec::new(),
            fields: all,
        });
    }
    page
}
