//! What a replica is at the moment, and what it must remember for that.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::{Moment, NodeId, Offset};

use crate::leading::Leading;
use crate::log_view::OffsetAndEpoch;
use crate::messages::Ballot;
use crate::voters::{Endpoint, ReplicaKey, Voters};

/// What a replica is at the moment. Observers are Unattached or Followers that are no voters.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// It looks for the leader.
    Unattached { leader: Option<NodeId>, voted: Option<ReplicaKey>, election_at: Option<Moment> },
    /// It copies a leader's log.
    Follower(Following),
    /// It asks the others whether an election would make sense (KIP-996).
    Prospective(Prospecting),
    /// It has voted for itself and asks for votes.
    Candidate { votes: Votes, election_at: Moment },
    /// It leads.
    Leader(Leading),
    /// It has led in this epoch and does not any longer; others may be elected.
    Resigned { election_at: Moment, unacknowledged: BTreeSet<NodeId>, preferred: Vec<ReplicaKey> },
}

/// What a follower remembers.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    pub(crate) leader: NodeId,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) voted: Option<ReplicaKey>,
    /// Without a successful fetch until then, a voter thinks of an election.
    pub(crate) fetch_deadline: Moment,
    pub(crate) has_fetched: bool,
    /// The snapshot that is being fetched, and how much of it is here.
    pub(crate) snapshot: Option<(OffsetAndEpoch, u64)>,
    pub(crate) leaders_high_watermark: Option<Offset>,
    /// The driver was told to append or install and has not reported yet.
    pub(crate) busy: bool,
    pub(crate) update_voter_at: Moment,
    pub(crate) has_updated_leader: bool,
}

/// What a prospective candidate remembers.
#[derive(Clone, Debug)]
pub(crate) struct Prospecting {
    pub(crate) leader: Option<NodeId>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) voted: Option<ReplicaKey>,
    pub(crate) votes: Votes,
    pub(crate) election_at: Moment,
}

/// The votes of one election, among the voters at its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Votes(BTreeMap<NodeId, (ReplicaKey, Option<Ballot>)>);

impl Votes {
    /// An election in which `local` has voted for itself.
    pub(crate) fn new(voters: &Voters, local: NodeId) -> Self {
        let own = |id| (id == local).then_some(Ballot::Granted);
        Self(voters.iter().map(|voter| (voter.key.id, (voter.key, own(voter.key.id)))).collect())
    }

    /// Counts a vote. Who is no voter has none.
    pub(crate) fn record(&mut self, voter: NodeId, ballot: Ballot) {
        if let Some((_, recorded)) = self.0.get_mut(&voter) {
            *recorded = Some(ballot);
        }
    }

    pub(crate) fn is_won(&self) -> bool {
        self.count(Some(Ballot::Granted)) >= self.majority()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.count(Some(Ballot::Granted)) + self.count(None) < self.majority()
    }

    /// The voters that have not answered.
    pub(crate) fn missing(&self) -> Vec<ReplicaKey> {
        self.0.values().filter(|(_, ballot)| ballot.is_none()).map(|(key, _)| *key).collect()
    }

    pub(crate) fn granting(&self) -> Vec<NodeId> {
        let granted = |(_, (_, ballot)): &(&NodeId, &(ReplicaKey, Option<Ballot>))| *ballot == Some(Ballot::Granted);
        self.0.iter().filter(granted).map(|(id, _)| *id).collect()
    }

    fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    fn count(&self, ballot: Option<Ballot>) -> usize {
        self.0.values().filter(|(_, recorded)| *recorded == ballot).count()
    }
}
