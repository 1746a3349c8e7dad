//! Reads schema text. The grammar is in `schema/README.md`.

use crate::model::{Field, Kind, Message, Struct, Type, Versions};

/// Reads the messages of one file.
pub fn parse(text: &str) -> Result<Vec<Message>, String> {
    let mut messages: Vec<Message> = Vec::new();
    // The struct that fields of each depth belong to.
    let mut open: Vec<usize> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let body = line.trim_start();
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        let depth = (line.len() - body.len()) / 2;
        let at = |e: String| format!("line {}: {e}", number + 1);
        if depth == 0 {
            messages.push(message(body).map_err(at)?);
            open = vec![0];
            continue;
        }
        let Some(message) = messages.last_mut() else { return Err(at("a field without a message".to_owned())) };
        open.truncate(depth);
        if let Some(rest) = body.strip_prefix("struct ") {
            let (name, versions) = rest.split_once(' ').ok_or_else(|| at("no versions".to_owned()))?;
            let versions = Versions::parse(versions).map_err(at)?.and(message.versions);
            message.structs.push(Struct { name: name.to_owned(), versions, fields: Vec::new() });
            open.push(message.structs.len() - 1);
            continue;
        }
        let field = field(body).map_err(at)?;
        let parent = *open.get(depth - 1).ok_or_else(|| at("too deep".to_owned()))?;
        let within = message.structs[parent].versions;
        open.push(message.structs.len());
        if let Some(name) = struct_name(&field.ty) {
            // A struct is opened for its fields; without any it is one that `struct` declares.
            let versions = field.present(within);
            message.structs.push(Struct { name: name.to_owned(), versions, fields: Vec::new() });
        }
        message.structs[parent].fields.push(field);
    }
    for message in &mut messages {
        merge(message)?;
        if message.kind == Kind::Response {
            let fields = message.structs.iter_mut().flat_map(|one| &mut one.fields);
            fields.filter(|field| field.ty == Type::Records).for_each(|field| field.ty = Type::AnswerRecords);
        }
    }
    Ok(messages)
}

/// Drops the empty structs that fields opened whose struct is declared elsewhere in the message.
fn merge(message: &mut Message) -> Result<(), String> {
    let structs = std::mem::take(&mut message.structs);
    for (i, one) in structs.iter().enumerate() {
        let declared = structs.iter().enumerate().any(|(j, s)| j != i && s.name == one.name && !s.fields.is_empty());
        if one.fields.is_empty() && declared {
            continue;
        }
        if message.structs.iter().any(|s| s.name == one.name) {
            return Err(format!("{} is declared twice", one.name));
        }
        message.structs.push(one.clone());
    }
    Ok(())
}

fn struct_name(ty: &Type) -> Option<&str> {
    match ty {
        Type::Struct(name) => Some(name),
        Type::Array(element) => struct_name(element),
        _ => None,
    }
}

fn message(line: &str) -> Result<Message, String> {
    let mut words = line.split(' ');
    let kind = match words.next() {
        Some("request") => Kind::Request,
        Some("response") => Kind::Response,
        Some("header") => Kind::Header,
        Some("metadata") => Kind::Metadata,
        Some("data") => Kind::Data,
        Some("coordinator-key") => Kind::CoordinatorKey,
        Some("coordinator-value") => Kind::CoordinatorValue,
        other => return Err(format!("{other:?} is no kind of message")),
    };
    let name = words.next().ok_or("no name")?.to_owned();
    let mut message = Message {
        kind,
        key: None,
        versions: Versions::NONE,
        flexible: Versions::NONE,
        listeners: Vec::new(),
        unstable: false,
        structs: Vec::new(),
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("key", value) => message.key = Some(value.parse().map_err(|e| format!("key {value}: {e}"))?),
            ("versions", value) => message.versions = Versions::parse(value)?,
            ("flexible", value) => message.flexible = Versions::parse(value)?,
            ("listeners", value) => message.listeners = value.split(',').map(str::to_owned).collect(),
            ("unstable", _) => message.unstable = true,
            _ => return Err(format!("`{word}` says nothing about a message")),
        }
    }
    message.structs.push(Struct { name, versions: message.versions, fields: Vec::new() });
    Ok(message)
}

fn field(line: &str) -> Result<Field, String> {
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or("a field needs name, type and versions");
    let (name, ty, versions) = (next()?.to_owned(), Type::parse(next()?), Versions::parse(next()?)?);
    let mut field = Field {
        name,
        ty,
        versions,
        nullable: Versions::NONE,
        tagged: Versions::NONE,
        tag: 0,
        flexible: None,
        default: None,
        ignorable: false,
        key: false,
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("nullable", value) => field.nullable = Versions::parse(value)?,
            ("tag", value) => {
                let (tag, versions) = value.split_once('@').ok_or("a tag needs its versions")?;
                field.tag = tag.parse().map_err(|e| format!("tag {tag}: {e}"))?;
                field.tagged = Versions::parse(versions)?;
            }
            ("flexible", value) => field.flexible = Some(Versions::parse(value)?),
            ("default", value) => field.default = Some(value.to_owned()),
            ("ignorable", _) => field.ignorable = true,
            ("key", _) => field.key = true,
            ("entity" | "zerocopy", _) => {}
            _ => return Err(format!("`{word}` says nothing about a field")),
        }
    }
    Ok(field)
}
