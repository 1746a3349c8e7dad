//! Kafka's UUIDs: 128 bits, written as 22 characters of URL-safe base64 without padding.

use std::fmt;
use std::str::FromStr;

/// A topic id, directory id, cluster id or incarnation id.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// All bits zero: "no id". As a directory id: `UNASSIGNED` (KIP-858).
    pub const ZERO: Self = Self([0; 16]);
    /// The id of the topic `__cluster_metadata`. As a directory id: `LOST` (KIP-858).
    pub const ONE: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Makes a version 4 UUID out of 16 random bytes.
    ///
    /// Kafka never hands out ids whose text begins with a dash, since tools would take them for options: such bytes are
    /// turned into an id that begins with another character.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        if bytes[0] >> 2 == 62 {
            bytes[0] &= 0x7f;
        }
        Self(bytes)
    }

    /// Whether all bits are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; 22];
        for (i, char) in text.iter_mut().enumerate() {
            // 22 characters hold 132 bits: the last one carries only two.
            let value = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 };
            *char = ALPHABET[(value & 63) as usize];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 22 characters of URL-safe base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseUuidError(pub String);

impl fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an id of 22 base64 characters", self.0)
    }
}

impl std::error::Error for ParseUuidError {}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    /// Reads what [`fmt::Display`] writes; up to two `=` of padding are accepted.
    fn from_str(text: &str) -> Result<Self, ParseUuidError> {
        let error = || ParseUuidError(text.to_owned());
        let chars = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if chars.len() != 22 {
            return Err(error());
        }
        let mut bits = 0u128;
        for (i, char) in chars.iter().enumerate() {
            let value = ALPHABET.iter().position(|c| c == char).ok_or_else(error)? as u128;
            bits = if i < 21 { bits << 6 | value } else { bits << 2 | value >> 4 };
        }
        Ok(Self(bits.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back() {
        for id in [Uuid::ZERO, Uuid::ONE, Uuid([255; 16]), Uuid(*b"0123456789abcdef")] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert!("short".parse::<Uuid>().is_err());
        assert!("!AAAAAAAAAAAAAAAAAAAAQ".parse::<Uuid>().is_err());
    }

    #[test]
    fn no_random_id_begins_with_a_dash() {
        for first in 0..=255 {
            let mut bytes = [7; 16];
            bytes[0] = first;
            assert!(!Uuid::from_random(bytes).to_string().starts_with('-'));
        }
    }
}
