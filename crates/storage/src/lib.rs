//! One partition's log on disk, in Kafka's own files: segments, indexes, leader epochs, producers, recovery.
//!
//! [`Log`] is the whole of it; [`checkpoints`] are the small files that several logs share; [`names`] says how all of
//! them are called. Nothing here knows topics, requests or replication: a log is a directory, and who owns it decides
//! when it is appended to, flushed, cleaned, truncated and deleted. Time comes in as an argument, no thread is started, and
//! calls block until the operating system has answered.

pub mod checkpoints;
mod cleaner;
mod config;
mod entry_file;
mod fault;
mod leader_epochs;
mod log;
pub mod names;
mod offset_index;
mod open_files;
mod producer_entry;
mod producer_snapshot;
mod producer_state;
mod recovery;
mod retention;
mod scan;
mod segment;
mod time_index;
mod txn_index;

pub use cleaner::{CleanPlan, Cleaned, CleanerLimits, Cleaning, Dirt, Progress};
pub use config::LogConfig;
pub use fault::Fault;
pub use leader_epochs::{EpochEntry, LeaderEpochs};
pub use log::{
    AppendError, AppendOutcome, AppendRefusal, Appended, CleanedGroup, Doomed, Duplicate, FirstBatch, Flush, FlushPlan,
    Generation, Log, ReadError, ReadPlan, ReadRefusal, Replaced, Swap, TimeQuery, TimeSearch, TimestampedOffset,
};
pub use open_files::{OpenFiles, SegmentFile};
pub use producer_entry::{Origin, Producer, ProducerRefusal, WrittenBatch};
pub use recovery::{OpenHints, Recovered};
pub use txn_index::AbortedTxn;
