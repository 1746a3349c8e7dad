//! A member of a consumer group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::Uuid;
use thalweg_wire::messages as m;

use super::assignor::Assignment;
use crate::records::Record;

/// The member epoch with which a member leaves for good.
pub(crate) const LEAVE_EPOCH: i32 = -1;
/// The member epoch with which a static member leaves for a while.
pub(crate) const LEAVE_STATIC_EPOCH: i32 = -2;

/// Partitions that a member has, each with the epoch in which it was given to it. No topic is there without a partition.
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// How far a member is on its way to what it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what the target of its epoch gives it.
    Stable,
    /// It has been told to give up partitions, and has not said that it did.
    UnrevokedPartitions,
    /// It has all of its target that is free; the rest is still with others.
    UnreleasedPartitions,
    /// A state that this version does not know, from the log.
    Unknown,
}

impl MemberState {
    /// The number in the log.
    pub(crate) fn id(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    fn from_id(id: i8) -> Self {
        match id {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// A protocol that a member of the classic protocol can speak, with what it says in it.
pub(crate) type ClassicMetadata = m::consumer_group_member_metadata_value::ClassicMemberMetadata;

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: ByteString,
    pub(crate) epoch: i32,
    /// The epoch before this one: with it comes a member that has not heard the answer that gave it this one.
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) instance_id: Option<ByteString>,
    pub(crate) rack_id: Option<ByteString>,
    /// How long it may take to give up partitions, or to rejoin with the classic protocol; -1 before it has said.
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) client_id: ByteString,
    pub(crate) client_host: ByteString,
    pub(crate) topics: Arc<BTreeSet<ByteString>>,
    pub(crate) regex: Option<ByteString>,
    pub(crate) assignor: Option<ByteString>,
    pub(crate) assigned: Owned,
    /// What it has been told to give up.
    pub(crate) revoking: Owned,
    /// There if it speaks the classic protocol.
    pub(crate) classic: Option<Arc<ClassicMetadata>>,
}

impl Member {
    /// A member that nobody has heard of before.
    pub(crate) fn new(id: ByteString) -> Self {
        Self {
            id,
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            client_id: ByteString::new(),
            client_host: ByteString::new(),
            topics: Arc::default(),
            regex: Some(ByteString::new()),
            assignor: None,
            assigned: Owned::new(),
            revoking: Owned::new(),
            classic: None,
        }
    }

    /// Whether it speaks the classic protocol.
    pub(crate) fn is_classic(&self) -> bool {
        self.classic.is_some()
    }

    /// The regular expression that it subscribes to. Kafka knows an empty one too, which is none.
    pub(crate) fn regex(&self) -> Option<&ByteString> {
        self.regex.as_ref().filter(|regex| !regex.is_empty())
    }

    /// Whether it has all of the target of that epoch.
    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// Whether it counts for the same as `other`; seen at once when only what it has differs.
    pub(super) fn subscribes_like(&self, other: &Self) -> bool {
        let same_classic = match (&self.classic, &other.classic) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        Arc::ptr_eq(&self.topics, &other.topics)
            && same_classic
            && self.regex == other.regex
            && self.assignor == other.assignor
    }

    /// The epoch in which it was given a partition that it has or is giving up.
    pub(crate) fn epoch_of(&self, topic: Uuid, partition: i32) -> Option<i32> {
        let of = |owned: &Owned| owned.get(&topic).and_then(|partitions| partitions.get(&partition)).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }

    /// Goes on to `epoch` and remembers the one before.
    pub(crate) fn advance(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// The record of who it is and what it subscribes to.
    pub(crate) fn metadata_record(&self, group: &ByteString) -> Record {
        let key = m::ConsumerGroupMemberMetadataKey { group_id: group.clone(), member_id: self.id.clone() };
        let value = m::ConsumerGroupMemberMetadataValue {
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.topics.iter().cloned().collect(),
            subscribed_topic_regex: self.regex.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.assignor.clone(),
            classic_member_metadata: self.classic.as_deref().cloned(),
        };
        (key, value).into()
    }

    /// The record of what it has.
    pub(crate) fn assignment_record(&self, group: &ByteString) -> Record {
        let key = m::ConsumerGroupCurrentMemberAssignmentKey { group_id: group.clone(), member_id: self.id.clone() };
        let value = m::ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.id(),
            assigned_partitions: to_record(&self.assigned),
            partitions_pending_revocation: to_record(&self.revoking),
        };
        (key, value).into()
    }

    /// Takes over what a record says of who it is. Strings are copied, since those of the record keep a whole batch in
    /// memory; a set of topics that is like that of `twin` is shared with it.
    pub(crate) fn apply_metadata(&mut self, value: &m::ConsumerGroupMemberMetadataValue, twin: Option<&Self>) {
        let names = value.subscribed_topic_names.iter();
        let shared = [Some(&self.topics), twin.map(|twin| &twin.topics)].into_iter().flatten().find(|topics| {
            names.len() >= topics.len() && names.clone().collect::<BTreeSet<_>>().iter().copied().eq(topics.iter())
        });
        self.topics = match shared {
            Some(topics) => topics.clone(),
            None => Arc::new(names.map(copy).collect()),
        };
        self.instance_id = value.instance_id.as_ref().map(copy);
        self.rack_id = value.rack_id.as_ref().map(copy);
        self.client_id = copy(&value.client_id);
        self.client_host = copy(&value.client_host);
        self.regex = value.subscribed_topic_regex.as_ref().map(copy);
        self.rebalance_timeout_ms = value.rebalance_timeout_ms;
        self.assignor = value.server_assignor.as_ref().map(copy);
        self.classic = value.classic_member_metadata.clone().map(Arc::new);
    }

    /// Takes over what a record says of what it has; `None` is a tombstone.
    pub(crate) fn apply_assignment(&mut self, value: Option<&m::ConsumerGroupCurrentMemberAssignmentValue>) {
        let Some(value) = value else {
            (self.epoch, self.previous_epoch) = (LEAVE_EPOCH, LEAVE_EPOCH);
            self.assigned.clear();
            self.revoking.clear();
            return;
        };
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = MemberState::from_id(value.state);
        self.assigned = from_record(&value.assigned_partitions, value.member_epoch);
        self.revoking = from_record(&value.partitions_pending_revocation, value.member_epoch);
    }
}

/// A copy that stands alone, not a slice of a larger buffer.
pub(crate) fn copy(text: &ByteString) -> ByteString {
    ByteString::from(&**text)
}

type RecordedPartitions = m::consumer_group_current_member_assignment_value::TopicPartitions;

fn to_record(owned: &Owned) -> Vec<RecordedPartitions> {
    let topic = |(topic, partitions): (&Uuid, &BTreeMap<i32, i32>)| RecordedPartitions {
        topic_id: *topic,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    owned.iter().map(topic).collect()
}

/// Partitions without an epoch of their own, as Kafka wrote them before 4.3, count from the member's.
fn from_record(topics: &[RecordedPartitions], member_epoch: i32) -> Owned {
    let mut owned = Owned::new();
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let epochs = topic.assignment_epochs.as_ref().filter(|epochs| epochs.len() == topic.partitions.len());
        let epoch =
            |index: usize| epochs.and_then(|epochs| epochs.get(index)).copied().unwrap_or_else(|| member_epoch.max(0));
        let partitions = topic.partitions.iter().enumerate().map(|(index, partition)| (*partition, epoch(index)));
        owned.insert(topic.topic_id, partitions.collect());
    }
    owned
}

/// The same partitions without their epochs.
pub(crate) fn without_epochs(owned: &Owned) -> Assignment {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// The same partitions, all given in `epoch`.
pub(crate) fn with_epoch(assignment: &Assignment, epoch: i32) -> Owned {
    let of = |partitions: &BTreeSet<i32>| partitions.iter().map(|partition| (*partition, epoch)).collect();
    assignment.iter().map(|(topic, partitions)| (*topic, of(partitions))).collect()
}
