//! DescribeTopicPartitions (KIP-966): topics page by page, with their eligible leader replicas.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_metadata::image::TopicImage;
use thalweg_metadata::image::partition::ids;
use thalweg_metadata::{MetadataImage, topic_name};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeTopicPartitionsRequest;
use thalweg_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use super::topic_view::{TOPIC_OPERATIONS, leader, offline_replicas};
use crate::call::Call;

pub(crate) fn handle(call: &Call, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let image = call.broker.image();
    let all = request.topics.is_empty();
    let from: ByteString = request.cursor.as_ref().map(|cursor| cursor.topic_name.clone()).unwrap_or_default();
    let names: BTreeSet<ByteString> = if all {
        image.topics().iter_by_name(&from).map(|topic| ByteString::from(&*topic.name)).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.clone()).filter(|name| *name >= from).collect()
    };
    if let Some(cursor) = &request.cursor
        && (cursor.partition_index < 0 || !all && !names.contains(&from))
    {
        return refused(&request, ErrorCode::InvalidRequest);
    }
    // Kafka fails on it, with all that was asked for besides, unless there is a cursor.
    if request.cursor.is_none() && names.contains("") {
        return refused(&request, ErrorCode::UnknownServerError);
    }
    let room = request.response_partition_limit.min(call.broker.config.topics.max_request_partition_size_limit).max(1);
    let first_partition = request.cursor.as_ref().map_or(0, |cursor| cursor.partition_index);
    let mut page = Page {
        image: &image,
        listener: &call.listener,
        room: room as usize,
        response: DescribeTopicPartitionsResponse::default(),
    };
    for name in names {
        let first = if name == from { first_partition } else { 0 };
        if !page.add(&name, first, all) {
            break;
        }
    }
    page.response
}

/// Every topic is answered with the error.
fn refused(request: &DescribeTopicPartitionsRequest, error: ErrorCode) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(topic.name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..DescribeTopicPartitionsResponse::default() }
}

/// One answer in the making.
struct Page<'a> {
    image: &'a MetadataImage,
    listener: &'a str,
    /// For how many partitions there is room.
    room: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    /// Adds a topic from its partition `first` on. Says whether there was room for all of it; if not, the cursor points
    /// to what comes next.
    fn add(&mut self, name: &ByteString, first: i32, all: bool) -> bool {
        if self.room == 0 {
            self.response.next_cursor = Some(Cursor { topic_name: name.clone(), partition_index: first });
            return false;
        }
        let Some(topic) = self.image.topics().by_name(name) else {
            if !all {
                self.response.topics.push(missing(name));
            }
            return true;
        };
        let partitions: Vec<_> = topic
            .partitions
            .range(first..)
            .take(self.room)
            .map(|(&index, partition)| {
                let (error, leader) = leader(self.image, partition, self.listener, ErrorCode::ListenerNotFound);
                DescribeTopicPartitionsResponsePartition {
                    error_code: error.code(),
                    partition_index: index,
                    leader_id: leader.0,
                    leader_epoch: partition.leader_epoch.0,
                    replica_nodes: ids(&partition.replicas),
                    isr_nodes: ids(&partition.isr),
                    eligible_leader_replicas: Some(ids(&partition.elr)),
                    last_known_elr: Some(ids(&partition.last_known_elr)),
                    offline_replicas: offline_replicas(self.image, partition),
                }
            })
            .collect();
        self.room -= partitions.len();
        let next = partitions.last().map_or(first, |last| last.partition_index + 1);
        self.response.topics.push(described(topic, partitions));
        let is_whole = topic.partition(next).is_none();
        if !is_whole {
            self.response.next_cursor = Some(Cursor { topic_name: name.clone(), partition_index: next });
        }
        is_whole
    }
}

fn described(
    topic: &Arc<TopicImage>,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some((&*topic.name).into()),
        topic_id: topic.id,
        is_internal: topic_name::is_internal(&topic.name),
        partitions,
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn missing(name: &ByteString) -> DescribeTopicPartitionsResponseTopic {
    let error = match topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.clone()),
        is_internal: topic_name::is_internal(name),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
