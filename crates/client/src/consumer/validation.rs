//! Asking a new leader whether its log has what was read from an earlier one (KIP-320).
//!
//! After an unclean election the log of the new leader may be shorter, or have other records at the same offsets. A consumer
//! that read on at its offset would miss records without a word.

use std::collections::BTreeMap;

use thalweg_base::{LeaderEpoch, NodeId, Offset, TopicPartition};
use thalweg_sys::time::{Instant, now};
use thalweg_wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use thalweg_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use thalweg_wire::{ApiKey, ErrorCode};

use super::Consumer;
use super::config::OffsetReset;
use super::partitions::Start;
use crate::{Client, Destination, Error, Lane};

/// Earlier versions of OffsetForLeaderEpoch ask for rights that consumers do not have.
const USABLE_SINCE: i16 = 3;
/// What stands for a consumer in the place of a replica's id.
const CONSUMER: i32 = -1;

/// A position that the leader is asked about.
#[derive(Clone, Debug)]
pub(super) struct Unvalidated {
    partition: TopicPartition,
    leader: NodeId,
    /// The epoch of the leader, as this client knows it.
    leader_epoch: LeaderEpoch,
    /// Where the next fetch begins.
    offset: Offset,
    /// The epoch of the record before it.
    epoch: LeaderEpoch,
    seeks: u64,
}

/// Where an epoch ends in the log of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EpochEnd {
    /// The epoch itself, or the last one before it that the log has; below 0 if there is none.
    epoch: LeaderEpoch,
    /// The offset behind the last record of that epoch; below 0 if there is none.
    offset: Offset,
}

/// What a leader says about a position; `None` if it is too old to be asked.
pub(super) type Validation = (Unvalidated, Result<Option<EpochEnd>, Error>);

impl Consumer {
    /// The positions that have to be validated before more is fetched.
    pub(super) fn unvalidated(&self) -> Vec<Unvalidated> {
        let cluster = self.client.cluster();
        let at = now();
        let mut found = Vec::new();
        for (partition, assigned) in &self.partitions.assigned {
            let Some(known) = cluster.partition(&partition.topic, partition.partition) else { continue };
            let Some(leader) = known.leader.filter(|leader| cluster.nodes.contains_key(leader)) else { continue };
            let is_due = assigned.not_before.is_none_or(|not_before| not_before <= at);
            if is_due && !assigned.paused && assigned.is_unvalidated(known.leader_epoch) {
                found.push(Unvalidated {
                    partition: partition.clone(),
                    leader,
                    leader_epoch: known.leader_epoch,
                    offset: assigned.fetch_offset(),
                    epoch: assigned.fetch_epoch(),
                    seeks: assigned.seeks,
                });
            }
        }
        found
    }

    /// Takes over what leaders have said.
    pub(super) fn validated(&mut self, answers: Vec<Validation>) -> Result<(), Error> {
        let mut failure = None;
        for (asked, answer) in answers {
            let result = match answer {
                Ok(end) => self.position_answered(&asked, end),
                Err(error) => {
                    self.client.mark_outdated();
                    if let Some(assigned) = self.partitions.assigned.get_mut(&asked.partition) {
                        assigned.not_before = Some(now() + self.config.client.retry.initial);
                    }
                    if error.is_retriable() { Ok(()) } else { Err(error) }
                }
            };
            failure = failure.or(result.err());
        }
        failure.map_or(Ok(()), Err)
    }

    fn position_answered(&mut self, asked: &Unvalidated, end: Option<EpochEnd>) -> Result<(), Error> {
        let has_policy = self.config.offset_reset != OffsetReset::None;
        let retry_at = now() + self.config.client.retry.initial;
        let Some(assigned) = self.partitions.assigned.get_mut(&asked.partition) else { return Ok(()) };
        if (assigned.seeks, assigned.fetch_offset()) != (asked.seeks, asked.offset) {
            return Ok(());
        }
        let end = end.unwrap_or(EpochEnd { epoch: asked.epoch, offset: asked.offset });
        let is_known = end.epoch >= LeaderEpoch(0) && end.offset >= Offset::ZERO;
        if is_known && end.offset >= asked.offset {
            assigned.validated = asked.leader_epoch;
            return Ok(());
        }
        let position = assigned.position;
        if is_known && end.offset >= position {
            // The application has none of the records that are gone.
            let epoch = assigned.position_epoch;
            assigned.seek_behind(position, epoch);
            return Ok(());
        }
        tracing::warn!(partition = %asked.partition, %position, end = %end.offset, "the log of the leader was truncated");
        if !has_policy {
            assigned.not_before = Some(retry_at);
            let end = is_known.then_some(end.offset);
            return Err(Error::Truncated { partition: asked.partition.clone(), position, end });
        }
        if is_known {
            assigned.seek_behind(end.offset, end.epoch);
            assigned.validated = asked.leader_epoch;
        } else {
            assigned.seek(Start::Reset);
        }
        Ok(())
    }
}

/// Asks each leader about all of its positions.
pub(super) async fn validate(client: Client, unvalidated: Vec<Unvalidated>) -> Vec<Validation> {
    let deadline = now() + client.config().request_timeout;
    let mut by_leader: BTreeMap<NodeId, Vec<Unvalidated>> = BTreeMap::new();
    for position in unvalidated {
        by_leader.entry(position.leader).or_default().push(position);
    }
    let mut answers = Vec::new();
    for (leader, positions) in by_leader {
        let response = ask(&client, leader, &positions, deadline).await;
        for position in positions {
            let answer = match &response {
                Ok(Some(response)) => end_of(response, &position),
                Ok(None) => Ok(None),
                Err(error) => Err(error.clone()),
            };
            answers.push((position, answer));
        }
    }
    answers
}

async fn ask(
    client: &Client,
    leader: NodeId,
    positions: &[Unvalidated],
    deadline: Instant,
) -> Result<Option<OffsetForLeaderEpochResponse>, Error> {
    let connection = client.connection(&Destination::Node(leader), Lane::Requests, deadline).await?;
    let version = match connection.version(ApiKey::OffsetForLeaderEpoch) {
        Ok(version) if version >= USABLE_SINCE => version,
        Ok(_) | Err(Error::UnsupportedVersion { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut topics: BTreeMap<&str, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
    for position in positions {
        topics.entry(&position.partition.topic).or_default().push(OffsetForLeaderPartition {
            partition: position.partition.partition,
            current_leader_epoch: position.leader_epoch.0,
            leader_epoch: position.epoch.0,
        });
    }
    let topic = |(name, partitions): (&str, Vec<OffsetForLeaderPartition>)| OffsetForLeaderTopic {
        topic: name.into(),
        partitions,
    };
    let request = OffsetForLeaderEpochRequest { replica_id: CONSUMER, topics: topics.into_iter().map(topic).collect() };
    connection.send_at(&request, version, deadline).await.map(Some)
}

fn end_of(response: &OffsetForLeaderEpochResponse, asked: &Unvalidated) -> Result<Option<EpochEnd>, Error> {
    let topic = response.topics.iter().find(|topic| *topic.topic == *asked.partition.topic);
    let answer = topic.and_then(|topic| topic.partitions.iter().find(|one| one.partition == asked.partition.partition));
    let code = answer.map_or(ErrorCode::UnknownTopicOrPartition, |answer| ErrorCode::from(answer.error_code));
    match answer {
        Some(answer) if !code.is_error() => {
            Ok(Some(EpochEnd { epoch: LeaderEpoch(answer.leader_epoch), offset: Offset(answer.end_offset) }))
        }
        _ => Err(Error::Partition { partition: asked.partition.clone(), code }),
    }
}

#[cfg(test)]
mod tests;
