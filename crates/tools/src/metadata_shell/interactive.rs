//! The shell that reads commands from standard input.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use super::commands::{self, Next, Place, TYPED, Typing};
use crate::failure::Failure;
use crate::out::Out;

/// How many lines are kept.
const HISTORY_MAX: usize = 500;
/// How long a line may be.
const LINE_MAX: u64 = 64 * 1024;

pub(super) fn run(place: &mut Place, out: &mut Out) -> Result<(), Failure> {
    out.line("[ Kafka Metadata Shell ]");
    let is_typed = io::stdin().is_terminal();
    let mut history: Vec<(usize, String)> = Vec::new();
    for number in 0.. {
        if is_typed {
            out.text(">> ");
        }
        out.flush();
        let mut line = String::new();
        let read = io::stdin().lock().take(LINE_MAX).read_line(&mut line);
        let read = read.map_err(|e| Failure::Message(format!("standard input: {e}")))?;
        if read == 0 || out.is_broken() {
            break;
        }
        let line = line.trim();
        if history.len() == HISTORY_MAX {
            history.remove(0);
        }
        history.push((number, line.to_owned()));
        let typing = Typing { columns: thalweg_sys::terminal::columns(), history: &history };
        if commands::run(&TYPED, &words(line), place, Some(&typing), out) == Next::Exit {
            break;
        }
    }
    Ok(())
}

/// The words of a line: blanks stand between them, quotation marks keep blanks together, a backslash takes what follows as
/// it is.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', _) => word.get_or_insert_default().push(letters.next().unwrap_or('\\')),
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
