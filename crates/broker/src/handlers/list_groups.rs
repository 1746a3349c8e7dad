//! ListGroups: every group that this node coordinates.

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::{ListGroupsRequest, ListGroupsResponse};

use super::groups::{caller, expect_answer, reply_all};
use crate::call::Call;

pub(crate) fn handle(call: Call, request: ListGroupsRequest) -> Reply {
    let caller = caller(&call);
    let coordinators = call.broker.groups.all();
    let asked = coordinators.iter().map(|one| one.ask_about(&caller, Request::ListGroups(request.clone()))).collect();
    reply_all(call, asked, |_, outcomes| {
        let mut response = ListGroupsResponse::default();
        for outcome in outcomes {
            match expect_answer!(outcome, ListGroups) {
                Ok(groups) => response.groups.extend(groups),
                // It is asked elsewhere.
                Err(ErrorCode::NotCoordinator) => {}
                Err(error) => return ListGroupsResponse { error_code: error.code(), ..ListGroupsResponse::default() },
            }
        }
        response
    })
}
