//! `kafka-consumer-groups.sh --describe`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thalweg_base::TopicPartition;
use thalweg_client::OffsetSpec;

use super::chosen;
use crate::admin::{Admin, Committed, ConsumerGroup, Member};
use crate::failure::Failure;
use crate::group_commands::{MISSING, coordinator, print_error, shown};
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

pub(super) async fn describe(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let mut groups = BTreeMap::new();
    for id in chosen(line, admin).await? {
        groups.insert(id.clone(), admin.describe_consumer_group(&id).await.map_err(Thrown::execution)?);
    }
    let verbose = line.has("verbose");
    if line.has("members") {
        for group in groups.values() {
            members(group, verbose, out);
        }
        return Ok(());
    }
    if line.has("state") {
        for group in groups.values() {
            state(group, verbose, admin, out).await?;
        }
        return Ok(());
    }
    let mut tables = Vec::new();
    for group in groups.values() {
        tables.push((group, rows(group, admin).await?));
    }
    for (group, rows) in tables {
        if is_worth_a_table(group, rows.len(), out) {
            offsets(&group.id, &rows, verbose, out);
        }
    }
    Ok(())
}

/// Says on standard error what state a group is in, if that matters. Whether it has a table, of so many rows.
fn is_worth_a_table(group: &ConsumerGroup, rows: usize, out: &mut Out) -> bool {
    let id = &group.id;
    match group.state.as_str() {
        "Dead" => print_error(&format!("Consumer group '{id}' does not exist."), out),
        "Empty" => out.error(format_args!("\nConsumer group '{id}' has no active members.")),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            out.error(format_args!("\nWarning: Consumer group '{id}' is rebalancing."));
        }
        _ => {}
    }
    group.state != "Dead" && rows > 0
}

/// One line of the table of offsets.
struct Row {
    partition: Option<TopicPartition>,
    committed: Option<Committed>,
    end: Option<i64>,
    member: [String; 3],
}

/// The partitions of each member, those with the most first, and then those that nobody has.
async fn rows(group: &ConsumerGroup, admin: &Admin) -> Result<Vec<Row>, Thrown> {
    let mut committed = admin.committed_offsets(&group.id).await.map_err(|thrown| thrown.execution().runtime())?;
    let mut members: Vec<&Member> = group.members.iter().filter(|member| !member.assigned.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assigned.len()));
    let mut rows = Vec::new();
    for member in members {
        let mut assigned = member.assigned.clone();
        assigned.sort();
        for partition in assigned {
            rows.push(Row {
                committed: committed.remove(&partition),
                partition: Some(partition),
                end: None,
                member: [member.id.clone(), member.host.clone(), member.client.clone()],
            });
        }
    }
    rows.extend(committed.into_iter().map(|(partition, committed)| Row {
        partition: Some(partition),
        committed: Some(committed),
        end: None,
        member: [MISSING; 3].map(str::to_owned),
    }));
    let wanted: Vec<(TopicPartition, OffsetSpec)> =
        rows.iter().filter_map(|row| Some((row.partition.clone()?, OffsetSpec::Latest))).collect();
    let ends = admin.list_offsets(&wanted).await.map_err(|thrown| thrown.execution().runtime())?;
    for (row, end) in rows.iter_mut().zip(ends) {
        row.end = end.ok().and_then(|end| end.offset).map(|offset| offset.0);
    }
    Ok(rows)
}

impl Row {
    /// The table's line of a group's partition, as JSON.
    fn object(&self, group: &str) -> Value {
        let offset = self.committed.map(|committed| committed.offset);
        let known = |cell: &String| Some(cell.clone()).filter(|cell| cell != MISSING);
        let [id, host, client] = &self.member;
        json!({
            "group": group,
            "topic": self.partition.as_ref().map(|partition| partition.topic.to_string()),
            "partition": self.partition.as_ref().map(|partition| partition.partition),
            "leaderEpoch": self.committed.and_then(|committed| committed.leader_epoch),
            "currentOffset": offset,
            "logEndOffset": self.end,
            "lag": offset.and_then(|offset| self.end.map(|end| end - offset)),
            "consumerId": known(id),
            "host": known(host),
            "clientId": known(client),
        })
    }
}

/// A line of the table of members, as JSON.
fn member_object(group: &ConsumerGroup, member: &Member) -> Value {
    let names = |partitions: &[TopicPartition]| partitions.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "group": group.id,
        "consumerId": member.id,
        "groupInstanceId": member.instance,
        "host": member.host,
        "clientId": member.client,
        "currentEpoch": member.epoch,
        "assignment": names(&member.assigned),
        "targetEpoch": group.target_epoch,
        "targetAssignment": names(&member.target),
    })
}

fn offsets(group: &str, rows: &[Row], verbose: bool, out: &mut Out) {
    if out.is_json() {
        return rows.iter().for_each(|row| out.object(&row.object(group)));
    }
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(15);
    let group_width = group.len().max(15);
    let topics = rows.iter().filter_map(|row| row.partition.as_ref()).map(|partition| partition.topic.len());
    let topic_width = width(&mut topics.into_iter());
    let id_width = width(&mut rows.iter().map(|row| row.member[0].len()));
    let host_width = width(&mut rows.iter().map(|row| row.member[1].len()));
    let mut print = |cells: [&str; 10]| {
        let [group, topic, partition, epoch, current, end, lag, id, host, client] = cells;
        let epoch = if verbose { format!("{epoch:<15} ") } else { String::new() };
        out.text(format_args!(
            "\n{group:<group_width$} {topic:<topic_width$} {partition:<10} {epoch}{current:<15} {end:<15} {lag:<15} \
             {id:<id_width$} {host:<host_width$} {client}"
        ));
    };
    print([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    for row in rows {
        let topic = row.partition.as_ref().map_or(MISSING, |partition| &*partition.topic);
        let offset = row.committed.map(|committed| committed.offset);
        let lag = offset.and_then(|offset| row.end.map(|end| end - offset));
        let [id, host, client] = &row.member;
        print([
            group,
            topic,
            &shown(row.partition.as_ref().map(|partition| partition.partition)),
            &shown(row.committed.and_then(|committed| committed.leader_epoch)),
            &shown(offset),
            &shown(row.end),
            &shown(lag),
            id,
            host,
            client,
        ]);
    }
    out.line("");
}

/// Partitions by topic: `a:0,1;b:2`.
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    if topics.is_empty() {
        return MISSING.to_owned();
    }
    let topics = topics.into_iter().map(|(topic, mut indexes)| {
        indexes.sort_unstable();
        let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", indexes.join(","))
    });
    topics.collect::<Vec<_>>().join(";")
}

fn members(group: &ConsumerGroup, verbose: bool, out: &mut Out) {
    // The head is printed for a group without members too.
    is_worth_a_table(group, group.members.len(), out);
    if out.is_json() {
        return group.members.iter().for_each(|member| out.object(&member_object(group, member)));
    }
    let width =
        |least: usize, texts: &dyn Fn(&Member) -> usize| group.members.iter().map(texts).max().unwrap_or(0).max(least);
    let group_width = group.id.len().max(15);
    let id_width = width(15, &|member| member.id.len());
    let instance_width = width(17, &|member| member.instance.as_ref().map_or(0, String::len));
    let host_width = width(15, &|member| member.host.len());
    let client_width = width(15, &|member| member.client.len());
    let current_width = width(20, &|member| assignment(&member.assigned).len());
    let target_width = width(20, &|member| assignment(&member.target).len());
    let has_instances = group.members.iter().any(|member| member.instance.is_some());
    let is_migrating = group.members.iter().any(|member| member.upgraded == Some(true))
        && group.members.iter().any(|member| member.upgraded == Some(false));
    let mut print = |cells: [&str; 11]| {
        let [group, id, instance, host, client, count, epoch, current, target_epoch, target, upgraded] = cells;
        let instance = if has_instances { format!("{instance:<instance_width$} ") } else { String::new() };
        let mut text = format!(
            "{group:<group_width$} {id:<id_width$} {instance}{host:<host_width$} {client:<client_width$} {count:<15} "
        );
        if verbose {
            text += &format!("{epoch:<15} {current:<current_width$} {target_epoch:<15} {target:<target_width$}");
        }
        if verbose && is_migrating {
            text += &format!(" {upgraded}");
        }
        out.line(text);
    };
    let head = [
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "CURRENT-EPOCH",
        "CURRENT-ASSIGNMENT",
        "TARGET-EPOCH",
        "TARGET-ASSIGNMENT",
        "UPGRADED",
    ];
    // An empty line stands before the head.
    let head_group = format!("\n{:<group_width$}", head[0]);
    let mut cells = head;
    cells[0] = &head_group;
    print(cells);
    for member in &group.members {
        print([
            &group.id,
            &member.id,
            member.instance.as_deref().unwrap_or_default(),
            &member.host,
            &member.client,
            &member.assigned.len().to_string(),
            &shown(member.epoch),
            &assignment(&member.assigned),
            &shown(group.target_epoch),
            &assignment(&member.target),
            &shown(member.upgraded),
        ]);
    }
}

async fn state(group: &ConsumerGroup, verbose: bool, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    if !is_worth_a_table(group, 1, out) {
        return Ok(());
    }
    let coordinator = coordinator(&group.id, admin).await?;
    if out.is_json() {
        out.object(&json!({
            "group": group.id,
            "coordinator": coordinator,
            "assignmentStrategy": group.assignor,
            "state": group.state,
            "groupEpoch": group.epoch,
            "targetAssignmentEpoch": group.target_epoch,
            "members": group.members.len(),
        }));
        return Ok(());
    }
    let group_width = group.id.len().max(15);
    let coordinator_width = coordinator.len().max(25);
    let strategy = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let mut print = |cells: [&str; 7]| {
        let [group, coordinator, strategy, state, epoch, target, members] = cells;
        let epochs = if verbose { format!("{epoch:<15} {target:<25} ") } else { String::new() };
        out.text(format_args!(
            "\n{group:<group_width$} {coordinator:<coordinator_width$} {strategy:<20} {state:<20} {epochs}{members}"
        ));
    };
    print([
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ]);
    print([
        &group.id,
        &coordinator,
        strategy,
        &group.state,
        &shown(group.epoch),
        &shown(group.target_epoch),
        &group.members.len().to_string(),
    ]);
    out.line("");
    Ok(())
}
