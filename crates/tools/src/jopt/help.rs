//! Help from the options: the table behind an error message, and the page of `--help`.

use super::{HELP, Opt, Takes, VERSION};

/// Where the description of an option begins.
const COLUMN: usize = 40;
/// How wide a line may be.
const WIDTH: usize = 100;

/// All options in the order of their names, each with what it takes and does. Its head line is Kafka's.
#[must_use]
pub fn option_table(options: &[Opt]) -> String {
    let mut sorted: Vec<&Opt> = options.iter().chain([&HELP, &VERSION]).collect();
    sorted.sort_by_key(|option| option.name);
    let head = if options.iter().any(|option| option.required) { "Option (* = required)" } else { "Option" };
    let mut text = format!("{head:<COLUMN$}Description\n{:<COLUMN$}-----------\n", "-".repeat(head.len()));
    for option in sorted {
        text += &entry(option);
    }
    text
}

/// The page of `--help`: what the tool does, its options, and examples.
#[must_use]
pub fn long_help(about: &str, examples: &[&str], options: &[Opt]) -> String {
    let mut text = format!("{about}\n{}", option_table(options));
    if !examples.is_empty() {
        text += "\nExamples:\n";
    }
    for example in examples {
        text += &format!("  {example}\n");
    }
    text.truncate(text.trim_end().len());
    text
}

fn entry(option: &Opt) -> String {
    let star = if option.required { "* " } else { "" };
    let mut left = format!("{star}--{}", option.name);
    match option.takes {
        Takes::Nothing => {}
        Takes::Value(label) => left += &format!(" <{label}>"),
        Takes::Optional(label) | Takes::OptionalNumber(label) => left += &format!(" [{label}]"),
    }
    let lines = wrapped(option.help, WIDTH - COLUMN);
    let mut lines = lines.iter();
    let mut text = if left.len() + 1 > COLUMN {
        format!("{left}\n")
    } else {
        format!("{left:<COLUMN$}{}\n", lines.next().map_or("", String::as_str))
    };
    for line in lines {
        text += &format!("{:<COLUMN$}{line}\n", "");
    }
    text
}

/// Text in lines of at most so many characters.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line_len = lines.last().map_or(0, String::len);
        if line_len > 0 && line_len + 1 + word.len() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
