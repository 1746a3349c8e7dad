//! How far groups have come.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::{NodeId, TopicPartition};
use thalweg_client::{Destination, Error};
use thalweg_wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use thalweg_wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup;
use thalweg_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use thalweg_wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use thalweg_wire::messages::{DescribeShareGroupOffsetsRequest, OffsetFetchRequest, OffsetFetchResponse};

use super::super::{Kafka, Range, Snapshot};
use super::{Group, GroupKind, GroupListing};
use crate::trouble::Trouble;

/// The last version of OffsetFetch that names topics instead of their ids.
const NAMES_UP_TO: i16 = 9;
/// The last version of OffsetFetch that has one group only: that of Kafka before 3.0.
const ONE_GROUP_UP_TO: i16 = 7;
/// So many groups are asked for at once.
const GROUPS_MAX: usize = 500;

/// The offsets of a group: those that it has committed, or, of a share group, those of the first records that are not done.
pub(crate) type Committed = BTreeMap<TopicPartition, i64>;

/// How far a group has come in partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) committed: Committed,
    /// The lags that the broker has counted: it does so for share groups, which are done with records out of order.
    lags: BTreeMap<TopicPartition, i64>,
    /// Where the partitions begin and end, of those that are known.
    pub(crate) ranges: BTreeMap<TopicPartition, Range>,
}

impl Progress {
    /// How many offsets the group has before it in a partition; `None` where that is not known.
    pub(crate) fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        let counted = self.lags.get(partition).copied();
        counted.or_else(|| Some(self.ranges.get(partition)?.lag_of(*self.committed.get(partition)?).max(0)))
    }

    /// The lag in all partitions of a topic where it is known.
    pub(crate) fn topic_lag(&self, topic: &str) -> i64 {
        let partitions = self.committed.keys().filter(|partition| &*partition.topic == topic);
        partitions.filter_map(|partition| self.lag(partition)).sum()
    }

    /// The lag in all partitions where it is known.
    pub(crate) fn total_lag(&self) -> i64 {
        self.committed.keys().filter_map(|partition| self.lag(partition)).sum()
    }

    /// The topics in which it has an offset.
    pub(crate) fn topics(&self) -> BTreeSet<&str> {
        self.committed.keys().map(|partition| &*partition.topic).collect()
    }
}

impl Kafka {
    /// How far a group has come.
    pub(crate) async fn progress(&self, id: &str, group: Option<&Group>) -> Result<Progress, Trouble> {
        let mut progress = if group.is_some_and(|group| group.kind == GroupKind::Share) {
            self.share_progress(id).await?
        } else {
            Progress { committed: self.committed(id).await?, ..Progress::default() }
        };
        progress.ranges = self.ranges_of(&progress.committed).await?;
        Ok(progress)
    }

    /// The offsets that a group has committed.
    async fn committed(&self, group: &str) -> Result<Committed, Trouble> {
        let to = Destination::GroupCoordinator(group.into());
        let mut offsets = Committed::new();
        for found in self.fetch_offsets(&to, &[group], None).await? {
            Trouble::check(format!("offsets of group {group}"), found.error_code, None)?;
            offsets.extend(offsets_of(&found));
        }
        Ok(offsets)
    }

    /// The offsets of groups: of all partitions, or of these of one topic.
    async fn fetch_offsets(
        &self,
        to: &Destination,
        groups: &[&str],
        only: Option<(&str, &[i32])>,
    ) -> Result<Vec<OffsetFetchResponseGroup>, Trouble> {
        let asked = |group: &&str| OffsetFetchRequestGroup {
            group_id: (*group).into(),
            topics: only.map(|(topic, partitions)| {
                let partition_indexes = partitions.to_vec();
                vec![OffsetFetchRequestTopics { name: topic.into(), partition_indexes, ..Default::default() }]
            }),
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: groups.iter().map(asked).collect(), ..Default::default() };
        match self.client.send_limited(to, &request, NAMES_UP_TO, Self::deadline()).await {
            Ok(response) => return Ok(response.groups),
            // The broker has no version in which a request may name several groups.
            Err(Error::Encode { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut found = Vec::with_capacity(groups.len());
        for group in groups {
            let response = self.ask_up_to(to, &request_of_one(group, only), ONE_GROUP_UP_TO).await?;
            found.push(answer_of_one(group, response));
        }
        Ok(found)
    }

    async fn share_progress(&self, group: &str) -> Result<Progress, Trouble> {
        let asked = DescribeShareGroupOffsetsRequestGroup { group_id: group.into(), topics: None };
        let request = DescribeShareGroupOffsetsRequest { groups: vec![asked] };
        let response = self.ask(Destination::GroupCoordinator(group.into()), &request).await?;
        let mut progress = Progress::default();
        for found in &response.groups {
            Trouble::check(format!("offsets of group {group}"), found.error_code, found.error_message.as_deref())?;
            progress.add_share(found);
        }
        Ok(progress)
    }

    /// How far groups have come in a topic, by group; groups without an offset there are left out, and so are those that this
    /// client may not see.
    pub(crate) async fn progress_in(
        &self,
        topic: &str,
        ranges: &BTreeMap<TopicPartition, Range>,
        groups: &[GroupListing],
    ) -> Result<BTreeMap<String, Progress>, Trouble> {
        let partitions: Vec<i32> = ranges.keys().map(|partition| partition.partition).collect();
        let mut of_broker: BTreeMap<(i32, bool), Vec<&str>> = BTreeMap::new();
        for group in groups {
            of_broker.entry((group.coordinator, group.kind == "share")).or_default().push(&group.id);
        }
        let mut found = BTreeMap::new();
        for ((broker, is_share), groups) in of_broker {
            let to = Destination::Node(NodeId(broker));
            for groups in groups.chunks(GROUPS_MAX) {
                let progress = if is_share {
                    self.share_progress_in(&to, groups, topic, &partitions).await?
                } else {
                    let answers = self.fetch_offsets(&to, groups, Some((topic, &partitions))).await?;
                    let readable = answers.into_iter().filter(|group| group.error_code == 0);
                    let progress = |group: OffsetFetchResponseGroup| {
                        let committed = offsets_of(&group).collect();
                        (group.group_id.to_string(), Progress { committed, ..Progress::default() })
                    };
                    readable.map(progress).collect()
                };
                found.extend(progress.into_iter().filter(|(_, progress)| !progress.committed.is_empty()));
            }
        }
        for progress in found.values_mut() {
            progress.ranges.clone_from(ranges);
        }
        Ok(found)
    }

    async fn share_progress_in(
        &self,
        to: &Destination,
        groups: &[&str],
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(String, Progress)>, Trouble> {
        let asked = |group: &&str| DescribeShareGroupOffsetsRequestGroup {
            group_id: (*group).into(),
            topics: Some(vec![DescribeShareGroupOffsetsRequestTopic {
                topic_name: topic.into(),
                partitions: partitions.to_vec(),
            }]),
        };
        let request = DescribeShareGroupOffsetsRequest { groups: groups.iter().map(asked).collect() };
        let response = self.ask(to.clone(), &request).await?;
        let readable = response.groups.iter().filter(|group| group.error_code == 0);
        let progress = |group: &DescribeShareGroupOffsetsResponseGroup| {
            let mut progress = Progress::default();
            progress.add_share(group);
            (group.group_id.to_string(), progress)
        };
        Ok(readable.map(progress).collect())
    }

    /// Where partitions begin and end, of those that have a leader.
    pub(crate) async fn ranges_of(&self, committed: &Committed) -> Result<BTreeMap<TopicPartition, Range>, Trouble> {
        let snapshot = self.snapshot().await?;
        let asked: Vec<TopicPartition> = committed.keys().filter(|it| is_led(&snapshot, it)).cloned().collect();
        let ranges = self.ranges(&asked).await?;
        Ok(asked.into_iter().zip(ranges).filter_map(|(partition, range)| Some((partition, range?))).collect())
    }
}

impl Progress {
    fn add_share(&mut self, group: &DescribeShareGroupOffsetsResponseGroup) {
        for topic in &group.topics {
            // A group that has not begun with a partition has no offset there.
            for found in topic.partitions.iter().filter(|found| found.error_code == 0 && found.start_offset >= 0) {
                let partition = TopicPartition::new(&*topic.topic_name, found.partition_index);
                if found.lag >= 0 {
                    self.lags.insert(partition.clone(), found.lag);
                }
                self.committed.insert(partition, found.start_offset);
            }
        }
    }
}

fn is_led(snapshot: &Snapshot, partition: &TopicPartition) -> bool {
    let topic = snapshot.topics.get(&partition.topic);
    let known = topic.and_then(|topic| topic.partition(partition.partition));
    known.is_some_and(|known| known.leader.is_some())
}

fn request_of_one(group: &str, only: Option<(&str, &[i32])>) -> OffsetFetchRequest {
    let topics = only.map(|(topic, partitions)| {
        vec![OffsetFetchRequestTopic { name: topic.into(), partition_indexes: partitions.to_vec() }]
    });
    OffsetFetchRequest { group_id: group.into(), topics, ..Default::default() }
}

fn answer_of_one(group: &str, response: OffsetFetchResponse) -> OffsetFetchResponseGroup {
    use thalweg_wire::messages::offset_fetch_response::{OffsetFetchResponsePartitions, OffsetFetchResponseTopics};
    let mut topics = Vec::with_capacity(response.topics.len());
    for topic in response.topics {
        let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartitions {
            partition_index: partition.partition_index,
            committed_offset: partition.committed_offset,
            committed_leader_epoch: partition.committed_leader_epoch,
            metadata: partition.metadata,
            error_code: partition.error_code,
        });
        let partitions = partitions.collect();
        topics.push(OffsetFetchResponseTopics { name: topic.name, partitions, ..Default::default() });
    }
    OffsetFetchResponseGroup { group_id: group.into(), topics, error_code: response.error_code }
}

fn offsets_of(group: &OffsetFetchResponseGroup) -> impl Iterator<Item = (TopicPartition, i64)> {
    let partitions = group.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (&topic.name, partition.partition_index, partition.committed_offset))
    });
    let known = partitions.filter(|(_, _, offset)| *offset >= 0);
    known.map(|(topic, partition, offset)| (TopicPartition::new(&**topic, partition), offset))
}

#[cfg(test)]
mod tests {
    use thalweg_wire::Writer;

    use super::*;

    #[test]
    fn old_brokers_are_asked_for_one_group_at_a_time() {
        let groups = vec![OffsetFetchRequestGroup { group_id: "g".into(), topics: None, ..Default::default() }];
        let several = OffsetFetchRequest { groups, ..Default::default() };
        let encoded = |request: &OffsetFetchRequest| request.encode(&mut Writer::new(), ONE_GROUP_UP_TO);
        assert!(encoded(&several).is_err(), "so the console notices that it must ask otherwise");
        assert!(encoded(&request_of_one("g", Some(("t", &[0, 1])))).is_ok());
    }

    #[test]
    fn a_lag_that_the_broker_has_counted_comes_first() {
        let partition = TopicPartition::new("t", 0);
        let other = TopicPartition::new("t", 1);
        let progress = Progress {
            committed: [(partition.clone(), 3), (other.clone(), 9)].into(),
            lags: [(partition.clone(), 2)].into(),
            ranges: [(partition.clone(), Range { first: 0, end: 9 }), (other, Range { first: 0, end: 10 })].into(),
        };
        assert_eq!((progress.lag(&partition), progress.topic_lag("t"), progress.total_lag()), (Some(2), 3, 3));
    }
}
