//! `kafka-share-groups.sh --describe`.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_wire::messages::share_group_describe_response::{DescribedGroup, Member};

use super::TYPE;
use crate::admin::{Admin, ShareOffset};
use crate::failure::Failure;
use crate::group_commands::{chosen, coordinator, print_error, shown};
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::table;
use crate::thrown::Thrown;

/// The titles of the table of offsets.
const OFFSETS: [&str; 6] = ["GROUP", "TOPIC", "PARTITION", "LEADER-EPOCH", "START-OFFSET", "LAG"];

/// The titles of the table of members.
const MEMBERS: [&str; 7] = ["GROUP", "CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", "MEMBER-EPOCH", "ASSIGNMENT"];

/// The titles of the table of states.
const STATES: [&str; 6] = ["GROUP", "COORDINATOR (ID)", "STATE", "GROUP-EPOCH", "ASSIGNMENT-EPOCH", "#MEMBERS"];

pub(super) async fn describe(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let mut groups = BTreeMap::new();
    for id in chosen(line, admin, TYPE).await? {
        groups.insert(id.clone(), admin.describe_share_group(&id).await.map_err(Thrown::execution)?);
    }
    let verbose = line.has("verbose");
    for (id, group) in &groups {
        if line.has("members") {
            members(id, group, verbose, out);
        } else if line.has("state") {
            state(id, group, verbose, admin, out).await?;
        } else {
            let offsets = admin.share_offsets(id).await?;
            if !offsets.is_empty() && &*group.group_state != "Dead" {
                print_offsets(id, &offsets, verbose, out);
            }
        }
    }
    Ok(())
}

/// Says if a group has no members, or does not exist. Whether it has a table, of so many rows.
fn is_worth_a_table(id: &str, group: &DescribedGroup, rows: usize, out: &mut Out) -> bool {
    match &*group.group_state {
        "Dead" => print_error(&format!("Share group '{id}' does not exist."), out),
        "Empty" => out.error(format_args!("\nShare group '{id}' has no active members.")),
        _ => {}
    }
    &*group.group_state != "Dead" && rows > 0
}

fn print_offsets(id: &str, offsets: &BTreeMap<TopicPartition, ShareOffset>, verbose: bool, out: &mut Out) {
    let group_width = id.len().max(15);
    let topic_width = offsets.keys().map(|partition| partition.topic.len()).max().unwrap_or(0).max(15);
    let mut row = |cells: [&str; 6]| {
        if out.is_json() {
            return table::print_object(&OFFSETS, &cells, out);
        }
        let [group, topic, partition, epoch, start, lag] = cells;
        let epoch = if verbose { format!("{epoch:<13} ") } else { String::new() };
        out.text(format_args!(
            "\n{group:<group_width$} {topic:<topic_width$} {partition:<10} {epoch}{start:<13} {lag}"
        ));
    };
    row(OFFSETS);
    for (partition, offset) in offsets {
        let index = partition.partition.to_string();
        let (epoch, start, lag) = (shown(offset.leader_epoch), shown(offset.start), shown(offset.lag));
        row([id, &partition.topic, &index, &epoch, &start, &lag]);
    }
    out.line("");
}

/// Partitions by topic: `a:0,1;b:2`.
fn assignment(member: &Member) -> String {
    let topics = member.assignment.topic_partitions.iter().map(|topic| {
        let mut partitions = topic.partitions.clone();
        partitions.sort_unstable();
        format!("{}:{}", topic.topic_name, java::joined(&partitions, ","))
    });
    topics.collect::<Vec<_>>().join(";")
}

fn members(id: &str, group: &DescribedGroup, verbose: bool, out: &mut Out) {
    if !is_worth_a_table(id, group, group.members.len(), out) {
        return;
    }
    let width = |text: &dyn Fn(&Member) -> usize| group.members.iter().map(text).max().unwrap_or(0).max(15);
    let (group_width, id_width) = (id.len().max(15), width(&|member| member.member_id.len()));
    let (host_width, client_width) =
        (width(&|member| member.client_host.len()), width(&|member| member.client_id.len()));
    let mut row = |cells: [&str; 7]| {
        if out.is_json() {
            return table::print_object(&MEMBERS, &cells, out);
        }
        let [group, id, host, client, count, epoch, assignment] = cells;
        let epoch = if verbose { format!("{epoch:<13} ") } else { String::new() };
        out.text(format_args!(
            "\n{group:<group_width$} {id:<id_width$} {host:<host_width$} {client:<client_width$} {count:<12} {epoch}{assignment}"
        ));
    };
    row(MEMBERS);
    for member in &group.members {
        let count: usize = member.assignment.topic_partitions.iter().map(|topic| topic.partitions.len()).sum();
        row([
            id,
            &member.member_id,
            &member.client_host,
            &member.client_id,
            &count.to_string(),
            &member.member_epoch.to_string(),
            &assignment(member),
        ]);
    }
    out.line("");
}

async fn state(id: &str, group: &DescribedGroup, verbose: bool, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    if !is_worth_a_table(id, group, 1, out) {
        return Ok(());
    }
    let coordinator = coordinator(id, admin).await?;
    let group_width = id.len().max(15);
    let coordinator_width = coordinator.len().max(25);
    let mut row = |cells: [&str; 6]| {
        if out.is_json() {
            return table::print_object(&STATES, &cells, out);
        }
        let [group, coordinator, state, epoch, assignment_epoch, members] = cells;
        let epochs = if verbose { format!("{epoch:<12} {assignment_epoch:<17} ") } else { String::new() };
        out.text(format_args!(
            "\n{group:<group_width$} {coordinator:<coordinator_width$} {state:<15} {epochs}{members}"
        ));
    };
    row(STATES);
    row([
        id,
        &coordinator,
        &group.group_state,
        &group.group_epoch.to_string(),
        &group.assignment_epoch.to_string(),
        &group.members.len().to_string(),
    ]);
    out.line("");
    Ok(())
}
