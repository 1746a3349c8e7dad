//! What the options of `kafka-consumer-groups.sh` need of each other.

use super::reset::SCENARIOS;
use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;

const ACTIONS: [&str; 6] = ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];

fn usage<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}

pub(super) fn check(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if !line.has("validate-regex") {
        line.require(&["bootstrap-server"])?;
    }
    if line.has("describe") {
        describe(line)?;
    }
    if line.has("delete") {
        needs_groups(line, "delete", "[group], [all-groups]")?;
        if line.has("topic") {
            return usage("The consumer does not support topic-specific offset deletion from a consumer group.");
        }
    }
    if line.has("delete-offsets") && !(line.has("group") && line.has("topic")) {
        return usage("Option [delete-offsets] takes the following options: [topic], [group]");
    }
    if line.has("reset-offsets") {
        reset(line, out)?;
    }
    line.forbid("group", &["all-groups", "list"])?;
    line.forbid("topic", &["list", "describe"])?;
    if line.count(&ACTIONS) != 1 {
        let actions = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return usage(format!("Command must include exactly one action: {actions}"));
    }
    Ok(())
}

fn needs_groups(line: &Line, action: &str, choice: &str) -> Result<(), Failure> {
    if line.has_any(&["group", "all-groups"]) {
        return Ok(());
    }
    usage(format!("Option [{action}] takes one of these options: {choice}"))
}

fn describe(line: &Line) -> Result<(), Failure> {
    needs_groups(line, "describe", "[all-groups], [group]")?;
    if line.count(&["members", "offsets", "state"]) > 1 {
        return usage("Option [describe] takes at most one of these options: [members], [offsets], [state]");
    }
    if !line.values("state").is_empty() {
        return usage("Option [describe] does not take a value for [state]");
    }
    Ok(())
}

fn reset(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if line.has("dry-run") && line.has("execute") {
        return usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]");
    }
    if !line.has_any(&["dry-run", "execute"]) {
        out.error(
            "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will \
             require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you \
             are scripting this command and want to keep the current default behavior without prompting.",
        );
    }
    needs_groups(line, "reset-offsets", "[all-groups], [group]")?;
    for scenario in SCENARIOS {
        let others: Vec<&str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        line.forbid(scenario, &others)?;
    }
    Ok(())
}
