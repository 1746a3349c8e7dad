//! Writes what the tests need to try every message at every version. It is compiled into the tests only.

use std::fmt::Write as _;

use crate::emit::{condition, element_type};
use crate::model::{Field, Message, Struct, Type, Versions, snake};

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
    out.push_str("let _ = (&g, version);\nlet mut v = Self::default();\n");
    for field in &one.fields {
        let present = field.present(one.versions);
        if present.is_empty() {
            continue;
        }
        let value = value(field, one.versions);
        let name = field.rust_name();
        let condition = condition(present, one.versions).unwrap_or_else(|| "true".to_owned());
        let _ = writeln!(out, "if {condition} {{ v.{name} = {value}; }}");
        if let Some(keep) = keyed(field, one) {
            let _ = writeln!(out, "{keep}");
        }
    }
    out.push_str("v\n}\n");
    out.push_str(&key(one));
    out.push_str("}\n");
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

fn keyed(field: &Field, one: &Struct) -> Option<String> {
    let Type::Array(element) = &field.ty else { return None };
    let Type::Struct(_) = **element else { return None };
    let name = field.rust_name();
    Some(if field.optional(one.versions) {
        format!("if let Some(list) = &mut v.{name} {{ unique(list); }}")
    } else {
        format!("unique(&mut v.{name});")
    })
}

fn value(field: &Field, within: Versions) -> String {
    let plain = match &field.ty {
        Type::Struct(_) => "Fill::fill(g, version)".to_owned(),
        Type::Array(element) => match **element {
            Type::Struct(_) => "g.list(|g| Fill::fill(g, version))".to_owned(),
            ref scalar => format!("g.list(|g| <{} as Scalar>::any(g))", element_type(scalar)),
        },
        scalar => format!("<{} as Scalar>::any(g)", element_type(scalar)),
    };
    if !field.optional(within) {
        return plain;
    }
    let nullable = field.nullable.and(field.present(within));
    match condition(nullable, field.present(within)) {
        _ if nullable.is_empty() => format!("Some({plain})"),
        None => format!("g.maybe(true, |g| {plain})"),
        Some(condition) => format!("g.maybe({condition}, |g| {plain})"),
    }
}
