//! JoinGroup.

use bytestring::ByteString;
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::group::{ClassicGroup, State};
use super::member::{Member, Protocols, timeouts};
use super::rebalance::{Desk, NEW_MEMBER_JOIN_TIMEOUT};
use super::replay;
use crate::group::{Group, owned};
use crate::millis::millis;
use crate::outbox::After;
use crate::request::{Answer, Caller, Request, refused_join};
use crate::shard::Shard;

/// From this version on, a member is told its id and joins with it (KIP-394).
const MEMBER_ID_REQUIRED_FROM: i16 = 4;

/// How many may have been told their member id and not come back with it. Kafka has no limit; without one, requests that
/// never come back would fill the memory for the length of a session.
const PENDING_MEMBERS_MAX: usize = 50_000;

/// The length of a delimiter and a UUID behind the name that a member id begins with.
const MEMBER_ID_SUFFIX: usize = 37;

/// A JoinGroup as the functions here hand it on.
pub(super) struct Join<'a> {
    pub(super) ticket: Ticket,
    pub(super) caller: &'a Caller,
    pub(super) request: &'a m::JoinGroupRequest,
    pub(super) protocols: Protocols,
}

impl Shard {
    /// JoinGroup.
    pub(crate) fn join(&mut self, at: At<'_>, ticket: Ticket, caller: &Caller, request: m::JoinGroupRequest) {
        match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) if !group.is_empty() => {
                self.classic_join_to_consumer_group(at, ticket, caller, request);
            }
            Some(Group::Classic(_)) => self.join_classic(at, ticket, caller, &request),
            Some(Group::Share(_)) => {
                let refusal = Request::JoinGroup(request).refuse(ErrorCode::InconsistentGroupProtocol);
                self.outbox.answer(ticket, refusal);
            }
            Some(Group::Streams(group)) if !group.is_empty() => {
                let refusal = Request::JoinGroup(request).refuse(ErrorCode::InconsistentGroupProtocol);
                self.outbox.answer(ticket, refusal);
            }
            Some(Group::Consumer(_) | Group::Streams(_)) | None if !request.member_id.is_empty() => {
                let refusal = Request::JoinGroup(request).refuse(ErrorCode::UnknownMemberId);
                self.outbox.answer(ticket, refusal);
            }
            Some(Group::Consumer(_) | Group::Streams(_)) | None => self.join_new_group(at, ticket, caller, &request),
        }
    }

    /// Makes the group, in the log too. A consumer group without members gives way.
    fn join_new_group(&mut self, at: At<'_>, ticket: Ticket, caller: &Caller, request: &m::JoinGroupRequest) {
        let id = owned(&request.group_id);
        let mut records = self.groups.get(&id).map(|group| group.tombstones(&id)).unwrap_or_default();
        records.push(replay::new_group_record(&id, at.now.timestamp));
        self.groups.insert(id, Group::Classic(Box::new(ClassicGroup::simple(at.now.timestamp))));
        self.outbox.write(&records, After::Nothing);
        self.join_classic(at, ticket, caller, request);
    }

    fn join_classic(&mut self, at: At<'_>, ticket: Ticket, caller: &Caller, request: &m::JoinGroupRequest) {
        let Some(mut desk) = self.desk(at, &request.group_id) else { return };
        let join = Join { ticket, caller, request, protocols: Protocols::new(&request.protocols) };
        if !desk.has_room_for(&request.member_id) {
            if desk.group.members().contains_key(&request.member_id) {
                desk.remove_member(&request.member_id);
            }
            desk.refuse_join(&join, "", ErrorCode::GroupMaxSizeReached);
            desk.maybe_complete_join();
        } else if request.member_id.is_empty() {
            desk.join_new(&join);
        } else {
            desk.join_known(&join);
        }
    }
}

impl Desk<'_> {
    /// Whether the group is small enough. While members join, only those count that have done so: others may not come
    /// back.
    fn has_room_for(&self, member_id: &str) -> bool {
        let member = self.group.members().get(member_id);
        let max = self.settings.group_size_max;
        match self.group.state() {
            State::Empty => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.join.is_some()) || self.group.joining() < max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.group.members().len() < max,
        }
    }

    fn refuse_join(&mut self, join: &Join<'_>, member_id: &str, error: ErrorCode) {
        let response = m::JoinGroupResponse { member_id: ByteString::from(member_id), ..refused_join(error) };
        self.outbox.answer(join.ticket, Answer::JoinGroup(response));
    }

    /// A client that has no member id.
    fn join_new(&mut self, join: &Join<'_>) {
        if !self.group.supports(&join.request.protocol_type, &join.protocols) {
            return self.refuse_join(join, "", ErrorCode::InconsistentGroupProtocol);
        }
        let instance_id = join.request.group_instance_id.as_deref();
        let name = instance_id.unwrap_or(&join.caller.client_id);
        if name.len() + MEMBER_ID_SUFFIX > i16::MAX as usize {
            return self.refuse_join(join, "", ErrorCode::UnknownServerError);
        }
        let member_id = ByteString::from(format!("{name}-{}", self.outbox.random_uuid()));
        match instance_id.map(|id| self.group.static_member(id).cloned()) {
            Some(Some(before)) => self.replace_static_member(join, &before, member_id),
            Some(None) => self.add_member(join, member_id),
            None if join.caller.version < MEMBER_ID_REQUIRED_FROM => self.add_member(join, member_id),
            None if self.group.pending_join.len() >= PENDING_MEMBERS_MAX => {
                self.refuse_join(join, "", ErrorCode::GroupMaxSizeReached);
            }
            None => {
                self.await_member(&member_id, millis(join.request.session_timeout_ms));
                self.refuse_join(join, &member_id, ErrorCode::MemberIdRequired);
                self.group.pending_join.insert(member_id);
            }
        }
    }

    /// A client that has a member id, of this group or not.
    fn join_known(&mut self, join: &Join<'_>) {
        let member_id = &join.request.member_id;
        let instance_id = join.request.group_instance_id.as_deref();
        if !self.group.supports(&join.request.protocol_type, &join.protocols) {
            return self.refuse_join(join, member_id, ErrorCode::InconsistentGroupProtocol);
        }
        if let Some(pending) = self.group.pending_join.get(member_id).cloned() {
            if instance_id.is_some() {
                // Static members are never told to come back with an id.
                return self.refuse_join(join, member_id, ErrorCode::UnknownServerError);
            }
            return self.add_member(join, pending);
        }
        if let Err(error) = self.group.validate_member(member_id, instance_id) {
            return self.refuse_join(join, member_id, error);
        }
        let matches = self.group.members().get(member_id).is_some_and(|member| member.protocols == join.protocols);
        let leads = self.group.leader.as_ref() == Some(member_id);
        let answered = match self.group.state() {
            // The answer to its first request was lost.
            State::CompletingRebalance => matches,
            // A follower may join again and again; a leader that does so wants a rebalance.
            State::Stable => matches && !leads,
            State::PreparingRebalance | State::Empty => false,
        };
        if answered {
            let response = self.joined(member_id);
            self.outbox.answer(join.ticket, Answer::JoinGroup(response));
        } else {
            self.update_member(join, member_id);
            self.rebalance_or_complete();
        }
    }

    /// Takes over what a member says now; its JoinGroup waits.
    pub(super) fn update_member(&mut self, join: &Join<'_>, member_id: &str) {
        let (rebalance, session) = timeouts(join.request, join.caller.version);
        self.group.update(member_id, join.protocols.clone(), rebalance, session);
        if let Some(before) = self.group.set_join(member_id, Some(join.ticket)) {
            // The same member asks again: nobody reads the answer to what it asked first.
            self.outbox.answer(before, Answer::JoinGroup(refused_join(ErrorCode::RebalanceInProgress)));
        }
    }

    fn add_member(&mut self, join: &Join<'_>, member_id: ByteString) {
        let (rebalance, session) = timeouts(join.request, join.caller.version);
        let instance_id = join.request.group_instance_id.as_deref().map(owned);
        let client = (owned(&join.caller.client_id), owned(&join.caller.client_host));
        let member = Member::new(instance_id, client, rebalance, session, join.protocols.clone());
        let member = Member { join: Some(join.ticket), is_new: true, ..member };
        if self.group.state() == State::PreparingRebalance && self.group.previous_state() == State::Empty {
            self.group.new_member_added = true;
        }
        self.group.add(member_id.clone(), &join.request.protocol_type, member);
        self.await_member(&member_id, NEW_MEMBER_JOIN_TIMEOUT);
        self.rebalance_or_complete();
    }
}
