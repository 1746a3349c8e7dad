//! A member of a streams group.

use std::collections::BTreeMap;
use std::time::Duration;

use bytestring::ByteString;
use thalweg_wire::messages as m;

use super::tasks::{HeldTasks, collect, collect_active};
use crate::consumer::copy;
use crate::request::Caller;

/// How far a member is on its way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has its target.
    Stable,
    /// It is giving up tasks.
    UnrevokedTasks,
    /// It waits for tasks that others are giving up.
    UnreleasedTasks,
    /// A later version has written something else.
    Unknown,
}

impl MemberState {
    /// The state of that number.
    pub(crate) fn from_i8(number: i8) -> Self {
        match number {
            1 => Self::Stable,
            2 => Self::UnrevokedTasks,
            3 => Self::UnreleasedTasks,
            _ => Self::Unknown,
        }
    }

    /// Kafka's number.
    pub(crate) fn to_i8(self) -> i8 {
        match self {
            Self::Stable => 1,
            Self::UnrevokedTasks => 2,
            Self::UnreleasedTasks => 3,
            Self::Unknown => 127,
        }
    }
}

/// Where a member's process serves interactive queries.
pub(crate) type Endpoint = m::streams_group_member_metadata_value::Endpoint;

/// A member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StreamsMember {
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) instance_id: Option<ByteString>,
    pub(crate) rack_id: Option<ByteString>,
    pub(crate) client_id: ByteString,
    pub(crate) client_host: ByteString,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) topology_epoch: i32,
    pub(crate) process_id: ByteString,
    pub(crate) user_endpoint: Option<Endpoint>,
    pub(crate) client_tags: BTreeMap<ByteString, ByteString>,
    pub(crate) assigned: HeldTasks,
    pub(crate) revoking: HeldTasks,
}

impl StreamsMember {
    /// One that has said nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            instance_id: None,
            rack_id: None,
            client_id: ByteString::new(),
            client_host: ByteString::new(),
            rebalance_timeout_ms: -1,
            topology_epoch: -1,
            process_id: ByteString::new(),
            user_endpoint: None,
            client_tags: BTreeMap::new(),
            assigned: HeldTasks::default(),
            revoking: HeldTasks::default(),
        }
    }

    /// The member after it has said this. What a heartbeat leaves out stays as it is.
    pub(crate) fn updated(&self, caller: &Caller, request: &m::StreamsGroupHeartbeatRequest) -> Self {
        let mut member = self.clone();
        if let Some(rack_id) = &request.rack_id {
            member.rack_id = Some(copy(rack_id));
        }
        if request.rebalance_timeout_ms != -1 {
            member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        }
        if let Some(topology) = &request.topology {
            member.topology_epoch = topology.epoch;
        }
        (member.client_id, member.client_host) = (copy(&caller.client_id), copy(&caller.client_host));
        if let Some(process_id) = &request.process_id {
            member.process_id = copy(process_id);
        }
        if let Some(endpoint) = &request.user_endpoint {
            member.user_endpoint = Some(Endpoint { host: copy(&endpoint.host), port: endpoint.port });
        }
        if let Some(tags) = &request.client_tags {
            member.client_tags = tags.iter().map(|tag| (copy(&tag.key), copy(&tag.value))).collect();
        }
        member
    }

    /// How long it has for giving up tasks.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.rebalance_timeout_ms).unwrap_or(0))
    }

    /// Whether it has the target of that epoch.
    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// It goes on to an epoch, which may be the one it is in.
    pub(crate) fn advance(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// Takes over what its record says of it.
    pub(crate) fn apply_metadata(&mut self, value: &m::StreamsGroupMemberMetadataValue) {
        self.instance_id = value.instance_id.as_ref().map(copy);
        self.rack_id = value.rack_id.as_ref().map(copy);
        (self.client_id, self.client_host) = (copy(&value.client_id), copy(&value.client_host));
        (self.rebalance_timeout_ms, self.topology_epoch) = (value.rebalance_timeout_ms, value.topology_epoch);
        self.process_id = copy(&value.process_id);
        let endpoint = value.user_endpoint.as_ref();
        self.user_endpoint = endpoint.map(|at| Endpoint { host: copy(&at.host), port: at.port });
        self.client_tags = value.client_tags.iter().map(|tag| (copy(&tag.key), copy(&tag.value))).collect();
    }

    /// Takes over what its record says it has; without a value it has nothing any more.
    pub(crate) fn apply_assignment(&mut self, value: Option<&m::StreamsGroupCurrentMemberAssignmentValue>) {
        let Some(value) = value else {
            (self.epoch, self.previous_epoch, self.state) = (-1, -1, MemberState::Stable);
            (self.assigned, self.revoking) = (HeldTasks::default(), HeldTasks::default());
            return;
        };
        (self.epoch, self.previous_epoch) = (value.member_epoch, value.previous_member_epoch);
        self.state = MemberState::from_i8(value.state);
        self.assigned = HeldTasks {
            active: recorded_active(&value.active_tasks, value.member_epoch),
            standby: recorded(&value.standby_tasks),
            warmup: recorded(&value.warmup_tasks),
        };
        self.revoking = HeldTasks {
            active: recorded_active(&value.active_tasks_pending_revocation, value.member_epoch),
            standby: recorded(&value.standby_tasks_pending_revocation),
            warmup: recorded(&value.warmup_tasks_pending_revocation),
        };
    }
}

type Recorded = m::streams_group_current_member_assignment_value::TaskIds;

fn recorded(tasks: &[Recorded]) -> super::tasks::Tasks {
    collect(tasks.iter().map(|of| (&of.subtopology_id, &of.partitions)))
}

fn recorded_active(tasks: &[Recorded], epoch: i32) -> super::tasks::ActiveTasks {
    collect_active(tasks.iter().map(|of| (&of.subtopology_id, &of.partitions, of.assignment_epochs.as_ref())), epoch)
}
