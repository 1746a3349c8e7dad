//! APIs that read and write the records of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_access::acl::{Operation, Resource};
use thalweg_base::Uuid;
use thalweg_metadata::topic_name;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;

use super::{Attempt, Gate, Guarded, Restricted, split};
use crate::handlers::produce::append::has_transactional;

const FAILED: i16 = ErrorCode::TopicAuthorizationFailed.code();
const ID_FAILED: i16 = ErrorCode::TransactionalIdAuthorizationFailed.code();
/// From this version on Produce names topics by id (KIP-516).
const PRODUCE_BY_ID: i16 = 13;

impl Guarded for m::ProduceRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        // Without an id, the handler refuses records of transactions.
        if let Some(id) = &self.transactional_id
            && has_transactional(self)
            && !gate.may(Operation::Write, Resource::transactional_id(id))
        {
            let responses = produce_refused(&self.topic_data, ID_FAILED);
            self.topic_data.clear();
            return Restricted::Amended(Box::new(move |response: &mut m::ProduceResponse| {
                response.responses.clone_from(&responses);
            }));
        }
        let mut decided: BTreeMap<(Uuid, &str), bool> = BTreeMap::new();
        for topic in &self.topic_data {
            let name = match gate.call.version {
                PRODUCE_BY_ID.. => gate.image.topics().by_id(topic.topic_id).map(|topic| &*topic.name),
                _ => Some(&*topic.name),
            };
            // The handler says that an id is unknown.
            let may = || {
                name.is_none_or(|name| {
                    let references = topic.partition_data.len();
                    gate.decides(Operation::Write, Resource::topic(name), Attempt::Explicit, references)
                })
            };
            decided.entry((topic.topic_id, &topic.name)).or_insert_with(may);
        }
        let refused = decided.into_iter().filter(|(_, may)| !may).map(|((id, name), _)| (id, ByteString::from(name)));
        let refused: BTreeSet<(Uuid, ByteString)> = refused.collect();
        if refused.is_empty() {
            return Restricted::Allowed;
        }
        let topics = std::mem::take(&mut self.topic_data);
        let (refused, rest): (Vec<_>, Vec<_>) =
            topics.into_iter().partition(|topic| refused.contains(&(topic.topic_id, topic.name.clone())));
        self.topic_data = rest;
        let refused = produce_refused(&refused, FAILED);
        Restricted::filtered(move |response: &mut m::ProduceResponse| {
            response.responses.extend(refused.iter().cloned())
        })
    }
}

fn produce_refused(
    topics: &[m::produce_request::TopicProduceData],
    error_code: i16,
) -> Vec<m::produce_response::TopicProduceResponse> {
    use m::produce_response::{PartitionProduceResponse, TopicProduceResponse};
    let partition = |index| PartitionProduceResponse { index, error_code, base_offset: -1, ..Default::default() };
    let topic = |topic: &m::produce_request::TopicProduceData| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(|data| partition(data.index)).collect(),
    };
    topics.iter().map(topic).collect()
}

impl Guarded for m::ListOffsetsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
        let topics = std::mem::take(&mut self.topics);
        let (allowed, refused) = split(gate, Operation::Describe, topics, |topic| Resource::topic(&topic.name));
        self.topics = allowed;
        let partition = |partition_index| ListOffsetsPartitionResponse {
            partition_index,
            error_code: FAILED,
            ..Default::default()
        };
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| ListOffsetsTopicResponse {
                partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
                name: topic.name,
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::ListOffsetsResponse| {
            response.topics.extend(refused.iter().cloned());
        })
    }
}

impl Guarded for m::OffsetForLeaderEpochRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
        // Brokers ask, too.
        if gate.may_silently(Operation::ClusterAction, Resource::CLUSTER) {
            return Restricted::Allowed;
        }
        let topics = std::mem::take(&mut self.topics);
        let (allowed, refused) = split(gate, Operation::Describe, topics, |topic| Resource::topic(&topic.topic));
        self.topics = allowed;
        let partition = |partition| EpochEndOffset { partition, error_code: FAILED, ..Default::default() };
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| OffsetForLeaderTopicResult {
                partitions: topic.partitions.iter().map(|p| partition(p.partition)).collect(),
                topic: topic.topic,
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::OffsetForLeaderEpochResponse| {
            response.topics.extend(refused.iter().cloned());
        })
    }
}

impl Guarded for m::DeleteRecordsRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
        let topics = std::mem::take(&mut self.topics);
        let (allowed, refused) = split(gate, Operation::Delete, topics, |topic| Resource::topic(&topic.name));
        self.topics = allowed;
        let partition =
            |partition_index| DeleteRecordsPartitionResult { partition_index, low_watermark: -1, error_code: FAILED };
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| DeleteRecordsTopicResult {
                partitions: topic.partitions.iter().map(|p| partition(p.partition_index)).collect(),
                name: topic.name,
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::DeleteRecordsResponse| {
            response.topics.extend(refused.iter().cloned());
        })
    }
}

impl Guarded for m::DescribeProducersRequest {
    fn restrict(&mut self, gate: &Arc<Gate>) -> Restricted<Self::Response> {
        use m::describe_producers_response::{PartitionResponse, TopicResponse};
        let (named, invalid): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.topics).into_iter().partition(|topic| topic_name::validate(&topic.name).is_ok());
        let (mut allowed, refused): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|topic| gate.may(Operation::Read, Resource::topic(&topic.name)));
        // The handler refuses names that no topic can have.
        allowed.extend(invalid);
        self.topics = allowed;
        let error = ErrorCode::TopicAuthorizationFailed;
        let partition = |&partition_index: &i32| PartitionResponse {
            partition_index,
            error_code: error.code(),
            error_message: Some(error.message().into()),
            ..Default::default()
        };
        let refused: Vec<_> = refused
            .into_iter()
            .map(|topic| TopicResponse {
                partitions: topic.partition_indexes.iter().map(partition).collect(),
                name: topic.name,
            })
            .collect();
        Restricted::amended(!refused.is_empty(), move |response: &mut m::DescribeProducersResponse| {
            response.topics.extend(refused.iter().cloned());
        })
    }
}
