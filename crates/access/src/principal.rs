//! Who a connection authenticated as.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A principal, such as `User:alice`: what ACLs, quotas and delegation tokens are bound to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The type: `User`, unless a principal builder of the operator's own made it.
    pub kind: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl Principal {
    /// The type of every principal that Kafka makes itself.
    pub const USER: &str = "User";

    /// The principal of a user.
    pub fn user(name: impl Into<Arc<str>>) -> Self {
        Self { kind: Self::USER.into(), name: name.into() }
    }

    /// The principal of a connection that did not authenticate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::user("ANONYMOUS")
    }

    /// Whether it is the principal of a connection that did not authenticate.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        &*self.kind == Self::USER && &*self.name == "ANONYMOUS"
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// The text is not `TYPE:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a string in format principalType:principalName but got {0}")]
pub struct ParsePrincipalError(pub String);

impl FromStr for Principal {
    type Err = ParsePrincipalError;

    fn from_str(text: &str) -> Result<Self, ParsePrincipalError> {
        match text.split_once(':') {
            Some((kind, name)) => Ok(Self { kind: kind.into(), name: name.into() }),
            None => Err(ParsePrincipalError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_colons() {
        assert_eq!("User:a:b".parse(), Ok(Principal::user("a:b")));
        assert_eq!(Principal::user("a:b").to_string(), "User:a:b");
        assert_eq!("alice".parse::<Principal>(), Err(ParsePrincipalError("alice".to_owned())));
    }
}
