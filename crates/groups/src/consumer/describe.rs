//! What tools and the offset requests ask about a consumer group.

use std::collections::BTreeMap;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_metadata::MetadataImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::consumer_group_describe_response as d;

use super::assignor::{Assignment, Assignor};
use super::group::ConsumerGroup;
use super::member::{Member, without_epochs};
use super::target::assignor_of;
use crate::records::Record;
use crate::walk;

/// An offset commit as a group looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitCheck<'a> {
    /// Who commits; empty if it is no member.
    pub(crate) member_id: &'a str,
    /// Its instance id, if it is a static member.
    pub(crate) instance_id: Option<&'a str>,
    /// The generation or member epoch; negative if it is no member.
    pub(crate) epoch: i32,
    /// Whether it is a TxnOffsetCommit.
    pub(crate) transactional: bool,
    /// The version of the request.
    pub(crate) version: i16,
}

/// What a member with an old epoch is told.
fn stale(member: &Member) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}

impl ConsumerGroup {
    /// Whether a member may commit offsets in its epoch, the generation for members of the classic protocol. In an
    /// earlier one it may do so for some partitions: see [`ConsumerGroup::validate_commit_partition`].
    ///
    /// # Errors
    /// If it is no member, or not in that epoch yet.
    pub(crate) fn validate_offset_commit(&self, commit: &CommitCheck<'_>) -> Result<(), ErrorCode> {
        let Some(member) = self.committer(commit)? else { return Ok(()) };
        if !commit.transactional && !member.is_classic() && commit.version < 9 {
            Err(ErrorCode::UnsupportedVersion)
        } else if commit.epoch > member.epoch {
            Err(stale(member))
        } else {
            Ok(())
        }
    }

    /// Whether a commit that was let in may be about a partition: one of a member that is in a later epoch by now may,
    /// if it has the partition since then. Otherwise the whole request is refused.
    ///
    /// # Errors
    /// If the member was given the partition later, or does not have it.
    pub(crate) fn validate_commit_partition(
        &self,
        commit: &CommitCheck<'_>,
        topic: Uuid,
        _name: &str,
        partition: i32,
    ) -> Result<(), ErrorCode> {
        match self.committer(commit)? {
            Some(member) if commit.epoch < member.epoch => match member.epoch_of(topic, partition) {
                Some(given) if given <= commit.epoch => Ok(()),
                _ => Err(stale(member)),
            },
            _ => Ok(()),
        }
    }

    /// The member that commits; `None` if it need not be one.
    fn committer(&self, commit: &CommitCheck<'_>) -> Result<Option<&Member>, ErrorCode> {
        let anonymous = commit.epoch == -1 && commit.member_id.is_empty() && commit.instance_id.is_none();
        if (commit.epoch < 0 && self.is_empty()) || (commit.transactional && anonymous) {
            return Ok(None);
        }
        self.members.get(commit.member_id).map(|member| Some(&**member)).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Whether a member may fetch offsets in `epoch`; without a member id and with a negative epoch everyone may.
    ///
    /// # Errors
    /// If it is no member, or in another epoch.
    pub(crate) fn validate_offset_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|id| self.members.get(id)).ok_or(ErrorCode::UnknownMemberId)?;
        if member.epoch == epoch { Ok(()) } else { Err(stale(member)) }
    }

    /// The tombstones of everything that the log holds about the group, its offsets aside.
    pub(crate) fn tombstones(&self, group_id: &ByteString) -> Vec<Record> {
        let group = || group_id.clone();
        let mut records: Vec<Record> = Vec::new();
        for id in self.members.keys() {
            let member_id = id.clone();
            records.push(m::ConsumerGroupCurrentMemberAssignmentKey { group_id: group(), member_id }.into());
        }
        for id in self.members.keys() {
            let member_id = id.clone();
            records.push(m::ConsumerGroupTargetAssignmentMemberKey { group_id: group(), member_id }.into());
        }
        records.push(m::ConsumerGroupTargetAssignmentMetadataKey { group_id: group() }.into());
        for id in self.members.keys() {
            records.push(m::ConsumerGroupMemberMetadataKey { group_id: group(), member_id: id.clone() }.into());
        }
        for regex in self.resolved.keys() {
            let regular_expression = regex.clone();
            records.push(m::ConsumerGroupRegularExpressionKey { group_id: group(), regular_expression }.into());
        }
        records.push(m::ConsumerGroupPartitionMetadataKey { group_id: group() }.into());
        records.push(m::ConsumerGroupMetadataKey { group_id: group() }.into());
        records
    }

    /// The group as ConsumerGroupDescribe shows it.
    pub(super) fn describe(&self, image: &MetadataImage, assignors: &[String]) -> d::DescribedGroup {
        let assignor = match assignor_of(&self.assignors, assignors) {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        };
        let mut members: Vec<d::Member> =
            self.members.values().map(|member| self.describe_member(member, image)).collect();
        walk::sort(&mut members, |member| &member.member_id);
        d::DescribedGroup {
            group_id: self.id.clone(),
            group_state: self.state_name().into(),
            group_epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            assignor_name: assignor.into(),
            members,
            ..Default::default()
        }
    }

    fn describe_member(&self, member: &Member, image: &MetadataImage) -> d::Member {
        let mut has = without_epochs(&member.assigned);
        for (topic, partitions) in without_epochs(&member.revoking) {
            has.entry(topic).or_default().extend(partitions);
        }
        let nothing = BTreeMap::new();
        d::Member {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            rack_id: member.rack_id.clone(),
            member_epoch: member.epoch,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            subscribed_topic_names: member.topics.iter().cloned().collect(),
            subscribed_topic_regex: member.regex.clone(),
            assignment: named(&has, image),
            target_assignment: named(self.target.get(&member.id).unwrap_or(&nothing), image),
            member_type: i8::from(!member.is_classic()),
        }
    }
}

/// Partitions with the names of their topics; topics that are gone are left out.
fn named(assignment: &Assignment, image: &MetadataImage) -> d::Assignment {
    let topics = assignment.iter().filter_map(|(id, partitions)| {
        let topic = image.topics().by_id(*id)?;
        let partitions = partitions.iter().copied().collect();
        Some(d::TopicPartitions { topic_id: *id, topic_name: ByteString::from(&*topic.name), partitions })
    });
    d::Assignment { topic_partitions: topics.collect() }
}
