//! OffsetFetch: how far groups have read. Before version 8 the request was about one group (KIP-709).

use thalweg_groups::Request;
use thalweg_metadata::MetadataImage;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use thalweg_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::groups::{caller, expect_answer, reply_all};
use crate::call::Call;
use crate::drivers::groups::Outcome;

/// From this version on an error can be that of the whole group.
const GROUP_ERROR: i16 = 2;
/// From this version on several groups are asked for at once.
const BATCHED: i16 = 8;
/// From this version on topics are named by id (KIP-848).
const BY_ID: i16 = 10;

/// What is asked of one group.
struct Asking {
    group: OffsetFetchRequestGroup,
    /// The topics that the cluster does not know.
    unknown: Vec<OffsetFetchResponseTopics>,
}

pub(crate) fn handle(call: Call, request: OffsetFetchRequest) -> Reply {
    let require_stable = request.require_stable;
    let image = call.broker.image();
    let mut asking: Vec<Asking> =
        groups(call.version, request).into_iter().map(|group| Asking { group, unknown: Vec::new() }).collect();
    if call.version >= BY_ID {
        asking.iter_mut().for_each(|asking| asking.unknown = name_topics(&image, &mut asking.group));
    }
    let caller = caller(&call);
    let ask = |asking: &Asking| {
        let request = Request::OffsetFetch { group: asking.group.clone(), require_stable };
        call.broker.groups.ask(&asking.group.group_id, &caller, request)
    };
    let asked = asking.iter().map(ask).collect();
    reply_all(call, asked, move |call, outcomes| {
        let answer = |(asking, outcome)| answer(call.version, &image, asking, outcome);
        response(call.version, asking.into_iter().zip(outcomes).map(answer).collect())
    })
}

/// The request as versions with several groups have it.
fn groups(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchRequestGroup> {
    if version >= BATCHED {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let topic =
            |topic: thalweg_wire::messages::offset_fetch_request::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..OffsetFetchRequestTopics::default()
            };
        topics.into_iter().map(topic).collect()
    });
    vec![OffsetFetchRequestGroup { group_id: request.group_id, topics, ..OffsetFetchRequestGroup::default() }]
}

/// Fills in the names of topics that are asked for by id; takes out those that there are not.
fn name_topics(image: &MetadataImage, group: &mut OffsetFetchRequestGroup) -> Vec<OffsetFetchResponseTopics> {
    let mut unknown = Vec::new();
    let Some(topics) = &mut group.topics else { return unknown };
    topics.retain_mut(|topic| {
        if let Some(found) = image.topics().by_id(topic.topic_id) {
            topic.name = (&*found.name).into();
            return true;
        }
        unknown.push(failed(topic, ErrorCode::UnknownTopicId));
        false
    });
    unknown
}

fn failed(topic: &OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics {
    let partition = |&partition_index| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        metadata: Some("".into()),
        error_code: error.code(),
        ..OffsetFetchResponsePartitions::default()
    };
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partition_indexes.iter().map(partition).collect(),
    }
}

fn answer(version: i16, image: &MetadataImage, asking: Asking, outcome: Outcome) -> OffsetFetchResponseGroup {
    let Asking { group, unknown } = asking;
    let mut answer = match expect_answer!(outcome, OffsetFetch) {
        Ok(answer) => answer,
        // Consumers before 3.9 do not expect this error, and this one makes them look for the coordinator again.
        Err(ErrorCode::CoordinatorNotAvailable) => return refused(version, &group, ErrorCode::NotCoordinator.code()),
        Err(error) => return refused(version, &group, error.code()),
    };
    if answer.error_code != 0 {
        return refused(version, &group, answer.error_code);
    }
    if group.topics.is_none() && version >= BY_ID {
        for topic in answer.topics.iter_mut().filter(|topic| topic.topic_id.is_zero()) {
            topic.topic_id = image.topics().by_name(&topic.name).map_or(topic.topic_id, |found| found.id);
        }
        // A topic that is gone has no id by which it could be named.
        answer.topics.retain(|topic| !topic.topic_id.is_zero());
    }
    answer.topics.extend(unknown);
    answer
}

fn refused(version: i16, group: &OffsetFetchRequestGroup, error_code: i16) -> OffsetFetchResponseGroup {
    let group_id = group.group_id.clone();
    if version >= GROUP_ERROR {
        return OffsetFetchResponseGroup { group_id, error_code, ..OffsetFetchResponseGroup::default() };
    }
    let topics = group.topics.iter().flatten().map(|topic| failed(topic, ErrorCode::from_code(error_code))).collect();
    OffsetFetchResponseGroup { group_id, topics, ..OffsetFetchResponseGroup::default() }
}

fn response(version: i16, groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    if version >= BATCHED {
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let Some(group) = groups.into_iter().next() else { return OffsetFetchResponse::default() };
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(topic).collect(),
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    }
}
