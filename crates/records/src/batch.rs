//! Looking at batches without changing them.

use bytes::Bytes;
use thalweg_base::{Offset, Timestamp};

use crate::compression::decompress;
use crate::header::ATTRIBUTES_AT;
use crate::record::RecordIter;
use crate::stream::Scratch;
use crate::{BatchError, BatchHeader, Compression, HEAD, crc32c, legacy};

/// One whole batch, of any format, as it lies in a request, a response or a log.
///
/// Invariant: the bytes are exactly those of the batch, and the header is what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchView {
    header: BatchHeader,
    bytes: Bytes,
}

impl BatchView {
    /// The batch at the start of `bytes`; what follows it is left out. The checksum is not looked at.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let need = header.size();
        if bytes.len() < need {
            return Err(BatchError::Truncated { need, have: bytes.len() });
        }
        Ok(Self { header, bytes: bytes.slice(..need) })
    }

    /// The parsed header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch with its header.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The size of the whole batch in bytes; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The header's base offset; see [`BatchHeader`] for formats before magic 2.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.header.base_offset
    }

    /// The offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.header.last_offset()
    }

    /// The offset after the last record.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.header.next_offset()
    }

    /// The largest timestamp of the records, or the log append time.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        self.header.max_timestamp
    }

    /// The offset of the first record. Only a compressed message of magic 0 or 1 has to be decompressed for it, into at
    /// most `limit` bytes.
    pub fn first_offset(&self, limit: usize) -> Result<Offset, BatchError> {
        if self.header.magic == 2 || !self.header.attributes.is_compressed() {
            return Ok(self.header.base_offset);
        }
        match self.records(limit)?.next() {
            Some(record) => Ok(self.header.offset_of(record?.offset_delta)),
            None => Err(BatchError::Record("a compressed message is empty")),
        }
    }

    /// Compares the stored checksum with the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = match self.header.magic {
            2 => crc32c(0, &self.bytes[ATTRIBUTES_AT..]),
            _ => legacy::checksum(&self.bytes),
        };
        match computed == self.header.crc {
            true => Ok(()),
            false => Err(BatchError::Crc { stored: self.header.crc, computed }),
        }
    }

    /// Finds the first record that is wanted by its offset delta and timestamp delta; gives both. Of a compressed batch of
    /// magic 2 only a small part is in memory at a time, however large it is when decompressed; others take at most
    /// `legacy_limit` bytes.
    pub fn find_record(
        &self,
        scratch: &mut Scratch,
        legacy_limit: usize,
        mut wanted: impl FnMut(i32, i64) -> bool,
    ) -> Result<Option<(i32, i64)>, BatchError> {
        let compression = self.header.attributes.compression()?;
        if self.header.magic == 2 && compression != Compression::None {
            let mut stream = scratch.stream(compression, &self.bytes[HEAD..], usize::MAX);
            for _ in 0..self.header.count {
                let record = stream.next_record()?;
                if wanted(record.offset_delta, record.timestamp_delta) {
                    return Ok(Some((record.offset_delta, record.timestamp_delta)));
                }
            }
            return Ok(None);
        }
        for record in self.records(legacy_limit)? {
            let record = record?;
            if wanted(record.offset_delta, record.timestamp_delta) {
                return Ok(Some((record.offset_delta, record.timestamp_delta)));
            }
        }
        Ok(None)
    }

    /// The records. Compressed ones are decompressed first, into at most `limit` bytes.
    pub fn records(&self, limit: usize) -> Result<RecordIter, BatchError> {
        if self.header.magic != 2 {
            return legacy::records(&self.header, &self.bytes, limit).map(RecordIter::listed);
        }
        if self.header.count == 0 {
            return RecordIter::packed(Bytes::new(), 0);
        }
        let payload = self.bytes.slice(HEAD..);
        let payload = decompress(self.header.attributes.compression()?, &payload, limit)?;
        RecordIter::packed(payload, self.header.count)
    }
}

/// Splits a run of batches. A partial batch at the end is a [`BatchError::Truncated`]; after an error nothing follows.
#[must_use]
pub fn batches(bytes: Bytes) -> Batches {
    Batches { rest: bytes, failed: false }
}

/// Made by [`batches`].
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    failed: bool,
}

impl Batches {
    /// The bytes that have not been handed out: after an error, from the batch that is wrong.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<BatchView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let batch = BatchView::parse(&self.rest);
        match &batch {
            Ok(batch) => self.rest = self.rest.slice(batch.len()..),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests;
