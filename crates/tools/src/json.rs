//! JSON files that tools read, with the complaints of Kafka's reader.

use serde_json::Value;

use crate::thrown::Thrown;

/// The class of the complaints.
const MAPPING: &str = "com.fasterxml.jackson.databind.JsonMappingException";

/// Reads a text, if it is JSON.
#[must_use]
pub fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// A field that must be there.
///
/// # Errors
/// When it is not.
pub fn field<'a>(object: &'a Value, name: &str) -> Result<&'a Value, Thrown> {
    if !object.is_object() {
        return Err(Thrown::new(MAPPING, format!("Expected JSON object, received {object}")));
    }
    object.get(name).ok_or_else(|| Thrown::new(MAPPING, format!("No such field exists: `{name}`")))
}

/// A list.
///
/// # Errors
/// When it is none.
pub fn list(value: &Value) -> Result<&Vec<Value>, Thrown> {
    value.as_array().ok_or_else(|| Thrown::new(MAPPING, format!("Expected JSON array, received {value}")))
}

/// A text.
///
/// # Errors
/// When it is none.
pub fn text(value: &Value) -> Result<&str, Thrown> {
    value.as_str().ok_or_else(|| Thrown::new(MAPPING, format!("Expected `String` value, received {value}")))
}

/// A number of 32 bits.
///
/// # Errors
/// When it is none.
pub fn int(value: &Value) -> Result<i32, Thrown> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| Thrown::new(MAPPING, format!("Expected `Integer` value, received {value}")))
}

/// A number of 64 bits.
///
/// # Errors
/// When it is none.
pub fn long(value: &Value) -> Result<i64, Thrown> {
    value.as_i64().ok_or_else(|| Thrown::new(MAPPING, format!("Expected `Long` value, received {value}")))
}
