//! What the metadata log says about one partition.

use std::fmt;

use thalweg_base::{LeaderEpoch, NodeId, Uuid};
use thalweg_wire::messages::{PartitionChangeRecord, PartitionRecord};

use crate::MetadataVersion;

/// How often a partition's registration has changed. The leader names it when it asks for another ISR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionEpoch(pub i32);

impl fmt::Display for PartitionEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The directory ids that mean something else than a directory (KIP-858).
pub mod directory {
    use thalweg_base::Uuid;

    /// Nobody has chosen a directory yet: the broker will.
    pub const UNASSIGNED: Uuid = Uuid::ZERO;
    /// The directory is offline, and nobody knows which one it was.
    pub const LOST: Uuid = Uuid::ONE;
    /// The directory had been chosen before directories had ids.
    pub const MIGRATING: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

    /// Whether the id is one of the hundred that never name a directory.
    #[must_use]
    pub fn is_reserved(id: &Uuid) -> bool {
        u128::from_be_bytes(id.0) < 100
    }
}

/// What a `PartitionChangeRecord` carries as the leader when the leader stays and its epoch too.
pub const NO_LEADER_CHANGE: i32 = -2;

/// Whether the leader still has to recover from an unclean election (KIP-704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderRecoveryState {
    /// The log is whole.
    #[default]
    Recovered,
    /// The leader was elected although it was not in the ISR.
    Recovering,
}

impl LeaderRecoveryState {
    /// The number that stands for it in records and requests.
    #[must_use]
    pub const fn id(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }

    /// The state of that number; `None` for -1, "no change", and for numbers that mean nothing.
    #[must_use]
    pub const fn from_id(id: i8) -> Option<Self> {
        match id {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }
}

/// The replicas of one partition, who leads them, and who is in sync.
///
/// Invariant: `directories` has as many entries as `replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// The brokers that hold the partition; the first one is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the same order.
    pub directories: Vec<Uuid>,
    /// The replicas that are in sync.
    pub isr: Vec<NodeId>,
    /// The replicas that leave when the reassignment is done.
    pub removing_replicas: Vec<NodeId>,
    /// The replicas that the reassignment brings.
    pub adding_replicas: Vec<NodeId>,
    /// The replicas outside the ISR that still hold every committed record (KIP-966).
    pub elr: Vec<NodeId>,
    /// The last leader of a partition without one, or the last eligible leader replicas.
    pub last_known_elr: Vec<NodeId>,
    /// The leader, or [`NodeId::NONE`].
    pub leader: NodeId,
    /// Whether the leader has recovered.
    pub leader_recovery_state: LeaderRecoveryState,
    /// How often the partition has had a new leader.
    pub leader_epoch: LeaderEpoch,
    /// How often this registration has changed.
    pub partition_epoch: PartitionEpoch,
}

impl PartitionRegistration {
    /// What a `PartitionRecord` says.
    #[must_use]
    pub fn from_record(record: &PartitionRecord) -> Self {
        let replicas = nodes(&record.replicas);
        Self {
            directories: directories(&record.directories, replicas.len()),
            replicas,
            isr: nodes(&record.isr),
            removing_replicas: nodes(&record.removing_replicas),
            adding_replicas: nodes(&record.adding_replicas),
            elr: record.eligible_leader_replicas.as_deref().map(nodes).unwrap_or_default(),
            last_known_elr: record.last_known_elr.as_deref().map(nodes).unwrap_or_default(),
            leader: NodeId(record.leader),
            leader_recovery_state: LeaderRecoveryState::from_id(record.leader_recovery_state).unwrap_or_default(),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
        }
    }

    /// This registration after a `PartitionChangeRecord`: fields that it does not carry stay, and naming a leader
    /// begins a new leader epoch even if it is the same one.
    #[must_use]
    pub fn changed(&self, record: &PartitionChangeRecord) -> Self {
        let or = |new: &Option<Vec<i32>>, old: &[NodeId]| new.as_deref().map_or_else(|| old.to_vec(), nodes);
        let replicas = or(&record.replicas, &self.replicas);
        let named = record.directories.as_deref().unwrap_or(&self.directories);
        let (leader, leader_epoch) = match record.leader {
            NO_LEADER_CHANGE => (self.leader, self.leader_epoch),
            leader => (NodeId(leader), LeaderEpoch(self.leader_epoch.0.saturating_add(1))),
        };
        Self {
            directories: directories(named, replicas.len()),
            replicas,
            isr: or(&record.isr, &self.isr),
            removing_replicas: or(&record.removing_replicas, &self.removing_replicas),
            adding_replicas: or(&record.adding_replicas, &self.adding_replicas),
            elr: or(&record.eligible_leader_replicas, &self.elr),
            last_known_elr: or(&record.last_known_elr, &self.last_known_elr),
            leader,
            leader_recovery_state: LeaderRecoveryState::from_id(record.leader_recovery_state)
                .unwrap_or(self.leader_recovery_state),
            leader_epoch,
            partition_epoch: PartitionEpoch(self.partition_epoch.0.saturating_add(1)),
        }
    }

    /// This registration without eligible leader replicas, after a `ClearElrRecord`; `None` if it had none.
    #[must_use]
    pub fn without_elr(&self) -> Option<Self> {
        if self.elr.is_empty() && self.last_known_elr.is_empty() {
            return None;
        }
        let record = PartitionChangeRecord {
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..PartitionChangeRecord::default()
        };
        Some(self.changed(&record))
    }

    /// The record that says all of this, as far as that metadata version can.
    #[must_use]
    pub fn to_record(&self, topic: Uuid, partition: i32, version: MetadataVersion) -> PartitionRecord {
        let elr = version >= MetadataVersion::ELIGIBLE_LEADER_REPLICAS;
        let some = |list: &[NodeId]| (elr && !list.is_empty()).then(|| ids(list));
        let directories = match version >= MetadataVersion::DIRECTORY_ASSIGNMENT {
            true => self.directories.clone(),
            false => Vec::new(),
        };
        PartitionRecord {
            partition_id: partition,
            topic_id: topic,
            replicas: ids(&self.replicas),
            isr: ids(&self.isr),
            removing_replicas: ids(&self.removing_replicas),
            adding_replicas: ids(&self.adding_replicas),
            leader: self.leader.0,
            leader_recovery_state: self.leader_recovery_state.id(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch.0,
            directories,
            eligible_leader_replicas: some(&self.elr),
            last_known_elr: some(&self.last_known_elr),
        }
    }

    /// Whether somebody leads.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        self.leader != NodeId::NONE
    }

    /// The replica that should lead when it can: the first one.
    #[must_use]
    pub fn preferred_replica(&self) -> NodeId {
        self.replicas.first().copied().unwrap_or(NodeId::NONE)
    }

    /// The log directory of a replica; `None` if the broker is no replica.
    #[must_use]
    pub fn directory(&self, replica: NodeId) -> Option<Uuid> {
        let index = self.replicas.iter().position(|&id| id == replica)?;
        self.directories.get(index).copied()
    }

    /// Whether replicas are being added or removed.
    #[must_use]
    pub fn is_reassigning(&self) -> bool {
        !self.removing_replicas.is_empty() || !self.adding_replicas.is_empty()
    }
}

/// The ids of nodes as records and requests carry them.
#[must_use]
pub fn ids(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

/// The nodes of ids that a record or request carries.
#[must_use]
pub fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

/// Gives each replica a directory: records from before KIP-858 name none, and a damaged one may name too few.
fn directories(named: &[Uuid], replicas: usize) -> Vec<Uuid> {
    if named.iter().all(|id| *id == directory::MIGRATING) {
        return vec![directory::MIGRATING; replicas];
    }
    let mut directories = named.to_vec();
    directories.resize(replicas, directory::UNASSIGNED);
    directories
}
