//! DeleteGroups: empty groups with their offsets.

use std::collections::BTreeSet;

use bytestring::ByteString;
use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::messages::DeleteGroupsRequest;
use thalweg_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

use super::groups::{caller, expect_answer, reply_all};
use crate::call::Call;

pub(crate) fn handle(call: Call, request: DeleteGroupsRequest) -> Reply {
    let mut seen = BTreeSet::new();
    let groups: Vec<ByteString> =
        request.groups_names.iter().filter(|group| seen.insert((*group).clone())).cloned().collect();
    let caller = caller(&call);
    let ask = |group: &ByteString| call.broker.groups.ask(group, &caller, Request::DeleteGroup(group.clone()));
    let asked = groups.iter().map(ask).collect();
    reply_all(call, asked, move |_, outcomes| {
        let results = groups.into_iter().zip(outcomes).map(|(group_id, outcome)| {
            expect_answer!(outcome, DeleteGroup)
                .unwrap_or_else(|error| DeletableGroupResult { group_id, error_code: error.code() })
        });
        DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
    })
}
