//! DeleteRecords: moves the beginning of partitions forward (KIP-107).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Offset;
use thalweg_metadata::topic_name;
use thalweg_replica::TopicRef;
use thalweg_sys::task;
use thalweg_sys::time::{Duration, Instant, now};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DeleteRecordsRequest;
use thalweg_wire::messages::delete_records_request::DeleteRecordsPartition;
use thalweg_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::call::Call;
use crate::drivers::parked::Parked;
use crate::drivers::partition::Partition;

/// "Up to the high watermark", as an offset of the request.
const HIGH_WATERMARK: i64 = -1;

/// What was done to one partition.
struct Deleted {
    index: i32,
    /// Where it begins now.
    low_watermark: Result<Offset, ErrorCode>,
    partition: Option<Arc<Partition>>,
}

pub(crate) async fn handle(call: Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    // Of a partition that is named several times the last counts; topics without partitions are not answered.
    let mut topics: BTreeMap<ByteString, BTreeMap<i32, DeleteRecordsPartition>> = BTreeMap::new();
    for topic in request.topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        let partitions = topic.partitions.into_iter().map(|asked| (asked.partition_index, asked));
        topics.entry(topic.name).or_default().extend(partitions);
    }
    let mut results: Vec<(ByteString, Vec<Deleted>)> = Vec::with_capacity(topics.len());
    for (name, partitions) in topics {
        let deleted = partitions.values().map(|asked| delete(&call, &name, asked)).collect();
        results.push((name, deleted));
    }
    // What a user has deleted stays deleted, even if the node is killed right after the answer.
    if results.iter().flat_map(|(_, deleted)| deleted).any(|deleted| deleted.low_watermark.is_ok()) {
        let partitions = Arc::clone(&call.broker.partitions);
        if task::blocking(move || partitions.checkpoint()).await.is_err() {
            results.iter_mut().flat_map(|(_, deleted)| deleted).for_each(Deleted::fail);
        }
    }
    let deadline = now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    for deleted in results.iter_mut().flat_map(|(_, deleted)| deleted) {
        deleted.wait_for_followers(deadline).await;
    }
    let topics = results.into_iter().map(|(name, deleted)| DeleteRecordsTopicResult {
        name,
        partitions: deleted.into_iter().map(Deleted::result).collect(),
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

impl Deleted {
    /// Waits until the log of every live replica begins where the leader's does, or later.
    async fn wait_for_followers(&mut self, deadline: Instant) {
        let (Ok(to), Some(partition)) = (self.low_watermark, &self.partition) else { return };
        let parked = Parked::new();
        let mut is_parked = false;
        self.low_watermark = loop {
            parked.begin();
            match partition.low_watermark() {
                Err(error) => break Err(error),
                Ok(Some(low_watermark)) if low_watermark >= to => break Ok(low_watermark),
                Ok(_) => {}
            }
            if !is_parked {
                // Then look once more: it may have moved before.
                is_parked = true;
                partition.park(&parked);
                continue;
            }
            if !parked.woken_before(deadline).await {
                break Err(ErrorCode::RequestTimedOut);
            }
        };
    }

    fn fail(&mut self) {
        if self.low_watermark.is_ok() {
            self.low_watermark = Err(ErrorCode::KafkaStorageError);
        }
    }

    fn result(mut self) -> DeleteRecordsPartitionResult {
        // The checkpoint may have found that the disk does not work.
        if self.partition.as_ref().is_some_and(|partition| partition.is_offline()) {
            self.fail();
        }
        DeleteRecordsPartitionResult {
            partition_index: self.index,
            low_watermark: self.low_watermark.map_or(-1, |low_watermark| low_watermark.0),
            error_code: self.low_watermark.err().unwrap_or(ErrorCode::None).code(),
        }
    }
}

fn delete(call: &Call, topic: &str, asked: &DeleteRecordsPartition) -> Deleted {
    let index = asked.partition_index;
    match call.broker.partitions.find(TopicRef::Name(topic), index) {
        Err(error) => Deleted { index, low_watermark: Err(error), partition: None },
        Ok(_) if topic_name::is_internal(topic) => {
            Deleted { index, low_watermark: Err(ErrorCode::InvalidTopicException), partition: None }
        }
        Ok(partition) => {
            let to = (asked.offset != HIGH_WATERMARK).then_some(Offset(asked.offset));
            Deleted { index, low_watermark: partition.delete_records(to), partition: Some(partition) }
        }
    }
}
