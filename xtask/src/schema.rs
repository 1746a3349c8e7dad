//! `cargo xtask import-schemas`: takes over the message definitions that stand in Kafka's jars.
//! `cargo xtask check-wire-java`: compares what the codec makes of them with Kafka's own classes.
//!
//! Only facts are taken: names, types, versions, tags, defaults. Kafka's prose stays where it is. The grammar of what is
//! written is in `crates/wire/schema/README.md`.

mod json;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use json::Json;

/// The jars that hold definitions, and the directory of ours that each fills.
const SOURCES: [(&str, &str); 7] = [
    ("kafka-clients", "api"),
    ("kafka-metadata", "metadata"),
    ("kafka-group-coordinator", "group"),
    ("kafka-transaction-coordinator", "transaction"),
    ("kafka-share-coordinator", "share"),
    ("kafka-raft", "raft"),
    ("kafka-storage", "storage"),
];

/// Rewrites `crates/wire/schema` from the jars in `lib`, or in `$KAFKA_HOME/lib` when none is given.
pub fn import(lib: Option<&String>) -> Result<(), String> {
    let lib = directory_of_jars(lib)?;
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wire/schema");
    let mut files: BTreeMap<PathBuf, Vec<(u8, String)>> = BTreeMap::new();
    let mut messages = 0;
    for (jar, directory) in SOURCES {
        for text in definitions(&jar_in(&lib, jar)?)? {
            let definition = json::parse(&text)?;
            let (file, rank, text) = translate(&definition, directory)?;
            files.entry(file).or_default().push((rank, text));
            messages += 1;
        }
    }
    for (_, directory) in SOURCES.into_iter().chain([("", "data")]) {
        let _ = fs::remove_dir_all(schema.join(directory));
    }
    for (file, mut texts) in files {
        texts.sort();
        let texts: Vec<String> = texts.into_iter().map(|(_, text)| text).collect();
        let path = schema.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&schema)).map_err(|e| format!("{}: {e}", path.display()))?;
        fs::write(&path, texts.join("\n")).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!("{messages} definitions written to crates/wire/schema");
    Ok(())
}

/// Compares our encodings of every message at every version with those of Kafka's own Java classes.
pub fn check(lib: Option<&String>) -> Result<(), String> {
    let lib = directory_of_jars(lib)?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--package", "thalweg-wire", "--test", "wire", "java", "--", "--nocapture"])
        .env("KAFKA_LIB", lib)
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err("the encodings differ from Kafka's".to_owned()) }
}

fn directory_of_jars(lib: Option<&String>) -> Result<PathBuf, String> {
    match (lib, env::var_os("KAFKA_HOME")) {
        (Some(lib), _) => Ok(PathBuf::from(lib)),
        (None, Some(home)) => Ok(Path::new(&home).join("lib")),
        (None, None) => Err("name Kafka's lib directory, or set KAFKA_HOME".to_owned()),
    }
}

/// The jar `NAME-VERSION.jar` in `lib`; `NAME-other-VERSION.jar` is another one.
fn jar_in(lib: &Path, name: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(lib).map_err(|e| format!("{}: {e}", lib.display()))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let version = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            version.is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()) && v.ends_with(".jar"))
        })
        .ok_or_else(|| format!("no {name} jar in {}", lib.display()))
}

/// The texts of all JSON files in a jar that define a message.
fn definitions(jar: &Path) -> Result<Vec<String>, String> {
    let list = unzip(&["-Z1".as_ref(), jar.as_os_str(), "*.json".as_ref()])?;
    list.lines().map(|name| unzip(&["-p".as_ref(), jar.as_os_str(), name.as_ref()])).collect()
}

fn unzip(arguments: &[&std::ffi::OsStr]) -> Result<String, String> {
    let output = Command::new("unzip").args(arguments).output().map_err(|e| format!("unzip: {e}"))?;
    if !output.status.success() {
        return Err(format!("unzip: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|e| format!("unzip: {e}"))
}

/// Where a definition goes (file, place in the file), and its text.
fn translate(definition: &Json, directory: &str) -> Result<(PathBuf, u8, String), String> {
    let name = definition.text("name")?;
    let kind = definition.text("type")?;
    let mut out = format!("{kind} {name}");
    for (key, word) in [("apiKey", "key"), ("validVersions", "versions"), ("flexibleVersions", "flexible")] {
        if let Some(value) = definition.get(key) {
            let _ = write!(out, " {word}={}", value.plain()?);
        }
    }
    if let Some(Json::Array(listeners)) = definition.get("listeners") {
        let names: Result<Vec<String>, String> = listeners.iter().map(Json::plain).collect();
        let _ = write!(out, " listeners={}", names?.join(","));
    }
    if matches!(definition.get("latestVersionUnstable"), Some(Json::Bool(true))) {
        out.push_str(" unstable");
    }
    out.push('\n');
    fields(definition, 1, &mut out)?;
    for common in definition.list("commonStructs") {
        let _ = writeln!(out, "  struct {} {}", common.text("name")?, common.text("versions")?);
        fields(common, 2, &mut out)?;
    }
    let (directory, stem, rank) = place(&name, &kind, directory);
    Ok((Path::new(directory).join(format!("{}.kfk", snake(stem))), rank, out))
}

/// Requests stand before responses and keys before values, in one file.
fn place<'a>(name: &'a str, kind: &str, directory: &'a str) -> (&'a str, &'a str, u8) {
    match kind {
        "request" => (directory, name.strip_suffix("Request").unwrap_or(name), 0),
        "response" => (directory, name.strip_suffix("Response").unwrap_or(name), 1),
        "coordinator-key" => (directory, name.strip_suffix("Key").unwrap_or(name), 0),
        "coordinator-value" => (directory, name.strip_suffix("Value").unwrap_or(name), 1),
        "data" if directory == "api" => ("data", name, 0),
        _ => (directory, name, 0),
    }
}

fn fields(parent: &Json, depth: usize, out: &mut String) -> Result<(), String> {
    for field in parent.list("fields") {
        let tagged = field.get("taggedVersions").map(Json::plain).transpose()?;
        let versions = match (field.get("versions"), &tagged) {
            (Some(versions), _) => versions.plain()?,
            (None, Some(tagged)) => tagged.clone(),
            (None, None) => return Err(format!("field {} has no versions", field.text("name")?)),
        };
        let _ = write!(out, "{:1$}", "", depth * 2);
        let _ = write!(out, "{} {} {versions}", field.text("name")?, field.text("type")?);
        if let Some(tag) = field.get("tag") {
            let _ = write!(out, " tag={}@{}", tag.plain()?, tagged.unwrap_or_default());
        }
        for (key, word) in [
            ("nullableVersions", "nullable"),
            ("flexibleVersions", "flexible"),
            ("default", "default"),
            ("entityType", "entity"),
        ] {
            // A default that is JSON's null (and not the word "null") is no default to Kafka.
            let value = field.get(key).map(Json::plain).transpose()?.filter(|v| !v.is_empty());
            if let Some(value) = value {
                let _ = write!(out, " {word}={value}");
            }
        }
        for (key, word) in [("mapKey", "key"), ("ignorable", "ignorable"), ("zeroCopy", "zerocopy")] {
            if matches!(field.get(key), Some(Json::Bool(true))) {
                let _ = write!(out, " {word}");
            }
        }
        out.push('\n');
        fields(field, depth + 1, out)?;
    }
    Ok(())
}

fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let lower_after = chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && i > 0 && (!chars[i - 1].is_uppercase() || lower_after) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
