//! What the controller answers with: records and a response, or a refusal.

use bytestring::ByteString;
use thalweg_metadata::MetadataRecord;
use thalweg_wire::ErrorCode;

/// What a decision comes to. The driver appends the records, replays them, and answers with the response when they are
/// committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome<R> {
    /// What changes. They count together: the driver appends them as one batch, or within a metadata transaction.
    pub records: Vec<MetadataRecord>,
    /// What the client is told.
    pub response: R,
}

impl<R> Outcome<R> {
    /// A response without a change.
    pub fn unchanged(response: R) -> Self {
        Self { records: Vec::new(), response }
    }
}

/// Why a request, or one item of it, is refused: Kafka's error code and Kafka's sentence, which tools print.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", code.name(), message.as_deref().unwrap_or(code.message()))]
pub struct Refusal {
    /// The error code.
    pub code: ErrorCode,
    /// The sentence that goes with it, where Kafka sends one.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal with a sentence of its own.
    pub fn because(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// A refusal with the sentence that belongs to the code.
    #[must_use]
    pub fn usual(code: ErrorCode) -> Self {
        Self::because(code, code.message())
    }

    /// A refusal without a sentence.
    #[must_use]
    pub fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }

    /// The sentence as responses carry it.
    #[must_use]
    pub fn text(&self) -> Option<ByteString> {
        self.message.as_deref().map(ByteString::from)
    }
}

/// An error code and a message as the items of a response carry them: 0 and none if nothing is refused.
pub(crate) fn parts<T>(result: &Result<T, Refusal>) -> (i16, Option<ByteString>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(refusal) => (refusal.code.code(), refusal.text()),
    }
}
