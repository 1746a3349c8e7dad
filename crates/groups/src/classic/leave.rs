//! LeaveGroup.

use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::leave_group_request::MemberIdentity;
use thalweg_wire::messages::leave_group_response::MemberResponse;

use super::group::State;
use super::rebalance::Desk;
use crate::group::Group;
use crate::request::{Answer, Caller};
use crate::shard::Shard;

/// Up to this version, one member leaves at a time, and says its id beside the group's.
const ONE_MEMBER_UP_TO: i16 = 2;

impl Shard {
    /// LeaveGroup.
    pub(crate) fn leave(&mut self, at: At<'_>, ticket: Ticket, caller: &Caller, mut request: m::LeaveGroupRequest) {
        if caller.version <= ONE_MEMBER_UP_TO {
            let member_id = request.member_id.clone();
            request.members = vec![MemberIdentity { member_id, ..Default::default() }];
        }
        if let Some(Group::Consumer(_)) = self.groups.get(&request.group_id) {
            return self.classic_leave_to_consumer_group(at, ticket, request);
        }
        let response = match self.desk(at, &request.group_id) {
            Some(mut desk) => desk.leave(&request),
            None => all_unknown(&request),
        };
        self.outbox.answer(ticket, Answer::LeaveGroup(response));
    }
}

impl Desk<'_> {
    fn leave(&mut self, request: &m::LeaveGroupRequest) -> m::LeaveGroupResponse {
        let mut response = m::LeaveGroupResponse::default();
        let mut changed = false;
        for member in &request.members {
            let result = self.leave_one(member);
            changed |= result.is_ok();
            response.members.push(answered(member, result.err().unwrap_or(ErrorCode::None)));
        }
        if changed {
            match self.group.state() {
                State::Stable | State::CompletingRebalance => self.rebalance_or_complete(),
                State::PreparingRebalance => self.maybe_complete_join(),
                State::Empty => {}
            }
        }
        response
    }

    /// Removes one member, named by its member id or by its instance id alone.
    fn leave_one(&mut self, member: &MemberIdentity) -> Result<(), ErrorCode> {
        let instance_id = member.group_instance_id.as_deref();
        if member.member_id.is_empty() {
            let found = instance_id.and_then(|id| self.group.static_member(id)).cloned();
            self.remove_member(&found.ok_or(ErrorCode::UnknownMemberId)?);
        } else if self.group.pending_join.contains(&member.member_id) {
            self.remove_member(&member.member_id);
        } else {
            self.group.validate_member(&member.member_id, instance_id)?;
            self.remove_member(&member.member_id);
        }
        Ok(())
    }
}

/// The answer to members of whom nobody knows.
pub(crate) fn all_unknown(request: &m::LeaveGroupRequest) -> m::LeaveGroupResponse {
    let members = request.members.iter().map(|member| answered(member, ErrorCode::UnknownMemberId));
    m::LeaveGroupResponse { members: members.collect(), ..Default::default() }
}

fn answered(member: &MemberIdentity, error: ErrorCode) -> MemberResponse {
    MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: error.code(),
    }
}
