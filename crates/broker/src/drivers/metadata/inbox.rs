//! What the quorum's task is asked by the rest of the node.

use bytes::Bytes;
use thalweg_base::{Moment, NodeId, Offset};
use thalweg_controller::{Context, Request};
use thalweg_raft::{
    Ballot, BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest, Fetched, Progress,
    ReplicaKey, Reply, UpdateVoterRequest, VoteRequest, Voter,
};
use tokio::sync::oneshot;

use super::active::{AnswerSender, AnswerWhen};

/// So many requests may wait for the quorum's task. Each belongs to a client or a node that waits for its answer, and a
/// connection asks for one at a time.
pub(super) const INBOX_MAX: usize = 4096;

/// A request to the active controller.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) context: Context,
    pub(super) request: Request,
    pub(super) when: AnswerWhen,
    pub(super) to: AnswerSender,
}

/// A fetch of the metadata log.
#[derive(Clone, Debug)]
pub(crate) struct LogFetch {
    pub(crate) request: FetchRequest,
    /// About so many bytes are sent at most.
    pub(crate) max_bytes: usize,
    /// Until when it may wait for something new.
    pub(crate) deadline: Moment,
}

/// What answers a [`LogFetch`].
#[derive(Debug)]
pub(crate) struct FetchAnswer {
    pub(crate) reply: Reply<Fetched>,
    pub(crate) log_start: Offset,
    pub(crate) records: Bytes,
}

/// What answers a fetch of a snapshot: its size and a piece of it.
#[derive(Debug)]
pub(crate) struct SnapshotAnswer {
    pub(crate) reply: Reply<()>,
    pub(crate) size: u64,
    pub(crate) piece: Bytes,
}

/// What a leader knows of the quorum, for DescribeQuorum.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) reply: Reply<()>,
    pub(crate) high_watermark: Offset,
    pub(crate) log_end: Offset,
    pub(crate) voters: Vec<Voter>,
    /// Whether directories tell voters apart.
    pub(crate) has_directories: bool,
    /// The replicas that have fetched in this epoch.
    pub(crate) replicas: Vec<(ReplicaKey, Progress)>,
    /// The moment of the description, to which those of the replicas compare.
    pub(crate) now: Moment,
}

/// A request of another replica of the metadata log.
#[derive(Debug)]
pub(crate) enum Rpc {
    Vote(VoteRequest, oneshot::Sender<Reply<Ballot>>),
    BeginQuorumEpoch(BeginQuorumEpochRequest, oneshot::Sender<Reply<()>>),
    EndQuorumEpoch(EndQuorumEpochRequest, oneshot::Sender<Reply<()>>),
    UpdateVoter(UpdateVoterRequest, oneshot::Sender<Reply<()>>),
    Fetch(LogFetch, oneshot::Sender<FetchAnswer>),
    /// With the number of bytes that the piece may have.
    FetchSnapshot(FetchSnapshotRequest, usize, oneshot::Sender<SnapshotAnswer>),
    Describe(oneshot::Sender<Description>),
}

/// Whatever comes in.
#[derive(Debug)]
pub(super) enum Event {
    Asked(Box<Asked>),
    Rpc(Rpc),
    /// The connection by which a broker reported has ended.
    BrokerLost(NodeId),
}
