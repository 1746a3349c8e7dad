//! `uniform` for a group whose members subscribe to different topics.
//!
//! Members keep what they subscribe to, free partitions go to the members with the fewest, and then partitions move
//! from members with many to members with few, topic by topic, until no move makes it better or [`ROUNDS_MAX`] are over.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Uuid;

use super::{Assignment, Spec};

/// How often all topics are gone through. Each round about halves what is out of balance, and subscriptions that
/// overlap only in part may take many.
const ROUNDS_MAX: usize = 16;

/// A topic that somebody subscribes to.
struct Topic {
    id: Uuid,
    /// The members that subscribe to it, in ascending order.
    subscribers: Vec<usize>,
    /// The member that is to have each partition.
    owners: Vec<Option<usize>>,
}

impl Topic {
    /// Whether this topic is dealt with before `other`: more partitions per subscriber, then fewer subscribers, then
    /// the lower id as Kafka compares ids, as two signed numbers.
    fn before(&self, other: &Self) -> std::cmp::Ordering {
        let share = |topic: &Self| (topic.owners.len() as f64) / (topic.subscribers.len() as f64);
        share(other)
            .total_cmp(&share(self))
            .then_with(|| self.subscribers.len().cmp(&other.subscribers.len()))
            .then_with(|| signed(self.id).cmp(&signed(other.id)))
    }
}

/// An id as two signed numbers.
fn signed(Uuid(bytes): Uuid) -> (i64, i64) {
    let both = i128::from_be_bytes(bytes);
    ((both >> 64) as i64, both as i64)
}

/// Computes the assignment.
pub(super) fn assign(spec: &Spec<'_>) -> BTreeMap<ByteString, Assignment> {
    let (mut topics, mut sizes) = keep(spec);
    topics.sort_by(Topic::before);
    let mut balancer = Balancer::default();
    for topic in &mut topics {
        if topic.owners.iter().all(Option::is_some) {
            continue;
        }
        balancer.start(&topic.subscribers, &sizes);
        for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
            let member = balancer.next_least(&sizes);
            *owner = Some(member);
            sizes[member] += 1;
        }
    }
    topics.retain(|topic| !topic.subscribers.is_empty());
    balance(&mut topics, &mut sizes, &mut balancer);
    let ids: Vec<&ByteString> = spec.members.keys().collect();
    let mut target: BTreeMap<ByteString, Assignment> =
        ids.iter().map(|id| ((*id).clone(), Assignment::new())).collect();
    for topic in &topics {
        for (partition, owner) in (0..).zip(&topic.owners) {
            if let Some(assignment) = owner.and_then(|owner| target.get_mut(ids[owner])) {
                assignment.entry(topic.id).or_default().insert(partition);
            }
        }
    }
    target
}

/// The topics with what members keep of them, and how many partitions each member keeps.
fn keep(spec: &Spec<'_>) -> (Vec<Topic>, Vec<usize>) {
    let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
    let mut sizes = vec![0; spec.members.len()];
    for (index, member) in spec.members.values().enumerate() {
        for id in member.topics.iter() {
            let count = usize::try_from(spec.partition_count(*id)).unwrap_or(0);
            let fresh = || Topic { id: *id, subscribers: Vec::new(), owners: vec![None; count] };
            topics.entry(*id).or_insert_with(fresh).subscribers.push(index);
        }
    }
    for (index, member) in spec.members.values().enumerate() {
        for (id, partitions) in member.assigned.iter().filter(|(id, _)| member.topics.contains(id)) {
            let Some(topic) = topics.get_mut(id) else { continue };
            for partition in partitions {
                if let Some(owner) = usize::try_from(*partition).ok().and_then(|at| topic.owners.get_mut(at)) {
                    *owner = Some(index);
                    sizes[index] += 1;
                }
            }
        }
    }
    (topics.into_values().collect(), sizes)
}

/// Moves partitions until no move makes it better.
fn balance(topics: &mut [Topic], sizes: &mut [usize], balancer: &mut Balancer) {
    let mut shared: Vec<&mut Topic> = topics.iter_mut().filter(|topic| topic.subscribers.len() >= 2).collect();
    // The topic of which something moved last: coming back to it without another move means that all is done.
    let mut last = None;
    for _ in 0..ROUNDS_MAX {
        for (index, topic) in shared.iter_mut().enumerate() {
            if last == Some(index) {
                return;
            }
            if balance_topic(topic, sizes, balancer) || last.is_none() {
                last = Some(index);
            }
        }
    }
}

/// Moves partitions of one topic; whether any moved.
fn balance_topic(topic: &mut Topic, sizes: &mut [usize], balancer: &mut Balancer) -> bool {
    if balancer.start(&topic.subscribers, sizes) <= 1 {
        return false;
    }
    // What each member has, of which it gives up the last first.
    let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (partition, owner) in topic.owners.iter().enumerate() {
        if let Some(owner) = owner {
            owned.entry(*owner).or_default().push(partition);
        }
    }
    let mut moved = false;
    while !balancer.is_balanced() {
        let (from, partition) = loop {
            let Some(member) = balancer.next_most(sizes) else { return moved };
            match owned.get_mut(&member).and_then(Vec::pop) {
                Some(partition) => break (member, partition),
                None => balancer.exclude_most(),
            }
        };
        let to = balancer.next_least(sizes);
        if balancer.is_balanced() {
            break;
        }
        topic.owners[partition] = Some(to);
        sizes[from] -= 1;
        sizes[to] += 1;
        moved = true;
    }
    moved
}

/// Walks through members from both ends: those with the fewest partitions, to be given one each before anyone is given
/// a second one, and those with the most, to give up one each.
///
/// Invariant: `members[..least_end]` have or are about to have `least` partitions, and
/// `members[most_start..most_end]` have or are about to have `most`.
#[derive(Default)]
struct Balancer {
    /// Ordered by how many partitions they had at the start, then by index.
    members: Vec<usize>,
    least: isize,
    least_end: usize,
    least_next: usize,
    most: isize,
    most_start: usize,
    most_end: usize,
    /// One behind the member that comes next.
    most_next: usize,
}

fn size(sizes: &[usize], member: usize) -> isize {
    isize::try_from(sizes[member]).unwrap_or(isize::MAX)
}

impl Balancer {
    /// Begins with these members, and says how far apart they are.
    fn start(&mut self, members: &[usize], sizes: &[usize]) -> isize {
        assert!(!members.is_empty(), "a topic without subscribers");
        self.members.clear();
        self.members.extend_from_slice(members);
        self.members.sort_by_key(|member| (sizes[*member], *member));
        let first = size(sizes, self.members[0]);
        let last = size(sizes, self.members[self.members.len() - 1]);
        (self.least, self.least_end, self.least_next) = (first - 1, 0, 0);
        (self.most, self.most_start, self.most_end) = (last + 1, self.members.len(), self.members.len());
        self.most_next = self.members.len();
        last - first
    }

    /// The member to be given the next partition.
    fn next_least(&mut self, sizes: &[usize]) -> usize {
        if self.least_next >= self.least_end {
            // All of them have been given one: the next level, with those that were there before.
            self.least += 1;
            while self.members.get(self.least_end).is_some_and(|member| size(sizes, *member) == self.least) {
                self.least_end += 1;
            }
            self.least_next = 0;
        }
        self.least_next += 1;
        self.members[self.least_next - 1]
    }

    /// The member to give up the next partition; `None` if nobody is left.
    fn next_most(&mut self, sizes: &[usize]) -> Option<usize> {
        if self.most_next <= self.most_start {
            if self.most_end <= self.most_start && self.most_start > 0 {
                // All of them were excluded: on with the next ones, wherever they are.
                self.most = size(sizes, self.members[self.most_start - 1]);
            } else {
                self.most -= 1;
            }
            while self.most_start > 0 && size(sizes, self.members[self.most_start - 1]) == self.most {
                self.most_start -= 1;
            }
            self.most_next = self.most_end;
        }
        self.most_next = self.most_next.checked_sub(1)?;
        Some(self.members[self.most_next])
    }

    /// Leaves out the member that [`Balancer::next_most`] gave last, since it has nothing to give up.
    fn exclude_most(&mut self) {
        self.most_end -= 1;
        self.members.swap(self.most_next, self.most_end);
    }

    /// Whether another move would not make it better.
    fn is_balanced(&self) -> bool {
        self.most - self.least <= 1
    }
}
