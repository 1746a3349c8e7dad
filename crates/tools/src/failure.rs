//! How a tool fails.

use crate::thrown::Thrown;

/// Why a tool ends without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line is wrong: the message and all options go to standard error, and the exit code is 1.
    Usage(String),
    /// The message goes to standard error, and the exit code is 1.
    Message(String),
    /// An exception that the tool does not handle itself; how it is shown is the tool's.
    Thrown(Thrown),
    /// All has been said; the exit code is this.
    Exit(u8),
}

impl From<Thrown> for Failure {
    fn from(thrown: Thrown) -> Self {
        Self::Thrown(thrown)
    }
}
