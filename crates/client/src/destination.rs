//! Which node a request is for.

use std::fmt;
use std::sync::Arc;

use thalweg_base::{NodeId, TopicPartition};
use thalweg_wire::{Codec, ErrorCode};

/// Which node a request is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// Any node.
    Any,
    /// The controller, or a broker that forwards to it.
    Controller,
    /// The node with this id.
    Node(NodeId),
    /// The leader of a partition.
    Leader(TopicPartition),
    /// The coordinator of a consumer group, classic or not.
    GroupCoordinator(Arc<str>),
    /// The coordinator of a `transactional.id`.
    TransactionCoordinator(Arc<str>),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any node"),
            Self::Controller => f.write_str("the controller"),
            Self::Node(id) => write!(f, "node {id}"),
            Self::Leader(partition) => write!(f, "the leader of {partition}"),
            Self::GroupCoordinator(group) => write!(f, "the coordinator of group {group}"),
            Self::TransactionCoordinator(id) => write!(f, "the coordinator of transactional id {id}"),
        }
    }
}

impl Destination {
    /// The error code of a response that says that its request should be sent again, because it met the wrong node or one
    /// that is not ready. Of several codes the first such counts.
    pub(crate) fn missed_by<R: Codec>(&self, response: &R) -> Option<ErrorCode> {
        let mut missed = None;
        response.errors(&mut |code| {
            let code = ErrorCode::from(code);
            if missed.is_none() && self.is_missed(code) {
                missed = Some(code);
            }
        });
        missed
    }

    fn is_missed(&self, code: ErrorCode) -> bool {
        match self {
            Self::Node(_) => false,
            // A broker says so when the controller that it asked is no longer the active one; a controller that is asked
            // about the quorum says that it is not its leader.
            Self::Any | Self::Controller => {
                matches!(code, ErrorCode::NotController | ErrorCode::NotLeaderOrFollower)
            }
            Self::Leader(_) => matches!(
                code,
                ErrorCode::NotLeaderOrFollower
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::ReplicaNotAvailable
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::OffsetNotAvailable
            ),
            Self::GroupCoordinator(_) | Self::TransactionCoordinator(_) => matches!(
                code,
                ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_wire::messages::HeartbeatResponse;

    use super::*;

    #[test]
    fn only_what_has_to_do_with_the_node_is_sent_again() {
        let group = Destination::GroupCoordinator("g".into());
        let answer = |code: ErrorCode| HeartbeatResponse { error_code: code.code(), ..HeartbeatResponse::default() };
        assert_eq!(group.missed_by(&answer(ErrorCode::NotCoordinator)), Some(ErrorCode::NotCoordinator));
        assert_eq!(group.missed_by(&answer(ErrorCode::UnknownMemberId)), None);
        assert_eq!(Destination::Any.missed_by(&answer(ErrorCode::NotCoordinator)), None);
        let not_leader = answer(ErrorCode::NotLeaderOrFollower);
        assert_eq!(Destination::Controller.missed_by(&not_leader), Some(ErrorCode::NotLeaderOrFollower));
        assert_eq!(Destination::Node(NodeId(1)).missed_by(&not_leader), None);
    }
}
