//! What the tools for groups of three kinds have in common: consumer, share and streams groups.

use thalweg_client::Properties;

use serde_json::json;

use crate::admin::{self, Admin, GroupListing};
use crate::failure::Failure;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

/// Stands in a table where there is nothing to show.
pub(crate) const MISSING: &str = "-";

/// A cell of a table.
pub(crate) fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or(MISSING.to_owned(), |value| value.to_string())
}

/// `--timeout` in milliseconds.
pub(crate) fn timeout_ms(line: &Line) -> Result<i64, Thrown> {
    Ok(line.number::<i64>("timeout")?.unwrap_or(30_000))
}

/// The properties of the client.
pub(crate) fn properties(line: &Line, timeout_ms: i64) -> Result<Properties, Thrown> {
    let mut properties = admin::command_config(line).map_err(Thrown::runtime)?;
    properties.set("bootstrap.servers", line.value("bootstrap-server")?.unwrap_or_default());
    properties.set_default("default.api.timeout.ms", &timeout_ms.to_string());
    Ok(properties)
}

/// Says why a command for groups of a kind, such as `share`, failed. The tool ends as `then` says.
pub(crate) fn told(
    kind: &str,
    acted: Result<(), Failure>,
    then: Result<(), Failure>,
    out: &mut Out,
) -> Result<(), Failure> {
    match acted {
        Err(Failure::Thrown(thrown)) if thrown.is("IllegalArgumentException") => {
            Err(Failure::Usage(thrown.text().to_owned()))
        }
        Err(Failure::Thrown(thrown)) => {
            print_error(&format!("Executing {kind} group command failed due to {}", thrown.text()), out);
            out.error(thrown.trace().trim_end_matches('\n'));
            then
        }
        other => other,
    }
}

pub(crate) fn print_error(message: &str, out: &mut Out) {
    out.line(format_args!("\nError: {message}"));
}

/// The words of a list, by their proper names.
pub(crate) fn words(text: Option<&str>, what: &str, valid: &[&str], of: &str) -> Result<Vec<String>, Thrown> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let proper = |word: &str| valid.iter().find(|name| name.eq_ignore_ascii_case(word.trim()));
    let found: Option<Vec<String>> = text.split(',').map(|word| proper(word).map(|name| (*name).to_owned())).collect();
    found.ok_or_else(|| {
        Thrown::illegal_argument(format!("Invalid {what} list '{text}'. Valid {of} are: {}", valid.join(", ")))
    })
}

/// The groups of one type, `Share` or `Streams`, in the order of Kafka's hash map.
pub(crate) async fn listed(admin: &Admin, of: &str, states: &[String]) -> Result<Vec<GroupListing>, Thrown> {
    admin.list_groups(states, &[of.to_owned()]).await
}

/// The groups of one type that the line names.
pub(crate) async fn chosen(line: &Line, admin: &Admin, of: &str) -> Result<Vec<String>, Thrown> {
    if line.has("all-groups") {
        return Ok(listed(admin, of, &[]).await?.into_iter().map(|group| group.id).collect());
    }
    Ok(line.values("group").to_vec())
}

/// `--list` of the groups of one type, which can be in these states.
pub(crate) async fn list(line: &Line, admin: &Admin, of: &str, states: &[&str], out: &mut Out) -> Result<(), Failure> {
    if !line.has("state") {
        for group in listed(admin, of, &[]).await? {
            if out.is_json() {
                out.object(&json!({"group": group.id, "state": group.state}));
            } else {
                out.line(group.id);
            }
        }
        return Ok(());
    }
    let states = words(line.value("state")?, "state", states, "states")?;
    let groups = listed(admin, of, &states).await?;
    if out.is_json() {
        groups.iter().for_each(|group| out.object(&json!({"group": group.id, "state": group.state})));
        return Ok(());
    }
    let width = groups.iter().map(|group| group.id.len()).max().unwrap_or(0).max(15);
    out.line(format_args!("{:<width$} STATE", "GROUP"));
    for group in groups {
        out.line(format_args!("{:<width$} {}", group.id, group.state));
    }
    Ok(())
}

/// A group's coordinator as tables show it.
pub(crate) async fn coordinator(group: &str, admin: &Admin) -> Result<String, Thrown> {
    let node = admin.group_coordinator(group).await.map_err(Thrown::execution)?;
    Ok(format!("{}:{}  ({})", node.host, node.port, node.id))
}

/// Groups that were to be deleted.
#[derive(Debug, Default)]
pub(crate) struct Deletion {
    done: Vec<String>,
    failed: Vec<(String, Thrown)>,
}

impl Deletion {
    /// Takes in what became of a group.
    pub(crate) fn add(&mut self, group: String, deleted: Result<(), Thrown>) {
        match deleted {
            Ok(()) => self.done.push(format!("'{group}'")),
            Err(thrown) => self.failed.push((group, thrown)),
        }
    }

    /// Says what became of the groups, of a kind such as `share`.
    pub(crate) fn print(self, kind: &str, out: &mut Out) {
        let done = self.done.join(", ");
        if self.failed.is_empty() {
            out.line(format_args!("Deletion of requested {kind} groups ({done}) was successful."));
            return;
        }
        print_error(&format!("Deletion of some {kind} groups failed:"), out);
        for (group, thrown) in self.failed {
            out.line(format_args!("* Group '{group}' could not be deleted due to: {thrown}"));
        }
        if !done.is_empty() {
            out.line(format_args!("\nThese {kind} groups were deleted successfully: {done}"));
        }
    }
}
