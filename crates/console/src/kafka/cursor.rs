//! Where a search has stopped, as an address carries it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thalweg_base::base64::{self, Alphabet};

use super::{Range, Span};
use crate::trouble::Trouble;

/// Where a search has stopped: what it has counted, and how far each partition was read.
///
/// As text it is base64 with letters that an address holds as they are, of whole numbers with seven bits in a byte: what was
/// found, the bytes that were read, and for each partition the distance of its id to the one before, its first offset, its
/// length, how much of that is unread, how many of the offsets that were read have no record, and if there are some, how many of
/// these were aborted and how many are markers. A partition whose offsets have six digits takes 11 to 16 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(super) found: usize,
    pub(super) bytes: u64,
    pub(super) spans: BTreeMap<i32, Span>,
}

impl Cursor {
    /// A cursor that says where partitions are read on, and counts nothing.
    pub(super) fn of_spans(spans: BTreeMap<i32, Span>) -> Self {
        Self { found: 0, bytes: 0, spans }
    }

    /// Where each partition begins and ends.
    pub(crate) fn ranges(&self) -> BTreeMap<i32, Range> {
        self.spans.iter().map(|(id, span)| (*id, Range { first: span.from, end: span.end })).collect()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(16 + self.spans.len() * 16);
        put(&mut bytes, self.found as u64);
        put(&mut bytes, self.bytes);
        let mut before = 0;
        for (id, span) in &self.spans {
            put(&mut bytes, u64::from(id.abs_diff(before)));
            before = *id;
            for number in [span.from, span.end - span.from, span.end - span.at, span.without_record()] {
                put(&mut bytes, number.unsigned_abs());
            }
            if span.without_record() > 0 {
                put(&mut bytes, span.aborted.unsigned_abs());
                put(&mut bytes, span.markers.unsigned_abs());
            }
        }
        let text = base64::encode(&bytes);
        f.write_str(&text.trim_end_matches('=').replace('+', "-").replace('/', "_"))
    }
}

impl FromStr for Cursor {
    type Err = Trouble;

    fn from_str(text: &str) -> Result<Self, Trouble> {
        let decoded = base64::decode(Alphabet::UrlSafe, text);
        let read = decoded.and_then(|bytes| read(&mut bytes.as_slice()));
        read.ok_or_else(|| Trouble::Bad(format!("`{text}` is no cursor")))
    }
}

/// Reads a cursor. An address may say anything: what a search adds up must not overflow.
fn read(bytes: &mut &[u8]) -> Option<Cursor> {
    let found = usize::try_from(take(bytes)?).ok()?;
    let all_bytes = take(bytes)?;
    let mut spans = BTreeMap::new();
    let (mut id, mut all) = (0_i32, 0_i64);
    while !bytes.is_empty() {
        id = id.checked_add(i32::try_from(take(bytes)?).ok()?)?;
        let mut number = || i64::try_from(take(bytes)?).ok();
        let (from, len, unread, without) = (number()?, number()?, number()?, number()?);
        let read = len.checked_sub(unread).filter(|read| *read >= 0)?;
        let records = read.checked_sub(without).filter(|records| *records >= 0)?;
        let (aborted, markers) = if without > 0 { (number()?, number()?) } else { (0, 0) };
        aborted.checked_add(markers).filter(|explained| *explained <= without)?;
        let span = Span { from, end: from.checked_add(len)?, at: from + read, records, aborted, markers };
        all = all.checked_add(len)?;
        if spans.insert(id, span).is_some() {
            return None;
        }
    }
    (!spans.is_empty()).then_some(Cursor { found, bytes: all_bytes, spans })
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: i64, end: i64, at: i64, records: i64) -> Span {
        Span { from, end, at, records, ..Span::default() }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let aborted = Span { aborted: 2, markers: 1, ..span(5, 10, 9, 0) };
        let spans = [(0, span(5, 8, 7, 1)), (2, aborted), (3, span(0, 1 << 40, 1 << 39, 7)), (1000, span(9, 9, 9, 0))];
        let cursor = Cursor { found: 300, bytes: 1 << 50, spans: spans.into() };
        assert_eq!(cursor.to_string().parse::<Cursor>().expect("a cursor"), cursor);
    }

    #[test]
    fn a_topic_with_a_thousand_partitions_has_a_cursor_that_a_request_can_carry() {
        let spans = (0..1000).map(|id| (id, span(120_000, 900_000, 500_000, 380_000)));
        let text = Cursor { found: 10, bytes: 1 << 30, spans: spans.collect() }.to_string();
        assert!(text.len() < 15_000, "{}", text.len());
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }

    #[test]
    fn what_is_none_is_refused() {
        let written = |numbers: &[u64]| {
            let mut bytes = Vec::new();
            for number in numbers {
                put(&mut bytes, *number);
            }
            base64::encode(&bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
        };
        assert!(written(&[1, 2, 0, 5, 3, 1, 1, 0, 1]).parse::<Cursor>().is_ok());
        let max = i64::MAX as u64;
        for (what, numbers) in [
            ("no partition", &[1, 2][..]),
            ("cut", &[1, 2, 0, 5]),
            ("more unread than there is", &[1, 2, 0, 5, 3, 4, 0]),
            ("more without a record than was read", &[1, 2, 0, 5, 3, 1, 3, 0, 0]),
            ("more aborted than is without a record", &[1, 2, 0, 5, 3, 1, 1, 1, 1]),
            ("the same partition twice", &[1, 2, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0]),
            ("an end out of reach", &[1, 2, 0, max, 1, 0, 0]),
            ("a sum out of reach", &[1, 2, 0, 0, max, 0, 0, 1, 0, 1, 0, 0]),
        ] {
            assert!(written(numbers).parse::<Cursor>().is_err(), "{what}");
        }
        for wrong in ["", "x", "1;4;0:5:8:7:1", "////"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
