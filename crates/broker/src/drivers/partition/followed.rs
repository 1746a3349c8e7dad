//! What a leader answers about a partition that is followed here, and what follows from it.

use bytes::Bytes;
use thalweg_base::Offset;
use thalweg_replica::FetchFrom;
use thalweg_replica::epochs::EpochEnd;
use thalweg_wire::ErrorCode;

/// What a leader has answered about one partition.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Records, perhaps none.
    Records { bytes: Bytes, high_watermark: Offset, log_start: Offset },
    /// The logs part where this epoch ends in the leader's.
    Diverging(EpochEnd),
    /// The leader's log begins and ends elsewhere.
    OutOfRange { start: Offset, end: Offset },
    /// An error.
    Failed(ErrorCode),
}

impl Fetched {
    /// How many bytes of records it has.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Records { bytes, .. } => bytes.len(),
            Self::Diverging(_) | Self::OutOfRange { .. } | Self::Failed(_) => 0,
        }
    }

    /// Whether the log may lose records by it.
    pub(crate) fn may_cut(&self) -> bool {
        matches!(self, Self::Diverging(_) | Self::OutOfRange { .. })
    }
}

/// What must be done before a partition is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeforeNext {
    Nothing,
    /// The topic wants the log to be flushed.
    Flush,
    /// The log was cut: the checkpoint files are to be written.
    Checkpoint,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowedUp {
    /// To ask on from here, once that was done.
    Next(FetchFrom, BeforeNext),
    /// To ask the leader where its log begins and ends.
    AskForEnds,
    /// To ask again later.
    Later,
    /// Not to ask: the partition has another leader or is gone, and the metadata says more.
    Stop,
}

impl FollowedUp {
    pub(super) fn after(next: Option<FetchFrom>, before: BeforeNext) -> Self {
        next.map_or(Self::Stop, |next| Self::Next(next, before))
    }
}
