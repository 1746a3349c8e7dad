//! Reads JSON with `//` and `/* */` comments, as Kafka's definitions are written.

/// A JSON value. Numbers stay text.
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of `key`, when this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Json> {
        let Self::Object(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The elements of the array at `key`; none when there is no such array.
    pub fn list(&self, key: &str) -> &[Json] {
        match self.get(key) {
            Some(Self::Array(elements)) => elements,
            _ => &[],
        }
    }

    /// The string at `key`.
    pub fn text(&self, key: &str) -> Result<String, String> {
        self.get(key).ok_or_else(|| format!("no `{key}`"))?.plain()
    }

    /// A scalar as bare text. Null is empty.
    pub fn plain(&self) -> Result<String, String> {
        match self {
            Self::Null => Ok(String::new()),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Number(text) | Self::Text(text) if !text.contains(char::is_whitespace) => Ok(text.clone()),
            _ => Err("not a word".to_owned()),
        }
    }
}

/// Reads one JSON document.
pub fn parse(text: &str) -> Result<Json, String> {
    let mut parser = Parser { rest: text };
    parser.value()
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Json, String> {
        self.blank();
        match self.rest.chars().next() {
            Some('{') => self.object(),
            Some('[') => self.array(),
            Some('"') => Ok(Json::Text(self.string()?)),
            Some(_) => self.word(),
            None => Err("the definition ends too early".to_owned()),
        }
    }

    fn object(&mut self) -> Result<Json, String> {
        let mut entries = Vec::new();
        self.rest = &self.rest[1..];
        while !self.take('}') {
            let key = self.string()?;
            if !self.take(':') {
                return Err(format!("no colon after `{key}`"));
            }
            entries.push((key, self.value()?));
            self.take(',');
        }
        Ok(Json::Object(entries))
    }

    fn array(&mut self) -> Result<Json, String> {
        let mut elements = Vec::new();
        self.rest = &self.rest[1..];
        while !self.take(']') {
            elements.push(self.value()?);
            self.take(',');
        }
        Ok(Json::Array(elements))
    }

    /// Strings with escapes appear only in prose, which nobody reads: the escape is kept as it stands.
    fn string(&mut self) -> Result<String, String> {
        let body = self.rest.strip_prefix('"').ok_or_else(|| format!("no string at `{:.20}`", self.rest))?;
        let mut escaped = false;
        let end = body.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.ok_or("a string is not closed")?;
        self.rest = &body[end + 1..];
        Ok(body[..end].to_owned())
    }

    fn word(&mut self) -> Result<Json, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.').unwrap_or(0);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "" => Err(format!("no value at `{rest:.20}`")),
            "null" => Ok(Json::Null),
            "true" | "false" => Ok(Json::Bool(word == "true")),
            _ => Ok(Json::Number(word.to_owned())),
        }
    }

    /// Takes `c` if it comes next, and the blank space and comments around it.
    fn take(&mut self, c: char) -> bool {
        self.blank();
        let Some(rest) = self.rest.strip_prefix(c) else { return false };
        self.rest = rest;
        self.blank();
        true
    }

    fn blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let end = if self.rest.starts_with("//") {
                self.rest.find('\n')
            } else if self.rest.starts_with("/*") {
                self.rest.find("*/").map(|at| at + 2)
            } else {
                return;
            };
            self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
        }
    }
}
