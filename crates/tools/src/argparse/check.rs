//! What a line must hold, and what its values must be.

use super::{Command, Kind, Opt, text};
use crate::java;
use crate::thrown::Thrown;

/// Whether a value is what it must be. The error has the type's name as class.
pub(super) fn kind(kind: Kind, value: &str) -> Result<(), Thrown> {
    let (name, checked) = match kind {
        Kind::Text => return Ok(()),
        Kind::Int => ("Integer", java::number::<i32>(value).map(drop)),
        Kind::Long => ("Long", java::number::<i64>(value).map(drop)),
        Kind::Double => ("Double", java::number::<f64>(value).map(drop)),
    };
    checked.map_err(|thrown| Thrown { class: name.into(), ..thrown })
}

/// Why an option may not stand beside those before it.
pub(super) fn excluded(command: &Command, used: &[&Opt], option: &Opt) -> Option<String> {
    let holds = |options: &[Opt], name: &str| options.iter().any(|option| option.name == name);
    let group = command.groups.iter().find(|group| holds(group.options, option.name))?;
    let other = used.iter().find(|other| other.name != option.name && holds(group.options, other.name))?;
    Some(format!("argument {}: not allowed with argument {}", text::names(option), text::names(other)))
}

/// Refuses a line that lacks what it must have.
pub(super) fn required(command: &Command, used: &[&Opt]) -> Result<(), String> {
    let is_used = |option: &Opt| used.iter().any(|other| other.name == option.name);
    if let Some(missing) = command.options.iter().find(|option| option.required && !is_used(option)) {
        return Err(format!("argument {} is required", text::names(missing)));
    }
    match command.groups.iter().find(|group| group.required && !group.options.iter().any(is_used)) {
        Some(group) => {
            let names: Vec<String> = group.options.iter().map(text::names).collect();
            Err(format!("one of the arguments {} is required", names.join(" ")))
        }
        None => Ok(()),
    }
}
