//! What happens when another replica has answered, or has not.

use thalweg_base::{LeaderEpoch, Moment, NodeId};

use crate::log_view::OffsetAndEpoch;
use crate::messages::{Ballot, Fetched, Peer, QuorumError, Reply, RequestId, Response, SnapshotPiece};
use crate::quorum::{Effect, Effects, Quorum};
use crate::requests::EPOCH_NEVER;
use crate::role::Role;

/// What an answer was good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The peer may be asked again at once.
    Progress,
    /// Asking again at once would bring the same.
    Pause,
}

impl Quorum {
    /// A request was answered, or failed. Answers that nobody waits for any longer change nothing.
    #[must_use]
    pub fn answered(&mut self, id: RequestId, response: Response, now: Moment) -> Effects {
        let Some(peer) = self.links.awaiting(id) else { return self.finish(now) };
        let outcome = match response {
            Response::Vote(reply) => self.vote_answered(peer, &reply, now),
            Response::BeginQuorumEpoch(reply) => self.heed(&reply, now).map_or_else(|done| done, |_| Outcome::Progress),
            Response::EndQuorumEpoch(reply) => self.end_answered(peer, &reply, now),
            Response::Fetch { reply, has_records } => self.fetch_answered(&reply, has_records, now),
            Response::FetchSnapshot(reply) => self.snapshot_answered(&reply, now),
            Response::UpdateVoter(reply) => self.update_voter_answered(&reply, now),
            Response::Failed(QuorumError::UnsupportedVersion) if matches!(self.role, Role::Prospective(_)) => {
                // That voter knows no pre-vote: do without.
                self.become_candidate(now);
                self.elect(now);
                Outcome::Progress
            }
            // Whether it worked or the leader cannot do it now: the next attempt comes in a while.
            Response::VotersChanged(
                Ok(()) | Err(QuorumError::RequestTimedOut | QuorumError::DuplicateVoter | QuorumError::VoterNotFound),
            ) => Outcome::Progress,
            Response::Failed(QuorumError::ConnectionLost) => {
                self.peer_lost(peer, now);
                Outcome::Pause
            }
            Response::VotersChanged(Err(_)) | Response::Failed(_) => Outcome::Pause,
        };
        // A change of role has forgotten the request already.
        if self.links.awaiting(id).is_some() {
            match outcome {
                Outcome::Progress => self.links.succeeded(peer),
                Outcome::Pause => self.links.failed(peer, now),
            }
        }
        self.finish(now)
    }

    /// A peer's process is probably gone. If it led, a voter waits no longer for it than a restart of the connection takes:
    /// should it be there after all, the next fetch says so, and a pre-vote disturbs nobody.
    fn peer_lost(&mut self, peer: Peer, now: Moment) {
        let patience = now.after(self.settings.fetch_timeout / 4);
        if let Role::Follower(following) = &mut self.role
            && peer == Peer::Node(following.leader)
        {
            following.fetch_deadline = following.fetch_deadline.min(patience);
        }
    }

    /// What every reply tells: epochs and leaders. `Ok` if it is of this epoch and without one of the errors that every
    /// request may get; then the rest of it counts.
    fn heed<'a, T>(&mut self, reply: &'a Reply<T>, now: Moment) -> Result<Result<&'a T, QuorumError>, Outcome> {
        let error = reply.result.as_ref().err().copied();
        let stale = reply.epoch < self.epoch || reply.epoch == EPOCH_NEVER;
        if stale || error == Some(QuorumError::UnknownLeaderEpoch) {
            return Err(Outcome::Pause);
        }
        let newer = reply.epoch > self.epoch;
        let misdirected = matches!(error, Some(QuorumError::FencedLeaderEpoch | QuorumError::NotLeaderOrFollower));
        let before = (self.epoch, self.leader());
        let seeking = !matches!(self.role, Role::Follower(_) | Role::Leader(_) | Role::Resigned { .. });
        if newer || misdirected || (reply.leader.is_some() && seeking) {
            self.heed_leader(reply.epoch, reply.leader, &reply.endpoints, now)?;
        }
        if newer || misdirected {
            let learnt = before != (self.epoch, self.leader());
            return Err(if learnt { Outcome::Progress } else { Outcome::Pause });
        }
        match error {
            Some(QuorumError::BrokerNotAvailable | QuorumError::InvalidRequest | QuorumError::InvalidVoterKey) => {
                Err(Outcome::Pause)
            }
            _ => Ok(reply.result.as_ref().map_err(|error| *error)),
        }
    }

    fn heed_leader(
        &mut self,
        epoch: LeaderEpoch,
        leader: Option<NodeId>,
        endpoints: &[crate::voters::Endpoint],
        now: Moment,
    ) -> Result<(), Outcome> {
        match leader {
            Some(leader) => self.meet_leader(epoch, leader, endpoints, now).map_err(|_| Outcome::Pause),
            None => {
                if epoch > self.epoch {
                    self.become_unattached(epoch, None, now);
                }
                Ok(())
            }
        }
    }

    fn vote_answered(&mut self, peer: Peer, reply: &Reply<Ballot>, now: Moment) -> Outcome {
        let ballot = match self.heed(reply, now) {
            Ok(Ok(ballot)) => *ballot,
            Ok(Err(_)) => return Outcome::Pause,
            Err(outcome) => return outcome,
        };
        let Peer::Node(voter) = peer else { return Outcome::Pause };
        match &mut self.role {
            Role::Prospective(prospecting) => {
                prospecting.votes.record(voter, ballot);
                if prospecting.votes.is_lost() {
                    self.give_up_prospects(now);
                }
            }
            Role::Candidate { votes, .. } => votes.record(voter, ballot),
            _ => {}
        }
        self.elect(now);
        Outcome::Progress
    }

    fn end_answered(&mut self, peer: Peer, reply: &Reply<()>, now: Moment) -> Outcome {
        match self.heed(reply, now) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Outcome::Pause,
            Err(outcome) => return outcome,
        }
        if let (Role::Resigned { unacknowledged, .. }, Peer::Node(voter)) = (&mut self.role, peer) {
            unacknowledged.remove(&voter);
        }
        Outcome::Progress
    }

    fn fetch_answered(&mut self, reply: &Reply<Fetched>, has_records: bool, now: Moment) -> Outcome {
        let fetched = match self.heed(reply, now) {
            Ok(Ok(fetched)) => *fetched,
            Ok(Err(_)) => return Outcome::Pause,
            Err(outcome) => return outcome,
        };
        let epoch = self.epoch;
        let Role::Follower(following) = &mut self.role else { return Outcome::Pause };
        match fetched {
            Fetched::Records { high_watermark } => {
                following.leaders_high_watermark = high_watermark;
                if has_records {
                    following.busy = true;
                    self.effects.push(Effect::AppendFetched(epoch));
                } else {
                    self.follow_high_watermark();
                }
            }
            Fetched::Diverging(leaders) => {
                let to = self.log.common_end(leaders);
                // Nothing that is committed can be wrong: then it is the other one that has lost its log.
                if to < self.high_watermark || to < self.log.start {
                    return Outcome::Pause;
                }
                self.log.truncate(to);
                self.effects.push(Effect::Truncate(to));
            }
            Fetched::Snapshot(snapshot) => {
                if snapshot.offset <= self.high_watermark || snapshot.epoch.0 < 0 {
                    return Outcome::Pause;
                }
                following.snapshot = Some((snapshot, 0));
            }
        }
        self.fetch_succeeded(now);
        Outcome::Progress
    }

    fn snapshot_answered(&mut self, reply: &Reply<SnapshotPiece>, now: Moment) -> Outcome {
        let piece = match self.heed(reply, now) {
            Ok(Ok(piece)) => *piece,
            Ok(Err(QuorumError::SnapshotNotFound)) => return self.start_snapshot_again(now),
            Ok(Err(_)) => return Outcome::Pause,
            Err(outcome) => return outcome,
        };
        let Role::Follower(following) = &mut self.role else { return Outcome::Pause };
        let Some((snapshot, position)) = following.snapshot else { return Outcome::Pause };
        let end = position.saturating_add(piece.length);
        if piece.snapshot != snapshot || piece.position != position || piece.length == 0 || end > piece.size {
            return self.start_snapshot_again(now);
        }
        self.effects.push(Effect::WriteSnapshot { snapshot, position });
        if end == piece.size {
            following.snapshot = None;
            following.busy = true;
            self.effects.push(Effect::InstallSnapshot(snapshot));
        } else {
            following.snapshot = Some((snapshot, end));
        }
        self.fetch_succeeded(now);
        Outcome::Progress
    }

    /// The leader does not have that snapshot any longer: a fetch will name another.
    fn start_snapshot_again(&mut self, now: Moment) -> Outcome {
        if let Role::Follower(following) = &mut self.role {
            following.snapshot = None;
        }
        self.fetch_succeeded(now);
        Outcome::Pause
    }

    fn update_voter_answered(&mut self, reply: &Reply<()>, now: Moment) -> Outcome {
        match self.heed(reply, now) {
            Ok(Ok(()) | Err(QuorumError::UnsupportedVersion)) => {}
            Ok(Err(_)) => return Outcome::Pause,
            Err(outcome) => return outcome,
        }
        if let Role::Follower(following) = &mut self.role {
            following.has_updated_leader = true;
        }
        self.fetch_succeeded(now);
        Outcome::Progress
    }

    fn fetch_succeeded(&mut self, now: Moment) {
        let deadline = now.after(self.settings.fetch_timeout);
        if let Role::Follower(following) = &mut self.role {
            following.fetch_deadline = deadline;
            following.has_fetched = true;
        }
    }

    /// The snapshot that is being fetched, and how much of it is here.
    #[must_use]
    pub fn fetching_snapshot(&self) -> Option<(OffsetAndEpoch, u64)> {
        match &self.role {
            Role::Follower(following) => following.snapshot,
            _ => None,
        }
    }
}
