//! OffsetForLeaderEpoch: where an epoch of the leader ended, for clients that look for a truncation (KIP-320).

use thalweg_base::LeaderEpoch;
use thalweg_replica::TopicRef;
use thalweg_wire::messages::OffsetForLeaderEpochRequest;
use thalweg_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use crate::call::Call;

pub(crate) fn handle(call: &Call, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let current = (asked.current_leader_epoch != -1).then_some(LeaderEpoch(asked.current_leader_epoch));
            let found = call.broker.partitions.find(TopicRef::Name(&topic.topic), asked.partition);
            let found = found.and_then(|partition| partition.end_of_epoch(LeaderEpoch(asked.leader_epoch), current));
            let mut answer = EpochEndOffset { partition: asked.partition, ..EpochEndOffset::default() };
            match found {
                Ok(Some(end)) => {
                    answer.leader_epoch = end.epoch.0;
                    answer.end_offset = end.end.0;
                }
                // The log knows no epoch as old: both stay -1.
                Ok(None) => {}
                Err(error) => answer.error_code = error.code(),
            }
            answer
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}
