//! What the options of `kafka-configs.sh` need of each other.

use std::net::ToSocketAddrs as _;

use super::entities::{Entities, Kind};
use crate::failure::Failure;
use crate::java;
use crate::jopt::Line;

fn refuse<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Message(message.into()))
}

pub(super) fn check(line: &Line, entities: &Entities) -> Result<(), Failure> {
    if line.count(&["alter", "describe"]) != 1 {
        return Err(Failure::Usage("Command must include exactly one action: --describe, --alter".into()));
    }
    line.forbid("describe", &["alter", "add-config", "delete-config"])?;
    let mut seen: Vec<&String> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    for kind in &entities.types {
        if seen.contains(&kind) {
            twice.push(kind);
        }
        seen.push(kind);
    }
    if !twice.is_empty() {
        return refuse(format!("Duplicate entity type(s) specified: {}", twice.join(",")));
    }
    match (line.has("bootstrap-server"), line.has("bootstrap-controller")) {
        (false, false) => return refuse("Either --bootstrap-server or --bootstrap-controller must be specified."),
        (true, true) => return refuse("Only one of --bootstrap-server or --bootstrap-controller can be specified"),
        _ => {}
    }
    kinds(entities)?;
    names(entities)?;
    if line.has("describe") { describe(line, entities) } else { alter(line, entities) }
}

fn kinds(entities: &Entities) -> Result<(), Failure> {
    let known = Kind::ALL.map(Kind::plural);
    if let Some(unknown) = entities.types.iter().find(|name| !known.contains(&name.as_str())) {
        return refuse(format!(
            "Invalid entity type {unknown}, the entity type must be one of {} with a --bootstrap-server or \
             --bootstrap-controller argument",
            known.join(", ")
        ));
    }
    if entities.kinds.is_empty() {
        return refuse("At least one entity type must be specified");
    }
    let together = [Kind::Users, Kind::Clients];
    if entities.kinds.len() > 1 && !entities.kinds.iter().all(|kind| together.contains(kind)) {
        return refuse("Only 'users' and 'clients' entity types may be specified together");
    }
    Ok(())
}

fn names(entities: &Entities) -> Result<(), Failure> {
    let kind = entities.kinds[0];
    for name in entities.names.iter().filter(|name| !name.is_empty()) {
        match kind {
            Kind::Brokers | Kind::BrokerLoggers if java::number::<i32>(name).is_err() => {
                return refuse(format!(
                    "The entity name for {} must be a valid integer broker id, but it is: {name}",
                    kind.plural()
                ));
            }
            Kind::Ips if (name.as_str(), 0).to_socket_addrs().is_err() => {
                return refuse(format!(
                    "The entity name for ips must be a valid IP or resolvable host, but it is: {name}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn describe(line: &Line, entities: &Entities) -> Result<(), Failure> {
    let types = entities.types.join(",");
    if line.has("entity-default") && !entities.kinds.iter().any(|kind| kind.has_defaults()) {
        return refuse(format!("--entity-default must not be specified with --describe of {types}"));
    }
    if entities.kinds.contains(&Kind::BrokerLoggers) && !entities.has_name() {
        return refuse(format!("An entity name must be specified with --describe of {types}"));
    }
    Ok(())
}

fn alter(line: &Line, entities: &Entities) -> Result<(), Failure> {
    if entities.kinds.iter().any(|kind| kind.has_defaults()) {
        if !entities.has_name() && !entities.has_default() {
            return refuse(
                "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
            );
        }
    } else if !entities.has_name() {
        return refuse(format!("An entity name must be specified with --alter of {}", entities.types.join(",")));
    }
    match (line.has("add-config"), line.has("add-config-file"), line.has("delete-config")) {
        (true, true, _) => refuse("Only one of --add-config or --add-config-file must be specified"),
        (false, false, false) => {
            refuse("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
        }
        _ => Ok(()),
    }
}
