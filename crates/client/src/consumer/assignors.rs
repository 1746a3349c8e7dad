//! How the leader of a classic group distributes partitions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use thalweg_base::TopicPartition;

/// A way to distribute partitions over the members of a classic group (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Each topic's partitions in ranges, so that partitions of the same number meet in one member.
    Range,
    /// All partitions one after the other.
    RoundRobin,
    /// Balanced, with as few moves as possible; members give all up before they join.
    Sticky,
    /// Balanced, with as few moves as possible; members keep reading what they keep (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    const ALL: [Self; 4] = [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    /// The name that members know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The assignor of a name, or of the name of Kafka's class for it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let class = |assignor: Self| match assignor {
            Self::Range => "org.apache.kafka.clients.consumer.RangeAssignor",
            Self::RoundRobin => "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            Self::Sticky => "org.apache.kafka.clients.consumer.StickyAssignor",
            Self::CooperativeSticky => "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        };
        Self::ALL.into_iter().find(|assignor| assignor.name() == name || class(*assignor) == name)
    }

    /// Whether members keep their partitions while the group rebalances.
    pub(super) fn is_cooperative(self) -> bool {
        self == Self::CooperativeSticky
    }
}

/// A member, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) topics: BTreeSet<String>,
    pub(super) owned: BTreeSet<TopicPartition>,
    pub(super) generation: i32,
    /// What only its assignor understands.
    pub(super) user_data: Bytes,
}

/// What each member gets, by its id.
pub(super) type Given = BTreeMap<String, BTreeSet<TopicPartition>>;

/// Distributes the partitions of topics, of which `counts` says how many there are.
pub(super) fn assign(assignor: Assignor, members: &[Member], counts: &BTreeMap<String, i32>) -> Given {
    let mut sorted: Vec<&Member> = members.iter().collect();
    // Static members come first, by their names, so that they keep their places.
    sorted.sort_by_key(|member| (member.instance.is_none(), member.instance.clone(), member.id.clone()));
    match assignor {
        Assignor::Range => range(&sorted, counts),
        Assignor::RoundRobin => round_robin(&sorted, counts),
        Assignor::Sticky => sticky(&sorted, &owners(&sorted, counts), counts),
        Assignor::CooperativeSticky => cooperative_sticky(&sorted, counts),
    }
}

fn nothing(members: &[&Member]) -> Given {
    members.iter().map(|member| (member.id.clone(), BTreeSet::new())).collect()
}

fn give(given: &mut Given, member: &str, partition: TopicPartition) {
    given.entry(member.to_owned()).or_default().insert(partition);
}

fn range(members: &[&Member], counts: &BTreeMap<String, i32>) -> Given {
    let mut given = nothing(members);
    for (topic, count) in counts {
        let subscribed: Vec<&&Member> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        let Ok(of) = i32::try_from(subscribed.len()) else { continue };
        if of == 0 {
            continue;
        }
        let mut next = 0;
        for (at, member) in (0..of).zip(subscribed) {
            let share = count / of + i32::from(at < count % of);
            for partition in next..next + share {
                give(&mut given, &member.id, TopicPartition::new(topic.as_str(), partition));
            }
            next += share;
        }
    }
    given
}

fn round_robin(members: &[&Member], counts: &BTreeMap<String, i32>) -> Given {
    let mut given = nothing(members);
    let mut turn = members.iter().cycle();
    for partition in all(counts) {
        // One round finds whoever is subscribed, if anybody is.
        let next = turn.by_ref().take(members.len()).find(|member| member.topics.contains(&*partition.topic));
        if let Some(member) = next {
            give(&mut given, &member.id, partition);
        }
    }
    given
}

fn all(counts: &BTreeMap<String, i32>) -> Vec<TopicPartition> {
    let partitions =
        |(topic, count): (&String, &i32)| (0..*count).map(|index| TopicPartition::new(topic.as_str(), index)).collect();
    counts.iter().flat_map::<Vec<_>, _>(partitions).collect()
}

fn cooperative_sticky(members: &[&Member], counts: &BTreeMap<String, i32>) -> Given {
    let owners = owners(members, counts);
    let mut given = sticky(members, &owners, counts);
    // What moves is given to nobody now: its owner gives it up, and the next round gives it away.
    for (member, partitions) in &mut given {
        partitions.retain(|partition| owners.get(partition).is_none_or(|owner| owner == member));
    }
    given
}

/// Leaves partitions with their owners, gives the others to those that have least, and moves some until all is balanced.
fn sticky(members: &[&Member], owners: &BTreeMap<TopicPartition, String>, counts: &BTreeMap<String, i32>) -> Given {
    let mut given = nothing(members);
    for (partition, owner) in owners {
        give(&mut given, owner, partition.clone());
    }
    let eligible = |member: &&&Member, partition: &TopicPartition| member.topics.contains(&*partition.topic);
    for partition in all(counts).into_iter().filter(|partition| !owners.contains_key(partition)) {
        let least = members
            .iter()
            .filter(|member| eligible(member, &partition))
            .min_by_key(|member| given.get(&member.id).map_or(0, BTreeSet::len));
        if let Some(member) = least {
            give(&mut given, &member.id, partition);
        }
    }
    while let Some((from, to, partition)) = better_place(members, &given) {
        if let Some(partitions) = given.get_mut(&from) {
            partitions.remove(&partition);
        }
        give(&mut given, &to, partition);
    }
    given
}

/// Who owns what, as far as members of the latest generation say so and nobody contradicts.
fn owners(members: &[&Member], counts: &BTreeMap<String, i32>) -> BTreeMap<TopicPartition, String> {
    let latest = members.iter().map(|member| member.generation).max().unwrap_or(-1);
    let mut owners: BTreeMap<TopicPartition, Option<String>> = BTreeMap::new();
    for member in members.iter().filter(|member| member.generation == latest) {
        for partition in &member.owned {
            let exists = counts.get(&*partition.topic).is_some_and(|count| partition.partition < *count);
            if exists && member.topics.contains(&*partition.topic) {
                let owner = owners.entry(partition.clone());
                owner.and_modify(|owner| *owner = None).or_insert_with(|| Some(member.id.clone()));
            }
        }
    }
    owners.into_iter().filter_map(|(partition, owner)| Some((partition, owner?))).collect()
}

/// A partition that a member with at least two fewer could take.
fn better_place(members: &[&Member], given: &Given) -> Option<(String, String, TopicPartition)> {
    let count = |member: &&&Member| given.get(&member.id).map_or(0, BTreeSet::len);
    let mut by_count: Vec<&&Member> = members.iter().collect();
    by_count.sort_by_key(|member| count(member));
    for from in by_count.iter().rev() {
        for to in &by_count {
            if count(from) < count(to) + 2 {
                break;
            }
            let movable = given.get(&from.id)?.iter().rev().find(|partition| to.topics.contains(&*partition.topic));
            if let Some(partition) = movable {
                return Some((from.id.clone(), to.id.clone(), partition.clone()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, topics: &[&str], owned: &[(&str, i32)], generation: i32) -> Member {
        Member {
            id: id.to_owned(),
            instance: None,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            owned: owned.iter().map(|(topic, index)| TopicPartition::new(*topic, *index)).collect(),
            generation,
            user_data: Bytes::new(),
        }
    }

    /// What each member gets, as text.
    fn given(assignor: Assignor, members: &[Member], counts: &[(&str, i32)]) -> Vec<(String, String)> {
        let counts = counts.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
        let text = |partitions: BTreeSet<TopicPartition>| {
            partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assign(assignor, members, &counts).into_iter().map(|(member, partitions)| (member, text(partitions))).collect()
    }

    fn expected(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(member, partitions)| ((*member).to_owned(), (*partitions).to_owned())).collect()
    }

    #[test]
    fn range_gives_each_member_neighbours() {
        let members = [member("b", &["t", "u"], &[], -1), member("a", &["t"], &[], -1)];
        let result = given(Assignor::Range, &members, &[("t", 5), ("u", 2)]);
        assert_eq!(result, expected(&[("a", "t-0 t-1 t-2"), ("b", "t-3 t-4 u-0 u-1")]));
    }

    #[test]
    fn round_robin_passes_over_who_is_not_subscribed() {
        let members = [member("a", &["t", "u"], &[], -1), member("b", &["t"], &[], -1)];
        let result = given(Assignor::RoundRobin, &members, &[("t", 3), ("u", 2)]);
        assert_eq!(result, expected(&[("a", "t-0 t-2 u-0 u-1"), ("b", "t-1")]));
    }

    #[test]
    fn what_moves_is_given_up_before_it_is_given_away() {
        let all: Vec<(&str, i32)> = (0..4).map(|index| ("t", index)).collect();
        let first = [member("a", &["t"], &all, 1), member("b", &["t"], &[], -1)];
        let result = given(Assignor::CooperativeSticky, &first, &[("t", 4)]);
        assert_eq!(result, expected(&[("a", "t-0 t-1"), ("b", "")]));
        let second = [member("a", &["t"], &[("t", 0), ("t", 1)], 2), member("b", &["t"], &[], 2)];
        let result = given(Assignor::CooperativeSticky, &second, &[("t", 4)]);
        assert_eq!(result, expected(&[("a", "t-0 t-1"), ("b", "t-2 t-3")]));
    }

    #[test]
    fn sticky_moves_at_once_and_as_little_as_it_can() {
        let all: Vec<(&str, i32)> = (0..4).map(|index| ("t", index)).collect();
        let members = [member("a", &["t"], &all, 1), member("b", &["t"], &[], -1)];
        let result = given(Assignor::Sticky, &members, &[("t", 4)]);
        assert_eq!(result, expected(&[("a", "t-0 t-1"), ("b", "t-2 t-3")]));
    }

    #[test]
    fn claims_of_the_past_and_contradictions_do_not_count() {
        let members = [
            member("a", &["t"], &[("t", 0)], 5),
            member("b", &["t"], &[("t", 0), ("t", 1)], 5),
            member("c", &["t"], &[("t", 2)], 4),
        ];
        let result = given(Assignor::CooperativeSticky, &members, &[("t", 3)]);
        assert_eq!(result, expected(&[("a", "t-0"), ("b", "t-1"), ("c", "t-2")]));
    }
}
