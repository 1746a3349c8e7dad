//! RE2's syntax, rewritten for the crate `regex`.
//!
//! What differs: `\d`, `\w`, `\s` and `\b` know ASCII only; `\Q..\E` quotes; a brace that begins no repetition is a
//! brace; in a class `[`, `&&`, `--` and `~~` mean nothing; there are no flags `x` and `u`; a repetition is not repeated
//! without a group; a count is at most 1000. Groups capture nothing, since nobody asks what they matched.

use std::collections::BTreeSet;

use regex::bytes::Regex;

/// How often something may be repeated by a count.
const REPEAT_MAX: u32 = 1_000;

/// The classes that stand in `[:` and `:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// The words of RE2/J.
mod why {
    pub(super) const ESCAPE: &str = "invalid escape sequence";
    pub(super) const RANGE: &str = "invalid character class range";
    pub(super) const BRACKET: &str = "missing closing ]";
    pub(super) const PAREN: &str = "missing closing )";
    pub(super) const UNEXPECTED_PAREN: &str = "regexp/syntax: internal error";
    pub(super) const REPEAT_ARGUMENT: &str = "missing argument to repetition operator";
    pub(super) const REPEAT_NESTED: &str = "invalid nested repetition operator";
    pub(super) const REPEAT_COUNT: &str = "invalid repeat count";
    pub(super) const PERL: &str = "invalid or unsupported Perl syntax";
    pub(super) const NAME: &str = "invalid named capture";
    pub(super) const NAME_TWICE: &str = "duplicate capture group name";
    pub(super) const BACKSLASH: &str = "trailing backslash at end of expression";
}

type Result<T> = std::result::Result<T, &'static str>;

/// The same expression for the crate `regex`.
///
/// # Errors
/// If it is none in RE2's syntax, which says why.
pub(super) fn translate(text: &str) -> Result<String> {
    let (names, properties) = (BTreeSet::new(), BTreeSet::new());
    let mut translator = Translator { rest: text, out: String::new(), last: Last::Nothing, names, properties };
    let mut depth = 0_usize;
    while let Some(c) = translator.next() {
        match c {
            '(' => depth += usize::from(translator.open()?),
            ')' => {
                depth = depth.checked_sub(1).ok_or(why::UNEXPECTED_PAREN)?;
                translator.atom(")");
            }
            '|' => {
                translator.out.push('|');
                translator.last = Last::Nothing;
            }
            '^' | '$' | '.' => translator.atom(c.encode_utf8(&mut [0; 4])),
            '[' => translator.class()?,
            '\\' => translator.escape()?,
            '*' | '+' | '?' => translator.repeat(&c.to_string())?,
            '{' => match translator.count()? {
                Some(count) => translator.repeat(&count)?,
                None => translator.literal('{'),
            },
            _ => translator.literal(c),
        }
    }
    if depth > 0 { Err(why::PAREN) } else { Ok(translator.out) }
}

/// What stands before where the translator is, as far as a repetition cares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing that can be repeated.
    Nothing,
    Atom,
    Repeat,
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    last: Last,
    /// The names of groups, of which no two may be the same.
    names: BTreeSet<&'a str>,
    /// The classes such as `\pL` that were found to be there.
    properties: BTreeSet<String>,
}

impl<'a> Translator<'a> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Atom;
    }

    fn literal(&mut self, c: char) {
        put(&mut self.out, c);
        self.last = Last::Atom;
    }

    fn repeat(&mut self, operator: &str) -> Result<()> {
        match self.last {
            Last::Nothing => return Err(why::REPEAT_ARGUMENT),
            Last::Repeat => return Err(why::REPEAT_NESTED),
            Last::Atom => {}
        }
        self.out.push_str(operator);
        if self.eat("?") {
            self.out.push('?');
        }
        self.last = Last::Repeat;
        Ok(())
    }

    /// Reads what follows an opening brace if it is a count, and leaves it if not.
    fn count(&mut self) -> Result<Option<String>> {
        let Some((inner, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // Leading zeros are no number to RE2.
            let plain = text.len() == 1 || !text.starts_with('0');
            (digits && plain).then(|| text.parse().unwrap_or(u32::MAX))
        };
        let (least, most) = match inner.split_once(',') {
            None => (number(inner), number(inner)),
            Some((least, "")) => (number(least), number(least)),
            Some((least, most)) => (number(least), number(most)),
        };
        let (Some(least), Some(most)) = (least, most) else { return Ok(None) };
        if least.max(most) > REPEAT_MAX || most < least {
            return Err(why::REPEAT_COUNT);
        }
        self.rest = rest;
        Ok(Some(format!("{{{inner}}}")))
    }

    /// Reads what follows an opening parenthesis; whether a closing one is to come.
    fn open(&mut self) -> Result<bool> {
        self.last = Last::Nothing;
        if !self.eat("?") {
            self.out.push_str("(?:");
            return Ok(true);
        }
        if self.eat("P<") || self.eat("<") {
            let (name, rest) = self.rest.split_once('>').ok_or(why::NAME)?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(why::NAME);
            }
            if !self.names.insert(name) {
                return Err(why::NAME_TWICE);
            }
            self.rest = rest;
            self.out.push_str("(?:");
            return Ok(true);
        }
        self.flags()
    }

    /// Reads `i-s)` or `i-s:`; whether a group begins.
    fn flags(&mut self) -> Result<bool> {
        let (mut on, mut off, mut negative, mut seen) = (BTreeSet::new(), BTreeSet::new(), false, false);
        loop {
            match self.next() {
                Some(c @ ('i' | 'm' | 's' | 'U')) => {
                    let (to, from) = if negative { (&mut off, &mut on) } else { (&mut on, &mut off) };
                    from.remove(&c);
                    to.insert(c);
                    seen = true;
                }
                Some('-') if !negative => (negative, seen) = (true, false),
                Some(end @ (':' | ')')) if !negative || seen => {
                    self.out.push_str("(?");
                    self.out.extend(&on);
                    if !off.is_empty() {
                        self.out.push('-');
                        self.out.extend(&off);
                    }
                    if end == ')' && on.is_empty() && off.is_empty() {
                        self.out.push(':');
                    }
                    self.out.push(end);
                    return Ok(end == ':');
                }
                _ => return Err(why::PERL),
            }
        }
    }

    /// Reads what follows a backslash outside of classes.
    fn escape(&mut self) -> Result<()> {
        if self.rest.is_empty() {
            return Err(why::BACKSLASH);
        }
        if self.eat("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            quoted.chars().for_each(|c| self.literal(c));
            return Ok(());
        }
        for (text, becomes) in [("A", "\\A"), ("z", "\\z"), ("b", "(?-u:\\b)"), ("B", "(?-u:\\B)")] {
            if self.eat(text) {
                self.atom(becomes);
                return Ok(());
            }
        }
        if let Some(class) = self.named_class()? {
            self.atom(&class);
        } else {
            let c = self.escaped_char()?;
            self.literal(c);
        }
        Ok(())
    }

    /// Reads the letter of a class such as `\d` or `\pL`, if that is what follows the backslash.
    fn named_class(&mut self) -> Result<Option<String>> {
        let perl = [
            ("d", "[0-9]"),
            ("D", "[^0-9]"),
            ("s", "[\\t\\n\\f\\r ]"),
            ("S", "[^\\t\\n\\f\\r ]"),
            ("w", "[0-9A-Za-z_]"),
            ("W", "[^0-9A-Za-z_]"),
        ];
        for (text, becomes) in perl {
            if self.eat(text) {
                return Ok(Some(becomes.to_owned()));
            }
        }
        let negative = if self.eat("P") {
            true
        } else if self.eat("p") {
            false
        } else {
            return Ok(None);
        };
        let name = if self.eat("{") {
            let (name, rest) = self.rest.split_once('}').ok_or(why::RANGE)?;
            self.rest = rest;
            name
        } else {
            let len = self.rest.chars().next().map_or(0, char::len_utf8);
            let (name, rest) = self.rest.split_at(len);
            self.rest = rest;
            name
        };
        let (negative, name) = name.strip_prefix('^').map_or((negative, name), |name| (!negative, name));
        let plain = name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
        let class = format!("\\{}{{{name}}}", if negative { 'P' } else { 'p' });
        if !plain || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(why::RANGE);
        }
        if !self.properties.contains(&class) {
            Regex::new(&class).map_err(|_| why::RANGE)?;
            self.properties.insert(class.clone());
        }
        Ok(Some(class))
    }

    /// Reads the rest of an escape that stands for one character.
    fn escaped_char(&mut self) -> Result<char> {
        let c = self.next().ok_or(why::BACKSLASH)?;
        Ok(match c {
            '0'..='7' => return self.octal(c),
            'x' => return self.hexadecimal(),
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(why::ESCAPE),
        })
    }

    /// One to three digits; a single one other than 0 would refer back to a group, which RE2 cannot.
    fn octal(&mut self, first: char) -> Result<char> {
        let digits = self.rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if first != '0' && digits == 0 {
            return Err(why::ESCAPE);
        }
        let (more, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let code = u32::from_str_radix(&format!("{first}{more}"), 8).map_err(|_| why::ESCAPE)?;
        char::from_u32(code).ok_or(why::ESCAPE)
    }

    fn hexadecimal(&mut self) -> Result<char> {
        let (digits, rest) = if self.eat("{") {
            self.rest.split_once('}').ok_or(why::ESCAPE)?
        } else {
            self.rest.split_at_checked(2).ok_or(why::ESCAPE)?
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(why::ESCAPE);
        }
        self.rest = rest;
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(why::ESCAPE)
    }

    /// Reads what follows an opening bracket.
    fn class(&mut self) -> Result<()> {
        let mut class = String::from(if self.eat("^") { "[^" } else { "[" });
        let mut first = true;
        while first || !self.eat("]") {
            first = false;
            if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(why::RANGE);
                }
                class.push_str(&format!("[:{name}:]"));
                self.rest = rest;
                continue;
            }
            let before = self.rest;
            if self.eat("\\")
                && let Some(named) = self.named_class()?
            {
                class.push_str(&named);
                continue;
            }
            self.rest = before;
            let low = self.class_char()?;
            let mut high = low;
            if self.rest.len() >= 2 && !self.rest.starts_with("-]") && self.eat("-") {
                high = self.class_char()?;
            }
            if high < low {
                return Err(why::RANGE);
            }
            put(&mut class, low);
            class.push('-');
            put(&mut class, high);
        }
        class.push(']');
        self.atom(&class);
        Ok(())
    }

    fn class_char(&mut self) -> Result<char> {
        match self.next().ok_or(why::BRACKET)? {
            '\\' if self.rest.is_empty() => Err(why::BACKSLASH),
            '\\' => self.escaped_char(),
            c => Ok(c),
        }
    }
}

/// A character that stands for itself.
fn put(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}
