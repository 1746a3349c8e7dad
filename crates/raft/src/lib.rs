//! KRaft, the consensus on the metadata log, as a pure state machine (KIP-595, 630, 853, 996).
//!
//! [`Quorum`] is one replica. Its driver hands in what happened and does what it says, in order; it owns the log, the file
//! `quorum-state` and the connections. What replicas say to each other are the plain structs in [`messages`].
//!
//! - Start: [`Quorum::start`]. Time: [`Quorum::tick`] when [`Quorum::deadline`] has come.
//! - Requests of others: [`Quorum::vote_requested`], [`Quorum::begin_quorum_epoch_requested`],
//!   [`Quorum::end_quorum_epoch_requested`], [`Quorum::fetch_requested`], [`Quorum::fetch_snapshot_requested`].
//! - Answers: [`Quorum::answered`]. The log: [`Quorum::appended`], [`Quorum::replicated`], [`Quorum::flushed`],
//!   [`Quorum::snapshot_written`], [`Quorum::snapshot_installed`].
//! - Voters: [`Quorum::add_voter`], [`Quorum::remove_voter`], [`Quorum::update_voter_requested`], [`Quorum::upgrade`].
//!
//! A node that is the only voter elects itself at once. It is the same machine as with three:
//!
//! ```
//! use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, Uuid};
//! use thalweg_raft::*;
//!
//! let key = ReplicaKey { id: NodeId(1), directory: Some(Uuid([7; 16])) };
//! let local = Voter {
//!     key,
//!     endpoints: vec![Endpoint { listener: "CONTROLLER".into(), host: "localhost".into(), port: 9093 }],
//!     kraft_version_min: KRaftVersion::STATIC,
//!     kraft_version_max: KRaftVersion::DYNAMIC,
//! };
//! let start = Start {
//!     static_voters: Voters::new([local.clone()]),
//!     local,
//!     may_become_voter: true,
//!     election: None,
//!     log: LocalLog::default(),
//!     bootstrap: vec![Peer::Node(NodeId(1))],
//!     settings: Settings::default(),
//!     seed: 42,
//! };
//! let epoch = LeaderEpoch(1);
//! let (mut quorum, effects) = Quorum::start(start, Moment(0));
//! let leader_change =
//!     ControlRecord::LeaderChange { leader: NodeId(1), voters: vec![NodeId(1)], granting: vec![NodeId(1)] };
//! assert_eq!(effects, [
//!     Effect::Persist(ElectionState { epoch, leader: None, voted: Some(key) }),
//!     Effect::Persist(ElectionState { epoch, leader: Some(NodeId(1)), voted: None }),
//!     Effect::BecameLeader { epoch, start: Offset(0) },
//!     Effect::Append(vec![leader_change]),
//! ]);
//!
//! // The driver has appended the control batch; then it appends records of its own, and flushes.
//! assert_eq!(quorum.appended(Offset(1), Moment(1)), []);
//! assert_eq!(quorum.appended(Offset(5), Moment(2)), []);
//! assert_eq!(quorum.flushed(Offset(5), Moment(3)), [Effect::HighWatermark(Offset(5))]);
//! ```

mod drive;
mod election_state;
mod json;
mod leading;
mod links;
mod log_view;
pub mod messages;
mod quorum;
mod reconfigure;
mod requests;
mod responses;
mod role;
mod voters;

#[cfg(test)]
mod tests;

pub use election_state::{ElectionState, ParseElectionStateError};
pub use leading::Progress;
pub use log_view::{Change, EpochStart, LocalLog, OffsetAndEpoch};
pub use messages::{
    Ballot, BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest, Fetched, Peer,
    QuorumError, Reply, Request, RequestId, Response, SnapshotPiece, UpdateVoterRequest, VoteRequest,
};
pub use quorum::{ControlRecord, Effect, Effects, Quorum, Settings, Start};
pub use reconfigure::{VersionRefusal, VoterRefusal};
pub use requests::Answered;
pub use voters::{Endpoint, KRaftVersion, ReplicaKey, Voter, Voters};
