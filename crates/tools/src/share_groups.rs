//! `kafka-share-groups.sh`: lists, describes and deletes share groups, and sets and deletes their offsets (KIP-932).

mod checks;
mod describe;
mod offsets;

use std::collections::BTreeMap;

use crate::admin::{self, Admin, GroupListing};
use crate::consumer_groups::words;
use crate::failure::Failure;
use crate::java;
use crate::jopt::{Line, Opt, flag, optional, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "share-groups",
    script: "kafka-share-groups",
    classes: &["org.apache.kafka.tools.consumer.group.ShareGroupCommand"],
    about: "List, describe and delete share groups; reset their offsets.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const ABOUT: &str = "This tool helps to list, describe, reset and delete share groups.";

const JOPT: Jopt = Jopt {
    about: ABOUT,
    about_empty: ABOUT,
    examples: &[
        "kafka-share-groups --bootstrap-server localhost:9092 --list",
        "kafka-share-groups --bootstrap-server localhost:9092 --describe --group jobs --verbose",
        "kafka-share-groups --bootstrap-server localhost:9092 --reset-offsets --group jobs --topic orders --to-earliest --dry-run",
    ],
    options: OPTIONS,
    parse_errors: ParseErrors::Main,
    uncaught: Uncaught::Main,
    run,
};

const OPTIONS: &[Opt] = &[
    BOOTSTRAP_SERVER,
    COMMAND_CONFIG,
    value("group", "share group", "The group. May be repeated."),
    value(
        "topic",
        "topic",
        "With --reset-offsets: a topic, or topic:0,1,2. With --delete-offsets: a topic. May be repeated.",
    ),
    flag("all-topics", "With --reset-offsets: all topics that the group has offsets of."),
    flag("list", "List the groups."),
    flag("describe", "Describe groups: offsets and lag, members, or state."),
    flag("all-groups", "All groups."),
    flag("delete", "Delete groups without members."),
    value("timeout", "timeout (ms)", "How long brokers may take. Default: 30000."),
    flag("reset-offsets", "Set the offsets of a group without members."),
    flag("delete-offsets", "Delete the offsets of a group without members."),
    flag("dry-run", "With --reset-offsets: only print the new offsets."),
    flag("execute", "With --reset-offsets: set them."),
    flag("export", "With --reset-offsets: print the new offsets as CSV."),
    value("to-datetime", "datetime", "To the first record at or after a time: YYYY-MM-DDTHH:mm:SS.sss[Z or +hhmm]."),
    flag("to-earliest", "To the first record."),
    flag("to-latest", "Behind the last record."),
    flag("members", "With --describe: the members.").available_if(&["describe"]),
    flag("offsets", "With --describe: offsets and lag, which is the default.").available_if(&["describe"]),
    optional(
        "state",
        "String",
        "With --describe: the state of the group. With --list: the states, or only groups in these.",
    )
    .available_if(&["describe", "list"]),
    flag("verbose", "With --describe: more columns.").available_if(&["describe"]),
];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    checks::check(line)?;
    match act(line, out) {
        Err(Failure::Thrown(thrown)) if thrown.is("IllegalArgumentException") => {
            Err(Failure::Usage(thrown.text().to_owned()))
        }
        Err(Failure::Thrown(thrown)) => {
            print_error(&format!("Executing share group command failed due to {}", thrown.text()), out);
            out.error(thrown.trace().trim_end_matches('\n'));
            Ok(())
        }
        other => other,
    }
}

fn print_error(message: &str, out: &mut Out) {
    out.line(format_args!("\nError: {message}"));
}

fn act(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let timeout = line.number::<i64>("timeout")?.unwrap_or(30_000);
    let mut properties = admin::command_config(line).map_err(Thrown::runtime)?;
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("default.api.timeout.ms", &timeout.to_string());
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if line.has("list") {
            list(line, &admin, out).await
        } else if line.has("describe") {
            describe::describe(line, &admin, out).await
        } else if line.has("delete") {
            delete(line, &admin, out).await
        } else if line.has("reset-offsets") {
            offsets::reset(line, &admin, out).await
        } else {
            offsets::delete(line, &admin, out).await
        }
    })
}

/// The share groups, in the order of Kafka's hash map.
async fn listed(admin: &Admin, states: &[String]) -> Result<Vec<GroupListing>, Thrown> {
    admin.list_groups(states, &["Share".to_owned()]).await
}

/// The groups that the line names.
async fn chosen(line: &Line, admin: &Admin) -> Result<Vec<String>, Thrown> {
    if line.has("all-groups") {
        return Ok(listed(admin, &[]).await?.into_iter().map(|group| group.id).collect());
    }
    Ok(line.values("group").to_vec())
}

async fn list(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    if !line.has("state") {
        for group in listed(admin, &[]).await? {
            out.line(group.id);
        }
        return Ok(());
    }
    let states = words(line.value("state")?, "state", &["Stable", "Dead", "Empty"], "states")?;
    let groups = listed(admin, &states).await?;
    let width = groups.iter().map(|group| group.id.len()).max().unwrap_or(0).max(15);
    out.line(format_args!("{:<width$} STATE", "GROUP"));
    for group in groups {
        out.line(format_args!("{:<width$} {}", group.id, group.state));
    }
    Ok(())
}

async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let standing: BTreeMap<String, String> =
        listed(admin, &[]).await?.into_iter().map(|group| (group.id, group.state)).collect();
    let named = if line.has("all-groups") { standing.keys().cloned().collect() } else { line.values("group").to_vec() };
    let mut done = Vec::new();
    let mut failed: Vec<(String, Thrown)> = Vec::new();
    for group in java::names_in_hash_order(named, 16) {
        let deleted = match standing.get(&group).map(String::as_str) {
            None => Err(Thrown::illegal_argument(format!("Group '{group}' is not a share group."))),
            Some("Empty") => admin.delete_group(&group).await,
            Some(_) => {
                let text = format!("Share group '{group}' is not EMPTY.");
                Err(Thrown::of_code(thalweg_wire::ErrorCode::NonEmptyGroup, Some(&text)))
            }
        };
        match deleted {
            Ok(()) => done.push(format!("'{group}'")),
            Err(thrown) => failed.push((group, thrown)),
        }
    }
    let done = done.join(", ");
    if failed.is_empty() {
        out.line(format_args!("Deletion of requested share groups ({done}) was successful."));
        return Ok(());
    }
    print_error("Deletion of some share groups failed:", out);
    for (group, thrown) in failed {
        out.line(format_args!("* Group '{group}' could not be deleted due to: {thrown}"));
    }
    if !done.is_empty() {
        out.line(format_args!("\nThese share groups were deleted successfully: {done}"));
    }
    Ok(())
}
