//! What replicas of the metadata log say to each other. The driver turns these into Kafka's requests and back.

use thalweg_base::{LeaderEpoch, NodeId, Offset};

use crate::log_view::OffsetAndEpoch;
use crate::voters::{Endpoint, ReplicaKey, Voter};

/// Whom a request is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A node whose endpoints are known: a voter, or the leader.
    Node(NodeId),
    /// The n-th of `controller.quorum.bootstrap.servers`: which node that is, only its answer tells.
    Bootstrap(usize),
}

/// Tells the answers to one replica's requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request from one replica to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `Vote`.
    Vote(VoteRequest),
    /// `BeginQuorumEpoch`.
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    /// `EndQuorumEpoch`.
    EndQuorumEpoch(EndQuorumEpochRequest),
    /// `Fetch` of the metadata log.
    Fetch(FetchRequest),
    /// `FetchSnapshot`.
    FetchSnapshot(FetchSnapshotRequest),
    /// `UpdateRaftVoter`.
    UpdateVoter(UpdateVoterRequest),
    /// `AddRaftVoter`, to be answered as soon as it is appended: this replica wants to vote.
    AddVoter(Voter),
    /// `RemoveRaftVoter`: this replica's node once voted with another directory.
    RemoveVoter(ReplicaKey),
}

/// Asks for a vote, or (pre-vote, KIP-996) whether there would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The epoch to be elected for; for a pre-vote the current one.
    pub epoch: LeaderEpoch,
    /// Who wants to be elected.
    pub candidate: ReplicaKey,
    /// Whom it asks, if the request names it.
    pub voter: Option<ReplicaKey>,
    /// Where the candidate's log ends.
    pub log_end: OffsetAndEpoch,
    /// Only a pre-vote.
    pub pre_vote: bool,
}

/// Tells a voter who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginQuorumEpochRequest {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The leader.
    pub leader: NodeId,
    /// Whom it tells, if the request names it.
    pub voter: Option<ReplicaKey>,
    /// Where the leader listens; empty in old versions.
    pub endpoints: Vec<Endpoint>,
}

/// Tells a voter that the leader steps down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndQuorumEpochRequest {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The leader.
    pub leader: NodeId,
    /// Who should be elected next, best first.
    pub preferred: Vec<ReplicaKey>,
    /// Where the leader listens; empty in old versions.
    pub endpoints: Vec<Endpoint>,
}

/// Asks for records, and tells how far the replica's own log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    /// Who asks. A negative id: no replica at all.
    pub replica: ReplicaKey,
    /// The epoch that it knows.
    pub epoch: LeaderEpoch,
    /// Where its log ends, with the epoch of its last record.
    pub log_end: OffsetAndEpoch,
    /// The high watermark that it knows, `None` if none or in old versions.
    pub high_watermark: Option<Offset>,
}

/// Asks for a piece of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSnapshotRequest {
    /// Who asks.
    pub replica: ReplicaKey,
    /// The epoch that it knows.
    pub epoch: LeaderEpoch,
    /// The snapshot.
    pub snapshot: OffsetAndEpoch,
    /// From which byte on.
    pub position: u64,
}

/// Tells the leader where a voter listens and what it supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateVoterRequest {
    /// The epoch that it knows.
    pub epoch: LeaderEpoch,
    /// The voter as it is now.
    pub voter: Voter,
}

/// An error that replicas answer with, as the protocol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumError {
    /// `FENCED_LEADER_EPOCH`: the request is of an older epoch.
    FencedLeaderEpoch,
    /// `UNKNOWN_LEADER_EPOCH`: the request is of a newer epoch.
    UnknownLeaderEpoch,
    /// `NOT_LEADER_OR_FOLLOWER`.
    NotLeaderOrFollower,
    /// `BROKER_NOT_AVAILABLE`: the node is shutting down.
    BrokerNotAvailable,
    /// `INVALID_REQUEST`.
    InvalidRequest,
    /// `INVALID_VOTER_KEY`: the request was meant for another replica.
    InvalidVoterKey,
    /// `SNAPSHOT_NOT_FOUND`.
    SnapshotNotFound,
    /// `POSITION_OUT_OF_RANGE`.
    PositionOutOfRange,
    /// `UNSUPPORTED_VERSION`.
    UnsupportedVersion,
    /// `VOTER_NOT_FOUND`.
    VoterNotFound,
    /// `DUPLICATE_VOTER`.
    DuplicateVoter,
    /// `REQUEST_TIMED_OUT`.
    RequestTimedOut,
    /// `INCONSISTENT_CLUSTER_ID`: the other replica is of another cluster.
    InconsistentClusterId,
    /// No answer, since the connection was refused or has ended: the process at the other end is probably gone.
    ConnectionLost,
    /// Any other error, or no answer in time.
    Other,
}

/// An answer. Every answer tells what its sender knows about the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// The sender's epoch.
    pub epoch: LeaderEpoch,
    /// Who leads in that epoch, as far as the sender knows.
    pub leader: Option<NodeId>,
    /// Where the leader listens; empty in old versions.
    pub endpoints: Vec<Endpoint>,
    /// What was asked for.
    pub result: Result<T, QuorumError>,
}

/// Whether a vote was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballot {
    /// Yes.
    Granted,
    /// No.
    Rejected,
}

/// The leader's answer to a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The logs agree: records from the fetch offset on may follow.
    Records {
        /// The leader's high watermark; `None`: not known yet in this epoch.
        high_watermark: Option<Offset>,
    },
    /// The follower's log goes on after the end of an epoch as the leader knows it: truncate.
    Diverging(OffsetAndEpoch),
    /// The follower is too far behind for the log: fetch this snapshot first.
    Snapshot(OffsetAndEpoch),
}

/// A piece of a snapshot, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPiece {
    /// The snapshot.
    pub snapshot: OffsetAndEpoch,
    /// How long the whole snapshot is.
    pub size: u64,
    /// Where in it this piece begins.
    pub position: u64,
    /// How long this piece is.
    pub length: u64,
}

/// The answer to a request. A request that was not answered in time is answered with [`Response::Failed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To `Vote`.
    Vote(Reply<Ballot>),
    /// To `BeginQuorumEpoch`.
    BeginQuorumEpoch(Reply<()>),
    /// To `EndQuorumEpoch`.
    EndQuorumEpoch(Reply<()>),
    /// To `Fetch`. The flag says whether there are records in it.
    Fetch {
        /// What the leader says.
        reply: Reply<Fetched>,
        /// Whether records came along; the driver keeps them until it is told to append them.
        has_records: bool,
    },
    /// To `FetchSnapshot`; the driver keeps the bytes until it is told to write them.
    FetchSnapshot(Reply<SnapshotPiece>),
    /// To `UpdateRaftVoter`.
    UpdateVoter(Reply<()>),
    /// To `AddRaftVoter` and `RemoveRaftVoter`, which tell nothing about the leader.
    VotersChanged(Result<(), QuorumError>),
    /// An error without a reply: an error for the whole request, or a connection lost or refused.
    Failed(QuorumError),
}
