//! How the set of voters changes (KIP-853): one voter at a time, by a record that counts as soon as it is appended.

use thalweg_base::{Moment, Offset};

use crate::messages::{QuorumError, UpdateVoterRequest};
use crate::quorum::{ControlRecord, Effects, Quorum};
use crate::requests::Answered;
use crate::role::Role;
use crate::voters::{KRaftVersion, ReplicaKey, Voter, Voters};

/// Why the voters are not changed, as the protocol names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoterRefusal {
    /// `NOT_LEADER_OR_FOLLOWER`.
    NotLeader,
    /// `REQUEST_TIMED_OUT`: nothing is committed in this epoch yet.
    NoHighWatermark,
    /// `UNSUPPORTED_VERSION`: `kraft.version` is 0.
    NotReconfigurable,
    /// `REQUEST_TIMED_OUT`: the change before this one is not committed yet.
    ChangePending,
    /// `DUPLICATE_VOTER`: the id is taken.
    DuplicateVoter,
    /// `VOTER_NOT_FOUND`, or it is the only one.
    VoterNotFound,
    /// `REQUEST_TIMED_OUT`: the new voter lags behind, and would stop the high watermark.
    Lagging,
    /// `INVALID_REQUEST`: the voter does not support the finalized `kraft.version`, or names no directory or endpoint.
    InvalidVoter,
}

/// Why `kraft.version` is not raised: all but the first are `INVALID_UPDATE_VERSION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRefusal {
    /// `NOT_LEADER_OR_FOLLOWER`.
    NotLeader,
    /// It can only go up.
    Downgrade,
    /// Not every voter has said that it supports the version.
    VoterLacksVersion,
    /// Another change is being written.
    ChangePending,
}

fn error_of(refusal: VoterRefusal) -> QuorumError {
    match refusal {
        VoterRefusal::NotLeader => QuorumError::NotLeaderOrFollower,
        VoterRefusal::NoHighWatermark | VoterRefusal::ChangePending | VoterRefusal::Lagging => {
            QuorumError::RequestTimedOut
        }
        VoterRefusal::NotReconfigurable => QuorumError::UnsupportedVersion,
        VoterRefusal::DuplicateVoter => QuorumError::DuplicateVoter,
        VoterRefusal::VoterNotFound => QuorumError::VoterNotFound,
        VoterRefusal::InvalidVoter => QuorumError::InvalidRequest,
    }
}

impl Quorum {
    /// Makes a replica a voter that has fetched from this leader and caught up. The change is complete when the high
    /// watermark has passed the returned offset.
    pub fn add_voter(&mut self, voter: Voter, now: Moment) -> Result<(Offset, Effects), VoterRefusal> {
        self.may_change_voters()?;
        if self.log.voters().get(voter.key.id).is_some() {
            return Err(VoterRefusal::DuplicateVoter);
        }
        self.check_voter(&voter)?;
        let Role::Leader(leading) = &self.role else { return Err(VoterRefusal::NotLeader) };
        if !leading.is_caught_up(&voter.key, now) {
            return Err(VoterRefusal::Lagging);
        }
        let voters = self.log.voters().with(voter).ok_or(VoterRefusal::DuplicateVoter)?;
        Ok(self.write_voters(voters, now))
    }

    /// Makes a voter an observer. A leader may remove itself: it steps down when that is committed.
    pub fn remove_voter(&mut self, key: &ReplicaKey, now: Moment) -> Result<(Offset, Effects), VoterRefusal> {
        self.may_change_voters()?;
        let voters = self.log.voters().without(key).ok_or(VoterRefusal::VoterNotFound)?;
        Ok(self.write_voters(voters, now))
    }

    /// A voter listens elsewhere or supports other versions.
    pub fn update_voter_requested(&mut self, request: &UpdateVoterRequest, now: Moment) -> Answered<()> {
        let key = request.voter.key;
        let checked = self.check_leaders_request(request.epoch);
        let result = checked.and_then(|()| self.update_voter(request.voter.clone()).map_err(error_of));
        if result.is_ok() {
            self.heard_of(&key, now);
        }
        self.answer(result, now)
    }

    fn update_voter(&mut self, voter: Voter) -> Result<(), VoterRefusal> {
        self.check_voter(&voter)?;
        if !self.log.kraft_version().supports_reconfiguration() {
            let Role::Leader(leading) = &mut self.role else { return Err(VoterRefusal::NotLeader) };
            leading.told_voters = leading.told_voters.updated_by_id(voter).ok_or(VoterRefusal::VoterNotFound)?;
            return Ok(());
        }
        self.may_change_voters()?;
        if self.log.voters().get(voter.key.id) != Some(&voter) {
            let voters = self.log.voters().updated(voter).ok_or(VoterRefusal::VoterNotFound)?;
            self.append_control(vec![ControlRecord::Voters(voters)]);
        }
        Ok(())
    }

    /// Whether `kraft.version` may become `version`; `Ok(None)` if it is that already. Else the voters to be written with it:
    /// each of them has told this leader that it supports the version.
    pub fn may_upgrade(&self, version: KRaftVersion) -> Result<Option<&Voters>, VersionRefusal> {
        let Role::Leader(leading) = &self.role else { return Err(VersionRefusal::NotLeader) };
        let current = self.log.kraft_version();
        if version == current {
            return Ok(None);
        }
        if version < current {
            return Err(VersionRefusal::Downgrade);
        }
        let supports = |v: &Voter| (v.kraft_version_min..=v.kraft_version_max).contains(&version);
        let ready = |voter: &Voter| voter.key.directory.is_some() && supports(voter);
        let told = &leading.told_voters;
        if version > KRaftVersion::DYNAMIC || told.is_empty() || !told.iter().all(ready) {
            return Err(VersionRefusal::VoterLacksVersion);
        }
        Ok(Some(told))
    }

    /// Raises `kraft.version`. The change is complete when the high watermark has passed the returned offset; `Ok(None)` if
    /// there is nothing to do.
    pub fn upgrade(&mut self, version: KRaftVersion, now: Moment) -> Result<Option<(Offset, Effects)>, VersionRefusal> {
        let Some(voters) = self.may_upgrade(version)?.cloned() else { return Ok(None) };
        if self.is_appending() {
            return Err(VersionRefusal::ChangePending);
        }
        let offset = self.log.end.next();
        self.append_control(vec![ControlRecord::KRaftVersion(version), ControlRecord::Voters(voters)]);
        Ok(Some((offset, self.finish(now))))
    }

    /// Changes go one after the other: two majorities of neighbouring sets then always meet.
    fn may_change_voters(&self) -> Result<(), VoterRefusal> {
        let Role::Leader(leading) = &self.role else { return Err(VoterRefusal::NotLeader) };
        let high_watermark = leading.high_watermark.ok_or(VoterRefusal::NoHighWatermark)?;
        if !self.log.kraft_version().supports_reconfiguration() {
            return Err(VoterRefusal::NotReconfigurable);
        }
        if self.is_appending() || self.log.voters_offset() >= high_watermark {
            return Err(VoterRefusal::ChangePending);
        }
        Ok(())
    }

    fn check_voter(&self, voter: &Voter) -> Result<(), VoterRefusal> {
        let versions = voter.kraft_version_min..=voter.kraft_version_max;
        let complete = voter.key.id.0 >= 0 && voter.key.directory.is_some() && !voter.endpoints.is_empty();
        let supported = versions.contains(&self.log.kraft_version());
        if complete && supported { Ok(()) } else { Err(VoterRefusal::InvalidVoter) }
    }

    fn write_voters(&mut self, voters: Voters, now: Moment) -> (Offset, Effects) {
        let offset = self.log.end;
        self.append_control(vec![ControlRecord::Voters(voters)]);
        (offset, self.finish(now))
    }
}
