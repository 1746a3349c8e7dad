//! A condition on JSON: a path into it, and what stands there compared with a value.
//!
//! `order.total > 100`, `$.items[*].sku == "A-17"`, `user.name contains ann`, `tags[0] exists`. A path's parts have dots between;
//! `[3]` is an entry of a list, `[*]` any of them, and `["a.b"]` a name with other letters than these. Where a path leads to
//! several values, one that fits is enough.

use std::str::FromStr;

use serde_json::Value;

use crate::trouble::Trouble;

/// So many parts has a path at most.
const PARTS_MAX: usize = 32;

/// A condition on a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonCondition {
    path: Vec<Part>,
    comparison: Comparison,
    with: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(String),
    Entry(usize),
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Exists,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

/// The comparisons by what stands for them; those that begin with others stand before these.
const COMPARISONS: [(&str, Comparison); 9] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("=", Comparison::Equal),
    ("contains ", Comparison::Contains),
    ("exists", Comparison::Exists),
];

impl FromStr for JsonCondition {
    type Err = Trouble;

    fn from_str(text: &str) -> Result<Self, Trouble> {
        let wrong =
            |why: &str| Trouble::Bad(format!("the JSON condition `{text}` {why}; write such as `order.total > 100`"));
        let (path, rest) = parse_path(text.trim()).ok_or_else(|| wrong("has no path"))?;
        let rest = rest.trim_start();
        let found = COMPARISONS.iter().find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?)));
        let (comparison, with) = match found {
            Some((comparison, with)) => (comparison, with.trim()),
            None if rest.is_empty() => (Comparison::Exists, ""),
            None => return Err(wrong("has no comparison: = != < <= > >= contains exists")),
        };
        let has_value = !with.is_empty();
        if has_value == (comparison == Comparison::Exists) {
            return Err(wrong("has no value, or one where none belongs"));
        }
        // What is no JSON is meant as text.
        let with = serde_json::from_str(with).unwrap_or_else(|_| Value::String(with.to_owned()));
        Ok(Self { path, comparison, with })
    }
}

/// The path at the beginning of a text, and the rest.
fn parse_path(text: &str) -> Option<(Vec<Part>, &str)> {
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    let mut parts = Vec::new();
    loop {
        if parts.len() == PARTS_MAX {
            return None;
        }
        if let Some(inside) = rest.strip_prefix('[') {
            if let Some(after) = inside.strip_prefix("*]") {
                parts.push(Part::Any);
                rest = after;
            } else if inside.starts_with(['"', '\'']) {
                let (quote, named) = inside.split_at(1);
                let (name, after) = named.split_once(quote)?;
                parts.push(Part::Name(name.to_owned()));
                rest = after.strip_prefix(']')?;
            } else {
                let (index, after) = inside.split_once(']')?;
                parts.push(Part::Entry(index.trim().parse().ok()?));
                rest = after;
            }
            continue;
        }
        let after_dot = rest.strip_prefix('.');
        if after_dot.is_none() && !parts.is_empty() {
            break;
        }
        let named = after_dot.unwrap_or(rest);
        let is_in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '$');
        let end = named.find(|c| !is_in_name(c)).unwrap_or(named.len());
        if end == 0 {
            return None;
        }
        parts.push(Part::Name(named[..end].to_owned()));
        rest = &named[end..];
    }
    Some((parts, rest))
}

impl JsonCondition {
    /// Whether bytes are JSON in which it holds.
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        // What is no document is not parsed at all.
        if !bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'[')) {
            return false;
        }
        serde_json::from_slice(bytes).is_ok_and(|document: Value| self.holds(&document, &self.path))
    }

    fn holds(&self, at: &Value, path: &[Part]) -> bool {
        let Some((part, rest)) = path.split_first() else { return self.compare(at) };
        match part {
            Part::Name(name) => at.get(name.as_str()).is_some_and(|next| self.holds(next, rest)),
            Part::Entry(index) => at.get(*index).is_some_and(|next| self.holds(next, rest)),
            Part::Any => match at {
                Value::Array(list) => list.iter().any(|next| self.holds(next, rest)),
                Value::Object(fields) => fields.values().any(|next| self.holds(next, rest)),
                _ => false,
            },
        }
    }

    fn compare(&self, found: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = order(found, &self.with);
        match self.comparison {
            Comparison::Exists => true,
            Comparison::Equal => order == Some(Equal) || *found == self.with,
            Comparison::Unequal => order != Some(Equal) && *found != self.with,
            Comparison::Less => order == Some(Less),
            Comparison::LessOrEqual => matches!(order, Some(Less | Equal)),
            Comparison::Greater => order == Some(Greater),
            Comparison::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
            Comparison::Contains => text_of(found).to_lowercase().contains(&text_of(&self.with).to_lowercase()),
        }
    }
}

/// Numbers by their size, everything else that is a text, or compared with one, as text.
fn order(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    if let (Some(one), Some(other)) = (one.as_i64(), other.as_i64()) {
        return Some(one.cmp(&other));
    }
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => Some(one.as_str().cmp(other)),
        (Value::String(one), Value::Number(other)) => one.parse::<f64>().ok()?.partial_cmp(&other.as_f64()?),
        _ => None,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = r#"{"order":{"total":120.5,"id":9007199254740993},"items":[{"sku":"A-17"},{"sku":"B-2"}],
        "user":{"name":"Anna"},"a.b":true,"none":null,"year":"2026"}"#;

    fn fits(condition: &str, document: &str) -> bool {
        condition.parse::<JsonCondition>().expect(condition).fits(document.as_bytes())
    }

    #[test]
    fn what_stands_at_a_path_is_compared() {
        for yes in [
            "order.total > 100",
            "$.order.total<=120.5",
            "order.id = 9007199254740993",
            "items[*].sku == \"B-2\"",
            "items[0].sku = A-17",
            "user.name contains ann",
            "[\"a.b\"] = true",
            "none exists",
            "none = null",
            "year >= 2026",
            "items",
            "order[*] > 1",
        ] {
            assert!(fits(yes, ORDER), "{yes}");
        }
        for no in
            ["order.total > 121", "order.id = 9007199254740992", "items[2].sku exists", "none > 1", "user.name = anna"]
        {
            assert!(!fits(no, ORDER), "{no}");
        }
        assert!(!fits("a exists", "no json") && !fits("a exists", "{\"a\":1"));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let deep = "a.".repeat(40);
        for wrong in ["", "$", "a..b", "a[", "a[x]", "a ~ 1", "a >", "a exists 1", deep.as_str()] {
            assert!(wrong.parse::<JsonCondition>().is_err(), "{wrong}");
        }
    }
}
