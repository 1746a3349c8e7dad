//! Base64 (RFC 4648), as Java's decoders read it.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The last two characters of the alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// `+` and `/` (section 4).
    Standard,
    /// `-` and `_` (section 5).
    UrlSafe,
}

/// The text of `bytes` in the standard alphabet, with padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for unit in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=unit.len()].copy_from_slice(unit);
        let bits = u32::from_be_bytes(padded);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let char = if digit > unit.len() { '=' } else { char::from(STANDARD[value as usize]) };
            text.push(char);
        }
    }
    text
}

/// The bytes that a text stands for; `None` if it is not base64.
///
/// Padding may be left out, but not be wrong. Surplus bits of the last digit are ignored.
#[must_use]
pub fn decode(alphabet: Alphabet, text: &str) -> Option<Vec<u8>> {
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
            bits = bits << 6 | u32::from(value(alphabet, digit)?);
        }
        // Four digits are three bytes, at the end of the four bytes of a number.
        bits <<= 6 * (4 - unit.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..unit.len()]);
    }
    Some(bytes)
}

fn value(alphabet: Alphabet, digit: u8) -> Option<u8> {
    match (digit, alphabet) {
        (b'A'..=b'Z', _) => Some(digit - b'A'),
        (b'a'..=b'z', _) => Some(digit - b'a' + 26),
        (b'0'..=b'9', _) => Some(digit - b'0' + 52),
        (b'+', Alphabet::Standard) | (b'-', Alphabet::UrlSafe) => Some(62),
        (b'/', Alphabet::Standard) | (b'_', Alphabet::UrlSafe) => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_may_be_left_out_but_not_be_wrong() {
        for (text, bytes) in [
            ("", b"".as_slice()),
            ("TQ==", b"M"),
            ("TQ", b"M"),
            ("TR", b"M"),
            ("TWE=", b"Ma"),
            ("TWE", b"Ma"),
            ("TWFu", b"Man"),
        ] {
            assert_eq!(decode(Alphabet::Standard, text).as_deref(), Some(bytes), "{text}");
        }
        for text in
            ["T", "TQ=", "TWE==", "TWFu=", "TWFu====", "TWFuT", "T===", "=", "==", "====", "TW-u", "TW u", "TWé="]
        {
            assert_eq!(decode(Alphabet::Standard, text), None, "{text}");
        }
    }

    #[test]
    fn the_alphabets_differ_in_two_characters() {
        assert_eq!(decode(Alphabet::Standard, "+/+/"), decode(Alphabet::UrlSafe, "-_-_"));
        assert_eq!(decode(Alphabet::UrlSafe, "+/+/"), None);
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for (bytes, text) in
            [(b"".as_slice(), ""), (b"M", "TQ=="), (b"Ma", "TWE="), (b"Man", "TWFu"), (&[255, 239, 254, 1], "/+/+AQ==")]
        {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(Alphabet::Standard, text).as_deref(), Some(bytes));
        }
    }
}
