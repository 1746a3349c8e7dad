//! LeaveGroup: members of a classic group go, by themselves or at an operator's wish (KIP-345).

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::groups::{caller, expect_answer, reply};
use crate::call::Call;

/// From this version on several members leave at once, and each has an error of its own.
const BATCHED: i16 = 3;

pub(crate) fn handle(call: Call, request: LeaveGroupRequest) -> Reply {
    let refused = |error: ErrorCode| LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() };
    if request.group_id.is_empty() {
        return Reply::Now(call.answer(&refused(ErrorCode::InvalidGroupId)));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::LeaveGroup(request));
    reply(call, asked, move |call, outcome| {
        let response = expect_answer!(outcome, LeaveGroup).unwrap_or_else(refused);
        if call.version >= BATCHED {
            return response;
        }
        let of_member = response.members.first().map_or(0, |member| member.error_code);
        let error_code = if response.error_code == 0 { of_member } else { response.error_code };
        LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() }
    })
}
