//! The course of a rebalance: who is waited for, how long, and what ends it.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::{At, Now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::group::{ClassicGroup, InitialDelay, State};
use super::member::Member;
use crate::group::Group;
use crate::outbox::{After, Outbox, Timer};
use crate::request::{Answer, refused_join};
use crate::settings::Settings;
use crate::shard::Shard;

/// How long a new member may be silent until it has finished its first JoinGroup: for so long a rebalance may take, and
/// a client that went away meanwhile is noticed by nothing else.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_mins(5);

/// The least time after which a rebalance that nobody has joined is tried again, whatever the members say.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// A classic group, and what is needed to decide about it.
pub(crate) struct Desk<'a> {
    pub(crate) id: ByteString,
    pub(crate) group: &'a mut ClassicGroup,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Now,
}

impl Shard {
    /// The classic group of that id with all that is needed to decide about it.
    pub(crate) fn desk(&mut self, at: At<'_>, id: &str) -> Option<Desk<'_>> {
        let id = self.groups.get_key_value(id)?.0.clone();
        let Group::Classic(group) = self.groups.get_mut(&id)? else { return None };
        Some(Desk { id, group, outbox: &mut self.outbox, settings: &self.settings, now: at.now })
    }

    /// The log was replayed: the sessions of the members begin.
    pub(crate) fn classic_loaded(&mut self, at: At<'_>, id: &ByteString) {
        if let Some(mut desk) = self.desk(at, id) {
            desk.loaded();
        }
    }

    /// A group has waited long enough for members to join.
    pub(crate) fn classic_join_timer(&mut self, at: At<'_>, id: &ByteString) {
        if let Some(mut desk) = self.desk(at, id) {
            desk.join_timer();
        }
    }

    /// A group has waited long enough for members to ask for their assignment.
    pub(crate) fn classic_sync_timer(&mut self, at: At<'_>, id: &ByteString) {
        if let Some(mut desk) = self.desk(at, id) {
            desk.sync_timer();
        }
    }

    /// A member was silent for too long.
    pub(crate) fn classic_member_timer(&mut self, at: At<'_>, id: &ByteString, member: &ByteString) {
        if let Some(mut desk) = self.desk(at, id) {
            desk.member_timer(member);
        }
    }
}

impl Desk<'_> {
    /// The session of a member begins anew.
    pub(crate) fn keep_session(&mut self, member_id: &str) {
        if let Some((id, member)) = self.group.members().get_key_value(member_id) {
            let due = self.now.moment.after(member.session_timeout);
            self.outbox.timers.set(Timer::ClassicMember(self.id.clone(), id.clone()), due);
        }
    }

    /// A member is to be heard of within `timeout`.
    pub(super) fn await_member(&mut self, member_id: &ByteString, timeout: Duration) {
        let due = self.now.moment.after(timeout);
        self.outbox.timers.set(Timer::ClassicMember(self.id.clone(), member_id.clone()), due);
    }

    pub(super) fn forget_session(&mut self, member_id: &ByteString) {
        self.outbox.timers.cancel(&Timer::ClassicMember(self.id.clone(), member_id.clone()));
    }

    fn loaded(&mut self) {
        let ids: Vec<_> = self.group.members().keys().cloned().collect();
        for id in &ids {
            self.keep_session(id);
        }
        // The limit was lowered: whoever joins first stays.
        if self.group.unfinished || ids.len() > self.settings.group_size_max {
            self.prepare_rebalance();
        }
    }

    /// Answers the JoinGroup of a member, if one waits.
    pub(super) fn answer_join(&mut self, member_id: &str, response: m::JoinGroupResponse) {
        if let Some(ticket) = self.group.set_join(member_id, None) {
            self.outbox.answer(ticket, Answer::JoinGroup(response));
        }
    }

    /// Answers the SyncGroup of a member, if one waits; says whether one did.
    pub(super) fn answer_sync(&mut self, member_id: &str, response: m::SyncGroupResponse) -> bool {
        let ticket = self.group.member_mut(member_id).and_then(|member| member.sync.take());
        if let Some(ticket) = ticket {
            self.outbox.answer(ticket, Answer::SyncGroup(response));
        }
        ticket.is_some()
    }

    /// What a member that has joined is told.
    pub(super) fn joined(&self, member_id: &str) -> m::JoinGroupResponse {
        let leads = self.group.leader.as_deref() == Some(member_id);
        m::JoinGroupResponse {
            generation_id: self.group.generation,
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol.clone(),
            leader: self.group.leader.clone().unwrap_or_default(),
            member_id: ByteString::from(member_id),
            members: if leads { self.group.joined_members() } else { Vec::new() },
            ..Default::default()
        }
    }

    /// Members have changed: a rebalance begins, or the one that is under way may have come to its end.
    pub(super) fn rebalance_or_complete(&mut self) {
        if self.group.state() == State::PreparingRebalance {
            self.maybe_complete_join();
        } else {
            self.prepare_rebalance();
        }
    }

    /// Ends the joining if nobody is missing. A group that was empty waits its time in any case.
    pub(super) fn maybe_complete_join(&mut self) {
        let preparing = self.group.state() == State::PreparingRebalance;
        if preparing && self.group.previous_state() != State::Empty && self.group.has_all_joined() {
            self.complete_join();
        }
    }

    /// Begins a rebalance: everyone is to join.
    pub(crate) fn prepare_rebalance(&mut self) {
        if self.group.state() == State::CompletingRebalance {
            self.propagate_error(ErrorCode::RebalanceInProgress);
        }
        self.group.pending_sync.clear();
        self.outbox.timers.cancel(&Timer::ClassicSync(self.id.clone()));
        let initial = self.group.is_empty();
        self.group.transition(State::PreparingRebalance, self.now.timestamp);
        if initial {
            let turn = self.settings.initial_rebalance_delay;
            let remaining = self.group.rebalance_timeout().saturating_sub(turn);
            self.group.initial_delay = Some(InitialDelay { turn, remaining });
            self.group.new_member_added = false;
            self.await_joins(turn);
        } else if self.group.has_all_joined() {
            self.complete_join();
        } else {
            self.await_joins(self.group.rebalance_timeout());
        }
    }

    fn await_joins(&mut self, wait: Duration) {
        self.outbox.timers.set(Timer::ClassicJoin(self.id.clone()), self.now.moment.after(wait));
    }

    fn join_timer(&mut self) {
        if self.group.state() != State::PreparingRebalance {
            return;
        }
        match self.group.initial_delay {
            Some(delay) if self.group.new_member_added && !delay.remaining.is_zero() => {
                self.group.new_member_added = false;
                let turn = self.settings.initial_rebalance_delay.min(delay.remaining);
                let remaining = delay.remaining.saturating_sub(delay.turn);
                self.group.initial_delay = Some(InitialDelay { turn, remaining });
                self.await_joins(turn);
            }
            _ => self.complete_join(),
        }
    }

    /// Ends the joining: who has not joined is out, unless it is a static member; the others form a generation.
    pub(super) fn complete_join(&mut self) {
        assert!(self.group.state() == State::PreparingRebalance, "members join while a rebalance is prepared");
        self.outbox.timers.cancel(&Timer::ClassicJoin(self.id.clone()));
        let is_out = |member: &Member| member.join.is_none() && member.instance_id.is_none();
        let out = self.group.members().iter().filter(|(_, member)| is_out(member));
        for id in out.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.group.remove(&id);
            self.forget_session(&id);
        }
        if !self.group.members().is_empty() && !self.group.elect_joined_leader() {
            self.await_joins(self.group.rebalance_timeout().max(RETRY_MIN));
            return;
        }
        self.group.begin_generation(self.now.timestamp);
        if self.group.is_empty() {
            let record = self.group.record(&self.id, |_, _| Bytes::new());
            self.outbox.write(&[record], After::Nothing);
            return;
        }
        for id in self.group.members().keys().cloned().collect::<Vec<_>>() {
            let response = self.joined(&id);
            self.answer_join(&id, response);
            self.keep_session(&id);
            if let Some(member) = self.group.member_mut(&id) {
                member.is_new = false;
            }
            self.group.pending_sync.insert(id);
        }
        let due = self.now.moment.after(self.group.rebalance_timeout());
        self.outbox.timers.set(Timer::ClassicSync(self.id.clone()), due);
    }

    /// Tells everyone who waits for an assignment that there is none, and takes back the ones that there were.
    pub(super) fn propagate_error(&mut self, error: ErrorCode) {
        for id in self.group.members().keys().cloned().collect::<Vec<_>>() {
            if let Some(member) = self.group.member_mut(&id) {
                member.assignment = Bytes::new();
            }
            let response = m::SyncGroupResponse { error_code: error.code(), ..Default::default() };
            if self.answer_sync(&id, response) {
                self.keep_session(&id);
            }
        }
    }

    fn sync_timer(&mut self) {
        let waiting = matches!(self.group.state(), State::CompletingRebalance | State::Stable);
        if !waiting || self.group.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.group.pending_sync) {
            self.remove_member(&id);
        }
        self.prepare_rebalance();
    }

    fn member_timer(&mut self, id: &ByteString) {
        if self.group.pending_join.contains(id) {
            self.group.remove(id);
            self.complete_join_if_all_joined();
            return;
        }
        let silent = self.group.members().get(id).is_some_and(|member| !member.has_satisfied_heartbeat());
        if silent {
            self.remove_member(id);
            self.member_left();
        }
    }

    /// Removes a member and tells its requests that it is none.
    pub(super) fn remove_member(&mut self, id: &ByteString) {
        self.answer_join(id, refused_join(ErrorCode::UnknownMemberId));
        let error_code = ErrorCode::UnknownMemberId.code();
        self.answer_sync(id, m::SyncGroupResponse { error_code, ..Default::default() });
        self.forget_session(id);
        self.group.remove(id);
    }

    /// What follows when a member is gone without having said so.
    fn member_left(&mut self) {
        match self.group.state() {
            State::Stable | State::CompletingRebalance => self.rebalance_or_complete(),
            State::PreparingRebalance => self.complete_join_if_all_joined(),
            State::Empty => {}
        }
    }

    fn complete_join_if_all_joined(&mut self) {
        if self.group.state() == State::PreparingRebalance && self.group.has_all_joined() {
            self.complete_join();
        }
    }
}
