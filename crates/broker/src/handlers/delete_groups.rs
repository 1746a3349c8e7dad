//! DeleteGroups: groups without members, with their offsets. The state of a share group goes with it.

use std::collections::BTreeSet;

use thalweg_groups::Request;
use thalweg_wire::messages::DeleteGroupsRequest;
use thalweg_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

use super::groups::{caller, expect_answer};
use super::share::partitions_of;
use super::share_group_offsets::forget;
use crate::call::Call;

pub(crate) async fn handle(call: Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let caller = caller(&call);
    let mut seen = BTreeSet::new();
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group in request.groups_names {
        if !seen.insert(group.clone()) {
            continue;
        }
        let shared = partitions_of(&call.broker, &group).await.unwrap_or_default();
        let asked = call.broker.groups.ask(&group, &caller, Request::DeleteGroup(group.clone()));
        let result = expect_answer!(asked.outcome().await, DeleteGroup)
            .unwrap_or_else(|error| DeletableGroupResult { group_id: group.clone(), error_code: error.code() });
        if result.error_code == 0 && !shared.is_empty() {
            // What cannot be forgotten now belongs to no group, and goes with its topic.
            forget(&call.broker, &group, &shared).await;
        }
        results.push(result);
    }
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}
