//! `ssl.principal.mapping.rules`: the name of a principal from the distinguished name of a client's certificate
//! (KIP-371).
//!
//! Rules are tried in order; the first that matches the whole distinguished name gives the name. A rule is `DEFAULT`,
//! the distinguished name itself, or `RULE:PATTERN/REPLACEMENT/` with an `L` or `U` for lower or upper case.

use regex::{Captures, Regex};

/// The rules of a listener.
#[derive(Clone, Debug)]
pub struct PrincipalMapping {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
enum Rule {
    Default,
    Pattern { whole: Regex, part: Regex, replacement: String, case: Case },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

/// Why rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRule(pub String);

impl PrincipalMapping {
    /// Reads rules, separated by commas.
    ///
    /// # Errors
    /// If a rule is malformed, or has a pattern that needs what linear-time matching does not have: references back to
    /// groups, look-around.
    pub fn parse(text: &str) -> Result<Self, InvalidRule> {
        let mut rules = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (rule, after) = next_rule(rest)?;
            rules.extend(rule);
            rest = after;
        }
        Ok(Self { rules })
    }

    /// The name for a distinguished name; `None` if no rule matches it, which refuses the client.
    #[must_use]
    pub fn name(&self, distinguished_name: &str) -> Option<String> {
        self.rules.iter().find_map(|rule| rule.apply(distinguished_name))
    }
}

/// The first rule of a text (none if it is empty) and what comes after its comma.
fn next_rule(text: &str) -> Result<(Option<Rule>, &str), InvalidRule> {
    let invalid = |rule: &str| InvalidRule(format!("Invalid rule: `{rule}`"));
    let after_comma = |rest: &str| -> Option<usize> {
        let rest = rest.trim_start();
        (rest.is_empty() || rest.starts_with(',')).then_some(rest.len())
    };
    let cut = |left: usize| text[text.len() - left..].strip_prefix(',').unwrap_or_default().trim_start();
    if let Some(left) = text.strip_prefix("DEFAULT").and_then(after_comma) {
        return Ok((Some(Rule::Default), cut(left)));
    }
    let Some(body) = text.strip_prefix("RULE:") else {
        // An empty rule is ignored.
        let (rule, _) = text.split_once(',').unwrap_or((text, ""));
        return match rule.trim() {
            "" => Ok((None, cut(text.len() - rule.len()))),
            rule => Err(invalid(rule)),
        };
    };
    let (pattern, body) = until_slash(body).ok_or_else(|| invalid(text))?;
    let (replacement, body) = until_slash(body).ok_or_else(|| invalid(text))?;
    let (case, body) = match body.chars().next() {
        Some('L') => (Case::Lower, &body[1..]),
        Some('U') => (Case::Upper, &body[1..]),
        _ => (Case::Kept, body),
    };
    let left = after_comma(body).ok_or_else(|| invalid(text))?;
    let compile = |pattern: &str| {
        Regex::new(pattern).map_err(|e| InvalidRule(format!("the pattern of an SSL principal mapping rule: {e}")))
    };
    let rule = Rule::Pattern {
        whole: compile(&format!("^(?:{pattern})$"))?,
        part: compile(pattern)?,
        replacement: replacement.to_owned(),
        case,
    };
    Ok((Some(rule), cut(left)))
}

/// The text before the first slash without a backslash, and the text after it.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '/' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

impl Rule {
    fn apply(&self, distinguished_name: &str) -> Option<String> {
        match self {
            Self::Default => Some(distinguished_name.to_owned()),
            Self::Pattern { whole, part, replacement, case } => {
                whole.is_match(distinguished_name).then_some(())?;
                let replaced =
                    part.replace_all(distinguished_name, |groups: &Captures<'_>| expand(replacement, groups));
                Some(match case {
                    Case::Kept => replaced.into_owned(),
                    Case::Lower => replaced.to_lowercase(),
                    Case::Upper => replaced.to_uppercase(),
                })
            }
        }
    }
}

/// Java's replacement texts: `$1` is a group, a backslash takes the next character as it is. A group that the pattern
/// does not have stays as written.
fn expand(replacement: &str, groups: &Captures<'_>) -> String {
    let mut text = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => text.extend(chars.next()),
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                let mut group = 0;
                let mut any = false;
                // As many digits as there are groups for.
                while let Some(digit) = chars.peek().and_then(|next| next.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if longer >= groups.len() {
                        break;
                    }
                    group = longer;
                    any = true;
                    chars.next();
                }
                match any {
                    true => text.push_str(groups.get(group).map_or("", |found| found.as_str())),
                    false => text.push('$'),
                }
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(rules: &str, distinguished_name: &str) -> Option<String> {
        PrincipalMapping::parse(rules).expect("valid rules").name(distinguished_name)
    }

    #[test]
    fn the_rules_of_kafkas_documentation() {
        let rules = "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,\
                     RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L,DEFAULT";
        let found = |dn: &str| name(rules, dn).expect("DEFAULT takes everything");
        assert_eq!(found("CN=kafka,OU=ServiceUsers,O=Unknown,C=US"), "kafka");
        assert_eq!(found("CN=Admin1,OU=Admin,O=Acme,L=Here,ST=CA,C=US"), "admin1@admin");
        assert_eq!(found("OU=x,cn=WWW.Example.org,O=y"), "www.example.org");
        assert_eq!(found("O=nobody"), "O=nobody");
    }

    #[test]
    fn a_rule_takes_whole_names_and_references_as_java_does() {
        assert_eq!(name("RULE:CN=(.*)/$1/U", "CN=duke"), Some("DUKE".to_owned()));
        assert_eq!(name("RULE:CN=([a-z]*)/$1/", "CN=duke,O=x"), None);
        assert_eq!(name("RULE:CN=(.*)/$1$2-$12\\$1\\/x/", "CN=duke"), Some("duke$2-duke2$1/x".to_owned()));
        assert_eq!(name(" ,, DEFAULT , ", "CN=duke"), Some("CN=duke".to_owned()));
        assert_eq!(name("", "CN=duke"), None);
    }

    #[test]
    fn malformed_rules_are_refused() {
        for rules in [
            "default",
            "DEFAULTX",
            "RULE:",
            "RULE:a",
            "RULE:a/b",
            "RULE:a/b/X",
            "RULE:a/b/LU",
            "RULE:(/b/",
            "x,DEFAULT",
        ] {
            assert!(PrincipalMapping::parse(rules).is_err(), "{rules}");
        }
    }
}
