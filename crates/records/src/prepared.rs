//! A batch that is ready for the log.

use bytes::{BufMut, Bytes};
use thalweg_base::{LeaderEpoch, Offset, Timestamp};

use crate::header::{ATTRIBUTES_AT, CRC_AT};
use crate::{BatchError, BatchHeader, BatchView, HEAD, TimestampType, crc32c};

const EPOCH_AT: usize = 12;
const MAX_TIMESTAMP_AT: usize = 35;

/// A magic 2 batch as it is going to be written: a patched copy of its header, and its records untouched where the
/// request left them. The two are one vectored write; neither the request nor the records are copied.
///
/// Invariant: head and tail together are one whole batch with a right checksum, if they were so when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedBatch {
    head: [u8; HEAD],
    tail: Bytes,
}

impl PreparedBatch {
    /// The batch at the start of `bytes`, taken as it is; what follows it is left out. Only magic 2 can be prepared.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        Self::from_view(&BatchView::parse(bytes)?)
    }

    /// The batch of `view`, taken as it is: how a follower appends what its leader sent. Only magic 2 can be prepared.
    pub fn from_view(view: &BatchView) -> Result<Self, BatchError> {
        if view.header().magic != 2 {
            return Err(BatchError::Magic(view.header().magic));
        }
        let mut head = [0; HEAD];
        head.copy_from_slice(&view.bytes()[..HEAD]);
        Ok(Self { head, tail: view.bytes().slice(HEAD..) })
    }

    /// Sets what the leader decides: where the batch begins and in which epoch it was appended. Neither is part of the
    /// checksum.
    pub fn assign(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        (&mut self.head[..]).put_i64(base_offset.0);
        (&mut self.head[EPOCH_AT..]).put_i32(leader_epoch.0);
    }

    /// Sets the timestamp type and the max timestamp, and the checksum with them. Unchanged values cost nothing.
    pub(crate) fn set_timestamps(&mut self, timestamp_type: TimestampType, max_timestamp: Timestamp) {
        let header = self.header();
        if header.attributes.timestamp_type() == timestamp_type && header.max_timestamp == max_timestamp {
            return;
        }
        let attributes = header.attributes.defined().with_timestamp_type(timestamp_type);
        (&mut self.head[ATTRIBUTES_AT..]).put_i16(attributes.0);
        (&mut self.head[MAX_TIMESTAMP_AT..]).put_i64(max_timestamp.0);
        let crc = crc32c(crc32c(0, &self.head[ATTRIBUTES_AT..]), &self.tail);
        (&mut self.head[CRC_AT..]).put_u32(crc);
    }

    /// The header as it stands.
    #[must_use]
    pub fn header(&self) -> BatchHeader {
        BatchHeader::parse_v2(&self.head)
    }

    /// The first [`HEAD`] bytes, to be written first.
    #[must_use]
    pub fn head(&self) -> &[u8; HEAD] {
        &self.head
    }

    /// The records, to be written after the head.
    #[must_use]
    pub fn tail(&self) -> &Bytes {
        &self.tail
    }

    /// The size of the whole batch in bytes; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        HEAD + self.tail.len()
    }

    /// The offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.header().base_offset
    }

    /// The offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.header().last_offset()
    }

    /// The largest timestamp of the records, or the log append time.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        self.header().max_timestamp
    }

    /// The whole batch in one buffer, copied.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(&self.tail);
        Bytes::from(bytes)
    }
}
