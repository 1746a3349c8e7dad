//! What all nodes say of the cluster: whether every replica is in sync, and who leads.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use thalweg_sys::time::timeout;
use thalweg_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use thalweg_wire::messages::{ListOffsetsRequest, MetadataRequest, MetadataResponse};

use super::Shared;
use super::together::together;
use super::topics::{TOPICS, Topic};
use crate::client::Client;

/// How long one node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many leader epochs of each partition are remembered.
const EPOCHS: usize = 3;
/// `ListOffsets` asks for the end of a log by this timestamp.
const LATEST: i64 = -1;

/// A partition of the story's topics, by the topic's place in [`TOPICS`] and the partition's index.
pub(super) type Place = (usize, i32);

/// What was seen of the cluster.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// When the last round of questions began in which every node said that all is well.
    well_at: Cell<Option<u64>>,
    /// By partition and leader epoch: who is its leader.
    leaders: RefCell<BTreeMap<Place, BTreeMap<i32, i32>>>,
    /// The open connection to each node.
    connections: RefCell<BTreeMap<String, Client>>,
}

impl Health {
    /// Whether all nodes were asked after this moment, and said that every replica is in sync.
    pub(super) fn was_seen_well_after(&self, moment: u64) -> bool {
        self.well_at.get().is_some_and(|at| at > moment)
    }

    /// The newest leader of a partition that any node has named, and its epoch.
    pub(super) fn leader(&self, place: Place) -> Option<(i32, i32)> {
        let leaders = self.leaders.borrow();
        leaders.get(&place)?.last_key_value().map(|(epoch, leader)| (*leader, *epoch))
    }

    /// Asks all nodes; says what is not well.
    pub(super) async fn look(shared: &Shared) -> Result<(), String> {
        let begun = shared.clock.get();
        let asked = shared.peers.iter().map(|peer| async {
            let address = format!("{}:{}", peer.host, peer.port);
            let node = peer.host.trim_start_matches("node").parse().unwrap_or(0);
            let answer = timeout(PATIENCE, shared.health.ask(shared, &address, node)).await;
            let answer = answer.map_err(io::Error::other).and_then(|answer| answer);
            let answer = answer.map_err(|error| format!("{} does not answer: {error}", peer.host))?;
            judge(&answer, shared.peers.len()).map_err(|what| format!("{} says that {what}", peer.host))
        });
        together(asked).await.into_iter().collect::<Result<(), String>>()?;
        shared.health.well_at.set(Some(begun));
        Ok(())
    }

    /// Asks one node for the metadata, and then for the end of each log: in every leader epoch that is known, whoever
    /// leads.
    async fn ask(&self, shared: &Shared, address: &str, node: i32) -> io::Result<MetadataResponse> {
        let known = self.connections.borrow_mut().remove(address);
        let mut client = match known {
            Some(client) => client,
            None => Client::connect(address).await?,
        };
        let metadata = client.ask(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await?;
        self.learn(&metadata);
        for back in 0..EPOCHS {
            let topics = self.ends_asked_for(back);
            if topics.is_empty() {
                break;
            }
            let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
            let answer = client.ask(&request, 7).await?;
            for (asked, answered) in request.topics.iter().zip(&answer.topics) {
                let Some(topic) = TOPICS.iter().find(|topic| *topic.name == *answered.name) else { continue };
                for (asked, answered) in asked.partitions.iter().zip(&answered.partitions) {
                    if answered.error_code == 0 {
                        let mut history = shared.history.borrow_mut();
                        let partition = topic.key(answered.partition_index);
                        history.led(node, partition, asked.current_leader_epoch);
                        history.led(node, partition, answered.leader_epoch);
                    }
                }
            }
        }
        self.connections.borrow_mut().insert(address.to_owned(), client);
        Ok(metadata)
    }

    fn learn(&self, metadata: &MetadataResponse) {
        let mut leaders = self.leaders.borrow_mut();
        for answered in &metadata.topics {
            let name = answered.name.as_deref().unwrap_or_default();
            let Some(topic) = TOPICS.iter().position(|topic| *topic.name == *name) else { continue };
            for partition in answered.partitions.iter().filter(|partition| partition.leader_id >= 0) {
                let known = leaders.entry((topic, partition.partition_index)).or_default();
                known.insert(partition.leader_epoch, partition.leader_id);
                if known.len() > EPOCHS {
                    known.pop_first();
                }
            }
        }
    }

    /// What asks for the end of each log in the leader epoch that is the newest but for so many.
    fn ends_asked_for(&self, back: usize) -> Vec<ListOffsetsTopic> {
        let leaders = self.leaders.borrow();
        let of_topic = |(at, topic): (usize, &Topic)| {
            let places = leaders.iter().filter(|((topic, _), _)| *topic == at);
            let partitions = places.filter_map(|((_, partition), epochs)| {
                Some(ListOffsetsPartition {
                    partition_index: *partition,
                    current_leader_epoch: *epochs.keys().rev().nth(back)?,
                    timestamp: LATEST,
                })
            });
            ListOffsetsTopic { name: topic.name.into(), partitions: partitions.collect() }
        };
        TOPICS.iter().enumerate().map(of_topic).filter(|topic| !topic.partitions.is_empty()).collect()
    }
}

fn judge(answer: &MetadataResponse, nodes: usize) -> Result<(), String> {
    if answer.brokers.len() < nodes {
        return Err(format!("{} brokers are alive", answer.brokers.len()));
    }
    if answer.topics.is_empty() {
        return Err("there is no topic".to_owned());
    }
    for topic in &answer.topics {
        let name = topic.name.as_deref().unwrap_or_default();
        for partition in &topic.partitions {
            let (index, isr) = (partition.partition_index, &partition.isr_nodes);
            if partition.leader_id < 0 || isr.len() < partition.replica_nodes.len() {
                return Err(format!("{name}-{index} has leader {} and in sync {isr:?}", partition.leader_id));
            }
        }
    }
    Ok(())
}
