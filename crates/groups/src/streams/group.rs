//! A streams group's state: what its records in the log say.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Moment;
use thalweg_wire::messages as m;

use super::member::StreamsMember;
use super::tasks::{TargetTasks, collect};
use super::topology::{ConfiguredTopology, Topology};
use crate::consumer::copy;
use crate::records::Record;

/// The epoch of a topology that no group has.
pub(super) const NO_TOPOLOGY: i32 = -1;

/// A streams group (KIP-1071).
///
/// It is changed by [`StreamsGroup::replay`] alone, but for what the log does not hold: `refresh`, `configured`,
/// `endpoint_epoch` and `shutdown_by`. A coordinator that takes over works that out anew, and forgets who has asked for the
/// application's end.
#[derive(Clone, Debug)]
pub(crate) struct StreamsGroup {
    pub(super) id: ByteString,
    /// Goes up whenever the members are to run other tasks.
    pub(super) epoch: i32,
    /// A hash of the topics that the tasks read and write.
    pub(super) metadata_hash: i64,
    /// The epoch of the topology that fitted the topics; -1 if none did.
    pub(super) validated_topology_epoch: i32,
    /// The configuration that tasks were assigned by.
    pub(super) assignment_configs: BTreeMap<ByteString, ByteString>,
    pub(super) topology: Option<Arc<Topology>>,
    pub(super) members: BTreeMap<ByteString, StreamsMember>,
    /// The group epoch that `target` was computed for.
    pub(super) assignment_epoch: i32,
    pub(super) assignment_timestamp: i64,
    pub(super) target: BTreeMap<ByteString, TargetTasks>,
    /// What could be made of the topology when the topics were looked at last.
    pub(super) configured: Option<Arc<ConfiguredTopology>>,
    /// Until when the topics need not be looked at, if the group is still in this epoch.
    pub(super) refresh: Option<(Moment, i32)>,
    /// Goes up when partitions move between the members' endpoints.
    pub(super) endpoint_epoch: i32,
    /// The member that wants the application to end.
    pub(super) shutdown_by: Option<ByteString>,
}

impl StreamsGroup {
    /// A group that nobody has joined yet.
    pub(crate) fn new(id: ByteString) -> Self {
        Self {
            id,
            epoch: 1,
            metadata_hash: 0,
            validated_topology_epoch: NO_TOPOLOGY,
            assignment_configs: BTreeMap::new(),
            topology: None,
            members: BTreeMap::new(),
            assignment_epoch: 1,
            assignment_timestamp: 0,
            target: BTreeMap::new(),
            configured: None,
            refresh: None,
            endpoint_epoch: 0,
            shutdown_by: None,
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The state as tools show it.
    pub(crate) fn state_name(&self) -> &'static str {
        let fits = |topology: &Arc<Topology>| topology.epoch == self.validated_topology_epoch;
        if self.members.is_empty() {
            "Empty"
        } else if !self.topology.as_ref().is_some_and(fits) {
            "NotReady"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_reconciled_to(self.assignment_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether the group's tasks read `topic`: its offsets are in use then.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        !self.members.is_empty() && self.topology.as_ref().is_some_and(|own| own.reader_of(topic).is_some())
    }

    /// Whether the group's tasks read or write one of these topics.
    pub(super) fn requires_any(&self, topics: &std::collections::BTreeSet<&str>) -> bool {
        let required = self.topology.iter().flat_map(|topology| topology.required_topics());
        required.into_iter().any(|name| topics.contains(&**name))
    }

    /// The tombstones of everything that the log holds about the group, its offsets aside.
    pub(crate) fn tombstones(&self, group_id: &ByteString) -> Vec<Record> {
        let group = || group_id.clone();
        let mut records: Vec<Record> = Vec::new();
        for member_id in self.members.keys().cloned() {
            records.push(m::StreamsGroupCurrentMemberAssignmentKey { group_id: group(), member_id }.into());
        }
        for member_id in self.members.keys().cloned() {
            records.push(m::StreamsGroupTargetAssignmentMemberKey { group_id: group(), member_id }.into());
        }
        records.push(m::StreamsGroupTargetAssignmentMetadataKey { group_id: group() }.into());
        for member_id in self.members.keys().cloned() {
            records.push(m::StreamsGroupMemberMetadataKey { group_id: group(), member_id }.into());
        }
        records.push(m::StreamsGroupMetadataKey { group_id: group() }.into());
        records.push(m::StreamsGroupTopologyKey { group_id: group() }.into());
        records
    }

    /// Applies one of its records. A group that has been deleted is for the caller to drop.
    pub(super) fn replay(&mut self, record: Record) {
        match record {
            Record::StreamsGroupMetadata { value: Some(value), .. } => {
                (self.epoch, self.metadata_hash) = (value.epoch, value.metadata_hash);
                self.validated_topology_epoch = value.validated_topology_epoch;
                let configs = value.last_assignment_configs.iter().flatten();
                self.assignment_configs = configs.map(|config| (copy(&config.key), copy(&config.value))).collect();
            }
            Record::StreamsGroupMember { key, value: Some(value) } => {
                self.member(&key.member_id).apply_metadata(&value)
            }
            Record::StreamsGroupMember { key, value: None } => {
                self.members.remove(&key.member_id);
                if self.members.is_empty() {
                    self.shutdown_by = None;
                }
            }
            Record::StreamsGroupTargetAssignment { value, .. } => {
                let epochs = value.map_or((-1, 0), |value| (value.assignment_epoch, value.assignment_timestamp));
                (self.assignment_epoch, self.assignment_timestamp) = epochs;
            }
            Record::StreamsGroupTargetAssignmentMember { key, value: Some(value) } => {
                self.target.insert(copy(&key.member_id), recorded(&value));
            }
            Record::StreamsGroupTargetAssignmentMember { key, value: None } => drop(self.target.remove(&key.member_id)),
            Record::StreamsGroupCurrentAssignment { key, value }
                if value.is_some() || self.members.contains_key(&key.member_id) =>
            {
                self.member(&key.member_id).apply_assignment(value.as_ref());
            }
            Record::StreamsGroupTopology { value, .. } => {
                self.topology = value.map(|value| Arc::new(Topology::from_record(value)));
            }
            _ => {}
        }
    }

    fn member(&mut self, id: &ByteString) -> &mut StreamsMember {
        self.members.entry(copy(id)).or_insert_with(StreamsMember::new)
    }
}

fn recorded(value: &m::StreamsGroupTargetAssignmentMemberValue) -> TargetTasks {
    let tasks = |tasks: &[m::streams_group_target_assignment_member_value::TaskIds]| {
        collect(tasks.iter().map(|of| (&of.subtopology_id, &of.partitions)))
    };
    TargetTasks {
        active: tasks(&value.active_tasks),
        standby: tasks(&value.standby_tasks),
        warmup: tasks(&value.warmup_tasks),
    }
}
