//! Lines as records: headers, key and value with separators between them.

use std::collections::BTreeMap;

use bytes::Bytes;
use thalweg_client::ProducerRecord;
use thalweg_records::RecordHeader;

use crate::thrown::Thrown;

/// Reads lines as Kafka's `LineMessageReader` does.
#[derive(Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
    line: u64,
}

fn kafka(message: impl Into<String>) -> Thrown {
    Thrown::new("org.apache.kafka.common.KafkaException", message)
}

impl LineReader {
    /// A reader with these settings.
    ///
    /// # Errors
    /// When two separators are equal.
    pub(super) fn new(settings: &BTreeMap<String, String>) -> Result<Self, Thrown> {
        let is_true = |name: &str| settings.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let text = |name: &str, default: &str| settings.get(name).map_or(default, String::as_str).to_owned();
        let reader = Self {
            parse_key: is_true("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: is_true("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            ignore_error: is_true("ignore.error"),
            null_marker: settings.get("null.marker").cloned(),
            line: 0,
        };
        reader.check()?;
        Ok(reader)
    }

    fn check(&self) -> Result<(), Thrown> {
        let named = [
            ("headers.delimiter", &self.headers_delimiter),
            ("headers.separator", &self.headers_separator),
            ("headers.key.separator", &self.headers_key_separator),
        ];
        for (at, (name, value)) in named.iter().enumerate() {
            if let Some((other, _)) = named[at + 1..].iter().find(|(_, other)| other == value) {
                return Err(kafka(format!("{name} and {other} may not be equal")));
            }
        }
        let Some(marker) = &self.null_marker else { return Ok(()) };
        let all = [("key.separator", &self.key_separator), named[1], named[0], named[2]];
        match all.iter().find(|(_, value)| *value == marker) {
            Some((name, _)) => Err(kafka(format!("null.marker and {name} may not be equal"))),
            None => Ok(()),
        }
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn bytes(&self, text: &str) -> Option<Bytes> {
        (!self.is_null(text)).then(|| Bytes::copy_from_slice(text.as_bytes()))
    }

    /// The record of the next line.
    ///
    /// # Errors
    /// When a separator is missing.
    pub(super) fn record(&mut self, topic: &str, line: &str) -> Result<ProducerRecord, Thrown> {
        self.line += 1;
        let (headers, rest) =
            self.part(self.parse_headers, line, line, &self.headers_delimiter, "headers delimiter")?;
        let (key, value) = self.part(self.parse_key, line, rest, &self.key_separator, "key separator")?;
        let headers = match headers.filter(|headers| !self.is_null(headers)) {
            Some(headers) => self.headers(headers)?,
            None => Vec::new(),
        };
        Ok(ProducerRecord {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key: key.and_then(|key| self.bytes(key)),
            value: self.bytes(value),
            headers,
        })
    }

    fn part<'a>(
        &self,
        is_wanted: bool,
        line: &str,
        rest: &'a str,
        separator: &str,
        name: &str,
    ) -> Result<(Option<&'a str>, &'a str), Thrown> {
        if !is_wanted {
            return Ok((None, rest));
        }
        match rest.split_once(separator) {
            Some((part, rest)) => Ok((Some(part), rest)),
            None if self.ignore_error => Ok((None, rest)),
            None => Err(kafka(format!("No {name} found on line number {}: '{line}'", self.line))),
        }
    }

    fn headers(&self, text: &str) -> Result<Vec<RecordHeader>, Thrown> {
        let mut headers = Vec::new();
        for pair in text.split(self.headers_separator.as_str()) {
            let Some((key, value)) = pair.split_once(self.headers_key_separator.as_str()) else {
                if self.ignore_error {
                    headers.push(RecordHeader { key: Bytes::copy_from_slice(pair.as_bytes()), value: None });
                    continue;
                }
                let line = self.line;
                return Err(kafka(format!("No header key separator found in pair '{pair}' on line number {line}")));
            };
            if self.is_null(key) {
                return Err(kafka(format!(
                    "Header keys should not be equal to the null marker '{key}' as they can't be null"
                )));
            }
            headers.push(RecordHeader { key: Bytes::copy_from_slice(key.as_bytes()), value: self.bytes(value) });
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(settings: &str) -> Result<LineReader, Thrown> {
        LineReader::new(&thalweg_base::properties::parse(settings).into_iter().collect())
    }

    #[test]
    fn a_line_is_headers_then_key_then_value() -> Result<(), Thrown> {
        let mut reader = reader("parse.key=true\nparse.headers=true\nnull.marker=NULL")?;
        let record = reader.record("t", "h1:a,h2:NULL\tk1\tNULL")?;
        assert_eq!((record.key.as_deref(), record.value), (Some(&b"k1"[..]), None));
        assert_eq!(record.headers.len(), 2);
        assert_eq!(record.headers[1].value, None);
        Ok(())
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() -> Result<(), Thrown> {
        let mut reader = reader("parse.key=true\nkey.separator=:")?;
        reader.record("t", "a:b")?;
        let wrong = reader.record("t", "ab").unwrap_err();
        assert_eq!(wrong.text(), "No key separator found on line number 2: 'ab'");
        Ok(())
    }

    #[test]
    fn separators_must_differ() {
        let wrong = reader("headers.separator=:").map(|_| ()).unwrap_err();
        assert_eq!(wrong.text(), "headers.separator and headers.key.separator may not be equal");
    }
}
