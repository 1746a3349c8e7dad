//! StreamsGroupDescribe: streams groups with their topologies, members and tasks (KIP-1071).

use bytestring::ByteString;
use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::StreamsGroupDescribeRequest;
use thalweg_wire::messages::streams_group_describe_response::{DescribedGroup, StreamsGroupDescribeResponse};

use super::groups::{GROUP_OPERATIONS, caller, expect_answer, reply_all, serves_streams_protocol};
use crate::call::Call;
use crate::drivers::groups::Asked;

pub(crate) fn handle(call: Call, request: StreamsGroupDescribeRequest) -> Reply {
    let groups = request.group_ids;
    if !serves_streams_protocol(&call) {
        let refused = groups.into_iter().map(|group| refused(group, ErrorCode::UnsupportedVersion)).collect();
        let response = StreamsGroupDescribeResponse { groups: refused, ..StreamsGroupDescribeResponse::default() };
        return Reply::Now(call.answer(&response));
    }
    let caller = caller(&call);
    let ask = |group: &ByteString| match group.is_empty() {
        true => Asked::Now(Err(ErrorCode::InvalidGroupId)),
        false => call.broker.groups.ask(group, &caller, Request::StreamsGroupDescribe(group.clone())),
    };
    let asked = groups.iter().map(ask).collect();
    let operations = request.include_authorized_operations;
    reply_all(call, asked, move |_, outcomes| {
        let described = groups.into_iter().zip(outcomes).map(|(group, outcome)| {
            let mut described =
                expect_answer!(outcome, StreamsGroupDescribe).unwrap_or_else(|error| refused(group, error));
            if operations && described.error_code == 0 {
                described.authorized_operations = GROUP_OPERATIONS;
            }
            described
        });
        StreamsGroupDescribeResponse { groups: described.collect(), ..StreamsGroupDescribeResponse::default() }
    })
}

fn refused(group_id: ByteString, error: ErrorCode) -> DescribedGroup {
    DescribedGroup { group_id, error_code: error.code(), ..DescribedGroup::default() }
}
