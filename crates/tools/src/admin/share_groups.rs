//! Share groups as tools see them (KIP-932).

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_wire::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use thalweg_wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use thalweg_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use thalweg_wire::messages::share_group_describe_response::DescribedGroup;
use thalweg_wire::messages::{
    AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, DescribeShareGroupOffsetsRequest,
    ShareGroupDescribeRequest,
};

use super::{Admin, check};
use crate::thrown::Thrown;

/// Where a share group stands in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareOffset {
    /// The first record that is not done; `None` while the group has not begun.
    pub start: Option<i64>,
    /// The leader epoch of that record.
    pub leader_epoch: Option<i32>,
    /// How many records there are to do.
    pub lag: Option<i64>,
}

impl Admin {
    /// A share group.
    ///
    /// # Errors
    /// When its coordinator does not answer, or there is no such group.
    pub async fn describe_share_group(&self, group: &str) -> Result<DescribedGroup, Thrown> {
        let request =
            ShareGroupDescribeRequest { group_ids: vec![group.into()], ..ShareGroupDescribeRequest::default() };
        let response = self.coordinator("describeShareGroups", group, &request).await?;
        let found = response.groups.into_iter().next().unwrap_or_default();
        check(found.error_code, found.error_message.as_deref()).map(|()| found)
    }

    /// Where a share group stands in all of its partitions.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses.
    pub async fn share_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, ShareOffset>, Thrown> {
        let asked = DescribeShareGroupOffsetsRequestGroup { group_id: group.into(), topics: None };
        let request = DescribeShareGroupOffsetsRequest { groups: vec![asked] };
        let response = self.coordinator("listShareGroupOffsets", group, &request).await?;
        let mut offsets = BTreeMap::new();
        for found in &response.groups {
            check(found.error_code, found.error_message.as_deref())?;
            for topic in &found.topics {
                for partition in topic.partitions.iter().filter(|partition| partition.error_code == 0) {
                    let begun = partition.start_offset >= 0;
                    let offset = ShareOffset {
                        start: begun.then_some(partition.start_offset),
                        leader_epoch: begun.then_some(partition.leader_epoch),
                        lag: (begun && partition.lag >= 0).then_some(partition.lag),
                    };
                    offsets.insert(TopicPartition::new(&*topic.topic_name, partition.partition_index), offset);
                }
            }
        }
        Ok(offsets)
    }

    /// Sets where a share group without members stands.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses one of them.
    pub async fn alter_share_offsets(&self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<(), Thrown> {
        let mut topics: BTreeMap<&str, Vec<AlterShareGroupOffsetsRequestPartition>> = BTreeMap::new();
        for (partition, start_offset) in offsets {
            let entry = AlterShareGroupOffsetsRequestPartition {
                partition_index: partition.partition,
                start_offset: *start_offset,
            };
            topics.entry(&partition.topic).or_default().push(entry);
        }
        let topic = |(name, partitions): (&str, Vec<_>)| AlterShareGroupOffsetsRequestTopic {
            topic_name: name.into(),
            partitions,
        };
        let request =
            AlterShareGroupOffsetsRequest { group_id: group.into(), topics: topics.into_iter().map(topic).collect() };
        let response = self.coordinator("alterShareGroupOffsets", group, &request).await?;
        check(response.error_code, response.error_message.as_deref())?;
        let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| check(partition.error_code, partition.error_message.as_deref()))
    }

    /// Forgets where a share group without members stands in topics; each topic has its own result.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses all of it.
    pub async fn delete_share_offsets(
        &self,
        group: &str,
        topics: &[String],
    ) -> Result<BTreeMap<String, Result<(), Thrown>>, Thrown> {
        let topic = |name: &String| DeleteShareGroupOffsetsRequestTopic { topic_name: name.as_str().into() };
        let request =
            DeleteShareGroupOffsetsRequest { group_id: group.into(), topics: topics.iter().map(topic).collect() };
        let response = self.coordinator("deleteShareGroupOffsets", group, &request).await?;
        check(response.error_code, response.error_message.as_deref())?;
        let result = |topic: &thalweg_wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic| {
            (topic.topic_name.to_string(), check(topic.error_code, topic.error_message.as_deref()))
        };
        Ok(response.responses.iter().map(result).collect())
    }
}
