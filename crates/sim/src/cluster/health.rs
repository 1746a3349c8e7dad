//! Whether every replica is in sync, as all nodes say.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use thalweg_sys::time::timeout;
use thalweg_wire::messages::{MetadataRequest, MetadataResponse};

use super::Shared;
use crate::client::Client;

/// How long one node may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen of the cluster.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// When the last round of questions began in which every node said that all is well.
    well_at: Cell<Option<u64>>,
}

impl Health {
    /// Whether all nodes were asked after this moment, and said that every replica is in sync.
    pub(super) fn was_seen_well_after(&self, moment: u64) -> bool {
        self.well_at.get().is_some_and(|at| at > moment)
    }

    /// Asks all nodes; says what is not well.
    pub(super) async fn look(shared: &Shared) -> Result<(), String> {
        let begun = shared.clock.get();
        for peer in &shared.peers {
            let answer = timeout(PATIENCE, metadata(&format!("{}:{}", peer.host, peer.port))).await;
            let answer = answer.map_err(io::Error::other).and_then(|answer| answer);
            let answer = answer.map_err(|error| format!("{} does not answer: {error}", peer.host))?;
            let what = judge(&answer, shared.peers.len());
            what.map_err(|what| format!("{} says that {what}", peer.host))?;
        }
        shared.health.well_at.set(Some(begun));
        Ok(())
    }
}

async fn metadata(address: &str) -> io::Result<MetadataResponse> {
    let mut client = Client::connect(address).await?;
    client.ask(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await
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
