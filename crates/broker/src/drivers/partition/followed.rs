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
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FollowedUp {
    /// To ask on from here.
    Next(FetchFrom),
    /// The log was cut: the checkpoints are to be written, then to ask on from here.
    Cut(FetchFrom),
    /// To ask the leader where its log begins and ends.
    AskForEnds,
    /// To ask again later.
    Later,
    /// Not to ask: the partition has another leader or is gone, and the metadata says more.
    Stop,
}

impl FollowedUp {
    pub(super) fn after(next: Option<FetchFrom>, was_cut: bool) -> Self {
        match next {
            None => Self::Stop,
            Some(next) if was_cut => Self::Cut(next),
            Some(next) => Self::Next(next),
        }
    }
}
