//! DescribeGroups: classic groups with their members.

use bytestring::ByteString;
use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeGroupsRequest;
use thalweg_wire::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};

use super::groups::{GROUP_OPERATIONS, caller, expect_answer, reply_all};
use crate::call::Call;

/// From this version on clients may ask what they may do.
const OPERATIONS: i16 = 3;

pub(crate) fn handle(call: Call, request: DescribeGroupsRequest) -> Reply {
    let groups = request.groups;
    let caller = caller(&call);
    let ask = |group: &ByteString| call.broker.groups.ask(group, &caller, Request::DescribeGroup(group.clone()));
    let asked = groups.iter().map(ask).collect();
    let operations = request.include_authorized_operations;
    reply_all(call, asked, move |call, outcomes| {
        let described = groups.into_iter().zip(outcomes).map(|(group, outcome)| {
            let mut described = expect_answer!(outcome, DescribeGroup).unwrap_or_else(|error| refused(group, error));
            if operations && call.version >= OPERATIONS && described.error_code == 0 {
                described.authorized_operations = GROUP_OPERATIONS;
            }
            described
        });
        DescribeGroupsResponse { groups: described.collect(), ..DescribeGroupsResponse::default() }
    })
}

fn refused(group_id: ByteString, error: ErrorCode) -> DescribedGroup {
    DescribedGroup { group_id, error_code: error.code(), ..DescribedGroup::default() }
}
