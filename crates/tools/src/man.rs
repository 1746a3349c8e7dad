//! Man pages from the same definitions of options that parser, help and completion have.

use std::fmt::Write as _;

use crate::argparse::{self, Command};
use crate::jopt::{self, Takes};
use crate::tool::{Grammar, KAFKA_VERSION, Tool};

/// The section of commands.
const SECTION: u8 = 1;

/// A page, and the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The name of the file, such as `kafka-topics.1`.
    pub file: String,
    /// The page in the man macros of troff.
    pub text: String,
}

/// The page of every tool, under the name of Kafka's script.
#[must_use]
pub fn pages(more: &[Tool]) -> Vec<Page> {
    crate::TOOLS.iter().chain(more).map(page).collect()
}

fn page(tool: &Tool) -> Page {
    let mut text = format!(
        ".TH {} {SECTION} \"\" \"Kafka {KAFKA_VERSION}\" \"Kafka's tools\"\n.SH NAME\n{} \\- {}\n",
        escaped(&tool.script.to_uppercase()),
        escaped(tool.script),
        escaped(tool.about)
    );
    let _ = writeln!(text, ".SH SYNOPSIS\n.B {}\n{}", escaped(tool.script), synopsis(tool));
    let _ = writeln!(text, ".SH DESCRIPTION\n{}", escaped(tool.about));
    let script = if tool.is_kafkas() { format!(" and {}.sh", escaped(tool.script)) } else { String::new() };
    let _ = writeln!(text, ".PP\nThe same as \\fBthalweg {}\\fR{script}.", escaped(tool.name));
    match tool.grammar {
        Grammar::Jopt(jopt) => {
            text += ".SH OPTIONS\n";
            let mut options: Vec<&jopt::Opt> = jopt.options.iter().chain([&jopt::HELP, &jopt::VERSION]).collect();
            options.sort_by_key(|option| option.name);
            options.into_iter().for_each(|option| text += &of_jopt(option));
            examples(jopt.examples, &mut text);
        }
        Grammar::Argparse(program) => {
            of_command(program, "OPTIONS", &mut text);
            if !program.notes.is_empty() {
                let _ = writeln!(text, ".SH NOTES\n{}", escaped(program.notes));
            }
            examples(program.examples, &mut text);
        }
        Grammar::Words => {}
    }
    Page { file: format!("{}.{SECTION}", tool.script), text }
}

fn synopsis(tool: &Tool) -> String {
    match tool.grammar {
        Grammar::Jopt(_) => "[\\fIOPTION\\fR]...".to_owned(),
        Grammar::Argparse(program) if program.commands.is_empty() => {
            format!("[\\fIOPTION\\fR]... {}", escaped(program.words))
        }
        Grammar::Argparse(program) => {
            let names: Vec<String> = program.commands.iter().map(|command| escaped(command.name)).collect();
            format!("[\\fIOPTION\\fR]... {{{}}} [\\fIOPTION\\fR]...", names.join(" | "))
        }
        Grammar::Words => "[\\fIWORD\\fR]...".to_owned(),
    }
}

fn of_jopt(option: &jopt::Opt) -> String {
    let value = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Value(label) => format!(" \\fI{}\\fR", escaped(label)),
        Takes::Optional(label) | Takes::OptionalNumber(label) => format!(" [\\fI{}\\fR]", escaped(label)),
    };
    entry(&format!("\\fB{}\\fR{value}", escaped(&format!("--{}", option.name))), option.help, option.required)
}

fn examples(lines: &[&str], text: &mut String) {
    if !lines.is_empty() {
        *text += ".SH EXAMPLES\n";
    }
    for line in lines {
        let _ = writeln!(text, ".PP\n.nf\n.RS\n{}\n.RE\n.fi", escaped(line));
    }
}

/// The options of a program or of one of its commands, and then those of its commands.
fn of_command(command: &Command, title: &str, text: &mut String) {
    let options: Vec<&argparse::Opt> = command.all().collect();
    if !options.is_empty() {
        let _ = writeln!(text, ".SH {}", escaped(title));
    }
    for option in options {
        let mut names =
            option.short.map(|letter| format!("\\fB{}\\fR, ", escaped(&format!("-{letter}")))).unwrap_or_default();
        let _ = write!(names, "\\fB{}\\fR", escaped(&format!("--{}", option.name)));
        if option.takes != argparse::Takes::Nothing {
            let _ = write!(names, " \\fI{}\\fR", escaped(option.label));
        }
        *text += &entry(&names, option.help, option.required);
    }
    for inner in command.commands {
        let title = format!("THE COMMAND {}", inner.name.to_uppercase());
        if inner.all().next().is_none() {
            let _ = writeln!(text, ".SH {}", escaped(&title));
        }
        of_command(inner, &title, text);
        let _ = writeln!(text, ".PP\n{}", escaped(inner.about));
    }
}

fn entry(names: &str, help: &str, required: bool) -> String {
    let required = if required { " Required." } else { "" };
    format!(".TP\n{names}\n{}{required}\n", escaped(help))
}

/// Text as troff prints it: dashes that stay dashes, and no line that begins a macro.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_page_with_all_of_its_options() {
        let pages = pages(&[]);
        assert_eq!(pages.len(), crate::TOOLS.len());
        let topics = pages.iter().find(|page| page.file == "kafka-topics.1").expect("a page");
        for expected in
            [".TH KAFKA\\-TOPICS 1", "\\fB\\-\\-bootstrap\\-server\\fR \\fIserver to connect to\\fR", ".SH EXAMPLES"]
        {
            assert!(topics.text.contains(expected), "{expected}");
        }
        let quorum = pages.iter().find(|page| page.file == "kafka-metadata-quorum.1").expect("a page");
        for expected in [".SH THE COMMAND REMOVE\\-CONTROLLER", "\\fB\\-i\\fR, \\fB\\-\\-controller\\-id\\fR"] {
            assert!(quorum.text.contains(expected), "{expected}");
        }
    }

    #[test]
    fn what_troff_would_take_for_a_macro_or_a_hyphen_is_escaped() {
        assert_eq!(escaped(".x a-b \\n"), "\\&.x a\\-b \\en");
    }
}
