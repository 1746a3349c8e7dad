//! As much JSON as the file `quorum-state` needs.

use std::collections::BTreeMap;

/// A JSON value. Numbers are integers: anything else is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Deeper nesting is refused, so that a hostile file cannot exhaust the stack.
const DEPTH_MAX: usize = 16;

impl Json {
    /// Reads one value that fills `text`. `None`: this is no such value.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value(DEPTH_MAX)?;
        reader.blanks();
        reader.rest.is_empty().then_some(value)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        if self.take("{") {
            return self.object(depth);
        }
        if self.take("[") {
            return self.list(depth);
        }
        if self.take("\"") {
            return self.text().map(Json::Text);
        }
        for (token, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if self.take(token) {
                return Some(value);
            }
        }
        self.integer()
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        let mut fields = BTreeMap::new();
        if self.take("}") {
            return Some(Json::Object(fields));
        }
        loop {
            if !self.take("\"") {
                return None;
            }
            let name = self.text()?;
            if !self.take(":") {
                return None;
            }
            fields.insert(name, self.value(depth)?);
            if self.take("}") {
                return Some(Json::Object(fields));
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Json> {
        let mut values = Vec::new();
        if self.take("]") {
            return Some(Json::List(values));
        }
        loop {
            values.push(self.value(depth)?);
            if self.take("]") {
                return Some(Json::List(values));
            }
            if !self.take(",") {
                return None;
            }
        }
    }

    fn integer(&mut self) -> Option<Json> {
        let end = self.rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().ok().map(Json::Integer)
    }

    /// The rest of a text whose opening quote is already taken.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => text.push(match chars.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => {
                        let hex = chars.as_str().get(..4)?;
                        chars.nth(3);
                        char::from_u32(u32::from_str_radix(hex, 16).ok()?)?
                    }
                    plain @ ('"' | '\\' | '/') => plain,
                    _ => return None,
                }),
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nested_values() {
        let fields = [
            ("a".to_owned(), Json::List(vec![Json::Integer(-1), Json::Null])),
            ("b".to_owned(), Json::Text("x\"\u{41}".to_owned())),
            ("c".to_owned(), Json::Object(BTreeMap::from([("d".to_owned(), Json::Bool(true))]))),
        ];
        let text = " { \"a\" : [-1, null], \"b\":\"x\\\"\\u0041\",\"c\":{\"d\":true}}\n";
        assert_eq!(Json::parse(text), Some(Json::Object(fields.into_iter().collect())));
    }

    #[test]
    fn refuses_what_is_broken() {
        for text in ["", "{", "{\"a\"}", "[1,]", "1.5", "\"a", "{} x", "--1", "\"\\u12\"", &"[".repeat(100)] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
    }
}
