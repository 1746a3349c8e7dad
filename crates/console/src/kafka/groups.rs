//! Groups: who is in them, and how far they have read.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::{NodeId, TopicPartition};
use thalweg_client::Destination;
use thalweg_wire::messages::consumer_group_describe_response as consumer;
use thalweg_wire::messages::describe_groups_response::DescribedGroup as Classic;
use thalweg_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use thalweg_wire::messages::offset_fetch_response::OffsetFetchResponseGroup;
use thalweg_wire::messages::share_group_describe_response as share;
use thalweg_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest, ListGroupsRequest,
    OffsetFetchRequest, ShareGroupDescribeRequest,
};
use thalweg_wire::{Codec as _, ErrorCode, Reader};

use super::{Kafka, Snapshot, of_each};
use crate::trouble::Trouble;

/// The last version of OffsetFetch that names topics instead of their ids.
const NAMES_UP_TO: i16 = 9;
/// So many groups are asked for at once.
const GROUPS_MAX: usize = 500;

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupListing {
    pub(crate) id: String,
    /// `classic`, `consumer`, `share`, `streams`; empty from brokers that do not say.
    pub(crate) kind: String,
    /// Its state; empty from brokers that do not say.
    pub(crate) state: String,
    /// Its protocol, such as `consumer`.
    pub(crate) protocol: String,
    /// The broker that coordinates it.
    pub(crate) coordinator: i32,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    pub(crate) assigned: BTreeSet<TopicPartition>,
}

/// A group, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) state: String,
    pub(crate) assignor: String,
    /// Its epoch; none of a classic group.
    pub(crate) epoch: Option<i32>,
    pub(crate) members: Vec<Member>,
}

/// The committed offsets of a group.
pub(crate) type Committed = BTreeMap<TopicPartition, i64>;

impl Kafka {
    /// The groups of all brokers, by their ids. Brokers that do not answer are named beside them.
    pub(crate) async fn groups(&self, snapshot: &Snapshot) -> Result<(Vec<GroupListing>, Vec<Trouble>), Trouble> {
        let client = self.client.clone();
        let answers = of_each(snapshot.brokers.iter().map(|broker| broker.id), |node| {
            let (client, deadline) = (client.clone(), Self::deadline());
            async move { client.send_by(&Destination::Node(node), &ListGroupsRequest::default(), deadline).await }
        });
        let (mut groups, mut troubles) = (Vec::new(), Vec::new());
        for (coordinator, answer) in answers.await {
            let response = match answer {
                Ok(response) => response,
                Err(error) => {
                    troubles.push(Trouble::Away(error));
                    continue;
                }
            };
            troubles.extend(Trouble::check(format!("groups of broker {coordinator}"), response.error_code, None).err());
            groups.extend(response.groups.into_iter().map(|group| GroupListing {
                id: group.group_id.to_string(),
                kind: group.group_type.to_lowercase(),
                state: group.group_state.to_string(),
                protocol: group.protocol_type.to_string(),
                coordinator,
            }));
        }
        groups.sort();
        groups.dedup_by(|one, other| one.id == other.id);
        Ok((groups, troubles))
    }

    /// Describes a group of any kind; `None` if there is none of that id.
    pub(crate) async fn group(&self, id: &str) -> Result<Option<Group>, Trouble> {
        let to = Destination::GroupCoordinator(id.into());
        let request = ConsumerGroupDescribeRequest { group_ids: vec![id.into()], ..Default::default() };
        let response = self.ask_if_served(&to, &request).await?;
        if let Some(found) = response.and_then(|response| response.groups.into_iter().next())
            && !is_of_another_kind(found.error_code)
        {
            Trouble::check(format!("group {id}"), found.error_code, found.error_message.as_deref())?;
            return Ok(Some(of_consumer(found)));
        }
        let request = ShareGroupDescribeRequest { group_ids: vec![id.into()], ..Default::default() };
        let response = self.ask_if_served(&to, &request).await?;
        if let Some(found) = response.and_then(|response| response.groups.into_iter().next())
            && !is_of_another_kind(found.error_code)
        {
            Trouble::check(format!("group {id}"), found.error_code, found.error_message.as_deref())?;
            return Ok(Some(of_share(found)));
        }
        let request = DescribeGroupsRequest { groups: vec![id.into()], ..Default::default() };
        let found = self.ask(to, &request).await?.groups.into_iter().next();
        let Some(found) = found else { return Ok(None) };
        if ErrorCode::from(found.error_code) == ErrorCode::GroupIdNotFound || &*found.group_state == "Dead" {
            return Ok(None);
        }
        Trouble::check(format!("group {id}"), found.error_code, found.error_message.as_deref())?;
        Ok(Some(of_classic(&found)))
    }

    /// The committed offsets of a group.
    pub(crate) async fn committed(&self, group: &str) -> Result<Committed, Trouble> {
        let asked = OffsetFetchRequestGroup { group_id: group.into(), topics: None, ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![asked], ..Default::default() };
        let to = Destination::GroupCoordinator(group.into());
        let response = self.ask_up_to(&to, &request, NAMES_UP_TO).await?;
        let mut offsets = Committed::new();
        for found in &response.groups {
            Trouble::check(format!("offsets of group {group}"), found.error_code, None)?;
            offsets.extend(offsets_of(found));
        }
        Ok(offsets)
    }

    /// What the groups have committed for a topic, by group; groups without an offset there are left out, and so are those
    /// that this client may not see.
    pub(crate) async fn committed_for(
        &self,
        topic: &str,
        partitions: &[i32],
        groups: &[GroupListing],
    ) -> Result<BTreeMap<String, Committed>, Trouble> {
        let mut of_broker: BTreeMap<i32, Vec<&GroupListing>> = BTreeMap::new();
        for group in groups {
            of_broker.entry(group.coordinator).or_default().push(group);
        }
        let mut found = BTreeMap::new();
        for (broker, groups) in of_broker {
            for groups in groups.chunks(GROUPS_MAX) {
                let asked = groups.iter().map(|group| OffsetFetchRequestGroup {
                    group_id: group.id.as_str().into(),
                    topics: Some(vec![OffsetFetchRequestTopics {
                        name: topic.into(),
                        partition_indexes: partitions.to_vec(),
                        ..Default::default()
                    }]),
                    ..Default::default()
                });
                let request = OffsetFetchRequest { groups: asked.collect(), ..Default::default() };
                let to = Destination::Node(NodeId(broker));
                for group in &self.ask_up_to(&to, &request, NAMES_UP_TO).await?.groups {
                    let offsets: Committed = offsets_of(group).collect();
                    if group.error_code == 0 && !offsets.is_empty() {
                        found.insert(group.group_id.to_string(), offsets);
                    }
                }
            }
        }
        Ok(found)
    }
}

fn offsets_of(group: &OffsetFetchResponseGroup) -> impl Iterator<Item = (TopicPartition, i64)> {
    let partitions = group.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| (&topic.name, partition.partition_index, partition.committed_offset))
    });
    let known = partitions.filter(|(_, _, offset)| *offset >= 0);
    known.map(|(topic, partition, offset)| (TopicPartition::new(&**topic, partition), offset))
}

fn is_of_another_kind(code: i16) -> bool {
    matches!(ErrorCode::from(code), ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion)
}

fn of_consumer(found: consumer::DescribedGroup) -> Group {
    let member = |member: consumer::Member| Member {
        id: member.member_id.to_string(),
        instance: member.instance_id.map(|id| id.to_string()),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: partitions(member.assignment.topic_partitions.iter().map(|it| (&*it.topic_name, &it.partitions))),
    };
    Group {
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        epoch: Some(found.group_epoch),
        members: found.members.into_iter().map(member).collect(),
    }
}

fn of_share(found: share::DescribedGroup) -> Group {
    let member = |member: share::Member| Member {
        id: member.member_id.to_string(),
        instance: None,
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: partitions(member.assignment.topic_partitions.iter().map(|it| (&*it.topic_name, &it.partitions))),
    };
    Group {
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        epoch: Some(found.group_epoch),
        members: found.members.into_iter().map(member).collect(),
    }
}

fn of_classic(found: &Classic) -> Group {
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.as_deref().map(str::to_owned),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: classic_assignment(&member.member_assignment).unwrap_or_default(),
    });
    Group {
        state: found.group_state.to_string(),
        assignor: found.protocol_data.to_string(),
        epoch: None,
        members: members.collect(),
    }
}

/// The assignment of a consumer of the classic protocol; `None` if the bytes are none: other programs use groups too.
fn classic_assignment(bytes: &bytes::Bytes) -> Option<BTreeSet<TopicPartition>> {
    let version = i16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
    let version = version.clamp(ConsumerProtocolAssignment::LOW, ConsumerProtocolAssignment::HIGH);
    let mut reader = Reader::new(bytes.slice(2..));
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version).ok()?;
    Some(partitions(assignment.assigned_partitions.iter().map(|it| (&*it.topic, &it.partitions))))
}

fn partitions<'a>(topics: impl Iterator<Item = (&'a str, &'a Vec<i32>)>) -> BTreeSet<TopicPartition> {
    topics.flat_map(|(topic, indexes)| indexes.iter().map(move |index| TopicPartition::new(topic, *index))).collect()
}
