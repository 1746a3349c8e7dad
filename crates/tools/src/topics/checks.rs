//! What the options of `kafka-topics.sh` need of each other.

use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

const ACTIONS: &[&str] = &["alter", "create", "describe", "list", "delete"];
const REPORTS: &[&str] =
    &["under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"];
const OVERRIDES: &str = "topics-with-overrides";

pub(super) fn check(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if line.count(ACTIONS) != 1 {
        let text = "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(Failure::Usage(text.into()));
    }
    if line.has("delete-config") {
        out.error(
            "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully \
             removed in future releases.",
        );
    }
    required(line, out)?;
    forbidden(line)
}

fn required(line: &Line, out: &mut Out) -> Result<(), Failure> {
    if !line.has("bootstrap-server") {
        return Err(Thrown::illegal_argument("--bootstrap-server must be specified").into());
    }
    if line.has("describe") && line.has("if-exists") {
        match (line.has("topic"), line.has("topic-id")) {
            (false, false) => {
                return Err(Failure::Usage("--topic or --topic-id is required to describe a topic".into()));
            }
            (true, true) => out.line(
                "Only topic id will be used when both --topic and --topic-id are specified and topicId is not \
                 Uuid.ZERO_UUID",
            ),
            _ => {}
        }
    }
    if !line.has("list") && !line.has("describe") {
        line.require(&["topic"])?;
    }
    if line.has("alter") {
        if line.has("config") {
            let text = "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To \
                        alter topic configurations, the kafka-configs tool can be used.)";
            return Err(Failure::Usage(text.into()));
        }
        line.require(&["partitions"])?;
    }
    Ok(())
}

fn forbidden(line: &Line) -> Result<(), Failure> {
    only_with(line, "config", &["alter", "create"])?;
    only_with(line, "partitions", &["alter", "create"])?;
    only_with(line, "replication-factor", &["create"])?;
    only_with(line, "replica-assignment", &["alter", "create"])?;
    if line.has("create") {
        line.forbid("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        only_with(line, report, &["describe"])?;
        line.forbid(report, &[OVERRIDES])?;
    }
    only_with(line, OVERRIDES, &["describe"])?;
    line.forbid(OVERRIDES, REPORTS)?;
    only_with(line, "if-exists", &["alter", "delete", "describe"])?;
    only_with(line, "if-not-exists", &["create"])?;
    only_with(line, "exclude-internal", &["list", "describe"])
}

/// Refuses an option beside an action other than these.
fn only_with(line: &Line, option: &str, actions: &[&str]) -> Result<(), Failure> {
    let others: Vec<&str> = ACTIONS.iter().copied().filter(|action| !actions.contains(action)).collect();
    line.forbid(option, &others)
}
