//! An operator who moves leaders, while all are alive.

use thalweg_client::{Client, Destination};
use thalweg_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use thalweg_wire::messages::elect_leaders_request::TopicPartitions;
use thalweg_wire::messages::{AlterPartitionReassignmentsRequest, ElectLeadersRequest};

use super::Clients;
use crate::cluster::topics::TOPICS;
use crate::cluster::{Move, REPLICAS};
use crate::story::pause;

/// The controller has so many milliseconds.
const TIMEOUT_MS: i32 = 2000;

impl Clients {
    /// Carries out the moves that are asked for.
    pub(super) async fn move_leaders(&self) {
        let client = Client::new(self.client_config());
        while !self.shared.stop.get() {
            match self.shared.wanted_move.take() {
                Some(wanted) => self.move_leader(&client, wanted).await,
                None => pause().await,
            }
        }
    }

    /// Makes a node the preferred replica of a partition, then the leader. Either may be refused.
    async fn move_leader(&self, client: &Client, wanted: Move) {
        let Move { place: (topic, partition_index), to } = wanted;
        let (name, nodes) = (TOPICS[topic].name, i32::try_from(self.shared.peers.len()).unwrap_or(i32::MAX));
        let replicas = (0..i32::from(REPLICAS)).map(|next| (to - 1 + next) % nodes + 1).collect();
        let partitions = vec![ReassignablePartition { partition_index, replicas: Some(replicas) }];
        let assign = AlterPartitionReassignmentsRequest {
            timeout_ms: TIMEOUT_MS,
            topics: vec![ReassignableTopic { name: name.into(), partitions }],
            ..AlterPartitionReassignmentsRequest::default()
        };
        let elect = ElectLeadersRequest {
            topic_partitions: Some(vec![TopicPartitions { topic: name.into(), partitions: vec![partition_index] }]),
            timeout_ms: TIMEOUT_MS,
            ..ElectLeadersRequest::default()
        };
        let _ = client.send(Destination::Controller, &assign).await;
        let _ = client.send(Destination::Controller, &elect).await;
    }
}
