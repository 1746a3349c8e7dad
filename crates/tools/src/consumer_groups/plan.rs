//! Reset plans in CSV files: `topic,partition,offset`, or `group,topic,partition,offset`.

use thalweg_base::TopicPartition;

use crate::java;
use crate::thrown::Thrown;

/// The offsets of a plan, each with its group.
pub(super) type Plan = Vec<(String, TopicPartition, i64)>;

/// Reads a plan. With one group, its name need not stand in the file.
pub(super) fn parse(text: &str, groups: &[String]) -> Result<Plan, Thrown> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let is_short = |line: &&str| three(line).is_ok();
    if let ([group], true) = (groups, lines.first().is_some_and(is_short)) {
        return lines
            .iter()
            .map(|line| three(line).map(|(partition, offset)| (group.clone(), partition, offset)))
            .collect();
    }
    lines
        .iter()
        .map(|line| {
            let (group, rest) = line.split_once(',').ok_or_else(|| malformed(line))?;
            three(rest).map(|(partition, offset)| (group.trim().to_owned(), partition, offset))
        })
        .collect()
}

fn three(text: &str) -> Result<(TopicPartition, i64), Thrown> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [topic, partition, offset] = parts[..] else { return Err(malformed(text)) };
    let partition = java::number(partition).map_err(|_| malformed(text))?;
    let offset = java::number(offset).map_err(|_| malformed(text))?;
    Ok((TopicPartition::new(topic, partition), offset))
}

fn malformed(line: &str) -> Thrown {
    let class = "com.fasterxml.jackson.databind.exc.InvalidFormatException";
    Thrown::new(class, format!("`{line}` is not topic,partition,offset")).runtime()
}
