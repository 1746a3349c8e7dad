//! Usage, help, and lines filled up to their width.

use super::{Command, Group, OUTPUT, Opt, Takes};
use crate::jopt::wrapped;

/// How wide a line may be.
const WIDTH: usize = 75;
/// Behind a name that is longer than this the usage begins a new line.
const NAME_MAX: usize = 30;

/// All names of an option.
pub(super) fn names(option: &Opt) -> String {
    let long = format!("--{}", option.name);
    option.short.map_or(long.clone(), |letter| format!("{long}/-{letter}"))
}

fn written(option: &Opt) -> String {
    let (name, label) = (option.name, option.label);
    match option.takes {
        Takes::Nothing => format!("--{name}"),
        Takes::One | Takes::Repeated => format!("--{name} {label}"),
        Takes::Several => format!("--{name} {label} [{label} ...]"),
    }
}

fn group_parts(group: &Group, parts: &mut Vec<String>) {
    if let [option] = group.options {
        parts.push(written(option));
        return;
    }
    let (open, close) = if group.required { ("(", ")") } else { ("[", "]") };
    for (at, option) in group.options.iter().enumerate() {
        let before = if at == 0 { open } else { "" };
        let after = if at + 1 == group.options.len() { close } else { " |" };
        parts.push(format!("{before}{}{after}", written(option)));
    }
}

/// The usage of the last command of a path, with a line end.
pub(super) fn usage(path: &[&'static Command]) -> String {
    let mut parts = Vec::new();
    for (at, command) in path.iter().enumerate() {
        let is_last = at + 1 == path.len();
        if at > 0 {
            parts.push(command.name.to_owned());
        }
        if is_last {
            parts.push("[-h]".into());
        }
        for option in command.options.iter().filter(|option| option.name != OUTPUT.name) {
            match (option.required, is_last) {
                (true, _) => parts.push(written(option)),
                (false, true) if option.takes == Takes::Nothing && option.short == Some('v') => {
                    parts.push("[-v]".into())
                }
                (false, true) => parts.push(format!("[{}]", written(option))),
                (false, false) => {}
            }
        }
        for group in command.groups.iter().filter(|group| group.required || is_last) {
            group_parts(group, &mut parts);
        }
        if is_last && !command.words.is_empty() {
            parts.push(command.words.to_owned());
        }
        if is_last && !command.commands.is_empty() {
            let names: Vec<&str> = command.commands.iter().map(|command| command.name).collect();
            let label = command.command_label;
            parts.push(if label.is_empty() { format!("{{{}}}", names.join(",")) } else { label.to_owned() });
            parts.push("...".into());
        }
    }
    laid_out(&format!("usage: {}", path[0].name), &parts)
}

fn laid_out(head: &str, parts: &[String]) -> String {
    let fits = head.len() < NAME_MAX;
    let indent = if fits { head.len() + 1 } else { "usage: ".len() };
    let mut text = if fits { format!("{head} ") } else { format!("{head}\n{:indent$}", "") };
    let mut width = indent;
    for (at, part) in parts.iter().enumerate() {
        if at > 0 && WIDTH - width > part.len() {
            text.push(' ');
            width += 1;
        } else if at > 0 {
            text += &format!("\n{:indent$}", "");
            width = indent;
        }
        text += part;
        width = (width + part.len()).min(WIDTH);
    }
    text + "\n"
}

/// The help of the last command of a path.
pub(super) fn help(path: &[&'static Command]) -> String {
    let Some(command) = path.last() else { return String::new() };
    let mut text = format!("{}\n{}\n", usage(path), wrapped(command.about, WIDTH).join("\n"));
    if !command.commands.is_empty() {
        text += "\ncommands:\n";
    }
    for command in command.commands {
        text += &format!("  {:<26} {}\n", command.name, command.about);
    }
    text += "\noptions:\n  -h, --help\n      show this help\n";
    for option in command.all() {
        let short = option.short.map_or(String::new(), |letter| format!(", -{letter}"));
        let help = wrapped(option.help, WIDTH - 6).join("\n      ");
        text += &format!("  {}{short}\n      {help}\n", written(option));
    }
    if !command.notes.is_empty() {
        text += &format!("\n{}\n", wrapped(command.notes, WIDTH).join("\n"));
    }
    if !command.examples.is_empty() {
        text += "\nexamples:\n";
    }
    for example in command.examples {
        text += &format!("  {example}\n");
    }
    text
}

/// Text in lines of 75 characters, every full one filled up with blanks from its middle on. Lines break at blanks, and
/// behind a dash before a letter.
pub(super) fn justified(text: &str) -> String {
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    let mut width = 0;
    for word in text.split(' ') {
        // The blank behind a word, or the line's end, must fit too, as if it were a part of it.
        let blank = 1;
        let pieces = pieces(word);
        let last = pieces.len() - 1;
        for (at, piece) in pieces.into_iter().enumerate() {
            let gap = usize::from(at == 0 && width > 0);
            let behind = if at == last { blank } else { 0 };
            if width > 0 && width + gap + piece.chars().count() + behind > WIDTH {
                lines.push(Vec::new());
                width = 0;
            }
            let begins_word = at == 0 || width == 0;
            width += piece.chars().count() + if width > 0 { gap } else { 0 };
            if let Some(line) = lines.last_mut() {
                match line.last_mut().filter(|_| !begins_word) {
                    Some(last) => last.push_str(piece),
                    None => line.push(piece.to_owned()),
                }
            }
        }
    }
    let last = lines.len() - 1;
    let filled = lines.iter().enumerate().map(|(i, words)| if i < last { fill(words) } else { words.join(" ") });
    filled.collect::<Vec<_>>().join("\n")
}

/// The parts of a word between which a line may break.
fn pieces(word: &str) -> Vec<&str> {
    let bytes = word.as_bytes();
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in 1..bytes.len() {
        let slash = at >= 2 && bytes[at - 2] == b'/';
        if bytes[at - 1] == b'-' && bytes[at].is_ascii_alphabetic() && !slash {
            pieces.push(&word[from..at]);
            from = at;
        }
    }
    pieces.push(&word[from..]);
    pieces
}

fn fill(words: &[String]) -> String {
    let gaps = words.len().saturating_sub(1);
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    let Some(blanks) = WIDTH.checked_sub(letters).filter(|_| gaps > 0) else { return words.join(" ") };
    let (each, rest) = (blanks / gaps, blanks % gaps);
    // The gaps with one blank more stand in the middle.
    let first = (gaps - rest).div_ceil(2);
    let mut line = String::with_capacity(WIDTH);
    for (i, word) in words.iter().enumerate() {
        line.push_str(word);
        if i < gaps {
            line.push_str(&" ".repeat(each + usize::from((first..first + rest).contains(&i))));
        }
    }
    line
}
