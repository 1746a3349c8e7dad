//! The records that a streams group writes.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_wire::messages as m;
use thalweg_wire::messages::streams_group_current_member_assignment_value as current;
use thalweg_wire::messages::streams_group_member_metadata_value::KeyValue;
use thalweg_wire::messages::streams_group_metadata_value::LastAssignmentConfig;
use thalweg_wire::messages::streams_group_target_assignment_member_value as target;

use super::group::StreamsGroup;
use super::member::StreamsMember;
use super::tasks::{ActiveTasks, TargetTasks, Tasks};
use super::topology::Topology;
use crate::records::Record;

impl StreamsGroup {
    /// A member and what it has said.
    pub(super) fn member_record(&self, id: &ByteString, member: &StreamsMember) -> Record {
        let key = m::StreamsGroupMemberMetadataKey { group_id: self.id.clone(), member_id: id.clone() };
        let tags = member.client_tags.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() });
        let value = m::StreamsGroupMemberMetadataValue {
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            topology_epoch: member.topology_epoch,
            process_id: member.process_id.clone(),
            user_endpoint: member.user_endpoint.clone(),
            client_tags: tags.collect(),
        };
        (key, value).into()
    }

    /// The group's epoch, and what it stands for.
    pub(super) fn epoch_record(
        &self,
        epoch: i32,
        metadata_hash: i64,
        validated_topology_epoch: i32,
        configs: &BTreeMap<ByteString, ByteString>,
    ) -> Record {
        let key = m::StreamsGroupMetadataKey { group_id: self.id.clone() };
        let configs =
            configs.iter().map(|(key, value)| LastAssignmentConfig { key: key.clone(), value: value.clone() });
        let value = m::StreamsGroupMetadataValue {
            epoch,
            metadata_hash,
            validated_topology_epoch,
            last_assignment_configs: Some(configs.collect()),
        };
        (key, value).into()
    }

    /// The topology.
    pub(super) fn topology_record(&self, topology: &Topology) -> Record {
        let key = m::StreamsGroupTopologyKey { group_id: self.id.clone() };
        let subtopologies = topology.subtopologies.values().cloned().collect();
        (key, m::StreamsGroupTopologyValue { epoch: topology.epoch, subtopologies }).into()
    }

    /// What a member is to run.
    pub(super) fn target_record(&self, id: &ByteString, tasks: &TargetTasks) -> Record {
        let key = m::StreamsGroupTargetAssignmentMemberKey { group_id: self.id.clone(), member_id: id.clone() };
        let of = |tasks: &Tasks| {
            let of = |(subtopology_id, partitions): (&ByteString, &std::collections::BTreeSet<i32>)| target::TaskIds {
                subtopology_id: subtopology_id.clone(),
                partitions: partitions.iter().copied().collect(),
            };
            tasks.iter().map(of).collect::<Vec<_>>()
        };
        let value = m::StreamsGroupTargetAssignmentMemberValue {
            active_tasks: of(&tasks.active),
            standby_tasks: of(&tasks.standby),
            warmup_tasks: of(&tasks.warmup),
        };
        (key, value).into()
    }

    /// The epoch of what the members are to run.
    pub(super) fn target_epoch_record(&self, assignment_epoch: i32, assignment_timestamp: i64) -> Record {
        let key = m::StreamsGroupTargetAssignmentMetadataKey { group_id: self.id.clone() };
        (key, m::StreamsGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }).into()
    }

    /// What a member runs and is giving up.
    pub(super) fn assignment_record(&self, id: &ByteString, member: &StreamsMember) -> Record {
        let key = m::StreamsGroupCurrentMemberAssignmentKey { group_id: self.id.clone(), member_id: id.clone() };
        let value = m::StreamsGroupCurrentMemberAssignmentValue {
            member_epoch: member.epoch,
            previous_member_epoch: member.previous_epoch,
            state: member.state.to_i8(),
            active_tasks: with_epochs(&member.assigned.active),
            standby_tasks: current_tasks(&member.assigned.standby),
            warmup_tasks: current_tasks(&member.assigned.warmup),
            active_tasks_pending_revocation: with_epochs(&member.revoking.active),
            standby_tasks_pending_revocation: current_tasks(&member.revoking.standby),
            warmup_tasks_pending_revocation: current_tasks(&member.revoking.warmup),
        };
        (key, value).into()
    }

    /// A member goes: what the log holds of it is taken back, and the others are to run its tasks.
    pub(super) fn remove_member(&self, member_id: &ByteString) -> Vec<Record> {
        let (group_id, member_id) = (|| self.id.clone(), || member_id.clone());
        let (hash, validated) = (self.metadata_hash, self.validated_topology_epoch);
        vec![
            m::StreamsGroupCurrentMemberAssignmentKey { group_id: group_id(), member_id: member_id() }.into(),
            m::StreamsGroupTargetAssignmentMemberKey { group_id: group_id(), member_id: member_id() }.into(),
            m::StreamsGroupMemberMetadataKey { group_id: group_id(), member_id: member_id() }.into(),
            self.epoch_record(self.epoch.saturating_add(1), hash, validated, &self.assignment_configs),
        ]
    }
}

fn current_tasks(tasks: &Tasks) -> Vec<current::TaskIds> {
    let of = tasks.iter().map(|(subtopology_id, partitions)| current::TaskIds {
        subtopology_id: subtopology_id.clone(),
        partitions: partitions.iter().copied().collect(),
        assignment_epochs: None,
    });
    of.collect()
}

fn with_epochs(tasks: &ActiveTasks) -> Vec<current::TaskIds> {
    let of = tasks.iter().map(|(subtopology_id, given)| current::TaskIds {
        subtopology_id: subtopology_id.clone(),
        partitions: given.keys().copied().collect(),
        assignment_epochs: Some(given.values().copied().collect()),
    });
    of.collect()
}
