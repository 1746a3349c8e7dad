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

/// Reads a text; says as Kafka's reader does why it is no JSON.
///
/// # Errors
/// `JsonParseException`, or for an empty text `MismatchedInputException`.
pub fn try_parse(text: &str) -> Result<Value, Thrown> {
    serde_json::from_str(text).map_err(|e| {
        if text.trim().is_empty() {
            let message = format!("No content to map due to end-of-input\n{}", place(1, 0));
            return Thrown::new("com.fasterxml.jackson.databind.exc.MismatchedInputException", message);
        }
        let line = text.lines().nth(e.line().saturating_sub(1)).unwrap_or_default();
        let end = e.column().min(line.len());
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let before = line.get(..end).unwrap_or_default();
        let start = before.len() - before.chars().rev().take_while(is_word).map(char::len_utf8).sum::<usize>();
        let word: String = line.get(start..).unwrap_or_default().chars().take_while(is_word).collect();
        let what = if word.chars().next().is_some_and(char::is_alphabetic) {
            let expected = "JSON String, Number, Array, Object or token 'null', 'true' or 'false'";
            format!("Unrecognized token '{word}': was expecting ({expected})")
        } else {
            e.to_string()
        };
        let message = format!("{what}\n{}", place(e.line(), start + 1));
        Thrown::new("com.fasterxml.jackson.core.JsonParseException", message)
    })
}

/// Where something is wrong in a text that is not shown.
fn place(line: usize, column: usize) -> String {
    let source = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";
    format!(" at [Source: {source}; line: {line}, column: {column}]")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_json_is_named() {
        let thrown = try_parse(" nonsense").unwrap_err();
        assert_eq!(
            thrown.text(),
            "Unrecognized token 'nonsense': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or \
             'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]"
        );
        assert_eq!(try_parse("[1]"), Ok(serde_json::json!([1])));
    }
}
