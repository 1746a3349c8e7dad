//! SyncGroup.

use std::collections::BTreeMap;

use bytes::Bytes;
use bytestring::ByteString;
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::group::State;
use super::rebalance::Desk;
use crate::group::Group;
use crate::outbox::{After, Timer};
use crate::request::Answer;
use crate::shard::Shard;

/// A leader's assignment, until the log has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingAssignment {
    group_id: ByteString,
    generation: i32,
    assignment: BTreeMap<ByteString, Bytes>,
}

impl Shard {
    /// SyncGroup.
    pub(crate) fn sync(&mut self, at: At<'_>, ticket: Ticket, request: m::SyncGroupRequest) {
        match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) if !group.is_empty() => {
                self.classic_sync_to_consumer_group(at, ticket, request);
            }
            _ => match self.desk(at, &request.group_id) {
                Some(mut desk) => desk.sync(ticket, &request),
                None => {
                    let response = refused_sync(ErrorCode::UnknownMemberId);
                    self.outbox.answer(ticket, Answer::SyncGroup(response));
                }
            },
        }
    }

    /// The log has a leader's assignment, or has refused it.
    pub(crate) fn classic_assignment_written(
        &mut self,
        at: At<'_>,
        pending: PendingAssignment,
        result: Result<(), ErrorCode>,
    ) {
        let Some(mut desk) = self.desk(at, &pending.group_id) else { return };
        if desk.group.state() != State::CompletingRebalance || desk.group.generation != pending.generation {
            return;
        }
        match result {
            Ok(()) => desk.assign(&pending.assignment),
            Err(error) => {
                desk.propagate_error(error);
                desk.prepare_rebalance();
            }
        }
    }
}

impl Desk<'_> {
    fn sync(&mut self, ticket: Ticket, request: &m::SyncGroupRequest) {
        let member_id = &request.member_id;
        if let Err(error) = self.validate_sync(request) {
            return self.outbox.answer(ticket, Answer::SyncGroup(refused_sync(error)));
        }
        self.group.pending_sync.remove(member_id);
        if self.group.pending_sync.is_empty() {
            self.outbox.timers.cancel(&Timer::ClassicSync(self.id.clone()));
        }
        if self.group.state() == State::Stable {
            let mut response = self.synced(member_id);
            if self.group.converted && request.protocol_name.is_some() {
                response.protocol_name = request.protocol_name.clone();
            }
            return self.outbox.answer(ticket, Answer::SyncGroup(response));
        }
        let before = self.group.member_mut(member_id).and_then(|member| member.sync.replace(ticket));
        if let Some(before) = before {
            // The same member asks again: nobody reads the answer to what it asked first.
            let response = refused_sync(ErrorCode::RebalanceInProgress);
            self.outbox.answer(before, Answer::SyncGroup(response));
        }
        if self.group.leader.as_ref() == Some(member_id) {
            self.take_assignment(request);
        }
    }

    fn validate_sync(&self, request: &m::SyncGroupRequest) -> Result<(), ErrorCode> {
        let differs = |asked: &Option<ByteString>, actual: &Option<ByteString>| asked.is_some() && asked != actual;
        self.group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let other_type = differs(&request.protocol_type, &self.group.protocol_type);
        // A group that was a consumer group has told each member the protocol that this one likes best, and for many
        // clients this error is fatal. Assignments of consumers look the same in all protocols.
        let may_differ = self.group.unfinished || self.group.converted;
        if other_type || (!may_differ && differs(&request.protocol_name, &self.group.protocol)) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.group.state() {
            State::CompletingRebalance | State::Stable => Ok(()),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// Writes the leader's assignment. Members that it leaves out get nothing, and others do not count.
    fn take_assignment(&mut self, request: &m::SyncGroupRequest) {
        let mut given: BTreeMap<&str, &Bytes> = BTreeMap::new();
        for assignment in &request.assignments {
            given.insert(&assignment.member_id, &assignment.assignment);
        }
        let of = |id: &ByteString| given.get(&**id).map(|bytes| Bytes::copy_from_slice(bytes)).unwrap_or_default();
        let assignment: BTreeMap<_, _> = self.group.members().keys().map(|id| (id.clone(), of(id))).collect();
        let record = self.group.record(&self.id, |id, _| assignment.get(id).cloned().unwrap_or_default());
        let generation = self.group.generation;
        let pending = PendingAssignment { group_id: self.id.clone(), generation, assignment };
        self.outbox.tally.completed_rebalances += 1;
        self.outbox.write(&[record], After::ClassicSync(pending));
    }

    /// Gives every member what the leader gave it.
    fn assign(&mut self, assignment: &BTreeMap<ByteString, Bytes>) {
        for (id, member) in self.group.members_mut() {
            member.assignment = assignment.get(id).cloned().unwrap_or_default();
        }
        self.group.transition(State::Stable, self.now.timestamp);
        for id in self.group.members().keys().cloned().collect::<Vec<_>>() {
            let response = self.synced(&id);
            if self.answer_sync(&id, response) {
                self.keep_session(&id);
            }
        }
    }

    fn synced(&self, member_id: &str) -> m::SyncGroupResponse {
        let member = self.group.members().get(member_id);
        m::SyncGroupResponse {
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol.clone(),
            assignment: member.map(|member| member.assignment.clone()).unwrap_or_default(),
            ..Default::default()
        }
    }
}

fn refused_sync(error: ErrorCode) -> m::SyncGroupResponse {
    m::SyncGroupResponse { error_code: error.code(), ..Default::default() }
}
