//! Keys, values and headers of records as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use thalweg_base::base64;
use thalweg_client::ConsumerRecord;

use crate::internal::Internal;
use crate::registry::{self, Found, Registry, Schema};

/// How bytes are read. The names are those of addresses; `DEFAULT` and `INT` are Kafdrop's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text in UTF-8; other bytes are shown as �.
    Default,
    /// JSON, with an indent.
    Json,
    /// A whole number of 1, 2, 4 or 8 bytes, the most significant first.
    Int,
    /// Two digits for each byte.
    Hex,
    /// Base64.
    Base64,
    /// A UUID of 16 bytes.
    Uuid,
    /// As the schema says by which it was written; see [`Formats`].
    Schema,
}

impl Format {
    /// All of them, in the order in which they are offered.
    pub(crate) const ALL: [Self; 7] =
        [Self::Default, Self::Json, Self::Int, Self::Hex, Self::Base64, Self::Uuid, Self::Schema];

    /// Its name in an address.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Json => "JSON",
            Self::Int => "INT",
            Self::Hex => "HEX",
            Self::Base64 => "BASE64",
            Self::Uuid => "UUID",
            Self::Schema => "AVRO",
        }
    }

    /// Whether it decodes what was written with a schema.
    fn has_schemas(self) -> bool {
        matches!(self, Self::Default | Self::Schema)
    }

    /// The text of a key or a value; `empty` if there is none, as Kafdrop has it.
    pub(crate) fn text(self, bytes: Option<&[u8]>) -> String {
        let Some(bytes) = bytes else { return "empty".to_owned() };
        match self {
            Self::Default | Self::Schema => String::from_utf8_lossy(bytes).into_owned(),
            Self::Json => pretty(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned()),
            Self::Int => integer(bytes).map_or_else(|| hex(bytes), |number| number.to_string()),
            Self::Hex => hex(bytes),
            Self::Base64 => base64::encode(bytes),
            Self::Uuid => uuid(bytes).unwrap_or_else(|| hex(bytes)),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // What the registry says of a schema decides how it is read.
        if ["SCHEMA", "JSONSCHEMA"].iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(Self::Schema);
        }
        if let Some(format) = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name)) {
            return Ok(format);
        }
        let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
        Err(format!("the format {name} is not read here; there are {}", names.join(", ")))
    }
}

/// How the keys and values of a topic's records are read.
///
/// Where a registry is named and no other format was asked for, what was written with a schema is decoded by it: whoever has read
/// records calls [`Formats::learn`] before their texts are taken.
#[derive(Debug)]
pub(crate) struct Formats {
    pub(crate) key: Format,
    pub(crate) value: Format,
    /// The reader of records of Kafka's own topics, where these are such and no other format was asked for.
    internal: Option<Internal>,
    registry: Option<Arc<Registry>>,
    /// The schemas of the records that were read.
    schemas: BTreeMap<u32, Found>,
}

impl Formats {
    /// The formats of a topic's records.
    ///
    /// # Errors
    /// When a schema is asked for and no registry is named.
    pub(crate) fn new(
        topic: &str,
        key: Format,
        value: Format,
        registry: Option<&Arc<Registry>>,
    ) -> Result<Self, String> {
        if registry.is_none() && (key == Format::Schema || value == Format::Schema) {
            return Err("there is no schema registry here: name it as schema.registry.url".to_owned());
        }
        let is_open = key == Format::Default && value == Format::Default;
        let internal = is_open.then(|| Internal::of_topic(topic)).flatten();
        Ok(Self { key, value, internal, registry: registry.cloned(), schemas: BTreeMap::new() })
    }

    /// Fetches the schemas by which these records were written, so that their texts can be taken.
    pub(crate) async fn learn<'a>(&mut self, records: impl IntoIterator<Item = &'a ConsumerRecord>) {
        let Some(registry) = self.registry.clone() else { return };
        let mut ids = BTreeSet::new();
        for record in records {
            for (format, bytes) in [(self.key, &record.key), (self.value, &record.value)] {
                let id = bytes.as_deref().filter(|_| format.has_schemas()).and_then(registry::head).map(|(id, _)| id);
                ids.extend(id.filter(|id| ids.len() < SCHEMAS_MAX && !self.schemas.contains_key(id)));
            }
        }
        if !ids.is_empty() {
            self.schemas.extend(registry.schemas(&ids).await);
        }
    }

    /// A record's key and value, as far as they were written with a schema.
    pub(crate) fn decoded(&self, record: &ConsumerRecord) -> Decoded {
        Decoded {
            key: self.text_by_schema(self.key, record.key.as_deref()),
            value: self.text_by_schema(self.value, record.value.as_deref()),
        }
    }

    fn text_by_schema(&self, format: Format, bytes: Option<&[u8]>) -> Option<String> {
        self.by_schema(format, bytes)?.ok().map(|(text, _)| text)
    }

    fn by_schema(&self, format: Format, bytes: Option<&[u8]>) -> Option<Result<(String, &Schema), String>> {
        if !format.has_schemas() || self.schemas.is_empty() {
            return None;
        }
        registry::decode(bytes?, &self.schemas)
    }

    /// The texts of a record's key and value; `None` for a null.
    pub(crate) fn texts(&self, record: &ConsumerRecord) -> (Option<String>, Option<String>) {
        if let Some((key, value)) = self.documents(record) {
            return (Some(key.to_string()), value.map(|value| value.to_string()));
        }
        let text = |format: Format, bytes: Option<&[u8]>| {
            let bytes = bytes?;
            Some(self.text_by_schema(format, Some(bytes)).unwrap_or_else(|| format.text(Some(bytes))))
        };
        (text(self.key, record.key.as_deref()), text(self.value, record.value.as_deref()))
    }

    /// What a page shows of a record's key and value: at most `bytes_max` bytes of each.
    pub(crate) fn shown(&self, record: &ConsumerRecord, bytes_max: usize) -> (Shown, Shown) {
        let raw = |format: Format, bytes: Option<&[u8]>| match self.by_schema(format, bytes) {
            Some(Ok((text, schema))) => {
                let text = pretty(text.as_bytes()).unwrap_or(text);
                Shown::of_text(text, schema.kind(), bytes.map_or(0, <[u8]>::len), bytes_max)
            }
            Some(Err(why)) => Shown { why: Some(why), ..Shown::new(format, bytes, bytes_max) },
            None => Shown::new(format, bytes, bytes_max),
        };
        let (key, value) = (raw(self.key, record.key.as_deref()), raw(self.value, record.value.as_deref()));
        let Some((key_document, value_document)) = self.documents(record) else { return (key, value) };
        let decoded = |document: Option<serde_json::Value>, raw: Shown| match document {
            Some(document) => Shown::of_text(format!("{document:#}"), "decoded", raw.bytes, bytes_max),
            None => Shown { text: None, ..raw },
        };
        (decoded(Some(key_document), key), decoded(value_document, value))
    }

    fn documents(&self, record: &ConsumerRecord) -> Option<(serde_json::Value, Option<serde_json::Value>)> {
        self.internal.as_ref()?.documents(record)
    }
}

/// A record's key and value as JSON on one line; `None` of what was written without a schema, or cannot be read by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// Records that are read at once were written by so many schemas at most; others are shown as bytes.
const SCHEMAS_MAX: usize = 100;

/// JSON with an indent; `None` if it is none, or nested so deep that the indent is most of it.
///
/// Only blanks between its parts change: numbers keep their digits, and names that come twice stay.
fn pretty(bytes: &[u8]) -> Option<String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).ok()?;
    let len_max = bytes.len() * 8 + 256;
    let mut out = Vec::with_capacity(bytes.len() * 2);
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().copied().enumerate() {
        if out.len() + 2 * depth > len_max {
            return None;
        }
        if in_text {
            in_text = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            out.push(byte);
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                let next = bytes[at + 1..].iter().find(|next| !next.is_ascii_whitespace());
                if !matches!(next, Some(b'}' | b']')) {
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(out.last(), Some(b'{' | b'[')) {
                    new_line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            byte => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    String::from_utf8(out).ok()
}

fn new_line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes.len() {
        1 => Some(i64::from(i8::from_be_bytes(bytes.try_into().ok()?))),
        2 => Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        4 => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        8 => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let text = hex(bytes);
    (bytes.len() == 16)
        .then(|| format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]))
}

/// What a page shows of a key or a value: as it was asked for, or as it looks most like something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The text; `None` for a null.
    pub(crate) text: Option<String>,
    /// How the bytes were read.
    pub(crate) kind: &'static str,
    /// How many bytes there are.
    pub(crate) bytes: usize,
    /// Whether the text stands for the first bytes only.
    pub(crate) is_cut: bool,
    /// Why it is not shown as it was meant.
    pub(crate) why: Option<String>,
}

/// A text of more lines, or more letters, than this is folded.
const LINES_MAX: usize = 12;
const LETTERS_MAX: usize = 1000;
/// So many letters stand for a folded text.
const FOLDED_LETTERS: usize = 160;

impl Shown {
    /// The beginning of a text that is so long that it is folded, on one line; `None` of one that is not.
    pub(crate) fn folded(&self) -> Option<String> {
        let text = self.text.as_ref()?;
        let is_long = text.len() > LETTERS_MAX || text.lines().count() > LINES_MAX;
        is_long.then(|| {
            let words = text.split_whitespace().flat_map(|word| word.chars().chain([' ']));
            words.take(FOLDED_LETTERS).chain(['…']).collect()
        })
    }

    /// Shows at most `bytes_max` bytes. With [`Format::Default`] JSON has an indent, and what is no text is in hex.
    pub(crate) fn new(format: Format, bytes: Option<&[u8]>, bytes_max: usize) -> Self {
        let Some(all) = bytes else { return Self { text: None, kind: "null", bytes: 0, is_cut: false, why: None } };
        let cut = &all[..all.len().min(bytes_max)];
        let is_cut = cut.len() < all.len();
        let (text, kind) = match format {
            Format::Default | Format::Schema => guess(cut, is_cut),
            Format::Json if is_cut => (String::from_utf8_lossy(cut).into_owned(), "text"),
            format => (format.text(Some(cut)), format.name()),
        };
        Self { text: Some(text), kind, bytes: all.len(), is_cut, why: None }
    }

    /// Shows a text that stands for so many bytes.
    fn of_text(text: String, kind: &'static str, bytes: usize, bytes_max: usize) -> Self {
        let is_cut = text.len() > bytes_max;
        let text = if is_cut { text.chars().take(bytes_max).collect() } else { text };
        Self { text: Some(text), kind, bytes, is_cut, why: None }
    }
}

fn guess(bytes: &[u8], is_cut: bool) -> (String, &'static str) {
    if !is_cut
        && matches!(bytes.first(), Some(b'{' | b'['))
        && let Some(json) = pretty(bytes)
    {
        return (json, "JSON");
    }
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        // The cut may have gone through a character.
        Err(e) if is_cut && e.error_len().is_none() => std::str::from_utf8(&bytes[..e.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    match valid.filter(is_text) {
        Some(text) => (text.to_owned(), "text"),
        None => (hex(bytes), "HEX"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_asked() {
        let text = |format: Format, bytes: &[u8]| format.text(Some(bytes));
        assert_eq!(text(Format::Default, b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text(Format::Int, &[0xff, 0xff, 0xff, 0xfe]), "-2");
        assert_eq!(text(Format::Int, &[0, 0, 0, 0, 0, 0, 1, 0]), "256");
        assert_eq!(text(Format::Int, &[1, 2, 3]), "010203");
        assert_eq!(text(Format::Json, br#"{"b":1,"a":[2]}"#), "{\n  \"b\": 1,\n  \"a\": [\n    2\n  ]\n}");
        let exact = r#"{"n":12.50,"big":123456789012345678901234567890,"n":"a\"{[:, \\","e":{ },"l":[ ]}"#;
        let shown = [
            "{",
            r#"  "n": 12.50,"#,
            r#"  "big": 123456789012345678901234567890,"#,
            r#"  "n": "a\"{[:, \\","#,
            r#"  "e": {},"#,
            r#"  "l": []"#,
            "}",
        ];
        assert_eq!(text(Format::Json, exact.as_bytes()), shown.join("\n"));
        assert_eq!(text(Format::Base64, b"hello"), "aGVsbG8=");
        assert_eq!(text(Format::Uuid, &[0x11; 16]), "11111111-1111-1111-1111-111111111111");
        assert_eq!(Format::Default.text(None), "empty");
        assert_eq!("int".parse(), Ok(Format::Int));
        assert_eq!("avro".parse(), Ok(Format::Schema));
        assert!("MSGPACK".parse::<Format>().is_err());
        assert!(Formats::new("t", Format::Default, Format::Schema, None).is_err(), "no registry");
    }

    #[test]
    fn what_is_shown_is_bounded_and_looks_like_what_it_is() {
        let shown = |bytes: &[u8], max: usize| {
            let shown = Shown::new(Format::Default, Some(bytes), max);
            (shown.text.unwrap_or_default(), shown.kind, shown.is_cut)
        };
        assert_eq!(shown("grün".as_bytes(), 3), ("gr".to_owned(), "text", true));
        assert_eq!(shown(b"[1]", 10), ("[\n  1\n]".to_owned(), "JSON", false));
        assert_eq!(shown(b"[1", 10), ("[1".to_owned(), "text", false));
        assert_eq!(shown(b"\x00\x01", 10), ("0001".to_owned(), "HEX", false));
        let deep = vec![b'['; 100_000];
        assert_eq!(shown(&deep, 10).1, "text");
        assert_eq!(Shown::new(Format::Default, None, 10).text, None);
        let indented = format!("{}{}{}", "[".repeat(100), vec!["1"; 10_000].join(","), "]".repeat(100));
        assert_eq!(shown(indented.as_bytes(), 1 << 20).1, "text", "an indent that is most of the text");
    }
}
