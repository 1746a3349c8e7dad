//! Plans: the JSON that says which replicas partitions get.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thalweg_base::TopicPartition;

use super::Assignment;
use crate::admin::Replica;
use crate::java;
use crate::json;
use crate::thrown::Thrown;

/// Stands for a directory that its broker chooses.
const ANY_DIR: &str = "any";

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Partitions with their replicas, as they stand in the file.
    pub(super) partitions: Vec<(TopicPartition, Vec<i32>)>,
    /// The directories of the replicas for which one is named.
    pub(super) dirs: BTreeMap<Replica, String>,
}

fn check_version(value: &Value) -> Result<(), Thrown> {
    match value.get("version").map_or(Ok(1), json::int)? {
        1 => Ok(()),
        other => Err(Thrown::operation_failed(format!("Not supported version field value {other}"))),
    }
}

impl Plan {
    /// Reads a plan.
    pub(super) fn parse(text: &str) -> Result<Self, Thrown> {
        let value = json::try_parse(text).map_err(|cause| {
            let class = "org.apache.kafka.tools.AdminOperationException";
            Thrown::caused_by(class, cause.text().to_owned(), cause)
        })?;
        check_version(&value)?;
        let mut plan = Self::default();
        let Some(partitions) = value.get("partitions") else { return Ok(plan) };
        for entry in json::list(partitions)? {
            let topic = json::text(json::field(entry, "topic")?)?;
            let partition = TopicPartition::new(topic, json::int(json::field(entry, "partition")?)?);
            let replicas = json::list(json::field(entry, "replicas")?)?;
            let replicas: Vec<i32> = replicas.iter().map(json::int).collect::<Result<_, _>>()?;
            if let Some(dirs) = entry.get("log_dirs") {
                plan.take_dirs(&partition, &replicas, dirs)?;
            }
            plan.partitions.push((partition, replicas));
        }
        Ok(plan)
    }

    fn take_dirs(&mut self, partition: &TopicPartition, replicas: &[i32], dirs: &Value) -> Result<(), Thrown> {
        let dirs: Vec<&str> = json::list(dirs)?.iter().map(json::text).collect::<Result<_, _>>()?;
        if dirs.len() != replicas.len() {
            return Err(Thrown::command_failed(format!(
                "Size of replicas list [{}] is different from size of log dirs list [{}] for partition {partition}",
                java::joined(replicas, ", "),
                dirs.join(", ")
            )));
        }
        for (broker, dir) in replicas.iter().zip(dirs).filter(|(_, dir)| *dir != ANY_DIR) {
            self.dirs.insert(Replica { broker: *broker, partition: partition.clone() }, dir.to_owned());
        }
        Ok(())
    }

    /// Refuses a plan that cannot be executed; gives its partitions.
    pub(super) fn executable(&self) -> Result<Assignment, Thrown> {
        if self.partitions.is_empty() {
            return Err(Thrown::command_failed("Partition reassignment list cannot be empty"));
        }
        if self.partitions.iter().any(|(_, replicas)| replicas.is_empty()) {
            return Err(Thrown::command_failed("Partition replica list cannot be empty"));
        }
        let names: Vec<&TopicPartition> = self.partitions.iter().map(|(partition, _)| partition).collect();
        let twice = twice(&names);
        if !twice.is_empty() {
            let twice = java::joined(&twice, ",");
            return Err(Thrown::command_failed(format!(
                "Partition reassignment contains duplicate topic partitions: {twice}"
            )));
        }
        let of_one = |(partition, replicas): &(TopicPartition, Vec<i32>)| {
            let twice = self::twice(replicas);
            let text = || format!("{partition} contains multiple entries for {}", java::joined(&twice, ","));
            (!twice.is_empty()).then(text)
        };
        let texts: Vec<String> = self.partitions.iter().filter_map(of_one).collect();
        if !texts.is_empty() {
            let texts = texts.join(". ");
            return Err(Thrown::command_failed(format!(
                "Partition replica lists may not contain duplicate entries: {texts}"
            )));
        }
        Ok(self.partitions.iter().cloned().collect())
    }
}

/// The items that stand there more than once.
pub(super) fn twice<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    let mut counts: BTreeMap<&T, usize> = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(item, _)| item.clone()).collect()
}

/// The topics of a file.
pub(super) fn topics(text: &str) -> Result<Vec<String>, Thrown> {
    let value = json::parse(text).ok_or_else(|| Thrown::operation_failed("The input string is not a valid JSON"))?;
    check_version(&value)?;
    let Some(topics) = value.get("topics") else { return Ok(Vec::new()) };
    let name = |entry: &Value| json::text(json::field(entry, "topic")?).map(str::to_owned);
    json::list(topics)?.iter().map(name).collect()
}

/// A plan as text.
pub(super) fn text(assignment: &Assignment, dirs: &BTreeMap<Replica, String>) -> String {
    let partition = |(partition, brokers): (&TopicPartition, &Vec<i32>)| {
        let dir = |broker: &i32| {
            let replica = Replica { broker: *broker, partition: partition.clone() };
            dirs.get(&replica).map_or(ANY_DIR, String::as_str)
        };
        json!({
            "topic": &*partition.topic,
            "partition": partition.partition,
            "replicas": brokers,
            "log_dirs": brokers.iter().map(dir).collect::<Vec<_>>(),
        })
    };
    json!({"version": 1, "partitions": assignment.iter().map(partition).collect::<Vec<_>>()}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let executable = Plan::parse(text).and_then(|plan| plan.executable());
        executable.map_or_else(|thrown| thrown.text().to_owned(), |_| "none".to_owned())
    }

    #[test]
    fn a_plan_names_each_partition_and_replica_once() {
        let one = r#"{"topic":"u","partition":0,"replicas":[1,2]}"#;
        assert_eq!(refusal(&format!(r#"{{"partitions":[{one}]}}"#)), "none");
        assert_eq!(
            refusal(&format!(r#"{{"partitions":[{one},{one}]}}"#)),
            "Partition reassignment contains duplicate topic partitions: u-0"
        );
        assert_eq!(
            refusal(r#"{"partitions":[{"topic":"u","partition":0,"replicas":[1,1]}]}"#),
            "Partition replica lists may not contain duplicate entries: u-0 contains multiple entries for 1"
        );
        assert_eq!(refusal(r#"{"version":2}"#), "Not supported version field value 2");
    }

    #[test]
    fn each_replica_has_a_directory_or_none_has() {
        assert_eq!(
            refusal(r#"{"partitions":[{"topic":"u","partition":0,"replicas":[2,3],"log_dirs":["any"]}]}"#),
            "Size of replicas list [2, 3] is different from size of log dirs list [any] for partition u-0"
        );
    }
}
