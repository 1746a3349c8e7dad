//! A message as a tree of named values, how it is written, and how that is read again.
//!
//! ```text
//! {topics=[{name=one topicId=<id>} {name="a b" errorCode=INVALID_TOPIC_EXCEPTION}] throttleTimeMs=0}
//! ```
//!
//! Scalars are words: what they mean is known by the schema alone. A word that holds other characters than these of a
//! name or number stands in quotes.

use std::fmt::Write as _;

/// A value of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    /// A scalar, string or id.
    Word(String),
    /// Bytes that an expression made, with the text of the expression.
    Made(String, Vec<u8>),
    List(Vec<Value>),
    /// Fields in their order.
    Struct(Vec<(String, Value)>),
}

/// Longer ones are written on several lines.
const LINE_MAX: usize = 110;

impl Value {
    pub(crate) fn word(text: impl ToString) -> Self {
        Self::Word(text.to_string())
    }

    /// The field with this name, also when it is written with a capital.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Struct(fields) = self else { return None };
        fields.iter().find(|(field, _)| same_name(field, name)).map(|(_, value)| value)
    }

    /// A field, as text; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.field(name) {
            Some(Self::Word(text)) => text,
            _ => "",
        }
    }

    /// The word at a path; empty when there is none.
    pub(crate) fn text_at(&self, path: &str) -> String {
        match self.at(path) {
            Some(Self::Word(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// Goes down a path such as `topics[0].partitions[errorCode=0].index`.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        let mut here = self;
        let mut depth = 0;
        // A dot inside brackets belongs to a value.
        let outside = |c: char| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            c == '.' && depth == 0
        };
        for step in path.split(outside) {
            let (name, picks) = step.split_once('[').map_or((step, ""), |(name, picks)| (name, picks));
            if !name.is_empty() {
                here = here.field(name)?;
            }
            for pick in picks.split('[').filter(|pick| !pick.is_empty()) {
                let Self::List(elements) = here else { return None };
                let pick = pick.trim_end_matches(']');
                here = match pick.split_once('=') {
                    Some((name, wanted)) => elements.iter().find(|element| element.text(name) == wanted)?,
                    None => elements.get(pick.parse::<usize>().ok()?)?,
                };
            }
        }
        Some(here)
    }

    /// On one line.
    pub(crate) fn line(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Word(text) => out.push_str(&quoted(text)),
            Self::Made(source, _) => out.push_str(source),
            Self::List(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(' ');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Self::Struct(_) => {
                out.push('{');
                out.push_str(&self.fields_line());
                out.push('}');
            }
        }
    }

    /// The fields of a struct on one line, without its braces.
    pub(crate) fn fields_line(&self) -> String {
        let mut out = String::new();
        if let Self::Struct(fields) = self {
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                let _ = write!(out, "{name}=");
                value.write(&mut out);
            }
        }
        out
    }

    /// On as many lines as are good to read; those after the first have this indentation and more.
    pub(crate) fn lines(&self, indent: usize) -> String {
        let line = self.line();
        if line.len() + indent <= LINE_MAX {
            return line;
        }
        let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
        let mut out = String::new();
        match self {
            Self::List(elements) => {
                out.push_str("[\n");
                for element in elements {
                    let _ = writeln!(out, "{inner}{}", element.lines(indent + 2));
                }
                let _ = write!(out, "{outer}]");
            }
            Self::Struct(fields) => {
                out.push_str("{\n");
                let mut short = String::new();
                for (name, value) in fields {
                    let text = value.line();
                    if short.len() + name.len() + text.len() + indent + 4 > LINE_MAX && !short.is_empty() {
                        let _ = writeln!(out, "{inner}{}", short.trim_end());
                        short.clear();
                    }
                    if name.len() + text.len() + indent + 4 > LINE_MAX {
                        let _ = writeln!(out, "{inner}{name}={}", value.lines(indent + 2));
                    } else {
                        let _ = write!(short, "{name}={text} ");
                    }
                }
                if !short.is_empty() {
                    let _ = writeln!(out, "{inner}{}", short.trim_end());
                }
                let _ = write!(out, "{outer}}}");
            }
            _ => out = line,
        }
        out
    }
}

/// Field names of the schema begin with a capital, those of scenarios do not have to.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.chars(), b.chars());
    a.next().map(|c| c.to_ascii_lowercase()) == b.next().map(|c| c.to_ascii_lowercase()) && a.as_str() == b.as_str()
}

/// Whether a character may stand in a word without quotes.
pub(crate) fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.-+/:*<>|;!?%".contains(c)
}

/// A word, in quotes when it needs them.
pub(crate) fn quoted(text: &str) -> String {
    if !text.is_empty() && text != "null" && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Reads what `line` and `lines` write.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    crate::language::value(text)
}

/// Where two answers differ: the path without positions, what was wanted, what is there.
pub(crate) fn differences(wanted: &Value, found: &Value, path: &str, out: &mut Vec<(String, String, String)>) {
    let none = Value::word("<nothing>");
    match (wanted, found) {
        (Value::Struct(a), Value::Struct(b)) => {
            let mut names: Vec<&String> = a.iter().map(|(name, _)| name).collect();
            names.extend(b.iter().map(|(name, _)| name).filter(|name| wanted.field(name).is_none()));
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differences(wanted.field(name).unwrap_or(&none), found.field(name).unwrap_or(&none), &below, out);
            }
        }
        (Value::List(a), Value::List(b)) => {
            if a.len() == b.len() {
                for (a, b) in a.iter().zip(b) {
                    differences(a, b, path, out);
                }
            } else {
                // What both have is not told twice.
                let only = |one: &[Value], other: &[Value]| {
                    Value::List(one.iter().filter(|value| !other.contains(value)).cloned().collect())
                };
                out.push((path.to_owned(), only(a, b).line(), only(b, a).line()));
            }
        }
        (a, b) if a == b => {}
        (a, b) => out.push((path.to_owned(), a.line(), b.line())),
    }
}
