//! DescribeProducers: the idempotent and transactional producers that a partition remembers (KIP-664).

use bytestring::ByteString;
use thalweg_metadata::topic_name;
use thalweg_replica::TopicRef;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeProducersRequest;
use thalweg_wire::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

use crate::call::Call;

pub(crate) fn handle(call: &Call, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partition = |&partition_index: &i32| match producers(call, &topic.name, partition_index) {
            Ok(active_producers) => {
                PartitionResponse { partition_index, active_producers, ..PartitionResponse::default() }
            }
            Err((error, message)) => PartitionResponse {
                partition_index,
                error_code: error.code(),
                error_message: message.map(ByteString::from),
                ..PartitionResponse::default()
            },
        };
        let partitions = topic.partition_indexes.iter().map(partition).collect();
        TopicResponse { name: topic.name, partitions }
    });
    DescribeProducersResponse { topics: topics.collect(), ..DescribeProducersResponse::default() }
}

/// Kafka puts its errors into words, except for a partition that a topic does not have.
fn producers(call: &Call, topic: &str, index: i32) -> Result<Vec<ProducerState>, (ErrorCode, Option<String>)> {
    topic_name::validate(topic).map_err(|e| (ErrorCode::InvalidTopicException, Some(e.to_string())))?;
    let usual = |error: ErrorCode| (error, Some(error.message().to_owned()));
    let partition = call.broker.partitions.find(TopicRef::Name(topic), index).map_err(|error| {
        let has_topic = call.broker.image().topics().by_name(topic).is_some();
        if has_topic { (error, None) } else { usual(error) }
    })?;
    let described = partition.with_log(|log| {
        let one = |(id, producer): (thalweg_base::ProducerId, &thalweg_storage::Producer)| ProducerState {
            producer_id: id.0,
            producer_epoch: i32::from(producer.epoch().0),
            last_sequence: producer.last_sequence(),
            last_timestamp: producer.last_timestamp().0,
            coordinator_epoch: producer.coordinator_epoch(),
            current_txn_start_offset: producer.txn_first_offset().map_or(-1, |offset| offset.0),
        };
        Ok(log.producers().map(one).collect())
    });
    described.ok_or_else(|| usual(ErrorCode::NotLeaderOrFollower))
}
