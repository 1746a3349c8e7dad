//! Command lines by the rules of argparse4j, which some of Kafka's tools use.
//!
//! - Long options may be cut short as long as they stay clear, and so may commands.
//! - A value follows as the next word, after `=`, or right after a short option.
//! - Numbers are checked while the line is read.
//! - An error shows the usage of the command first, and the message in justified lines of 75 characters.

mod check;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use crate::java::{self, Number};
use crate::thrown::Thrown;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value; the last one counts if the option is repeated.
    One,
    /// A value; the option may be repeated, and all values count.
    Repeated,
    /// As many values as there are before the next option, at least one.
    Several,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Text,
    /// An `Integer` of Java.
    Int,
    /// A `Long` of Java.
    Long,
    /// A `Double` of Java.
    Double,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The name without dashes.
    pub name: &'static str,
    /// One letter, if it may be written so.
    pub short: Option<char>,
    /// How usage and help call the value.
    pub label: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// What a value must be.
    pub kind: Kind,
    /// The line is refused without it.
    pub required: bool,
    /// What it does.
    pub help: &'static str,
}

/// An option without a value.
#[must_use]
pub const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { name, short: None, label: "", takes: Takes::Nothing, kind: Kind::Text, required: false, help }
}

/// An option with a value that usage and help call `label`.
#[must_use]
pub const fn value(name: &'static str, label: &'static str, help: &'static str) -> Opt {
    Opt { label, takes: Takes::One, ..flag(name, help) }
}

/// `--output`, which Kafka's tools do not have. The usage, which is theirs, leaves it out.
pub const OUTPUT: Opt = value("output", "text|json", "The form of what is described or listed. Default: text.");

impl Opt {
    /// The same, with a name of one letter.
    #[must_use]
    pub const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    /// The same, without which the line is refused.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, which may be repeated.
    #[must_use]
    pub const fn repeated(self) -> Self {
        Self { takes: Takes::Repeated, ..self }
    }

    /// The same, with several values in a row.
    #[must_use]
    pub const fn several(self) -> Self {
        Self { takes: Takes::Several, ..self }
    }

    /// The same, with a number as value.
    #[must_use]
    pub const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// Options of which at most one may stand on a line.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// One of them must stand there.
    pub required: bool,
    /// The options.
    pub options: &'static [Opt],
}

/// A program, or a command of one.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its options, in the order of its usage.
    pub options: &'static [Opt],
    /// Its groups of options that exclude each other.
    pub groups: &'static [Group],
    /// How usage calls the words that belong to no option, such as `[command [command ...]]`; empty: there are none.
    pub words: &'static str,
    /// How many words there must be.
    pub words_min: usize,
    /// Its commands.
    pub commands: &'static [Command],
    /// How usage calls the command; empty: by all their names.
    pub command_label: &'static str,
    /// What else the help says.
    pub notes: &'static str,
    /// Command lines that show its use.
    pub examples: &'static [&'static str],
}

impl Command {
    /// A command without options, to fill in.
    pub const EMPTY: Self = Self {
        name: "",
        about: "",
        options: &[],
        groups: &[],
        words: "",
        words_min: 0,
        commands: &[],
        command_label: "",
        notes: "",
        examples: &[],
    };

    pub(crate) fn all(&self) -> impl Iterator<Item = &'static Opt> + use<> {
        let (options, groups) = (self.options, self.groups);
        options.iter().chain(groups.iter().flat_map(|group| group.options))
    }
}

/// A command line that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The name of the command; empty where the program has none.
    pub command: &'static str,
    /// The words that belong to no option.
    pub words: Vec<String>,
    found: BTreeMap<&'static str, Vec<String>>,
}

impl Parsed {
    /// Whether an option stands on the line.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// The value of an option; the last one, if it was repeated.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last().map(String::as_str)
    }

    /// All values of an option.
    #[must_use]
    pub fn values(&self, name: &str) -> &[String] {
        self.found.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of an option that is a number; it was checked when the line was read.
    #[must_use]
    pub fn number<N: Number>(&self, name: &str) -> Option<N> {
        self.value(name).and_then(|text| N::read(text))
    }
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help was asked for: this text goes to standard output.
    Help(String),
    /// The line is wrong.
    Wrong {
        /// The usage of the command at fault.
        usage: String,
        /// What is wrong.
        message: String,
    },
}

impl Stop {
    /// What goes to standard error: the usage, and the message behind the name of the program.
    #[must_use]
    pub fn text(&self, program: &Command) -> String {
        match self {
            Self::Help(text) => text.clone(),
            Self::Wrong { usage, message } => {
                format!("{usage}{}", text::justified(&format!("{}: error: {message}", program.name)))
            }
        }
    }
}

/// Refuses a line that was read well, as the parser does: with the usage of the program.
#[must_use]
pub fn wrong(program: &'static Command, message: impl Into<String>) -> Stop {
    Stop::Wrong { usage: text::usage(&[program]), message: message.into() }
}

/// The help of a program.
#[must_use]
pub fn help(program: &'static Command) -> String {
    text::help(&[program])
}

/// Reads a command line.
///
/// # Errors
/// When there is nothing to run.
pub fn parse(program: &'static Command, words: &[String]) -> Result<Parsed, Stop> {
    let mut parsed = Parsed::default();
    Reader { path: vec![program], words, parsed: &mut parsed }.read()?;
    Ok(parsed)
}

struct Reader<'a> {
    /// The program, and the command that is being read.
    path: Vec<&'static Command>,
    words: &'a [String],
    parsed: &'a mut Parsed,
}

impl<'a> Reader<'a> {
    fn command(&self) -> &'static Command {
        self.path[self.path.len() - 1]
    }

    fn wrong(&self, message: String) -> Stop {
        Stop::Wrong { usage: text::usage(&self.path), message }
    }

    fn read(mut self) -> Result<(), Stop> {
        let command = self.command();
        let mut used: Vec<&'static Opt> = Vec::new();
        let mut has_command = false;
        while let Some((word, rest)) = self.words.split_first() {
            self.words = rest;
            if word == "--" {
                self.parsed.words.extend_from_slice(rest);
                self.words = &[];
            } else if is_option(word) {
                let option = self.option(word)?;
                self.exclude(&used, option)?;
                used.push(option);
            } else if !command.commands.is_empty() {
                let next = self.find_command(word)?;
                self.parsed.command = next.name;
                let mut path = self.path.clone();
                path.push(next);
                Reader { path, words: self.words, parsed: &mut *self.parsed }.read()?;
                self.words = &[];
                has_command = true;
            } else if !command.words.is_empty() {
                self.parsed.words.push(word.clone());
            } else {
                return Err(self.wrong(format!("unrecognized arguments: '{word}'")));
            }
        }
        let lacks_words = self.parsed.words.len() < command.words_min;
        if lacks_words || !command.commands.is_empty() && !has_command {
            return Err(self.wrong("too few arguments".into()));
        }
        check::required(command, &used).map_err(|message| self.wrong(message))
    }

    /// Reads an option and its values.
    fn option(&mut self, word: &str) -> Result<&'static Opt, Stop> {
        let (option, attached) = self.find_option(word)?;
        let mut values = Vec::new();
        match (option.takes, attached) {
            (Takes::Nothing, Some(value)) => {
                let message = format!("argument {}: ignored explicit argument '{value}'", text::names(option));
                return Err(self.wrong(message));
            }
            (Takes::Nothing, None) => {}
            (_, Some(value)) => values.push(value.to_owned()),
            (takes, None) => {
                let many = if takes == Takes::Several { self.words.len() } else { 1 };
                let count = self.words.iter().take(many).take_while(|next| !is_option(next)).count();
                values.extend_from_slice(&self.words[..count]);
                self.words = &self.words[count..];
                if values.is_empty() {
                    let expected = if takes == Takes::Several { "at least one argument" } else { "one argument" };
                    return Err(self.wrong(format!("argument {}: expected {expected}", text::names(option))));
                }
            }
        }
        for value in &values {
            check::kind(option.kind, value).map_err(|thrown| {
                let Thrown { class, message, .. } = thrown;
                let message = message.unwrap_or_default();
                self.wrong(format!(
                    "argument {}: could not convert '{value}' to {class} ({message})",
                    text::names(option)
                ))
            })?;
        }
        let found = self.parsed.found.entry(option.name).or_default();
        if option.takes == Takes::Several {
            found.clear();
        }
        found.append(&mut values);
        Ok(option)
    }

    fn exclude(&self, used: &[&'static Opt], option: &'static Opt) -> Result<(), Stop> {
        match check::excluded(self.command(), used, option) {
            Some(message) => Err(self.wrong(message)),
            None => Ok(()),
        }
    }

    /// A command by its name or the beginning of it.
    fn find_command(&self, word: &str) -> Result<&'static Command, Stop> {
        let commands = self.command().commands;
        if let Some(command) = commands.iter().find(|command| command.name == word) {
            return Ok(command);
        }
        let begun: Vec<&'static Command> = commands.iter().filter(|command| command.name.starts_with(word)).collect();
        match begun[..] {
            [command] => Ok(command),
            [] => {
                let names: Vec<String> = commands.iter().map(|command| format!("'{}'", command.name)).collect();
                Err(self.wrong(format!("invalid choice: '{word}' (choose from {})", names.join(", "))))
            }
            _ => {
                let names: Vec<&str> = begun.iter().map(|command| command.name).collect();
                Err(self.wrong(format!("ambiguous command: {word} could match {}", names.join(", "))))
            }
        }
    }

    /// The option that a word names, and the value that is attached to it.
    fn find_option<'w>(&self, word: &'w str) -> Result<(&'static Opt, Option<&'w str>), Stop> {
        let command = self.command();
        let unknown = || self.wrong(format!("unrecognized arguments: '{word}'"));
        if let Some(long) = word.strip_prefix("--") {
            let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if name == "help" {
                return Err(Stop::Help(text::help(&self.path)));
            }
            if let Some(option) = command.all().find(|option| option.name == name) {
                return Ok((option, attached));
            }
            let begun: Vec<&'static Opt> = command.all().filter(|option| option.name.starts_with(name)).collect();
            return match begun[..] {
                [] if "help".starts_with(name) => Err(Stop::Help(text::help(&self.path))),
                [option] => Ok((option, attached)),
                [] => Err(unknown()),
                _ => {
                    let names: Vec<String> = begun.iter().map(|option| format!("--{}", option.name)).collect();
                    Err(self.wrong(format!("ambiguous option: --{name} could match {}", names.join(", "))))
                }
            };
        }
        let mut letters = word.trim_start_matches('-').chars();
        let letter = letters.next().ok_or_else(unknown)?;
        if letter == 'h' {
            return Err(Stop::Help(text::help(&self.path)));
        }
        let option = command.all().find(|option| option.short == Some(letter)).ok_or_else(unknown)?;
        let attached = letters.as_str();
        let attached = attached.strip_prefix('=').unwrap_or(attached);
        Ok((option, (!attached.is_empty()).then_some(attached)))
    }
}

/// Whether a word is an option and no value: negative numbers are values, and what begins as one, such as `-2h`.
fn is_option(word: &str) -> bool {
    let behind = word.strip_prefix('-').unwrap_or_default();
    !behind.is_empty()
        && !behind.starts_with(|first: char| first.is_ascii_digit())
        && java::number::<f64>(word).is_err()
}
