//! `kafka-metadata-shell.sh`: the cluster's metadata as a tree of directories and files, from a snapshot or a log.

mod commands;
mod glob;
mod interactive;
mod load;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use crate::argparse::{Command, Parsed, value};
use crate::failure::Failure;
use crate::out::Out;
use crate::tool::{Argparse, Grammar, Tool, Uncaught, Wrong};

/// The tool.
pub(crate) const TOOL: Tool = Tool {
    name: "metadata-shell",
    script: "kafka-metadata-shell",
    classes: &["org.apache.kafka.shell.MetadataShell"],
    about: "Look through the metadata of a snapshot or a log as through a tree of directories.",
    run: |words, out| ARGPARSE.run(words, out),
    grammar: Grammar::Argparse(&PROGRAM),
};

const ARGPARSE: Argparse = Argparse {
    program: &PROGRAM,
    help_exit: 1,
    empty_is_help: false,
    wrong: Wrong::Usage,
    has_version: false,
    uncaught: Uncaught::BehindAndTrace("Unexpected error: "),
    run,
};

const PROGRAM: Command = Command {
    name: "kafka-metadata-shell",
    about: "Shows the metadata of a cluster as a tree of directories and files. Without a command it reads commands from \
        standard input; `help` lists them.",
    options: &[value(
        "snapshot",
        "SNAPSHOT",
        "A snapshot (.checkpoint) or a segment (.log) of __cluster_metadata-0, or that directory: its newest snapshot and \
        what follows it.",
    )
    .short('s')
    .required()],
    words: "[command [command ...]]",
    ..Command::EMPTY
};

fn run(parsed: &Parsed, out: &mut Out) -> Result<(), Failure> {
    let loaded = load::load(parsed.value("snapshot").unwrap_or_default())?;
    let root = tree::of_image(loaded.image.visible());
    let mut place = commands::Place::new(&root);
    if !parsed.words.is_empty() {
        commands::run(&commands::ONE, &parsed.words, &mut place, None, out);
        return Ok(());
    }
    out.line("Loading...\nStarting...");
    interactive::run(&mut place, out)
}
