//! What this node is for a partition: its leader, one of its followers, or neither.

use thalweg_base::{LeaderEpoch, Offset};
use thalweg_replica::{Follower, Leader, LogEnds, Refusal};

/// The part that this node plays, with the machine that decides about it. The high watermark outlives every change of part.
#[derive(Debug)]
pub(super) enum Role {
    /// Nobody leads the partition, or its log cannot be used.
    Idle {
        high_watermark: Offset,
    },
    Leader(Leader),
    Follower(Follower),
}

impl Role {
    pub(super) fn high_watermark(&self) -> Offset {
        match self {
            Self::Idle { high_watermark } => *high_watermark,
            Self::Leader(leader) => leader.high_watermark(),
            Self::Follower(follower) => follower.high_watermark(),
        }
    }

    pub(super) fn leader(&self) -> Option<&Leader> {
        match self {
            Self::Leader(leader) => Some(leader),
            Self::Idle { .. } | Self::Follower(_) => None,
        }
    }

    pub(super) fn follower(&self) -> Option<&Follower> {
        match self {
            Self::Follower(follower) => Some(follower),
            Self::Idle { .. } | Self::Leader(_) => None,
        }
    }

    pub(super) fn leader_mut(&mut self) -> Option<&mut Leader> {
        match self {
            Self::Leader(leader) => Some(leader),
            Self::Idle { .. } | Self::Follower(_) => None,
        }
    }

    /// Whether a request that names this leader epoch is meant for this replica now; `None` if it is neither leader nor
    /// follower.
    pub(super) fn check_epoch(&self, epoch: Option<LeaderEpoch>) -> Option<Result<(), Refusal>> {
        match self {
            Self::Leader(leader) => Some(leader.check_epoch(epoch)),
            Self::Follower(follower) => Some(follower.check_epoch(epoch)),
            Self::Idle { .. } => None,
        }
    }

    /// The epoch of the leader that this replica is or follows.
    pub(super) fn leader_epoch(&self) -> Option<LeaderEpoch> {
        match self {
            Self::Leader(leader) => Some(leader.leader_epoch()),
            Self::Follower(follower) => Some(follower.leader_epoch()),
            Self::Idle { .. } => None,
        }
    }

    /// It plays no part any more.
    pub(super) fn stand_by(&mut self) {
        *self = Self::Idle { high_watermark: self.high_watermark() };
    }

    /// Where a log with these ends stands as this node takes another part.
    pub(super) fn ends(&self, start: Offset, end: Offset) -> LogEnds {
        LogEnds { start, end, high_watermark: self.high_watermark() }
    }
}
