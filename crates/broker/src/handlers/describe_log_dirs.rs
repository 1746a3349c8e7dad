//! DescribeLogDirs: what lies in each log directory, and how much room there is (KIP-113, KIP-827).

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::DescribeLogDirsRequest;
use thalweg_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::call::Call;
use crate::drivers::partitions::{DirContent, Placed};

pub(crate) async fn handle(call: Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let wanted = |placed: &Placed| match &request.topics {
        None => true,
        Some(topics) => topics.iter().any(|topic| {
            *topic.topic == *placed.partition.topic && topic.partitions.contains(&placed.partition.partition)
        }),
    };
    let mut results = Vec::new();
    for DirContent { path, placed } in call.broker.partitions.placed() {
        let Some(placed) = placed else {
            results.push(DescribeLogDirsResult {
                error_code: ErrorCode::KafkaStorageError.code(),
                log_dir: path.display().to_string().into(),
                ..DescribeLogDirsResult::default()
            });
            continue;
        };
        let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for placed in placed.iter().filter(|placed| wanted(placed)) {
            topics.entry(&placed.partition.topic).or_default().push(DescribeLogDirsPartition {
                partition_index: placed.partition.partition,
                partition_size: i64::try_from(placed.size).unwrap_or(i64::MAX),
                // This node leads: nothing of it is behind anybody but a copy.
                offset_lag: placed.lag,
                is_future_key: placed.is_future,
            });
        }
        let space = thalweg_sys::fs::space(&path).ok();
        let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        results.push(DescribeLogDirsResult {
            log_dir: path.display().to_string().into(),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| DescribeLogDirsTopic { name: ByteString::from(name), partitions })
                .collect(),
            total_bytes: space.map_or(-1, |space| bytes(space.total)),
            usable_bytes: space.map_or(-1, |space| bytes(space.usable)),
            ..DescribeLogDirsResult::default()
        });
    }
    DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() }
}
