//! Values that are looked up elsewhere: `${provider:path:key}`, with the providers that `config.providers` names.
//!
//! Kafka's own three are built: environment variables, properties files, and directories with one file per key. As in
//! Kafka, a variable whose provider or key is unknown stays as it is written, and what was looked up is not searched for
//! variables again. Dynamic configurations are not resolved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;
use thalweg_metadata::config::ConfigMap;
use thalweg_sys::fs;

use super::{Refused, RefusedKind};

const PROVIDERS: &str = "config.providers";
const CLASS_ENV: &str = "org.apache.kafka.common.config.provider.EnvVarConfigProvider";
const CLASS_FILE: &str = "org.apache.kafka.common.config.provider.FileConfigProvider";
const CLASS_DIRECTORY: &str = "org.apache.kafka.common.config.provider.DirectoryConfigProvider";

/// Whether a key belongs to a provider: its class, or a parameter of it.
pub(super) fn is_of_provider(name: &str) -> bool {
    let rest = name.strip_prefix(PROVIDERS).and_then(|rest| rest.strip_prefix('.'));
    let of = rest.and_then(|rest| rest.split_once('.')).map(|(_, of)| of);
    of.is_some_and(|of| of == "class" || of.starts_with("param."))
}

/// Replaces the variables in all values. `environment` looks up an environment variable.
///
/// # Errors
/// If a provider is none of Kafka's three, is given parameters that it cannot use, or cannot read what it is to read.
pub(super) fn resolve(texts: &mut ConfigMap, environment: impl Fn(&str) -> Option<String>) -> Result<(), Refused> {
    let providers = configured(texts)?;
    if providers.is_empty() {
        return Ok(());
    }
    let written = texts.clone();
    for (name, text) in &written {
        if let Some(resolved) = replace(text, &providers, &environment)? {
            texts.insert(Arc::clone(name), Arc::from(resolved));
        }
    }
    Ok(())
}

/// One variable of a value.
struct Variable<'a> {
    provider: &'a str,
    path: &'a str,
    key: &'a str,
}

impl<'a> Variable<'a> {
    /// Reads what stands between the braces: `provider:key` or `provider:path:key`. A key may have colons.
    fn parse(text: &'a str) -> Option<Self> {
        let (provider, rest) = text.split_once(':')?;
        let (path, key) = rest.split_once(':').unwrap_or(("", rest));
        Some(Self { provider, path, key })
    }
}

/// The text with its variables replaced; `None` if it has none.
fn replace(
    text: &str,
    providers: &BTreeMap<String, Provider>,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Refused> {
    let mut resolved = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(start) = text[at..].find("${").map(|found| at + found) {
        let Some(end) = text[start..].find('}').map(|found| start + found) else { break };
        let variable = Variable::parse(&text[start + 2..end]);
        at = if variable.is_some() { end + 1 } else { start + 2 };
        let Some(variable) = variable else { continue };
        let Some(provider) = providers.get(variable.provider) else { continue };
        if let Some(value) = provider.look_up(&variable, environment)? {
            resolved.push_str(&text[copied..start]);
            resolved.push_str(&value);
            copied = end + 1;
        }
    }
    if copied == 0 {
        return Ok(None);
    }
    resolved.push_str(&text[copied..]);
    Ok(Some(resolved))
}

/// Where values come from.
#[derive(Debug)]
enum Provider {
    /// Environment variables whose names match.
    Environment(Option<Regex>),
    /// Properties files.
    File(AllowedPaths),
    /// Directories of files, whose contents are the values.
    Directory(AllowedPaths),
}

/// The providers that are named and have a class, by name.
fn configured(texts: &ConfigMap) -> Result<BTreeMap<String, Provider>, Refused> {
    let mut providers = BTreeMap::new();
    let names = texts.get(PROVIDERS).map(|names| &**names).unwrap_or_default();
    for name in names.split(',') {
        let key = format!("{PROVIDERS}.{name}.class");
        let Some(class) = texts.get(key.as_str()) else { continue };
        let parameter = |parameter: &str| texts.get(format!("{PROVIDERS}.{name}.param.{parameter}").as_str());
        let paths = || AllowedPaths::parse(parameter("allowed.paths").map(|paths| &**paths).unwrap_or_default());
        let provider = match &**class {
            CLASS_ENV => Provider::Environment(parameter("allowlist.pattern").map(|text| pattern(text)).transpose()?),
            CLASS_FILE => Provider::File(paths()?),
            CLASS_DIRECTORY => Provider::Directory(paths()?),
            other => {
                let message = format!(
                    "{key} cannot be set to {other}: it names a Java class, and of these only Kafka's \
                    own three are built: {CLASS_ENV}, {CLASS_FILE}, {CLASS_DIRECTORY}"
                );
                return Err(Refused { kind: RefusedKind::NotBuilt, message });
            }
        };
        providers.insert(name.to_owned(), provider);
    }
    Ok(providers)
}

/// An expression that must match the whole name.
fn pattern(text: &str) -> Result<Regex, Refused> {
    Regex::new(&format!("^(?:{text})$"))
        .map_err(|e| Refused::config(format!("allowlist.pattern {text} is invalid: {e}")))
}

impl Provider {
    fn look_up(
        &self,
        variable: &Variable<'_>,
        environment: &impl Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, Refused> {
        let Variable { path, key, .. } = *variable;
        match self {
            Self::Environment(_) if !path.is_empty() => {
                Err(Refused::config(format!("Path is not supported for EnvVarConfigProvider, invalid value '{path}'")))
            }
            Self::Environment(Some(allowed)) if !allowed.is_match(key) => Ok(None),
            Self::Environment(_) => Ok(environment(key)),
            Self::File(_) | Self::Directory(_) if path.is_empty() => Ok(None),
            Self::File(allowed) => {
                let Some(file) = allowed.check(path) else { return Ok(None) };
                let text = fs::read_to_string(&file)
                    .map_err(|_| Refused::config(format!("Could not read properties from file {path}")))?;
                let entries = thalweg_base::properties::parse(&text);
                // The last line of a key counts.
                Ok(entries.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value))
            }
            Self::Directory(allowed) => {
                let Some(directory) = allowed.check(path) else { return Ok(None) };
                look_up_file(&directory, key)
            }
        }
    }
}

/// The content of the file with that name in a directory. What is no directory or no file gives no value.
fn look_up_file(directory: &Path, name: &str) -> Result<Option<String>, Refused> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Ok(None);
    }
    let file = directory.join(name);
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file);
    text.map(Some).map_err(|_| Refused::config(format!("Could not read file {} for property {name}", file.display())))
}

/// The paths that a provider may read below; all of them if none is named.
#[derive(Debug)]
struct AllowedPaths(Option<Vec<PathBuf>>);

impl AllowedPaths {
    fn parse(text: &str) -> Result<Self, Refused> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let mut paths = Vec::new();
        for path in text.split(',').map(Path::new) {
            if !path.is_absolute() {
                return Err(Refused::config(format!("Path {} is not absolute", path.display())));
            }
            let real = fs::canonicalize(path)
                .map_err(|_| Refused::config(format!("Path {} does not exist", path.display())))?;
            paths.push(real);
        }
        Ok(Self(Some(paths)))
    }

    /// The path to read, without links; `None` if it may not be read.
    fn check(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let Some(allowed) = &self.0 else { return Some(path.to_owned()) };
        let real = fs::canonicalize(path).ok()?;
        allowed.iter().any(|allowed| real.starts_with(allowed)).then_some(real)
    }
}

#[cfg(test)]
mod tests;
