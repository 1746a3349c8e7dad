//! Base64 (RFC 4648, section 4), as Java's basic decoder reads it.

/// The bytes that a text stands for; nothing when it is not base64.
///
/// Padding may be left out, but not be wrong. Bits that no byte is made of may be anything.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = match text.len() % 4 {
        0 => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text),
        _ => text,
    };
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for unit in digits.as_bytes().chunks(4) {
        if unit.len() == 1 {
            return None;
        }
        let mut bits = 0;
        for &digit in unit {
            bits = bits << 6 | u32::from(value(digit)?);
        }
        // Four digits are three bytes, at the end of the four bytes of a number.
        bits <<= 6 * (4 - unit.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..unit.len()]);
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
