//! What is due in each role: timeouts, and the requests that are to be sent.

use std::time::Duration;

use thalweg_base::{LeaderEpoch, Moment, NodeId, Offset};

use crate::messages::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchRequest, FetchSnapshotRequest, Peer, Request,
    UpdateVoterRequest, VoteRequest,
};
use crate::quorum::{Effect, Quorum};
use crate::role::{Following, Role};
use crate::voters::ReplicaKey;

/// More changes of role than this cannot happen at one moment: every timeout begins anew.
const TURNS_MAX: usize = 16;

impl Quorum {
    /// Does what is due at `now`.
    pub(crate) fn drive(&mut self, now: Moment) {
        self.links.expire(now);
        for _ in 0..TURNS_MAX {
            if !self.time_out(now) {
                break;
            }
        }
        self.send_requests(now);
    }

    /// Leaves the role if its time is over. Returns whether it did.
    fn time_out(&mut self, now: Moment) -> bool {
        let is_voter = self.is_voter();
        match &self.role {
            Role::Leader(leading) => {
                let alone = self.log.voters().len() == 1;
                let removed = !is_voter && leading.high_watermark.is_some_and(|hw| hw > self.log.voters_offset());
                if removed || self.shutting_down || (!alone && now >= leading.check_quorum_at) {
                    self.step_down(now);
                    return true;
                }
            }
            // A node that shuts down takes part in elections no longer.
            _ if self.shutting_down => {}
            Role::Unattached { election_at: Some(at), .. } if is_voter && now >= *at => {
                self.become_prospective(now);
                self.elect(now);
                return true;
            }
            Role::Unattached { .. } => {}
            Role::Follower(following) => {
                if is_voter && !following.busy && now >= following.fetch_deadline {
                    self.become_prospective(now);
                    self.elect(now);
                    return true;
                }
            }
            Role::Prospective(prospecting) => {
                if now >= prospecting.election_at {
                    self.give_up_prospects(now);
                    return true;
                }
            }
            Role::Candidate { election_at, .. } => {
                if now >= *election_at {
                    self.become_prospective(now);
                    self.elect(now);
                    return true;
                }
            }
            Role::Resigned { election_at, .. } => {
                if now >= *election_at {
                    // The epoch goes up, so that nobody takes this node for its leader any longer.
                    self.become_unattached(LeaderEpoch(self.epoch.0 + 1), None, now);
                    return true;
                }
            }
        }
        false
    }

    fn send_requests(&mut self, now: Moment) {
        match &self.role {
            Role::Unattached { .. } => self.fetch_from_any(now),
            Role::Follower(_) => self.send_as_follower(now),
            Role::Prospective(prospecting) => {
                if !prospecting.votes.is_lost() {
                    let missing = prospecting.votes.missing();
                    self.ask_for_votes(&missing, PreVote::Yes, now);
                }
            }
            Role::Candidate { votes, .. } => {
                if !votes.is_lost() {
                    let missing = votes.missing();
                    self.ask_for_votes(&missing, PreVote::No, now);
                }
            }
            Role::Leader(_) => self.tell_voters(now),
            Role::Resigned { unacknowledged, preferred, .. } => {
                let request = Request::EndQuorumEpoch(EndQuorumEpochRequest {
                    epoch: self.epoch,
                    leader: self.local.key.id,
                    preferred: preferred.clone(),
                    endpoints: self.local.endpoints.clone(),
                });
                let known = |id: &NodeId| self.log.voters().get(*id).is_some();
                for id in unacknowledged.iter().copied().filter(known).collect::<Vec<_>>() {
                    self.send(Peer::Node(id), request.clone(), now);
                }
            }
        }
    }

    fn ask_for_votes(&mut self, missing: &[ReplicaKey], pre_vote: PreVote, now: Moment) {
        for voter in missing {
            let request = Request::Vote(VoteRequest {
                epoch: self.epoch,
                candidate: self.local.key,
                voter: Some(*voter),
                log_end: self.log.end_and_epoch(),
                pre_vote: pre_vote == PreVote::Yes,
            });
            self.send(Peer::Node(voter.id), request, now);
        }
    }

    /// Tells the voters that do not fetch who leads.
    fn tell_voters(&mut self, now: Moment) {
        let local = self.local.key.id;
        let every = self.settings.fetch_timeout / 2;
        let voters = self.log.voters();
        let Role::Leader(leading) = &mut self.role else { return };
        if now < leading.begin_at {
            return;
        }
        leading.begin_at = now.after(every.max(Duration::from_millis(1)));
        let silent = |key: &ReplicaKey| leading.progress(key, voters).is_none_or(|p| now.since(p.last_fetch) >= every);
        let keys: Vec<ReplicaKey> = voters.iter().map(|v| v.key).filter(|k| k.id != local && silent(k)).collect();
        for voter in keys {
            let request = Request::BeginQuorumEpoch(BeginQuorumEpochRequest {
                epoch: self.epoch,
                leader: local,
                voter: Some(voter),
                endpoints: self.local.endpoints.clone(),
            });
            self.send(Peer::Node(voter.id), request, now);
        }
    }

    fn send_as_follower(&mut self, now: Moment) {
        let Role::Follower(following) = &self.role else { return };
        let leader = Peer::Node(following.leader);
        if following.busy || !self.may_fetch() {
            return;
        }
        if now >= following.update_voter_at {
            let request = self.membership_request(following).filter(|_| self.links.is_ready(leader));
            if let Role::Follower(following) = &mut self.role {
                following.update_voter_at = now.after(self.settings.fetch_timeout * 2);
            }
            if let Some(request) = request {
                return self.send(leader, request, now);
            }
        }
        if !self.links.is_ready(leader) {
            // The leader does not answer: somebody else may know a newer one.
            return self.fetch_from_any(now);
        }
        let request = self.next_fetch();
        self.send(leader, request, now);
    }

    /// What the leader should do about this replica's vote, if anything.
    fn membership_request(&self, following: &Following) -> Option<Request> {
        let voters = self.log.voters();
        let known = voters.get(self.local.key.id);
        let dynamic = self.log.kraft_version().supports_reconfiguration();
        if self.is_voter() {
            // Static voters tell each new leader what they support: only that makes an upgrade possible.
            let news = if dynamic { known != Some(&self.local) } else { !following.has_updated_leader };
            let request = UpdateVoterRequest { epoch: self.epoch, voter: self.local.clone() };
            return news.then_some(Request::UpdateVoter(request));
        }
        if !dynamic || !self.may_become_voter || !self.auto_join {
            return None;
        }
        Some(match known {
            Some(predecessor) => Request::RemoveVoter(predecessor.key),
            None => Request::AddVoter(self.local.clone()),
        })
    }

    fn next_fetch(&self) -> Request {
        let (replica, epoch) = (self.local.key, self.epoch);
        if let Role::Follower(Following { snapshot: Some((snapshot, position)), .. }) = &self.role {
            let (snapshot, position) = (*snapshot, *position);
            return Request::FetchSnapshot(FetchSnapshotRequest { replica, epoch, snapshot, position });
        }
        let high_watermark = Some(self.high_watermark).filter(|hw| *hw > Offset::ZERO);
        Request::Fetch(FetchRequest { replica, epoch, log_end: self.log.end_and_epoch(), high_watermark })
    }

    /// Asks any of the bootstrap servers, or of the voters that the log knows: who does not lead answers who does.
    fn fetch_from_any(&mut self, now: Moment) {
        if !self.may_fetch() {
            return;
        }
        let local = Peer::Node(self.local.key.id);
        let voters = self.log.voters().ids().map(Peer::Node).filter(|peer| !self.bootstrap.contains(peer));
        let others = self.bootstrap.iter().copied().chain(voters).filter(|peer| *peer != local);
        let ready: Vec<Peer> = others.filter(|peer| self.links.is_ready(*peer)).collect();
        let random = usize::try_from(self.next_random() >> 1).unwrap_or(0);
        let Some(peer) = random.checked_rem(ready.len()).and_then(|at| ready.get(at).copied()) else { return };
        let request = FetchRequest {
            replica: self.local.key,
            epoch: self.epoch,
            log_end: self.log.end_and_epoch(),
            high_watermark: Some(self.high_watermark).filter(|hw| *hw > Offset::ZERO),
        };
        self.send(peer, Request::Fetch(request), now);
    }

    /// One fetch at a time. Where a voter fetches from is what it has, for ever: the leader counts it as such.
    fn may_fetch(&self) -> bool {
        let durable = self.log.flushed == self.log.end || !(self.is_voter() || self.may_become_voter);
        durable && !self.shutting_down && !self.links.any_in_flight()
    }

    fn send(&mut self, to: Peer, request: Request, now: Moment) {
        if self.links.is_ready(to) {
            let id = self.links.sent(to, now);
            self.effects.push(Effect::Send { to, id, request });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PreVote {
    Yes,
    No,
}
