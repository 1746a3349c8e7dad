//! JoinGroup: a member of a classic group comes, or takes part in a rebalance.

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{JoinGroupRequest, JoinGroupResponse};

use super::groups::{expect_answer, reply, subscriber};
use crate::call::Call;

/// From this version on there is null where no protocol was chosen.
const NULL_PROTOCOL: i16 = 7;

pub(crate) fn handle(call: Call, request: JoinGroupRequest) -> Reply {
    if let Some(error) = wrong(&call, &request) {
        let response = JoinGroupResponse {
            error_code: error.code(),
            member_id: request.member_id,
            ..JoinGroupResponse::default()
        };
        let response = normalized(call.version, response);
        return Reply::Now(call.answer(&response));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &subscriber(&call), Request::JoinGroup(request));
    reply(call, asked, |call, outcome| {
        let refused = |error: ErrorCode| JoinGroupResponse { error_code: error.code(), ..JoinGroupResponse::default() };
        normalized(call.version, expect_answer!(outcome, JoinGroup).unwrap_or_else(refused))
    })
}

/// What is wrong wherever the group is.
fn wrong(call: &Call, request: &JoinGroupRequest) -> Option<ErrorCode> {
    if request.group_id.is_empty() {
        return Some(ErrorCode::InvalidGroupId);
    }
    let allowed = call.broker.config.groups.rules.allows_session_timeout(request.session_timeout_ms);
    (!allowed).then_some(ErrorCode::InvalidSessionTimeout)
}

fn normalized(version: i16, response: JoinGroupResponse) -> JoinGroupResponse {
    let protocol_name = match version {
        NULL_PROTOCOL.. => response.protocol_name.filter(|name| !name.is_empty()),
        _ => Some(response.protocol_name.unwrap_or_default()),
    };
    JoinGroupResponse { protocol_name, ..response }
}
