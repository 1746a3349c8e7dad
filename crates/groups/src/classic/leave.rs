//! LeaveGroup.

use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::leave_group_response::MemberResponse;

/// The answer to members of whom nobody knows.
pub(crate) fn all_unknown(request: &m::LeaveGroupRequest) -> m::LeaveGroupResponse {
    let members = request.members.iter().map(|member| MemberResponse {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        error_code: ErrorCode::UnknownMemberId.code(),
    });
    m::LeaveGroupResponse { members: members.collect(), ..Default::default() }
}
