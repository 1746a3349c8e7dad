//! Reading Kafka's client properties: `name=value` pairs in which the last of several wins.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::Backoff;

/// A property has a value that it cannot have, or is missing. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The value is of another type or out of range.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Value {
        /// The property.
        name: String,
        /// Its value as it was given.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// Properties do not fit together, or one is missing.
    #[error("{0}")]
    Combination(String),
}

/// Properties by name. Names that nobody asks for are passed over: one file may serve several programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: BTreeMap<String, String>,
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl Properties {
    /// Reads the text of a properties file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        thalweg_base::properties::parse(text).into_iter().collect()
    }

    /// Sets a property.
    pub fn set(&mut self, name: &str, value: &str) {
        self.entries.insert(name.to_owned(), value.to_owned());
    }

    /// Sets a property that is not set yet.
    pub fn set_default(&mut self, name: &str, value: &str) {
        self.entries.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// A property's value, without the blanks around it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|value| value.trim())
    }

    /// A text; an empty one counts as not given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A whole number of at least `min`.
    ///
    /// # Errors
    /// When the value is none.
    pub fn number<T>(&self, name: &str, default: T, min: T) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.get(name) else { return Ok(default) };
        let java_type = if size_of::<T>() == 8 { "LONG" } else { "INT" };
        let number =
            value.parse::<T>().map_err(|_| invalid(name, value, &format!("Not a number of type {java_type}")))?;
        if number < min {
            return Err(invalid(name, value, &format!("Value must be at least {min}")));
        }
        Ok(number)
    }

    /// A time in milliseconds.
    ///
    /// # Errors
    /// When the value is no whole number, or negative.
    pub fn millis(&self, name: &str, default: Duration) -> Result<Duration, ConfigError> {
        let default = i64::try_from(default.as_millis()).unwrap_or(i64::MAX);
        Ok(Duration::from_millis(self.number::<i64>(name, default, 0)?.cast_unsigned()))
    }

    /// A waiting time that grows, by the names of its first and its longest wait.
    ///
    /// # Errors
    /// As [`Properties::millis`].
    pub fn backoff(&self, initial: &str, max: &str, default: Backoff) -> Result<Backoff, ConfigError> {
        let initial = self.millis(initial, default.initial)?;
        Ok(Backoff { initial, max: self.millis(max, default.max)?.max(initial) })
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, ConfigError> {
        match self.get(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(invalid(name, value, "Expected value to be either true or false")),
        }
    }

    /// One of several words, in any case; gives what stands beside the word.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn choice<T: Copy>(&self, name: &str, default: T, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
        found.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            invalid(name, value, &format!("String must be one of: {}", words.join(", ")))
        })
    }

    /// A list of texts, separated by commas.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let value = self.get(name).unwrap_or_default();
        value.split(',').map(str::trim).filter(|element| !element.is_empty()).collect()
    }
}

/// A value that a property cannot have.
pub(crate) fn invalid(name: &str, value: &str, reason: &str) -> ConfigError {
    ConfigError::Value { name: name.to_owned(), value: value.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_named_as_kafka_names_it() {
        let properties = Properties::parse("a=x\nb=-1\nc=maybe\nd=7\n");
        let error = |error: ConfigError| error.to_string();
        assert_eq!(
            properties.number("a", 1i32, 0).map_err(error),
            Err("Invalid value x for configuration a: Not a number of type INT".to_owned())
        );
        assert_eq!(
            properties.millis("b", Duration::ZERO).map_err(error),
            Err("Invalid value -1 for configuration b: Value must be at least 0".to_owned())
        );
        assert_eq!(
            properties.flag("c", true).map_err(error),
            Err("Invalid value maybe for configuration c: Expected value to be either true or false".to_owned())
        );
        assert_eq!(
            properties.choice("d", 1, &[("e", 1), ("f", 2)]).map_err(error),
            Err("Invalid value 7 for configuration d: String must be one of: e, f".to_owned())
        );
        assert_eq!(properties.number("d", 1i64, 0), Ok(7));
        assert_eq!(properties.number("missing", 1i64, 0), Ok(1));
    }
}
