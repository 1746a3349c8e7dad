//! `kafka-consumer-groups.sh --delete-offsets`, and topics with partitions as the line names them.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_wire::ErrorCode;

use crate::admin::Admin;
use crate::failure::Failure;
use crate::group_commands::{MISSING, print_error};
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// Reads `topic:0,1,2`.
pub(super) fn parse_topic(text: &str) -> Result<Vec<TopicPartition>, Thrown> {
    let [topic, partitions] = java::split(text, ':')[..] else {
        return Err(Thrown::illegal_argument(format!(
            "Invalid topic arg '{text}', expected topic name and partitions"
        )));
    };
    let index = |partition: &str| {
        java::number::<i32>(partition).map_err(|_| {
            Thrown::illegal_argument(format!("Invalid partition '{partition}' specified in topic arg '{text}''"))
        })
    };
    java::split(partitions, ',').into_iter().map(|part| Ok(TopicPartition::new(topic, index(part)?))).collect()
}

/// The partitions of topics, and why some topics have none.
pub(crate) async fn partitions(
    admin: &Admin,
    topics: &[String],
) -> Result<(Vec<TopicPartition>, Vec<(String, Thrown)>), Thrown> {
    let mut found = Vec::new();
    let mut failed = Vec::new();
    let mut whole: Vec<String> = Vec::new();
    for topic in topics {
        if topic.contains(':') {
            found.extend(parse_topic(topic)?);
        } else {
            whole.push(topic.clone());
        }
    }
    if !whole.is_empty() {
        for (name, info) in admin.describe_topics(&whole).await? {
            match info {
                Ok(info) => found.extend(info.partitions.iter().map(|one| TopicPartition::new(&*name, one.index))),
                Err(thrown) => failed.push((name, thrown)),
            }
        }
    }
    Ok((found, failed))
}

pub(super) async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let group = line.value("group")?.unwrap_or_default();
    let (partitions, failed) = partitions(admin, line.values("topic")).await?;
    let mut results: BTreeMap<(String, i32), String> = BTreeMap::new();
    for (topic, thrown) in failed {
        results.insert((topic, -1), format!("Error: {thrown}"));
    }
    let mut first = None;
    let deleted = admin.delete_offsets(group, &partitions).await;
    for partition in &partitions {
        let failure = match &deleted {
            Ok(codes) => {
                let code = codes.get(partition).copied().unwrap_or(ErrorCode::None);
                code.is_error().then(|| Thrown::of_code(code, None))
            }
            Err(thrown) => Some(thrown.clone()),
        };
        let status = failure.as_ref().map_or("Successful".to_owned(), |thrown| format!("Error: {thrown}"));
        results.insert((partition.topic.to_string(), partition.partition), status);
        first = first.or(failure);
    }
    match &first {
        None => out.line(format_args!("Request succeeded for deleting offsets from group {group}.")),
        Some(thrown) => print_error(&summary(thrown), out),
    }
    let width = results.keys().map(|(topic, _)| topic.len()).max().unwrap_or(0).max(15);
    out.text(format_args!("\n{:<width$} {:<10} {:<15}", "TOPIC", "PARTITION", "STATUS"));
    for ((topic, partition), status) in &results {
        let partition = if *partition >= 0 { partition.to_string() } else { MISSING.to_owned() };
        out.text(format_args!("\n{topic:<width$} {partition:<10} {status:<15}"));
    }
    out.line("");
    Ok(())
}

fn summary(thrown: &Thrown) -> String {
    match thrown.simple_class() {
        "InvalidGroupIdException"
        | "GroupIdNotFoundException"
        | "GroupAuthorizationException"
        | "GroupNotEmptyException" => thrown.text().to_owned(),
        "GroupSubscribedToTopicException" | "TopicAuthorizationException" | "UnknownTopicOrPartitionException" => {
            "Encountered some partition-level error, see the follow-up details.".to_owned()
        }
        _ => format!("Encountered some unknown error: {thrown}"),
    }
}
