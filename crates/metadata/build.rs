//! Turns the config tables (`src/config/tables/*.tbl`) into static Rust data.
#![expect(clippy::disallowed_methods, reason = "a build script reads its input and writes its output")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const TABLES: &str = "src/config/tables";

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed={TABLES}");
    let mut out = String::new();
    for scope in ["topic", "broker", "group", "client_metrics"] {
        let mut docs = docs(scope)?;
        let name = scope.to_uppercase();
        let _ = writeln!(
            out,
            "/// The configs of the scope `{scope}`, by name.\npub(super) static {name}: &[ConfigDef] = &["
        );
        let mut last = String::new();
        for line in read(&format!("{scope}.tbl"))?.lines().filter(|l| !l.starts_with('#')) {
            let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
            if columns[0] <= last.as_str() {
                return Err(format!("{scope}.tbl: {} stands after {last}", columns[0]));
            }
            columns[0].clone_into(&mut last);
            let doc = docs.remove(columns[0]).unwrap_or_default();
            out += &row(scope, &columns, &doc).map_err(|e| format!("{scope}.tbl: {e}: {line}"))?;
        }
        if let Some(name) = docs.keys().next() {
            return Err(format!("{scope}_docs.tbl describes {name}, which is no {scope} config"));
        }
        out += "];\n";
    }
    let directory = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&directory).join("config_tables.rs"), out).map_err(|e| e.to_string())
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(Path::new(TABLES).join(file)).map_err(|e| format!("{file}: {e}"))
}

fn docs(scope: &str) -> Result<BTreeMap<String, String>, String> {
    let mut docs = BTreeMap::new();
    for line in read(&format!("{scope}_docs.tbl"))?.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let (name, text) = line.split_once(" | ").ok_or_else(|| format!("{scope}_docs.tbl: no column in: {line}"))?;
        if docs.insert(name.to_owned(), text.to_owned()).is_some() {
            return Err(format!("{scope}_docs.tbl describes {name} twice"));
        }
    }
    Ok(docs)
}

fn row(scope: &str, columns: &[&str], doc: &str) -> Result<String, String> {
    let [name, kind, importance, default, validator, rest @ ..] = columns else {
        return Err("fewer than five columns".to_owned());
    };
    let (kind, internal) = match kind.strip_suffix(" internal") {
        Some(kind) => (kind, true),
        None => (*kind, false),
    };
    let (mode, synonyms) = match (scope, rest) {
        ("broker", [mode, synonyms @ ..]) => (mode.split(' ').collect(), synonyms.first().copied().unwrap_or_default()),
        (_, synonyms) => (vec!["read-only"], synonyms.first().copied().unwrap_or_default()),
    };
    let default = match *default {
        "required" => "DefaultValue::Required".to_owned(),
        "null" => "DefaultValue::Null".to_owned(),
        quoted => {
            let text = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).ok_or("bad default")?;
            format!("DefaultValue::Value({text:?})")
        }
    };
    Ok(format!(
        "    ConfigDef {{ name: {name:?}, kind: Kind::{}, importance: Importance::{}, internal: {internal}, default: {default}, \
         validator: {}, mode: UpdateMode::{}, only_dynamic: {}, synonyms: {}, doc: {doc:?} }},\n",
        camel(kind),
        camel(importance),
        self::validator(validator)?,
        camel(mode[0]),
        mode.contains(&"only-dynamic"),
        self::synonyms(synonyms)?,
    ))
}

fn synonyms(text: &str) -> Result<String, String> {
    let mut out = "&[".to_owned();
    for synonym in text.split_whitespace() {
        let (name, unit) = synonym.split_once(':').unwrap_or((synonym, "same"));
        if !["same", "minutes", "hours"].contains(&unit) {
            return Err(format!("unknown unit {unit}"));
        }
        let _ = write!(out, "Synonym {{ name: {name:?}, unit: Unit::{} }}, ", camel(unit));
    }
    Ok(out + "]")
}

fn validator(text: &str) -> Result<String, String> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let words = |list: &str| format!("{:?}", list.split(',').filter(|w| !w.is_empty()).collect::<Vec<_>>());
    Ok(match word {
        "range" => {
            let (min, max) = rest.split_once("..").ok_or("a range needs two dots")?;
            // A bound such as 0.5 has a dot of its own: "0..0.5" splits at the first pair of dots.
            format!("Validator::Range {{ min: {}, max: {} }}", bound(min)?, bound(max)?)
        }
        "one-of" => format!("Validator::OneOf(&{})", words(rest)),
        "one-of-ignoring-case" => format!("Validator::OneOfIgnoringCase(&{})", words(rest)),
        "list" => {
            let (flags, of) = rest.split_once("of ").unwrap_or((rest, ""));
            let flag = |flag| flags.split(' ').any(|f| f == flag);
            format!(
                "Validator::List {{ empty_allowed: {}, null_allowed: {}, of: &{} }}",
                !flag("non-empty"),
                flag("nullable"),
                words(of)
            )
        }
        "any"
        | "non-null"
        | "non-empty-string"
        | "gzip-level"
        | "throttled-replicas"
        | "quorum-voters"
        | "quorum-bootstrap-servers"
        | "share-offset-reset" => format!("Validator::{}", camel(word)),
        other => return Err(format!("unknown validator {other}")),
    })
}

fn bound(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("None".to_owned());
    }
    let value: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    Ok(format!("Some(Bound {{ value: {value:?}, text: {text:?} }})"))
}

fn camel(word: &str) -> String {
    let mut out = String::new();
    for part in word.split('-') {
        let mut chars = part.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars);
    }
    out
}
