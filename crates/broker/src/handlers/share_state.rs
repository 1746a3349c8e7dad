//! What brokers ask the share coordinator: InitializeShareGroupState, ReadShareGroupState, WriteShareGroupState,
//! DeleteShareGroupState and ReadShareGroupStateSummary, each of many partitions.

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_share::state::{Failure, Key, Request, State};
use thalweg_share::{DeliveryState, StateBatch};
use thalweg_wire::messages as m;

use crate::call::Call;

async fn ask(
    call: &Call,
    group: &ByteString,
    topic: Uuid,
    partition: i32,
    request: Request,
) -> Result<Option<State>, Failure> {
    let key = Key { group: group.clone(), topic, partition };
    call.broker.share.coordinators().ask_here(&key, &request).await
}

/// An error and its text, as every answer has them.
fn errors(failure: &Failure) -> (i16, Option<ByteString>) {
    (failure.code.code(), Some(failure.text().into()))
}

macro_rules! each_partition {
    ($call:ident, $request:ident, $module:ident, $topic:ident, $build:expr, $answer:expr) => {{
        let mut results = Vec::with_capacity($request.topics.len());
        for topic in $request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let index = partition.partition;
                let outcome = ask(&$call, &$request.group_id, topic.topic_id, index, $build(partition)).await;
                let mut result = m::$module::PartitionResult { partition: index, ..Default::default() };
                match outcome {
                    Ok(state) => $answer(&mut result, state),
                    Err(failure) => (result.error_code, result.error_message) = errors(&failure),
                }
                partitions.push(result);
            }
            results.push(m::$module::$topic { topic_id: topic.topic_id, partitions });
        }
        results
    }};
}

pub(crate) async fn initialize(
    call: Call,
    request: m::InitializeShareGroupStateRequest,
) -> m::InitializeShareGroupStateResponse {
    let build = |p: m::initialize_share_group_state_request::PartitionData| Request::Initialize {
        state_epoch: p.state_epoch,
        start_offset: p.start_offset,
    };
    let results =
        each_partition!(call, request, initialize_share_group_state_response, InitializeStateResult, build, |_, _| {});
    m::InitializeShareGroupStateResponse { results }
}

pub(crate) async fn delete(call: Call, request: m::DeleteShareGroupStateRequest) -> m::DeleteShareGroupStateResponse {
    let build = |_: m::delete_share_group_state_request::PartitionData| Request::Delete;
    let results =
        each_partition!(call, request, delete_share_group_state_response, DeleteStateResult, build, |_, _| {});
    m::DeleteShareGroupStateResponse { results }
}

pub(crate) async fn write(call: Call, request: m::WriteShareGroupStateRequest) -> m::WriteShareGroupStateResponse {
    let batch = |batch: &m::write_share_group_state_request::StateBatch| {
        Some(StateBatch {
            first: batch.first_offset,
            last: batch.last_offset,
            state: DeliveryState::from_i8(batch.delivery_state)?,
            delivery_count: batch.delivery_count,
        })
    };
    let build = |p: m::write_share_group_state_request::PartitionData| Request::Write {
        state_epoch: p.state_epoch,
        leader_epoch: p.leader_epoch,
        start_offset: p.start_offset,
        delivery_complete_count: p.delivery_complete_count,
        batches: p.state_batches.iter().filter_map(batch).collect(),
    };
    let results = each_partition!(call, request, write_share_group_state_response, WriteStateResult, build, |_, _| {});
    m::WriteShareGroupStateResponse { results }
}

pub(crate) async fn read(call: Call, request: m::ReadShareGroupStateRequest) -> m::ReadShareGroupStateResponse {
    let build = |p: m::read_share_group_state_request::PartitionData| Request::Read { leader_epoch: p.leader_epoch };
    let answer = |result: &mut m::read_share_group_state_response::PartitionResult, state: Option<State>| {
        let Some(state) = state else { return };
        let batch = |batch: &StateBatch| m::read_share_group_state_response::StateBatch {
            first_offset: batch.first,
            last_offset: batch.last,
            delivery_state: batch.state as i8,
            delivery_count: batch.delivery_count,
        };
        (result.state_epoch, result.start_offset) = (state.state_epoch, state.start_offset);
        result.state_batches = state.batches.iter().map(batch).collect();
    };
    let results = each_partition!(call, request, read_share_group_state_response, ReadStateResult, build, answer);
    m::ReadShareGroupStateResponse { results }
}

pub(crate) async fn read_summary(
    call: Call,
    request: m::ReadShareGroupStateSummaryRequest,
) -> m::ReadShareGroupStateSummaryResponse {
    let build = |_: m::read_share_group_state_summary_request::PartitionData| Request::ReadSummary;
    let answer = |result: &mut m::read_share_group_state_summary_response::PartitionResult, state: Option<State>| {
        let (state_epoch, leader_epoch, start, complete) = state.map_or((0, 0, -1, -1), |state| {
            (state.state_epoch, state.leader_epoch, state.start_offset, state.delivery_complete_count)
        });
        (result.state_epoch, result.leader_epoch) = (state_epoch, leader_epoch);
        (result.start_offset, result.delivery_complete_count) = (start, complete);
    };
    let results =
        each_partition!(call, request, read_share_group_state_summary_response, ReadStateSummaryResult, build, answer);
    m::ReadShareGroupStateSummaryResponse { results }
}
