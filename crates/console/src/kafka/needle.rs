//! What a search looks for in a record.

use bytes::Bytes;
use regex::bytes::{Regex, RegexBuilder};
use thalweg_client::ConsumerRecord;

use super::json_path::JsonCondition;
use crate::trouble::Trouble;
use crate::values::Decoded;

/// How large a regular expression may become.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Where in a record a text is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    #[default]
    Anywhere,
    Key,
    Value,
    Headers,
}

impl Place {
    /// All of them, by the names that addresses have for them.
    pub(crate) const ALL: [(&'static str, Self); 4] =
        [("any", Self::Anywhere), ("key", Self::Key), ("value", Self::Value), ("headers", Self::Headers)];

    /// Its name in an address.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, place)| *place == self).map_or("any", |(name, _)| name)
    }

    /// The place of this name.
    pub(crate) fn of_name(name: &str) -> Result<Self, Trouble> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
        found.ok_or_else(|| Trouble::Bad(format!("`{name}` is no place in a record: any, key, value or headers")))
    }
}

/// What is looked for: a record fits when all of it holds. What is empty fits everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needle {
    text: Option<Regex>,
    place: Place,
    /// The keys, one of which a record must have.
    keys: Vec<String>,
    /// The header that a record must have, and the value that one of this name must have.
    header: Option<(String, Option<String>)>,
    /// What must hold in the value.
    json: Option<JsonCondition>,
    /// Only records from this time on,
    since_ms: Option<i64>,
    /// and before this time.
    until_ms: Option<i64>,
}

impl Needle {
    /// A text, in any case, in the key, the value or a header; with `is_regex`, a regular expression, whose case counts.
    pub(crate) fn new(text: &str, is_regex: bool) -> Result<Self, Trouble> {
        let pattern = if is_regex { text.to_owned() } else { regex::escape(text) };
        let regex = RegexBuilder::new(&pattern).case_insensitive(!is_regex).size_limit(REGEX_BYTES_MAX).build();
        let regex = regex.map_err(|e| Trouble::Bad(format!("the regular expression cannot be used: {e}")))?;
        Ok(Self { text: (!text.is_empty()).then_some(regex), ..Self::default() })
    }

    /// The text is looked for only there.
    pub(crate) fn in_place(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Only records with one of these keys.
    pub(crate) fn with_keys(self, keys: Vec<String>) -> Self {
        Self { keys, ..self }
    }

    /// Only records with this header: `name`, or `name=value`.
    pub(crate) fn with_header(self, header: Option<&str>) -> Self {
        let header = header.map(|header| match header.split_once('=') {
            Some((name, value)) => (name.trim().to_owned(), Some(value.trim().to_owned())),
            None => (header.trim().to_owned(), None),
        });
        Self { header, ..self }
    }

    /// Only records whose value is JSON in which this holds.
    pub(crate) fn with_json(self, json: Option<JsonCondition>) -> Self {
        Self { json, ..self }
    }

    /// Only records from a time on, and before another.
    pub(crate) fn between(self, since_ms: Option<i64>, until_ms: Option<i64>) -> Self {
        Self { since_ms, until_ms, ..self }
    }

    /// Whether a record is one of those that are looked for. What was decoded of it stands for its bytes.
    pub(crate) fn fits(&self, record: &ConsumerRecord, decoded: &Decoded) -> bool {
        let at = record.timestamp.0;
        if self.since_ms.is_some_and(|since| at < since) || self.until_ms.is_some_and(|until| at >= until) {
            return false;
        }
        let (key, value) = (read(&record.key, &decoded.key), read(&record.value, &decoded.value));
        if !self.keys.is_empty() && !self.keys.iter().any(|wanted| key == Some(wanted.as_bytes())) {
            return false;
        }
        self.header_fits(record)
            && self.text.as_ref().is_none_or(|regex| self.text_fits(regex, (key, value), record))
            && self.json.as_ref().is_none_or(|json| value.is_some_and(|value| json.fits(value)))
    }

    fn header_fits(&self, record: &ConsumerRecord) -> bool {
        let Some((name, value)) = &self.header else { return true };
        let mut named = record.headers.iter().filter(|header| header.key.as_ref() == name.as_bytes());
        named.any(|header| value.as_ref().is_none_or(|value| header.value.as_deref() == Some(value.as_bytes())))
    }

    fn text_fits(&self, regex: &Regex, (key, value): (Option<&[u8]>, Option<&[u8]>), record: &ConsumerRecord) -> bool {
        let is_in = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| regex.is_match(bytes));
        let in_headers = || {
            let mut headers = record.headers.iter();
            headers.any(|header| is_in(header.value.as_deref()) || is_in(Some(&header.key)))
        };
        match self.place {
            Place::Anywhere => is_in(value) || is_in(key) || in_headers(),
            Place::Key => is_in(key),
            Place::Value => is_in(value),
            Place::Headers => in_headers(),
        }
    }
}

/// What was decoded, or else the bytes.
fn read<'a>(bytes: &'a Option<Bytes>, decoded: &'a Option<String>) -> Option<&'a [u8]> {
    decoded.as_ref().map(String::as_bytes).or(bytes.as_deref())
}

#[cfg(test)]
mod tests {
    use thalweg_base::{LeaderEpoch, Offset, Timestamp};
    use thalweg_records::{RecordHeader, TimestampType};

    use super::*;

    fn record() -> ConsumerRecord {
        let header = |key: &'static str, value: &'static str| RecordHeader {
            key: Bytes::from_static(key.as_bytes()),
            value: Some(Bytes::from_static(value.as_bytes())),
        };
        ConsumerRecord {
            topic: "t".into(),
            partition: 0,
            offset: Offset(5),
            leader_epoch: LeaderEpoch(0),
            timestamp: Timestamp(5000),
            timestamp_type: TimestampType::CreateTime,
            key: Some(Bytes::from_static(b"Key")),
            value: Some(Bytes::from_static(br#"{"order":17}"#)),
            headers: vec![header("trace", "one"), header("trace", "two")],
        }
    }

    fn needle(text: &str, is_regex: bool) -> Needle {
        Needle::new(text, is_regex).expect("a needle")
    }

    #[test]
    fn keys_times_and_expressions_narrow_it() {
        let fits = |needle: Needle| needle.fits(&record(), &Decoded::default());
        assert!(fits(needle("", false)));
        assert!(fits(needle("key", false)) && fits(needle("ORDER\":1", false)) && !fits(needle("order.17", false)));
        assert!(fits(needle(r"order.:\d+", true)) && !fits(needle("ORDER", true)));
        assert!(Needle::new("(", true).is_err() && Needle::new("(", false).is_ok());
        let keys = |key: &str| needle("", false).with_keys(vec![key.to_owned()]);
        assert!(fits(keys("Key")) && !fits(keys("key")));
        let between = |since: i64, until: i64| needle("", false).between(Some(since), Some(until));
        assert!(fits(between(5000, 5001)) && !fits(between(5001, 9000)) && !fits(between(0, 5000)));
    }

    #[test]
    fn places_headers_and_json_narrow_it_too() {
        let fits = |needle: Needle| needle.fits(&record(), &Decoded::default());
        let only = |text: &str, place: &str| needle(text, false).in_place(Place::of_name(place).expect("a place"));
        assert!(fits(only("key", "key")) && !fits(only("key", "value")) && !fits(only("order", "headers")));
        assert!(fits(only("two", "headers")) && Place::of_name("nowhere").is_err());
        let header = |header: &str| needle("", false).with_header(Some(header));
        assert!(
            fits(header("trace")) && fits(header("trace=two")) && !fits(header("trace=three")) && !fits(header("x"))
        );
        let json = |json: &str| needle("", false).with_json(Some(json.parse().expect("a condition")));
        assert!(fits(json("order > 16")) && !fits(json("order > 17")));
    }
}
