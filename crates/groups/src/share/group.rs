//! A share group's state: what its records in the log say.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use thalweg_base::{Moment, Timestamp, Uuid};
use thalweg_wire::messages as m;
use thalweg_wire::messages::share_group_state_partition_metadata_value::{TopicInfo, TopicPartitionsInfo};

use crate::consumer::copy;
use crate::records::Record;

/// Partitions by topic. No topic is there without a partition.
pub type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareMember {
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) rack_id: Option<ByteString>,
    pub(super) client_id: ByteString,
    pub(super) client_host: ByteString,
    pub(super) topics: BTreeSet<ByteString>,
    pub(super) assigned: Partitions,
}

impl ShareMember {
    pub(super) fn new() -> Self {
        Self {
            epoch: 0,
            previous_epoch: 0,
            rack_id: None,
            client_id: ByteString::new(),
            client_host: ByteString::new(),
            topics: BTreeSet::new(),
            assigned: Partitions::new(),
        }
    }
}

/// Partitions of one topic on their way into the share coordinator, or there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Initialized {
    pub(super) name: ByteString,
    pub(super) partitions: BTreeSet<i32>,
    /// When that was written.
    pub(super) since: Timestamp,
}

/// Initialized partitions by topic.
pub(super) type Topics = BTreeMap<Uuid, Initialized>;

/// A share group (KIP-932).
///
/// It is changed by [`ShareGroup::replay`] alone; only `refresh` is not in the log.
#[derive(Clone, Debug)]
pub(crate) struct ShareGroup {
    pub(super) id: ByteString,
    /// Goes up whenever the members are to fetch from other partitions.
    pub(super) epoch: i32,
    /// A hash of the topics that the group subscribes to.
    pub(super) metadata_hash: i64,
    pub(super) members: BTreeMap<ByteString, ShareMember>,
    /// The group epoch that `target` was computed for.
    pub(super) assignment_epoch: i32,
    pub(super) assignment_timestamp: i64,
    pub(super) target: BTreeMap<ByteString, Partitions>,
    /// The share coordinator was asked to remember these, and has not confirmed it.
    pub(super) initializing: Topics,
    /// The share coordinator remembers these.
    pub(super) initialized: Topics,
    /// The share coordinator was asked to forget these.
    pub(super) deleting: BTreeMap<Uuid, ByteString>,
    /// Until when the topics need not be looked at, if the group is still in this epoch.
    pub(super) refresh: Option<(Moment, i32)>,
}

impl ShareGroup {
    /// A group that nobody has joined yet.
    pub(crate) fn new(id: ByteString) -> Self {
        Self {
            id,
            epoch: 1,
            metadata_hash: 0,
            members: BTreeMap::new(),
            assignment_epoch: 1,
            assignment_timestamp: 0,
            target: BTreeMap::new(),
            initializing: Topics::new(),
            initialized: Topics::new(),
            deleting: BTreeMap::new(),
            refresh: None,
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The state as tools show it.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { "Stable" }
    }

    /// Whether some member reads `topic`.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.topics.contains(topic))
    }

    /// The topics that members subscribe to, once one of them is replaced.
    pub(super) fn subscriptions(&self, without: &str, with: Option<&ShareMember>) -> BTreeSet<ByteString> {
        let others = self.members.iter().filter(|(id, _)| **id != *without).map(|(_, member)| member);
        others.chain(with).flat_map(|member| member.topics.iter().cloned()).collect()
    }

    /// The tombstones of everything that the log holds about the group.
    pub(crate) fn tombstones(&self, group_id: &ByteString) -> Vec<Record> {
        let group = || group_id.clone();
        let mut records: Vec<Record> = Vec::new();
        for member_id in self.members.keys().cloned() {
            records.push(m::ShareGroupCurrentMemberAssignmentKey { group_id: group(), member_id }.into());
        }
        for member_id in self.members.keys().cloned() {
            records.push(m::ShareGroupTargetAssignmentMemberKey { group_id: group(), member_id }.into());
        }
        records.push(m::ShareGroupTargetAssignmentMetadataKey { group_id: group() }.into());
        for member_id in self.members.keys().cloned() {
            records.push(m::ShareGroupMemberMetadataKey { group_id: group(), member_id }.into());
        }
        records.push(m::ShareGroupStatePartitionMetadataKey { group_id: group() }.into());
        records.push(m::ShareGroupMetadataKey { group_id: group() }.into());
        records
    }

    /// Applies one of its records. A group that has been deleted is for the caller to drop.
    pub(super) fn replay(&mut self, record: Record, now: Timestamp) {
        match record {
            Record::ShareGroupMetadata { value: Some(value), .. } => {
                (self.epoch, self.metadata_hash) = (value.epoch, value.metadata_hash);
            }
            Record::ShareGroupMember { key, value: Some(value) } => {
                let member = self.members.entry(copy(&key.member_id)).or_insert_with(ShareMember::new);
                member.rack_id = value.rack_id.as_ref().map(copy);
                (member.client_id, member.client_host) = (copy(&value.client_id), copy(&value.client_host));
                member.topics = value.subscribed_topic_names.iter().map(copy).collect();
            }
            Record::ShareGroupMember { key, value: None } => drop(self.members.remove(&key.member_id)),
            Record::ShareGroupTargetAssignment { value, .. } => {
                let epochs = value.map_or((-1, 0), |value| (value.assignment_epoch, value.assignment_timestamp));
                (self.assignment_epoch, self.assignment_timestamp) = epochs;
            }
            Record::ShareGroupTargetAssignmentMember { key, value: Some(value) } => {
                let topics = value.topic_partitions.into_iter().map(|topic| (topic.topic_id, topic.partitions));
                self.target.insert(copy(&key.member_id), partitions(topics));
            }
            Record::ShareGroupTargetAssignmentMember { key, value: None } => drop(self.target.remove(&key.member_id)),
            Record::ShareGroupCurrentAssignment { key, value } => self.replay_assignment(&key.member_id, value),
            Record::ShareGroupStatePartitions { value, .. } => {
                let value = value.unwrap_or_default();
                self.initializing = topics(&value.initializing_topics, now);
                self.initialized = topics(&value.initialized_topics, now);
                let deleting = value.deleting_topics.iter().map(|topic| (topic.topic_id, copy(&topic.topic_name)));
                self.deleting = deleting.collect();
            }
            _ => {}
        }
    }

    fn replay_assignment(&mut self, id: &ByteString, value: Option<m::ShareGroupCurrentMemberAssignmentValue>) {
        match value {
            Some(value) => {
                let member = self.members.entry(copy(id)).or_insert_with(ShareMember::new);
                (member.epoch, member.previous_epoch) = (value.member_epoch, value.previous_member_epoch);
                let topics = value.assigned_partitions.into_iter().map(|topic| (topic.topic_id, topic.partitions));
                member.assigned = partitions(topics);
            }
            None => {
                if let Some(member) = self.members.get_mut(id) {
                    (member.epoch, member.previous_epoch) = (-1, -1);
                    member.assigned.clear();
                }
            }
        }
    }

    /// The record of which partitions the share coordinator knows.
    pub(super) fn state_record(&self, initializing: &Topics, initialized: &Topics) -> Record {
        let info = |(topic, info): (&Uuid, &Initialized)| TopicPartitionsInfo {
            topic_id: *topic,
            topic_name: info.name.clone(),
            partitions: info.partitions.iter().copied().collect(),
        };
        // What is initialized anew is not to be forgotten any more.
        let deleting = self.deleting.iter().filter(|(topic, _)| !initializing.contains_key(topic));
        let value = m::ShareGroupStatePartitionMetadataValue {
            initializing_topics: initializing.iter().map(info).collect(),
            initialized_topics: initialized.iter().map(info).collect(),
            deleting_topics: deleting
                .map(|(topic_id, name)| TopicInfo { topic_id: *topic_id, topic_name: name.clone() })
                .collect(),
        };
        (m::ShareGroupStatePartitionMetadataKey { group_id: self.id.clone() }, value).into()
    }
}

fn partitions(topics: impl Iterator<Item = (Uuid, Vec<i32>)>) -> Partitions {
    let sets = topics.map(|(topic, partitions)| (topic, partitions.into_iter().collect::<BTreeSet<i32>>()));
    sets.filter(|(_, partitions)| !partitions.is_empty()).collect()
}

fn topics(infos: &[TopicPartitionsInfo], since: Timestamp) -> Topics {
    let topic = |info: &TopicPartitionsInfo| {
        let partitions = info.partitions.iter().copied().collect();
        (info.topic_id, Initialized { name: copy(&info.topic_name), partitions, since })
    };
    infos.iter().map(topic).collect()
}
