//! Assignors: which member of a group is to have which partitions. Pure functions of the group.
//!
//! They give what Kafka 4.3's assignors of the same names give for members in the order of their ids and topics in the
//! order of theirs; Kafka itself takes them in the order of its hash tables. Racks are not looked at, as in Kafka 4.3.

mod heterogeneous;
mod homogeneous;
mod range;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;

/// Partitions by topic. No topic is there without a partition.
pub type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// The assignors that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// `uniform`: every member has as many partitions as every other, give or take one, and keeps those that it has.
    Uniform,
    /// `range`: of every topic each member has consecutive partitions, the same ones of topics of one size.
    Range,
}

impl Assignor {
    /// The assignor of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    /// Computes what each member is to have. Members without partitions may be left out.
    ///
    /// # Errors
    /// If partitions are left over, which says why.
    pub fn assign(self, spec: &Spec<'_>) -> Result<BTreeMap<ByteString, Assignment>, String> {
        if spec.members.is_empty() {
            return Ok(BTreeMap::new());
        }
        match (self, spec.homogeneous) {
            (Self::Uniform, true) => homogeneous::assign(spec),
            (Self::Uniform, false) => Ok(heterogeneous::assign(spec)),
            (Self::Range, _) => Ok(range::assign(spec)),
        }
    }
}

/// A group as an assignor sees it.
///
/// Invariants, which [`Spec::new`] makes true: `topics` holds every topic that a member subscribes to; members have
/// only partitions that exist, and no partition has two members.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    /// The members by id.
    members: BTreeMap<ByteString, MemberSpec<'a>>,
    /// Whether all members subscribe to the same topics.
    homogeneous: bool,
    /// How many partitions each topic has.
    topics: BTreeMap<Uuid, i32>,
}

/// A member as an assignor sees it.
#[derive(Clone, Debug)]
pub struct MemberSpec<'a> {
    /// The name that it keeps over restarts.
    pub instance_id: Option<ByteString>,
    /// The topics that it subscribes to and that exist.
    pub topics: Arc<BTreeSet<Uuid>>,
    /// What it is to have so far.
    pub assigned: std::borrow::Cow<'a, Assignment>,
}

impl<'a> Spec<'a> {
    /// A group of these members, with the sizes of the topics that they subscribe to and perhaps of others.
    ///
    /// What members have so far may come from a client's own assignor: partitions that do not exist and those that
    /// another member has too are taken away first.
    #[must_use]
    pub fn new(
        mut members: BTreeMap<ByteString, MemberSpec<'a>>,
        homogeneous: bool,
        topics: BTreeMap<Uuid, i32>,
    ) -> Self {
        let mut seen = BTreeSet::new();
        for member in members.values_mut() {
            member.topics.iter().for_each(|id| assert!(topics.contains_key(id), "a topic without a size"));
            let mut wrong = Vec::new();
            for (topic, partitions) in member.assigned.iter() {
                let count = topics.get(topic).copied().unwrap_or(i32::MAX);
                for partition in partitions {
                    if !(0..count).contains(partition) || !seen.insert((*topic, *partition)) {
                        wrong.push((*topic, *partition));
                    }
                }
            }
            for (topic, partition) in wrong {
                remove(member.assigned.to_mut(), topic, partition);
            }
        }
        Self { members, homogeneous, topics }
    }

    fn partition_count(&self, topic: Uuid) -> i32 {
        self.topics.get(&topic).copied().unwrap_or(0)
    }
}

/// Takes one partition away, and its topic with the last one.
pub(super) fn remove(assignment: &mut Assignment, topic: Uuid, partition: i32) {
    if let Some(partitions) = assignment.get_mut(&topic) {
        partitions.remove(&partition);
        if partitions.is_empty() {
            assignment.remove(&topic);
        }
    }
}

#[cfg(test)]
mod tests;
