//! Kafka's deserializers, as far as their values have a text.

use crate::java;
use crate::thrown::Thrown;

/// A deserializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deserializer {
    String,
    Boolean,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Uuid,
}

impl Deserializer {
    /// The deserializer of this class.
    pub(super) fn by_class(class: &str) -> Option<Self> {
        Some(match class.strip_prefix("org.apache.kafka.common.serialization.")? {
            "StringDeserializer" => Self::String,
            "BooleanDeserializer" => Self::Boolean,
            "ShortDeserializer" => Self::Short,
            "IntegerDeserializer" => Self::Integer,
            "LongDeserializer" => Self::Long,
            "FloatDeserializer" => Self::Float,
            "DoubleDeserializer" => Self::Double,
            "UUIDDeserializer" => Self::Uuid,
            _ => return None,
        })
    }

    /// The text of a value.
    ///
    /// # Errors
    /// `SerializationException`, when the bytes are none.
    pub(super) fn read(self, bytes: &[u8]) -> Result<String, Thrown> {
        Ok(match self {
            Self::String => String::from_utf8_lossy(bytes).into_owned(),
            Self::Boolean => (self.fixed::<1>(bytes)?[0] != 0).to_string(),
            Self::Short => i16::from_be_bytes(self.fixed(bytes)?).to_string(),
            Self::Integer => i32::from_be_bytes(self.fixed(bytes)?).to_string(),
            Self::Long => i64::from_be_bytes(self.fixed(bytes)?).to_string(),
            Self::Float => java::double(f64::from(f32::from_be_bytes(self.fixed(bytes)?))),
            Self::Double => java::double(f64::from_be_bytes(self.fixed(bytes)?)),
            Self::Uuid => String::from_utf8_lossy(bytes).to_lowercase(),
        })
    }

    fn fixed<const N: usize>(self, bytes: &[u8]) -> Result<[u8; N], Thrown> {
        bytes.try_into().map_err(|_| {
            let text = format!("Size of data received by {self:?}Deserializer is not {N}");
            Thrown::new("org.apache.kafka.common.errors.SerializationException", text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_size_is_refused() -> Result<(), Thrown> {
        let integer = Deserializer::by_class("org.apache.kafka.common.serialization.IntegerDeserializer");
        assert_eq!(integer, Some(Deserializer::Integer));
        assert_eq!(Deserializer::Integer.read(b"aaaa")?, "1633771873");
        assert_eq!(
            Deserializer::Integer.read(b"a").unwrap_err().text(),
            "Size of data received by IntegerDeserializer is not 4"
        );
        Ok(())
    }
}
