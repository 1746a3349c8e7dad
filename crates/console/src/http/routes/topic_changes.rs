//! Changing a topic: its configs, its partitions, its records; and deleting it.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::Response;
use thalweg_base::{Timestamp, TopicPartition};
use thalweg_client::OffsetSpec;

use super::super::Wants;
use super::change::{Change, Fields, Sent, config_lines};
use super::{answered, time};
use crate::console::Shared;
use crate::kafka::{Config, ConfigChange, ConfigScope, Mode, Range, Topic};
use crate::pages::{Frame, Plan};
use crate::settings::Switch;
use crate::text;
use crate::trouble::Trouble;

/// So many partitions' records are deleted at once: their leaders are asked one after the other.
const PARTITIONS_MAX: usize = 200;

/// The addresses of a change of a topic, and of the topic.
fn paths(name: &str, change: &str) -> (String, String) {
    let topic = format!("/topic/{}", text::part(name));
    (format!("{topic}/{change}"), topic)
}

fn frame(shared: &Shared, headers: &HeaderMap, tool: &str, arguments: &str) -> Frame {
    shared.frame(headers).at("topics").with_tool(tool, arguments)
}

/// Changes configs, or shows what that would change: `configs` has a `name=value` on each line, `remove` names of configs with
/// commas between.
pub(super) async fn configs(Path(name): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let change =
            Change::begin((&sent, fields), Switch::AlterTopics, "change configs", &name, paths(&name, "configs"))?;
        shared.kafka.snapshot_with(&name).await?;
        let changes = config_changes(fields)?;
        let known = shared.kafka.configs(ConfigScope::Topic(&name)).await?;
        shared.kafka.alter_topic_configs(&name, &changes, Mode::Check).await?;
        let plan = configs_plan(&name, &changes, &known);
        if !change.is_confirmed()? {
            let (mut add, mut delete) = (Vec::new(), Vec::new());
            for (config, change) in &changes {
                match change {
                    ConfigChange::Set(value) if value.contains(',') => add.push(format!("{config}=[{value}]")),
                    ConfigChange::Set(value) => add.push(format!("{config}={value}")),
                    ConfigChange::Remove => delete.push(config.clone()),
                }
            }
            let mut arguments = format!("--alter --entity-type topics --entity-name {}", text::shell(&name));
            for (option, list) in [("--add-config", add), ("--delete-config", delete)] {
                if !list.is_empty() {
                    arguments += &format!(" {option} {}", text::shell(&list.join(",")));
                }
            }
            return Ok(change.planned(&plan, frame(shared, headers, "kafka-configs.sh", &arguments)));
        }
        let result = shared.kafka.alter_topic_configs(&name, &changes, Mode::CarryOut).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

fn config_changes(fields: &Fields) -> Result<Vec<(String, ConfigChange)>, Trouble> {
    let mut changes: BTreeMap<String, ConfigChange> = BTreeMap::new();
    for (config, value) in config_lines(fields.get("configs").unwrap_or_default())? {
        changes.insert(config, ConfigChange::Set(value));
    }
    let removed = fields.get("remove").unwrap_or_default().split([',', '\n']).map(str::trim);
    for config in removed.filter(|config| !config.is_empty()) {
        if changes.insert(config.to_owned(), ConfigChange::Remove).is_some() {
            return Err(Trouble::Bad(format!("{config} cannot be set and removed at once")));
        }
    }
    if changes.is_empty() {
        return Err(Trouble::Bad("no config was named".to_owned()));
    }
    Ok(changes.into_iter().collect())
}

fn configs_plan(name: &str, changes: &[(String, ConfigChange)], known: &[Config]) -> Plan {
    let row = |(config, change): &(String, ConfigChange)| {
        let now = known.iter().find(|known| known.name == *config);
        let value = now.and_then(|now| now.value.clone()).unwrap_or_default();
        let then = match change {
            ConfigChange::Set(value) => value.clone(),
            ConfigChange::Remove => now.and_then(Config::inherited).unwrap_or("the broker's").to_owned(),
        };
        let source = now.map(Config::source_name).unwrap_or_default().to_owned();
        vec![config.clone(), value, source, then]
    };
    Plan {
        title: format!("Change configs of {name}"),
        effect: format!("{} configs change.", changes.len()),
        warnings: Vec::new(),
        columns: vec!["Config", "Now", "Source now", "Then"],
        rows: changes.iter().map(row).collect(),
    }
}

/// Adds partitions, or shows what that would mean: `count` is how many there are then.
pub(super) async fn partitions(Path(name): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let change =
            Change::begin((&sent, fields), Switch::AlterTopics, "add partitions", &name, paths(&name, "partitions"))?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let now = snapshot.topic(&name)?.partitions.len();
        let count: i32 = fields.number("count")?;
        shared.kafka.add_partitions(&name, count, Mode::Check).await?;
        let added = usize::try_from(count).unwrap_or(0).saturating_sub(now);
        let plan = Plan {
            title: format!("Add partitions to {name}"),
            effect: format!("{added} partitions come to the {now} that there are. They cannot be taken away again."),
            warnings: vec![
                "Keys are spread over more partitions from then on: a key's new records may go to another partition \
                 than its old ones."
                    .to_owned(),
            ],
            columns: Vec::new(),
            rows: Vec::new(),
        };
        if !change.is_confirmed()? {
            let arguments = format!("--alter --topic {} --partitions {count}", text::shell(&name));
            return Ok(change.planned(&plan, frame(shared, headers, "kafka-topics.sh", &arguments)));
        }
        let result = shared.kafka.add_partitions(&name, count, Mode::CarryOut).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

/// Deletes records, or shows which: `to` is `end`, `offset` or `datetime`, with `value`; `partitions` narrows it.
pub(super) async fn records(Path(name): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        let fields = sent.fields()?;
        let paths = paths(&name, "deleterecords");
        let change = Change::begin((&sent, fields), Switch::DeleteTopics, "delete records", &name, paths)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let rows = records_that_go(shared, fields, &name, snapshot.topic(&name)?).await?;
        let gone: i64 = rows.iter().map(|(_, range, before)| before - range.first).sum();
        let plan = Plan {
            title: format!("Delete records of {name}"),
            effect: format!(
                "{} offsets go, with their records, from {} partitions. Nobody can bring them back.",
                text::number(gone),
                rows.len()
            ),
            warnings: Vec::new(),
            columns: vec!["Partition", "First offset now", "First offset then", "End", "Offsets that go"],
            rows: rows
                .iter()
                .map(|(id, range, before)| {
                    let numbers = [range.first, *before, range.end, before - range.first];
                    [i64::from(*id)].into_iter().chain(numbers).map(text::number).collect()
                })
                .collect(),
        };
        if !change.is_confirmed()? {
            let arguments = "--offset-json-file offsets.json";
            return Ok(change.planned(&plan, frame(shared, headers, "kafka-delete-records.sh", arguments)));
        }
        let before: Vec<(i32, i64)> = rows.iter().map(|(id, _, before)| (*id, *before)).collect();
        let result = shared.kafka.delete_records(&name, &before).await;
        change.done(&plan, result)
    };
    answered(shared, headers, Wants::Html, work).await
}

/// The partitions of which records go, where they begin and end, and the offset before which records go.
async fn records_that_go(
    shared: &Shared,
    fields: &Fields,
    name: &str,
    topic: &Topic,
) -> Result<Vec<(i32, Range, i64)>, Trouble> {
    let ids: Vec<i32> = topic.partitions.iter().map(|partition| partition.id).collect();
    let ids = match fields.get("partitions") {
        None => ids,
        Some(typed) => {
            let wanted = text::parse_ranges(typed, PARTITIONS_MAX);
            let wanted = wanted.ok_or_else(|| Trouble::Bad(format!("`{typed}` names no partitions; write 0-3, 5")))?;
            if let Some(missing) = wanted.iter().find(|id| !ids.contains(id)) {
                return Err(Trouble::no_partition(name, *missing));
            }
            wanted
        }
    };
    if ids.len() > PARTITIONS_MAX {
        return Err(Trouble::Bad(format!("at most {PARTITIONS_MAX} partitions at once: name some")));
    }
    let partitions: Vec<TopicPartition> = ids.iter().map(|id| TopicPartition::new(name, *id)).collect();
    let first = shared.kafka.look_up(&partitions, OffsetSpec::Earliest).await?;
    let end = shared.kafka.look_up(&partitions, OffsetSpec::Latest).await?;
    let wanted = match fields.need("to")? {
        "end" => end.clone(),
        "offset" => vec![Some(fields.number("value")?); ids.len()],
        "datetime" => {
            let ms = time(fields.need("value")?)?;
            shared.kafka.look_up(&partitions, OffsetSpec::At(Timestamp(ms.max(0)))).await?
        }
        other => return Err(Trouble::Bad(format!("records cannot be deleted up to `{other}`"))),
    };
    let mut rows = Vec::new();
    for (at, id) in ids.into_iter().enumerate() {
        let range = Range { first: first[at].unwrap_or(0), end: end[at].unwrap_or(0) };
        // Where all records are older than the time, all of them go.
        let before = wanted[at].unwrap_or(range.end).clamp(range.first, range.end.max(range.first));
        if before > range.first {
            rows.push((id, range, before));
        }
    }
    if rows.is_empty() {
        return Err(Trouble::Bad("no record would go".to_owned()));
    }
    Ok(rows)
}

/// Deletes a topic; with `dryRun`, shows what would go. Kafdrop's own form is empty, and deletes.
pub(super) async fn delete(Path(name): Path<String>, sent: Sent) -> Response {
    let (shared, headers) = (&sent.shared, &sent.headers);
    let work = async {
        // Kafdrop's clients may send no form at all.
        let none = Fields::default();
        let fields = sent.fields().unwrap_or(&none);
        let (action, _) = paths(&name, "delete");
        let paths = (action, "/".to_owned());
        let change = Change::begin((&sent, fields), Switch::DeleteTopics, "delete a topic", &name, paths)?;
        let snapshot = shared.kafka.snapshot_with(&name).await?;
        let topic = snapshot.topic(&name)?;
        if !change.is_confirmed()? && fields.get("dryRun").is_some() {
            let ranges = shared.kafka.topic_ranges(&name, topic).await?;
            let arguments = format!("--delete --topic {}", text::shell(&name));
            let frame = frame(shared, headers, "kafka-topics.sh", &arguments);
            return Ok(change.planned(&delete_plan(&name, topic, &ranges), frame));
        }
        let result = shared.kafka.delete_topic(&name).await;
        change.done(&delete_plan(&name, topic, &[]), result)
    };
    answered(shared, headers, Wants::Html, work).await
}

/// What goes with a topic; `ranges` are the offsets of its partitions, as far as they were asked for.
fn delete_plan(name: &str, topic: &Topic, ranges: &[Option<Range>]) -> Plan {
    let records: i64 = ranges.iter().flatten().map(|range| range.len()).sum();
    let known = topic.partitions.iter().zip(ranges);
    let row = |(partition, range): (&crate::kafka::Partition, &Option<Range>)| {
        let offset = |of: fn(Range) -> i64| range.map_or("unknown".to_owned(), |range| text::number(of(range)));
        vec![
            partition.id.to_string(),
            offset(|range| range.first),
            offset(|range| range.end),
            offset(Range::len),
            partition.replicas.len().to_string(),
        ]
    };
    let records = if ranges.is_empty() { String::new() } else { format!(" and {} records", text::number(records)) };
    let mut warnings = Vec::new();
    if topic.is_internal {
        warnings.push("This is one of Kafka's own topics: what brokers keep there is lost.".to_owned());
    }
    Plan {
        title: format!("Delete topic {name}"),
        effect: format!(
            "The topic goes, with its {} partitions{records}. Nobody can bring them back.",
            topic.partitions.len()
        ),
        warnings,
        columns: vec!["Partition", "First offset", "End offset", "Records", "Replicas"],
        rows: known.map(row).collect(),
    }
}
