//! What the rest of the node holds of the metadata quorum.

use std::sync::Arc;

use parking_lot::RwLock;
use thalweg_base::metrics::Spans;
use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset, Timestamp};
use thalweg_controller::{Controller, Outcome, Refusal, Sessions};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_raft::{Effect, Quorum, Voter};
use thalweg_wire::ErrorCode;
use tokio::sync::{mpsc, oneshot, watch};

/// So many decisions may wait for the controller. Each belongs to a client that waits for its answer, and a connection
/// asks for one at a time.
pub(super) const COMMANDS_MAX: usize = 4096;

/// What a decision may look at.
pub(crate) struct Decide<'a> {
    /// The rules.
    pub(crate) controller: &'a Controller,
    /// The cluster with everything that was decided so far, committed or not.
    pub(crate) image: &'a MetadataImage,
    /// Which brokers are alive.
    pub(crate) sessions: &'a mut Sessions,
    pub(crate) now: Timestamp,
    /// The offset that the first record of this decision will have.
    pub(crate) next_offset: Offset,
    pub(crate) kraft_version: i16,
    /// The quorum itself, for whoever changes its voters or its version. What it says must be done goes into `effects`.
    pub(crate) quorum: &'a mut Quorum,
    /// What the driver does before it appends the decision's records.
    pub(crate) effects: Vec<Effect>,
    /// The time for the quorum.
    pub(crate) moment: Moment,
}

/// A decision as the driver handles it: the records to append, and whom to tell when they are committed.
pub(super) struct Decided {
    pub(super) records: Vec<MetadataRecord>,
    pub(super) answer: Answer,
}

/// Tells whoever asked that the decision is committed, or why it is not.
pub(super) type Answer = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

pub(super) type Command = Box<dyn FnOnce(&mut Decide<'_>) -> Decided + Send>;

/// The quorum as clients may see it.
#[derive(Clone, Debug)]
pub(crate) struct QuorumView {
    /// -1 while nobody is known to lead.
    pub(crate) leader: NodeId,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) high_watermark: Offset,
    pub(crate) log_end: Offset,
    pub(crate) voters: Vec<Voter>,
    /// The level of the feature `kraft.version`, which the quorum keeps.
    pub(crate) kraft_version: i16,
    /// How long decisions waited to be committed, since the node started.
    pub(crate) commits: Spans,
    /// How often a partition was given a leader that was not in sync, as far as this node has decided it.
    pub(crate) unclean_elections: u64,
}

/// What the driver publishes.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) image: Arc<MetadataImage>,
    pub(super) quorum: QuorumView,
}

/// A handle on the metadata quorum: cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct MetadataHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) published: Arc<RwLock<Published>>,
    pub(super) changes: watch::Receiver<()>,
}

impl MetadataHandle {
    /// The cluster as it is committed and as this node has acted upon it.
    pub(crate) fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.published.read().image)
    }

    /// Hears whenever there is another image.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.clone()
    }

    /// The quorum when it last committed something.
    pub(crate) fn quorum(&self) -> QuorumView {
        self.published.read().quorum.clone()
    }

    /// Has the controller decide, and waits until what it decided is committed.
    pub(crate) async fn decide<R, D>(&self, decide: D) -> Result<R, Refusal>
    where
        R: Send + 'static,
        D: FnOnce(&mut Decide<'_>) -> Result<Outcome<R>, Refusal> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let command: Command = Box::new(move |context| {
            let (records, response) = match decide(context) {
                Ok(Outcome { records, response }) => (records, Ok(response)),
                Err(refusal) => (Vec::new(), Err(refusal)),
            };
            // Whoever asked may have gone; the decision stands all the same.
            let answer = Box::new(move |committed: Result<(), Refusal>| {
                let _ = sender.send(committed.and(response));
            });
            Decided { records, answer }
        });
        let gone = || Refusal::usual(ErrorCode::NotController);
        self.commands.send(command).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }

    /// As [`Self::decide`], if the client leaves any time for it.
    pub(crate) async fn decide_within<R, D>(&self, timeout_ms: i32, decide: D) -> Result<R, Refusal>
    where
        R: Send + 'static,
        D: FnOnce(&mut Decide<'_>) -> Result<Outcome<R>, Refusal> + Send + 'static,
    {
        if timeout_ms <= 0 {
            return Err(Refusal::bare(ErrorCode::RequestTimedOut));
        }
        self.decide(decide).await
    }
}
