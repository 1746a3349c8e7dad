//! What can be wrong with bytes that are read, and with values that are written.

use thiserror::Error;

/// The bytes are not an encoding of the message that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{problem} at byte {at}")]
pub struct DecodeError {
    /// What is wrong.
    pub problem: DecodeProblem,
    /// Where, counted from the first byte that the reader was made of.
    pub at: usize,
}

/// What can be wrong with an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeProblem {
    /// The bytes end inside of a value.
    #[error("the bytes end inside of a value")]
    Truncated,
    /// A variable-length number has more bytes than its type allows.
    #[error("a variable-length number is too long")]
    Varint,
    /// A string or an array has a length that no string or array of this protocol has.
    #[error("a length is not valid")]
    Length,
    /// An array declares more elements than there are bytes left.
    #[error("an array declares more elements than there are bytes")]
    Count,
    /// The elements of arrays would take far more memory than the bytes.
    #[error("the elements of arrays take too much memory")]
    Memory,
    /// A value is null that may not be.
    #[error("a value is null that may not be null")]
    Null,
    /// A tagged field does not end where its size says.
    #[error("a tagged field does not have the size that it declares")]
    TagSize,
    /// The message has no such version.
    #[error("there is no version {0}")]
    Version(i16),
}

/// The value cannot be encoded at the version that was asked for. This is a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// A field has another value than its default, and this version does not have the field.
    #[error("{0} is set, but this version does not have it")]
    Unsupported(&'static str),
    /// A field is null that may not be null in this version.
    #[error("{0} may not be null in this version")]
    Null(&'static str),
    /// A string has more than 32767 bytes, or an array or a byte string more than 2 GiB.
    #[error("a string or an array is too long")]
    TooLong,
    /// The message has no such version.
    #[error("{name} has no version {version}")]
    Version {
        /// The message.
        name: &'static str,
        /// The version that was asked for.
        version: i16,
    },
}
