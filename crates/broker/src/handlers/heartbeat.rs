//! Heartbeat: a member of a classic group is alive, and hears of rebalances.

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use super::groups::{caller, expect_answer, reply};
use crate::call::Call;

pub(crate) fn handle(call: Call, request: HeartbeatRequest) -> Reply {
    let answered = |error: ErrorCode| HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() };
    if request.group_id.is_empty() {
        return Reply::Now(call.answer(&answered(ErrorCode::InvalidGroupId)));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::Heartbeat(request));
    reply(call, asked, move |_, outcome| match expect_answer!(outcome, Heartbeat) {
        Ok(response) => response,
        // The member need not know that its group is being loaded: its session begins when that is done.
        Err(ErrorCode::CoordinatorLoadInProgress) => answered(ErrorCode::None),
        Err(error) => answered(error),
    })
}
