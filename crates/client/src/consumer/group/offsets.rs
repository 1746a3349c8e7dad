//! Committed offsets: writing and reading them.

use std::collections::BTreeMap;

use thalweg_base::{LeaderEpoch, Offset, TopicPartition, Uuid};
use thalweg_sys::time::Instant;
use thalweg_wire::messages as m;
use thalweg_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use thalweg_wire::{ApiKey, ErrorCode};

use super::Shared;
use crate::client::Attempts;
use crate::error::Api;
use crate::{Cluster, Error, Lane};

/// The last version of OffsetCommit and OffsetFetch that names topics by name.
const BY_NAME_MAX: i16 = 9;
/// From here on OffsetFetch names groups, and the topics below them.
const GROUPS_SINCE: i16 = 8;
/// From here on OffsetFetch can wait for transactions that are being ended (KIP-447).
const STABLE_SINCE: i16 = 7;

/// Offsets that are committed: of the next record to read.
pub(in crate::consumer) type Offsets = BTreeMap<TopicPartition, (Offset, LeaderEpoch)>;

impl Shared {
    /// Commits offsets as the member that this is.
    pub(in crate::consumer) async fn commit(&self, offsets: &Offsets, deadline: Instant) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let cluster = self.cluster_of(offsets.keys(), deadline).await?;
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (partition, (offset, epoch)) in offsets {
            topics.entry(&partition.topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: offset.0,
                committed_leader_epoch: epoch.0,
                committed_metadata: Some(bytestring::ByteString::new()),
            });
        }
        let topic = |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| OffsetCommitRequestTopic {
            name: name.into(),
            topic_id: id_of(&cluster, name),
            partitions,
        };
        let request = {
            let state = self.state.lock();
            m::OffsetCommitRequest {
                group_id: self.config.id.as_str().into(),
                generation_id_or_member_epoch: state.generation,
                member_id: if state.generation < 0 { "".into() } else { state.member.as_str().into() },
                group_instance_id: self.config.instance_id.as_deref().map(Into::into),
                topics: topics.into_iter().map(topic).collect(),
                ..m::OffsetCommitRequest::default()
            }
        };
        let limit = limit(request.topics.iter().map(|topic| topic.topic_id));
        let response = self.client.send_limited(&self.destination(), &request, limit, deadline).await?;
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let code = answers.map(|answer| ErrorCode::from(answer.error_code)).find(|code| code.is_error());
        let error = |code| Error::Coordinator { destination: self.destination(), api: Api(ApiKey::OffsetCommit), code };
        code.map_or(Ok(()), |code| Err(error(code)))
    }

    /// The committed offsets of partitions; those without one are missing.
    pub(in crate::consumer) async fn committed(
        &self,
        partitions: &[TopicPartition],
        deadline: Instant,
    ) -> Result<Offsets, Error> {
        let mut attempts = Attempts::new(self.client.config(), deadline);
        loop {
            match self.committed_once(partitions, attempts.deadline()).await {
                Err(error) if error.is_retriable() => {
                    self.client.forget(&self.destination());
                    let error = attempts.most_telling(error);
                    if !attempts.again().await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    async fn committed_once(&self, partitions: &[TopicPartition], deadline: Instant) -> Result<Offsets, Error> {
        let cluster = self.cluster_of(partitions.iter(), deadline).await?;
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            topics.entry(&partition.topic).or_default().push(partition.partition);
        }
        let limit = limit(topics.keys().map(|name| id_of(&cluster, name)));
        let connection = self.client.connection(&self.destination(), Lane::Requests, deadline).await?;
        let version = connection.version_up_to(ApiKey::OffsetFetch, limit)?;
        let request = self.fetch_request(&cluster, topics, version);
        let response = connection.send_at(&request, version, deadline).await?;
        let error = |code| Error::Coordinator { destination: self.destination(), api: Api(ApiKey::OffsetFetch), code };
        let check = |code: i16| {
            let code = ErrorCode::from(code);
            if code.is_error() { Err(error(code)) } else { Ok(()) }
        };
        check(response.error_code)?;
        let mut found = Offsets::new();
        let mut keep = |name: &str, index: i32, (offset, epoch): (i64, i32), code: i16| {
            check(code)?;
            if offset >= 0 {
                found.insert(TopicPartition::new(name, index), (Offset(offset), LeaderEpoch(epoch)));
            }
            Ok(())
        };
        for topic in &response.topics {
            for answer in &topic.partitions {
                let offset = (answer.committed_offset, answer.committed_leader_epoch);
                keep(&topic.name, answer.partition_index, offset, answer.error_code)?;
            }
        }
        for group in &response.groups {
            check(group.error_code)?;
            for topic in &group.topics {
                let known = cluster.topic_name(topic.topic_id).map_or(&*topic.name, |name| &**name);
                for answer in &topic.partitions {
                    let offset = (answer.committed_offset, answer.committed_leader_epoch);
                    keep(known, answer.partition_index, offset, answer.error_code)?;
                }
            }
        }
        Ok(found)
    }

    fn fetch_request(
        &self,
        cluster: &Cluster,
        topics: BTreeMap<&str, Vec<i32>>,
        version: i16,
    ) -> m::OffsetFetchRequest {
        use m::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics};
        let mut request = m::OffsetFetchRequest { require_stable: version >= STABLE_SINCE, ..Default::default() };
        if version < GROUPS_SINCE {
            let topic = |(name, partition_indexes): (&str, Vec<i32>)| OffsetFetchRequestTopic {
                name: name.into(),
                partition_indexes,
            };
            request.group_id = self.config.id.as_str().into();
            request.topics = Some(topics.into_iter().map(topic).collect());
            return request;
        }
        let topic = |(name, partition_indexes): (&str, Vec<i32>)| OffsetFetchRequestTopics {
            name: name.into(),
            topic_id: id_of(cluster, name),
            partition_indexes,
        };
        let mut group = OffsetFetchRequestGroup {
            group_id: self.config.id.as_str().into(),
            topics: Some(topics.into_iter().map(topic).collect()),
            ..OffsetFetchRequestGroup::default()
        };
        if self.config.protocol == crate::consumer::GroupProtocol::Consumer {
            let state = self.state.lock();
            group.member_id = Some(state.member.as_str().into());
            group.member_epoch = state.generation;
        }
        request.groups = vec![group];
        request
    }

    async fn cluster_of<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition>,
        deadline: Instant,
    ) -> Result<std::sync::Arc<Cluster>, Error> {
        let mut names: Vec<&str> = partitions.map(|partition| &*partition.topic).collect();
        names.dedup();
        self.client.topics(&names, deadline).await
    }
}

fn id_of(cluster: &Cluster, name: &str) -> Uuid {
    cluster.topics.get(name).map_or(Uuid::ZERO, |topic| topic.id)
}

/// A topic without a known id can only be named by its name.
fn limit(mut ids: impl Iterator<Item = Uuid>) -> i16 {
    if ids.any(|id| id.is_zero()) { BY_NAME_MAX } else { i16::MAX }
}
