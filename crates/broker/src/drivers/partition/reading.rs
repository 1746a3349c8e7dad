//! What is read of a partition: by whom, how far, and what a look finds.

use thalweg_base::{NodeId, Offset, Timestamp};
use thalweg_replica::epochs::EpochEnd;
use thalweg_storage::{AbortedTxn, ReadPlan};
use thalweg_wire::ErrorCode;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A client: up to the high watermark.
    Consumer,
    /// Another replica: up to the end of the log.
    Follower(NodeId),
}

/// How far a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// To the high watermark.
    ReadUncommitted,
    /// To the first record of a transaction that is still open.
    ReadCommitted,
    /// To the end of the log: replicas.
    LogEnd,
}

/// What a look at a partition found, before any record is read.
pub(crate) struct Look {
    pub(crate) error: ErrorCode,
    /// -1 with an error.
    pub(crate) high_watermark: Offset,
    /// -1 with an error.
    pub(crate) last_stable: Offset,
    /// -1 with an error.
    pub(crate) log_start: Offset,
    /// The client's log has another history from here on.
    pub(crate) diverging: Option<EpochEnd>,
    /// What to read, if there is something.
    pub(crate) read: Option<ReadPlan>,
    /// The transactions in what is read that were aborted, for a reader of committed records.
    pub(crate) aborted: Vec<AbortedTxn>,
}

impl Look {
    /// Nothing but an error.
    pub(crate) fn refused(error: ErrorCode) -> Self {
        let unknown = Offset(-1);
        Self {
            error,
            high_watermark: unknown,
            last_stable: unknown,
            log_start: unknown,
            diverging: None,
            read: None,
            aborted: Vec::new(),
        }
    }

    /// How many bytes of records there are to read.
    pub(crate) fn bytes(&self) -> usize {
        self.read.as_ref().map_or(0, ReadPlan::len)
    }
}

/// What `ListOffsets` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetQuery {
    Latest,
    Earliest,
    MaxTimestamp,
    EarliestLocal,
    LatestTiered,
    EarliestPendingUpload,
    /// The first record that is not older than this.
    At(Timestamp),
}
