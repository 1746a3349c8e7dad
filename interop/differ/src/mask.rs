//! Makes an answer comparable: what each node chooses by itself gets a name or a mask, what says nothing is left out, and
//! lists whose order comes out of hash tables are sorted.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::codec::is_default;
use crate::model::{Message, Struct, Type};
use crate::schema::{Schema, find};
use crate::value::{Value, same_name};

/// Fields that hold numbers of the node's own choice, and what is shown when there is one.
const CHOSEN: &[(&str, &str)] = &[
    ("port", "<port>"),
    ("producerId", "<id>"),
    ("sessionId", "<session>"),
    ("finalizedFeaturesEpoch", "<epoch>"),
    ("clusterId", "<cluster>"),
    ("throttleTimeMs", "<ms>"),
    ("logAppendTimeMs", "<time>"),
    ("brokerEpoch", "<epoch>"),
    ("totalBytes", "<bytes>"),
    ("usableBytes", "<bytes>"),
];
/// A number of milliseconds so near to this moment is a time that the node has looked up.
const NOW_MS: i64 = 2 * 24 * 3600 * 1000;
/// A saved word that is shorter is not looked for inside texts.
const NAMED_WORD_MIN: usize = 16;

/// What is masked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks {
    /// Texts of this node, and what is shown for them: its address, its directories.
    pub(crate) literals: Vec<(String, String)>,
    /// Values that were saved, and their names.
    pub(crate) named: Vec<(String, String)>,
    /// More fields whose values are not compared.
    pub(crate) fields: Vec<String>,
}

impl Masks {
    /// Remembers the value that a name stands for.
    pub(crate) fn name(&mut self, value: &str, name: &str) {
        self.named.retain(|(_, known)| known != name);
        self.named.push((value.to_owned(), name.to_owned()));
    }

    /// The answer as it is compared.
    pub(crate) fn answer(&self, schema: &Schema, message: &Message, value: &Value) -> Result<Value, String> {
        self.structure(schema, message, &message.structs[0], value)
    }

    fn structure(&self, schema: &Schema, message: &Message, of: &Struct, value: &Value) -> Result<Value, String> {
        let Value::Struct(fields) = value else { return Ok(self.free("", value)) };
        let mut shown = Vec::new();
        for (name, value) in fields {
            let Some(field) = of.fields.iter().find(|field| same_name(&field.name, name)) else {
                shown.push((name.clone(), value.clone()));
                continue;
            };
            if is_default(field, value) {
                continue;
            }
            let masked = self.fields.iter().any(|masked| same_name(masked, name));
            let value = match (&field.ty, value) {
                _ if masked => Value::word("<any>"),
                (Type::Struct(inner), value) => self.structure(schema, message, find(message, inner)?, value)?,
                (Type::Array(element), Value::List(elements)) => self.list(schema, message, element, name, elements)?,
                (Type::Int16, Value::Word(code)) if name.to_ascii_lowercase().ends_with("errorcode") => {
                    let number = code.parse().unwrap_or(0);
                    Value::word(schema.error_name(number).unwrap_or(code))
                }
                (Type::Uuid, Value::Word(id)) => self.id(id),
                (_, value) => self.free(name, value),
            };
            if value != Value::Struct(Vec::new()) {
                shown.push((name.clone(), value));
            }
        }
        Ok(Value::Struct(shown))
    }

    fn list(
        &self,
        schema: &Schema,
        message: &Message,
        element: &Type,
        name: &str,
        elements: &[Value],
    ) -> Result<Value, String> {
        let one = |value: &Value| match element {
            Type::Struct(inner) => self.structure(schema, message, find(message, inner)?, value),
            Type::Uuid => Ok(self.id(value.line().as_str())),
            _ => Ok(self.free(name, value)),
        };
        let mut shown = elements.iter().map(one).collect::<Result<Vec<_>, String>>()?;
        if matches!(element, Type::Struct(_) | Type::String | Type::Uuid) {
            shown.sort_by_cached_key(Value::line);
        }
        Ok(Value::List(shown))
    }

    fn id(&self, id: &str) -> Value {
        if let Some((_, name)) = self.named.iter().rev().find(|(value, _)| value == id) {
            return Value::word(format!("<{name}>"));
        }
        let chosen = id.parse::<thalweg_base::Uuid>().is_ok_and(|id| id.0[..8] != [0; 8] && id.0 != [7; 16]);
        Value::word(if chosen { "<id>" } else { id })
    }

    /// A value whose meaning only its field's name tells.
    fn free(&self, name: &str, value: &Value) -> Value {
        match value {
            Value::Word(text) => Value::Word(self.scalar(name, text)),
            Value::List(elements) => Value::List(elements.iter().map(|value| self.free(name, value)).collect()),
            Value::Struct(fields) => {
                Value::Struct(fields.iter().map(|(name, value)| (name.clone(), self.free(name, value))).collect())
            }
            other => other.clone(),
        }
    }

    fn scalar(&self, name: &str, text: &str) -> String {
        if let Some((_, shown)) = CHOSEN.iter().find(|(field, _)| same_name(field, name)) {
            if let Some((_, known)) = self.named.iter().rev().find(|(value, _)| value == text) {
                return format!("<{known}>");
            }
            return if text.starts_with('-') || text.is_empty() { text.to_owned() } else { (*shown).to_owned() };
        }
        let is_id = text.len() == 22 && same_name(name, "memberId");
        if is_id && !self.named.iter().any(|(value, _)| value == text) {
            return "<id>".to_owned();
        }
        self.text(text)
    }

    /// A text with all that is known in it named.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (value, name) in self.named.iter().rev().filter(|(value, _)| value.len() >= NAMED_WORD_MIN) {
            out = out.replace(value, &format!("<{name}>"));
        }
        for (value, shown) in &self.literals {
            out = out.replace(value, shown);
        }
        without_request(&without_times(&without_random_ids(&out)))
    }

    /// A request as it is shown: values that were saved by their names.
    pub(crate) fn request(&self, value: &Value) -> Value {
        match value {
            Value::Word(text) => match self.named.iter().rev().find(|(known, _)| known == text && known.len() > 2) {
                Some((_, name)) => Value::word(format!("<{name}>")),
                None => Value::Word(self.text(text)),
            },
            Value::Made(source, bytes) => Value::Made(self.text(source), bytes.clone()),
            Value::List(elements) => Value::List(elements.iter().map(|value| self.request(value)).collect()),
            Value::Struct(fields) => Value::Struct(
                fields.iter().map(|(name, value)| (name.clone(), self.request_field(name, value))).collect(),
            ),
            Value::Null => Value::Null,
        }
    }

    /// A field of a request, or an argument of a call: a number is known only by what it is for.
    pub(crate) fn request_field(&self, name: &str, value: &Value) -> Value {
        let is_chosen = name == "producer" || CHOSEN.iter().any(|(field, _)| same_name(field, name));
        match (value, self.named.iter().rev().find(|(known, _)| Value::Word(known.clone()) == *value)) {
            (Value::Word(_), Some((_, saved))) if is_chosen => Value::word(format!("<{saved}>")),
            (value, _) => self.request(value),
        }
    }
}

/// UUIDs as Java writes them, as in member ids, are masked.
fn without_random_ids(text: &str) -> String {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let is_id = |bytes: &[u8]| {
        bytes.len() == 36
            && bytes
                .iter()
                .enumerate()
                .all(|(at, b)| if DASHES.contains(&at) { *b == b'-' } else { b.is_ascii_hexdigit() })
    };
    let mut out = text.to_owned();
    let mut at = 0;
    while at + 36 <= out.len() {
        if is_id(&out.as_bytes()[at..at + 36]) {
            out.replace_range(at..at + 36, "<uuid>");
        }
        at += 1;
    }
    out
}

/// Numbers of milliseconds that are about now are masked.
fn without_times(text: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let (digits, after) = digits.split_at(end);
        let is_now = digits.parse::<i64>().is_ok_and(|number| (number - now).abs() < NOW_MS);
        out.push_str(before);
        out.push_str(if is_now { "<now>" } else { digits });
        rest = after;
    }
    out + rest
}

/// A sentence about a request that lacks a right, without what Java prints of the request.
fn without_request(text: &str) -> String {
    match (text.strip_prefix("Request Request("), text.rsplit_once(") needs ")) {
        (Some(_), Some((_, right))) => format!("Request <request> needs {right}"),
        _ => text.to_owned(),
    }
}
