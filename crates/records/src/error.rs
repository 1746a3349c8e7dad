//! What can be wrong with the bytes of a batch.

use crate::Compression;

/// Why bytes are not the batch, or the record, that they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end inside a batch: normal at the end of a fetch response or of a log that was being written.
    #[error("batch needs {need} bytes where {have} are left")]
    Truncated {
        /// How many bytes the batch, or the part of its header that is read next, has.
        need: usize,
        /// How many there are.
        have: usize,
    },
    /// The length field is smaller than any batch of that format.
    #[error("batch length {0} is less than the smallest batch")]
    Length(i32),
    /// The format byte is none of 0, 1 and 2.
    #[error("batch format (magic) {0} is unknown")]
    Magic(i8),
    /// The checksum does not match the bytes.
    #[error("batch is corrupt: stored crc {stored}, computed crc {computed}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The compression bits name no codec.
    #[error("compression type id {0} is unknown")]
    Codec(u8),
    /// The compressed stream cannot be read.
    #[error("{codec} stream of a batch is broken: {reason}")]
    Compressed {
        /// The codec of the stream.
        codec: Compression,
        /// What its decoder says.
        reason: String,
    },
    /// The decompressed records are larger than the caller allows.
    #[error("decompressed records take more than {limit} bytes")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// A record, or the number of records, does not fit what its batch says.
    #[error("batch holds an invalid record: {0}")]
    Record(&'static str),
}

impl BatchError {
    /// Whether more bytes could make the batch readable.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Truncated { .. })
    }
}

/// What is wrong inside a record. One byte, so that the loops over records pass it in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    VarintTooLong,
    EndsInField,
    RecordTooLong,
    FieldTooLong,
    FieldsTooShort,
    HeaderWithoutName,
    HeaderCount,
    BytesLeft,
}

impl From<Fault> for BatchError {
    fn from(fault: Fault) -> Self {
        Self::Record(match fault {
            Fault::VarintTooLong => "a varint does not end",
            Fault::EndsInField => "a record ends inside a field",
            Fault::RecordTooLong => "a record is longer than its batch",
            Fault::FieldTooLong => "a field is longer than its record",
            Fault::FieldsTooShort => "a record is longer than its fields",
            Fault::HeaderWithoutName => "a header has no name",
            Fault::HeaderCount => "the number of headers is impossible",
            Fault::BytesLeft => "bytes are left after the last record",
        })
    }
}
