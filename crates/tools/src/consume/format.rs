//! Format strings of kcat: how a record is printed.

use bytes::Bytes;
use thalweg_client::ConsumerRecord;

use crate::out::Out;
use crate::plain::unescaped;

/// What the letters stand for, for the help.
pub(super) const LETTERS: &str = "%t topic, %p partition, %o offset, %k key, %s value (also %v), %h headers, %T time in milliseconds, \
    %K and %S the lengths of key and value (-1: none), %R the length of the value as four bytes, %% a percent sign; \
    \\n \\t \\r \\0 \\\\ \\xNN";

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Field(char),
}

/// A format string that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Part>);

impl Format {
    /// Reads a format string.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('%') {
            let mut before = unescaped(before)?;
            let letter = behind.chars().next().ok_or("a percent sign at the end stands for nothing; write %%")?;
            rest = &behind[letter.len_utf8()..];
            if letter == '%' {
                before.push(b'%');
            }
            if !before.is_empty() {
                parts.push(Part::Text(before));
            }
            match letter {
                '%' => {}
                't' | 'p' | 'o' | 'k' | 's' | 'v' | 'h' | 'T' | 'K' | 'S' | 'R' => parts.push(Part::Field(letter)),
                other => return Err(format!("%{other} stands for nothing: there are {LETTERS}")),
            }
        }
        let last = unescaped(rest)?;
        if !last.is_empty() {
            parts.push(Part::Text(last));
        }
        Ok(Self(parts))
    }

    /// The format of a key, a value and what stands behind them.
    pub(super) fn of_delimiters(key: Option<Vec<u8>>, record: Vec<u8>) -> Self {
        let key = key.map(|delimiter| [Part::Field('k'), Part::Text(delimiter)]);
        Self(key.into_iter().flatten().chain([Part::Field('s'), Part::Text(record)]).collect())
    }

    /// Prints a record; `null` is what a missing key or value is printed as.
    pub(super) fn write(&self, record: &ConsumerRecord, null: &[u8], out: &mut Out) {
        for part in &self.0 {
            match part {
                Part::Text(bytes) => out.bytes(bytes),
                Part::Field(letter) => write_field(*letter, record, null, out),
            }
        }
    }
}

fn write_field(letter: char, record: &ConsumerRecord, null: &[u8], out: &mut Out) {
    let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    match letter {
        't' => out.text(&record.topic),
        'p' => out.text(record.partition),
        'o' => out.text(record.offset.0),
        'k' => out.bytes(record.key.as_deref().unwrap_or(null)),
        'T' => out.text(record.timestamp.0),
        'K' => out.text(len(&record.key)),
        'S' => out.text(len(&record.value)),
        'R' => out.bytes(&len(&record.value).to_be_bytes()),
        'h' => {
            for (at, header) in record.headers.iter().enumerate() {
                out.bytes(if at == 0 { b"" } else { b"," });
                out.bytes(&header.key);
                out.bytes(b"=");
                out.bytes(header.value.as_deref().unwrap_or(b"NULL"));
            }
        }
        _ => out.bytes(record.value.as_deref().unwrap_or(null)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_fields_and_the_text_between_them() {
        let text = |text: &str| Part::Text(text.as_bytes().to_vec());
        assert_eq!(
            Format::parse(r"%t [%p] 100%%\n%k").map(|format| format.0),
            Ok(vec![Part::Field('t'), text(" ["), Part::Field('p'), text("] 100%"), text("\n"), Part::Field('k')])
        );
        assert_eq!(Format::parse("").map(|format| format.0), Ok(vec![]));
        for wrong in ["%", "%x", r"\q"] {
            assert!(Format::parse(wrong).is_err(), "{wrong}");
        }
    }
}
