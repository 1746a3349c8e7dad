//! `kafka-share-groups.sh --reset-offsets` and `--delete-offsets`.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_client::OffsetSpec;

use crate::admin::Admin;
use crate::consumer_groups::partitions_of;
use crate::date;
use crate::failure::Failure;
use crate::group_commands::print_error;
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

pub(super) async fn reset(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let group = line.value("group")?.unwrap_or_default();
    match admin.describe_share_group(group).await {
        Ok(found) if !matches!(&*found.group_state, "Empty" | "Dead") => {
            return Err(Failure::Message(format!("Share group '{group}' is not empty.")));
        }
        Ok(_) => {}
        Err(thrown) if thrown.is("GroupIdNotFoundException") => {}
        Err(thrown) => return Err(Failure::Message(thrown.text().to_owned())),
    }
    let partitions = if line.has("topic") {
        let (partitions, failed) = partitions_of(admin, line.values("topic")).await?;
        if let Some((_, thrown)) = failed.into_iter().next() {
            return Err(thrown.into());
        }
        partitions
    } else {
        admin.share_offsets(group).await?.into_keys().collect()
    };
    let offsets = chosen(line, admin, partitions, out).await?;
    if line.has("execute") {
        admin.alter_share_offsets(group, &offsets).await?;
    }
    let offsets = java::hash_order(offsets, 16, |(one, _)| java::topic_partition_hash(&one.topic, one.partition));
    if line.has("export") {
        for (partition, offset) in &offsets {
            out.line(format_args!("{},{},{offset}", partition.topic, partition.partition));
        }
        out.line("");
        return Ok(());
    }
    let group_width = group.len().max(15);
    let topic_width = offsets.iter().map(|(partition, _)| partition.topic.len()).max().unwrap_or(0).max(15);
    let mut row = |group: &str, topic: &str, partition: &str, offset: &str| {
        out.text(format_args!("\n{group:<group_width$} {topic:<topic_width$} {partition:<10} {offset}"));
    };
    if !offsets.is_empty() {
        row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    }
    for (partition, offset) in &offsets {
        row(group, &partition.topic, &partition.partition.to_string(), &offset.to_string());
    }
    out.line("");
    Ok(())
}

/// The new offsets.
async fn chosen(
    line: &Line,
    admin: &Admin,
    partitions: Vec<TopicPartition>,
    out: &mut Out,
) -> Result<Vec<(TopicPartition, i64)>, Thrown> {
    if line.has("to-earliest") {
        return admin.offsets_at(partitions, OffsetSpec::Earliest).await;
    }
    let Some(text) = line.value("to-datetime")? else { return admin.offsets_at(partitions, OffsetSpec::Latest).await };
    let at = date::parse_iso(text).map_err(|message| Thrown::new("java.text.ParseException", message).runtime())?;
    let found = admin.offsets_at(partitions, OffsetSpec::At(at)).await?;
    let (mut offsets, none): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, offset)| *offset >= 0);
    for (partition, _) in &none {
        let (index, topic) = (partition.partition, &partition.topic);
        out.line(format_args!(
            "\nWarn: Partition {index} from topic {topic} is empty. Falling back to latest known offset."
        ));
    }
    offsets.extend(admin.offsets_at(none.into_iter().map(|(one, _)| one), OffsetSpec::Latest).await?);
    Ok(offsets)
}

pub(super) async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let group = line.value("group")?.unwrap_or_default();
    let topics = line.values("topic");
    let results = match admin.delete_share_offsets(group, topics).await {
        Ok(results) => results,
        Err(thrown) => {
            let known = [
                "InvalidGroupIdException",
                "GroupIdNotFoundException",
                "GroupAuthorizationException",
                "GroupNotEmptyException",
            ];
            let text = if known.contains(&thrown.simple_class()) {
                thrown.text().to_owned()
            } else {
                format!("Encounter some unknown error: {thrown}")
            };
            print_error(&text, out);
            topics.iter().map(|topic| (topic.clone(), Err(thrown.clone()))).collect::<BTreeMap<_, _>>()
        }
    };
    let width = results.keys().map(String::len).max().unwrap_or(0).max(15);
    if !results.is_empty() {
        out.text(format_args!("\n{:<width$} STATUS", "TOPIC"));
    }
    for (topic, result) in &results {
        let status =
            result.as_ref().map_or_else(|thrown| format!("Error: {}", thrown.text()), |()| "Successful".into());
        out.text(format_args!("\n{topic:<width$} {status}"));
    }
    out.line("");
    Ok(())
}
