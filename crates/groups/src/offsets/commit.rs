//! OffsetCommit and TxnOffsetCommit.

use bytestring::ByteString;
use thalweg_base::{ProducerEpoch, ProducerId, Uuid};
use thalweg_coordinator::{At, Ticket};
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use thalweg_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

use crate::consumer::CommitCheck;
use crate::group::Group;
use crate::outbox::After;
use crate::records::Record;
use crate::request::{Answer, Caller, Request};
use crate::shard::Shard;

/// From this version of OffsetCommit on, clients know that a group may not exist (KIP-848).
const KNOWS_MISSING_GROUPS: i16 = 9;

/// One partition's offset to commit.
struct Commit<'a> {
    topic: &'a ByteString,
    topic_id: Uuid,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a ByteString>,
}

impl Shard {
    /// OffsetCommit.
    pub(crate) fn commit_offsets(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &m::OffsetCommitRequest,
    ) {
        let check = CommitCheck {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            epoch: request.generation_id_or_member_epoch,
            transactional: false,
            version: caller.version,
        };
        match self.planned_commits(at, &check, request) {
            Ok((records, response)) => {
                self.keep_session(at, &request.group_id, &request.member_id);
                self.outbox.write(&records, After::Answer(ticket, Answer::OffsetCommit(response)));
            }
            Err(error) => self.outbox.answer(ticket, Request::OffsetCommit(request.clone()).refuse(error)),
        }
    }

    /// TxnOffsetCommit: the offsets count once the transaction's marker says so.
    pub(crate) fn commit_transactional_offsets(
        &mut self,
        at: At<'_>,
        ticket: Ticket,
        caller: &Caller,
        request: &m::TxnOffsetCommitRequest,
    ) {
        let check = CommitCheck {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            epoch: request.generation_id,
            transactional: true,
            version: caller.version,
        };
        match self.planned_transactional_commits(at, &check, request) {
            Ok((records, response)) => {
                let producer = (ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch));
                let after = After::Answer(ticket, Answer::TxnOffsetCommit(response));
                self.outbox.write_for(Some(producer), &records, after);
            }
            Err(error) => {
                // No version of this request says that a member's epoch is stale.
                let error = if error == ErrorCode::StaleMemberEpoch { ErrorCode::IllegalGeneration } else { error };
                self.outbox.answer(ticket, Request::TxnOffsetCommit(request.clone()).refuse(error));
            }
        }
    }

    fn planned_commits(
        &self,
        at: At<'_>,
        check: &CommitCheck<'_>,
        request: &m::OffsetCommitRequest,
    ) -> Result<(Vec<Record>, m::OffsetCommitResponse), ErrorCode> {
        self.validate_commit(&request.group_id, check)?;
        let now = at.now.timestamp.0;
        let expires = if request.retention_time_ms == -1 { -1 } else { now.saturating_add(request.retention_time_ms) };
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let commit = Commit {
                    topic: &topic.name,
                    topic_id: topic.topic_id,
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.as_ref(),
                };
                let error_code = self.plan(&request.group_id, check, &commit, (now, expires), &mut records)?;
                let partition_index = partition.partition_index;
                partitions.push(OffsetCommitResponsePartition { partition_index, error_code });
            }
            let (name, topic_id) = (topic.name.clone(), topic.topic_id);
            topics.push(OffsetCommitResponseTopic { name, topic_id, partitions });
        }
        Ok((records, m::OffsetCommitResponse { topics, ..Default::default() }))
    }

    fn planned_transactional_commits(
        &self,
        at: At<'_>,
        check: &CommitCheck<'_>,
        request: &m::TxnOffsetCommitRequest,
    ) -> Result<(Vec<Record>, m::TxnOffsetCommitResponse), ErrorCode> {
        self.validate_commit(&request.group_id, check)?;
        let now = at.now.timestamp.0;
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let commit = Commit {
                    topic: &topic.name,
                    topic_id: Uuid::default(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.as_ref(),
                };
                let error_code = self.plan(&request.group_id, check, &commit, (now, -1), &mut records)?;
                let partition_index = partition.partition_index;
                partitions.push(TxnOffsetCommitResponsePartition { partition_index, error_code });
            }
            topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions });
        }
        Ok((records, m::TxnOffsetCommitResponse { topics, ..Default::default() }))
    }

    /// Adds the record of one partition's offset and gives the partition's error code.
    fn plan(
        &self,
        group_id: &ByteString,
        check: &CommitCheck<'_>,
        commit: &Commit<'_>,
        (now, expires): (i64, i64),
        records: &mut Vec<Record>,
    ) -> Result<i16, ErrorCode> {
        // Kafka counts as Java does: in UTF-16.
        if commit.metadata.is_some_and(|text| text.encode_utf16().count() > self.settings.offset_metadata_max) {
            return Ok(ErrorCode::OffsetMetadataTooLarge.code());
        }
        match self.groups.get(group_id) {
            Some(Group::Consumer(group)) => {
                group.validate_commit_partition(check, commit.topic_id, commit.topic, commit.partition)?;
            }
            Some(Group::Streams(group)) => group.validate_commit_partition(check, commit.topic, commit.partition)?,
            _ => {}
        }
        let (group, topic, partition) = (group_id.clone(), commit.topic.clone(), commit.partition);
        let key = m::OffsetCommitKey { group, topic, partition };
        let value = m::OffsetCommitValue {
            offset: commit.offset,
            leader_epoch: commit.leader_epoch,
            metadata: commit.metadata.cloned().unwrap_or_default(),
            commit_timestamp: now,
            expire_timestamp: expires,
            topic_id: commit.topic_id,
        };
        records.push((key, value).into());
        Ok(ErrorCode::None.code())
    }

    fn validate_commit(&self, group_id: &str, check: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        match self.groups.get(group_id) {
            Some(Group::Classic(group)) => group.validate_offset_commit(check),
            Some(Group::Consumer(group)) => group.validate_offset_commit(check),
            Some(Group::Share(_)) => Err(ErrorCode::GroupIdNotFound),
            Some(Group::Streams(group)) => group.validate_offset_commit(check),
            // The admin client, or a consumer that does without membership.
            None if check.epoch < 0 => Ok(()),
            None if !check.transactional && check.version >= KNOWS_MISSING_GROUPS => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }
}
