//! `uniform` for a group whose members all subscribe to the same topics.
//!
//! Balance comes first, then that members keep what they have.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::Uuid;

use super::{Assignment, MemberSpec, Spec, remove};

/// How many partitions members are to have: `least`, and one more for `extra` of them.
struct Quota {
    least: usize,
    extra: usize,
}

/// Computes the assignment.
///
/// # Errors
/// If partitions are left over.
pub(super) fn assign(spec: &Spec<'_>) -> Result<BTreeMap<ByteString, Assignment>, String> {
    let topics = spec.members.values().next().map(|member| member.topics.clone()).unwrap_or_default();
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut free = unassigned(spec, &topics);
    let total: usize = topics.iter().map(|topic| usize::try_from(spec.partition_count(*topic)).unwrap_or(0)).sum();
    let count = spec.members.len();
    let mut quota = Quota { least: total / count, extra: total % count };
    let mut unfilled = Vec::new();
    let mut target = BTreeMap::new();
    for (index, (id, member)) in spec.members.iter().enumerate() {
        let (assignment, space) = keep(member, &topics, &mut quota, count - index, &mut free);
        if space > 0 {
            unfilled.push((id, space));
        }
        target.insert(id.clone(), assignment);
    }
    let mut free = free.into_iter();
    for (id, space) in unfilled {
        let assignment: &mut Assignment = target.entry(id.clone()).or_default();
        for (topic, partition) in free.by_ref().take(space) {
            assignment.entry(topic).or_default().insert(partition);
        }
    }
    if free.next().is_some() {
        return Err("Partitions were left unassigned".to_owned());
    }
    Ok(target)
}

/// The partitions that nobody has.
fn unassigned(spec: &Spec<'_>, topics: &BTreeSet<Uuid>) -> Vec<(Uuid, i32)> {
    let assigned: BTreeSet<(Uuid, i32)> = spec
        .members
        .values()
        .flat_map(|member| member.assigned.iter())
        .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
        .collect();
    topics
        .iter()
        .flat_map(|topic| (0..spec.partition_count(*topic)).map(|partition| (*topic, partition)))
        .filter(|at| !assigned.contains(at))
        .collect()
}

/// What a member keeps, and how many partitions it is to be given. What it must give up goes to `free`.
fn keep(
    member: &MemberSpec<'_>,
    topics: &BTreeSet<Uuid>,
    quota: &mut Quota,
    members_left: usize,
    free: &mut Vec<(Uuid, i32)>,
) -> (Assignment, usize) {
    let mut assignment = member.assigned.as_ref().clone();
    let mut takes_extra = quota.extra > 0;
    let mut space = quota.least + usize::from(takes_extra);
    for (topic, partitions) in member.assigned.iter() {
        if !topics.contains(topic) {
            assignment.remove(topic);
        } else if partitions.len() <= space {
            space -= partitions.len();
        } else {
            for partition in partitions.iter().skip(space) {
                remove(&mut assignment, *topic, *partition);
                free.push((*topic, *partition));
            }
            space = 0;
        }
    }
    // A member that would have to be given the extra partition leaves it to one that has it already, as long as there
    // are members enough behind it.
    if space > 0 && takes_extra && members_left > quota.extra {
        space -= 1;
        takes_extra = false;
    }
    quota.extra -= usize::from(takes_extra);
    (assignment, space)
}
