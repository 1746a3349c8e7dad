//! Equal bytes with Kafka's own Java classes, of all messages at all versions.
//!
//! This needs Java and Kafka's jars: `cargo xtask check-wire-java` names them in the variable `KAFKA_LIB`. Without it
//! nothing is compared. `WIRE_VALUES` says how many random values of each message and version are tried.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use thalweg_wire::messages::*;
use thalweg_wire::{Codec, Writer};

use crate::arbitrary::{Fill, Gen, all};
use crate::round_trip::encode;

/// A line for Java, and the answer that is wanted.
struct Question {
    line: String,
    wanted: String,
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn questions<T: Fill + Codec>(values: usize, questions: &mut Vec<Question>) {
    let mut g = Gen::new(5);
    for version in T::LOW..=T::HIGH {
        let mut w = Writer::new();
        let wanted = match T::default().encode(&mut w, version) {
            Ok(()) => hex(&w.into_bytes()),
            Err(_) => "error".to_owned(),
        };
        questions.push(Question { line: format!("{} {version} default", T::NAME), wanted });
        for _ in 0..values {
            let bytes = hex(&encode(&T::fill(&mut g, version), version));
            questions.push(Question { line: format!("{} {version} {bytes}", T::NAME), wanted: bytes });
        }
    }
}

/// Lets Java answer. It reads all questions before it answers the first.
fn ask(lib: &str, questions: &[Question]) -> Vec<String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/java/Recode.java");
    let mut java = Command::new("java")
        .args(["-Xmx512M", "-cp", &format!("{lib}/*"), program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = java.stdin.take().unwrap();
    for question in questions {
        writeln!(stdin, "{}", question.line).unwrap();
    }
    drop(stdin);
    let output = java.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn equal_bytes_with_kafkas_own_classes() {
    let Ok(lib) = std::env::var("KAFKA_LIB") else { return };
    let values = std::env::var("WIRE_VALUES").ok().and_then(|v| v.parse().ok()).unwrap_or(20);
    let mut asked = Vec::new();
    macro_rules! visit {
        ($name:ident) => {
            questions::<$name>(values, &mut asked)
        };
    }
    all!(visit);
    let answers = ask(&lib, &asked);
    assert_eq!(answers.len(), asked.len());
    let mut different = 0;
    for (question, answer) in asked.iter().zip(&answers) {
        let same = *answer == question.wanted || (question.wanted == "error" && answer.starts_with("error"));
        if !same {
            println!("{}\n  Kafka says {answer}\n  we say     {}", question.line, question.wanted);
            different += 1;
        }
    }
    println!("{} encodings compared with Kafka's classes, {different} different", asked.len());
    assert_eq!(different, 0);
}
