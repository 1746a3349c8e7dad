//! AlterReplicaLogDirs: moves replicas between the log directories of this node (KIP-113).

use std::collections::BTreeMap;
use std::path::Path;

use bytestring::ByteString;
use thalweg_base::TopicPartition;
use thalweg_replica::TopicRef;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use thalweg_wire::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use crate::call::Call;

/// A `-future` directory's name is as much longer than the topic's: a dash, the partition, 32 digits and the suffix.
const NAME_BYTES_MAX: usize = 255;

pub(crate) async fn handle(call: Call, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    // Of several directories for one partition the last counts.
    let mut wanted: BTreeMap<(&ByteString, i32), &str> = BTreeMap::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            wanted.extend(topic.partitions.iter().map(|&index| ((&topic.name, index), &*dir.path)));
        }
    }
    let mut results: BTreeMap<ByteString, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for ((topic, index), dir) in wanted {
        let error = begin(&call, dir, topic, index).err().unwrap_or(ErrorCode::None);
        let result = AlterReplicaLogDirPartitionResult { partition_index: index, error_code: error.code() };
        results.entry(topic.clone()).or_default().push(result);
    }
    let results = results.into_iter();
    AlterReplicaLogDirsResponse {
        results: results
            .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions })
            .collect(),
        ..AlterReplicaLogDirsResponse::default()
    }
}

fn begin(call: &Call, dir: &str, topic: &str, index: i32) -> Result<(), ErrorCode> {
    let longest = topic.len() + "-.".len() + index.to_string().len() + 32 + "-future".len();
    if longest > NAME_BYTES_MAX {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partitions = &call.broker.partitions;
    partitions.check_dir(Path::new(dir))?;
    let found = partitions.find(TopicRef::Name(topic), index).map_err(|unknown| {
        partitions.want_in(TopicPartition::new(topic, index), Path::new(dir));
        let image = call.broker.metadata.image();
        let known = image.topics().by_name(topic).is_some_and(|topic| topic.partition(index).is_some());
        // Kafka keeps this answer for older tools.
        if known { ErrorCode::ReplicaNotAvailable } else { unknown }
    })?;
    partitions.move_to(&found, Path::new(dir))
}
