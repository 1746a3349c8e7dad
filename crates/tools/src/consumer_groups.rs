//! `kafka-consumer-groups.sh`: lists, describes and deletes consumer groups, and resets and deletes their offsets.

mod checks;
mod describe;
mod offsets;
mod plan;
mod reset;

pub(crate) use offsets::partitions as partitions_of;
use regex::Regex;
use serde_json::json;

use crate::admin::{self, Admin, GroupListing};
use crate::failure::Failure;
use crate::group_commands::{self, Deletion, words};
use crate::java;
use crate::jopt::{Line, Opt, flag, optional, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "consumer-groups",
    script: "kafka-consumer-groups",
    classes: &["org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "kafka.admin.ConsumerGroupCommand"],
    about: "List, describe and delete consumer groups; reset their offsets.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-consumer-groups --bootstrap-server localhost:9092 --list",
        "kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group billing",
        "kafka-consumer-groups --bootstrap-server localhost:9092 --describe --group billing --members --verbose",
        "kafka-consumer-groups --bootstrap-server localhost:9092 --reset-offsets --group billing --topic orders --to-earliest --dry-run",
        "kafka-consumer-groups --bootstrap-server localhost:9092 --reset-offsets --group billing --all-topics --shift-by -10 --execute",
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
    value("group", "consumer group", "The group. May be repeated."),
    value("topic", "topic", "With --reset-offsets or --delete-offsets: a topic, or topic:0,1,2. May be repeated."),
    flag("all-topics", "With --reset-offsets: all topics that the group has offsets of."),
    flag("list", "List the groups."),
    flag("describe", "Describe groups: offsets and lag, members, or state."),
    flag("all-groups", "All groups."),
    flag("delete", "Delete groups without members."),
    value("timeout", "timeout (ms)", "How long brokers may take. Default: 30000."),
    flag("reset-offsets", "Set the offsets of groups without members. Nothing is done without --execute."),
    flag("delete-offsets", "Delete the offsets of a group for topics that it does not subscribe to."),
    flag("dry-run", "With --reset-offsets: only print the new offsets."),
    flag("execute", "With --reset-offsets: set them."),
    flag("export", "With --reset-offsets: print the new offsets as CSV, for --from-file."),
    value("to-offset", "offset", "To an offset."),
    value("from-file", "path to CSV file", "To the offsets of a file."),
    value("to-datetime", "datetime", "To the first record at or after a time: YYYY-MM-DDTHH:mm:SS.sss[Z or +hhmm]."),
    value("by-duration", "duration", "To the first record that is younger than PnDTnHnMnS."),
    flag("to-earliest", "To the first record."),
    flag("to-latest", "Behind the last record."),
    flag("to-current", "To the current offset."),
    value("shift-by", "number-of-offsets", "By so many records, back if negative."),
    flag("members", "With --describe: the members.").available_if(&["describe"]),
    flag("verbose", "With --describe: more columns.").available_if(&["describe"]),
    flag("offsets", "With --describe: offsets and lag, which is the default.").available_if(&["describe"]),
    optional(
        "state",
        "String",
        "With --describe: the state of the group. With --list: the states, or only groups in these.",
    )
    .available_if(&["describe", "list"]),
    optional("type", "String", "With --list: the types, or only groups of these: Classic, Consumer.")
        .available_if(&["list"]),
    value("validate-regex", "regex", "Say whether a regular expression can be subscribed to."),
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    checks::check(line, out)?;
    if let Some(pattern) = line.value("validate-regex")? {
        validate_regex(pattern, out);
        return Ok(());
    }
    let acted = act(line, out);
    group_commands::told("consumer", acted, Ok(()), out)
}

/// Says whether a pattern is one of the new protocol, which takes RE2's (KIP-848), with RE2's words.
fn validate_regex(pattern: &str, out: &mut Out) {
    let reason = match Regex::new(pattern) {
        Ok(_) => {
            out.line(format_args!("The regular expression `{pattern}` is valid."));
            return;
        }
        Err(e) => re2_reason(&e.to_string()),
    };
    out.line(format_args!("The regular expression `{pattern}` is invalid: {reason}."));
}

fn re2_reason(error: &str) -> String {
    let known = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("repetition operator missing expression", "missing argument to repetition operator"),
        ("backreferences", "invalid escape sequence"),
        ("unrecognized escape", "invalid escape sequence"),
        ("invalid character class range", "invalid character class range"),
    ];
    let found = known.iter().find(|(ours, _)| error.contains(ours)).map(|(_, theirs)| (*theirs).to_owned());
    found.unwrap_or_else(|| error.lines().last().unwrap_or("invalid").trim_start_matches("error: ").to_owned())
}

fn act(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let timeout = group_commands::timeout_ms(line)?;
    let scenario = reset::Scenario::of_line(line)?;
    let properties = group_commands::properties(line, timeout)?;
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if line.has("list") {
            list(line, &admin, out).await
        } else if line.has("describe") {
            describe::describe(line, &admin, out).await
        } else if line.has("delete") {
            delete(line, &admin, out).await
        } else if line.has("reset-offsets") {
            reset::reset(line, &scenario, &admin, out).await
        } else {
            offsets::delete(line, &admin, out).await
        }
    })
}

/// The consumer groups, in the order of Kafka's hash map.
async fn listed(admin: &Admin, states: &[String], types: &[String]) -> Result<Vec<GroupListing>, Thrown> {
    let mut groups = admin.list_groups(states, types).await.map_err(|thrown| thrown.execution().runtime())?;
    groups.retain(GroupListing::is_consumer_group);
    Ok(groups)
}

/// The groups that the line names.
async fn chosen(line: &Line, admin: &Admin) -> Result<Vec<String>, Thrown> {
    if line.has("all-groups") {
        return Ok(listed(admin, &[], &[]).await?.into_iter().map(|group| group.id).collect());
    }
    Ok(line.values("group").to_vec())
}

const STATES: [&str; 7] =
    ["Assigning", "PreparingRebalance", "Stable", "CompletingRebalance", "Reconciling", "Empty", "Dead"];
const TYPES: [&str; 2] = ["Consumer", "Classic"];

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or("Unknown".to_owned(), |first| first.to_uppercase().chain(letters).collect())
}

async fn list(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let (with_type, with_state) = (line.has("type"), line.has("state"));
    if !with_type && !with_state {
        for group in listed(admin, &[], &[]).await? {
            print_listed(&group, out);
        }
        return Ok(());
    }
    let types = words(line.value("type")?, "types", &TYPES, "types")?;
    let states = words(line.value("state")?, "state", &STATES, "states")?;
    let groups = listed(admin, &states, &types).await?;
    if out.is_json() {
        groups.iter().for_each(|group| print_listed(group, out));
        return Ok(());
    }
    let width = groups.iter().map(|group| group.id.len().max(15)).max().unwrap_or(15) + 10;
    let mut row = |id: &str, kind: &str, state: &str| {
        let mut text = format!("{id:<width$}");
        if with_type {
            text += &format!(" {kind:<20}");
        }
        if with_state {
            text += &format!(" {state:<20}");
        }
        out.line(text);
    };
    row("GROUP", "TYPE", "STATE");
    for group in &groups {
        row(&group.id, &capitalized(&group.kind), &capitalized(&group.state));
    }
    Ok(())
}

fn print_listed(group: &GroupListing, out: &mut Out) {
    if out.is_json() {
        let (kind, state) = (capitalized(&group.kind), capitalized(&group.state));
        out.object(&json!({"group": group.id, "type": kind, "state": state}));
    } else {
        out.line(&group.id);
    }
}

async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let groups = chosen(line, admin).await?;
    let count = groups.len();
    let mut deletion = Deletion::default();
    for group in java::names_in_hash_order(groups, count) {
        let deleted = admin.delete_group(&group).await;
        deletion.add(group, deleted);
    }
    deletion.print("consumer", out);
    Ok(())
}
