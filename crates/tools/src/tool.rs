//! A tool: what it is called, what it takes, and how it ends.

use crate::argparse::{self, Command, Parsed, Stop};
use crate::clusters;
use crate::failure::Failure;
use crate::jopt::{self, Line, Opt};
use crate::legacy;
use crate::options;
use crate::out::Out;
use crate::thrown::Thrown;

/// The version of Kafka whose tools these are.
pub const KAFKA_VERSION: &str = "4.3.1";

/// How a tool shows an exception that it does not handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncaught {
    /// The message, and the exception with its causes.
    MessageAndTrace,
    /// The exception with its causes, as Java's virtual machine prints it.
    Main,
    /// The message behind the text, such as `Error occurred: `, and the exception with its causes.
    BehindAndTrace(&'static str),
    /// The message alone.
    Message,
    /// The exception with its causes.
    Trace,
    /// The message behind the text, and the exception with its causes, on standard output.
    Printed(&'static str),
}

impl Uncaught {
    /// Shows an exception; gives the exit code.
    pub fn show(self, thrown: &Thrown, out: &mut Out) -> u8 {
        match self {
            Self::MessageAndTrace => out.error(format_args!("{}\n{}", thrown.text(), thrown.trace())),
            Self::Main => {
                out.error(format_args!("Exception in thread \"main\" {}", thrown.trace().trim_end_matches('\n')))
            }
            Self::BehindAndTrace(before) => out.error(format_args!("{before}{}\n{}", thrown.text(), thrown.trace())),
            Self::Message => out.error(thrown.text()),
            Self::Trace => out.error(thrown.trace().trim_end_matches('\n')),
            Self::Printed(before) => out.line(format_args!("{before}{}\n{}", thrown.text(), thrown.trace())),
        }
        1
    }
}

/// How a tool shows that its line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrors {
    /// The message, and all options.
    Usage,
    /// As an exception of Java's `main`.
    Main,
    /// As its other exceptions.
    Uncaught,
    /// The message behind this text.
    Message(&'static str),
}

/// A tool with the command line of jopt-simple.
#[derive(Debug)]
pub struct Jopt {
    /// What it does, for `--help`.
    pub about: &'static str,
    /// What it says first when it is called without any word.
    pub about_empty: &'static str,
    /// Command lines that show its use.
    pub examples: &'static [&'static str],
    /// Its options, besides `--help` and `--version`.
    pub options: &'static [Opt],
    /// How it shows that a line cannot be read.
    pub parse_errors: ParseErrors,
    /// How it shows other exceptions.
    pub uncaught: Uncaught,
    /// Runs it.
    pub run: fn(&Line, &mut Out) -> Result<(), Failure>,
}

impl Jopt {
    /// Reads the words and runs the tool. Gives the exit code.
    pub fn run(&self, words: &[String], out: &mut Out) -> u8 {
        let completed = match clusters::complete_jopt(self.options, words, out) {
            Ok(completed) => completed,
            Err(message) => {
                out.error(message);
                return 1;
            }
        };
        let translated = legacy::translate(self.options, &completed, out);
        let mut line = match jopt::parse(self.options, &translated.words) {
            Ok(line) => line,
            Err(thrown) => return self.unread(&thrown, out),
        };
        line.zookeeper = translated.zookeeper;
        if words.is_empty() {
            return self.usage(self.about_empty, out);
        }
        if line.has("help") {
            out.error(jopt::long_help(self.about, self.examples, self.options));
            return 1;
        }
        if line.has("version") {
            out.line(KAFKA_VERSION);
            return 0;
        }
        let form = line.values(argparse::OUTPUT.name).last().map(String::as_str);
        let result = match options::set_output(form, out) {
            Ok(()) => (self.run)(&line, out),
            Err(message) => Err(Failure::Message(message)),
        };
        match result {
            Ok(()) => 0,
            Err(Failure::Usage(message)) => self.usage(&message, out),
            Err(Failure::Message(message)) => {
                out.error(message);
                1
            }
            Err(Failure::Thrown(thrown)) => self.uncaught.show(&thrown, out),
            Err(Failure::Exit(code)) => code,
        }
    }

    fn unread(&self, thrown: &Thrown, out: &mut Out) -> u8 {
        match self.parse_errors {
            ParseErrors::Usage => return self.usage(thrown.text(), out),
            ParseErrors::Main => return Uncaught::Main.show(thrown, out),
            ParseErrors::Uncaught => return self.uncaught.show(thrown, out),
            ParseErrors::Message(before) => out.error(format_args!("{before}{}", thrown.text())),
        }
        1
    }

    fn usage(&self, message: &str, out: &mut Out) -> u8 {
        out.error(format_args!("{message}\n{}", jopt::option_table(self.options).trim_end()));
        1
    }
}

/// How a tool with the command line of argparse4j shows that a line is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The usage, then the message.
    Usage,
    /// A line of its own, without the usage and without a line end.
    Terse,
}

/// A tool with the command line of argparse4j.
#[derive(Debug)]
pub struct Argparse {
    /// Its command line.
    pub program: &'static Command,
    /// The exit code of `--help`.
    pub help_exit: u8,
    /// Whether a line without any word shows the help on standard output and is no error.
    pub empty_is_help: bool,
    /// How it shows that a line is wrong.
    pub wrong: Wrong,
    /// Whether it has `--version`.
    pub has_version: bool,
    /// How it shows exceptions.
    pub uncaught: Uncaught,
    /// Runs it.
    pub run: fn(&Parsed, &mut Out) -> Result<(), Failure>,
}

impl Argparse {
    /// Reads the words and runs the tool. Gives the exit code.
    pub fn run(&self, words: &[String], out: &mut Out) -> u8 {
        if words.is_empty() && self.empty_is_help {
            out.text(argparse::help(self.program));
            return 0;
        }
        let is_version = |word: &String| word == "--version" || word == "-v";
        if self.has_version && words.first().is_some_and(is_version) {
            out.line(KAFKA_VERSION);
            return 0;
        }
        let completed = match clusters::complete_argparse(self.program, words, out) {
            Ok(completed) => completed,
            Err(message) => {
                out.error(message);
                return 1;
            }
        };
        let result = match argparse::parse(self.program, &completed) {
            Ok(parsed) => match options::set_output(parsed.value(argparse::OUTPUT.name), out) {
                Ok(()) => (self.run)(&parsed, out),
                Err(message) => Err(Failure::Message(message)),
            },
            Err(Stop::Help(text)) => {
                out.text(text);
                return self.help_exit;
            }
            Err(stop) => return self.wrong(&stop, out),
        };
        match result {
            Ok(()) => 0,
            Err(Failure::Usage(message)) => self.wrong(&argparse::wrong(self.program, message), out),
            Err(Failure::Message(message)) => {
                out.error(message);
                1
            }
            Err(Failure::Thrown(thrown)) => self.uncaught.show(&thrown, out),
            Err(Failure::Exit(code)) => code,
        }
    }

    fn wrong(&self, stop: &Stop, out: &mut Out) -> u8 {
        match (self.wrong, stop) {
            (Wrong::Terse, Stop::Wrong { message, .. }) => {
                out.error_text(format_args!("Command line error: {message}. Type --help for help."));
            }
            _ => out.error(stop.text(self.program)),
        }
        1
    }
}

/// How a tool's command line is read, for help and completion.
#[derive(Clone, Copy, Debug)]
pub enum Grammar {
    /// By the rules of jopt-simple.
    Jopt(&'static Jopt),
    /// By the rules of argparse4j.
    Argparse(&'static Command),
    /// Word by word: it has no options.
    Words,
}

/// A tool by all of its names.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name as a command of `thalweg`, which is that of Kafka's script without `kafka-` and `.sh`.
    pub name: &'static str,
    /// The name of Kafka's script, without `.sh`.
    pub script: &'static str,
    /// The classes of Kafka that it stands for, of this version and older ones.
    pub classes: &'static [&'static str],
    /// What it does, in a line.
    pub about: &'static str,
    /// Runs it on the words of its command line; gives the exit code.
    pub run: fn(&[String], &mut Out) -> u8,
    /// How its command line is read.
    pub grammar: Grammar,
}

impl Tool {
    /// The names that links to the program have, so that they call this tool: those of Kafka's script, or its own where
    /// Kafka has no such tool.
    #[must_use]
    pub fn links(&self) -> Vec<String> {
        let own = !self.is_kafkas();
        let names = [self.script.to_owned(), format!("{}.sh", self.script)];
        names.into_iter().take(if own { 1 } else { 2 }).collect()
    }

    /// Whether Kafka has such a tool.
    #[must_use]
    pub fn is_kafkas(&self) -> bool {
        !self.script.starts_with("thalweg-")
    }
}
