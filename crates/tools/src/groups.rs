//! `kafka-groups.sh`: lists groups of every kind.

use serde_json::json;

use crate::admin::{self, Admin, GroupListing};
use crate::failure::Failure;
use crate::jopt::{Line, flag, value};
use crate::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, OUTPUT};
use crate::out::Out;
use crate::thrown::Thrown;
use crate::tool::{Grammar, Jopt, ParseErrors, Tool, Uncaught};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "groups",
    script: "kafka-groups",
    classes: &["org.apache.kafka.tools.GroupsCommand"],
    about: "List groups of every kind.",
    run: |words, out| JOPT.run(words, out),
    grammar: Grammar::Jopt(&JOPT),
};

const JOPT: Jopt = Jopt {
    about: "This tool helps to list groups of all types.",
    about_empty: "This tool helps to list groups of all types.",
    examples: &[
        "kafka-groups --bootstrap-server localhost:9092 --list",
        "kafka-groups --bootstrap-server localhost:9092 --list --consumer",
    ],
    options: &[
        BOOTSTRAP_SERVER.required(),
        COMMAND_CONFIG,
        OUTPUT,
        flag("list", "List the groups."),
        value("group-type", "type", "Only groups of a type: consumer, classic, share or streams."),
        value("protocol", "protocol", "Only groups of a protocol."),
        flag("consumer", "Only consumer groups, of the classic protocol or the new one."),
        flag("share", "Only share groups."),
        flag("streams", "Only streams groups."),
    ],
    parse_errors: ParseErrors::Usage,
    uncaught: Uncaught::MessageAndTrace,
    run,
};

const TYPES: [&str; 4] = ["consumer", "classic", "share", "streams"];

fn run(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if !line.has("list") {
        return Err(Failure::Usage("Command must include exactly one action: --list.".into()));
    }
    line.forbid("consumer", &["group-type", "protocol", "share", "streams"])?;
    line.forbid("share", &["consumer", "group-type", "protocol", "streams"])?;
    line.forbid("streams", &["consumer", "group-type", "protocol", "share"])?;
    let kind = line.value("group-type")?;
    if kind.is_some_and(|kind| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind))) {
        return Err(Thrown::illegal_argument("--group-type must be a valid group type.").into());
    }
    admin::block_on(async {
        let admin = Admin::of_line(line, out).await?;
        let groups = match admin.list_groups(&[], &[]).await {
            Ok(groups) => groups,
            Err(thrown) => {
                out.line(format_args!("Error while executing groups command : {}", thrown.text()));
                out.log("ERROR", thrown.trace(), "org.apache.kafka.tools.GroupsCommand");
                return Err(Failure::Exit(1));
            }
        };
        let is_wanted = |group: &&GroupListing| {
            let is_of = |kind: &str| group.kind.eq_ignore_ascii_case(kind);
            kind.is_none_or(is_of)
                && line.values("protocol").first().is_none_or(|protocol| group.protocol == *protocol)
                && (!line.has("consumer") || group.is_consumer_group())
                && (!line.has("share") || is_of("share"))
                && (!line.has("streams") || is_of("streams"))
        };
        print(&groups.iter().filter(is_wanted).collect::<Vec<_>>(), out);
        Ok(())
    })
}

fn print(groups: &[&GroupListing], out: &mut Out) {
    let cells = |group: &GroupListing| {
        let mut letters = group.kind.chars();
        let first = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
        [group.id.clone(), first.unwrap_or_default(), group.protocol.clone()]
    };
    if out.is_json() {
        for group in groups {
            let [id, kind, protocol] = cells(group);
            out.object(&json!({"group": id, "type": kind, "protocol": protocol}));
        }
        return;
    }
    let rows: Vec<[String; 3]> = groups.iter().map(|group| cells(group)).collect();
    let width = rows.iter().flatten().map(String::len).max().unwrap_or(0).max(20);
    out.line(format_args!("{:<width$} {:<width$} {:<width$}", "GROUP", "TYPE", "PROTOCOL"));
    for [id, kind, protocol] in &rows {
        out.line(format_args!("{id:<width$} {kind:<width$} {protocol:<width$} "));
    }
}
