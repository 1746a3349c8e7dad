//! Kafka's principals, such as `User:ann`.

use std::fmt;

use crate::thrown::Thrown;

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    /// Its type, such as `User`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

impl Principal {
    /// Reads `TYPE:NAME`; blanks around it are dropped.
    ///
    /// # Errors
    /// `IllegalArgumentException`, when there is no colon.
    pub fn parse(text: &str) -> Result<Self, Thrown> {
        let text = text.trim();
        let (kind, name) = text.split_once(':').ok_or_else(|| {
            let expected = "expected a string in format principalType:principalName but got";
            Thrown::illegal_argument(format!("{expected} {text}"))
        })?;
        Ok(Self { kind: kind.to_owned(), name: name.to_owned() })
    }

    /// Reads all of them; one that stands there twice comes once.
    ///
    /// # Errors
    /// As [`Principal::parse`].
    pub fn parse_all(texts: &[String]) -> Result<Vec<Self>, Thrown> {
        let mut principals = Vec::new();
        for text in texts {
            let principal = Self::parse(text)?;
            if !principals.contains(&principal) {
                principals.push(principal);
            }
        }
        Ok(principals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_has_a_type_and_a_name() -> Result<(), Thrown> {
        assert_eq!(Principal::parse(" User:CN=a:b ")?.to_string(), "User:CN=a:b");
        assert_eq!(
            Principal::parse("ann").unwrap_err().text(),
            "expected a string in format principalType:principalName but got ann"
        );
        Ok(())
    }
}
