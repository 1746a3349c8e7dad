//! JAAS configurations: the lines of `sasl.jaas.config`, and the file that the Java property
//! `java.security.auth.login.config` names.
//!
//! A line is `MODULE FLAG NAME=VALUE ...;`. A file has contexts around lines: `KafkaServer { ... };`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use crate::Secret;

/// One login module with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginModule {
    /// The Java class, such as `org.apache.kafka.common.security.plain.PlainLoginModule`.
    pub class: String,
    /// The options. Any of them may be a password.
    pub options: BTreeMap<String, Secret>,
}

impl LoginModule {
    /// The value of an option.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(Secret::reveal)
    }
}

/// Why a configuration cannot be read, in Kafka's words. It never quotes a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JaasError(pub String);

fn error(text: impl Into<String>) -> JaasError {
    JaasError(text.into())
}

/// Reads a value of `sasl.jaas.config`, which names exactly one login module.
///
/// # Errors
/// If it does not, or is malformed.
pub fn parse_line(text: &str) -> Result<LoginModule, JaasError> {
    let mut tokens = Tokens::new(text);
    let mut modules = Vec::new();
    loop {
        match tokens.next() {
            Token::End => break,
            token => modules.push(module(token, &mut tokens)?),
        }
    }
    match modules.len() {
        0 => Err(error("Login module not specified in JAAS config")),
        1 => Ok(modules.remove(0)),
        count => Err(error(format!("JAAS config property contains {count} login modules, should be 1 module"))),
    }
}

/// Reads a JAAS file: the login modules of each context, by the context's name.
///
/// # Errors
/// If it is malformed.
pub fn parse_file(text: &str) -> Result<BTreeMap<String, Vec<LoginModule>>, JaasError> {
    let mut tokens = Tokens::new(text);
    let mut contexts = BTreeMap::new();
    loop {
        let name = match tokens.next() {
            Token::End => return Ok(contexts),
            Token::Word(name) | Token::Quoted(name) => name,
            _ => return Err(error("expected the name of a context in the JAAS file")),
        };
        if tokens.next() != Token::Symbol('{') {
            return Err(error(format!("expected `{{` after the context {name} of the JAAS file")));
        }
        let mut modules = Vec::new();
        loop {
            match tokens.next() {
                Token::Symbol('}') => break,
                Token::End => return Err(error(format!("the context {name} of the JAAS file does not end"))),
                token => modules.push(module(token, &mut tokens)?),
            }
        }
        if tokens.next() != Token::Symbol(';') {
            return Err(error(format!("expected `;` after the context {name} of the JAAS file")));
        }
        if contexts.insert(name.clone(), modules).is_some() {
            return Err(error(format!("the JAAS file has two contexts {name}")));
        }
    }
}

/// The JAAS file that options of a Java machine name (`KAFKA_OPTS`): the last `-Djava.security.auth.login.config=FILE`.
#[must_use]
pub fn file_of_options(options: &str) -> Option<&str> {
    let mut named = options
        .split_whitespace()
        .filter_map(|option| option.trim_matches(['"', '\'']).strip_prefix("-Djava.security.auth.login.config="));
    let file = named.next_back()?.trim_start_matches('=').trim_matches(['"', '\'']);
    Some(file.strip_prefix("file://").or_else(|| file.strip_prefix("file:")).unwrap_or(file))
}

/// Reads the rest of a login module, after its first token.
fn module(first: Token, tokens: &mut Tokens<'_>) -> Result<LoginModule, JaasError> {
    let class = first.text().ok_or_else(|| error("Login module not specified in JAAS config"))?;
    let flag = match tokens.next() {
        Token::End => return Err(error("Login module control flag not specified in JAAS config")),
        token => token.text().ok_or_else(|| error("Login module control flag is not available in the JAAS config"))?,
    };
    if !["REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL"].contains(&&*flag.to_uppercase()) {
        return Err(error(format!("Invalid login module control flag '{flag}' in JAAS config")));
    }
    let mut options = BTreeMap::new();
    loop {
        let key = match tokens.next() {
            Token::Symbol(';') => return Ok(LoginModule { class, options }),
            Token::End => return Err(error("JAAS config entry not terminated by semi-colon")),
            token => token.text(),
        };
        let value = match tokens.next() {
            Token::Symbol('=') => tokens.next().text(),
            _ => None,
        };
        let (Some(key), Some(value)) = (&key, value) else {
            let key = key.as_deref().unwrap_or("null");
            return Err(error(format!("Value not specified for key '{key}' in JAAS config")));
        };
        options.insert(key.clone(), Secret::new(value));
    }
}

/// What Java's `StreamTokenizer` makes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    /// A number: Kafka takes none, so `password=123` needs quotes.
    Number,
    Symbol(char),
    End,
}

impl Token {
    fn text(self) -> Option<String> {
        match self {
            Self::Word(text) | Self::Quoted(text) => Some(text),
            Self::Number | Self::Symbol(_) | Self::End => None,
        }
    }
}

struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable() }
    }

    fn next(&mut self) -> Token {
        loop {
            let Some(char) = self.chars.next() else { return Token::End };
            match char {
                _ if char <= ' ' => {}
                '/' => self.comment(),
                '"' | '\'' => return Token::Quoted(self.quoted(char)),
                '0'..='9' => return self.number(),
                '-' | '.' if self.chars.peek().is_some_and(|next| next.is_ascii_digit() || *next == '.') => {
                    return self.number();
                }
                _ if is_letter(char) => return Token::Word(self.word(char)),
                _ => return Token::Symbol(char),
            }
        }
    }

    /// After a slash: a comment to `*/` or, whatever follows, to the end of the line.
    fn comment(&mut self) {
        if self.chars.next_if_eq(&'*').is_none() {
            while self.chars.next_if(|char| *char != '\n' && *char != '\r').is_some() {}
            return;
        }
        let mut before = ' ';
        for char in self.chars.by_ref() {
            if before == '*' && char == '/' {
                return;
            }
            before = char;
        }
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(char) = self.chars.next_if(|char| is_letter(*char) || char.is_ascii_digit() || *char == '.') {
            word.push(char);
        }
        word
    }

    fn number(&mut self) -> Token {
        while self.chars.next_if(|char| char.is_ascii_digit() || *char == '.').is_some() {}
        Token::Number
    }

    /// The text up to the closing quote or the end of the line.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(char) = self.chars.next_if(|char| *char != '\n' && *char != '\r') {
            match char {
                _ if char == quote => return text,
                '\\' => text.extend(self.escaped()),
                _ => text.push(char),
            }
        }
        text
    }

    /// The character after a backslash. Up to three octal digits are one character, the first of three at most 3.
    fn escaped(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        let Some(mut code) = char.to_digit(8) else {
            return Some(match char {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                other => other,
            });
        };
        let more = if code <= 3 { 2 } else { 1 };
        for _ in 0..more {
            let Some(digit) = self.chars.peek().and_then(|next| next.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.chars.next();
        }
        char::from_u32(code)
    }
}

fn is_letter(char: char) -> bool {
    char.is_ascii_alphabetic() || matches!(char, '-' | '_' | '$') || char >= '\u{a0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

    fn options(module: &LoginModule) -> Vec<(&str, &str)> {
        module.options.iter().map(|(key, value)| (&**key, value.reveal())).collect()
    }

    #[test]
    fn reads_a_line() {
        let line = format!("{PLAIN} required \\\n username=\"admin\" password='it''s' user_a-b=x_$1 // a comment\n;");
        let line = line.replace("\\\n", "\n").replace("'it''s'", "'a\\tb\\\"\\101'");
        let module = parse_line(&line).expect("valid");
        assert_eq!(module.class, PLAIN);
        assert_eq!(options(&module), [("password", "a\tb\"A"), ("user_a-b", "x_$1"), ("username", "admin")]);
        assert_eq!(module.option("username"), Some("admin"));
        assert!(!format!("{module:?}").contains("admin"));
    }

    #[test]
    fn refuses_in_kafkas_words() {
        for (line, text) in [
            ("", "Login module not specified in JAAS config"),
            ("M", "Login module control flag not specified in JAAS config"),
            ("M ;", "Login module control flag is not available in the JAAS config"),
            ("M perhaps;", "Invalid login module control flag 'perhaps' in JAAS config"),
            ("M required", "JAAS config entry not terminated by semi-colon"),
            ("M required a=\"b\"", "JAAS config entry not terminated by semi-colon"),
            ("M required a;", "Value not specified for key 'a' in JAAS config"),
            ("M required a=;", "Value not specified for key 'a' in JAAS config"),
            ("M required a=1;", "Value not specified for key 'a' in JAAS config"),
            ("M required; N optional;", "JAAS config property contains 2 login modules, should be 1 module"),
        ] {
            assert_eq!(parse_line(line), Err(error(text)), "{line}");
        }
    }

    #[test]
    fn reads_a_file_of_contexts() {
        let file = format!(
            "/* both\n sides */ KafkaServer {{\n  {PLAIN} required user_a=\"b\";\n  Other sufficient;\n}};\n\
             internal.KafkaServer {{ Third REQUISITE; }};\n"
        );
        let contexts = parse_file(&file).expect("valid");
        let classes = |name: &str| contexts[name].iter().map(|module| &*module.class).collect::<Vec<_>>();
        assert_eq!(classes("KafkaServer"), [PLAIN, "Other"]);
        assert_eq!(classes("internal.KafkaServer"), ["Third"]);
        for broken in ["KafkaServer", "KafkaServer { M required; }", "KafkaServer { M required;", "{", "A { }; A { };"]
        {
            assert!(parse_file(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_value_is_never_in_a_message() {
        let line = "M required password=\"hunter2\" user_a=\"hunter2\" b";
        assert!(!parse_line(line).expect_err("no end").0.contains("hunter2"));
    }

    #[test]
    fn the_last_file_that_java_options_name_counts() {
        let options =
            "-Xmx1g -Djava.security.auth.login.config=/etc/a.conf -Djava.security.auth.login.config=file:/etc/b.conf";
        assert_eq!(file_of_options(options), Some("/etc/b.conf"));
        assert_eq!(file_of_options("-Xmx1g"), None);
    }
}
