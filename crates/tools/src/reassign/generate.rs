//! `--generate`: proposes a plan.

use std::collections::BTreeMap;

use thalweg_base::TopicPartition;
use thalweg_sys::random;

use super::{Assignment, current_plan, describe, plan};
use crate::admin::{self, Admin, NodeInfo};
use crate::java;
use crate::jopt::Line;
use crate::out::Out;
use crate::thrown::Thrown;

pub(super) async fn generate(line: &Line, admin: &Admin, out: &mut Out) -> Result<(), Thrown> {
    let text = admin::read_input(line.value("topics-to-move-json-file")?.unwrap_or_default())?;
    let brokers = java::split(line.value("broker-list")?.unwrap_or_default(), ',');
    let brokers: Vec<i32> = brokers.into_iter().map(java::number).collect::<Result<_, _>>()?;
    let twice = plan::twice(&brokers);
    if !twice.is_empty() {
        let twice = java::joined(&twice, ", ");
        return Err(Thrown::command_failed(format!("Broker list contains duplicate entries: [{twice}]")));
    }
    let topics = plan::topics(&text)?;
    let twice = plan::twice(&topics);
    if !twice.is_empty() {
        let twice = twice.join(", ");
        return Err(Thrown::command_failed(format!(
            "List of topics to reassign contains duplicate entries: [{twice}]"
        )));
    }
    let mut current = Assignment::new();
    let mut proposed = Assignment::new();
    let described = describe(admin, &topics).await?;
    for topic in &described {
        for partition in &topic.partitions {
            current.insert(TopicPartition::new(&*topic.name, partition.index), partition.replicas.clone());
        }
    }
    let shown = current_plan(admin, &current).await?;
    let racks = racks(admin, &brokers, line.has("disable-rack-aware")).await?;
    for topic in &described {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        let placed = place(&racks, topic.partitions.len(), replicas, random::u64())?;
        for (partition, replicas) in topic.partitions.iter().zip(placed) {
            proposed.insert(TopicPartition::new(&*topic.name, partition.index), replicas);
        }
    }
    out.line(format_args!("Current partition replica assignment\n{shown}\n"));
    out.line(format_args!(
        "Proposed partition reassignment configuration\n{}",
        plan::text(&proposed, &BTreeMap::new())
    ));
    Ok(())
}

/// The brokers of each rack.
async fn racks(admin: &Admin, wanted: &[i32], ignores_racks: bool) -> Result<Vec<Vec<i32>>, Thrown> {
    let nodes = admin.nodes("listNodes").await.map_err(Thrown::execution)?;
    let nodes: Vec<NodeInfo> = nodes.into_iter().filter(|node| wanted.contains(&node.id)).collect();
    let without = nodes.iter().filter(|node| node.rack.is_none()).count();
    if !ignores_racks && without != 0 && without != nodes.len() {
        return Err(Thrown::operation_failed(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment \
             without rack information.",
        ));
    }
    let mut racks: BTreeMap<Option<String>, Vec<i32>> = BTreeMap::new();
    for node in nodes {
        racks.entry(node.rack.filter(|_| !ignores_racks)).or_default().push(node.id);
    }
    Ok(racks.into_values().collect())
}

/// Spreads the replicas of a topic's partitions evenly over racks, and over the brokers of each. `seed` says where to begin.
fn place(racks: &[Vec<i32>], partitions: usize, replicas: usize, seed: u64) -> Result<Vec<Vec<i32>>, Thrown> {
    let brokers: usize = racks.iter().map(Vec::len).sum();
    let refused =
        |text: String| Err(Thrown::new("org.apache.kafka.common.errors.InvalidReplicationFactorException", text));
    if brokers == 0 {
        return refused("All brokers are currently fenced, or have all their log directories cordoned.".into());
    }
    if replicas > brokers {
        return refused(format!(
            "The target replication factor of {replicas} cannot be reached because only {brokers} broker(s) are registered or some \
             brokers have all their log directories cordoned."
        ));
    }
    // One broker of each rack after another, so that neighbours in the list are of different racks.
    let deepest = racks.iter().map(Vec::len).max().unwrap_or(0);
    let ring: Vec<(usize, i32)> = (0..deepest)
        .flat_map(|depth| racks.iter().enumerate().filter_map(move |(rack, all)| Some((rack, *all.get(depth)?))))
        .collect();
    let start = usize::try_from(seed % ring.len() as u64).unwrap_or(0);
    let around = |partition: usize| {
        let mut left: Vec<(usize, i32)> =
            (0..ring.len()).map(|step| ring[(start + partition + step) % ring.len()]).collect();
        let mut chosen: Vec<i32> = Vec::new();
        let mut used: Vec<usize> = Vec::new();
        while chosen.len() < replicas {
            if used.len() == racks.len() {
                used.clear();
            }
            // A rack that has no broker left is passed over.
            let at = left.iter().position(|(rack, _)| !used.contains(rack)).unwrap_or(0);
            let (rack, broker) = left.remove(at);
            used.push(rack);
            chosen.push(broker);
        }
        chosen
    };
    Ok((0..partitions).map(around).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_stand_in_different_racks_and_leaders_go_round() -> Result<(), Thrown> {
        let racks = [vec![1, 2], vec![3, 4], vec![5]];
        for seed in 0..5 {
            let placed = place(&racks, 10, 3, seed)?;
            for replicas in &placed {
                let rack = |broker: &i32| racks.iter().position(|rack| rack.contains(broker));
                let mut used: Vec<_> = replicas.iter().map(rack).collect();
                used.sort_unstable();
                used.dedup();
                assert_eq!(used.len(), 3, "{replicas:?}");
            }
            for broker in 1..=5 {
                let leads = placed.iter().filter(|replicas| replicas[0] == broker).count();
                assert_eq!(leads, 2);
            }
        }
        assert!(place(&[vec![1]], 1, 2, 0).is_err() && place(&[], 1, 1, 0).is_err());
        Ok(())
    }
}
