//! How a partition changes when its ISR, its replicas or the brokers do: elections and eligible leader replicas.
//!
//! The rules are those of KIP-631, 704, 858 and 966, as Kafka 4.3 follows them.

use std::collections::BTreeSet;

use thalweg_base::{NodeId, Uuid};
use thalweg_metadata::MetadataVersion;
use thalweg_metadata::image::partition::{NO_LEADER_CHANGE, ids};
use thalweg_metadata::image::{LeaderRecoveryState, PartitionRegistration};
use thalweg_wire::messages::PartitionChangeRecord;

/// Who may become the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Election {
    /// The preferred replica if it can, else as `Online`.
    Preferred,
    /// A replica that is in sync; the leader stays if it is one.
    Online,
    /// A replica that is in sync, else any that is alive: records may be lost.
    Unclean,
}

/// A change of one partition in the making.
pub(crate) struct PartitionChange<'a> {
    partition: &'a PartitionRegistration,
    rules: Rules<'a>,
    election: Election,
    isr: Vec<NodeId>,
    replicas: Vec<NodeId>,
    removing: Vec<NodeId>,
    adding: Vec<NodeId>,
    elr: Vec<NodeId>,
    recovery: LeaderRecoveryState,
    unclean_shutdown: Option<NodeId>,
    directories: Vec<(NodeId, Uuid)>,
}

/// What a change depends on besides the partition.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Whether a broker may lead now.
    pub acceptable: &'a dyn Fn(NodeId) -> bool,
    /// The directory of a new replica on a broker.
    pub default_directory: &'a dyn Fn(NodeId) -> Uuid,
    /// The cluster's metadata version.
    pub version: MetadataVersion,
    /// Whether eligible leader replicas are kept.
    pub elr_enabled: bool,
    /// The topic's `min.insync.replicas`, at most its replication factor.
    pub isr_min: usize,
}

impl<'a> PartitionChange<'a> {
    pub fn new(partition: &'a PartitionRegistration, rules: Rules<'a>) -> Self {
        Self {
            partition,
            rules,
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            elr: partition.elr.clone(),
            recovery: partition.leader_recovery_state,
            unclean_shutdown: None,
            directories: partition.replicas.iter().copied().zip(partition.directories.iter().copied()).collect(),
        }
    }

    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    pub fn isr(mut self, isr: Vec<NodeId>) -> Self {
        self.isr = isr;
        self
    }

    pub fn replicas(mut self, replicas: Vec<NodeId>) -> Self {
        self.replicas = replicas;
        self
    }

    pub fn removing(mut self, removing: Vec<NodeId>) -> Self {
        self.removing = removing;
        self
    }

    pub fn adding(mut self, adding: Vec<NodeId>) -> Self {
        self.adding = adding;
        self
    }

    pub fn recovery(mut self, recovery: LeaderRecoveryState) -> Self {
        self.recovery = recovery;
        self
    }

    /// A broker that lost what it had not flushed: it is no eligible leader replica any more.
    pub fn unclean_shutdown(mut self, broker: Option<NodeId>) -> Self {
        self.unclean_shutdown = broker;
        self
    }

    /// Moves a replica to another directory of its broker.
    pub fn directory(mut self, broker: NodeId, directory: Uuid) -> Self {
        self.directories.retain(|(id, _)| *id != broker);
        self.directories.push((broker, directory));
        self
    }

    /// The record that makes the change; `None` if nothing changes.
    pub fn build(mut self, topic: Uuid, index: i32) -> Option<PartitionChangeRecord> {
        let empty = PartitionChangeRecord { topic_id: topic, partition_id: index, ..PartitionChangeRecord::default() };
        let mut record = empty.clone();
        self.complete_reassignment();
        self.choose_elr();
        self.elect(&mut record);
        if record.leader == NO_LEADER_CHANGE && !contains_all(&self.replicas, &self.partition.replicas) {
            // A replica leaves: a new leader epoch fences its fetches.
            record.leader = self.partition.leader.0;
        }
        let clean = record.isr.is_none();
        if !clean || !self.rules.elr_enabled {
            self.elr.clear();
        }
        if self.elr != self.partition.elr {
            record.eligible_leader_replicas = Some(ids(&self.elr));
        }
        let may_be_empty = self.rules.elr_enabled || !self.isr.is_empty();
        if clean && may_be_empty && self.isr != self.partition.isr {
            record.isr = Some(ids(&self.isr));
        }
        self.bump_epoch_on_shrink(&mut record);
        self.note_last_leader(&mut record);
        self.assign(&mut record);
        if self.recovery != self.partition.leader_recovery_state {
            record.leader_recovery_state = self.recovery.id();
        }
        (record != empty).then_some(record)
    }

    /// Ends a reassignment when every new replica is in sync.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |id: &&NodeId| !self.removing.contains(id);
        let isr: Vec<NodeId> = self.isr.iter().filter(stays).copied().collect();
        let replicas: Vec<NodeId> = self.replicas.iter().filter(stays).copied().collect();
        let shrinks = self.adding.len() < self.removing.len();
        if !self.removing.is_empty() && (isr.is_empty() || replicas.is_empty())
            || !contains_all(&isr, &self.adding)
            || shrinks && !contains_all(&isr, &replicas)
        {
            return;
        }
        (self.isr, self.replicas) = (isr, replicas);
        self.removing.clear();
        self.adding.clear();
    }

    /// Who leaves an ISR that is too small stays eligible: it holds every committed record (KIP-966).
    fn choose_elr(&mut self) {
        if !self.rules.elr_enabled {
            return;
        }
        if self.isr.len() >= self.rules.isr_min {
            self.elr.clear();
            return;
        }
        let candidates: BTreeSet<NodeId> = self.elr.iter().chain(&self.partition.isr).copied().collect();
        let eligible = |id: &NodeId| !self.isr.contains(id) && self.unclean_shutdown != Some(*id);
        self.elr = candidates.into_iter().filter(eligible).collect();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let (leader, clean) = match self.clean_leader() {
            Some(leader) => (leader, true),
            None => self.unclean_leader().map_or((NodeId::NONE, true), |leader| (leader, false)),
        };
        if leader == self.partition.leader {
            return;
        }
        if self.elr.contains(&leader) {
            self.isr = vec![leader];
            self.elr.retain(|id| *id != leader);
        }
        record.leader = leader.0;
        if !clean {
            record.isr = Some(vec![leader.0]);
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                record.leader_recovery_state = LeaderRecoveryState::Recovering.id();
            }
        }
    }

    fn clean_leader(&self) -> Option<NodeId> {
        let preferred = match self.election {
            Election::Preferred => self.replicas.first().copied(),
            Election::Online | Election::Unclean => None,
        };
        let candidates = preferred.into_iter().chain([self.partition.leader]).chain(self.replicas.iter().copied());
        candidates.into_iter().find(|id| self.may_lead(*id))
    }

    fn unclean_leader(&self) -> Option<NodeId> {
        // The last leader of a partition that lost everyone holds at least what was acknowledged by it.
        if self.rules.elr_enabled
            && self.elr.is_empty()
            && self.isr.is_empty()
            && let [last] = self.partition.last_known_elr[..]
            && (self.rules.acceptable)(last)
        {
            return Some(last);
        }
        match self.election {
            Election::Unclean => self.replicas.iter().copied().find(|id| (self.rules.acceptable)(*id)),
            Election::Preferred | Election::Online => None,
        }
    }

    fn may_lead(&self, id: NodeId) -> bool {
        let in_sync = self.isr.contains(&id) || self.isr.is_empty() && self.elr.contains(&id);
        in_sync && (self.rules.acceptable)(id)
    }

    /// Before 3.6 a leader could not shrink its ISR without a new epoch (KAFKA-15021).
    fn bump_epoch_on_shrink(&self, record: &mut PartitionChangeRecord) {
        let needed = self.rules.version < MetadataVersion::NO_EPOCH_BUMP_ON_SHRINK;
        let shrinks = record.isr.as_ref().is_some_and(|isr| self.partition.isr.iter().any(|id| !isr.contains(&id.0)));
        if needed && shrinks && record.leader == NO_LEADER_CHANGE {
            record.leader = self.partition.leader.0;
        }
    }

    /// A partition that loses its leader remembers it, and forgets it when it has one again.
    fn note_last_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.rules.elr_enabled {
            return;
        }
        let known = !self.partition.last_known_elr.is_empty();
        if record.leader == NodeId::NONE.0 && !known {
            record.last_known_elr = Some(vec![self.partition.leader.0]);
        } else if record.leader >= 0 && known {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn assign(&self, record: &mut PartitionChangeRecord) {
        if !self.replicas.is_empty() {
            let directory = |id: &NodeId| match self.directories.iter().find(|(broker, _)| broker == id) {
                Some((_, directory)) => *directory,
                None => (self.rules.default_directory)(*id),
            };
            let directories: Vec<Uuid> = self.replicas.iter().map(directory).collect();
            let supported = self.rules.version >= MetadataVersion::DIRECTORY_ASSIGNMENT;
            if supported && directories != self.partition.directories {
                record.directories = Some(directories);
            }
            if self.replicas != self.partition.replicas {
                record.replicas = Some(ids(&self.replicas));
            }
        }
        if self.removing != self.partition.removing_replicas {
            record.removing_replicas = Some(ids(&self.removing));
        }
        if self.adding != self.partition.adding_replicas {
            record.adding_replicas = Some(ids(&self.adding));
        }
    }
}

fn contains_all(all: &[NodeId], some: &[NodeId]) -> bool {
    some.iter().all(|id| all.contains(id))
}

#[cfg(test)]
mod tests;
