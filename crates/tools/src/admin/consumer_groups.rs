//! Consumer groups as tools see them: of the classic protocol and of the new one (KIP-848).

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_client::{Destination, Lane};
use thalweg_wire::messages::consumer_group_describe_response::{Assignment, DescribedGroup};
use thalweg_wire::messages::describe_groups_response::DescribedGroup as ClassicGroup;
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use thalweg_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use thalweg_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use thalweg_wire::{Codec as _, ErrorCode, Reader, Request};

use super::{Admin, NodeInfo, check, error};
use crate::thrown::Thrown;

/// The last version of OffsetFetch and OffsetCommit that names topics instead of their ids.
const NAMES_UP_TO: i16 = 9;

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// `group.instance.id`.
    pub instance: Option<String>,
    /// Its client id.
    pub client: String,
    /// Where it is.
    pub host: String,
    /// The partitions that it has.
    pub assigned: Vec<TopicPartition>,
    /// The partitions that it is to have; none of a classic group.
    pub target: Vec<TopicPartition>,
    /// Its epoch; none of a classic group.
    pub epoch: Option<i32>,
    /// Whether it uses the new protocol, where the broker says so.
    pub upgraded: Option<bool>,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Its id.
    pub id: String,
    /// Its state, by Kafka's name.
    pub state: String,
    /// Its assignor; empty while it has none.
    pub assignor: String,
    /// Its members.
    pub members: Vec<Member>,
    /// Its epoch; none of a classic group.
    pub epoch: Option<i32>,
    /// The epoch of its target assignment; none of a classic group.
    pub target_epoch: Option<i32>,
}

/// A committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset.
    pub offset: i64,
    /// The leader epoch of the record before it.
    pub leader_epoch: Option<i32>,
}

impl Admin {
    /// The node that coordinates a group.
    ///
    /// # Errors
    /// When there is none, or no node answers.
    pub async fn group_coordinator(&self, group: &str) -> Result<NodeInfo, Thrown> {
        self.find_coordinator(group, 0).await
    }

    /// Describes a consumer group.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses.
    pub async fn describe_consumer_group(&self, group: &str) -> Result<ConsumerGroup, Thrown> {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![group.into()], ..Default::default() };
        // What the coordinator says of a group that is neither of the new protocol nor of the classic one.
        let mut neither = None;
        match self.coordinator("describeConsumerGroups", group, &request).await {
            Ok(response) => {
                if let Some(found) = response.groups.into_iter().next() {
                    match ErrorCode::from(found.error_code) {
                        ErrorCode::UnsupportedVersion => {}
                        ErrorCode::GroupIdNotFound => {
                            neither = check(found.error_code, found.error_message.as_deref()).err();
                        }
                        _ => {
                            check(found.error_code, found.error_message.as_deref())?;
                            return Ok(of_new(found));
                        }
                    }
                }
            }
            Err(thrown) if thrown.is("UnsupportedVersionException") => {}
            Err(thrown) => return Err(thrown),
        }
        let request = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
        let response = self.coordinator("describeConsumerGroups", group, &request).await?;
        let found = response.groups.into_iter().next();
        let found = found.ok_or_else(|| Thrown::of_code(ErrorCode::GroupIdNotFound, None))?;
        match (check(found.error_code, found.error_message.as_deref()), neither) {
            (Err(thrown), Some(neither)) if thrown.is("GroupIdNotFoundException") => Err(neither),
            (checked, _) => checked.map(|()| of_classic(&found)),
        }
    }

    /// Sends a request that names topics to a group's coordinator, at a version that does so.
    async fn by_names<Q: Request>(&self, call: &str, group: &str, request: &Q) -> Result<Q::Response, Thrown> {
        let client = self.client();
        let deadline = client.api_deadline();
        // It finds the coordinator, and waits until it has loaded the group.
        let probe = DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() };
        self.coordinator(call, group, &probe).await?;
        let to = Destination::GroupCoordinator(group.into());
        let sent = async {
            let connection = client.connection(&to, Lane::Requests, deadline).await?;
            let version = connection.version(Q::API)?.min(NAMES_UP_TO);
            connection.send_at(request, version, deadline).await
        };
        sent.await.map_err(|e| error::thrown(call, &e))
    }

    /// The committed offsets of a group.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses.
    pub async fn committed_offsets(&self, group: &str) -> Result<BTreeMap<TopicPartition, Committed>, Thrown> {
        let asked = OffsetFetchRequestGroup { group_id: group.into(), topics: None, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![asked], ..Default::default() };
        let response = self.by_names("listConsumerGroupOffsets", group, &request).await?;
        let mut offsets = BTreeMap::new();
        for found in &response.groups {
            check(found.error_code, None)?;
            for topic in &found.topics {
                for partition in topic.partitions.iter().filter(|partition| partition.committed_offset >= 0) {
                    let epoch = partition.committed_leader_epoch;
                    let committed =
                        Committed { offset: partition.committed_offset, leader_epoch: (epoch >= 0).then_some(epoch) };
                    offsets.insert(TopicPartition::new(&*topic.name, partition.partition_index), committed);
                }
            }
        }
        Ok(offsets)
    }

    /// Commits offsets for a group without members.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses one of them.
    pub async fn alter_offsets(&self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<(), Thrown> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (partition, offset) in offsets {
            topics.entry(&partition.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some("".into()),
            });
        }
        let topics = topics.into_iter().map(|(name, partitions)| OffsetCommitRequestTopic {
            name: name.into(),
            partitions,
            ..Default::default()
        });
        let request = OffsetCommitRequest { group_id: group.into(), topics: topics.collect(), ..Default::default() };
        let response = self.by_names("alterConsumerGroupOffsets", group, &request).await?;
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| check(partition.error_code, None))
    }

    /// Deletes committed offsets; each partition has its own result.
    ///
    /// # Errors
    /// When the group's coordinator does not answer, or refuses all of it.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, ErrorCode>, Thrown> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for partition in partitions {
            let entry = OffsetDeleteRequestPartition { partition_index: partition.partition };
            topics.entry(&partition.topic).or_default().push(entry);
        }
        let topics =
            topics.into_iter().map(|(name, partitions)| OffsetDeleteRequestTopic { name: name.into(), partitions });
        let request = OffsetDeleteRequest { group_id: group.into(), topics: topics.collect() };
        let response = self.coordinator("deleteConsumerGroupOffsets", group, &request).await?;
        check(response.error_code, None)?;
        let mut results = BTreeMap::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                let key = TopicPartition::new(&*topic.name, partition.partition_index);
                results.insert(key, ErrorCode::from(partition.error_code));
            }
        }
        Ok(results)
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// When its coordinator does not answer, or refuses.
    pub async fn delete_group(&self, group: &str) -> Result<(), Thrown> {
        let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
        let response = self.coordinator("deleteConsumerGroups", group, &request).await?;
        response.results.iter().try_for_each(|result| check(result.error_code, None))
    }
}

fn partitions(assignment: &Assignment) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for topic in &assignment.topic_partitions {
        partitions.extend(topic.partitions.iter().map(|index| TopicPartition::new(&*topic.topic_name, *index)));
    }
    partitions
}

fn of_new(group: DescribedGroup) -> ConsumerGroup {
    let members = group.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.instance_id.as_ref().map(ToString::to_string),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: partitions(&member.assignment),
        target: partitions(&member.target_assignment),
        epoch: Some(member.member_epoch),
        upgraded: (member.member_type >= 0).then_some(member.member_type == 1),
    });
    ConsumerGroup {
        id: group.group_id.to_string(),
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        members: members.collect(),
        epoch: Some(group.group_epoch),
        target_epoch: Some(group.assignment_epoch),
    }
}

fn of_classic(group: &ClassicGroup) -> ConsumerGroup {
    let members = group.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.as_ref().map(ToString::to_string),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: classic_assignment(&member.member_assignment),
        target: Vec::new(),
        epoch: None,
        upgraded: None,
    });
    ConsumerGroup {
        id: group.group_id.to_string(),
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        members: members.collect(),
        epoch: None,
        target_epoch: None,
    }
}

/// The partitions of an assignment in the format of Kafka's consumers; none of another.
fn classic_assignment(bytes: &bytes::Bytes) -> Vec<TopicPartition> {
    let Some(version) = bytes.get(..2).map(|head| i16::from_be_bytes([head[0], head[1]])) else { return Vec::new() };
    let version = version.min(ConsumerProtocolAssignment::HIGH);
    let mut reader = Reader::new(bytes.slice(2..));
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut reader, version) else { return Vec::new() };
    let mut partitions = Vec::new();
    for topic in &assignment.assigned_partitions {
        partitions.extend(topic.partitions.iter().map(|index| TopicPartition::new(&*topic.topic, *index)));
    }
    partitions
}
