//! Heartbeat.

use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::group::State;
use super::rebalance::Desk;
use crate::group::Group;
use crate::request::Answer;
use crate::shard::Shard;

impl Shard {
    /// Heartbeat.
    pub(crate) fn heartbeat(&mut self, at: At<'_>, ticket: Ticket, request: m::HeartbeatRequest) {
        if let Some(Group::Consumer(_)) = self.groups.get(&request.group_id) {
            return self.classic_heartbeat_to_consumer_group(at, ticket, request);
        }
        let error = match self.desk(at, &request.group_id) {
            Some(mut desk) => desk.heartbeat(&request),
            None => ErrorCode::UnknownMemberId,
        };
        let response = m::HeartbeatResponse { error_code: error.code(), ..Default::default() };
        self.outbox.answer(ticket, Answer::Heartbeat(response));
    }

    /// A commit keeps the session as a heartbeat does, where members may commit.
    pub(crate) fn keep_session(&mut self, at: At<'_>, group_id: &str, member_id: &str) {
        if let Some(mut desk) = self.desk(at, group_id)
            && matches!(desk.group.state(), State::Stable | State::PreparingRebalance)
        {
            desk.keep_session(member_id);
        }
    }
}

impl Desk<'_> {
    fn heartbeat(&mut self, request: &m::HeartbeatRequest) -> ErrorCode {
        if let Err(error) = self.group.validate_member(&request.member_id, request.group_instance_id.as_deref()) {
            return error;
        }
        if request.generation_id != self.group.generation {
            return ErrorCode::IllegalGeneration;
        }
        match self.group.state() {
            State::Empty => ErrorCode::UnknownMemberId,
            State::PreparingRebalance => {
                self.keep_session(&request.member_id);
                ErrorCode::RebalanceInProgress
            }
            State::CompletingRebalance | State::Stable => {
                self.keep_session(&request.member_id);
                ErrorCode::None
            }
        }
    }
}
