//! OffsetFetch, of one group.

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use thalweg_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use super::Committed;
use crate::group::Group;
use crate::shard::Shard;

impl Shard {
    /// The committed offsets of a group. One that does not exist has none, which is no error.
    pub(crate) fn fetch_offsets(
        &self,
        request: &OffsetFetchRequestGroup,
        require_stable: bool,
    ) -> OffsetFetchResponseGroup {
        let mut response = OffsetFetchResponseGroup { group_id: request.group_id.clone(), ..Default::default() };
        let checked = match self.groups.get(&request.group_id) {
            Some(Group::Consumer(group)) => {
                group.validate_offset_fetch(request.member_id.as_deref(), request.member_epoch)
            }
            Some(Group::Streams(group)) => {
                group.validate_offset_fetch(request.member_id.as_ref(), request.member_epoch)
            }
            _ => Ok(()),
        };
        if let Err(error) = checked {
            response.error_code = error.code();
            return response;
        }
        response.topics = match &request.topics {
            None => self.all_topics(&request.group_id, require_stable),
            Some(topics) => topics
                .iter()
                .map(|topic| OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: topic
                        .partition_indexes
                        .iter()
                        .map(|&partition| {
                            let found = self.offsets.get(&request.group_id, &topic.name, partition);
                            let found = found.filter(|found| is_of_topic(found, topic.topic_id));
                            self.partition(&request.group_id, &topic.name, partition, found, require_stable)
                        })
                        .collect(),
                })
                .collect(),
        };
        response
    }

    fn all_topics(&self, group_id: &str, require_stable: bool) -> Vec<OffsetFetchResponseTopics> {
        let topics = self.offsets.of_group(group_id).into_iter().flatten();
        topics
            .map(|(topic, partitions)| OffsetFetchResponseTopics {
                name: ByteString::from(&**topic),
                topic_id: Uuid::default(),
                partitions: partitions
                    .iter()
                    .map(|(&partition, found)| self.partition(group_id, topic, partition, Some(found), require_stable))
                    .collect(),
            })
            .collect()
    }

    fn partition(
        &self,
        group_id: &str,
        topic: &str,
        partition_index: i32,
        found: Option<&Committed>,
        require_stable: bool,
    ) -> OffsetFetchResponsePartitions {
        let nothing = OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: -1,
            committed_leader_epoch: -1,
            metadata: Some(ByteString::default()),
            ..Default::default()
        };
        if require_stable && self.offsets.is_open(group_id, topic, partition_index) {
            return OffsetFetchResponsePartitions { error_code: ErrorCode::UnstableOffsetCommit.code(), ..nothing };
        }
        match found {
            None => nothing,
            Some(found) => OffsetFetchResponsePartitions {
                committed_offset: found.offset.0,
                committed_leader_epoch: found.leader_epoch.0,
                metadata: Some(ByteString::from(&*found.metadata)),
                ..nothing
            },
        }
    }
}

/// Whether the offset was committed for the topic of that id, as far as both ids are known: a topic that was deleted and
/// created again does not inherit offsets.
fn is_of_topic(found: &Committed, topic_id: Uuid) -> bool {
    found.topic_id.is_zero() || topic_id.is_zero() || found.topic_id == topic_id
}
