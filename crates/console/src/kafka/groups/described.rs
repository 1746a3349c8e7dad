//! A group described: its state, its members and what is assigned to them.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::TopicPartition;
use thalweg_client::Destination;
use thalweg_wire::messages::consumer_group_describe_response as consumer;
use thalweg_wire::messages::describe_groups_response::DescribedGroup as Classic;
use thalweg_wire::messages::share_group_describe_response as share;
use thalweg_wire::messages::streams_group_describe_response as streams;
use thalweg_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest, ShareGroupDescribeRequest,
    StreamsGroupDescribeRequest,
};
use thalweg_wire::{Codec as _, ErrorCode, Reader};

use super::super::Kafka;
use crate::trouble::Trouble;

/// The kinds of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Classic,
    Consumer,
    Share,
    Streams,
}

impl GroupKind {
    /// Kafka's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
        }
    }

    /// The tool that describes and resets it.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Self::Classic | Self::Consumer => "kafka-consumer-groups.sh",
            Self::Share => "kafka-share-groups.sh",
            Self::Streams => "kafka-streams-groups.sh",
        }
    }
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    pub(crate) rack: Option<String>,
    /// The epoch up to which it has come; none in a classic group.
    pub(crate) epoch: Option<i32>,
    pub(crate) assigned: BTreeSet<TopicPartition>,
    /// The tasks of a member of a streams group, such as `0_1` or `0_2 (standby)`.
    pub(crate) tasks: Vec<String>,
}

/// A group, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) kind: GroupKind,
    pub(crate) state: String,
    pub(crate) assignor: String,
    /// Its epoch; none of a classic group.
    pub(crate) epoch: Option<i32>,
    pub(crate) members: Vec<Member>,
}

impl Group {
    /// A group without members of which only committed offsets are known.
    pub(crate) fn unknown() -> Self {
        Self {
            kind: GroupKind::Classic,
            state: "unknown".to_owned(),
            assignor: String::new(),
            epoch: None,
            members: Vec::new(),
        }
    }
}

impl Kafka {
    /// Describes a group of any kind; `None` if there is none of that id.
    pub(crate) async fn group(&self, id: &str) -> Result<Option<Group>, Trouble> {
        let to = Destination::GroupCoordinator(id.into());
        let check = |code: i16, message: Option<&str>| Trouble::check(format!("group {id}"), code, message);
        // Whether it is a group of the kind that was asked for.
        let is_of_kind = |code: i16, message: Option<&str>| match ErrorCode::from(code) {
            ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion => Ok(false),
            _ => check(code, message).map(|()| true),
        };
        let group_ids = vec![id.into()];
        let request = ConsumerGroupDescribeRequest { group_ids: group_ids.clone(), ..Default::default() };
        let response = self.ask_if_served(&to, &request).await?;
        if let Some(found) = response.and_then(|response| response.groups.into_iter().next())
            && is_of_kind(found.error_code, found.error_message.as_deref())?
        {
            return Ok(Some(of_consumer(found)));
        }
        let request = ShareGroupDescribeRequest { group_ids: group_ids.clone(), ..Default::default() };
        let response = self.ask_if_served(&to, &request).await?;
        if let Some(found) = response.and_then(|response| response.groups.into_iter().next())
            && is_of_kind(found.error_code, found.error_message.as_deref())?
        {
            return Ok(Some(of_share(found)));
        }
        let request = StreamsGroupDescribeRequest { group_ids, ..Default::default() };
        let response = self.ask_if_served(&to, &request).await?;
        if let Some(found) = response.and_then(|response| response.groups.into_iter().next())
            && is_of_kind(found.error_code, found.error_message.as_deref())?
        {
            return Ok(Some(of_streams(found)));
        }
        let request = DescribeGroupsRequest { groups: vec![id.into()], ..Default::default() };
        let found = self.ask(to, &request).await?.groups.into_iter().next();
        let Some(found) = found else { return Ok(None) };
        if ErrorCode::from(found.error_code) == ErrorCode::GroupIdNotFound || &*found.group_state == "Dead" {
            return Ok(None);
        }
        check(found.error_code, found.error_message.as_deref())?;
        Ok(Some(of_classic(&found)))
    }
}

fn of_consumer(found: consumer::DescribedGroup) -> Group {
    let member = |member: consumer::Member| Member {
        id: member.member_id.to_string(),
        instance: member.instance_id.map(|id| id.to_string()),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        rack: member.rack_id.map(|rack| rack.to_string()),
        epoch: Some(member.member_epoch),
        assigned: partitions(member.assignment.topic_partitions.iter().map(|it| (&*it.topic_name, &it.partitions))),
        tasks: Vec::new(),
    };
    Group {
        kind: GroupKind::Consumer,
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
        rack: member.rack_id.map(|rack| rack.to_string()),
        epoch: Some(member.member_epoch),
        assigned: partitions(member.assignment.topic_partitions.iter().map(|it| (&*it.topic_name, &it.partitions))),
        tasks: Vec::new(),
    };
    Group {
        kind: GroupKind::Share,
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        epoch: Some(found.group_epoch),
        members: found.members.into_iter().map(member).collect(),
    }
}

fn of_streams(found: streams::DescribedGroup) -> Group {
    // A task reads its partition of every topic that its subtopology reads.
    let mut read: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let subtopologies = found.topology.iter().flat_map(|topology| topology.subtopologies.iter().flatten());
    for subtopology in subtopologies {
        let topics = read.entry(&*subtopology.subtopology_id).or_default();
        topics.extend(subtopology.source_topics.iter().map(|topic| &**topic));
        topics.extend(subtopology.repartition_source_topics.iter().map(|topic| &*topic.name));
    }
    let member = |member: &streams::Member| {
        let mut assigned = BTreeSet::new();
        for task in &member.assignment.active_tasks {
            let topics = read.get(&*task.subtopology_id).into_iter().flatten();
            assigned.extend(partitions(topics.map(|topic| (*topic, &task.partitions))));
        }
        Member {
            id: member.member_id.to_string(),
            instance: member.instance_id.as_deref().map(str::to_owned),
            client: member.client_id.to_string(),
            host: member.client_host.to_string(),
            rack: member.rack_id.as_deref().map(str::to_owned),
            epoch: Some(member.member_epoch),
            assigned,
            tasks: tasks(&member.assignment),
        }
    };
    Group {
        kind: GroupKind::Streams,
        state: found.group_state.to_string(),
        assignor: String::new(),
        epoch: Some(found.group_epoch),
        members: found.members.iter().map(member).collect(),
    }
}

fn tasks(assignment: &streams::Assignment) -> Vec<String> {
    let kinds = [
        (&assignment.active_tasks, ""),
        (&assignment.standby_tasks, " (standby)"),
        (&assignment.warmup_tasks, " (warm-up)"),
    ];
    let mut names = Vec::new();
    for (tasks, kind) in kinds {
        for task in tasks {
            names.extend(task.partitions.iter().map(|partition| format!("{}_{partition}{kind}", task.subtopology_id)));
        }
    }
    names
}

fn of_classic(found: &Classic) -> Group {
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.as_deref().map(str::to_owned),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: classic_assignment(&member.member_assignment).unwrap_or_default(),
        ..Member::default()
    });
    Group {
        kind: GroupKind::Classic,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_its_partition_of_every_topic_of_its_subtopology() {
        let subtopology = streams::Subtopology {
            subtopology_id: "0".into(),
            source_topics: vec!["in".into()],
            repartition_source_topics: vec![streams::TopicInfo { name: "again".into(), ..Default::default() }],
            ..Default::default()
        };
        let task =
            |partitions: &[i32]| streams::TaskIds { subtopology_id: "0".into(), partitions: partitions.to_vec() };
        let assignment = streams::Assignment {
            active_tasks: vec![task(&[1])],
            standby_tasks: vec![task(&[2])],
            ..Default::default()
        };
        let found = streams::DescribedGroup {
            topology: Some(streams::Topology { epoch: 1, subtopologies: Some(vec![subtopology]) }),
            members: vec![streams::Member { assignment, ..Default::default() }],
            ..Default::default()
        };
        let group = of_streams(found);
        let member = &group.members[0];
        let assigned: Vec<String> = member.assigned.iter().map(ToString::to_string).collect();
        assert_eq!(assigned, ["again-1", "in-1"]);
        assert_eq!(member.tasks, ["0_1", "0_2 (standby)"]);
    }
}
