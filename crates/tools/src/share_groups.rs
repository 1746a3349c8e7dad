//! `kafka-share-groups.sh`: lists, describes and deletes share groups, and sets and deletes their offsets (KIP-932).

mod checks;
mod describe;
mod offsets;

use std::collections::BTreeMap;

use crate::admin::{self, Admin};
use crate::failure::Failure;
use crate::group_commands::{self, Deletion};
use crate::java;
use crate::jopt::{Line, Opt, flag, optional, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
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
    OUTPUT,
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

/// The type of these groups.
const TYPE: &str = "Share";

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    checks::check(line)?;
    let acted = act(line, out);
    group_commands::told("share", acted, Ok(()), out)
}

fn act(line: &Line, out: &mut Out) -> Result<(), Failure> {
    let properties = group_commands::properties(line, group_commands::timeout_ms(line)?)?;
    admin::block_on(async {
        let admin = Admin::connect(&properties, out).await?;
        if line.has("list") {
            group_commands::list(line, &admin, TYPE, &["Stable", "Dead", "Empty"], out).await
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

async fn delete(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Failure> {
    let standing: BTreeMap<String, String> =
        group_commands::listed(admin, TYPE, &[]).await?.into_iter().map(|group| (group.id, group.state)).collect();
    let named = if line.has("all-groups") { standing.keys().cloned().collect() } else { line.values("group").to_vec() };
    let mut deletion = Deletion::default();
    for group in java::names_in_hash_order(named, 16) {
        let deleted = match standing.get(&group).map(String::as_str) {
            None => Err(Thrown::illegal_argument(format!("Group '{group}' is not a share group."))),
            Some("Empty") => admin.delete_group(&group).await,
            Some(_) => {
                let text = format!("Share group '{group}' is not EMPTY.");
                Err(Thrown::of_code(thalweg_wire::ErrorCode::NonEmptyGroup, Some(&text)))
            }
        };
        deletion.add(group, deleted);
    }
    deletion.print("share", out);
    Ok(())
}
