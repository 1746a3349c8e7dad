//! What releases begin with, and what levels of features need: for `kafka-features.sh` and `kafka-storage.sh`.

use thalweg_metadata::MetadataVersion;
use thalweg_metadata::feature::{FEATURES, Feature};

use crate::failure::Failure;
use crate::out::Out;

/// Known to Kafka 4.3 by name, and run with only where `unstable.feature.versions.enable` says so.
const UNSTABLE: MetadataVersion = MetadataVersion::UNSTABLE;

/// The metadata version of a release.
///
/// # Errors
/// Names those that there are.
pub fn parse_version(release: &str) -> Result<MetadataVersion, Failure> {
    match MetadataVersion::parse(release) {
        Ok(version) => Ok(version),
        Err(_) if release == UNSTABLE.to_string() => Ok(UNSTABLE),
        Err(unknown) => Err(Failure::Message(format!("{unknown}, {UNSTABLE}"))),
    }
}

/// The name of a metadata version.
#[must_use]
pub fn version_name(level: i16) -> Option<String> {
    let version = MetadataVersion(level);
    (version == UNSTABLE || version.is_known()).then(|| version.to_string())
}

/// Prints the features that a cluster of a release begins with.
///
/// # Errors
/// When there is no such release.
pub fn print_mapping(release: Option<&str>, out: &mut Out) -> Result<(), Failure> {
    let latest = MetadataVersion::LATEST.to_string();
    let release = release.unwrap_or(&latest);
    let version = parse_version(release)?;
    // The next version has the defaults of the latest.
    let defaults = if version == UNSTABLE { MetadataVersion::LATEST } else { version };
    out.line(format_args!("{}={} ({release})", MetadataVersion::FEATURE, version.0));
    for feature in FEATURES {
        out.line(format_args!("{}={}", feature.name, feature.default_level(defaults)));
    }
    Ok(())
}

/// Prints what levels of features need of other features.
///
/// # Errors
/// When one is not known.
pub fn print_dependencies(features: &[String], out: &mut Out) -> Result<(), Failure> {
    for text in features {
        for line in dependencies(text).map_err(Failure::Message)? {
            out.line(line);
        }
    }
    Ok(())
}

fn dependencies(text: &str) -> Result<Vec<String>, String> {
    let (name, level) = text.split_once('=').ok_or_else(|| {
        format!("Invalid feature format: {text}. Expected format: 'feature=version' (e.g. 'group.version=1')")
    })?;
    let (name, level) = (name.trim(), level.trim());
    let level: i16 = level.parse().map_err(|_| format!("Invalid version format: {level} for feature {name}"))?;
    if name == MetadataVersion::FEATURE {
        let version = version_name(level).ok_or_else(|| format!("Unknown metadata.version {level}"))?;
        return Ok(vec![format!("{name}={level} ({version}) has no dependencies.")]);
    }
    let feature = Feature::by_name(name).ok_or_else(|| format!("Unknown feature: {name}"))?;
    if level < 0 || level > feature.level_max() {
        return Err(format!("Feature level {level} is not supported for feature {name}"));
    }
    let needs = feature.needs(level);
    if needs.is_empty() {
        return Ok(vec![format!("{name}={level} has no dependencies.")]);
    }
    let mut lines = vec![format!("{name}={level} requires:")];
    lines.extend(needs.iter().map(|&(on, needed)| match version_name(needed) {
        Some(version) if on == MetadataVersion::FEATURE => format!("    {on}={needed} ({version})"),
        _ => format!("    {on}={needed}"),
    }));
    Ok(lines)
}
