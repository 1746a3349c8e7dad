//! Differences that are known: each with its reason and its issue.

use std::path::Path;

use crate::play::Pair;

/// One line of `known.txt`: `scenario | request | versions | field | issue: reason`, with `*` for any text.
#[derive(Debug)]
pub(crate) struct Known {
    scenario: String,
    request: String,
    versions: String,
    field: String,
    /// The issue and the reason.
    pub(crate) reason: String,
    /// The line as it stands in the file.
    pub(crate) line: String,
    /// How many differences it explains.
    pub(crate) used: usize,
}

/// Reads the file.
pub(crate) fn load(path: &Path) -> Result<Vec<Known>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let known = |(number, line): (usize, &str)| {
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [scenario, request, versions, field, reason] = parts[..] else {
            return Err(format!("{}, line {}: five parts are wanted", path.display(), number + 1));
        };
        let issue = reason.split(':').next().unwrap_or_default();
        if issue.strip_prefix('#').is_none_or(|digits| digits.parse::<u32>().is_err()) {
            return Err(format!("{}, line {}: a reason begins with its issue, as `#5: `", path.display(), number + 1));
        }
        Ok(Known {
            scenario: scenario.to_owned(),
            request: request.to_owned(),
            versions: versions.to_owned(),
            field: field.to_owned(),
            reason: reason.to_owned(),
            line: line.to_owned(),
            used: 0,
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')).map(known).collect()
}

impl Known {
    /// Whether this line speaks of the scenario.
    pub(crate) fn concerns(&self, scenario: &str) -> bool {
        fits(&self.scenario, scenario)
    }

    /// Whether it explains a difference in this field of an answer.
    pub(crate) fn explains(&self, scenario: &str, pair: &Pair, field: &str) -> bool {
        let version = pair.version.unwrap_or(-1);
        let in_versions = match self.versions.split_once("..") {
            Some((low, high)) => {
                low.parse().is_ok_and(|low| version >= low) && high.parse().is_ok_and(|high| version <= high)
            }
            None => self.versions == "*" || self.versions == version.to_string(),
        };
        in_versions && self.concerns(scenario) && fits(&self.request, &pair.request) && fits(&self.field, field)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}
