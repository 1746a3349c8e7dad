//! Writes what the tests need to try every message at every version. It is compiled into the tests only.

use std::fmt::Write as _;

use crate::emit::condition;
use crate::model::{Field, Message, Struct, Versions, snake};

/// `impl Fill for` every struct, and the list `all!` of every message.
pub fn fillers(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        for one in &message.structs {
            fill(&format!("thalweg_wire::messages::{}", snake(message.name())), one, &mut out);
        }
    }
    out.push_str("macro_rules! all {\n($visit:ident) => {\n");
    for message in messages {
        let _ = writeln!(out, "$visit!({});", message.name());
    }
    out.push_str("};\n}\n");
    out
}

/// Fields that a version does not have keep their default.
fn fill(module: &str, one: &Struct, out: &mut String) {
    let _ = writeln!(out, "impl Fill for {module}::{} {{\nfn fill(g: &mut Gen, version: i16) -> Self {{", one.name);
    let _ = writeln!(out, "let _ = (&g, version);\nSelf {{");
    for field in &one.fields {
        let name = field.rust_name();
        let present = field.present(one.versions);
        let value = value(field, one.versions);
        let _ = match condition(present, one.versions) {
            _ if present.is_empty() => writeln!(out, "{name}: Self::default().{name},"),
            Some(condition) => writeln!(out, "{name}: if {condition} {{ {value} }} else {{ Self::default().{name} }},"),
            None => writeln!(out, "{name}: {value},"),
        };
    }
    let _ = writeln!(out, "}}\n}}\n{}}}", key(one));
}

/// The part of an element that Kafka's collections want to be unique: its fields marked as keys.
fn key(one: &Struct) -> String {
    let keys: Vec<String> =
        one.fields.iter().filter(|f| f.key).map(|f| format!("format!(\"{{:?}}\", self.{})", f.rust_name())).collect();
    if keys.is_empty() {
        return String::new();
    }
    format!("fn key(&self) -> Option<String> {{ Some([{}].concat()) }}\n", keys.join(", "))
}

fn value(field: &Field, within: Versions) -> String {
    if !field.optional(within) {
        return "Fill::fill(g, version)".to_owned();
    }
    let nullable = field.nullable.and(field.present(within));
    match condition(nullable, field.present(within)) {
        _ if nullable.is_empty() => "g.maybe(false, version)".to_owned(),
        None => "g.maybe(true, version)".to_owned(),
        Some(condition) => format!("g.maybe({condition}, version)"),
    }
}
