//! `kafka-streams-groups.sh`: lists, describes and deletes groups of Kafka Streams (KIP-1071).

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_client::OffsetSpec;
use thalweg_wire::messages::StreamsGroupDescribeRequest;
use thalweg_wire::messages::streams_group_describe_response::{DescribedGroup, Member, TaskIds};

use crate::admin::{self, Admin, check};
use crate::failure::Failure;
use crate::group_commands::{self, Deletion, print_error, shown};
use crate::java;
use crate::jopt::{Line, Opt, flag, optional, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::table;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "streams-groups",
    script: "kafka-streams-groups",
    classes: &["org.apache.kafka.tools.streams.StreamsGroupCommand"],
    about: "List, describe and delete groups of Kafka Streams.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to list, describe and delete streams groups.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-streams-groups --bootstrap-server localhost:9092 --list",
        "kafka-streams-groups --bootstrap-server localhost:9092 --describe --group totals",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Main,
    uncaught: Uncaught::Main,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    COMMAND_CONFIG,
    OUTPUT,
    value("group", "streams group", "The group. May be repeated."),
    flag("list", "List the groups."),
    flag("describe", "Describe groups: offsets and lag, members, or state."),
    flag("delete", "Delete groups without members, not their internal topics."),
    flag("all-groups", "All groups."),
    value("timeout", "timeout (ms)", "How long brokers may take. Default: 30000."),
    flag("members", "With --describe: the members and their tasks.").available_if(&["describe"]),
    flag("offsets", "With --describe: offsets and lag, which is the default.").available_if(&["describe"]),
    optional(
        "state",
        "String",
        "With --describe: the state of the group. With --list: the states, or only groups in these.",
    )
    .available_if(&["describe", "list"]),
    flag("verbose", "With --describe: more columns.").available_if(&["describe"]),
];

const ACTIONS: [&str; 3] = ["list", "describe", "delete"];
const STATES: [&str; 6] = ["Reconciling", "Stable", "Dead", "Assigning", "Empty", "NotReady"];
/// The titles of the table of offsets.
const OFFSETS: [&str; 7] =
    ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LEADER-EPOCH", "LOG-END-OFFSET", "OFFSET-LAG"];

/// The titles of the table of members.
const MEMBERS: [&str; 7] =
    ["GROUP", "TARGET-ASSIGNMENT-EPOCH", "MEMBER", "PROCESS", "CLIENT-ID", "MEMBER-EPOCH", "ASSIGNMENTS"];

/// The titles of the table of states.
const STATE_TITLES: [&str; 6] =
    ["GROUP", "COORDINATOR (ID)", "STATE", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH", "#MEMBERS"];

/// The type of these groups.
const TYPE: &str = "Streams";

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    for action in ["describe", "delete"] {
        if line.has(action) && !line.has_any(&["group", "all-groups"]) {
            let text = format!("Option [{action}] takes one of these options: [all-groups], [group]");
            return Err(Failure::Usage(text));
        }
    }
    line.forbid("group", &["all-groups", "list"])?;
    if line.count(&["members", "offsets"]) + usize::from(line.has("describe") && line.has("state")) > 1 {
        let text = "Option [describe] takes at most one of these options: [members], [offsets], [state]";
        return Err(Failure::Usage(text.into()));
    }
    if line.count(&ACTIONS) != 1 {
        let text = "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, or --delete-offsets.";
        return Err(Failure::Usage(text.into()));
    }
    let acted = act(line, out);
    group_commands::told("streams", acted, Err(Failure::Exit(1)), out)
}

fn act(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let properties = group_commands::properties(line, group_commands::timeout_ms(line)?)?;
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if line.has("list") {
            group_commands::list(line, &admin, TYPE, &STATES, out).await
        } else if line.has("describe") {
            describe(line, &admin, out).await
        } else {
            delete(line, &admin, out).await
        }
    })
}

async fn described(admin: &Admin, group: &str) -> Result<DescribedGroup, Thrown> {
    let request =
        StreamsGroupDescribeRequest { group_ids: vec![group.into()], ..StreamsGroupDescribeRequest::default() };
    let response = admin.coordinator("describeStreamsGroups", group, &request).await?;
    let found = response.groups.into_iter().next().unwrap_or_default();
    check(found.error_code, found.error_message.as_deref()).map(|()| found)
}

async fn describe(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let mut groups = BTreeMap::new();
    for id in group_commands::chosen(line, admin, TYPE).await? {
        groups.insert(id.clone(), described(admin, &id).await.map_err(Thrown::execution)?);
    }
    let verbose = line.has("verbose");
    for (id, group) in &groups {
        match &*group.group_state {
            "Dead" => {
                print_error(&format!("Streams group '{id}' does not exist."), out);
                continue;
            }
            "Empty" => out.error(format_args!("\nStreams group '{id}' has no active members.")),
            _ => {}
        }
        if line.has("members") {
            members(id, group, verbose, out);
        } else if line.has("state") {
            state(id, group, verbose, admin, out).await?;
        } else {
            offsets(id, group, verbose, admin, out).await?;
        }
    }
    Ok(())
}

/// The topics that the application reads, without those that it writes itself.
fn source_topics(group: &DescribedGroup) -> Vec<String> {
    let subtopologies = group.topology.iter().flat_map(|topology| topology.subtopologies.iter().flatten());
    let mut topics: Vec<String> =
        subtopologies.flat_map(|one| one.source_topics.iter().map(ToString::to_string)).collect();
    topics.sort();
    topics.dedup();
    topics
}

async fn offsets(id: &str, group: &DescribedGroup, verbose: bool, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let committed = admin.committed_offsets(id).await?;
    let mut partitions: Vec<TopicPartition> = committed.keys().cloned().collect();
    let topics = source_topics(group);
    if !topics.is_empty() {
        for (name, info) in admin.describe_topics(&topics).await? {
            let Ok(info) = info else { continue };
            partitions.extend(info.partitions.iter().map(|partition| TopicPartition::new(&*name, partition.index)));
        }
    }
    partitions.sort();
    partitions.dedup();
    if partitions.is_empty() {
        return Ok(());
    }
    let wanted: Vec<(TopicPartition, OffsetSpec)> =
        partitions.iter().map(|partition| (partition.clone(), OffsetSpec::Latest)).collect();
    let ends = admin.list_offsets(&wanted).await?;
    let group_width = id.len().max(15);
    let topic_width = partitions.iter().map(|partition| partition.topic.len()).max().unwrap_or(0).max(15);
    let mut row = |cells: [&str; 7]| {
        if out.is_json() {
            return table::print_object(&OFFSETS, &cells, out);
        }
        let [group, topic, partition, current, epoch, end, lag] = cells;
        let more = if verbose { format!("{current:<15} {epoch:<15} {end:<15} ") } else { String::new() };
        out.text(format_args!("\n{group:<group_width$} {topic:<topic_width$} {partition:<10} {more}{lag}"));
    };
    row(OFFSETS);
    for (partition, end) in partitions.iter().zip(ends) {
        let current = committed.get(partition);
        let end = end.ok().and_then(|end| end.offset).map(|offset| offset.0);
        let lag = current.zip(end).map(|(current, end)| end - current.offset);
        row([
            id,
            &partition.topic,
            &partition.partition.to_string(),
            &shown(current.map(|current| current.offset)),
            &shown(current.and_then(|current| current.leader_epoch)),
            &shown(end),
            &shown(lag),
        ]);
    }
    out.line("");
    Ok(())
}

/// Tasks by subtopology: `0:0,1;1:2`.
fn tasks(tasks: &[TaskIds]) -> String {
    let one = |task: &TaskIds| {
        let mut partitions = task.partitions.clone();
        partitions.sort_unstable();
        format!("{}:[{}]", task.subtopology_id, java::joined(&partitions, ","))
    };
    tasks.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn members(id: &str, group: &DescribedGroup, verbose: bool, out: &mut Out) {
    let width = |text: &dyn Fn(&Member) -> usize| group.members.iter().map(text).max().unwrap_or(0).max(15);
    let (group_width, member_width) = (id.len().max(15), width(&|member| member.member_id.len()));
    let (process_width, client_width) =
        (width(&|member| member.process_id.len()), width(&|member| member.client_id.len()));
    let mut row = |cells: [&str; 7]| {
        if out.is_json() {
            return table::print_object(&MEMBERS, &cells, out);
        }
        let [group, target, member, process, client, epoch, assignment] = cells;
        let (before, behind) =
            if verbose { (format!("{target:<20} "), format!("{epoch:<12} ")) } else { (String::new(), String::new()) };
        out.text(format_args!(
            "\n{group:<group_width$} {before}{member:<member_width$} {process:<process_width$} {client:<client_width$} \
             {behind}{assignment}"
        ));
    };
    row(MEMBERS);
    for member in &group.members {
        let assignment = &member.assignment;
        let mut parts = Vec::new();
        for (name, of) in [
            ("ACTIVE", &assignment.active_tasks),
            ("STANDBY", &assignment.standby_tasks),
            ("WARMUP", &assignment.warmup_tasks),
        ] {
            if !of.is_empty() {
                parts.push(format!("{name}: {}", tasks(of)));
            }
        }
        let (target, epoch) = (group.assignment_epoch.to_string(), member.member_epoch.to_string());
        row([id, &target, &member.member_id, &member.process_id, &member.client_id, &epoch, &parts.join("; ")]);
    }
    out.line("");
}

async fn state(id: &str, group: &DescribedGroup, verbose: bool, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let coordinator = group_commands::coordinator(id, admin).await?;
    let (group_width, coordinator_width) = (id.len().max(15), coordinator.len().max(25));
    let mut row = |cells: [&str; 6]| {
        if out.is_json() {
            return table::print_object(&STATE_TITLES, &cells, out);
        }
        let [group, coordinator, state, epoch, target, members] = cells;
        let epochs = if verbose { format!("{epoch:<15} {target:<25} ") } else { String::new() };
        out.text(format_args!(
            "\n{group:<group_width$} {coordinator:<coordinator_width$} {state:<20} {epochs}{members}"
        ));
    };
    row(STATE_TITLES);
    let (epoch, target) = (group.group_epoch.to_string(), group.assignment_epoch.to_string());
    row([id, &coordinator, &group.group_state, &epoch, &target, &group.members.len().to_string()]);
    out.line("");
    Ok(())
}

async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let standing: Vec<String> =
        group_commands::listed(admin, TYPE, &[]).await?.into_iter().map(|group| group.id).collect();
    let named = if line.has("all-groups") { standing.clone() } else { line.values("group").to_vec() };
    let mut deletion = Deletion::default();
    for group in java::names_in_hash_order(named, 16) {
        let deleted = if standing.contains(&group) {
            admin.delete_group(&group).await
        } else {
            let text = format!("Group '{group}' does not exist or is not a streams group.");
            Err(Thrown::illegal_argument(text))
        };
        deletion.add(group, deleted);
    }
    deletion.print("streams", out);
    Ok(())
}
