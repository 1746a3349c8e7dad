//! AlterPartition: a leader asks for another ISR (KIP-497, 704, 841, 903).

use std::collections::BTreeSet;

use thalweg_base::{BrokerEpoch, LeaderEpoch, NodeId};
use thalweg_metadata::image::partition::{NO_LEADER_CHANGE, ids};
use thalweg_metadata::image::{LeaderRecoveryState, PartitionEpoch, PartitionRegistration, TopicImage};
use thalweg_metadata::{MetadataImage, MetadataRecord};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages::alter_partition_request::PartitionData as Asked;
use thalweg_wire::messages::alter_partition_response::{PartitionData, TopicData};
use thalweg_wire::messages::{AlterPartitionRequest, AlterPartitionResponse};

use crate::brokers::check_broker_epoch;
use crate::partition_change::PartitionChange;
use crate::partitions::{default_directory, may_lead};
use crate::{Controller, Outcome, Refusal};

/// The ISR that a leader asks for: brokers with their epochs, -1 if the request names none.
type Isr = Vec<(NodeId, BrokerEpoch)>;

impl Controller {
    /// Decides about new ISRs. Each partition succeeds or fails by itself.
    ///
    /// # Errors
    /// If the leader is not registered with that broker epoch.
    pub fn alter_partition(
        &self,
        image: &MetadataImage,
        request: &AlterPartitionRequest,
        request_version: i16,
    ) -> Result<Outcome<AlterPartitionResponse>, Refusal> {
        let leader = NodeId(request.broker_id);
        check_broker_epoch(image, leader, BrokerEpoch(request.broker_epoch))?;
        let mut records = Vec::new();
        let mut response = AlterPartitionResponse::default();
        for topic in &request.topics {
            let known = image.topics().by_id(topic.topic_id);
            let one = |asked: &Asked| {
                let topic = known.ok_or(ErrorCode::UnknownTopicId)?;
                let partition = topic.partition(asked.partition_index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
                let isr = isr_of(asked, request_version);
                check(image, leader, partition, asked, &isr)?;
                let (answer, record) = self.change_isr(image, topic, partition, asked, isr);
                records.extend(record);
                answer
            };
            let partitions = topic.partitions.iter().map(answering(one)).collect();
            response.topics.push(TopicData { topic_id: topic.topic_id, partitions });
        }
        Ok(Outcome { records, response })
    }

    /// Changes the ISR. A reassignment that thereby ends may take the leadership from who asks: then the change is made,
    /// and answered with an error, so that the old leader looks at the metadata again.
    fn change_isr(
        &self,
        image: &MetadataImage,
        topic: &TopicImage,
        partition: &PartitionRegistration,
        asked: &Asked,
        isr: Isr,
    ) -> (Result<PartitionData, ErrorCode>, Option<MetadataRecord>) {
        let acceptable = |id| may_lead(image, partition, id);
        let directory = |id| default_directory(image, id);
        let recovery = LeaderRecoveryState::from_id(asked.leader_recovery_state).unwrap_or_default();
        let change = PartitionChange::new(partition, self.rules(image, topic, &acceptable, &directory))
            .election(self.election(image, topic))
            .isr(isr.into_iter().map(|(id, _)| id).collect())
            .recovery(recovery)
            .build(topic.id, asked.partition_index);
        let now = change.as_ref().map_or_else(|| partition.clone(), |change| partition.changed(change));
        let lost = change
            .as_ref()
            .is_some_and(|change| change.leader != partition.leader.0 && change.leader != NO_LEADER_CHANGE);
        let answer = if lost { Err(ErrorCode::NewLeaderElected) } else { Ok(answer(asked.partition_index, &now)) };
        (answer, change.map(MetadataRecord::from))
    }
}

fn answer(index: i32, now: &PartitionRegistration) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code: ErrorCode::None.code(),
        leader_id: now.leader.0,
        leader_epoch: now.leader_epoch.0,
        isr: ids(&now.isr),
        leader_recovery_state: now.leader_recovery_state.id(),
        partition_epoch: now.partition_epoch.0,
    }
}

/// Answers an error where there is one.
fn answering<'a>(
    mut one: impl FnMut(&'a Asked) -> Result<PartitionData, ErrorCode>,
) -> impl FnMut(&'a Asked) -> PartitionData {
    move |asked| {
        one(asked).unwrap_or_else(|error| PartitionData {
            partition_index: asked.partition_index,
            error_code: error.code(),
            ..PartitionData::default()
        })
    }
}

fn isr_of(asked: &Asked, request_version: i16) -> Isr {
    match request_version {
        ..3 => asked.new_isr.iter().map(|id| (NodeId(*id), BrokerEpoch(-1))).collect(),
        _ => asked.new_isr_with_epochs.iter().map(|s| (NodeId(s.broker_id), BrokerEpoch(s.broker_epoch))).collect(),
    }
}

fn check(
    image: &MetadataImage,
    leader: NodeId,
    partition: &PartitionRegistration,
    asked: &Asked,
    isr: &Isr,
) -> Result<(), ErrorCode> {
    let (epoch, version) = (LeaderEpoch(asked.leader_epoch), PartitionEpoch(asked.partition_epoch));
    // Who knows more than this controller has heard of a newer one.
    if epoch > partition.leader_epoch || version > partition.partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if epoch < partition.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if leader != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    if version < partition.partition_epoch {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let distinct: BTreeSet<NodeId> = isr.iter().map(|(id, _)| *id).collect();
    let subset = distinct.len() == isr.len() && distinct.iter().all(|id| partition.replicas.contains(id));
    if !subset || !distinct.contains(&leader) {
        return Err(ErrorCode::InvalidRequest);
    }
    let recovery = LeaderRecoveryState::from_id(asked.leader_recovery_state).ok_or(ErrorCode::InvalidRequest)?;
    let recovering = recovery == LeaderRecoveryState::Recovering;
    if recovering && (isr.len() > 1 || partition.leader_recovery_state == LeaderRecoveryState::Recovered) {
        return Err(ErrorCode::InvalidRequest);
    }
    let eligible = |(id, epoch): &(NodeId, BrokerEpoch)| {
        let broker = image.cluster().broker(*id).filter(|broker| broker.is_active());
        broker.is_some_and(|broker| epoch.0 == -1 || broker.epoch == *epoch)
    };
    if isr.iter().all(eligible) { Ok(()) } else { Err(ErrorCode::IneligibleReplica) }
}

#[cfg(test)]
mod tests;
