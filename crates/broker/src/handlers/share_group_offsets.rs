//! DescribeShareGroupOffsets, AlterShareGroupOffsets and DeleteShareGroupOffsets: where a share group is in its partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_groups::{Answer, Request};
use thalweg_share::state::{self, Key};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::alter_share_group_offsets_response as a;
use thalweg_wire::messages::delete_share_group_offsets_response as x;
use thalweg_wire::messages::describe_share_group_offsets_response as d;

use super::share::{initialize, partitions_of, serves_share_groups, this_node};
use crate::broker::Broker;
use crate::call::Call;

pub(crate) async fn describe(
    call: Call,
    request: m::DescribeShareGroupOffsetsRequest,
) -> m::DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let group_id = group.group_id.clone();
        let described = match serves_share_groups(&call) {
            true => describe_group(&call.broker, &group).await,
            false => Err(ErrorCode::UnsupportedVersion),
        };
        groups.push(match described {
            Ok(topics) => d::DescribeShareGroupOffsetsResponseGroup { group_id, topics, ..Default::default() },
            Err(error) => d::DescribeShareGroupOffsetsResponseGroup {
                group_id,
                error_code: error.code(),
                error_message: Some(error.message().into()),
                ..Default::default()
            },
        });
    }
    m::DescribeShareGroupOffsetsResponse { groups, ..Default::default() }
}

async fn describe_group(
    broker: &Broker,
    group: &m::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup,
) -> Result<Vec<d::DescribeShareGroupOffsetsResponseTopic>, ErrorCode> {
    let image = broker.image();
    let mut asked: Vec<(ByteString, Option<Uuid>, Vec<i32>)> = Vec::new();
    match &group.topics {
        None => {
            let partitions = match partitions_of(broker, &group.group_id).await {
                Err(ErrorCode::GroupIdNotFound) => thalweg_groups::Partitions::new(),
                found => found?,
            };
            for (topic, partitions) in partitions {
                if let Some(found) = image.topics().by_id(topic) {
                    asked.push((ByteString::from(&*found.name), Some(topic), partitions.into_iter().collect()));
                }
            }
        }
        Some(topics) => asked.extend(topics.iter().map(|topic| {
            let id = image.topics().by_name(&topic.topic_name).map(|topic| topic.id);
            (topic.topic_name.clone(), id, topic.partitions.clone())
        })),
    }
    let mut topics = Vec::with_capacity(asked.len());
    for (topic_name, id, indexes) in asked {
        let mut partitions = Vec::with_capacity(indexes.len());
        for index in indexes {
            partitions.push(describe_partition(broker, &group.group_id, id, index).await);
        }
        let topic_id = id.unwrap_or_default();
        topics.push(d::DescribeShareGroupOffsetsResponseTopic { topic_name, topic_id, partitions });
    }
    Ok(topics)
}

async fn describe_partition(
    broker: &Broker,
    group: &ByteString,
    topic: Option<Uuid>,
    partition_index: i32,
) -> d::DescribeShareGroupOffsetsResponsePartition {
    let mut described = d::DescribeShareGroupOffsetsResponsePartition {
        partition_index,
        start_offset: -1,
        lag: -1,
        ..Default::default()
    };
    let mut refuse = |error: ErrorCode, text: &str| {
        described.error_code = error.code();
        described.error_message = Some(text.into());
    };
    let Some(topic) = topic else { return described };
    let key = Key { group: group.clone(), topic, partition: partition_index };
    match broker.share.coordinators().ask(&key, &state::Request::ReadSummary).await {
        Err(failure) => refuse(failure.code, failure.text()),
        Ok(None) => {}
        Ok(Some(state)) => {
            described.start_offset = state.start_offset;
            described.leader_epoch = state.leader_epoch;
            if state.start_offset >= 0
                && state.delivery_complete_count >= 0
                && let Some(end) = broker.share.log_end(&broker.image(), topic, partition_index).await
            {
                let done = i64::from(state.delivery_complete_count);
                described.lag = end.0.saturating_sub(state.start_offset).saturating_sub(done);
            }
        }
    }
    described
}

pub(crate) async fn alter(call: Call, request: m::AlterShareGroupOffsetsRequest) -> m::AlterShareGroupOffsetsResponse {
    if !serves_share_groups(&call) {
        return refused_alter(ErrorCode::UnsupportedVersion);
    }
    let image = call.broker.image();
    let mut starts = BTreeMap::new();
    for topic in &request.topics {
        let found = image.topics().by_name(&topic.topic_name);
        for partition in &topic.partitions {
            if let Some(found) = found.filter(|found| found.partition(partition.partition_index).is_some()) {
                starts.insert((found.id, partition.partition_index), partition.start_offset);
            }
        }
    }
    let group = request.group_id.clone();
    let asked =
        call.broker.groups.ask(&group, &this_node(), Request::AlterShareOffsets { group: group.clone(), starts });
    let wanted = match asked.outcome().await {
        Ok(Answer::ShareInitialize(Ok(wanted))) => wanted,
        Ok(Answer::ShareInitialize(Err(error))) | Err(error) => return refused_alter(error),
        Ok(_) => return refused_alter(ErrorCode::UnknownServerError),
    };
    let outcomes = initialize(&call.broker, wanted).await;
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let topic_id = image.topics().by_name(&topic.topic_name).map(|topic| topic.id).unwrap_or_default();
        let partition = |asked: &m::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestPartition| {
            let partition_index = asked.partition_index;
            let (error, text) = match outcomes.get(&(topic_id, partition_index)) {
                Some(Ok(())) => (ErrorCode::None, None),
                Some(Err(failure)) => (failure.code, Some(failure.text().into())),
                None => (ErrorCode::UnknownTopicOrPartition, Some(ErrorCode::UnknownTopicOrPartition.message().into())),
            };
            a::AlterShareGroupOffsetsResponsePartition {
                partition_index,
                error_code: error.code(),
                error_message: text,
            }
        };
        let partitions = topic.partitions.iter().map(partition).collect();
        responses.push(a::AlterShareGroupOffsetsResponseTopic { topic_name: topic.topic_name, topic_id, partitions });
    }
    m::AlterShareGroupOffsetsResponse { responses, ..Default::default() }
}

fn refused_alter(error: ErrorCode) -> m::AlterShareGroupOffsetsResponse {
    let error_message = Some(error.message().into());
    m::AlterShareGroupOffsetsResponse { error_code: error.code(), error_message, ..Default::default() }
}

pub(crate) async fn delete(
    call: Call,
    request: m::DeleteShareGroupOffsetsRequest,
) -> m::DeleteShareGroupOffsetsResponse {
    let refused = |error: ErrorCode| {
        let message = match error {
            ErrorCode::GroupIdNotFound => format!("Group {} not found.", request.group_id).into(),
            _ => error.message().into(),
        };
        let error_message = Some(message);
        m::DeleteShareGroupOffsetsResponse { error_code: error.code(), error_message, ..Default::default() }
    };
    if !serves_share_groups(&call) {
        return refused(ErrorCode::UnsupportedVersion);
    }
    let image = call.broker.image();
    let id_of = |name: &str| image.topics().by_name(name).map(|topic| topic.id);
    let topics: Vec<Uuid> = request.topics.iter().filter_map(|topic| id_of(&topic.topic_name)).collect();
    let group = request.group_id.clone();
    let asked = Request::DeleteShareOffsets { group: group.clone(), topics };
    let gone = match call.broker.groups.ask(&group, &this_node(), asked).outcome().await {
        Ok(Answer::SharePartitions(Ok(gone))) => gone,
        Ok(Answer::SharePartitions(Err(error))) | Err(error) => return refused(error),
        Ok(_) => return refused(ErrorCode::UnknownServerError),
    };
    let failed = forget(&call.broker, &group, &gone).await;
    let topic = |topic: m::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic| {
        let topic_name = topic.topic_name;
        let (error, message) = match id_of(&topic_name) {
            None => (ErrorCode::UnknownTopicOrPartition, Some(ErrorCode::UnknownTopicOrPartition.message().into())),
            Some(id) if !gone.contains_key(&id) => {
                (ErrorCode::UnknownTopicOrPartition, Some("There is no offset information to delete.".into()))
            }
            Some(id) => match failed.get(&id) {
                Some(error) => (*error, Some(error.message().into())),
                None => (ErrorCode::None, None),
            },
        };
        let topic_id = id_of(&topic_name).filter(|id| gone.contains_key(id)).unwrap_or_default();
        x::DeleteShareGroupOffsetsResponseTopic {
            topic_name,
            topic_id,
            error_code: error.code(),
            error_message: message,
        }
    };
    m::DeleteShareGroupOffsetsResponse {
        responses: request.topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

/// Has the share coordinator forget partitions of a group. Gives the topics of which it did not forget all.
pub(super) async fn forget(
    broker: &Arc<Broker>,
    group: &ByteString,
    partitions: &thalweg_groups::Partitions,
) -> BTreeMap<Uuid, ErrorCode> {
    let mut all = Vec::new();
    for (topic, of) in partitions {
        all.extend(of.iter().map(|partition| (*topic, *partition)));
    }
    broker.share.forget(group, all.iter().copied());
    let mut failed = BTreeMap::new();
    for (topic, partition) in all {
        let key = Key { group: group.clone(), topic, partition };
        if let Err(failure) = broker.share.coordinators().ask(&key, &state::Request::Delete).await {
            failed.insert(topic, failure.code);
        }
    }
    failed
}
