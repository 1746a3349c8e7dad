//! A consumer group's state: what its records in the log say.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;

use super::assignor::Assignment;
use super::member::{Member, Owned, copy};
use super::refresh::Refresh;
use crate::records::Record;

/// How many subscriptions bring in a topic. A topic is forgotten with the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscribers {
    /// Members that name it.
    pub(super) by_name: usize,
    /// Regular expressions that match it, however many members they have.
    pub(super) by_regex: usize,
}

/// The topics that a group subscribes to.
pub(super) type Subscriptions = BTreeMap<ByteString, Subscribers>;

/// The topics that a regular expression stood for when it was resolved last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Their names.
    pub(crate) topics: BTreeSet<ByteString>,
    /// The offset in the metadata log that it was resolved at.
    pub(crate) version: i64,
    /// When that was, as a date in milliseconds.
    pub(crate) timestamp: i64,
}

/// A consumer group (KIP-848).
///
/// It is changed by [`ConsumerGroup::replay`] alone; only `refresh` and `topics_appeared` are not in the log.
///
/// Invariants, as far as the log keeps them (bytes from a disk are not trusted to):
/// - What members have and are giving up is in `partition_epochs`, with the epoch of the member that has it.
/// - `static_members` leads from the instance id of every member that has one to the member.
/// - The counts say how many members name a topic, a regular expression, an assignor or a classic protocol.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroup {
    pub(super) id: ByteString,
    /// Goes up whenever the members are to have something else.
    pub(super) epoch: i32,
    /// A hash of the topics that the group subscribes to: their ids, sizes and racks.
    pub(super) metadata_hash: i64,
    pub(super) members: BTreeMap<ByteString, Arc<Member>>,
    pub(super) static_members: BTreeMap<ByteString, ByteString>,
    pub(super) topics: Subscriptions,
    pub(super) regexes: BTreeMap<ByteString, usize>,
    pub(super) resolved: BTreeMap<ByteString, Resolved>,
    pub(super) assignors: BTreeMap<ByteString, usize>,
    pub(super) classic_members: usize,
    pub(super) classic_protocols: BTreeMap<ByteString, usize>,
    pub(super) partition_epochs: BTreeMap<(Uuid, i32), i32>,
    /// The group epoch that `target` was computed for.
    pub(super) assignment_epoch: i32,
    /// When it was computed, as a date in milliseconds; 0 if nobody knows.
    pub(super) assignment_timestamp: i64,
    pub(super) target: BTreeMap<ByteString, Assignment>,
    /// Whether the log holds what Kafka before 4.1 wrote in place of the hash.
    pub(super) has_partition_metadata: bool,
    /// When the topics are to be looked at again although no subscription has changed; `None` at once.
    pub(super) refresh: Option<Refresh>,
    /// The offset in the metadata log by which topics had appeared that no regular expression may have been held against.
    pub(super) topics_appeared: i64,
}

impl ConsumerGroup {
    /// A group that nobody has joined yet.
    pub(crate) fn new(id: ByteString) -> Self {
        Self {
            id,
            epoch: 1,
            metadata_hash: 0,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            topics: Subscriptions::new(),
            regexes: BTreeMap::new(),
            resolved: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            classic_protocols: BTreeMap::new(),
            partition_epochs: BTreeMap::new(),
            assignment_epoch: 1,
            assignment_timestamp: 0,
            target: BTreeMap::new(),
            has_partition_metadata: false,
            refresh: None,
            topics_appeared: -1,
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The state as tools show it: `Empty`, `Assigning`, `Reconciling`, `Stable`.
    pub(crate) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_reconciled_to(self.assignment_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether some member reads `topic`.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// The member that has that instance id.
    pub(super) fn static_member(&self, instance_id: Option<&ByteString>) -> Option<&Arc<Member>> {
        self.members.get(self.static_members.get(instance_id?)?)
    }

    /// What a member is to have, or the one whose place it takes as a static member.
    pub(super) fn target_of(&self, member: &Member) -> Option<&Assignment> {
        let id = match &member.instance_id {
            Some(instance_id) => self.static_members.get(instance_id)?,
            None => &member.id,
        };
        self.target.get(id)
    }

    /// Whether somebody has that partition, or is still giving it up.
    pub(super) fn is_taken(&self, topic: Uuid, partition: i32) -> bool {
        self.partition_epochs.contains_key(&(topic, partition))
    }

    /// Applies one of its records. A group that has been deleted is for the caller to drop.
    pub(super) fn replay(&mut self, record: Record) {
        match record {
            Record::ConsumerGroupMetadata { value: Some(value), .. } => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            Record::ConsumerGroupPartitionMetadata { value, .. } => self.has_partition_metadata = value.is_some(),
            Record::ConsumerGroupMember { key, value: Some(value) } => {
                let mut member = self.member_or_new(&key.member_id);
                member.apply_metadata(&value, self.members.values().next().map(|member| &**member));
                self.put_member(member);
            }
            Record::ConsumerGroupMember { key, value: None } => self.remove_member(&key.member_id),
            Record::ConsumerGroupTargetAssignment { value, .. } => {
                let epochs = value.map_or((-1, 0), |value| (value.assignment_epoch, value.assignment_timestamp));
                (self.assignment_epoch, self.assignment_timestamp) = epochs;
            }
            Record::ConsumerGroupTargetAssignmentMember { key, value: Some(value) } => {
                let topics = value.topic_partitions.into_iter().filter(|topic| !topic.partitions.is_empty());
                let target = topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect();
                self.target.insert(copy(&key.member_id), target);
            }
            Record::ConsumerGroupTargetAssignmentMember { key, value: None } => {
                self.target.remove(&key.member_id);
            }
            Record::ConsumerGroupCurrentAssignment { key, value } => {
                if value.is_some() || self.members.contains_key(&key.member_id) {
                    let mut member = self.member_or_new(&key.member_id);
                    member.apply_assignment(value.as_ref());
                    self.put_member(member);
                }
            }
            Record::ConsumerGroupRegularExpression { key, value } => {
                let resolved = value.map(|value| Resolved {
                    topics: value.topics.iter().map(copy).collect(),
                    version: value.version,
                    timestamp: value.timestamp,
                });
                self.set_resolved(&key.regular_expression, resolved);
            }
            Record::ConsumerGroupMetadata { value: None, .. }
            | Record::OffsetCommit { .. }
            | Record::GroupMetadata { .. } => {}
            record => {
                let is_other = record.is_of_share_group() || record.is_of_streams_group();
                assert!(is_other, "every kind of record has its group");
            }
        }
    }

    fn member_or_new(&self, id: &ByteString) -> Member {
        self.members.get(id).map_or_else(|| Member::new(copy(id)), |member| (**member).clone())
    }

    /// Puts a member in the place of what it was, and keeps the counts.
    pub(super) fn put_member(&mut self, member: Member) {
        let before = self.members.get(&member.id).cloned();
        let subscribes_alike = before.as_ref().is_some_and(|before| member.subscribes_like(before));
        if let Some(before) = &before {
            self.release(before);
            if !subscribes_alike {
                self.uncount(before);
            }
        }
        for (topic, partition) in partitions(&member.assigned).chain(partitions(&member.revoking)) {
            self.partition_epochs.insert((topic, partition), member.epoch);
        }
        if !subscribes_alike {
            self.count(&member);
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.members.insert(member.id.clone(), Arc::new(member));
    }

    pub(super) fn remove_member(&mut self, id: &ByteString) {
        let Some(member) = self.members.remove(id) else { return };
        self.uncount(&member);
        self.release(&member);
        if let Some(instance_id) = &member.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
    }

    /// Frees the partitions of a member, those aside that somebody else has been given since.
    fn release(&mut self, member: &Member) {
        for at in partitions(&member.assigned).chain(partitions(&member.revoking)) {
            if self.partition_epochs.get(&at) == Some(&member.epoch) {
                self.partition_epochs.remove(&at);
            }
        }
    }

    fn count(&mut self, member: &Member) {
        for topic in member.topics.iter() {
            self.topics.entry(topic.clone()).or_default().by_name += 1;
        }
        let classic = member.classic.iter().flat_map(|classic| &classic.supported_protocols);
        classic.for_each(|protocol| more(&mut self.classic_protocols, &copy(&protocol.name)));
        member.regex().into_iter().for_each(|regex| more(&mut self.regexes, regex));
        member.assignor.iter().for_each(|assignor| more(&mut self.assignors, assignor));
        self.classic_members += usize::from(member.is_classic());
    }

    fn uncount(&mut self, member: &Member) {
        unsubscribe(&mut self.topics, member.topics.iter(), |counts| &mut counts.by_name);
        let classic = member.classic.iter().flat_map(|classic| &classic.supported_protocols);
        classic.for_each(|protocol| less(&mut self.classic_protocols, &protocol.name));
        member.regex().into_iter().for_each(|regex| less(&mut self.regexes, regex));
        member.assignor.iter().for_each(|assignor| less(&mut self.assignors, assignor));
        self.classic_members -= usize::from(member.is_classic());
    }

    fn set_resolved(&mut self, regex: &ByteString, resolved: Option<Resolved>) {
        if let Some(before) = self.resolved.remove(regex) {
            unsubscribe(&mut self.topics, before.topics.iter(), |counts| &mut counts.by_regex);
        }
        if let Some(resolved) = resolved {
            for topic in &resolved.topics {
                self.topics.entry(topic.clone()).or_default().by_regex += 1;
            }
            self.resolved.insert(copy(regex), resolved);
        }
    }

    /// The subscriptions without some of the members and regular expressions, or with a member as it is to be.
    pub(super) fn subscriptions_after(
        &self,
        without: &[&Member],
        without_regexes: &BTreeSet<ByteString>,
        with: Option<&Member>,
    ) -> Subscriptions {
        let mut topics = self.topics.clone();
        for member in without {
            unsubscribe(&mut topics, member.topics.iter(), |counts| &mut counts.by_name);
        }
        for resolved in without_regexes.iter().filter_map(|regex| self.resolved.get(regex)) {
            unsubscribe(&mut topics, resolved.topics.iter(), |counts| &mut counts.by_regex);
        }
        for topic in with.iter().flat_map(|member| member.topics.iter()) {
            topics.entry(topic.clone()).or_default().by_name += 1;
        }
        topics
    }

    /// How many members subscribe to a regular expression.
    pub(super) fn subscribers_of(&self, regex: &ByteString) -> usize {
        self.regexes.get(regex).copied().unwrap_or(0)
    }

    /// Whether a partition epoch of a tombstoned member or a group that was deleted remains: for tests.
    #[cfg(test)]
    pub(super) fn assert_consistent(&self) {
        let mut counted = Self::new(self.id.clone());
        for member in self.members.values() {
            counted.put_member((**member).clone());
        }
        for (regex, resolved) in &self.resolved {
            counted.set_resolved(regex, Some(resolved.clone()));
        }
        assert_eq!(counted.partition_epochs, self.partition_epochs);
        assert_eq!(counted.static_members, self.static_members);
        assert_eq!((&counted.topics, &counted.regexes), (&self.topics, &self.regexes));
        assert_eq!((&counted.assignors, counted.classic_members), (&self.assignors, self.classic_members));
        assert_eq!(counted.classic_protocols, self.classic_protocols);
        assert!(
            self.members.values().all(|member| member.epoch != super::member::LEAVE_EPOCH),
            "a member half removed"
        );
    }
}

/// The partitions that a member has.
pub(super) fn partitions(owned: &Owned) -> impl Iterator<Item = (Uuid, i32)> {
    owned.iter().flat_map(|(topic, partitions)| partitions.keys().map(|partition| (*topic, *partition)))
}

fn more(counts: &mut BTreeMap<ByteString, usize>, key: &ByteString) {
    *counts.entry(key.clone()).or_default() += 1;
}

fn less(counts: &mut BTreeMap<ByteString, usize>, key: &ByteString) {
    let count = counts.get_mut(key).map(|count| {
        *count -= 1;
        *count
    });
    if count == Some(0) {
        counts.remove(key);
    }
}

fn unsubscribe<'a>(
    topics: &mut Subscriptions,
    names: impl Iterator<Item = &'a ByteString>,
    count: fn(&mut Subscribers) -> &mut usize,
) {
    for name in names {
        if let Some(counts) = topics.get_mut(name) {
            *count(counts) -= 1;
            if *counts == Subscribers::default() {
                topics.remove(name);
            }
        }
    }
}
