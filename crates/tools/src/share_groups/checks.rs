//! What the options of `kafka-share-groups.sh` need of each other.

use crate::failure::Failure;
use crate::jopt::Line;

const ACTIONS: [&str; 5] = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];
const SCENARIOS: [&str; 3] = ["to-datetime", "to-earliest", "to-latest"];

fn usage<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}

pub(super) fn check(line: &Line) -> Result<(), Failure> {
    line.require(&["bootstrap-server"])?;
    let has_group = line.has_any(&["group", "all-groups"]);
    if line.has("describe") {
        if !has_group {
            return usage("Option [describe] takes one of these options: [all-groups], [group]");
        }
        if line.count(&["members", "offsets", "state"]) > 1 {
            return usage("Option [describe] takes at most one of these options: [members], [offsets], [state]");
        }
        if !line.values("state").is_empty() {
            return usage("Option [describe] does not take a value for [state]");
        }
    }
    if line.has("delete") {
        if !has_group {
            return usage("Option [delete] takes the options [group] or [all-groups]");
        }
        if line.has("topic") {
            return usage("Option [delete] does not take the options [topic] or [all-topics]");
        }
    }
    if line.has("delete-offsets") && !(line.has("group") && line.has("topic")) {
        return usage("Option [delete-offsets] takes the following options: [group], [topic]");
    }
    if line.has("reset-offsets") {
        reset(line)?;
    }
    line.forbid("group", &["all-groups", "list"])?;
    line.forbid("topic", &["list", "describe", "delete"])?;
    if line.count(&ACTIONS) != 1 {
        let actions = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return usage(format!("Command must include exactly one action: {actions}."));
    }
    Ok(())
}

fn reset(line: &Line) -> Result<(), Failure> {
    match line.count(&["dry-run", "execute"]) {
        0 => return usage("Option [reset-offsets] takes the option: [execute] or [dry-run]"),
        1 => {}
        _ => return usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]"),
    }
    if !line.has("group") {
        return usage("Option [reset-offsets] takes the option: [group]");
    }
    if !line.has_any(&["topic", "all-topics"]) {
        return usage("Option [reset-offsets] takes one of these options: [all-topics], [topic]");
    }
    line.forbid("topic", &["all-topics"])?;
    if !line.has_any(&SCENARIOS) {
        return usage("Option [reset-offsets] takes one of these options: [to-datetime], [to-earliest], [to-latest]");
    }
    line.forbid("to-datetime", &["to-earliest", "to-latest"])?;
    line.forbid("to-earliest", &["to-latest"])
}
