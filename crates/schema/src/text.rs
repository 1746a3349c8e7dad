//! Reads schema texts; `crates/wire/schema/README.md` says how they are written.

use std::ops::RangeInclusive;

/// Versions from the first to the last; empty where there are none.
pub(super) type Versions = RangeInclusive<i16>;

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    /// `coordinator-key`, `coordinator-value`, `metadata` or `data`.
    pub(super) kind: String,
    pub(super) name: String,
    /// The number of its type; -1 where it has none.
    pub(super) key: i32,
    pub(super) flexible: Versions,
    pub(super) fields: Vec<Field>,
    /// Structs by name, for fields of that type.
    pub(super) structs: Vec<(String, Vec<Field>)>,
}

/// A field of a message or struct.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name in JSON.
    pub(super) name: String,
    /// Its type, without brackets.
    pub(super) kind: String,
    pub(super) is_array: bool,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    /// Its tag, and the versions in which it has one.
    pub(super) tag: Option<(u32, Versions)>,
    /// The fields of the struct that is its type, if they stand below it.
    pub(super) fields: Vec<Field>,
}

impl Message {
    /// The fields of a struct that is a field's type.
    pub(super) fn fields_of<'a>(&'a self, field: &'a Field) -> Option<&'a [Field]> {
        if !field.fields.is_empty() {
            return Some(&field.fields);
        }
        self.structs.iter().find(|(name, _)| *name == field.kind).map(|(_, fields)| fields.as_slice())
    }
}

/// A line, its depth first.
type Line<'a> = (usize, Vec<&'a str>);

/// The messages of a text.
pub(super) fn parse(text: &str) -> Vec<Message> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| ((line.len() - line.trim_start().len()) / 2, line.split_whitespace().collect()))
        .collect();
    let mut messages = Vec::new();
    let mut rest = lines.as_slice();
    while let Some(((_, words), below)) = rest.split_first() {
        let end = below.iter().position(|(depth, _)| *depth == 0).unwrap_or(below.len());
        messages.push(message(words, &below[..end]));
        rest = &below[end..];
    }
    messages
}

/// The value of an attribute such as `key=18`.
fn attribute<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[expect(clippy::reversed_empty_ranges, reason = "there is no version in which it holds")]
const NEVER: Versions = 1..=0;

fn versions(text: Option<&str>) -> Versions {
    let Some(text) = text else { return NEVER };
    let number = |text: &str| text.parse::<i16>().ok();
    if let Some(first) = text.strip_suffix('+').and_then(number) {
        return first..=i16::MAX;
    }
    match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).map_or(NEVER, |(first, last)| first..=last),
        None => number(text).map_or(NEVER, |only| only..=only),
    }
}

fn message(words: &[&str], below: &[Line<'_>]) -> Message {
    let word = |at: usize| words.get(at).copied().unwrap_or_default().to_owned();
    let mut structs = Vec::new();
    let fields = fields(below, 1, &mut structs);
    Message {
        kind: word(0),
        name: word(1),
        key: attribute(words, "key").and_then(|key| key.parse().ok()).unwrap_or(-1),
        flexible: versions(attribute(words, "flexible")),
        fields,
        structs,
    }
}

/// The fields at a depth; structs that several fields have as their type are put aside.
fn fields(lines: &[Line<'_>], depth: usize, structs: &mut Vec<(String, Vec<Field>)>) -> Vec<Field> {
    let mut found = Vec::new();
    let mut rest = lines;
    while let Some(((_, words), below)) = rest.split_first() {
        let end = below.iter().position(|(other, _)| *other <= depth).unwrap_or(below.len());
        let inner = fields(&below[..end], depth + 1, structs);
        rest = &below[end..];
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        if word(0) == "struct" {
            structs.push((word(1).to_owned(), inner));
            continue;
        }
        let kind = word(1);
        let tag = attribute(words, "tag").and_then(|text| {
            let (tag, since) = text.split_once('@')?;
            Some((tag.parse().ok()?, versions(Some(since))))
        });
        let mut letters = word(0).chars();
        let first = letters.next().map(|first| first.to_lowercase().chain(letters).collect());
        found.push(Field {
            name: first.unwrap_or_default(),
            kind: kind.trim_start_matches("[]").to_owned(),
            is_array: kind.starts_with("[]"),
            versions: versions(Some(word(2))),
            nullable: versions(attribute(words, "nullable")),
            tag,
            fields: inner,
        });
    }
    found
}
