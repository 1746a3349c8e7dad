//! The command line of `kafka-storage.sh`: the grammar and the messages of argparse4j.
//!
//! Options may be cut short as long as they stay clear, and so may commands; a value follows as the next word, after `=`,
//! or right after a short option. Clap's grammar differs in all of these.

use std::collections::BTreeMap;

/// What an option does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// It stands alone.
    Nothing,
    /// It has a value; the last one counts.
    One,
    /// It has a value, and may be repeated.
    Many,
}

struct Opt {
    name: &'static str,
    short: char,
    takes: Takes,
    required: bool,
    help: &'static str,
}

struct Command {
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    options: &'static [Opt],
}

const fn opt(name: &'static str, short: char, takes: Takes, help: &'static str) -> Opt {
    Opt { name, short, takes, required: false, help }
}

const fn required(name: &'static str, short: char, takes: Takes, help: &'static str) -> Opt {
    Opt { name, short, takes, required: true, help }
}

const CONFIG: Opt = required("config", 'c', Takes::One, "The node's server.properties.");

const USAGE: &str = "usage: kafka-storage [-h]
                     {info,format,version-mapping,feature-dependencies,random-uuid}
                     ...";

const COMMANDS: [Command; 5] = [
    Command {
        name: "info",
        usage: "usage: kafka-storage info [-h] --config CONFIG",
        help: "Say what stands in the node's directories.",
        options: &[CONFIG],
    },
    Command {
        name: "format",
        usage: "usage: kafka-storage format [-h] --config CONFIG --cluster-id CLUSTER_ID
                     [--add-scram ADD_SCRAM] [--ignore-formatted]
                     [--release-version RELEASE_VERSION]
                     [--feature FEATURE] [--standalone |
                     --no-initial-controllers |
                     --initial-controllers INITIAL_CONTROLLERS]",
        help: "Format the node's directories.",
        options: &[
            CONFIG,
            required("cluster-id", 't', Takes::One, "The id of the cluster that the node belongs to."),
            opt("add-scram", 'S', Takes::Many, "A SCRAM credential: SCRAM-SHA-256=[name=NAME,password=PASSWORD]."),
            opt("ignore-formatted", 'g', Takes::Nothing, "Pass over directories that are formatted already."),
            opt("release-version", 'r', Takes::One, "The release whose features the cluster begins with."),
            opt("feature", 'f', Takes::Many, "The level of one feature, as feature=level."),
            opt("standalone", 's', Takes::Nothing, "The node is the only voter of a new quorum."),
            opt("no-initial-controllers", 'N', Takes::Nothing, "The node is no voter yet: it will be added."),
            opt("initial-controllers", 'I', Takes::One, "The first voters: id@host:port:directory, between commas."),
        ],
    },
    Command {
        name: "version-mapping",
        usage: "usage: kafka-storage version-mapping [-h]
                     [--release-version RELEASE_VERSION]",
        help: "Say which features a release begins with.",
        options: &[opt("release-version", 'r', Takes::One, "The release, such as 4.3; the latest if none is given.")],
    },
    Command {
        name: "feature-dependencies",
        usage: "usage: kafka-storage feature-dependencies [-h] --feature FEATURE",
        help: "Say what levels of features need of other features.",
        options: &[required("feature", 'f', Takes::Many, "A feature and its level, as feature=level.")],
    },
    Command {
        name: "random-uuid",
        usage: "usage: kafka-storage random-uuid [-h]",
        help: "Print a random id.",
        options: &[],
    },
];

/// At most one of these.
const EXCLUSIVE: [&str; 3] = ["standalone", "no-initial-controllers", "initial-controllers"];

/// A command and its options.
pub(super) struct Parsed {
    pub(super) command: &'static str,
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Parsed {
    /// The value of an option; the last one, if it was repeated.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last().map(String::as_str)
    }

    /// All values of an option.
    pub(super) fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether an option without value was given.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Help was asked for: this text goes to standard output.
    Help(String),
    /// The line is wrong: this text goes to standard error.
    Error(String),
}

/// Reads the command line.
pub(super) fn parse(arguments: &[String]) -> Result<Parsed, Stop> {
    let mut words = arguments.iter();
    let Some(word) = words.next() else { return Err(error(USAGE, "too few arguments")) };
    if matches!(word.as_str(), "-h" | "--help") || word.len() > 2 && "--help".starts_with(word.as_str()) {
        return Err(Stop::Help(help_of_all()));
    }
    if word.starts_with('-') {
        return Err(error(USAGE, &format!("unrecognized arguments: '{word}'")));
    }
    let command = command(word)?;
    let mut parsed = Parsed { command: command.name, values: BTreeMap::new() };
    while let Some(word) = words.next() {
        let (option, attached) = option(command, word)?;
        exclusive(command, &parsed, option)?;
        let value = match (option.takes, attached) {
            (Takes::Nothing, Some(value)) => {
                return Err(error(
                    command.usage,
                    &format!("argument {}: ignored explicit argument '{value}'", shown(option)),
                ));
            }
            (Takes::Nothing, None) => String::new(),
            (_, Some(value)) => value.to_owned(),
            (_, None) => match words.next().filter(|next| !is_option(next)) {
                Some(value) => value.clone(),
                None => {
                    let message = format!("argument {}: expected one argument", shown(option));
                    return Err(error(command.usage, &message));
                }
            },
        };
        parsed.values.entry(option.name).or_default().push(value);
    }
    match command.options.iter().find(|option| option.required && !parsed.flag(option.name)) {
        Some(missing) => Err(error(command.usage, &format!("argument {} is required", shown(missing)))),
        None => Ok(parsed),
    }
}

/// A command by its name or the beginning of it.
fn command(word: &str) -> Result<&'static Command, Stop> {
    if let Some(command) = COMMANDS.iter().find(|command| command.name == word) {
        return Ok(command);
    }
    let begun: Vec<&Command> = COMMANDS.iter().filter(|command| command.name.starts_with(word)).collect();
    match begun[..] {
        [command] => Ok(command),
        [] => {
            let names: Vec<String> = COMMANDS.iter().map(|command| format!("'{}'", command.name)).collect();
            Err(error(USAGE, &format!("invalid choice: '{word}' (choose from {})", names.join(", "))))
        }
        _ => {
            let names: Vec<&str> = begun.iter().map(|command| command.name).collect();
            Err(error(USAGE, &format!("ambiguous command: {word} could match {}", names.join(", "))))
        }
    }
}

/// Whether a word is an option and no value: negative numbers are values.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

/// The option that a word names, and the value that is attached to it.
fn option<'a>(command: &'static Command, word: &'a str) -> Result<(&'static Opt, Option<&'a str>), Stop> {
    let unknown = || error(command.usage, &format!("unrecognized arguments: '{word}'"));
    if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
        let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        if let Some(option) = command.options.iter().find(|option| option.name == name) {
            return Ok((option, attached));
        }
        let begun: Vec<&Opt> = command.options.iter().filter(|option| option.name.starts_with(name)).collect();
        return match begun[..] {
            [option] => Ok((option, attached)),
            [] if "help".starts_with(name) => Err(Stop::Help(help_of(command))),
            [] => Err(unknown()),
            _ => {
                let names: Vec<String> = begun.iter().map(|option| format!("--{}", option.name)).collect();
                let message = format!("ambiguous option: --{name} could match {}", names.join(", "));
                Err(error(command.usage, &message))
            }
        };
    }
    let mut letters = word.strip_prefix('-').ok_or_else(unknown)?.chars();
    let letter = letters.next().ok_or_else(unknown)?;
    if letter == 'h' {
        return Err(Stop::Help(help_of(command)));
    }
    let option = command.options.iter().find(|option| option.short == letter).ok_or_else(unknown)?;
    let attached = letters.as_str();
    let attached = attached.strip_prefix('=').unwrap_or(attached);
    Ok((option, (!attached.is_empty()).then_some(attached)))
}

fn exclusive(command: &Command, parsed: &Parsed, option: &Opt) -> Result<(), Stop> {
    if !EXCLUSIVE.contains(&option.name) {
        return Ok(());
    }
    let other = EXCLUSIVE.into_iter().find(|name| *name != option.name && parsed.flag(name));
    let other = other.and_then(|name| command.options.iter().find(|option| option.name == name));
    match other {
        Some(other) => {
            let message = format!("argument {}: not allowed with argument {}", shown(option), shown(other));
            Err(error(command.usage, &message))
        }
        None => Ok(()),
    }
}

fn shown(option: &Opt) -> String {
    format!("--{}/-{}", option.name, option.short)
}

fn error(usage: &str, message: &str) -> Stop {
    Stop::Error(format!("{usage}\n{}", justified(&format!("kafka-storage: error: {message}"))))
}

/// Text in lines of 75 characters, every full one filled up with blanks from its middle on.
fn justified(text: &str) -> String {
    const WIDTH: usize = 75;
    let mut lines: Vec<Vec<&str>> = vec![Vec::new()];
    let mut width = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if width > 0 && width + 1 + len > WIDTH {
            lines.push(Vec::new());
            width = 0;
        }
        width += len + usize::from(width > 0);
        if let Some(line) = lines.last_mut() {
            line.push(word);
        }
    }
    let last = lines.len() - 1;
    let filled = lines.iter().enumerate().map(|(i, words)| if i < last { fill(words, WIDTH) } else { words.join(" ") });
    filled.collect::<Vec<_>>().join("\n")
}

fn fill(words: &[&str], width: usize) -> String {
    let gaps = words.len() - 1;
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    let Some(blanks) = width.checked_sub(letters).filter(|_| gaps > 0) else { return words.join(" ") };
    let (each, rest) = (blanks / gaps, blanks % gaps);
    // The gaps with one blank more stand in the middle.
    let first = (gaps - rest).div_ceil(2);
    let mut line = String::with_capacity(width);
    for (i, word) in words.iter().enumerate() {
        line.push_str(word);
        if i < gaps {
            line.push_str(&" ".repeat(each + usize::from((first..first + rest).contains(&i))));
        }
    }
    line
}

fn help_of_all() -> String {
    let mut text = format!("{USAGE}\n\nFormats a node's directories and says what stands in them.\n\ncommands:\n");
    for command in &COMMANDS {
        text += &format!("  {:<22} {}\n", command.name, command.help);
    }
    text + "\noptions:\n  -h, --help             show this help\n"
}

fn help_of(command: &Command) -> String {
    let mut text = format!("{}\n\n{}\n\noptions:\n  -h, --help\n      show this help\n", command.usage, command.help);
    for option in command.options {
        let value = match option.takes {
            Takes::Nothing => String::new(),
            Takes::One | Takes::Many => format!(" {}", option.name.to_uppercase().replace('-', "_")),
        };
        text += &format!("  --{}{value}, -{}{value}\n      {}\n", option.name, option.short, option.help);
    }
    text
}

#[cfg(test)]
mod tests;
