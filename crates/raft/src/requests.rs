//! What happens when another replica asks for something.

use std::time::Duration;

use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset};

use crate::log_view::{OffsetAndEpoch, Position};
use crate::messages::{
    Ballot, BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest, Fetched, QuorumError,
    Reply, VoteRequest,
};
use crate::quorum::{Effects, Quorum};
use crate::role::Role;
use crate::voters::{Endpoint, ReplicaKey};

/// No epoch comes after this one: who names it has gone wrong, and must not take others along.
pub(crate) const EPOCH_NEVER: LeaderEpoch = LeaderEpoch(i32::MAX);

/// What a request leads to: carry out the effects, then send the reply.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// What must be done first.
    pub effects: Effects,
    /// The answer.
    pub reply: Reply<T>,
}

impl Quorum {
    /// A replica asks for this replica's vote, or whether it would get it.
    pub fn vote_requested(&mut self, request: &VoteRequest, now: Moment) -> Answered<Ballot> {
        let result = self.vote(request, now);
        self.answer(result, now)
    }

    fn vote(&mut self, request: &VoteRequest, now: Moment) -> Result<Ballot, QuorumError> {
        let in_log = request.log_end.epoch;
        // A candidate has raised its epoch, so that no record is of that epoch yet. A pre-vote has not.
        let possible = if request.pre_vote { in_log <= request.epoch } else { in_log < request.epoch };
        if !possible || in_log.0 < 0 || request.log_end.offset < Offset::ZERO {
            return Err(QuorumError::InvalidRequest);
        }
        self.check_voters_request(request.candidate.id, request.epoch)?;
        if request.epoch > self.epoch {
            self.become_unattached(request.epoch, None, now);
        }
        if request.voter.is_some_and(|voter| !self.is_local(&voter)) {
            return Err(QuorumError::InvalidVoterKey);
        }
        if !self.would_vote_for(request) {
            return Ok(Ballot::Rejected);
        }
        if !request.pre_vote {
            self.remember_vote(request.candidate, now);
        }
        Ok(Ballot::Granted)
    }

    fn would_vote_for(&self, request: &VoteRequest) -> bool {
        let up_to_date = request.log_end >= self.log.end_and_epoch();
        let voted_or_led = match &self.role {
            Role::Unattached { voted, leader, .. } => (voted, leader),
            Role::Prospective(prospecting) => (&prospecting.voted, &prospecting.leader),
            // Who hears from its leader does not help to replace it.
            Role::Follower(following) => return request.pre_vote && !following.has_fetched && up_to_date,
            Role::Candidate { .. } | Role::Resigned { .. } => return request.pre_vote && up_to_date,
            Role::Leader(_) => return false,
        };
        match voted_or_led {
            _ if request.pre_vote => up_to_date,
            (Some(voted), _) => {
                let same_directory = voted.directory.is_none() || voted.directory == request.candidate.directory;
                voted.id == request.candidate.id && same_directory
            }
            (None, Some(_)) => false,
            (None, None) => up_to_date,
        }
    }

    fn remember_vote(&mut self, candidate: ReplicaKey, now: Moment) {
        let election = self.random_election(now);
        match &mut self.role {
            Role::Unattached { voted: voted @ None, election_at, .. } => {
                *voted = Some(candidate);
                // The candidate has as good a chance as this replica: it gets the time.
                *election_at = election_at.map(|_| election);
            }
            Role::Prospective(prospecting) if prospecting.voted.is_none() => {
                prospecting.voted = Some(candidate);
                prospecting.election_at = election;
            }
            _ => return,
        }
        self.persist();
    }

    /// A leader says that it was elected.
    pub fn begin_quorum_epoch_requested(&mut self, request: &BeginQuorumEpochRequest, now: Moment) -> Answered<()> {
        let checked = self.check_voters_request(request.leader, request.epoch);
        let mut result =
            checked.and_then(|()| self.meet_leader(request.epoch, request.leader, &request.endpoints, now));
        if result.is_ok() && request.voter.is_some_and(|voter| !self.is_local(&voter)) {
            result = Err(QuorumError::InvalidVoterKey);
        }
        self.answer(result, now)
    }

    /// A leader says that it steps down.
    pub fn end_quorum_epoch_requested(&mut self, request: &EndQuorumEpochRequest, now: Moment) -> Answered<()> {
        let checked = self.check_voters_request(request.leader, request.epoch);
        let result = checked.and_then(|()| self.meet_leader(request.epoch, request.leader, &request.endpoints, now));
        if result.is_ok() {
            let wait = self.successor_wait(&request.preferred);
            if let Role::Follower(following) = &mut self.role
                && following.leader == request.leader
            {
                following.fetch_deadline = now.after(wait);
            }
        }
        self.answer(result, now)
    }

    /// How long to leave an election to better successors: not at all if this is the best one, else doubling with the
    /// place, so that the last one and those that are not named wait longest.
    fn successor_wait(&self, preferred: &[ReplicaKey]) -> Duration {
        let max = self.settings.election_backoff_max;
        let Some(place) = preferred.iter().position(|key| self.is_local(key)) else {
            return if preferred.is_empty() { Duration::ZERO } else { max };
        };
        if place == 0 {
            return Duration::ZERO;
        }
        let halvings = u32::try_from(preferred.len() - 1 - (place - 1)).unwrap_or(u32::MAX).min(31);
        max / (1 << halvings)
    }

    /// A replica fetches. If the result is [`Fetched::Records`] with nothing new, the driver may park the fetch, and must
    /// hand it in again when the log has grown, the high watermark has moved, or this node does not lead any longer.
    pub fn fetch_requested(&mut self, request: &FetchRequest, now: Moment) -> Answered<Fetched> {
        let result = self.serve_fetch(request, now);
        self.answer(result, now)
    }

    fn serve_fetch(&mut self, request: &FetchRequest, now: Moment) -> Result<Fetched, QuorumError> {
        let OffsetAndEpoch { offset, epoch } = request.log_end;
        if offset < Offset::ZERO || epoch.0 < 0 || epoch > request.epoch {
            return Err(QuorumError::InvalidRequest);
        }
        self.check_leaders_request(request.epoch)?;
        if request.replica.id == self.local.key.id {
            return Err(QuorumError::InvalidRequest);
        }
        match self.log.position(offset, epoch) {
            Position::Diverging(end) => return Ok(Fetched::Diverging(end)),
            Position::Snapshot(snapshot) => return Ok(Fetched::Snapshot(snapshot)),
            Position::Valid => {}
        }
        if request.replica.id.0 >= 0 {
            if let Role::Leader(leading) = &mut self.role {
                leading.fetched(&request.replica, offset, &self.log, now);
            }
            self.heard_of(&request.replica, now);
            self.advance_high_watermark();
        }
        let Role::Leader(leading) = &self.role else { return Err(QuorumError::NotLeaderOrFollower) };
        Ok(Fetched::Records { high_watermark: leading.high_watermark })
    }

    /// A replica fetches a piece of a snapshot whose file has `size` bytes, `None` if there is none. If the result is
    /// good, the driver reads the piece.
    pub fn fetch_snapshot_requested(
        &mut self,
        request: &FetchSnapshotRequest,
        size: Option<u64>,
        now: Moment,
    ) -> Answered<()> {
        let result = self.serve_snapshot(request, size, now);
        self.answer(result, now)
    }

    fn serve_snapshot(
        &mut self,
        request: &FetchSnapshotRequest,
        size: Option<u64>,
        now: Moment,
    ) -> Result<(), QuorumError> {
        self.check_leaders_request(request.epoch)?;
        // What formatting wrote is not replicated: the first leader writes it to the log.
        let known = size.filter(|_| request.snapshot != crate::log_view::BOOTSTRAP_SNAPSHOT);
        let size = known.ok_or(QuorumError::SnapshotNotFound)?;
        if request.position >= size {
            return Err(QuorumError::PositionOutOfRange);
        }
        self.heard_of(&request.replica, now);
        Ok(())
    }

    pub(crate) fn heard_of(&mut self, replica: &ReplicaKey, now: Moment) {
        let check_quorum_at = now.after(self.check_quorum_timeout());
        let Role::Leader(leading) = &mut self.role else { return };
        if leading.heard_of(replica, self.log.voters(), &self.local.key) {
            leading.check_quorum_at = check_quorum_at;
        }
    }

    /// Whether a request among voters is of this or a later epoch.
    fn check_voters_request(&self, sender: NodeId, epoch: LeaderEpoch) -> Result<(), QuorumError> {
        if epoch < self.epoch {
            Err(QuorumError::FencedLeaderEpoch)
        } else if sender.0 < 0 || epoch == EPOCH_NEVER {
            Err(QuorumError::InvalidRequest)
        } else {
            Ok(())
        }
    }

    /// Whether a request that only a leader serves is for this node in this epoch.
    pub(crate) fn check_leaders_request(&self, epoch: LeaderEpoch) -> Result<(), QuorumError> {
        if epoch < self.epoch {
            Err(QuorumError::FencedLeaderEpoch)
        } else if epoch > self.epoch {
            Err(QuorumError::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Err(QuorumError::NotLeaderOrFollower)
        } else if self.shutting_down {
            Err(QuorumError::BrokerNotAvailable)
        } else {
            Ok(())
        }
    }

    /// Somebody says who leads in `epoch`, which is not older than this replica's. Follows, if that is news. Refuses what
    /// contradicts what is known: there is one leader in an epoch.
    pub(crate) fn meet_leader(
        &mut self,
        epoch: LeaderEpoch,
        leader: NodeId,
        endpoints: &[Endpoint],
        now: Moment,
    ) -> Result<(), QuorumError> {
        if leader == self.local.key.id {
            return if self.is_leader() && epoch == self.epoch { Ok(()) } else { Err(QuorumError::InvalidRequest) };
        }
        let known = self.leader();
        if epoch == self.epoch && known.is_some_and(|known| known != leader) {
            return Err(QuorumError::InvalidRequest);
        }
        let endpoints = if endpoints.is_empty() { self.endpoints_of(leader) } else { endpoints.to_vec() };
        let newer = epoch > self.epoch;
        let news = newer || known.is_none() || endpoints.len() > self.leader_endpoints().len();
        if newer && endpoints.is_empty() {
            self.become_unattached(epoch, Some(leader), now);
        } else if news && !endpoints.is_empty() {
            self.become_follower(epoch, leader, endpoints, now);
        }
        Ok(())
    }

    fn endpoints_of(&self, node: NodeId) -> Vec<Endpoint> {
        self.log.voters().get(node).map(|voter| voter.endpoints.clone()).unwrap_or_default()
    }

    pub(crate) fn answer<T>(&mut self, result: Result<T, QuorumError>, now: Moment) -> Answered<T> {
        let endpoints = self.leader_endpoints().to_vec();
        let reply = Reply { epoch: self.epoch, leader: self.leader(), endpoints, result };
        Answered { effects: self.finish(now), reply }
    }
}
