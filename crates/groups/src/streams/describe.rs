//! What tools ask about a streams group.

use bytestring::ByteString;
use thalweg_wire::messages::streams_group_describe_response as d;
use thalweg_wire::messages::streams_group_topology_value as v;

use super::group::StreamsGroup;
use super::member::StreamsMember;
use super::tasks::{TargetTasks, Tasks, without_epochs};
use super::topology::{ConfiguredSubtopology, InternalTopic, Topology};
use crate::walk;

impl StreamsGroup {
    /// The group as StreamsGroupDescribe shows it.
    pub(super) fn describe(&self) -> d::DescribedGroup {
        let mut members: Vec<d::Member> =
            self.members.iter().map(|(id, member)| describe_member(id, member, self.target.get(id))).collect();
        walk::sort(&mut members, |member| &member.member_id);
        d::DescribedGroup {
            group_id: self.id.clone(),
            group_state: self.state_name().into(),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            topology: self.describe_topology(),
            members,
            ..Default::default()
        }
    }

    /// The topology with the numbers of partitions that were decided; as the application gave it while it does not fit.
    fn describe_topology(&self) -> Option<d::Topology> {
        let topology = self.topology.as_ref()?;
        let ready = self.configured.as_ref().filter(|configured| configured.is_ready());
        if let Some(subtopologies) = ready.and_then(|configured| configured.subtopologies.as_ref()) {
            let subtopologies = subtopologies.iter().map(|(id, of)| describe_configured(id, of)).collect();
            return Some(d::Topology { epoch: topology.epoch, subtopologies: Some(subtopologies) });
        }
        Some(describe_given(topology))
    }
}

fn describe_configured(id: &ByteString, subtopology: &ConfiguredSubtopology) -> d::Subtopology {
    let info = |(name, topic): (&ByteString, &InternalTopic)| d::TopicInfo {
        name: name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: topic
            .configs
            .iter()
            .map(|(key, value)| d::KeyValue { key: key.clone(), value: value.clone() })
            .collect(),
    };
    d::Subtopology {
        subtopology_id: id.clone(),
        source_topics: subtopology.source_topics.iter().cloned().collect(),
        repartition_sink_topics: subtopology.repartition_sink_topics.iter().cloned().collect(),
        state_changelog_topics: subtopology.changelog_topics.iter().map(info).collect(),
        repartition_source_topics: subtopology.repartition_source_topics.iter().map(info).collect(),
    }
}

fn describe_given(topology: &Topology) -> d::Topology {
    let sorted = |names: &[ByteString]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    let infos = |infos: &[v::TopicInfo]| {
        let config = |config: &v::TopicConfig| d::KeyValue { key: config.key.clone(), value: config.value.clone() };
        let info = |info: &v::TopicInfo| d::TopicInfo {
            name: info.name.clone(),
            partitions: info.partitions,
            replication_factor: info.replication_factor,
            topic_configs: info.topic_configs.iter().map(config).collect(),
        };
        let mut all: Vec<d::TopicInfo> = infos.iter().map(info).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    };
    let subtopology = |(id, of): (&ByteString, &v::Subtopology)| d::Subtopology {
        subtopology_id: id.clone(),
        source_topics: sorted(&of.source_topics),
        repartition_sink_topics: sorted(&of.repartition_sink_topics),
        state_changelog_topics: infos(&of.state_changelog_topics),
        repartition_source_topics: infos(&of.repartition_source_topics),
    };
    let subtopologies = topology.subtopologies.iter().map(subtopology).collect();
    d::Topology { epoch: topology.epoch, subtopologies: Some(subtopologies) }
}

fn describe_member(id: &ByteString, member: &StreamsMember, target: Option<&TargetTasks>) -> d::Member {
    let none = TargetTasks::default();
    let target = target.unwrap_or(&none);
    let endpoint = member.user_endpoint.as_ref();
    let tags = member.client_tags.iter().map(|(key, value)| d::KeyValue { key: key.clone(), value: value.clone() });
    d::Member {
        member_id: id.clone(),
        member_epoch: member.epoch,
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topology_epoch: member.topology_epoch,
        process_id: member.process_id.clone(),
        user_endpoint: endpoint.map(|at| d::Endpoint { host: at.host.clone(), port: at.port }),
        client_tags: tags.collect(),
        assignment: d::Assignment {
            active_tasks: tasks(&without_epochs(&member.assigned.active)),
            standby_tasks: tasks(&member.assigned.standby),
            warmup_tasks: tasks(&member.assigned.warmup),
        },
        target_assignment: d::Assignment {
            active_tasks: tasks(&target.active),
            standby_tasks: tasks(&target.standby),
            warmup_tasks: tasks(&target.warmup),
        },
        ..Default::default()
    }
}

fn tasks(tasks: &Tasks) -> Vec<d::TaskIds> {
    let of = tasks.iter().map(|(subtopology_id, partitions)| d::TaskIds {
        subtopology_id: subtopology_id.clone(),
        partitions: partitions.iter().copied().collect(),
    });
    of.collect()
}
