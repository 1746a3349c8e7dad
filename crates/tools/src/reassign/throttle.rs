//! Throttles of reassignments: a rate at brokers, and the replicas that it is for at topics.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_base::TopicPartition;

use super::Assignment;
use crate::admin::{Admin, AlterConfig, Reassignment, Resource, ResourceKind};
use crate::java;
use crate::out::Out;
use crate::thrown::Thrown;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRS_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

fn set(name: &str, value: &str) -> AlterConfig {
    AlterConfig { name: name.to_owned(), value: Some(value.to_owned()) }
}

fn unset(name: &str) -> AlterConfig {
    AlterConfig { name: name.to_owned(), value: None }
}

async fn alter(admin: &Admin, kind: ResourceKind, name: String, changes: &[AlterConfig]) -> Result<(), Thrown> {
    admin.alter_configs(&Resource { kind, name }, changes).await.map_err(Thrown::execution)
}

/// Lifts all throttles of all brokers and of the topics: nobody knows any more which brokers took part.
pub(super) async fn clear(admin: &Admin, targets: &[(TopicPartition, Vec<i32>)], out: &mut Out) -> Result<(), Thrown> {
    let mut brokers = admin.brokers("listNodes").await.map_err(Thrown::execution)?;
    for broker in targets.iter().flat_map(|(_, replicas)| replicas) {
        if !brokers.contains(broker) {
            brokers.push(*broker);
        }
    }
    let brokers = java::hash_order(brokers, 16, |broker| *broker);
    let ending = if brokers.len() == 1 { "" } else { "s" };
    out.line(format_args!("Clearing broker-level throttles on broker{ending} {}", java::joined(&brokers, ",")));
    for broker in &brokers {
        let changes = [unset(LEADER_RATE), unset(FOLLOWER_RATE), unset(DIRS_RATE)];
        alter(admin, ResourceKind::Broker, broker.to_string(), &changes).await?;
    }
    let mut topics: Vec<String> = Vec::new();
    for (partition, _) in targets {
        if !topics.iter().any(|topic| **topic == *partition.topic) {
            topics.push(partition.topic.to_string());
        }
    }
    let topics = java::names_in_hash_order(topics, 16);
    let ending = if topics.len() == 1 { "" } else { "s" };
    out.line(format_args!("Clearing topic-level throttles on topic{ending} {}", topics.join(",")));
    for topic in topics {
        alter(admin, ResourceKind::Topic, topic, &[unset(LEADER_REPLICAS), unset(FOLLOWER_REPLICAS)]).await?;
    }
    Ok(())
}

/// From which brokers to which a partition moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

/// What moves already, and what a plan adds.
fn moves(
    going_on: &BTreeMap<TopicPartition, Reassignment>,
    proposed: &Assignment,
    current: &Assignment,
) -> BTreeMap<TopicPartition, Move> {
    let mut moves: BTreeMap<TopicPartition, Move> = BTreeMap::new();
    for (partition, reassignment) in going_on {
        let destinations: BTreeSet<i32> = reassignment.adding.iter().copied().collect();
        let sources = reassignment.replicas.iter().copied().filter(|broker| !destinations.contains(broker)).collect();
        moves.insert(partition.clone(), Move { sources, destinations });
    }
    for (partition, replicas) in proposed {
        let standing = || current.get(partition).into_iter().flatten().copied().collect();
        let sources = moves.get(partition).map_or_else(standing, |known| known.sources.clone());
        let destinations = replicas.iter().copied().filter(|broker| !sources.contains(broker)).collect();
        moves.insert(partition.clone(), Move { sources, destinations });
    }
    moves
}

/// Limits what brokers copy among themselves for the moves.
pub(super) async fn limit_replication(
    admin: &Admin,
    going_on: &BTreeMap<TopicPartition, Reassignment>,
    proposed: &Assignment,
    current: &Assignment,
    rate: i64,
    out: &mut Out,
) -> Result<(), Thrown> {
    let moves = moves(going_on, proposed, current);
    let mut topics: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
    for (partition, moving) in &moves {
        let [leaders, followers] = topics.entry(&partition.topic).or_default();
        leaders.extend(moving.sources.iter().map(|broker| format!("{}:{broker}", partition.partition)));
        followers.extend(moving.destinations.iter().map(|broker| format!("{}:{broker}", partition.partition)));
    }
    for (topic, sides) in topics {
        let [leaders, followers] = sides.map(|replicas| replicas.into_iter().collect::<Vec<_>>().join(","));
        let changes = [set(LEADER_REPLICAS, &leaders), set(FOLLOWER_REPLICAS, &followers)];
        alter(admin, ResourceKind::Topic, topic.to_owned(), &changes).await?;
    }
    let brokers: BTreeSet<i32> =
        moves.values().flat_map(|moving| moving.sources.union(&moving.destinations)).copied().collect();
    for broker in brokers {
        let changes = [set(LEADER_RATE, &rate.to_string()), set(FOLLOWER_RATE, &rate.to_string())];
        alter(admin, ResourceKind::Broker, broker.to_string(), &changes).await?;
    }
    out.line(format_args!("The inter-broker throttle limit was set to {rate} B/s"));
    Ok(())
}

/// Limits what brokers copy between their directories.
pub(super) async fn limit_dirs(admin: &Admin, brokers: &BTreeSet<i32>, rate: i64, out: &mut Out) -> Result<(), Thrown> {
    for broker in brokers {
        alter(admin, ResourceKind::Broker, broker.to_string(), &[set(DIRS_RATE, &rate.to_string())]).await?;
    }
    out.line(format_args!("The replica-alter-dir throttle limit was set to {rate} B/s"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_already_keeps_its_sources() {
        let partition = TopicPartition::new("t", 0);
        let going_on = Reassignment { replicas: vec![3, 2, 1], adding: vec![3], removing: vec![1] };
        let proposed = Assignment::from([(partition.clone(), vec![3, 2])]);
        let current = Assignment::from([(partition.clone(), vec![3, 2, 1])]);
        let found = moves(&BTreeMap::from([(partition.clone(), going_on)]), &proposed, &current);
        let expected = Move { sources: BTreeSet::from([1, 2]), destinations: BTreeSet::from([3]) };
        assert_eq!(found, BTreeMap::from([(partition, expected)]));
    }
}
