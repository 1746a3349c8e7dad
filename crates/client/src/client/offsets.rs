//! Looking up offsets by time.

use std::collections::BTreeMap;

use thalweg_base::{LeaderEpoch, NodeId, Offset, Timestamp, TopicPartition};
use thalweg_sys::time::Instant;
use thalweg_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use thalweg_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};
use thalweg_wire::{ApiKey, ErrorCode};

use super::{Attempts, Client, Lane};
use crate::{Destination, Error, Isolation};

/// Which offset of a partition is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// That of the first record.
    Earliest,
    /// That behind the last record; with [`Isolation::ReadCommitted`], the last stable offset.
    Latest,
    /// That of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// That of the first record on the leader's own disk (KIP-405).
    EarliestLocal,
    /// That of the last record in tiered storage (KIP-1005).
    LatestTiered,
    /// That of the first record which is not in tiered storage yet (KIP-1023).
    EarliestPendingUpload,
    /// That of the first record which is not older than this.
    At(Timestamp),
}

impl OffsetSpec {
    /// What stands for it on the wire.
    #[must_use]
    pub fn code(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
            Self::At(timestamp) => timestamp.0,
        }
    }

    /// The first version of ListOffsets that knows it.
    fn since(self) -> i16 {
        match self {
            Self::Earliest | Self::Latest | Self::At(_) => 1,
            Self::MaxTimestamp => 7,
            Self::EarliestLocal => 8,
            Self::LatestTiered => 9,
            Self::EarliestPendingUpload => 11,
        }
    }
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; `None` if no record is like that.
    pub offset: Option<Offset>,
    /// The record's timestamp, where a record was looked for.
    pub timestamp: Timestamp,
    /// The epoch of the leader that appended the record.
    pub leader_epoch: LeaderEpoch,
}

/// What is known about one of the offsets that are looked for.
type Found = Result<ListedOffset, ErrorCode>;

impl Client {
    /// Looks up an offset for each partition, asking each leader once where all goes well. The results stand in the order
    /// of `wanted`, which names each partition once (brokers refuse a repeated one with `INVALID_REQUEST`); a partition that nothing could be found out about in time has an error code.
    ///
    /// # Errors
    /// When no node answers by `deadline`.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
        deadline: Instant,
    ) -> Result<Vec<Found>, Error> {
        let mut found: Vec<Found> = vec![Err(ErrorCode::UnknownTopicOrPartition); wanted.len()];
        let mut open: Vec<usize> = (0..wanted.len()).collect();
        let mut attempts = Attempts::new(self.config(), deadline);
        loop {
            let failure = self.list_offsets_once(wanted, isolation, &open, &mut found, attempts.deadline()).await.err();
            open.retain(|at| found[*at].as_ref().is_err_and(|code| is_worth_another(*code)));
            match failure {
                Some(error) if !error.is_retriable() => return Err(error),
                None if open.is_empty() => return Ok(found),
                failure => {
                    let failure = failure.map(|error| attempts.most_telling(error));
                    self.mark_outdated();
                    if !attempts.again().await {
                        return failure.map_or(Ok(found), Err);
                    }
                }
            }
        }
    }

    /// One attempt at the partitions that are still open.
    async fn list_offsets_once(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
        open: &[usize],
        found: &mut [Found],
        deadline: Instant,
    ) -> Result<(), Error> {
        let names: Vec<&str> = open.iter().map(|at| &*wanted[*at].0.topic).collect();
        let cluster = self.topics(&names, deadline).await?;
        let mut by_leader: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for at in open {
            let partition = &wanted[*at].0;
            let topic_error = cluster.topics.get(&partition.topic).map(|topic| topic.error);
            match cluster.partition(&partition.topic, partition.partition) {
                Some(known) => match known.leader {
                    Some(leader) => by_leader.entry(leader).or_default().push(*at),
                    None => found[*at] = Err(ErrorCode::LeaderNotAvailable),
                },
                None => {
                    let code = topic_error.filter(|code| code.is_error());
                    found[*at] = Err(code.unwrap_or(ErrorCode::UnknownTopicOrPartition));
                }
            }
        }
        let mut asked = Vec::new();
        for (leader, indexes) in by_leader {
            let connection = self.connection(&Destination::Node(leader), Lane::Requests, deadline).await?;
            let version = connection.version(ApiKey::ListOffsets)?;
            let (known, unknown): (Vec<usize>, Vec<usize>) =
                indexes.into_iter().partition(|at| wanted[*at].1.since() <= version);
            for at in unknown {
                found[at] = Err(ErrorCode::UnsupportedVersion);
            }
            if !known.is_empty() {
                let request = list_request(wanted, &known, isolation);
                asked.push((known, connection.start_at(&request, version, deadline).await?));
            }
        }
        for (indexes, in_flight) in asked {
            keep(&in_flight.response().await?, wanted, &indexes, found);
        }
        Ok(())
    }
}

fn is_worth_another(code: ErrorCode) -> bool {
    code.is_retriable()
}

fn list_request(
    wanted: &[(TopicPartition, OffsetSpec)],
    indexes: &[usize],
    isolation: Isolation,
) -> ListOffsetsRequest {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for at in indexes {
        let (partition, spec) = &wanted[*at];
        topics.entry(&partition.topic).or_default().push(ListOffsetsPartition {
            partition_index: partition.partition,
            timestamp: spec.code(),
            ..ListOffsetsPartition::default()
        });
    }
    let topic =
        |(name, partitions): (&str, Vec<ListOffsetsPartition>)| ListOffsetsTopic { name: name.into(), partitions };
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.code(),
        topics: topics.into_iter().map(topic).collect(),
        ..ListOffsetsRequest::default()
    }
}

fn keep(
    response: &ListOffsetsResponse,
    wanted: &[(TopicPartition, OffsetSpec)],
    indexes: &[usize],
    found: &mut [Found],
) {
    for topic in &response.topics {
        for answer in &topic.partitions {
            let is_this = |at: &&usize| {
                let partition = &wanted[**at].0;
                *partition.topic == *topic.name && partition.partition == answer.partition_index
            };
            let code = ErrorCode::from(answer.error_code);
            let listed = ListedOffset {
                offset: (answer.offset >= 0).then_some(Offset(answer.offset)),
                timestamp: Timestamp(answer.timestamp),
                leader_epoch: LeaderEpoch(answer.leader_epoch),
            };
            for at in indexes.iter().filter(is_this) {
                found[*at] = if code.is_error() { Err(code) } else { Ok(listed) };
            }
        }
    }
}
