//! A static member comes back: it takes the place of its former self (KIP-345).

use std::time::Duration;

use bytestring::ByteString;
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::group::State;
use super::join::Join;
use super::member::Protocols;
use super::rebalance::Desk;
use crate::outbox::After;
use crate::request::{Answer, refused_join};
use crate::shard::Shard;

/// From this version on, a leader that comes back is shown the members, and told not to assign anything (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;

/// A static member of a stable group that came back, until the log has its new member id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PendingReplacement {
    group_id: ByteString,
    ticket: Ticket,
    version: i16,
    member_id: ByteString,
    /// What it was before, if the log refuses.
    former_id: ByteString,
    former_leader: Option<ByteString>,
    former_protocols: Protocols,
    former_rebalance_timeout: Duration,
    former_session_timeout: Duration,
}

impl Desk<'_> {
    /// Gives the static member `former_id` the id `member_id`. A stable group whose protocol stays goes on as it is.
    pub(super) fn replace_static_member(&mut self, join: &Join<'_>, former_id: &ByteString, member_id: ByteString) {
        let Some(former) = self.group.members().get(former_id).cloned() else { return };
        let former_leader = self.group.leader.clone();
        self.fence(former_id);
        self.group.rename(former_id, member_id.clone());
        self.update_member(join, &member_id);
        self.keep_session(&member_id);
        match self.group.state() {
            State::Stable if self.group.protocol == self.group.select_protocol() => {
                let record = self.group.record(&self.id, |_, member| member.assignment.clone());
                let pending = PendingReplacement {
                    group_id: self.id.clone(),
                    ticket: join.ticket,
                    version: join.caller.version,
                    member_id,
                    former_id: former_id.clone(),
                    former_leader,
                    former_protocols: former.protocols,
                    former_rebalance_timeout: former.rebalance_timeout,
                    former_session_timeout: former.session_timeout,
                };
                self.outbox.write(&[record], After::ClassicReplace(pending));
            }
            State::Stable => self.rebalance_or_complete(),
            State::CompletingRebalance => self.prepare_rebalance(),
            State::PreparingRebalance | State::Empty => self.maybe_complete_join(),
        }
    }

    /// Tells whatever its former self waits for that there is another now.
    fn fence(&mut self, former_id: &ByteString) {
        let refusal =
            m::JoinGroupResponse { member_id: former_id.clone(), ..refused_join(ErrorCode::FencedInstanceId) };
        self.answer_join(former_id, refusal);
        let error_code = ErrorCode::FencedInstanceId.code();
        self.answer_sync(former_id, m::SyncGroupResponse { error_code, ..Default::default() });
        self.forget_session(former_id);
    }

    fn replaced(&mut self, pending: &PendingReplacement) {
        let mut response = self.joined(&pending.member_id);
        if pending.version >= SKIP_ASSIGNMENT_FROM {
            response.skip_assignment = self.group.leader.as_ref() == Some(&pending.member_id);
        } else {
            // It must not take itself for the leader, or it would send an assignment.
            response.members.clear();
            response.leader = pending.former_leader.clone().unwrap_or_default();
        }
        self.answer_join(&pending.member_id, response);
    }

    fn take_back_replacement(&mut self, pending: PendingReplacement, error: ErrorCode) {
        self.group.set_join(&pending.member_id, None);
        self.group.update(
            &pending.member_id,
            pending.former_protocols,
            pending.former_rebalance_timeout,
            pending.former_session_timeout,
        );
        self.forget_session(&pending.member_id);
        self.group.rename(&pending.member_id, pending.former_id.clone());
        self.keep_session(&pending.former_id);
        let response = m::JoinGroupResponse {
            error_code: error.code(),
            member_id: ByteString::default(),
            members: Vec::new(),
            leader: pending.former_leader.unwrap_or_default(),
            ..self.joined(&pending.former_id)
        };
        self.outbox.answer(pending.ticket, Answer::JoinGroup(response));
    }
}

impl Shard {
    /// The log has the new member id of a static member, or has refused it.
    pub(crate) fn classic_replacement_written(
        &mut self,
        at: At<'_>,
        pending: PendingReplacement,
        result: Result<(), ErrorCode>,
    ) {
        let Some(mut desk) = self.desk(at, &pending.group_id) else {
            let refusal = Answer::JoinGroup(refused_join(ErrorCode::UnknownMemberId));
            return self.outbox.answer(pending.ticket, refusal);
        };
        match result {
            Ok(()) => desk.replaced(&pending),
            Err(error) => desk.take_back_replacement(pending, error),
        }
    }
}
