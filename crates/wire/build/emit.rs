//! Writes the Rust text of the messages.
//!
//! The text is kept small, since compiling it is most of the cost of the crate: everything that can be a call of a
//! function in `src/reader.rs` or `src/writer.rs` is one, and neighbours with the same versions share one condition.

use std::fmt::Write as _;

use crate::model::{Field, Kind, Message, Struct, Type, Versions, snake};

/// Adds a line to a text. Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($format:tt)*) => {{
        let _ = writeln!($out, $($format)*);
    }};
}

/// All messages, one module each, and their names once more beside the modules.
pub fn messages(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        line!(out, "pub use {}::{};", snake(message.name()), message.name());
    }
    for message in messages {
        module(message, &mut out);
        if message.kind == Kind::Request && messages.iter().any(|m| m.kind == Kind::Response && m.key == message.key) {
            let name = message.name();
            let api = name.strip_suffix("Request").unwrap_or(name);
            line!(out, "impl crate::codec::Request for {name} {{");
            line!(out, "const API: crate::ApiKey = crate::ApiKey::{api};\ntype Response = {api}Response;\n}}");
        }
    }
    out
}

fn module(message: &Message, out: &mut String) {
    let what = match message.kind {
        Kind::Request => "A request",
        Kind::Response => "A response",
        Kind::Header => "A header",
        Kind::Metadata => "A record of the metadata log",
        Kind::Data => "A stored or embedded structure",
        Kind::CoordinatorKey => "The key of a coordinator's record",
        Kind::CoordinatorValue => "The value of a coordinator's record",
    };
    let name = message.name();
    line!(out, "/// {what}: `{name}`, versions {}.", message.versions.words());
    line!(out, "pub mod {} {{\nuse super::parts::*;", snake(name));
    for (i, one) in message.structs.iter().enumerate() {
        let top = i == 0;
        let emit = Emit { message, one };
        emit.declaration(top, out);
        emit.default(out);
        emit.inherent(top, out);
        line!(out, "impl Codec for {} {{", one.name);
        line!(out, "const NAME: &'static str = \"{}\";", one.name);
        line!(out, "const LOW: i16 = {};\nconst HIGH: i16 = {};", message.versions.low, message.versions.high);
        emit.read(out);
        emit.write(out);
        emit.errors(out);
        emit.throttle(top, out);
        line!(out, "}}");
    }
    line!(out, "}}");
}

fn is_error(field: &Field) -> bool {
    field.name == "ErrorCode" && field.ty == Type::Int16
}

fn has_errors(message: &Message, name: &str) -> bool {
    message.structs.iter().any(|one| one.name == name && carries_errors(message, one))
}

fn carries_errors(message: &Message, one: &Struct) -> bool {
    one.fields.iter().any(|field| match &field.ty {
        _ if is_error(field) => true,
        Type::Struct(part) => has_errors(message, part),
        Type::Array(element) => matches!(&**element, Type::Struct(part) if has_errors(message, part)),
        _ => false,
    })
}

/// The Rust type of a field.
fn rust_type(field: &Field, within: Versions) -> String {
    let plain = element_type(&field.ty);
    if field.optional(within) { format!("Option<{plain}>") } else { plain }
}

fn element_type(ty: &Type) -> String {
    match ty {
        Type::Uuid => "Uuid".to_owned(),
        Type::String => "ByteString".to_owned(),
        Type::Bytes | Type::Records => "Bytes".to_owned(),
        Type::AnswerRecords => "Records".to_owned(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", element_type(element)),
        scalar => scalar.scalar().to_owned(),
    }
}

/// The condition under which a version of `within` is in `range`; `None` when it always is.
pub fn condition(range: Versions, within: Versions) -> Option<String> {
    if range.contains(within) {
        None
    } else if range.low <= within.low {
        Some(format!("version <= {}", range.high))
    } else if range.high >= within.high {
        Some(format!("version >= {}", range.low))
    } else if range.low == range.high {
        Some(format!("version == {}", range.low))
    } else {
        Some(format!("({}..={}).contains(&version)", range.low, range.high))
    }
}

/// Emits the statements of consecutive items that share their versions under one `if`.
fn grouped(items: &[(Versions, String)], within: Versions, out: &mut String) {
    let mut rest = items;
    while let Some((range, _)) = rest.first() {
        let same = rest.iter().take_while(|(r, _)| r == range).count();
        let condition = condition(*range, within);
        if let Some(condition) = &condition {
            line!(out, "if {condition} {{");
        }
        for (_, statement) in &rest[..same] {
            line!(out, "{statement}");
        }
        if condition.is_some() {
            line!(out, "}}");
        }
        rest = &rest[same..];
    }
}

struct Emit<'a> {
    message: &'a Message,
    one: &'a Struct,
}

impl Emit<'_> {
    fn declaration(&self, top: bool, out: &mut String) {
        let within = self.one.versions;
        if top {
            line!(out, "/// See the module.");
        } else {
            line!(out, "/// A part of [`{}`].", self.message.name());
        }
        let derived = if self.default_is_derived() { ", Default" } else { "" };
        line!(out, "#[derive(Clone, Debug, PartialEq{derived})]\npub struct {} {{", self.one.name);
        for field in &self.one.fields {
            let mut doc = format!("`{}`, versions {}", field.name, field.versions.words());
            if !field.tagged.is_empty() {
                let _ = write!(doc, ", tag {}", field.tag);
            }
            if !field.nullable.is_empty() {
                let _ = write!(doc, ", may be null in versions {}", field.nullable.words());
            }
            if let Some(default) = &field.default {
                let _ = write!(doc, ", default {default}");
            }
            line!(out, "/// {doc}.\npub {}: {},", field.rust_name(), rust_type(field, within));
        }
        line!(out, "}}");
    }

    fn default_is_derived(&self) -> bool {
        self.one.fields.iter().all(|f| self.default_value(f).is_none())
    }

    /// The default of a field, where it is not what `Default` gives.
    fn default_value(&self, field: &Field) -> Option<String> {
        let optional = field.optional(self.one.versions);
        let default = field.default.as_deref().unwrap_or("");
        if field.null_default() || matches!(field.ty, Type::Records | Type::AnswerRecords) {
            return None;
        }
        match &field.ty {
            Type::Bool => (default == "true").then(|| "true".to_owned()),
            Type::String if !default.is_empty() => {
                let text = format!("ByteString::from_static(\"{default}\")");
                Some(if optional { format!("Some({text})") } else { text })
            }
            ty if optional => {
                let empty = match ty {
                    Type::Struct(name) => format!("{name}::default()"),
                    Type::Array(_) => "Vec::new()".to_owned(),
                    _ => format!("{}::new()", element_type(ty)),
                };
                Some(format!("Some({empty})"))
            }
            _ if default.is_empty() || default == "0" => None,
            Type::Float64 => Some(format!("{default}f64")),
            _ => Some(default.to_owned()),
        }
    }

    fn default(&self, out: &mut String) {
        if self.default_is_derived() {
            return;
        }
        line!(out, "impl Default for {} {{\nfn default() -> Self {{\nSelf {{", self.one.name);
        for field in &self.one.fields {
            let value = self.default_value(field).unwrap_or_else(|| "Default::default()".to_owned());
            line!(out, "{}: {value},", field.rust_name());
        }
        line!(out, "}}\n}}\n}}");
    }

    fn inherent(&self, top: bool, out: &mut String) {
        line!(out, "impl {} {{", self.one.name);
        if top {
            let Versions { low, high } = self.message.versions;
            line!(out, "/// The versions that there are.\npub const VERSIONS: RangeInclusive<i16> = {low}..={high};");
            if let Some(key) = self.message.key {
                line!(out, "/// The number of the API, or of the kind of record.\npub const API_KEY: i16 = {key};");
            }
        }
        line!(out, "/// Reads one; see [`Codec::decode`].\n#[inline]");
        line!(out, "pub fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {{");
        line!(out, "<Self as Codec>::decode(r, version)\n}}");
        line!(out, "/// Writes this one; see [`Codec::encode`].\n#[inline]");
        line!(out, "pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{");
        line!(out, "<Self as Codec>::encode(self, w, version)\n}}\n}}");
    }

    /// Tells the error codes of a response, those of its parts among them.
    fn errors(&self, out: &mut String) {
        if self.message.kind != Kind::Response || !carries_errors(self.message, self.one) {
            return;
        }
        line!(out, "fn errors(&self, tell: &mut dyn FnMut(i16)) {{");
        for field in &self.one.fields {
            let (name, optional) = (field.rust_name(), field.optional(self.one.versions));
            match &field.ty {
                _ if is_error(field) => line!(out, "tell(self.{name});"),
                Type::Struct(part) if has_errors(self.message, part) => match optional {
                    true => line!(out, "if let Some(part) = &self.{name} {{ part.errors(tell); }}"),
                    false => line!(out, "self.{name}.errors(tell);"),
                },
                Type::Array(element) => match &**element {
                    Type::Struct(part) if has_errors(self.message, part) => {
                        let parts = if optional { ".iter().flatten()" } else { ".iter()" };
                        line!(out, "self.{name}{parts}.for_each(|part| part.errors(tell));");
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        line!(out, "}}");
    }

    /// Tells and sets how long the client of a response is throttled.
    fn throttle(&self, top: bool, out: &mut String) {
        let says = |field: &Field| field.name == "ThrottleTimeMs" && field.ty == Type::Int32;
        if self.message.kind != Kind::Response || !top || !self.one.fields.iter().any(says) {
            return;
        }
        line!(out, "fn throttle_time_ms(&self) -> i32 {{ self.throttle_time_ms }}");
        line!(out, "fn set_throttle_time_ms(&mut self, ms: i32) {{ self.throttle_time_ms = ms; }}");
    }

    /// The expression that tells whether lengths are compact ones.
    fn flexible(&self, field: &Field) -> &'static str {
        let flexible = field.flexible.unwrap_or(self.message.flexible);
        match condition(flexible.and(self.one.versions), self.one.versions) {
            _ if flexible.and(self.one.versions).is_empty() => "false",
            None => "true",
            Some(_) => "flexible",
        }
    }

    /// Declares `flexible` where the version decides it and something asks for it.
    fn declare_flexible(&self, body: &str, out: &mut String) {
        let flexible = self.message.flexible.and(self.one.versions);
        if let Some(condition) = condition(flexible, self.one.versions).filter(|_| mentions(body, "flexible")) {
            line!(out, "let flexible = {condition};");
        }
    }

    fn is_ever_flexible(&self) -> bool {
        !self.message.flexible.and(self.one.versions).is_empty()
    }

    /// Runs `emit` for the part of the body that flexible versions have.
    fn when_flexible(&self, out: &mut String, emit: impl FnOnce(&mut String)) {
        if !self.is_ever_flexible() {
            return;
        }
        let always = self.message.flexible.contains(self.one.versions);
        if !always {
            line!(out, "if flexible {{");
        }
        emit(out);
        if !always {
            line!(out, "}}");
        }
    }

    /// The tagged fields in the order of their tags.
    fn tagged(&self) -> Vec<&Field> {
        let mut tagged: Vec<&Field> =
            self.one.fields.iter().filter(|f| !f.as_tagged(self.one.versions).is_empty()).collect();
        tagged.sort_by_key(|f| f.tag);
        tagged
    }

    /// The versions of `range` in which the field may not be null although its Rust type can be.
    fn must_be_some(&self, field: &Field, range: Versions) -> Versions {
        if field.optional(self.one.versions) { range.below(field.nullable.and(range)) } else { Versions::NONE }
    }

    fn read(&self, out: &mut String) {
        let within = self.one.versions;
        let mut body = String::new();
        let mut items = Vec::new();
        for field in &self.one.fields {
            let range = field.in_place(within);
            if range.is_empty() {
                continue;
            }
            items.push((range, self.read_field(field, self.flexible(field), false)));
            let bad = self.must_be_some(field, range);
            if !bad.is_empty() {
                items.push((bad, format!("r.require(self.{}.is_some());", field.rust_name())));
            }
        }
        grouped(&items, within, &mut body);
        self.when_flexible(&mut body, |body| self.read_tagged(body));
        let mut text = String::new();
        self.declare_flexible(&body, &mut text);
        text.push_str(&body);
        signature("fn read(&mut self, r: &mut Reader, version: i16)", &text, out);
    }

    fn read_tagged(&self, out: &mut String) {
        let tagged = self.tagged();
        if tagged.is_empty() {
            line!(out, "r.skip_tags();");
            return;
        }
        line!(out, "let mut tags = r.tags();\nwhile let Some(tag) = r.next_tag(&mut tags) {{\nmatch tag {{");
        let within = self.message.flexible.and(self.one.versions);
        for field in tagged {
            let range = field.as_tagged(self.one.versions);
            let guard = condition(range, within).map(|c| format!(" if {c}")).unwrap_or_default();
            let read = self.read_field(field, "true", true);
            let check = if self.must_be_some(field, range).is_empty() {
                String::new()
            } else {
                format!("r.require(self.{}.is_some());", field.rust_name())
            };
            line!(out, "{}{guard} => {{ {read} {check} }}", field.tag);
        }
        line!(out, "_ => r.skip_tag(&tags),\n}}\n}}");
    }

    fn read_field(&self, field: &Field, flexible: &str, tagged: bool) -> String {
        let name = field.rust_name();
        let opt = if field.optional(self.one.versions) { "opt_" } else { "" };
        match &field.ty {
            Type::String | Type::Bytes => format!("r.{opt}{}(&mut self.{name}, {flexible});", field.ty.scalar()),
            Type::Records => format!("r.opt_bytes(&mut self.{name}, {flexible});"),
            Type::AnswerRecords => format!("r.opt_records(&mut self.{name}, {flexible});"),
            Type::Struct(_) if opt.is_empty() => format!("self.{name}.read(r, version);"),
            Type::Struct(_) if tagged => format!("r.opt_struct_in_tag(&mut self.{name}, version);"),
            Type::Struct(_) if self.must_be_some(field, field.in_place(self.one.versions)).is_empty() => {
                format!("r.opt_struct(&mut self.{name}, version);")
            }
            Type::Struct(_) => panic!("{}: a struct that may be null in some versions only", field.name),
            Type::Array(element) => match **element {
                Type::Struct(_) => format!("r.{opt}structs(&mut self.{name}, {flexible}, version);"),
                _ => format!("r.{opt}scalars(&mut self.{name}, {flexible});"),
            },
            scalar => format!("self.{name} = r.{}();", scalar.scalar()),
        }
    }

    fn write(&self, out: &mut String) {
        let within = self.one.versions;
        let mut body = String::new();
        let mut absent = Vec::new();
        for field in self.one.fields.iter().filter(|f| !f.ignorable) {
            for range in missing(field.present(within), within) {
                let check = format!("w.refuse({}, \"{}.{}\");", self.differs(field), self.one.name, field.name);
                absent.push((range, check));
            }
        }
        absent.sort_by_key(|(range, _)| (range.low, range.high));
        grouped(&absent, within, &mut body);
        let mut items = Vec::new();
        for field in &self.one.fields {
            let range = field.in_place(within);
            if range.is_empty() {
                continue;
            }
            let bad = self.must_be_some(field, range);
            if !bad.is_empty() {
                let path = format!("{}.{}", self.one.name, field.name);
                items.push((bad, format!("w.require(self.{}.is_some(), \"{path}\");", field.rust_name())));
            }
            items.push((range, self.write_field(field, self.flexible(field), false)));
        }
        grouped(&items, within, &mut body);
        self.when_flexible(&mut body, |body| self.write_tagged(body));
        let mut text = String::new();
        self.declare_flexible(&body, &mut text);
        text.push_str(&body);
        signature("fn write(&self, w: &mut Writer, version: i16)", &text, out);
    }

    fn write_tagged(&self, out: &mut String) {
        let tagged = self.tagged();
        if tagged.is_empty() {
            line!(out, "w.no_tags();");
            return;
        }
        let within = self.message.flexible.and(self.one.versions);
        let mut count = Vec::new();
        for field in &tagged {
            let range = condition(field.as_tagged(self.one.versions), within);
            let differs = self.differs(field);
            let set = range.map_or(differs.clone(), |c| format!("{c} && ({differs})"));
            line!(out, "let has_{} = {set};", field.tag);
            count.push(format!("u32::from(has_{})", field.tag));
        }
        line!(out, "w.uvarint({});", count.join(" + "));
        for field in &tagged {
            let tag = field.tag;
            line!(out, "if has_{tag} {{");
            if !self.must_be_some(field, field.as_tagged(self.one.versions)).is_empty() {
                line!(out, "w.require(self.{}.is_some(), \"{}.{}\");", field.rust_name(), self.one.name, field.name);
            }
            let write = self.write_field(field, "true", true);
            match field.ty.size() {
                Some(size) => line!(out, "w.tag({tag}, {size});\n{write}"),
                None => line!(out, "let outer = w.begin_tag({tag});\n{write}\nw.end_tag(outer);"),
            }
            line!(out, "}}");
        }
    }

    fn write_field(&self, field: &Field, flexible: &str, tagged: bool) -> String {
        let name = field.rust_name();
        let opt = if field.optional(self.one.versions) { "opt_" } else { "" };
        match &field.ty {
            Type::String | Type::Bytes => format!("w.{opt}{}(&self.{name}, {flexible});", field.ty.scalar()),
            Type::Records => format!("w.opt_bytes(&self.{name}, {flexible});"),
            Type::AnswerRecords => format!("w.opt_records(&self.{name}, {flexible});"),
            Type::Struct(_) if opt.is_empty() => format!("self.{name}.write(w, version);"),
            Type::Struct(_) if tagged => format!("w.opt_struct_in_tag(&self.{name}, version);"),
            Type::Struct(_) => format!("w.opt_struct(&self.{name}, version);"),
            Type::Array(element) => match **element {
                Type::Struct(_) => format!("w.{opt}structs(&self.{name}, {flexible}, version);"),
                _ => format!("w.{opt}scalars(&self.{name}, {flexible});"),
            },
            scalar => format!("w.{}(self.{name});", scalar.scalar()),
        }
    }

    /// The expression that tells whether a field has another value than its default.
    fn differs(&self, field: &Field) -> String {
        let name = field.rust_name();
        let default = self.default_value(field);
        if field.optional(self.one.versions) {
            return match (&field.ty, default) {
                (_, None) => format!("self.{name}.is_some()"),
                (Type::Struct(_), Some(default)) => format!("self.{name} != {default}"),
                (_, Some(_)) => format!("self.{name}.as_ref().is_none_or(|v| !v.is_empty())"),
            };
        }
        match (&field.ty, default) {
            (Type::Bool, None) => format!("self.{name}"),
            (Type::Bool, Some(_)) => format!("!self.{name}"),
            (Type::String | Type::Bytes | Type::Array(_), None) => format!("!self.{name}.is_empty()"),
            (Type::Uuid, None) => format!("!self.{name}.is_zero()"),
            (Type::Struct(ty), None) => format!("self.{name} != {ty}::default()"),
            (Type::Float64, None) => format!("self.{name} != 0.0"),
            (_, None) => format!("self.{name} != 0"),
            (_, Some(default)) => format!("self.{name} != {default}"),
        }
    }
}

/// The versions of `within` that are not in `present`: below it and above it.
fn missing(present: Versions, within: Versions) -> Vec<Versions> {
    if present.is_empty() {
        return vec![within];
    }
    let below = Versions { low: within.low, high: present.low - 1 };
    let above = Versions { low: present.high.saturating_add(1), high: within.high };
    [below, above].into_iter().filter(|v| !v.is_empty()).collect()
}

/// Writes a method, with underscores before the parameters that its body does not use.
fn signature(head: &str, body: &str, out: &mut String) {
    let mut head = head.to_owned();
    for parameter in ["version", "r", "w"] {
        if !mentions(body, parameter) {
            head = head.replace(&format!(" {parameter}:"), &format!(" _{parameter}:"));
        }
    }
    line!(out, "{head} {{\n{body}}}");
}

/// Whether `text` has the variable `name`: as a whole word, and not as a field of something.
fn mentions(text: &str, name: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(|c| part_of_word(c) || c == '.') && !after.is_some_and(part_of_word)
    })
}
