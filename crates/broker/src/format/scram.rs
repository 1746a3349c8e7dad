//! `--add-scram`: what may stand in it. The hashing is not built yet.

use std::collections::BTreeMap;

use thalweg_metadata::MetadataVersion;

use super::FormatError;

/// Checks the credentials that were asked for, in Kafka's order and with its messages.
pub(super) fn check(arguments: &[String], version: MetadataVersion) -> Result<(), FormatError> {
    if !arguments.is_empty() && version < MetadataVersion::SCRAM {
        return Err(FormatError::terse(format!(
            "SCRAM is only supported in metadata.version {} or later.",
            MetadataVersion::SCRAM
        )));
    }
    arguments.iter().try_for_each(|argument| credential(argument.trim()).map_err(FormatError::Terse))
}

fn credential(argument: &str) -> Result<(), String> {
    let (mechanism, config) =
        argument.split_once('=').ok_or_else(|| format!("Failed to find equals sign in SCRAM argument '{argument}'"))?;
    let iterations_min = match mechanism {
        "SCRAM-SHA-256" | "SCRAM-SHA-512" => 4096,
        _ => return Err(format!("The add-scram mechanism {mechanism} is not supported.")),
    };
    let config = config.strip_prefix('[').ok_or("Expected configuration string to start with [")?;
    let config = config.strip_suffix(']').ok_or("Expected configuration string to end with ]")?;
    let mut parts = BTreeMap::new();
    for part in config.split(',') {
        let (key, value) =
            part.split_once('=').ok_or_else(|| format!("No equals sign found in SCRAM component: {part}"))?;
        let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        parts.insert(key, unquoted.unwrap_or(value));
    }
    if parts.remove("name").is_none() {
        return Err("You must supply 'name' to add-scram".to_owned());
    }
    let salt = parts.remove("salt");
    let iterations = match parts.remove("iterations") {
        Some(text) => text.parse().map_err(|_| format!("Failed to parse iterations count: {text}"))?,
        None => 4096,
    };
    match (parts.remove("password"), parts.remove("saltedpassword"), salt) {
        (Some(_), ..) | (None, Some(_), Some(_)) => {}
        (None, None, _) => return Err("You must supply one of 'password' or 'saltedpassword' to add-scram".to_owned()),
        (None, Some(_), None) => return Err("You must supply 'salt' with 'saltedpassword' to add-scram".to_owned()),
    }
    if !parts.is_empty() {
        let keys: Vec<&str> = parts.into_keys().collect();
        return Err(format!("Unknown SCRAM configurations: {}", keys.join(", ")));
    }
    let enum_name = mechanism.replace('-', "_");
    if iterations < iterations_min {
        return Err(format!("The 'iterations' value must be >= {iterations_min} for add-scram using {enum_name}"));
    }
    if iterations > 16384 {
        return Err(format!("The 'iterations' value must be <= 16384 for add-scram using {enum_name}"));
    }
    Ok(())
}
