//! Values of configs: read from text, and written as Java writes them.

use std::fmt;

use super::ConfigError;
use super::kind::Kind;
use super::number;

/// A config's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// Text.
    String(String),
    /// A 32-bit integer.
    Int(i32),
    /// A 16-bit integer.
    Short(i16),
    /// A 64-bit integer.
    Long(i64),
    /// A floating-point number.
    Double(f64),
    /// Texts.
    List(Vec<String>),
    /// The name of a Java class.
    Class(String),
    /// Text that is never shown.
    Password(String),
}

impl Value {
    /// Reads a value of the config `name` by Kafka's rules: blanks around it do not count.
    pub(super) fn parse(name: &str, kind: Kind, text: &str) -> Result<Self, ConfigError> {
        // Java trims every control character too.
        let trimmed = text.trim_matches(|c: char| c <= ' ');
        let no_number = || ConfigError::invalid(name, text, &format!("Not a number of type {}", kind.name()));
        Ok(match kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Self::Boolean(true),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Self::Boolean(false),
            Kind::Boolean => {
                return Err(ConfigError::invalid(name, text, "Expected value to be either true or false"));
            }
            Kind::String => Self::String(trimmed.to_owned()),
            Kind::Int => Self::Int(trimmed.parse().map_err(|_| no_number())?),
            Kind::Short => Self::Short(trimmed.parse().map_err(|_| no_number())?),
            Kind::Long => Self::Long(trimmed.parse().map_err(|_| no_number())?),
            Kind::Double => Self::Double(number::parse_double(trimmed).ok_or_else(no_number)?),
            Kind::List if trimmed.is_empty() => Self::List(Vec::new()),
            Kind::List => Self::List(trimmed.split(',').map(|element| element.trim_ascii().to_owned()).collect()),
            Kind::Class => Self::Class(trimmed.to_owned()),
            Kind::Password => Self::Password(trimmed.to_owned()),
        })
    }

    /// The value as configs carry it on the wire and in files: lists with commas.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::List(elements) => elements.join(","),
            Self::Password(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Int(n) => Some(f64::from(n)),
            Self::Short(n) => Some(f64::from(n)),
            #[expect(clippy::cast_precision_loss, reason = "Kafka compares ranges as doubles")]
            Self::Long(n) => Some(n as f64),
            Self::Double(n) => Some(n),
            _ => None,
        }
    }

    /// The integer, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Int(n) => Some(i64::from(n)),
            Self::Short(n) => Some(i64::from(n)),
            Self::Long(n) => Some(n),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Boolean(truth) => Some(truth),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Class(text) | Self::Password(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[String]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }
}

/// The value as messages show it: lists in brackets, passwords hidden.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::String(text) | Self::Class(text) => f.write_str(text),
            Self::Int(n) => write!(f, "{n}"),
            Self::Short(n) => write!(f, "{n}"),
            Self::Long(n) => write!(f, "{n}"),
            Self::Double(n) => f.write_str(&number::double_text(*n)),
            Self::List(elements) => write!(f, "[{}]", elements.join(", ")),
            Self::Password(_) => f.write_str("[hidden]"),
        }
    }
}
