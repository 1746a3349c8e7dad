//! What a cluster says about its quorum and its reassignments.

use thalweg_client::Destination;
use thalweg_wire::messages::describe_quorum_request::{PartitionData, TopicData};
use thalweg_wire::messages::describe_quorum_response::{PartitionData as Quorum, ReplicaState};
use thalweg_wire::messages::{DescribeQuorumRequest, ListPartitionReassignmentsRequest};

use super::Kafka;
use super::changes::timeout_ms;
use crate::trouble::Trouble;

/// The topic of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// A replica of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QuorumReplica {
    pub(crate) id: i32,
    pub(crate) is_voter: bool,
    pub(crate) log_end: i64,
    /// When it fetched last, in milliseconds since 1970; -1 if that is not told.
    pub(crate) last_fetch_ms: i64,
    /// When it had everything last.
    pub(crate) last_caught_up_ms: i64,
}

/// The quorum of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetadataQuorum {
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) high_watermark: i64,
    /// Voters first.
    pub(crate) replicas: Vec<QuorumReplica>,
}

impl MetadataQuorum {
    /// How far the leader's log reaches.
    pub(crate) fn log_end(&self) -> i64 {
        self.replicas.iter().map(|replica| replica.log_end).max().unwrap_or(0)
    }
}

/// A partition whose replicas move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reassignment {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) adding: Vec<i32>,
    pub(crate) removing: Vec<i32>,
}

impl Kafka {
    /// The quorum of the metadata log; `None` from a cluster without one, before KRaft.
    pub(crate) async fn quorum(&self) -> Result<Option<MetadataQuorum>, Trouble> {
        let partitions = vec![PartitionData { partition_index: 0 }];
        let request =
            DescribeQuorumRequest { topics: vec![TopicData { topic_name: METADATA_TOPIC.into(), partitions }] };
        let Some(response) = self.ask_if_served(&Destination::Any, &request).await? else { return Ok(None) };
        Trouble::check("the quorum", response.error_code, response.error_message.as_deref())?;
        let Some(found) = response.topics.into_iter().flat_map(|topic| topic.partitions).next() else {
            return Ok(None);
        };
        Trouble::check("the quorum", found.error_code, found.error_message.as_deref())?;
        Ok(Some(of_quorum(&found)))
    }

    /// The partitions whose replicas move; `None` from a broker that is too old to tell.
    pub(crate) async fn reassignments(&self) -> Result<Option<Vec<Reassignment>>, Trouble> {
        let request = ListPartitionReassignmentsRequest { timeout_ms: timeout_ms(), topics: None };
        let Some(response) = self.ask_if_served(&Destination::Controller, &request).await? else { return Ok(None) };
        Trouble::check("reassignments", response.error_code, response.error_message.as_deref())?;
        let mut found = Vec::new();
        for topic in response.topics {
            found.extend(topic.partitions.into_iter().map(|partition| Reassignment {
                topic: topic.name.to_string(),
                partition: partition.partition_index,
                replicas: partition.replicas,
                adding: partition.adding_replicas,
                removing: partition.removing_replicas,
            }));
        }
        Ok(Some(found))
    }
}

fn of_quorum(found: &Quorum) -> MetadataQuorum {
    let replica = |state: &ReplicaState, is_voter: bool| QuorumReplica {
        id: state.replica_id,
        is_voter,
        log_end: state.log_end_offset,
        last_fetch_ms: state.last_fetch_timestamp,
        last_caught_up_ms: state.last_caught_up_timestamp,
    };
    let voters = found.current_voters.iter().map(|state| replica(state, true));
    MetadataQuorum {
        leader: found.leader_id,
        leader_epoch: found.leader_epoch,
        high_watermark: found.high_watermark,
        replicas: voters.chain(found.observers.iter().map(|state| replica(state, false))).collect(),
    }
}
