//! `kafka-consumer-groups.sh --reset-offsets`.

use std::collections::BTreeMap;

use thalweg_base::{Timestamp, TopicPartition};
use thalweg_client::OffsetSpec;
use thalweg_sys::time;

use super::{chosen, offsets, plan};
use crate::admin::{self, Admin};
use crate::date;
use crate::failure::Failure;
use crate::group_commands::print_error;
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// The options that say where offsets are reset to.
pub(super) const SCENARIOS: [&str; 8] =
    ["to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "shift-by", "from-file"];

/// Where offsets are reset to.
#[derive(Debug)]
pub(super) enum Scenario {
    Offset(i64),
    ShiftBy(i64),
    DateTime(String),
    Duration(String),
    Earliest,
    Latest,
    Current,
    File(String),
    None,
}

impl Scenario {
    pub(super) fn of_line(line: &Line) -> Result<Self, Thrown> {
        let offset = line.numbers::<i64>("to-offset")?;
        let shift = line.number::<i64>("shift-by")?;
        let text = |name: &str| line.values(name).first().cloned();
        Ok(if let Some(offset) = offset.first() {
            Self::Offset(*offset)
        } else if line.has("to-earliest") {
            Self::Earliest
        } else if line.has("to-latest") {
            Self::Latest
        } else if let Some(shift) = shift {
            Self::ShiftBy(shift)
        } else if let Some(text) = text("to-datetime") {
            Self::DateTime(text)
        } else if let Some(text) = text("by-duration") {
            Self::Duration(text)
        } else if let Some(path) = text("from-file") {
            Self::File(path)
        } else if line.has("to-current") {
            Self::Current
        } else {
            Self::None
        })
    }
}

/// New offsets.
type Offsets = Vec<(TopicPartition, i64)>;

pub(super) async fn reset(line: &Line, scenario: &Scenario, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let mut results: Vec<(String, Offsets)> = Vec::new();
    for group in chosen(line, admin).await? {
        let state = match admin.describe_consumer_group(&group).await {
            Ok(found) => found.state,
            Err(thrown) if thrown.is("GroupIdNotFoundException") => "Dead".to_owned(),
            Err(thrown) => return Err(thrown.execution().runtime().into()),
        };
        let offsets = if matches!(state.as_str(), "Empty" | "Dead") {
            let offsets = prepare(line, scenario, &group, admin, out).await?;
            if line.has("execute") {
                admin.alter_offsets(&group, &offsets).await?;
            }
            offsets
        } else {
            let text = format!(
                "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            );
            print_error(&text, out);
            Vec::new()
        };
        results.push((group, in_order(offsets)));
    }
    let results = java::hash_order(results, 16, |(group, _)| java::string_hash(group));
    if line.has("export") {
        export(line, &results, out)
    } else {
        print(&results, out)
    }
    Ok(())
}

/// The order of Kafka's hash map.
fn in_order(offsets: Offsets) -> Offsets {
    java::hash_order(offsets, 16, |(partition, _)| java::topic_partition_hash(&partition.topic, partition.partition))
}

fn print(results: &[(String, Offsets)], out: &mut Out) {
    let group_width = results.iter().map(|(group, _)| group.len()).max().unwrap_or(0).max(15);
    let topics = results.iter().flat_map(|(_, offsets)| offsets).map(|(partition, _)| partition.topic.len());
    let topic_width = topics.max().unwrap_or(0).max(15);
    let mut row = |group: &str, topic: &str, partition: &str, offset: &str| {
        out.text(format_args!("\n{group:<group_width$} {topic:<topic_width$} {partition:<10} {offset}"));
    };
    if !results.is_empty() {
        row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    }
    for (group, offsets) in results {
        for (partition, offset) in offsets {
            row(group, &partition.topic, &partition.partition.to_string(), &offset.to_string());
        }
    }
    out.line("");
}

fn export(line: &Line, results: &[(String, Offsets)], out: &mut Out) {
    let with_group = line.values("group").len() != 1;
    for (group, offsets) in results {
        for (partition, offset) in offsets {
            let group = if with_group { format!("{group},") } else { String::new() };
            out.line(format_args!("{group}{},{},{offset}", partition.topic, partition.partition));
        }
    }
    out.line("");
}

/// The partitions that are reset.
async fn partitions(line: &Line, group: &str, admin: &Admin) -> Result<Vec<TopicPartition>, Failure> {
    if line.has("all-topics") {
        let committed = admin.committed_offsets(group).await.map_err(|thrown| thrown.execution().runtime())?;
        return Ok(committed.into_keys().collect());
    }
    if line.has("topic") {
        let (partitions, failed) = offsets::partitions(admin, line.values("topic")).await?;
        return match failed.into_iter().next() {
            Some((_, thrown)) => Err(thrown.into()),
            None => Ok(partitions),
        };
    }
    if line.has("from-file") {
        return Ok(Vec::new());
    }
    Err(Failure::Usage("One of the reset scopes should be defined: --all-topics, --topic.".into()))
}

/// Refuses partitions that do not exist.
async fn ensure_exist(partitions: &[TopicPartition], admin: &Admin) -> Result<(), Thrown> {
    let mut names: Vec<String> = partitions.iter().map(|partition| partition.topic.to_string()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    let mut counts = BTreeMap::new();
    for (name, info) in admin.describe_topics(&names).await? {
        counts.insert(name, info.map_or(0, |info| info.partitions.len()));
    }
    let exists = |partition: &&TopicPartition| {
        let count = counts.get(&*partition.topic).copied().unwrap_or(0);
        usize::try_from(partition.partition).is_ok_and(|index| index < count)
    };
    let missing: Vec<String> =
        partitions.iter().filter(|partition| !exists(partition)).map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("The partitions \"{}\" do not exist", missing.join(","));
    Err(Thrown::new("org.apache.kafka.common.errors.UnknownTopicOrPartitionException", text))
}

async fn prepare(
    line: &Line,
    scenario: &Scenario,
    group: &str,
    admin: &Admin,
    out: &mut Out,
) -> Result<Offsets, Failure> {
    let partitions = partitions(line, group, admin).await?;
    ensure_exist(&partitions, admin).await?;
    let wrapped = |thrown: Thrown| thrown.execution().runtime();
    let committed = || async { admin.committed_offsets(group).await.map_err(wrapped) };
    match scenario {
        Scenario::Offset(offset) => {
            Ok(in_range(partitions.into_iter().map(|one| (one, *offset)).collect(), admin, out).await?)
        }
        Scenario::Earliest => Ok(look_up(partitions, OffsetSpec::Earliest, admin).await?),
        Scenario::Latest => Ok(look_up(partitions, OffsetSpec::Latest, admin).await?),
        Scenario::ShiftBy(by) => {
            let committed = committed().await?;
            let mut shifted = Vec::new();
            for partition in partitions {
                let Some(current) = committed.get(&partition) else {
                    return Err(Thrown::illegal_argument(format!(
                        "Cannot shift offset for partition {partition} since there is no current committed offset"
                    ))
                    .into());
                };
                shifted.push((partition, current.offset.saturating_add(*by)));
            }
            Ok(in_range(shifted, admin, out).await?)
        }
        Scenario::DateTime(text) => {
            let at =
                date::parse_iso(text).map_err(|message| Thrown::new("java.text.ParseException", message).runtime())?;
            Ok(at_time(partitions, at, admin, out).await?)
        }
        Scenario::Duration(text) => {
            let age = date::parse_duration_ms(text).ok_or_else(|| {
                Thrown::new("java.time.format.DateTimeParseException", "Text cannot be parsed to a Duration")
            })?;
            Ok(at_time(partitions, Timestamp(time::wall_clock_ms().saturating_sub(age)), admin, out).await?)
        }
        Scenario::File(path) => from_file(line, path, group, admin, out).await,
        Scenario::Current => {
            let committed = committed().await?;
            let (known, unknown): (Vec<_>, Vec<_>) =
                partitions.into_iter().partition(|one| committed.contains_key(one));
            let mut offsets: Offsets = known.into_iter().map(|one| (one.clone(), committed[&one].offset)).collect();
            offsets.extend(look_up(unknown, OffsetSpec::Latest, admin).await?);
            Ok(offsets)
        }
        Scenario::None => Err(Failure::Usage(
            "Option '[reset-offsets]' requires one of the following scenarios: [[to-offset], [shift-by], [from-file], \
             [to-datetime], [by-duration], [to-latest], [to-current], [to-earliest]]"
                .into(),
        )),
    }
}

async fn from_file(line: &Line, path: &str, group: &str, admin: &Admin, out: &mut Out) -> Result<Offsets, Failure> {
    let text = admin::read_input(path).map_err(Thrown::runtime)?;
    let plan = plan::parse(&text, line.values("group"))?;
    if !plan.iter().any(|(other, _, _)| other == group) {
        print_error(&format!("No reset plan for group {group} found."), out);
    }
    let requested = plan.into_iter().filter(|(other, _, _)| other == group);
    Ok(in_range(requested.map(|(_, partition, offset)| (partition, offset)).collect(), admin, out).await?)
}

async fn look_up(partitions: Vec<TopicPartition>, spec: OffsetSpec, admin: &Admin) -> Result<Offsets, Thrown> {
    admin.offsets_at(partitions, spec).await.map_err(|thrown| thrown.execution().runtime())
}

/// The offsets, moved into the logs where they lie outside.
async fn in_range(requested: Offsets, admin: &Admin, out: &mut Out) -> Result<Offsets, Thrown> {
    let partitions: Vec<TopicPartition> = requested.iter().map(|(partition, _)| partition.clone()).collect();
    let starts = look_up(partitions.clone(), OffsetSpec::Earliest, admin).await?;
    let ends = look_up(partitions, OffsetSpec::Latest, admin).await?;
    let mut offsets = Vec::new();
    for (((partition, offset), (_, start)), (_, end)) in requested.into_iter().zip(starts).zip(ends) {
        let (limit, which) = match offset {
            offset if offset > end => (end, "higher than latest"),
            offset if offset < start => (start, "lower than earliest"),
            _ => {
                offsets.push((partition, offset));
                continue;
            }
        };
        let text = format!(
            "New offset ({offset}) is {which} offset for topic partition {partition}. Value will be set to {limit}"
        );
        out.log("WARN", text, "org.apache.kafka.tools.OffsetsUtils");
        offsets.push((partition, limit));
    }
    Ok(offsets)
}

/// The offsets of the first records that are not older; behind the last record where there is none.
async fn at_time(
    partitions: Vec<TopicPartition>,
    at: Timestamp,
    admin: &Admin,
    out: &mut Out,
) -> Result<Offsets, Thrown> {
    let found = look_up(partitions, OffsetSpec::At(at), admin).await?;
    let (mut offsets, none): (Offsets, Offsets) = found.into_iter().partition(|(_, offset)| *offset >= 0);
    for (partition, _) in &none {
        out.line(format_args!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            partition.partition, partition.topic
        ));
    }
    offsets.extend(look_up(none.into_iter().map(|(one, _)| one).collect(), OffsetSpec::Latest, admin).await?);
    Ok(offsets)
}
