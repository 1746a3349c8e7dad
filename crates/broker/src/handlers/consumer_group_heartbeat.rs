//! ConsumerGroupHeartbeat: everything that a member of a consumer group says and hears (KIP-848).

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::groups::{expect_answer, reply, serves_consumer_protocol, subscriber};
use crate::call::Call;

pub(crate) fn handle(call: Call, request: ConsumerGroupHeartbeatRequest) -> Reply {
    let refused = |error: ErrorCode| ConsumerGroupHeartbeatResponse {
        error_code: error.code(),
        ..ConsumerGroupHeartbeatResponse::default()
    };
    if !serves_consumer_protocol(&call) {
        return Reply::Now(call.answer(&refused(ErrorCode::UnsupportedVersion)));
    }
    if let Some(response) = call.broker.config.groups.rules.refuse_consumer_heartbeat(&request, call.version) {
        return Reply::Now(call.answer(&response));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &subscriber(&call), Request::ConsumerGroupHeartbeat(request));
    reply(call, asked, move |_, outcome| expect_answer!(outcome, ConsumerGroupHeartbeat).unwrap_or_else(refused))
}
