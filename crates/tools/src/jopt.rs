//! Command lines by the rules of jopt-simple, which most of Kafka's tools use.
//!
//! - An option is written with two dashes or one, its value as the next word or after `=`. No option may be cut short.
//! - A required value is taken whatever it looks like; an optional one only if it does not look like an option.
//! - An option may be repeated; a tool that wants one value then fails when it asks for it.
//! - Values are converted when they are asked for, so that a wrong number shows after the checks of the options.
//!
//! One [`Opt`] feeds parser, help, man page and completion.

mod help;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::java::{self, Number};
use crate::thrown::Thrown;

pub(crate) use help::wrapped;
pub use help::{long_help, option_table};

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value, described so.
    Value(&'static str),
    /// A value, described so, or nothing.
    Optional(&'static str),
    /// A number, described so, or nothing; a negative one is no option.
    OptionalNumber(&'static str),
}

/// One option of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The name without dashes.
    pub name: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// What it does, for help and man page.
    pub help: &'static str,
    /// What the values of a list stand between, if one word may hold several.
    pub separator: Option<char>,
    /// The line is refused without it, before the tool checks anything.
    pub required: bool,
    /// It may stand only beside one of these.
    pub available_if: &'static [&'static str],
}

/// An option without a value.
#[must_use]
pub const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { name, takes: Takes::Nothing, help, separator: None, required: false, available_if: &[] }
}

/// An option with a value, described by `label`.
#[must_use]
pub const fn value(name: &'static str, label: &'static str, help: &'static str) -> Opt {
    Opt { takes: Takes::Value(label), ..flag(name, help) }
}

/// An option with a value that may be left out.
#[must_use]
pub const fn optional(name: &'static str, label: &'static str, help: &'static str) -> Opt {
    Opt { takes: Takes::Optional(label), ..flag(name, help) }
}

/// An option with a number that may be left out.
#[must_use]
pub const fn optional_number(name: &'static str, label: &'static str, help: &'static str) -> Opt {
    Opt { takes: Takes::OptionalNumber(label), ..flag(name, help) }
}

impl Opt {
    /// The same, with several values in one word, between commas.
    #[must_use]
    pub const fn separated(self) -> Self {
        Self { separator: Some(','), ..self }
    }

    /// The same, without which the line is refused.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, refused where none of `others` stands.
    #[must_use]
    pub const fn available_if(self, others: &'static [&'static str]) -> Self {
        Self { available_if: others, ..self }
    }
}

/// The options `--help` and `--version`, which every tool with this grammar has.
pub const HELP: Opt = flag("help", "Print this help.");
/// See [`HELP`].
pub const VERSION: Opt = flag("version", "Print the version of Kafka whose tools these are.");

/// A command line that was read.
#[derive(Clone, Debug, Default)]
pub struct Line {
    options: &'static [Opt],
    found: BTreeMap<&'static str, Vec<String>>,
    order: Vec<&'static str>,
    /// The words that belong to no option.
    pub rest: Vec<String>,
    /// The words as they were given.
    pub words: Vec<String>,
    /// Whether the line named ZooKeeper, so that its output has the form of those days.
    pub zookeeper: bool,
}

/// Reads a command line.
///
/// # Errors
/// The exception that jopt-simple throws.
pub fn parse(options: &'static [Opt], words: &[String]) -> Result<Line, Thrown> {
    let mut line = Line { options, words: words.to_vec(), ..Line::default() };
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            line.rest.extend(words.by_ref().map(str::to_owned));
            break;
        }
        let Some((name, attached)) = named(options, word)? else {
            line.rest.push(word.to_owned());
            continue;
        };
        let option = find(options, name).ok_or_else(|| unrecognized(name))?;
        let values = line.found.entry(option.name).or_default();
        if !line.order.contains(&option.name) {
            line.order.push(option.name);
        }
        let mut take = |text: &str| match option.separator {
            Some(separator) => values.extend(text.split(separator).map(str::to_owned)),
            None => values.push(text.to_owned()),
        };
        match (option.takes, attached.filter(|attached| !attached.is_empty())) {
            (Takes::Nothing, _) => {}
            (_, Some(attached)) => take(attached),
            (Takes::Value(_), None) => match words.next() {
                Some(next) => take(next),
                None => {
                    let class = "joptsimple.OptionMissingRequiredArgumentException";
                    return Err(Thrown::new(class, format!("Option {} requires an argument", option.name)));
                }
            },
            (Takes::Optional(_), None) => {
                if let Some(next) = words.next_if(|next| !looks_like_an_option(next)) {
                    take(next);
                }
            }
            (Takes::OptionalNumber(_), None) => {
                if let Some(next) = words.next_if(|next| i64::read(next).is_some()) {
                    take(next);
                }
            }
        }
    }
    check(&line)?;
    Ok(line)
}

/// Refuses a line that lacks a required option, or has one that is unavailable beside the others.
fn check(line: &Line) -> Result<(), Thrown> {
    let missing: Vec<&str> = line.options.iter().filter(|o| o.required && !line.has(o.name)).map(|o| o.name).collect();
    if !missing.is_empty() {
        let message = format!("Missing required option(s) [{}]", missing.join(", "));
        return Err(Thrown::new("joptsimple.MissingRequiredOptionsException", message));
    }
    let available = |o: &Opt| o.available_if.is_empty() || o.available_if.iter().any(|other| line.has(other));
    let unavailable: Vec<&str> =
        line.options.iter().filter(|o| line.has(o.name) && !available(o)).map(|o| o.name).collect();
    if unavailable.is_empty() {
        return Ok(());
    }
    let message =
        format!("Option(s) [{}] are unavailable given other options on the command line", unavailable.join(", "));
    Err(Thrown::new("joptsimple.UnavailableOptionException", message))
}

fn find(options: &'static [Opt], name: &str) -> Option<&'static Opt> {
    [&HELP, &VERSION].into_iter().chain(options).find(|option| option.name == name)
}

/// The option that a word names, and what is attached to it; `None` for a word that names none.
fn named<'a>(options: &'static [Opt], word: &'a str) -> Result<Option<(&'a str, Option<&'a str>)>, Thrown> {
    if !looks_like_an_option(word) {
        return Ok(None);
    }
    let long = word.strip_prefix("--");
    let text = long.or_else(|| word.strip_prefix('-')).unwrap_or(word);
    let (name, attached) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if find(options, name).is_none() {
        // After one dash an unknown name is a cluster of options of one letter, of which the first is unknown.
        let first = text.chars().next().map_or(0, char::len_utf8);
        return Err(unrecognized(if long.is_some() { name } else { &text[..first] }));
    }
    Ok(Some((name, attached)))
}

fn looks_like_an_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

fn unrecognized(name: &str) -> Thrown {
    Thrown::new("joptsimple.UnrecognizedOptionException", format!("{name} is not a recognized option"))
}

impl Line {
    /// Whether an option stands on the line.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// Whether one of these options stands on the line.
    #[must_use]
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// How many of these options stand on the line.
    #[must_use]
    pub fn count(&self, names: &[&str]) -> usize {
        names.iter().filter(|name| self.has(name)).count()
    }

    /// The names of the options on the line, in the order in which they first stand there.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.order
    }

    /// All values of an option, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> &[String] {
        self.found.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of an option.
    ///
    /// # Errors
    /// When it has several.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Thrown> {
        match self.values(name) {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => {
                let message = format!("Found multiple arguments for option {name}, but you asked for only one");
                Err(Thrown::new("joptsimple.MultipleArgumentsForOptionException", message))
            }
        }
    }

    /// The value of an option that is a number.
    ///
    /// # Errors
    /// When it has several values, or its value is no such number.
    pub fn number<N: Number>(&self, name: &str) -> Result<Option<N>, Thrown> {
        self.value(name)?.map(|text| self::number(name, text)).transpose()
    }

    /// The value of an option that is one of a few words, in any case; `pattern` is how a refusal names them.
    ///
    /// # Errors
    /// When it has several values, or its value is none of the words.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)], pattern: &str) -> Result<Option<T>, Thrown> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, choice)| Some(*choice)).ok_or_else(|| {
            let text_of_cause = format!("Value [{text}] is not one of [{pattern}]");
            let cause = Thrown::new("joptsimple.ValueConversionException", text_of_cause);
            unconverted(name, text, cause)
        })
    }

    /// All values of an option, as numbers.
    ///
    /// # Errors
    /// When one of them is no such number.
    pub fn numbers<N: Number>(&self, name: &str) -> Result<Vec<N>, Thrown> {
        self.values(name).iter().map(|text| self::number(name, text)).collect()
    }

    /// Refuses a line without one of these options.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub fn require(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| !self.has(name)) {
            Some(missing) => Err(Failure::Usage(format!("Missing required argument \"[{missing}]\""))),
            None => Ok(()),
        }
    }

    /// Refuses a line that has one of `others` beside `used`.
    ///
    /// # Errors
    /// Names both.
    pub fn forbid(&self, used: &str, others: &[&str]) -> Result<(), Failure> {
        match others.iter().find(|other| self.has(used) && self.has(other)) {
            Some(other) => Err(Failure::Usage(format!("Option \"[{used}]\" can't be used with option \"[{other}]\""))),
            None => Ok(()),
        }
    }

    /// Refuses a line that has not exactly one of these options.
    ///
    /// # Errors
    /// Names them all.
    pub fn require_one_of(&self, names: &[&str]) -> Result<(), Failure> {
        if self.count(names) == 1 {
            return Ok(());
        }
        let shown: Vec<String> = names.iter().map(|name| format!("[{name}]")).collect();
        Err(Failure::Usage(format!("Exactly one of the following arguments is required: {}", shown.join(", "))))
    }
}

fn number<N: Number>(option: &str, text: &str) -> Result<N, Thrown> {
    java::number(text).map_err(|cause| {
        let reflection = Thrown {
            class: "joptsimple.internal.ReflectionException".into(),
            message: Some(cause.to_string()),
            cause: Some(Box::new(cause)),
        };
        unconverted(option, text, reflection)
    })
}

fn unconverted(option: &str, text: &str, cause: Thrown) -> Thrown {
    let message = format!("Cannot parse argument '{text}' of option {option}");
    Thrown::caused_by("joptsimple.OptionArgumentConversionException", message, cause)
}

/// Reads `key=value` pairs; a word without `=` is a key with an empty value. The last of equal keys counts.
#[must_use]
pub fn key_values(words: &[String]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        pairs.retain(|(have, _)| have != key);
        pairs.push((key.to_owned(), value.to_owned()));
    }
    pairs
}
