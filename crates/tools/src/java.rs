//! What Java does and Kafka's output shows: the order of hash maps, the reading and writing of numbers.

use thalweg_base::Uuid;

use crate::thrown::Thrown;

/// A number type of Java.
pub trait Number: Sized {
    /// Reads the text as Java's `valueOf` does.
    fn read(text: &str) -> Option<Self>;
    /// What Java says of a text that is none.
    fn refusal(text: &str) -> String {
        format!("For input string: \"{text}\"")
    }
}

macro_rules! integers {
    ($($ty:ty),*) => {
        $(impl Number for $ty {
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

integers!(i32, i64);

impl Number for i16 {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn refusal(text: &str) -> String {
        match text.parse::<i32>() {
            Ok(_) => format!("Value out of range. Value:\"{text}\" Radix:10"),
            Err(_) => i32::refusal(text),
        }
    }
}

impl Number for f64 {
    fn read(text: &str) -> Option<Self> {
        text.trim().trim_end_matches(['d', 'D', 'f', 'F']).parse().ok()
    }

    fn refusal(text: &str) -> String {
        if text.trim().is_empty() { "empty String".into() } else { format!("For input string: \"{text}\"") }
    }
}

/// Reads a number.
///
/// # Errors
/// `NumberFormatException`.
pub fn number<N: Number>(text: &str) -> Result<N, Thrown> {
    N::read(text).ok_or_else(|| Thrown::new("java.lang.NumberFormatException", N::refusal(text)))
}

/// `String.split` with one character: empty parts at the end are dropped.
#[must_use]
pub fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(at).collect();
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

/// The texts of several values with something between them.
pub fn joined<T: ToString>(values: &[T], between: &str) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

/// `Uuid.fromString`.
///
/// # Errors
/// `IllegalArgumentException`.
pub fn uuid(text: &str) -> Result<Uuid, Thrown> {
    if text.len() > 24 {
        let text = format!("Input string with prefix `{}` is too long to be decoded as a base64 UUID", &text[..24]);
        return Err(Thrown::illegal_argument(text));
    }
    text.parse().map_err(|_| {
        let bytes = text.trim_end_matches('=').len() * 3 / 4;
        Thrown::illegal_argument(format!(
            "Input string `{text}` decoded as {bytes} bytes, which is not equal to the expected 16 bytes of a base64-encoded \
             UUID"
        ))
    })
}

/// `String.hashCode`.
#[must_use]
pub fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// `TopicPartition.hashCode`.
#[must_use]
pub fn topic_partition_hash(topic: &str, partition: i32) -> i32 {
    31i32.wrapping_mul(31i32.wrapping_add(partition)).wrapping_add(string_hash(topic))
}

/// Brings items into the order in which a `HashMap` goes through them, given the order of their insertion. `capacity` is
/// what the map was made for: 16 where nothing is said.
pub fn hash_order<T>(mut items: Vec<T>, capacity: usize, hash: impl Fn(&T) -> i32) -> Vec<T> {
    let mut table = capacity.max(1).next_power_of_two();
    while items.len() * 4 > table * 3 {
        table *= 2;
    }
    items.sort_by_key(|item| {
        let hash = hash(item).cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (table - 1)
    });
    items
}

/// The capacity of a `HashSet` that was made of a collection of as many.
#[must_use]
pub fn set_capacity(items: usize) -> usize {
    (items * 4 / 3 + 1).max(16)
}

/// Brings names into the order of a `HashMap`; see [`hash_order`].
#[must_use]
pub fn names_in_hash_order(names: Vec<String>, capacity: usize) -> Vec<String> {
    hash_order(names, capacity, |name| string_hash(name))
}

/// A floating-point number as `Double.toString` writes it.
#[must_use]
pub fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let text = format!("{value}");
        return if text.contains('.') { text } else { text + ".0" };
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_as_java_does() {
        assert_eq!(number::<i32>("+7"), Ok(7));
        assert_eq!(
            number::<i64>("soon").unwrap_err().to_string(),
            "java.lang.NumberFormatException: For input string: \"soon\""
        );
        assert_eq!(number::<i16>("40000").unwrap_err().text(), "Value out of range. Value:\"40000\" Radix:10");
    }

    #[test]
    fn names_come_in_the_order_of_a_hash_map() {
        let names = ["__consumer_offsets", "alpha", "alpine", "beta"].map(str::to_owned);
        assert_eq!(names_in_hash_order(names.to_vec(), 4), ["__consumer_offsets", "beta", "alpha", "alpine"]);
        assert_eq!(names_in_hash_order(names[1..].to_vec(), 3), ["beta", "alpha", "alpine"]);
    }

    #[test]
    fn doubles_are_written_as_java_does() {
        for (value, text) in [(0.5, "0.5"), (3.0, "3.0"), (1.5e10, "1.5E10"), (0.0001, "1.0E-4"), (0.0, "0.0")] {
            assert_eq!(double(value), text);
        }
    }
}
