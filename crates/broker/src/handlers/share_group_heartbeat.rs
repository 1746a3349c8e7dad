//! ShareGroupHeartbeat: everything that a member of a share group says and hears (KIP-932).

use std::sync::Arc;

use thalweg_groups::{Answer, Request};
use thalweg_network::Reply;
use thalweg_sys::task;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use super::groups::{caller, reply};
use super::share::{initialize, serves_share_groups, session_key};
use crate::call::Call;

pub(crate) fn handle(call: Call, request: ShareGroupHeartbeatRequest) -> Reply {
    let refused = |error: ErrorCode| ShareGroupHeartbeatResponse {
        error_code: error.code(),
        ..ShareGroupHeartbeatResponse::default()
    };
    if !serves_share_groups(&call) {
        return Reply::Now(call.answer(&refused(ErrorCode::UnsupportedVersion)));
    }
    if session_key(Some(&request.group_id), Some(&request.member_id)).is_none() {
        return Reply::Now(call.answer(&refused(ErrorCode::InvalidRequest)));
    }
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::ShareGroupHeartbeat(request));
    reply(call, asked, move |call, outcome| match outcome {
        Ok(Answer::ShareGroupHeartbeat(response, wanted)) => {
            if let Some(wanted) = wanted {
                let broker = Arc::clone(&call.broker);
                // The answer does not wait for that: the member hears of its partitions with a later heartbeat.
                task::spawn(async move {
                    initialize(&broker, wanted).await;
                });
            }
            response
        }
        Ok(_) => refused(ErrorCode::UnknownServerError),
        Err(error) => refused(error),
    })
}
