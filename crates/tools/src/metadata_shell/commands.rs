//! The commands of the shell.

use super::glob::{self, Found};
use super::tree::Node;
use crate::argparse::{self, Command, Kind, Parsed, Stop};
use crate::out::Out;

/// Where the shell stands.
pub(super) struct Place<'t, 'a> {
    root: &'t Node<'a>,
    /// The directory in which paths begin.
    directory: String,
}

impl<'t, 'a> Place<'t, 'a> {
    /// At the root of a tree.
    pub(super) fn new(root: &'t Node<'a>) -> Self {
        Self { root, directory: "/".to_owned() }
    }

    /// The directory in which paths begin.
    #[cfg(test)]
    pub(super) fn directory(&self) -> &str {
        &self.directory
    }

    /// What a path leads to; says in the words of a command that there is nothing.
    fn find(&self, path: &str, out: &mut Out, command: &str, nothing: &str) -> Vec<Found<'t, 'a>> {
        let found = glob::find(self.root, &self.directory, path);
        if found.is_empty() {
            out.line(format_args!("{command}: {path}: {nothing}"));
        }
        found
    }
}

/// What only commands that are typed have.
pub(super) struct Typing<'a> {
    /// How many columns the screen has, if it is one.
    pub(super) columns: Option<usize>,
    /// The lines so far, with their numbers.
    pub(super) history: &'a [(usize, String)],
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Exit,
}

/// The argument of a command.
const fn taking(name: &'static str, words: &'static str, words_min: usize, about: &'static str) -> Command {
    Command { name, about, words, words_min, ..Command::EMPTY }
}

const CAT: Command = taking("cat", "targets [targets ...]", 1, "Show the contents of metadata files.");
const CD: Command = taking("cd", "[target]", 0, "Set the current working directory.");
const EXIT: Command = taking("exit", "", 0, "Exit the metadata shell.");
const FIND: Command = taking("find", "[paths [paths ...]]", 0, "Search for nodes in the directory hierarchy.");
const HELP: Command = taking("help", "", 0, "Display this help message.");
const HISTORY: Command = taking("history", "[numEntriesToShow]", 0, "Print command history.");
const LS: Command = taking("ls", "[targets [targets ...]]", 0, "List metadata nodes.");
const MAN: Command = taking("man", "cmd", 1, "Show the help text for a specific command.");
const PWD: Command = taking("pwd", "", 0, "Print the current working directory.");
const TREE: Command =
    taking("tree", "targets [targets ...]", 1, "Show the contents of metadata nodes in a tree structure.");

/// The commands of a line that is typed.
pub(super) const TYPED: Command =
    Command { commands: &[CAT, CD, EXIT, FIND, HELP, HISTORY, LS, MAN, PWD, TREE], ..Command::EMPTY };
/// The commands that can stand on the command line of the tool.
pub(super) const ONE: Command = Command { commands: &[CAT, FIND, LS, TREE], ..Command::EMPTY };

/// Carries out a command.
pub(super) fn run(
    known: &'static Command,
    words: &[String],
    place: &mut Place,
    typing: Option<&Typing>,
    out: &mut Out,
) -> Next {
    let end = words.iter().rposition(|word| !word.is_empty()).map_or(0, |last| last + 1);
    let words = &words[..end];
    let Some(first) = words.first() else { return Next::Go };
    let parsed = match argparse::parse(known, words) {
        Ok(parsed) => parsed,
        Err(Stop::Help(text)) => {
            out.text(text);
            return Next::Go;
        }
        Err(Stop::Wrong { message, .. }) => {
            out.line(message);
            return Next::Go;
        }
    };
    if parsed.command != first {
        out.line(format_args!("invalid choice: '{first}': did you mean '{}'?", parsed.command));
        return Next::Go;
    }
    match parsed.command {
        "cat" => cat(&parsed, place, out),
        "cd" => change_directory(&parsed, place, out),
        "exit" => return Next::Exit,
        "find" => find(&parsed, place, out),
        "help" => {
            out.text(format_args!("Welcome to the metadata shell.\n\n{}", argparse::help(&TYPED)));
        }
        "history" => history(&parsed, typing, out),
        "ls" => list(&parsed, place, typing.and_then(|typing| typing.columns), out),
        "man" => manual(&parsed, out),
        "pwd" => out.line(&place.directory),
        _ => tree(&parsed, place, out),
    }
    Next::Go
}

fn cat(parsed: &Parsed, place: &Place, out: &mut Out) {
    for target in &parsed.words {
        for found in place.find(target, out, "cat", "No such file or directory.") {
            match found.node {
                Node::Directory(_) => out.line(format_args!("cat: {target}: Is a directory")),
                Node::File(content) => out.line(content()),
            }
        }
    }
}

fn tree(parsed: &Parsed, place: &Place, out: &mut Out) {
    for target in &parsed.words {
        for found in place.find(target, out, "tree", "No such file or directory.") {
            found.node.lines(0, &mut |line| out.line(line));
        }
    }
}

fn change_directory(parsed: &Parsed, place: &mut Place, out: &mut Out) {
    let target = parsed.words.first().map_or("/", String::as_str);
    for found in place.find(target, out, "cd", "no such directory.") {
        match found.node {
            Node::Directory(_) => place.directory = found.absolute(),
            Node::File(_) => out.line(format_args!("cd: {target}: not a directory.")),
        }
    }
}

/// The paths that are named; the directory where the shell stands if there are none.
fn paths(parsed: &Parsed) -> Vec<&str> {
    let named: Vec<&str> = parsed.words.iter().map(String::as_str).filter(|path| !path.is_empty()).collect();
    if named.is_empty() { vec!["."] } else { named }
}

fn find(parsed: &Parsed, place: &Place, out: &mut Out) {
    for path in paths(parsed) {
        for found in place.find(path, out, "find", "no such file or directory.") {
            below(path, found.node, out);
        }
    }
}

fn below(path: &str, node: &Node, out: &mut Out) {
    out.line(path);
    let Node::Directory(entries) = node else { return };
    for (name, node) in entries {
        let slash = if path == "/" { "" } else { "/" };
        below(&format!("{path}{slash}{name}"), node, out);
    }
}

fn list(parsed: &Parsed, place: &Place, columns: Option<usize>, out: &mut Out) {
    let mut files: Vec<String> = Vec::new();
    let mut directories: Vec<(String, Vec<String>)> = Vec::new();
    for path in paths(parsed) {
        for found in place.find(path, out, "ls", "no such file or directory.") {
            match found.node {
                Node::File(_) => files.push(found.name().to_owned()),
                Node::Directory(entries) => {
                    directories.push((found.name().to_owned(), entries.keys().cloned().collect()));
                }
            }
        }
    }
    in_columns(&files, columns, out);
    let needs_head = !files.is_empty() || directories.len() > 1;
    for (at, (name, entries)) in directories.iter().filter(|(_, entries)| !entries.is_empty()).enumerate() {
        if needs_head {
            let gap = if at > 0 || !files.is_empty() { "\n" } else { "" };
            out.line(format_args!("{gap}{name}:"));
        }
        in_columns(entries, columns, out);
    }
}

/// Prints names one below the other, in as many columns as the screen has room for.
fn in_columns(names: &[String], columns: Option<usize>, out: &mut Out) {
    let widths = columns.map_or(vec![0], |columns| column_widths(names, columns));
    let rows = names.len().div_ceil(widths.len());
    for row in 0..rows {
        let mut line = String::new();
        for (column, width) in widths.iter().enumerate() {
            let Some(name) = names.get(row + column * rows) else { continue };
            let width = if column + 1 < widths.len() { *width } else { 0 };
            line += &format!("{name:<width$}");
        }
        out.line(line);
    }
}

/// The widths of the most columns that names fit into, two blanks behind each.
pub(super) fn column_widths(names: &[String], screen: usize) -> Vec<usize> {
    let widths_of = |columns: usize| {
        let rows = names.len().div_ceil(columns).max(1);
        let width = |names: &[String]| names.iter().map(|name| name.chars().count() + 2).max().unwrap_or(0);
        names.chunks(rows).map(width).collect::<Vec<_>>()
    };
    let fitting = (2..=screen / 4).rev().find_map(|columns| {
        let widths = widths_of(columns);
        (widths.len() == columns && widths.iter().sum::<usize>() <= screen).then_some(widths)
    });
    fitting.unwrap_or(vec![0])
}

fn history(parsed: &Parsed, typing: Option<&Typing>, out: &mut Out) {
    let Some(typing) = typing else { return };
    let wanted = match parsed.words.first() {
        Some(text) => match crate::java::number::<i32>(text) {
            Ok(count) => usize::try_from(count).unwrap_or(0),
            Err(_) => {
                let kind = Kind::Int;
                out.line(format_args!("argument numEntriesToShow: could not convert '{text}' to {kind:?}"));
                return;
            }
        },
        None => usize::MAX,
    };
    let first = typing.history.len().saturating_sub(wanted);
    for (number, line) in &typing.history[first..] {
        out.line(format_args!("{number:>5}  {line}"));
    }
}

fn manual(parsed: &Parsed, out: &mut Out) {
    let name = parsed.words.first().map_or("", String::as_str);
    match TYPED.commands.iter().find(|command| command.name == name) {
        Some(command) => out.text(format_args!("{name}: {}\n\n{}", command.about, argparse::help(command))),
        None => out.line(format_args!("man: unknown command {name}. Type help to get a list of commands.")),
    }
}
