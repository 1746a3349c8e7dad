//! Changing a group: its offsets are reset, or it is deleted.

use axum::extract::Path;
use axum::response::Response;
use thalweg_base::TopicPartition;
use thalweg_sys::time::wall_clock_ms;

use super::super::Wants;
use super::change::{Change, Fields, Sent};
use super::{answered, time};
use crate::console::Shared;
use crate::kafka::{GroupKind, Progress, Reset, ResetTo, check_is_empty};
use crate::pages::Plan;
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// So many partitions are reset at once.
const PARTITIONS_MAX: usize = 10_000;

/// Resets offsets, or shows what that would change.
pub(super) async fn reset(Path(id): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let part = text::part(&id);
        let paths = (format!("/consumer/{part}/reset"), format!("/consumer/{part}"));
        let change = Change::begin((&sent, fields), Switch::AlterGroups, "reset offsets", &id, paths)?;
        let to = reset_to(fields)?;
        let group = shared.kafka.group(&id).await?;
        check_is_empty(&id, group.as_ref())?;
        let progress = shared.kafka.progress(&id, group.as_ref()).await?;
        let kind = group.as_ref().map_or(GroupKind::Classic, |group| group.kind);
        let partitions = wanted(shared, fields, &progress).await?;
        if partitions.is_empty() {
            return Err(Trouble::Bad(format!("group {id} has no offsets: name a topic")));
        }
        let resets = shared.kafka.plan_reset(partitions, &progress.committed, to).await?;
        let plan = plan(&id, &resets, &progress);
        if !change.is_confirmed()? {
            let arguments = format!("--group {} {}", text::shell(&id), tool_arguments(fields, to));
            let frame = shared.frame(headers).at("groups").with_tool(kind.tool(), &arguments);
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.reset(&id, kind, &resets).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

fn reset_to(fields: &Fields) -> Result<ResetTo, Trouble> {
    Ok(match fields.need("to")? {
        "earliest" => ResetTo::Earliest,
        "latest" => ResetTo::Latest,
        "offset" => ResetTo::Offset(fields.number("value")?),
        "shift" => ResetTo::Shift(fields.number("value")?),
        "datetime" => ResetTo::Time(time(fields.need("value")?)?),
        "duration" => {
            let typed = fields.need("value")?;
            let ago = text::parse_duration(typed);
            let ago = ago.ok_or_else(|| Trouble::Bad(format!("`{typed}` is no duration such as PT30M, 15m or 7d")))?;
            ResetTo::Time(wall_clock_ms().saturating_sub(ago))
        }
        other => return Err(Trouble::Bad(format!("offsets cannot be reset to `{other}`"))),
    })
}

/// The partitions that are reset: those of one topic, or all in which the group has an offset.
async fn wanted(shared: &Shared, fields: &Fields, progress: &Progress) -> Result<Vec<TopicPartition>, Trouble> {
    let only = match fields.get("partitions") {
        None => None,
        Some(typed) => Some(text::parse_ranges(typed, PARTITIONS_MAX).ok_or_else(|| {
            Trouble::Bad(format!("`{typed}` names no partitions, or more than {PARTITIONS_MAX}; write 0-3, 5"))
        })?),
    };
    let fits = |id: i32| only.as_ref().is_none_or(|only| only.contains(&id));
    let Some(topic) = fields.get("topic") else {
        return Ok(progress.committed.keys().filter(|it| fits(it.partition)).cloned().collect());
    };
    let snapshot = shared.kafka.snapshot_with(topic).await?;
    let ids: Vec<i32> = snapshot.topic(topic)?.partitions.iter().map(|partition| partition.id).collect();
    if let Some(missing) = only.iter().flatten().find(|id| !ids.contains(id)) {
        return Err(Trouble::no_partition(topic, *missing));
    }
    Ok(ids.into_iter().filter(|id| fits(*id)).map(|id| TopicPartition::new(topic, id)).collect())
}

fn plan(id: &str, resets: &[Reset], progress: &Progress) -> Plan {
    let changed = resets.iter().filter(|reset| reset.before != Some(reset.after)).count();
    let row = |reset: &Reset| {
        let number = |number: Option<i64>| number.map_or("none".to_owned(), text::number);
        vec![
            reset.partition.topic.to_string(),
            reset.partition.partition.to_string(),
            number(reset.before),
            text::number(reset.after),
            number(progress.lag(&reset.partition)),
            text::number(reset.end - reset.after),
            reset.note.unwrap_or_default().to_owned(),
        ]
    };
    Plan {
        title: format!("Reset offsets of {id}"),
        effect: format!("The offsets of {} of {} partitions change.", text::count(changed), text::count(resets.len())),
        warnings: Vec::new(),
        columns: vec!["Topic", "Partition", "Offset now", "Offset then", "Lag now", "Lag then", ""],
        rows: resets.iter().map(row).collect(),
    }
}

/// The arguments with which Kafka's tool does the same.
fn tool_arguments(fields: &Fields, to: ResetTo) -> String {
    let scope = match (fields.get("topic"), fields.get("partitions")) {
        (Some(topic), Some(ids)) => format!("--topic {}", text::shell(&format!("{topic}:{}", ids.replace(' ', "")))),
        (Some(topic), None) => format!("--topic {}", text::shell(topic)),
        (None, _) => "--all-topics".to_owned(),
    };
    let to = match to {
        ResetTo::Earliest => "--to-earliest".to_owned(),
        ResetTo::Latest => "--to-latest".to_owned(),
        ResetTo::Offset(offset) => format!("--to-offset {offset}"),
        ResetTo::Shift(by) => format!("--shift-by {by}"),
        ResetTo::Time(ms) => format!("--to-datetime {}", text::time(ms)),
    };
    format!("--reset-offsets {scope} {to} --dry-run")
}

/// Deletes a group, or shows what would go with it.
pub(super) async fn delete(Path(id): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let paths = (format!("/consumer/{}/delete", text::part(&id)), "/consumer".to_owned());
        let change = Change::begin((&sent, fields), Switch::AlterGroups, "delete a group", &id, paths)?;
        let group = shared.kafka.group(&id).await?;
        let progress = shared.kafka.progress(&id, group.as_ref()).await?;
        if group.is_none() && progress.committed.is_empty() {
            return Err(Trouble::NotFound(format!("there is no group {id}")));
        }
        check_is_empty(&id, group.as_ref())?;
        let kind = group.map_or(GroupKind::Classic, |group| group.kind);
        let row = |topic: &str| {
            let partitions = progress.committed.keys().filter(|it| &*it.topic == topic).count();
            vec![topic.to_owned(), text::count(partitions), text::number(progress.topic_lag(topic))]
        };
        let plan = Plan {
            title: format!("Delete group {id}"),
            effect: format!(
                "The group goes, with its offsets in {} partitions.",
                text::count(progress.committed.len())
            ),
            warnings: vec!["Whoever starts with this group afterwards begins where auto.offset.reset says.".to_owned()],
            columns: vec!["Topic", "Partitions", "Lag"],
            rows: progress.topics().into_iter().map(row).collect(),
        };
        if !change.is_confirmed()? {
            let arguments = format!("--delete --group {}", text::shell(&id));
            let frame = shared.frame(headers).at("groups").with_tool(kind.tool(), &arguments);
            return Ok(change.planned(&plan, frame));
        }
        let result = shared.kafka.delete_group(&id).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}
