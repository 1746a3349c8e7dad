//! `--execute` and `--cancel`: begins what a plan says, and stops it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_base::TopicPartition;
use thalweg_sys::time::{now, sleep};
use thalweg_wire::ErrorCode;

use super::plan::Plan;
use super::{Assignment, current_plan, describe, terse, throttle, verify};
use crate::admin::{self, Admin, Replica};
use crate::failure::Failure;
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// How long to wait before a replica that is not there yet is moved again.
const MOVE_AGAIN: Duration = Duration::from_millis(100);

fn plan_of(line: &Line) -> Result<Plan, Thrown> {
    Plan::parse(&admin::read_input(line.value("reassignment-json-file")?.unwrap_or_default())?)
}

/// What the controller refused, a line each.
fn refusals(refused: &BTreeMap<TopicPartition, Thrown>) -> String {
    let lines: Vec<String> =
        refused.iter().map(|(partition, thrown)| format!("{partition}: {}", thrown.text())).collect();
    lines.join("\n")
}

/// `s` unless there is one of something.
fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

pub(super) async fn execute(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let plan = plan_of(line)?;
    let proposed = plan.executable()?;
    let going_on = admin.reassignments(None).await.map_err(Thrown::execution)?;
    if !line.has("additional") && !going_on.is_empty() {
        return Err(terse(
            "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a \
             new partition assignment in addition to the existing one. The --additional flag can also be used to change the \
             throttle by resubmitting the current reassignment.",
            out,
        ));
    }
    let brokers: BTreeSet<i32> = proposed.values().flatten().copied().collect();
    let standing = admin.brokers("listNodes").await.map_err(Thrown::execution)?;
    if let Some(unknown) = brokers.iter().find(|broker| !standing.contains(broker)) {
        return Err(Thrown::command_failed(format!("Unknown broker id {unknown}")).into());
    }
    let current = current(admin, &proposed).await?;
    out.line(format_args!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        current_plan(admin, &current).await?
    ));
    let rate = line.number::<i64>("throttle")?.filter(|rate| *rate >= 0);
    let dirs_rate = line.number::<i64>("replica-alter-log-dirs-throttle")?.filter(|rate| *rate >= 0);
    if rate.is_some() || dirs_rate.is_some() {
        out.line(
            "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.",
        );
    }
    if let Some(rate) = rate {
        throttle::limit_replication(admin, &going_on, &proposed, &current, rate, out).await?;
    }
    if let Some(rate) = dirs_rate {
        let brokers = plan.dirs.keys().map(|replica| replica.broker).collect();
        throttle::limit_dirs(admin, &brokers, rate, out).await?;
    }
    let wanted = proposed.iter().map(|(partition, replicas)| (partition.clone(), Some(replicas.clone()))).collect();
    let refused = admin.reassign(&wanted, !line.has("disallow-replication-factor-change")).await?;
    if !refused.is_empty() {
        return Err(terse(format_args!("Error reassigning partition(s):\n{}", refusals(&refused)), out));
    }
    let names = java::joined(&proposed.keys().collect::<Vec<_>>(), ",");
    out.line(format_args!("Successfully started partition reassignment{} for {names}", plural(proposed.len())));
    move_all(line, admin, plan.dirs, out).await
}

/// The replicas that the partitions of a plan have now.
async fn current(admin: &Admin, proposed: &Assignment) -> Result<Assignment, Thrown> {
    let mut topics: Vec<String> = proposed.keys().map(|partition| partition.topic.to_string()).collect();
    topics.dedup();
    let mut current = Assignment::new();
    for topic in describe(admin, &topics).await? {
        for partition in topic.partitions {
            let name = TopicPartition::new(&*topic.name, partition.index);
            if proposed.contains_key(&name) {
                current.insert(name, partition.replicas);
            }
        }
    }
    let missing: Vec<&TopicPartition> = proposed.keys().filter(|partition| !current.contains_key(partition)).collect();
    if missing.is_empty() {
        return Ok(current);
    }
    let text = format!("Unable to find partition: {}", java::joined(&missing, ", "));
    Err(Thrown::of_code(ErrorCode::UnknownTopicOrPartition, Some(&text)).execution())
}

/// Moves replicas to directories. A replica that its broker does not have yet is moved again until time is up.
async fn move_all(
    line: &Line,
    admin: &Admin,
    mut wanted: BTreeMap<Replica, String>,
    out: &mut Out,
) -> Result<(), Failure> {
    let timeout = line.number::<i64>("timeout")?.unwrap_or(10_000);
    let deadline = now() + Duration::from_millis(u64::try_from(timeout).unwrap_or(0));
    while !wanted.is_empty() {
        for (replica, code) in admin.move_replicas(&wanted).await.map_err(Thrown::execution)? {
            match code {
                ErrorCode::None => {
                    let Some(dir) = wanted.remove(&replica) else { continue };
                    out.line(format_args!(
                        "Successfully started moving log directory to {dir} for replica {} with broker {} ",
                        replica.partition, replica.broker
                    ));
                }
                ErrorCode::ReplicaNotAvailable => {}
                code => {
                    let cause = Thrown::of_code(code, None).execution();
                    let text = format!("Failed to alter dir for {replica}");
                    let class = "org.apache.kafka.tools.AdminCommandFailedException";
                    return Err(Thrown::caused_by(class, text, cause).into());
                }
            }
        }
        if wanted.is_empty() {
            break;
        }
        if now() >= deadline {
            let names = java::joined(&wanted.keys().collect::<Vec<_>>(), ",");
            let text =
                format!("Timed out before log directory move{} could be started for: {names}", plural(wanted.len()));
            return Err(terse(text, out));
        }
        sleep(MOVE_AGAIN).await;
    }
    Ok(())
}

pub(super) async fn cancel(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let plan = plan_of(line)?;
    let partitions: Vec<TopicPartition> = plan.partitions.iter().map(|(partition, _)| partition.clone()).collect();
    let going_on = admin.reassignments(Some(&partitions)).await.map_err(Thrown::execution)?;
    let going_on: Vec<&TopicPartition> = going_on
        .iter()
        .filter(|(_, reassignment)| !reassignment.adding.is_empty() || !reassignment.removing.is_empty())
        .map(|(partition, _)| partition)
        .collect();
    if going_on.is_empty() {
        out.line("None of the specified partition reassignments are active.");
    } else {
        let wanted = going_on.iter().map(|partition| ((*partition).clone(), None)).collect();
        let refused = admin.reassign(&wanted, true).await?;
        if !refused.is_empty() {
            let (ending, lines) = (plural(refused.len()), refusals(&refused));
            return Err(terse(format_args!("Error cancelling partition reassignment{ending} for:\n{lines}"), out));
        }
        let names = java::joined(&going_on, ",");
        out.line(format_args!("Successfully cancelled partition reassignment{} for: {names}", plural(going_on.len())));
    }
    // A replica that is being moved is moved back to where it is.
    let moving: BTreeMap<Replica, String> = verify::standing_dirs(admin, &plan)
        .await?
        .into_iter()
        .filter_map(|(replica, dirs)| Some((replica, dirs.future.and(dirs.current)?)))
        .collect();
    if moving.is_empty() {
        out.text("None of the specified partition moves are active.");
    } else {
        move_all(line, admin, moving, out).await?;
    }
    if !line.has("preserve-throttles") {
        throttle::clear(admin, &plan.partitions, out).await?;
    }
    Ok(())
}
