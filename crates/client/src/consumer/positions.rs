//! Finding out where partitions are read from, and who leads them.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use thalweg_base::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use thalweg_sys::task::{JoinHandle, spawn};
use thalweg_sys::time::{now, wall_clock_ms};
use thalweg_wire::ErrorCode;

use super::Consumer;
use super::config::OffsetReset;
use super::group::Shared;
use super::partitions::Start;
use super::validation::{Validation, validate};
use crate::{Client, Error, Isolation, ListedOffset, OffsetSpec};

/// Something that is found out in the background.
#[derive(Debug)]
pub(super) struct Chore {
    task: JoinHandle<ChoreDone>,
}

/// What was found out.
#[derive(Debug)]
pub(super) enum ChoreDone {
    /// The offsets that partitions begin at, with the seeks that they were looked up for.
    Offsets(Result<Vec<Found>, Error>),
    /// The committed offsets that partitions begin at, with the seeks that they were looked up for.
    Committed(Result<Vec<Committed>, Error>),
    /// What leaders say about positions that an earlier leader had given.
    Validated(Vec<Validation>),
    /// The metadata is fresh.
    Metadata(Result<(), Error>),
    /// The runtime goes down.
    Nothing,
}

/// An offset that is looked up.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    partition: TopicPartition,
    spec: OffsetSpec,
    seeks: u64,
}

/// A committed offset with its epoch, where there is one, and the seek that it was looked up for.
type Committed = (TopicPartition, u64, Option<(Offset, LeaderEpoch)>);

/// An offset that was looked up, or why it was not found.
type Found = (Wanted, Result<ListedOffset, ErrorCode>);

impl Chore {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ChoreDone> {
        Pin::new(&mut self.task).poll(cx).map(|done| done.unwrap_or(ChoreDone::Nothing))
    }
}

impl Drop for Chore {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Consumer {
    /// Begins to find out what is missing, unless that is being done.
    pub(super) fn begin_chore(&mut self) {
        if self.chore.is_some() || self.chore_not_before.is_some_and(|at| now() < at) {
            return;
        }
        self.chore_not_before = None;
        let uncommitted = self.uncommitted();
        if !uncommitted.is_empty()
            && let Ok(group) = self.group()
        {
            self.chore = Some(Chore { task: spawn(look_up_committed(group, uncommitted)) });
            return;
        }
        let wanted = self.wanted_offsets();
        let client = self.client.clone();
        if !wanted.is_empty() {
            let task = spawn(look_up(client, wanted, self.config.isolation));
            self.chore = Some(Chore { task });
            return;
        }
        let topics = self.topics_without_leader();
        if !topics.is_empty() {
            let task = spawn(async move {
                client.mark_outdated();
                let topics: Vec<Arc<str>> = topics.into_iter().collect();
                ChoreDone::Metadata(client.topics(&topics, client.api_deadline()).await.map(drop))
            });
            self.chore = Some(Chore { task });
            return;
        }
        let unvalidated = self.unvalidated();
        if !unvalidated.is_empty() {
            let task = spawn(async move { ChoreDone::Validated(validate(client, unvalidated).await) });
            self.chore = Some(Chore { task });
        }
    }

    /// The partitions whose beginning has to be looked up.
    fn wanted_offsets(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (partition, assigned) in &self.partitions.assigned {
            let spec = match assigned.start {
                Some(Start::Beginning) => Some(OffsetSpec::Earliest),
                Some(Start::End) => Some(OffsetSpec::Latest),
                Some(Start::Time(timestamp)) => Some(OffsetSpec::At(timestamp)),
                Some(Start::Committed) if self.config.group.is_some() => None,
                Some(Start::Committed | Start::Reset) => self.reset_spec(),
                Some(Start::At(_)) | None => None,
            };
            wanted.extend(spec.map(|spec| Wanted { partition: partition.clone(), spec, seeks: assigned.seeks }));
        }
        wanted
    }

    /// What `auto.offset.reset` stands for now.
    fn reset_spec(&self) -> Option<OffsetSpec> {
        match self.config.offset_reset {
            OffsetReset::Earliest => Some(OffsetSpec::Earliest),
            OffsetReset::Latest => Some(OffsetSpec::Latest),
            OffsetReset::ByDuration(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                Some(OffsetSpec::At(Timestamp(wall_clock_ms().saturating_sub(age).max(0))))
            }
            OffsetReset::None => None,
        }
    }

    fn topics_without_leader(&self) -> BTreeSet<Arc<str>> {
        let cluster = self.client.cluster();
        let has_leader = |partition: &TopicPartition| {
            let known = cluster.partition(&partition.topic, partition.partition);
            known.and_then(|known| known.leader).is_some_and(|leader| cluster.nodes.contains_key(&leader))
        };
        let at = now();
        let is_due = |assigned: &super::Assigned| assigned.not_before.is_none_or(|not_before| not_before <= at);
        let all = self.partitions.assigned.iter();
        let outdated = self.client.is_outdated();
        all.filter(|(partition, assigned)| is_due(assigned) && (outdated || !has_leader(partition)))
            .map(|(partition, _)| Arc::clone(&partition.topic))
            .collect()
    }

    /// A partition's position is out of range: it goes on as `auto.offset.reset` says.
    pub(super) fn reset(&mut self, partition: &TopicPartition) -> Result<(), Error> {
        let has_policy = self.config.offset_reset != OffsetReset::None;
        let Some(assigned) = self.partitions.assigned.get_mut(partition) else { return Ok(()) };
        if !has_policy {
            return Err(Error::Partition { partition: partition.clone(), code: ErrorCode::OffsetOutOfRange });
        }
        assigned.seek(Start::Reset);
        Ok(())
    }

    /// Takes over what was found out.
    pub(super) fn chore_done(&mut self, done: ChoreDone) -> Result<(), Error> {
        let retry_at = now() + self.config.client.retry.initial;
        match done {
            ChoreDone::Nothing | ChoreDone::Metadata(Ok(())) => {
                // A leader that is still missing is asked for again in a moment.
                if !self.topics_without_leader().is_empty() {
                    self.chore_not_before = Some(retry_at);
                }
                Ok(())
            }
            ChoreDone::Validated(answers) => self.validated(answers),
            ChoreDone::Metadata(Err(error)) | ChoreDone::Offsets(Err(error)) | ChoreDone::Committed(Err(error)) => {
                self.chore_not_before = Some(retry_at);
                if error.is_retriable() { Ok(()) } else { Err(error) }
            }
            ChoreDone::Offsets(Ok(found)) => self.offsets_found(found),
            ChoreDone::Committed(Ok(found)) => self.committed_found(found),
        }
    }

    fn committed_found(&mut self, found: Vec<Committed>) -> Result<(), Error> {
        let retry_at = now() + self.config.client.retry.initial;
        let has_policy = self.config.offset_reset != OffsetReset::None;
        let mut missing = None;
        for (partition, seeks, offset) in found {
            let Some(assigned) = self.partitions.assigned.get_mut(&partition) else { continue };
            if assigned.seeks != seeks {
                continue;
            }
            match offset {
                Some((offset, epoch)) => assigned.seek_behind(offset, epoch),
                None if has_policy => assigned.seek(Start::Reset),
                None => {
                    self.chore_not_before = Some(retry_at);
                    missing = Some(Error::NoOffset { partition });
                }
            }
        }
        missing.map_or(Ok(()), Err)
    }

    fn offsets_found(&mut self, found: Vec<Found>) -> Result<(), Error> {
        let retry_at = now() + self.config.client.retry.initial;
        let mut refused = None;
        for (wanted, listed) in found {
            let Some(assigned) = self.partitions.assigned.get_mut(&wanted.partition) else { continue };
            if assigned.seeks != wanted.seeks {
                continue;
            }
            match listed {
                Ok(ListedOffset { offset: Some(offset), .. }) => assigned.seek(Start::At(offset)),
                Ok(ListedOffset { offset: None, .. }) => assigned.seek(Start::End),
                Err(code) if code.is_retriable() => self.chore_not_before = Some(retry_at),
                Err(code) => {
                    self.chore_not_before = Some(retry_at);
                    refused = Some(Error::Partition { partition: wanted.partition, code });
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

async fn look_up_committed(group: Arc<Shared>, wanted: Vec<(TopicPartition, u64)>) -> ChoreDone {
    let partitions: Vec<TopicPartition> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
    let found = group.committed(&partitions, group.client.api_deadline()).await;
    ChoreDone::Committed(found.map(|found| {
        let with_offset = |(partition, seeks): (TopicPartition, u64)| {
            let offset = found.get(&partition).copied();
            (partition, seeks, offset)
        };
        wanted.into_iter().map(with_offset).collect()
    }))
}

async fn look_up(client: Client, wanted: Vec<Wanted>, isolation: Isolation) -> ChoreDone {
    let specs: Vec<(TopicPartition, OffsetSpec)> =
        wanted.iter().map(|wanted| (wanted.partition.clone(), wanted.spec)).collect();
    let listed = client.list_offsets(&specs, isolation, client.api_deadline()).await;
    ChoreDone::Offsets(listed.map(|listed| wanted.into_iter().zip(listed).collect()))
}
