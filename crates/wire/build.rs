//! Turns the schema files into Rust: the messages, the table of APIs, and for the tests a filler of random values.
#![expect(clippy::disallowed_methods, reason = "a build script reads its input and writes its output")]

#[path = "build/api.rs"]
mod api;
#[path = "build/arbitrary.rs"]
mod arbitrary;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/model.rs"]
mod model;
#[path = "build/parse.rs"]
mod parse;

use std::path::{Path, PathBuf};
use std::{env, fs};

use model::Message;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=schema");
    println!("cargo::rerun-if-changed=build");
    let mut messages = Vec::new();
    for file in schema_files(Path::new("schema"))? {
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        messages.extend(parse::parse(&text).map_err(|e| format!("{}: {e}", file.display()))?);
    }
    // Messages whose every version was removed have only their key left.
    messages.retain(|message| !message.versions.is_empty());
    messages.sort_by(|a, b| a.name().cmp(b.name()));
    write("messages.rs", &emit::messages(&messages))?;
    write("api_key.rs", &api::table(&messages)?)?;
    write("arbitrary.rs", &arbitrary::fillers(&messages))
}

fn write(name: &str, text: &str) -> Result<(), String> {
    let directory = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&directory).join(name), text).map_err(|e| format!("{name}: {e}"))
}

fn schema_files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "kfk") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// All messages by the API that they belong to: the request and the response of each.
fn apis(messages: &[Message]) -> Vec<(&Message, &Message)> {
    let mut apis: Vec<_> = messages
        .iter()
        .filter(|m| m.kind == model::Kind::Request)
        .filter_map(|m| {
            let response = messages.iter().find(|r| r.kind == model::Kind::Response && r.key == m.key)?;
            Some((m, response))
        })
        .collect();
    apis.sort_by_key(|(request, _)| request.key);
    apis
}
