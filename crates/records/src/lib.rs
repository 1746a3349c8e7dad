//! Record batches, the unit that producers send, logs store and consumers fetch.
//!
//! The bytes on the wire, on disk and in memory are the same (KIP-98, magic 2), so most of this crate looks at
//! batches without changing them: [`BatchHeader`] reads the first bytes, [`batches`] splits a run of batches,
//! [`BatchView::records`] walks the records of one. [`validate::validate`] is what a leader does with the batch of a
//! producer; its result, [`PreparedBatch`], is written to the log without copying the records. [`BatchBuilder`]
//! makes new batches, [`control`] the records inside control batches.
//!
//! The formats before magic 2 are only read, from logs that old brokers wrote; nothing converts between formats, as
//! in Kafka 4.
//!
//! Bytes from the network or the disk never panic here and never take more memory than the caller's limit.

mod batch;
mod builder;
mod checksum;
pub mod compression;
pub mod control;
mod error;
mod header;
mod legacy;
mod prepared;
mod record;
mod stream;
pub mod validate;
mod varint;

pub use batch::{BatchView, Batches, batches};
pub use builder::{BatchBuilder, BatchOptions, empty_batch, with_producer};
pub use checksum::crc32c;
pub use compression::{Codec, Compression};
pub use error::BatchError;
pub use header::{Attributes, BatchHeader, HEAD, LOG_OVERHEAD, TimestampType, frame_size, sequence_after};
pub use prepared::PreparedBatch;
pub use record::{Record, RecordHeader, RecordIter};
