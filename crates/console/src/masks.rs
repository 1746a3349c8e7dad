//! What is hidden of records, by rule: before they are shown, searched or downloaded.
//!
//! A rule is `TOPIC:WHAT`. `TOPIC` is a name in which `*` stands for any letters. `WHAT` is `key`, `value`, `header=NAME`, or
//! `json=PATH`: names with dots between, `*` for any name; lists are passed through, and a path that begins with `**.` fits at
//! any depth. Where a rule about JSON concerns a topic and a value cannot be read as JSON, the whole value is hidden: nobody
//! knows what stands in it.

use std::str::FromStr;

use bytes::Bytes;
use serde_json::Value;
use thalweg_client::ConsumerRecord;

/// What stands in the place of what is hidden.
const HIDDEN: &str = "****";
/// More rules than this are no rules that somebody reads.
const RULES_MAX: usize = 1000;

/// The rules. Without any, nothing is hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masks(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    topic: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Key,
    Value,
    Header(String),
    Json { path: Vec<String>, at_any_depth: bool },
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("the mask `{text}` must have the form TOPIC:key, TOPIC:value, TOPIC:header=NAME or TOPIC:json=PATH")
        };
        let (topic, what) = text.trim().split_once(':').ok_or_else(wrong)?;
        let what = match what.split_once('=') {
            None if what == "key" => What::Key,
            None if what == "value" => What::Value,
            Some(("header", name)) if !name.is_empty() => What::Header(name.to_owned()),
            Some(("json", path)) => {
                let (at_any_depth, path) = match path.strip_prefix("**.") {
                    Some(rest) => (true, rest),
                    None => (false, path),
                };
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                if path.iter().any(String::is_empty) {
                    return Err(wrong());
                }
                What::Json { path, at_any_depth }
            }
            _ => return Err(wrong()),
        };
        if topic.is_empty() {
            return Err(wrong());
        }
        Ok(Self { topic: topic.to_owned(), what })
    }
}

impl Masks {
    /// These rules.
    ///
    /// # Errors
    /// When one of them cannot be meant, or there are too many.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let rules: Vec<Rule> = rules.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        if rules.len() > RULES_MAX {
            return Err(format!("at most {RULES_MAX} masks"));
        }
        Ok(Self(rules))
    }

    /// Whether something is hidden of the records of a topic.
    pub(crate) fn concern(&self, topic: &str) -> bool {
        self.0.iter().any(|rule| fits(&rule.topic, topic))
    }

    /// Hides in records what rules name.
    pub(crate) fn hide(&self, records: &mut [ConsumerRecord]) {
        if self.0.is_empty() {
            return;
        }
        for record in records {
            self.hide_in(record);
        }
    }

    fn hide_in(&self, record: &mut ConsumerRecord) {
        let topic = std::sync::Arc::clone(&record.topic);
        let mut paths = Vec::new();
        for rule in self.0.iter().filter(|rule| fits(&rule.topic, &topic)) {
            match &rule.what {
                What::Key => hide_all(&mut record.key),
                What::Value => hide_all(&mut record.value),
                What::Header(name) => {
                    let named = record.headers.iter_mut().filter(|header| header.key.as_ref() == name.as_bytes());
                    named.for_each(|header| hide_all(&mut header.value));
                }
                What::Json { path, at_any_depth } => paths.push((path.as_slice(), *at_any_depth)),
            }
        }
        if paths.is_empty() {
            return;
        }
        let Some(value) = record.value.as_deref() else { return };
        let masked = serde_json::from_slice::<Value>(value).ok().map(|mut document| {
            for (path, at_any_depth) in paths {
                hide_path(&mut document, path, at_any_depth);
            }
            document.to_string()
        });
        record.value = Some(masked.map_or(Bytes::from_static(HIDDEN.as_bytes()), Bytes::from));
    }
}

fn hide_all(bytes: &mut Option<Bytes>) {
    if bytes.is_some() {
        *bytes = Some(Bytes::from_static(HIDDEN.as_bytes()));
    }
}

/// Hides what a path leads to. Documents are no deeper than their parser allows, which bounds the depth of calls.
fn hide_path(document: &mut Value, path: &[String], at_any_depth: bool) {
    match document {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| hide_path(entry, path, at_any_depth)),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if path.first().is_some_and(|wanted| wanted == "*" || wanted == name) {
                    match &path[1..] {
                        [] => *field = Value::String(HIDDEN.to_owned()),
                        rest => hide_path(field, rest, false),
                    }
                }
                if at_any_depth {
                    hide_path(field, path, true);
                }
            }
        }
        _ => {}
    }
}

/// Whether a name fits a pattern in which `*` stands for any letters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use thalweg_base::{LeaderEpoch, Offset, Timestamp};
    use thalweg_records::{RecordHeader, TimestampType};

    use super::*;

    fn hidden(rules: &[&str], topic: &str, value: &'static [u8]) -> ConsumerRecord {
        let header = |key: &'static [u8]| RecordHeader {
            key: Bytes::from_static(key),
            value: Some(Bytes::from_static(b"secret")),
        };
        let mut records = [ConsumerRecord {
            topic: topic.into(),
            partition: 0,
            offset: Offset(0),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(0),
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::from_static(value)),
            headers: vec![header(b"auth"), header(b"trace")],
        }];
        Masks::new(rules.iter().copied()).expect("rules").hide(&mut records);
        let [record] = records;
        record
    }

    fn value(rules: &[&str], value: &'static [u8]) -> String {
        let record = hidden(rules, "people", value);
        String::from_utf8(record.value.expect("a value").to_vec()).expect("text")
    }

    /// The order of fields is not looked at: it is theirs or that of their names, as other crates of the build want it.
    fn shown(rules: &[&str], document: &'static [u8]) -> Value {
        serde_json::from_str(&value(rules, document)).expect("JSON")
    }

    #[test]
    fn fields_are_hidden_wherever_their_path_leads() {
        let document = br#"{"card":{"no":"4111","kind":"x"},"list":[{"no":1},{"no":2}],"no":3}"#;
        assert_eq!(
            shown(&["people:json=card.no"], document),
            json!({"card":{"kind":"x","no":"****"},"list":[{"no":1},{"no":2}],"no":3})
        );
        assert_eq!(
            shown(&["people:json=list.no", "*:json=no"], document),
            json!({"card":{"kind":"x","no":"4111"},"list":[{"no":"****"},{"no":"****"}],"no":"****"})
        );
        assert_eq!(
            shown(&["p*e:json=**.no"], document),
            json!({"card":{"kind":"x","no":"****"},"list":[{"no":"****"},{"no":"****"}],"no":"****"})
        );
        assert_eq!(shown(&["people:json=*"], document), json!({"card":"****","list":"****","no":"****"}));
        assert_eq!(value(&["others:json=no"], document).as_bytes(), document);
    }

    #[test]
    fn what_cannot_be_read_as_json_is_hidden_whole() {
        assert_eq!(value(&["people:json=no"], b"no=4111"), HIDDEN);
        assert_eq!(value(&["people:json=no"], b"\0\0\0\0\x01binary"), HIDDEN);
        assert_eq!(value(&["people:json=no"], &[b'['; 100_000]), HIDDEN, "and it does not end the process");
        // Names that come twice: the first is not left behind.
        assert_eq!(value(&["people:json=no"], br#"{"no":"4111","no":"5"}"#), r#"{"no":"****"}"#);
    }

    #[test]
    fn keys_values_and_headers_are_hidden_by_their_rules() {
        let record = hidden(&["people:key", "people:value", "people:header=auth"], "people", b"v");
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"****"[..]), Some(&b"****"[..])));
        let values: Vec<_> = record.headers.iter().map(|header| header.value.as_deref()).collect();
        assert_eq!(values, [Some(&b"****"[..]), Some(&b"secret"[..])]);
    }

    #[test]
    fn topics_fit_patterns_and_wrong_rules_are_refused() {
        for (pattern, name, does) in [
            ("*", "x", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
            ("abc", "abcd", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
        for wrong in
            ["", "people", "people:", ":key", "people:json=", "people:json=a..b", "people:header=", "people:offset"]
        {
            assert!(Masks::new([wrong]).is_err(), "{wrong}");
        }
    }
}
