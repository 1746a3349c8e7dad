//! SyncGroup: the leader of a classic group hands in the assignment, and every member takes its own.

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::groups::{caller, expect_answer, reply};
use crate::call::Call;

/// From this version on members say which protocol they were told.
const NAMES_PROTOCOL: i16 = 5;

pub(crate) fn handle(call: Call, request: SyncGroupRequest) -> Reply {
    let refused = |error: ErrorCode| SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() };
    let is_anonymous = request.protocol_type.is_none() || request.protocol_name.is_none();
    if call.version >= NAMES_PROTOCOL && is_anonymous {
        return Reply::Now(call.answer(&refused(ErrorCode::InconsistentGroupProtocol)));
    }
    if request.group_id.is_empty() {
        return Reply::Now(call.answer(&refused(ErrorCode::InvalidGroupId)));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::SyncGroup(request));
    reply(call, asked, move |_, outcome| expect_answer!(outcome, SyncGroup).unwrap_or_else(refused))
}
