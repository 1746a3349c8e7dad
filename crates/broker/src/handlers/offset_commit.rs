//! OffsetCommit: how far a group has read.

use thalweg_base::Uuid;
use thalweg_groups::Request;
use thalweg_network::Reply;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use thalweg_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::groups::{caller, expect_answer, reply};
use crate::call::Call;

/// From this version on topics are named by id (KIP-848).
const BY_ID: i16 = 10;

pub(crate) fn handle(call: Call, mut request: OffsetCommitRequest) -> Reply {
    let mut refused = Answered { by_id: call.version >= BY_ID, topics: Vec::new() };
    let image = call.broker.image();
    let mut known = Vec::with_capacity(request.topics.len());
    for mut topic in std::mem::take(&mut request.topics) {
        let found = match refused.by_id {
            true => image.topics().by_id(topic.topic_id),
            false => image.topics().by_name(&topic.name),
        };
        let Some(found) = found else {
            let error = if refused.by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
            topic.partitions.iter().for_each(|p| refused.add(&topic, p.partition_index, error.code()));
            continue;
        };
        (topic.name, topic.topic_id) = ((&*found.name).into(), found.id);
        let (valid, unknown) = std::mem::take(&mut topic.partitions)
            .into_iter()
            .partition(|p| found.partition(p.partition_index).is_some());
        topic.partitions = unknown;
        let error = ErrorCode::UnknownTopicOrPartition.code();
        topic.partitions.iter().for_each(|p| refused.add(&topic, p.partition_index, error));
        topic.partitions = valid;
        if !topic.partitions.is_empty() {
            known.push(topic);
        }
    }
    if known.is_empty() {
        return Reply::Now(call.answer(&refused.response()));
    }
    request.topics = known;
    let (group, asked_for) = (request.group_id.clone(), request.topics.clone());
    let asked = call.broker.groups.ask(&group, &caller(&call), Request::OffsetCommit(request));
    reply(call, asked, move |_, outcome| {
        match expect_answer!(outcome, OffsetCommit) {
            // Topics that stand in two lists are put together only beside what was refused, as Kafka does it.
            Ok(response) if refused.topics.is_empty() => return response,
            Ok(response) => response.topics.into_iter().for_each(|topic| refused.merge(topic)),
            Err(error) => asked_for.iter().for_each(|topic| {
                topic.partitions.iter().for_each(|p| refused.add(topic, p.partition_index, error.code()));
            }),
        }
        refused.response()
    })
}

/// An answer that is put together, with one entry for each topic.
struct Answered {
    by_id: bool,
    topics: Vec<OffsetCommitResponseTopic>,
}

impl Answered {
    fn topic(&mut self, name: &str, topic_id: Uuid) -> &mut OffsetCommitResponseTopic {
        let by_id = self.by_id;
        let is_it =
            |topic: &OffsetCommitResponseTopic| if by_id { topic.topic_id == topic_id } else { *topic.name == *name };
        // Requests name a topic once, so that the last one is the only one to look at.
        let at = match self.topics.iter().rposition(is_it) {
            Some(at) => at,
            None => {
                let topic =
                    OffsetCommitResponseTopic { name: name.into(), topic_id, ..OffsetCommitResponseTopic::default() };
                self.topics.push(topic);
                self.topics.len() - 1
            }
        };
        &mut self.topics[at]
    }

    fn add(&mut self, topic: &OffsetCommitRequestTopic, partition_index: i32, error_code: i16) {
        let partition = OffsetCommitResponsePartition { partition_index, error_code };
        self.topic(&topic.name, topic.topic_id).partitions.push(partition);
    }

    fn merge(&mut self, topic: OffsetCommitResponseTopic) {
        self.topic(&topic.name, topic.topic_id).partitions.extend(topic.partitions);
    }

    fn response(self) -> OffsetCommitResponse {
        OffsetCommitResponse { topics: self.topics, ..OffsetCommitResponse::default() }
    }
}
