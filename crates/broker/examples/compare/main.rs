//! Plays the same requests against two nodes and prints where the decoded answers differ, field by field.
//!
//! `cargo run -p thalweg-broker --example compare -- HOST:PORT HOST:PORT [WORD]`: the first is the reference, usually
//! Apache Kafka, the second the node under test; both fresh, started from the same properties but for ports and
//! directories. `WORD` selects the groups of requests whose name holds it. Ends with 1 when something differs.

mod configs;
mod controllers;
mod pair;
mod reads;
mod records;
mod security;
mod side;
mod topics;
mod views;
mod writes;

use std::process::ExitCode;

use pair::Pair;

/// A group of requests, in their order.
type Group = fn(&mut Pair);

/// All of them. Later groups use the topics of earlier ones.
const GROUPS: &[(&str, Group)] = &[
    ("topics", topics::play),
    ("views", views::play),
    ("configs", configs::described),
    ("changes", configs::altered),
    ("writes", writes::play),
    ("offsets", reads::offsets),
    ("fetches", reads::play),
    ("security", security::play),
    ("controllers", controllers::play),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(reference), Some(tested)) = (arguments.first(), arguments.get(1)) else {
        eprintln!("usage: compare REFERENCE TESTED [WORD]");
        return ExitCode::from(2);
    };
    let word = arguments.get(2).map_or("", String::as_str);
    let mut pair = Pair::new(reference, tested);
    for (name, group) in GROUPS {
        if name.contains(word) {
            group(&mut pair);
        }
    }
    println!("compared {} pairs of answers, {} differ", pair.compared, pair.differing);
    if pair.differing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
