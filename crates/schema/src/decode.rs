//! Reads bytes by a schema.

use std::fmt;

use serde_json::{Map, Value, json};
use thalweg_base::{Uuid, base64};

use super::set;
use super::text::{Field, Message};

/// Why bytes are no such message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub(super) &'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How deep structs may stand in one another; schemas have four levels.
const DEPTH_MAX: usize = 16;

/// Bytes that are read from the front. Nothing is allocated by a length that the bytes do not have.
#[derive(Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Unreadable("it ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Unreadable("it ends early"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// An unsigned number of variable length.
    pub(super) fn unsigned(&mut self) -> Result<u32, Unreadable> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed()?;
            number |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable("a number of variable length does not end"))
    }

    /// The length of a string (`wide` is false), or of bytes or an array; `None` is null.
    fn len(&mut self, is_flexible: bool, wide: bool) -> Result<Option<usize>, Unreadable> {
        let len = match (is_flexible, wide) {
            (true, _) => i64::from(self.unsigned()?) - 1,
            (false, false) => i64::from(i16::from_be_bytes(self.fixed()?)),
            (false, true) => i64::from(i32::from_be_bytes(self.fixed()?)),
        };
        match len {
            -1 => Ok(None),
            len => usize::try_from(len).map(Some).map_err(|_| Unreadable("a length is negative")),
        }
    }
}

/// Reads a message of a version.
pub(super) fn decode(message: &Message, version: i16, bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    let is_flexible = message.flexible.contains(&version);
    let mut decoder = Decoder { message, version, is_flexible, input: Input::new(bytes) };
    decoder.object(&message.fields, 0)
}

struct Decoder<'a> {
    message: &'a Message,
    version: i16,
    is_flexible: bool,
    input: Input<'a>,
}

impl Decoder<'_> {
    fn object(&mut self, fields: &[Field], depth: usize) -> Result<Map<String, Value>, Unreadable> {
        if depth > DEPTH_MAX {
            return Err(Unreadable("structs stand too deep in one another"));
        }
        let mut found: Vec<Option<Value>> = Vec::with_capacity(fields.len());
        for field in fields {
            let is_tagged = field.tag.as_ref().is_some_and(|(_, versions)| versions.contains(&self.version));
            let is_there = field.versions.contains(&self.version) && !is_tagged;
            found.push(if is_there { Some(self.value(field, depth)?) } else { None });
        }
        if self.is_flexible {
            self.tagged(fields, &mut found, depth)?;
        }
        let mut object = Map::new();
        for (field, value) in fields.iter().zip(found) {
            if let Some(value) = value {
                set(&mut object, &field.name, value);
            }
        }
        Ok(object)
    }

    /// Reads the fields with tags, of which only those are written that have other values than by default.
    fn tagged(&mut self, fields: &[Field], found: &mut [Option<Value>], depth: usize) -> Result<(), Unreadable> {
        for _ in 0..self.input.unsigned()? {
            let tag = self.input.unsigned()?;
            let len = usize::try_from(self.input.unsigned()?).unwrap_or(usize::MAX);
            let content = self.input.take(len)?;
            let is_it = |field: &Field| field.tag.as_ref().is_some_and(|(known, _)| *known == tag);
            let Some(at) = fields.iter().position(is_it) else { continue };
            let input = Input::new(content);
            let mut decoder = Decoder { input, ..*self };
            found[at] = Some(decoder.value(&fields[at], depth)?);
        }
        Ok(())
    }

    fn value(&mut self, field: &Field, depth: usize) -> Result<Value, Unreadable> {
        if !field.is_array {
            return self.item(field, depth);
        }
        let Some(len) = self.input.len(self.is_flexible, true)? else { return Ok(Value::Null) };
        let mut items = Vec::new();
        for _ in 0..len {
            if self.input.rest().is_empty() {
                return Err(Unreadable("it ends early"));
            }
            items.push(self.item(field, depth)?);
        }
        Ok(Value::Array(items))
    }

    fn item(&mut self, field: &Field, depth: usize) -> Result<Value, Unreadable> {
        Ok(match field.kind.as_str() {
            "bool" => json!(self.input.fixed::<1>()?[0] != 0),
            "int8" => json!(i8::from_be_bytes(self.input.fixed()?)),
            "int16" => json!(i16::from_be_bytes(self.input.fixed()?)),
            "uint16" => json!(u16::from_be_bytes(self.input.fixed()?)),
            "int32" => json!(i32::from_be_bytes(self.input.fixed()?)),
            "uint32" => json!(u32::from_be_bytes(self.input.fixed()?)),
            "int64" => json!(i64::from_be_bytes(self.input.fixed()?)),
            "float64" => json!(f64::from_be_bytes(self.input.fixed()?)),
            "uuid" => json!(Uuid(self.input.fixed()?).to_string()),
            "string" => match self.input.len(self.is_flexible, false)? {
                Some(len) => json!(String::from_utf8_lossy(self.input.take(len)?)),
                None => Value::Null,
            },
            "bytes" | "records" => match self.input.len(self.is_flexible, true)? {
                Some(len) => json!(base64::encode(self.input.take(len)?)),
                None => Value::Null,
            },
            _ => {
                let is_nullable = !field.is_array && field.nullable.contains(&self.version);
                if is_nullable && i8::from_be_bytes(self.input.fixed()?) < 0 {
                    return Ok(Value::Null);
                }
                let fields = self.message.fields_of(field).ok_or(Unreadable("a type is not known"))?;
                Value::Object(self.object(fields, depth + 1)?)
            }
        })
    }
}
