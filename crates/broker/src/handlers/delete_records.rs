//! DeleteRecords: moves the beginning of partitions forward (KIP-107).

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Offset;
use thalweg_metadata::topic_name;
use thalweg_replica::TopicRef;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DeleteRecordsRequest;
use thalweg_wire::messages::delete_records_request::DeleteRecordsPartition;
use thalweg_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::dispatch::Call;

/// "Up to the high watermark", as an offset of the request.
const HIGH_WATERMARK: i64 = -1;

pub(crate) fn handle(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    // Of a partition that is named several times the last counts; topics without partitions are not answered.
    let mut topics: BTreeMap<ByteString, BTreeMap<i32, DeleteRecordsPartition>> = BTreeMap::new();
    for topic in request.topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        let partitions = topic.partitions.into_iter().map(|asked| (asked.partition_index, asked));
        topics.entry(topic.name).or_default().extend(partitions);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.values().map(|asked| {
            let deleted = delete(call, &name, asked);
            DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark: deleted.map_or(-1, |low_watermark| low_watermark.0),
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult { name, partitions }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn delete(call: &Call, topic: &str, asked: &DeleteRecordsPartition) -> Result<Offset, ErrorCode> {
    let partition = call.broker.partitions.find(TopicRef::Name(topic), asked.partition_index)?;
    if topic_name::is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let to = (asked.offset != HIGH_WATERMARK).then_some(Offset(asked.offset));
    partition.delete_records(to)
}
