//! Messages to bytes and back, at any version, by the schema text alone.

use crate::batches;
use crate::model::{Field, Message, Struct, Type};
use crate::schema::{default_text, find, has, is_flexible};
use crate::value::{Value, same_name};

/// Why a request has no bytes.
#[derive(Debug)]
pub(crate) enum Unsaid {
    /// The version has no place for a value that was given.
    Version,
    /// The scenario is wrong.
    Wrong(String),
}

impl From<String> for Unsaid {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

/// Writes a message.
pub(crate) fn encode(message: &Message, version: i16, value: &Value, out: &mut Vec<u8>) -> Result<(), Unsaid> {
    let coder = Coder { message, version, flexible: is_flexible(message, version) };
    coder.write_struct(&message.structs[0], value, out)
}

/// Reads a message, with every field that the version has; gives how many bytes it took.
pub(crate) fn decode(message: &Message, version: i16, bytes: &[u8]) -> Result<(Value, usize), String> {
    let coder = Coder { message, version, flexible: is_flexible(message, version) };
    let mut rest = bytes;
    let value = coder.read_struct(&message.structs[0], &mut rest)?;
    Ok((value, bytes.len() - rest.len()))
}

struct Coder<'a> {
    message: &'a Message,
    version: i16,
    flexible: bool,
}

impl Coder<'_> {
    fn is_compact(&self, field: &Field) -> bool {
        self.flexible && field.flexible.is_none_or(|versions| has(versions, self.version))
    }

    fn write_struct(&self, of: &Struct, value: &Value, out: &mut Vec<u8>) -> Result<(), Unsaid> {
        let Value::Struct(given) = value else {
            return Err(Unsaid::Wrong(format!("{} is a struct, not {}", of.name, value.line())));
        };
        if let Some((name, _)) = given.iter().find(|(name, _)| !of.fields.iter().any(|f| same_name(&f.name, name))) {
            return Err(Unsaid::Wrong(format!("{} has no field {name}", of.name)));
        }
        let mut tagged = Vec::new();
        for field in &of.fields {
            let given = value.field(&field.name);
            if !has(field.versions, self.version) {
                let matters = given.is_some_and(|value| !field.ignorable && !is_default(field, value));
                if matters {
                    return Err(Unsaid::Version);
                }
                continue;
            }
            if has(field.tagged, self.version) {
                if let Some(given) = given.filter(|value| !is_default(field, value)) {
                    let mut bytes = Vec::new();
                    self.write_field(field, given, &mut bytes)?;
                    tagged.push((field.tag, bytes));
                }
                continue;
            }
            match given {
                Some(given) => self.write_field(field, given, out)?,
                None => self.write_field(field, &default_value(field), out)?,
            }
        }
        if self.flexible {
            tagged.sort_by_key(|(tag, _)| *tag);
            varint(tagged.len() as u64, out);
            for (tag, bytes) in tagged {
                varint(u64::from(tag), out);
                varint(bytes.len() as u64, out);
                out.extend(bytes);
            }
        }
        Ok(())
    }

    fn write_field(&self, field: &Field, value: &Value, out: &mut Vec<u8>) -> Result<(), Unsaid> {
        if let (Type::Struct(_), false) = (&field.ty, field.nullable.is_empty())
            && has(field.nullable, self.version)
            && !has(field.tagged, self.version)
        {
            out.push(if *value == Value::Null { 255 } else { 1 });
            if *value == Value::Null {
                return Ok(());
            }
        }
        if *value == Value::Null && !has(field.nullable, self.version) {
            return Err(Unsaid::Version);
        }
        self.write(&field.ty, self.is_compact(field), value, out)
            .map_err(|e| if let Unsaid::Wrong(what) = e { Unsaid::Wrong(format!("{}: {what}", field.name)) } else { e })
    }

    fn write(&self, ty: &Type, compact: bool, value: &Value, out: &mut Vec<u8>) -> Result<(), Unsaid> {
        match ty {
            Type::Array(element) => {
                let Value::List(elements) = value else {
                    return null_or(value, compact, 4, out, "a list");
                };
                length(elements.len(), compact, 4, out);
                elements.iter().try_for_each(|value| self.write(element, compact, value, out))
            }
            Type::Struct(name) => self.write_struct(find(self.message, name)?, value, out),
            Type::String => match value {
                Value::Word(text) => {
                    length(text.len(), compact, 2, out);
                    out.extend(text.as_bytes());
                    Ok(())
                }
                other => null_or(other, compact, 2, out, "a string"),
            },
            Type::Bytes | Type::Records | Type::AnswerRecords => {
                let Some(bytes) = bytes_of(value) else { return null_or(value, compact, 4, out, "bytes") };
                length(bytes.len(), compact, 4, out);
                out.extend(bytes);
                Ok(())
            }
            scalar => Ok(write_scalar(scalar, value, out)?),
        }
    }

    fn read_struct(&self, of: &Struct, rest: &mut &[u8]) -> Result<Value, String> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        for field in of.fields.iter().filter(|field| has(field.versions, self.version)) {
            let value =
                if has(field.tagged, self.version) { default_value(field) } else { self.read_field(field, rest)? };
            fields.push((lower(&field.name), value));
        }
        if self.flexible {
            for _ in 0..read_varint(rest)? {
                let (tag, size) = (read_varint(rest)?, read_varint(rest)?);
                let mut bytes = take(rest, size as usize)?;
                let known = of.fields.iter().find(|f| u64::from(f.tag) == tag && has(f.tagged, self.version));
                let Some(field) = known else {
                    fields.push((format!("tag{tag}"), Value::word(hex(bytes))));
                    continue;
                };
                let value = self.read_field(field, &mut bytes)?;
                if !bytes.is_empty() {
                    return Err(format!("{} bytes behind tagged field {}", bytes.len(), field.name));
                }
                for slot in fields.iter_mut().filter(|(name, _)| same_name(name, &field.name)) {
                    slot.1 = value.clone();
                }
            }
        }
        Ok(Value::Struct(fields))
    }

    fn read_field(&self, field: &Field, rest: &mut &[u8]) -> Result<Value, String> {
        if matches!(field.ty, Type::Struct(_)) && has(field.nullable, self.version) && !has(field.tagged, self.version)
        {
            let [mark] = read_array(rest)?;
            if mark == 255 {
                return Ok(Value::Null);
            }
        }
        self.read(&field.ty, self.is_compact(field), rest).map_err(|e| format!("{}: {e}", field.name))
    }

    fn read(&self, ty: &Type, compact: bool, rest: &mut &[u8]) -> Result<Value, String> {
        match ty {
            Type::Array(element) => match read_length(compact, 4, rest)? {
                None => Ok(Value::Null),
                Some(count) if count > rest.len() => Err(format!("{count} elements in {} bytes", rest.len())),
                Some(count) => {
                    (0..count).map(|_| self.read(element, compact, rest)).collect::<Result<_, _>>().map(Value::List)
                }
            },
            Type::Struct(name) => self.read_struct(find(self.message, name)?, rest),
            Type::String | Type::Bytes | Type::Records | Type::AnswerRecords => {
                let width = if *ty == Type::String { 2 } else { 4 };
                let Some(size) = read_length(compact, width, rest)? else { return Ok(Value::Null) };
                let bytes = take(rest, size)?;
                Ok(match ty {
                    Type::String => Value::word(String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())?),
                    Type::Records | Type::AnswerRecords if bytes.is_empty() => Value::word(""),
                    Type::Records | Type::AnswerRecords => batches::show(bytes),
                    _ if bytes.is_empty() => Value::word(""),
                    _ => Value::word(hex(bytes)),
                })
            }
            scalar => read_scalar(scalar, rest).map(Value::Word),
        }
    }
}

/// Whether a field's value says no more than its absence.
pub(crate) fn is_default(field: &Field, value: &Value) -> bool {
    match (default_text(field), value) {
        (None, Value::Null) => true,
        (Some(text), Value::Word(word)) => text == *word,
        (Some(_), Value::List(elements)) => elements.is_empty(),
        (Some(_), Value::Struct(fields)) => fields.is_empty(),
        _ => false,
    }
}

fn default_value(field: &Field) -> Value {
    match (default_text(field), &field.ty) {
        (None, _) => Value::Null,
        (Some(_), Type::Array(_)) => Value::List(Vec::new()),
        (Some(_), Type::Struct(_)) => Value::Struct(Vec::new()),
        (Some(text), _) => Value::Word(text),
    }
}

/// A schema name as it is printed.
pub(crate) fn lower(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |c| c.to_ascii_lowercase().to_string() + chars.as_str())
}

/// Bytes as a word.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The bytes that a value stands for: `0x..`, what a call made, or the text itself.
pub(crate) fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Made(_, bytes) => Some(bytes.clone()),
        Value::Word(text) => match text.strip_prefix("0x") {
            Some(digits) => {
                (0..digits.len() / 2).map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()).collect()
            }
            None => Some(text.as_bytes().to_vec()),
        },
        _ => None,
    }
}

fn null_or(value: &Value, compact: bool, width: usize, out: &mut Vec<u8>, wanted: &str) -> Result<(), Unsaid> {
    if *value != Value::Null {
        return Err(Unsaid::Wrong(format!("{} is not {wanted}", value.line())));
    }
    out.extend(if compact { vec![0] } else { vec![255; width] });
    Ok(())
}

fn length(size: usize, compact: bool, width: usize, out: &mut Vec<u8>) {
    if compact {
        varint(size as u64 + 1, out);
    } else {
        out.extend(&(size as u32).to_be_bytes()[4 - width..]);
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_scalar(ty: &Type, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let Value::Word(text) = value else { return Err(format!("{} is not a scalar", value.line())) };
    let wrong = |e: &dyn std::fmt::Display| format!("`{text}`: {e}");
    if *ty == Type::Uuid {
        let id: thalweg_base::Uuid = text.parse().map_err(|e: thalweg_base::ParseUuidError| wrong(&e))?;
        out.extend(id.0);
        return Ok(());
    }
    if *ty == Type::Float64 {
        out.extend(text.parse::<f64>().map_err(|e| wrong(&e))?.to_be_bytes());
        return Ok(());
    }
    let number: i64 = match text.as_str() {
        "true" => 1,
        "false" => 0,
        text => text.parse().map_err(|e| wrong(&e))?,
    };
    let size = ty.size().unwrap_or(8);
    out.extend(&number.to_be_bytes()[8 - size..]);
    Ok(())
}

fn read_scalar(ty: &Type, rest: &mut &[u8]) -> Result<String, String> {
    Ok(match ty {
        Type::Bool => (read_array::<1>(rest)? != [0]).to_string(),
        Type::Int8 => i8::from_be_bytes(read_array(rest)?).to_string(),
        Type::Int16 => i16::from_be_bytes(read_array(rest)?).to_string(),
        Type::Uint16 => u16::from_be_bytes(read_array(rest)?).to_string(),
        Type::Int32 => i32::from_be_bytes(read_array(rest)?).to_string(),
        Type::Uint32 => u32::from_be_bytes(read_array(rest)?).to_string(),
        Type::Float64 => f64::from_be_bytes(read_array(rest)?).to_string(),
        Type::Uuid => thalweg_base::Uuid(read_array(rest)?).to_string(),
        _ => i64::from_be_bytes(read_array(rest)?).to_string(),
    })
}

fn read_length(compact: bool, width: usize, rest: &mut &[u8]) -> Result<Option<usize>, String> {
    if compact {
        return Ok(read_varint(rest)?.checked_sub(1).map(|size| size as usize));
    }
    let size = match width {
        2 => i32::from(i16::from_be_bytes(read_array(rest)?)),
        _ => i32::from_be_bytes(read_array(rest)?),
    };
    Ok(usize::try_from(size).ok())
}

fn read_varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let [byte] = read_array(rest)?;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Ok(value);
        }
    }
    Err("a length of more than five bytes".to_owned())
}

fn read_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], String> {
    take(rest, N)?.try_into().map_err(|_| "too short".to_owned())
}

fn take<'a>(rest: &mut &'a [u8], size: usize) -> Result<&'a [u8], String> {
    let (taken, left) =
        rest.split_at_checked(size).ok_or_else(|| format!("{size} bytes wanted, {} left", rest.len()))?;
    *rest = left;
    Ok(taken)
}
