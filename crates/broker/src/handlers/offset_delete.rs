//! OffsetDelete: forgets offsets of topics that a group does not read any more (KIP-496).

use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic};
use thalweg_wire::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::groups::{caller, expect_answer, reply};
use crate::call::Call;

pub(crate) fn handle(call: Call, mut request: OffsetDeleteRequest) -> Reply {
    if request.group_id.is_empty() {
        return Reply::Now(call.answer(&refused(ErrorCode::InvalidGroupId)));
    }
    let image = call.broker.image();
    let mut unknown = Vec::new();
    let mut known = Vec::new();
    for topic in std::mem::take(&mut request.topics) {
        let found = image.topics().by_name(&topic.name);
        let exists = |index: i32| found.as_ref().is_some_and(|found| found.partition(index).is_some());
        let (valid, missing): (Vec<_>, Vec<_>) =
            topic.partitions.into_iter().partition(|partition| exists(partition.partition_index));
        if !missing.is_empty() || found.is_none() {
            let error_code = ErrorCode::UnknownTopicOrPartition.code();
            let partition = |p: thalweg_wire::messages::offset_delete_request::OffsetDeleteRequestPartition| {
                OffsetDeleteResponsePartition { partition_index: p.partition_index, error_code }
            };
            let partitions = missing.into_iter().map(partition).collect();
            unknown.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
        }
        if !valid.is_empty() {
            known.push(OffsetDeleteRequestTopic { name: topic.name, partitions: valid });
        }
    }
    request.topics = known;
    let group = request.group_id.clone();
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::OffsetDelete(request));
    reply(call, asked, move |_, outcome| match expect_answer!(outcome, OffsetDelete) {
        Ok(response) if response.error_code == 0 => merged(unknown, response),
        Ok(response) => response,
        Err(error) => refused(error),
    })
}

fn refused(error: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() }
}

fn merged(mut topics: Vec<OffsetDeleteResponseTopic>, response: OffsetDeleteResponse) -> OffsetDeleteResponse {
    for topic in response.topics {
        match topics.iter_mut().find(|known| known.name == topic.name) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => topics.push(topic),
        }
    }
    OffsetDeleteResponse { topics, ..response }
}
