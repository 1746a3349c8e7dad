//! What Apache Kafka answered, kept in files.
//!
//! ```text
//! CreateTopics topics=[{name=a}] validateOnly=true
//!   2..4 {topics=[{name=a errorCode=INVALID_REQUEST}]}
//!   5..7 {topics=[{name=a errorCode=INVALID_REQUEST numPartitions=-1}]}
//! ```
//!
//! A line that is not indented is a request as the scenario makes it; below it stand the answers, equal ones of
//! neighbouring versions once.

use std::fmt::Write as _;

use crate::play::Pair;
use crate::value;

/// Writes the pairs of a scenario.
pub(crate) fn print(pairs: &[Pair]) -> String {
    let mut out = String::new();
    let mut at = 0;
    while let Some(first) = pairs.get(at) {
        let begins = at == 0 || pairs[at - 1].turn != first.turn;
        if begins {
            let _ = writeln!(out, "{}", first.request);
        }
        let same = |pair: &&Pair| pair.turn == first.turn && pair.answer == first.answer && pair.version.is_some();
        let run = 1 + pairs[at + 1..].iter().take_while(same).count();
        let last = &pairs[at + run - 1];
        let versions = match (first.version, last.version) {
            (Some(low), Some(high)) if low != high => format!("{low}..{high}"),
            (Some(one), _) => one.to_string(),
            (None, _) => "raw".to_owned(),
        };
        let _ = writeln!(out, "  {versions} {}", first.answer.lines(2));
        at += run;
    }
    out
}

/// Reads them.
pub(crate) fn parse(text: &str) -> Result<Vec<Pair>, String> {
    let mut pairs: Vec<Pair> = Vec::new();
    let (mut turn, mut request) = (0, String::new());
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let Some(body) = line.strip_prefix("  ") else {
            turn += 1;
            line.clone_into(&mut request);
            continue;
        };
        let (versions, first) = body.split_once(' ').ok_or_else(|| format!("line {}: no versions", number + 1))?;
        let mut answer = first.to_owned();
        while let Some((_, more)) =
            lines.next_if(|(_, line)| line.starts_with("   ") || line.starts_with("  }") || line.starts_with("  ]"))
        {
            answer.push('\n');
            answer.push_str(more);
        }
        let answer = value::parse(&answer).map_err(|e| format!("line {}: {e}", number + 1))?;
        let one = |version| Pair { turn, request: request.clone(), version, answer: answer.clone() };
        let number = |text: &str| text.parse::<i16>().map_err(|e| format!("line {}: {e}", number + 1));
        match versions.split_once("..") {
            _ if versions == "raw" => pairs.push(one(None)),
            Some((low, high)) => pairs.extend((number(low)?..=number(high)?).map(|version| one(Some(version)))),
            None => pairs.push(one(Some(number(versions)?))),
        }
    }
    Ok(pairs)
}
