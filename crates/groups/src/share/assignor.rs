//! The simple assignor: every partition has members, every member has partitions, as evenly as can be, and members keep
//! what they have.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::Uuid;

use super::group::Partitions;

/// Members with the topics that they subscribe to and what they are to fetch so far.
pub(super) type Members<'a> = BTreeMap<&'a ByteString, (BTreeSet<Uuid>, Option<&'a Partitions>)>;

/// Says which member fetches from which of these partitions. Where all members subscribe to the same topics, the
/// partitions of all topics are shared out together; otherwise topic by topic.
pub(super) fn assign(members: &Members<'_>, assignable: &Partitions) -> BTreeMap<ByteString, Partitions> {
    let mut assigned: BTreeMap<ByteString, Partitions> =
        members.keys().map(|id| ((*id).clone(), Partitions::new())).collect();
    let mut subscriptions = members.values().map(|(topics, _)| topics);
    let first = subscriptions.next();
    if subscriptions.all(|topics| Some(topics) == first) {
        let all = first.into_iter().flatten().flat_map(|topic| of_topic(assignable, *topic)).collect();
        share_out(members, &members.keys().copied().collect::<Vec<_>>(), &all, &mut assigned);
        return assigned;
    }
    let topics: BTreeSet<Uuid> = members.values().flat_map(|(topics, _)| topics.iter().copied()).collect();
    for topic in topics {
        let subscribers: Vec<&ByteString> =
            members.iter().filter(|(_, (topics, _))| topics.contains(&topic)).map(|(id, _)| *id).collect();
        share_out(members, &subscribers, &of_topic(assignable, topic).collect(), &mut assigned);
    }
    assigned
}

fn of_topic(assignable: &Partitions, topic: Uuid) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    assignable.get(&topic).into_iter().flatten().map(move |partition| (topic, *partition))
}

/// Shares partitions out among members that may have each of them.
fn share_out(
    members: &Members<'_>,
    among: &[&ByteString],
    partitions: &BTreeSet<(Uuid, i32)>,
    assigned: &mut BTreeMap<ByteString, Partitions>,
) {
    if partitions.is_empty() || among.is_empty() {
        return;
    }
    let sharing = among.len().div_ceil(partitions.len());
    let total = sharing * partitions.len();
    // As many as every other member, give or take one.
    let wanted = |index: usize| (total * (index + 1)).div_ceil(among.len()) - (total * index).div_ceil(among.len());
    let mut sharers: BTreeMap<(Uuid, i32), usize> = partitions.iter().map(|at| (*at, 0)).collect();
    let mut has: Vec<BTreeSet<(Uuid, i32)>> = vec![BTreeSet::new(); among.len()];
    for (index, id) in among.iter().enumerate() {
        let before = members.get(*id).and_then(|(_, assigned)| *assigned);
        let before =
            before.into_iter().flatten().flat_map(|(topic, of)| of.iter().map(|partition| (*topic, *partition)));
        for at in before {
            let Some(count) = sharers.get_mut(&at).filter(|count| **count < sharing) else { continue };
            if has[index].len() < wanted(index) && has[index].insert(at) {
                *count += 1;
            }
        }
    }
    let mut next = 0;
    for (at, count) in &mut sharers {
        let mut looked = 0;
        while *count < sharing && looked < among.len() {
            let index = next % among.len();
            next += 1;
            looked += 1;
            if has[index].len() < wanted(index) && has[index].insert(*at) {
                *count += 1;
                looked = 0;
            }
        }
    }
    for (id, has) in among.iter().zip(has) {
        let own = assigned.entry((*id).clone()).or_default();
        has.into_iter().for_each(|(topic, partition)| {
            own.entry(topic).or_default().insert(partition);
        });
    }
}
