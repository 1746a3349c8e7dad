//! OffsetDelete, and what goes away with a topic or a group.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_coordinator::Ticket;
use thalweg_metadata::image::TopicImage;
use thalweg_wire::ErrorCode;
use thalweg_wire::messages as m;
use thalweg_wire::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};

use super::Offsets;
use crate::census::offsets_taken_back;
use crate::group::Group;
use crate::outbox::After;
use crate::records::Record;
use crate::request::{Answer, Request};
use crate::shard::Shard;

impl Shard {
    /// OffsetDelete: offsets of topics that no member reads.
    pub(crate) fn delete_offsets(&mut self, ticket: Ticket, request: &m::OffsetDeleteRequest) {
        match self.planned_deletions(request) {
            Ok((records, response)) => {
                self.outbox.tally.offset_deletions += offsets_taken_back(&records);
                self.outbox.write_all(&records, After::Answer(ticket, Answer::OffsetDelete(response)));
            }
            Err(error) => self.outbox.answer(ticket, Request::OffsetDelete(request.clone()).refuse(error)),
        }
    }

    fn planned_deletions(
        &self,
        request: &m::OffsetDeleteRequest,
    ) -> Result<(Vec<Record>, m::OffsetDeleteResponse), ErrorCode> {
        let group = self.groups.get(&request.group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        match group {
            Group::Classic(group) => group.validate_offset_delete()?,
            Group::Consumer(_) | Group::Streams(_) => {}
            Group::Share(_) => return Err(ErrorCode::GroupIdNotFound),
        }
        let mut records = BTreeSet::new();
        let mut response = m::OffsetDeleteResponse::default();
        for topic in &request.topics {
            let subscribed = group.is_subscribed_to(&topic.name);
            let error = if subscribed { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let partition_index = partition.partition_index;
                partitions.push(OffsetDeleteResponsePartition { partition_index, error_code: error.code() });
                if !subscribed && self.offsets.knows(&request.group_id, &topic.name, partition_index) {
                    records.insert((&topic.name, partition_index));
                }
            }
            response.topics.push(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions });
        }
        let records = records.iter().map(|(topic, partition)| tombstone(&request.group_id, topic, *partition));
        Ok((records.collect(), response))
    }

    /// Offsets go with their topic.
    pub(crate) fn delete_offsets_of(&mut self, topics: &[Arc<TopicImage>]) {
        let mut records = Vec::new();
        for topic in topics {
            self.offsets.tombstones_of_topic(topic, &mut records);
        }
        self.outbox.tally.offset_deletions += offsets_taken_back(&records);
        self.outbox.write_all(&records, After::Nothing);
    }
}

impl Offsets {
    /// Whether there is anything about the partition, decided or not.
    fn knows(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.get(group, topic, partition).is_some() || self.is_open(group, topic, partition)
    }

    /// The tombstones of everything that there is about a group.
    pub(crate) fn tombstones_of_group(&self, group: &ByteString, records: &mut Vec<Record>) {
        for (topic, partitions) in self.committed.get(group).into_iter().flatten() {
            records.extend(partitions.keys().map(|&partition| tombstone(group, topic, partition)));
        }
        for (topic, partitions) in self.open.get(group).into_iter().flatten() {
            let undecided = partitions.keys().filter(|&&partition| self.get(group, topic, partition).is_none());
            records.extend(undecided.map(|&partition| tombstone(group, topic, partition)));
        }
    }

    /// The tombstones of the offsets of a topic, in all groups. An offset that names another topic of the same name
    /// stays.
    fn tombstones_of_topic(&self, topic: &TopicImage, records: &mut Vec<Record>) {
        let undecided = self.pending.values();
        let mut found = BTreeSet::new();
        for groups in undecided.chain([&self.committed]) {
            for (group, topics) in groups {
                for (&partition, committed) in topics.get(&topic.name).into_iter().flatten() {
                    if committed.topic_id.is_zero() || committed.topic_id == topic.id {
                        found.insert((group, partition));
                    }
                }
            }
        }
        records.extend(found.into_iter().map(|(group, partition)| tombstone(group, &topic.name, partition)));
    }
}

/// The record that takes back an offset.
pub(super) fn tombstone(group: &ByteString, topic: &str, partition: i32) -> Record {
    m::OffsetCommitKey { group: group.clone(), topic: ByteString::from(topic), partition }.into()
}
