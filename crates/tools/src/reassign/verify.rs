//! `--verify`: how far a plan is.

use std::collections::BTreeMap;

use super::plan::Plan;
use super::{Assignment, throttle};
use crate::admin::{self, Admin, Replica, ReplicaDirs};
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

pub(super) async fn verify(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let text = admin::read_input(line.value("reassignment-json-file")?.unwrap_or_default())?;
    let plan = Plan::parse(&text)?;
    let replicas_move = replicas(admin, &plan, out).await?;
    let dirs_move = dirs(admin, &plan, out).await?;
    if !replicas_move && !dirs_move && !line.has("preserve-throttles") {
        throttle::clear(admin, &plan.partitions, out).await?;
    }
    Ok(())
}

/// Says where each partition's replicas are. Whether any reassignment goes on.
async fn replicas(admin: &Admin, plan: &Plan, out: &mut Out) -> Result<bool, Thrown> {
    let going_on = admin.reassignments(None).await.map_err(Thrown::execution)?;
    let mut topics: Vec<String> = Vec::new();
    for (partition, _) in plan.partitions.iter().filter(|(partition, _)| !going_on.contains_key(partition)) {
        if !topics.iter().any(|topic| **topic == *partition.topic) {
            topics.push(partition.topic.to_string());
        }
    }
    let mut standing: BTreeMap<String, Vec<Vec<i32>>> = BTreeMap::new();
    if !topics.is_empty() {
        for (name, info) in admin.describe_topics(&topics).await.map_err(Thrown::execution)? {
            let replicas = match info {
                Ok(info) => info.partitions.into_iter().map(|partition| partition.replicas).collect(),
                Err(thrown) if thrown.is("UnknownTopicOrPartitionException") => Vec::new(),
                Err(thrown) => return Err(thrown.execution()),
            };
            standing.insert(name, replicas);
        }
    }
    out.line("Status of partition reassignment:");
    for (partition, target) in plan.partitions.iter().cloned().collect::<Assignment>() {
        if going_on.contains_key(&partition) {
            out.line(format_args!("Reassignment of partition {partition} is still in progress."));
            continue;
        }
        let index = usize::try_from(partition.partition).unwrap_or(usize::MAX);
        let current = standing.get(&*partition.topic).and_then(|replicas| replicas.get(index));
        let current = current.map_or(&[][..], Vec::as_slice);
        if current == target {
            out.line(format_args!("Reassignment of partition {partition} is completed."));
        } else {
            out.line(format_args!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                java::joined(current, ","),
                java::joined(&target, ",")
            ));
        }
    }
    Ok(!going_on.is_empty())
}

/// Where the replicas are for which the plan names a directory.
pub(super) async fn standing_dirs(admin: &Admin, plan: &Plan) -> Result<BTreeMap<Replica, ReplicaDirs>, Thrown> {
    let replicas: Vec<Replica> = plan.dirs.keys().cloned().collect();
    admin.replica_dirs(&replicas).await.map_err(Thrown::execution)
}

/// Says where each replica is for which the plan names a directory. Whether one of them is not there yet.
async fn dirs(admin: &Admin, plan: &Plan, out: &mut Out) -> Result<bool, Thrown> {
    let standing = standing_dirs(admin, plan).await?;
    let mut lines = Vec::new();
    let mut is_moving = false;
    for (replica, target) in &plan.dirs {
        let dirs = standing.get(replica).cloned().unwrap_or_default();
        let (partition, broker) = (&replica.partition, replica.broker);
        let text = match (dirs.current, dirs.future) {
            (None, _) => {
                is_moving = true;
                format!(
                    "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline log \
                     directory on the broker."
                )
            }
            (Some(current), None) if current == *target => {
                format!("Reassignment of replica {replica} completed successfully.")
            }
            (Some(current), None) => {
                format!(
                    "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
                )
            }
            (Some(_), Some(future)) => {
                is_moving = true;
                if future == *target {
                    format!("Reassignment of replica {replica} is still in progress.")
                } else {
                    format!(
                        "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
                    )
                }
            }
        };
        lines.push(text);
    }
    out.line(lines.join("\n"));
    Ok(is_moving)
}
