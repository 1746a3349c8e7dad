//! Which replicas are in sync: followers that lag are noticed, and what leaders propose goes to the controller (KIP-497).

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_base::{BrokerEpoch, LeaderEpoch, NodeId, Uuid};
use thalweg_replica::{IsrRefusal, PartitionEpoch};
use thalweg_sys::task;
use thalweg_sys::time::{Duration, now, sleep, sleep_until};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_partition_request::{AlterPartitionRequest, BrokerState, PartitionData, TopicData};
use thalweg_wire::messages::{AlterPartitionResponse, alter_partition_response};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::drivers::metadata::{Asker, MetadataHandle};
use crate::drivers::partition::{IsrCommitted, Partition, Proposed};
use crate::drivers::partitions::Partitions;
use thalweg_sys::closing::Closing;

/// So many proposals go in one request.
const PROPOSALS_MAX: usize = 1000;
/// The version of AlterPartition that is sent: the one with broker epochs (KIP-903).
const ALTER_PARTITION: i16 = 3;
/// How long nothing is asked for after the controller could not be asked.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The task that keeps in-sync replicas up to date.
pub(crate) struct InSync {
    pub(crate) node: NodeId,
    pub(crate) epoch: BrokerEpoch,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) metadata: MetadataHandle,
    /// `replica.lag.time.max.ms`
    pub(crate) lag_max: Duration,
}

impl InSync {
    /// Works until the node closes.
    pub(crate) async fn run(self, mut proposals: mpsc::UnboundedReceiver<Proposed>, mut closing: Closing) {
        // As Kafka: a follower is noticed at the latest after one and a half times the lag.
        let every = (self.lag_max / 2).max(Duration::from_millis(1));
        let mut next_tick = now() + every;
        loop {
            let mut taken = Vec::new();
            tokio::select! {
                biased;
                () = closing.begun() => return,
                () = sleep_until(next_tick) => {
                    next_tick = now() + every;
                    let partitions = Arc::clone(&self.partitions);
                    // Interrupted when the node goes down.
                    let _ = task::blocking(move || partitions.tick()).await;
                }
                count = proposals.recv_many(&mut taken, PROPOSALS_MAX) => {
                    if count == 0 {
                        return;
                    }
                    tokio::select! {
                        biased;
                        () = closing.begun() => return,
                        () = self.ask(taken) => {}
                    }
                }
            }
        }
    }

    /// Asks the controller for what is proposed, and hands its answers back.
    async fn ask(&self, proposed: Vec<Proposed>) {
        let request = request(self.node, self.epoch, &proposed);
        let context = self.metadata.context(ALTER_PARTITION);
        let answer = self.metadata.ask(Asker::ThisNode, context, request).await;
        let mut answers = match answer {
            Ok(response) if response.error_code == ErrorCode::None.code() => by_partition(response),
            Ok(response) => {
                warn!(
                    error = ErrorCode::from(response.error_code).name(),
                    "the controller did not look at in-sync replicas"
                );
                BTreeMap::new()
            }
            Err(refusal) => {
                warn!(error = %refusal, "the controller could not be asked about in-sync replicas");
                BTreeMap::new()
            }
        };
        let mut has_failed = false;
        for Proposed { place, proposal } in proposed {
            let answer = answers.remove(&(place.topic_id, place.id.partition));
            let answer = answer.unwrap_or(Err(IsrRefusal::Unknown));
            note(&place, &answer);
            has_failed |= matches!(answer, Err(IsrRefusal::Unknown));
            place.isr_answered(proposal.partition_epoch, answer);
        }
        if has_failed {
            sleep(RETRY_PAUSE).await;
        }
    }
}

fn note(place: &Partition, answer: &Result<IsrCommitted, IsrRefusal>) {
    match answer {
        Ok(committed) => debug!(partition = %place.id, isr = ?committed.isr, "in-sync replicas have changed"),
        Err(refusal) => debug!(partition = %place.id, ?refusal, "in-sync replicas were not changed"),
    }
}

fn request(node: NodeId, epoch: BrokerEpoch, proposed: &[Proposed]) -> AlterPartitionRequest {
    let mut topics: BTreeMap<Uuid, Vec<PartitionData>> = BTreeMap::new();
    for Proposed { place, proposal } in proposed {
        let member = |member: &thalweg_replica::IsrMember| BrokerState {
            broker_id: member.broker.0,
            broker_epoch: match member.broker_epoch {
                None if member.broker == node => epoch.0,
                known => known.map_or(-1, |known| known.0),
            },
        };
        let mut isr: Vec<BrokerState> = proposal.isr.iter().map(member).collect();
        // The order in which Kafka's leaders name them, and in which they are then described.
        isr.sort_unstable_by_key(|member| member.broker_id);
        topics.entry(place.topic_id).or_default().push(PartitionData {
            partition_index: place.id.partition,
            leader_epoch: proposal.leader_epoch.0,
            new_isr_with_epochs: isr,
            partition_epoch: proposal.partition_epoch.0,
            ..PartitionData::default()
        });
    }
    let topic = |(topic_id, partitions)| TopicData { topic_id, partitions };
    AlterPartitionRequest { broker_id: node.0, broker_epoch: epoch.0, topics: topics.into_iter().map(topic).collect() }
}

fn by_partition(response: AlterPartitionResponse) -> BTreeMap<(Uuid, i32), Result<IsrCommitted, IsrRefusal>> {
    let mut answers = BTreeMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            answers.insert((topic.topic_id, partition.partition_index), outcome(&partition));
        }
    }
    answers
}

fn outcome(answer: &alter_partition_response::PartitionData) -> Result<IsrCommitted, IsrRefusal> {
    match ErrorCode::from(answer.error_code) {
        ErrorCode::None => Ok(IsrCommitted {
            leader_epoch: LeaderEpoch(answer.leader_epoch),
            partition_epoch: PartitionEpoch(answer.partition_epoch),
            isr: answer.isr.iter().copied().map(NodeId).collect(),
        }),
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => Err(IsrRefusal::NotApplied),
        ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::UnknownTopicId
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => Err(IsrRefusal::OutOfDate),
        _ => Err(IsrRefusal::Unknown),
    }
}
