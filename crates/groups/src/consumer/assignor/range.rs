//! `range`: of every topic each member has consecutive partitions.
//!
//! Members stand in one order for all topics, those with an instance id first and by it: so topics of the same size
//! are shared out alike and can be joined partition by partition, and a restarted member has what it had.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Uuid;

use super::{Assignment, Spec};

/// How a topic is being shared out.
struct Topic {
    partitions: i32,
    members: i32,
    /// The first partition that has no member yet.
    next: i32,
    /// How many members have had their share.
    served: i32,
}

impl Topic {
    /// The next member's share.
    fn take(&mut self) -> std::ops::Range<i32> {
        let more = i32::from(self.served < self.partitions % self.members);
        let start = self.next;
        self.next = (start + self.partitions / self.members + more).min(self.partitions);
        self.served += 1;
        start..self.next
    }
}

/// Computes the assignment.
pub(super) fn assign(spec: &Spec<'_>) -> BTreeMap<ByteString, Assignment> {
    let mut ids: Vec<&ByteString> = spec.members.keys().collect();
    ids.sort_by_key(|id| {
        let instance = spec.members.get(*id).and_then(|member| member.instance_id.as_ref());
        (instance.is_none(), instance.unwrap_or(*id))
    });
    let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
    for member in spec.members.values() {
        for topic in member.topics.iter() {
            let fresh = || Topic { partitions: spec.partition_count(*topic), members: 0, next: 0, served: 0 };
            topics.entry(*topic).or_insert_with(fresh).members += 1;
        }
    }
    let mut target = BTreeMap::new();
    for id in ids {
        let mut assignment = Assignment::new();
        for id in spec.members.get(id).into_iter().flat_map(|member| member.topics.iter()) {
            let share = topics.get_mut(id).map(Topic::take).unwrap_or_default();
            if !share.is_empty() {
                assignment.insert(*id, share.collect());
            }
        }
        target.insert(id.clone(), assignment);
    }
    target
}
