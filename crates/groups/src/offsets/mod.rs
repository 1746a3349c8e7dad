//! Committed offsets by group, topic and partition, and those that transactions have not decided yet.

mod commit;
mod delete;
mod expiry;
mod fetch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytestring::ByteString;
use thalweg_base::{LeaderEpoch, Offset, ProducerId, Timestamp, Uuid};
use thalweg_coordinator::Origin;
use thalweg_wire::messages::{OffsetCommitKey, OffsetCommitValue};

use crate::group::owned;

pub(crate) use expiry::RetentionFrom;

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The offset that was committed; what it means is the client's affair.
    pub(crate) offset: Offset,
    /// The epoch of the last record that was read, if the client said so.
    pub(crate) leader_epoch: LeaderEpoch,
    /// Text that the client keeps with it.
    pub(crate) metadata: Box<str>,
    /// When it was committed.
    pub(crate) committed_at: Timestamp,
    /// When it expires, if a client of old set that; otherwise the broker's retention decides.
    pub(crate) expires_at: Option<Timestamp>,
    /// The topic's id, zero if it was not known.
    pub(crate) topic_id: Uuid,
    /// Where the record stands that says so: the newest one counts.
    written_at: Offset,
}

/// The offsets of a group. They are boxed, since a node of the map has room for eleven and many topics have one.
type ByTopic = BTreeMap<Arc<str>, BTreeMap<i32, Box<Committed>>>;

/// Producers with an undecided offset, by topic and partition.
type OpenByTopic = BTreeMap<Arc<str>, BTreeMap<i32, BTreeSet<ProducerId>>>;

/// See the module.
///
/// Invariants:
/// - No map inside is empty.
/// - `open` names exactly the producers, groups and partitions that are in `pending`.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<ByteString, ByTopic>,
    pending: BTreeMap<ProducerId, BTreeMap<ByteString, ByTopic>>,
    open: BTreeMap<ByteString, OpenByTopic>,
    /// Every topic's name once: thousands of groups read the same ones.
    names: BTreeSet<Arc<str>>,
}

impl Offsets {
    /// The offset of one partition.
    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(group)?.get(topic)?.get(&partition).map(|committed| &**committed)
    }

    /// How many offsets are committed.
    pub(crate) fn len(&self) -> usize {
        self.committed.values().flatten().map(|(_, partitions)| partitions.len()).sum()
    }

    /// The offsets of a group.
    fn of_group(&self, group: &str) -> Option<&ByTopic> {
        self.committed.get(group)
    }

    /// Whether a transaction has an undecided offset for the partition.
    pub(crate) fn is_open(&self, group: &str, topic: &str, partition: i32) -> bool {
        let topics = self.open.get(group);
        topics.and_then(|topics| topics.get(topic)).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// Whether a transaction has an undecided offset for any partition of the group.
    fn has_open(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// Applies a commit: at once, or once its transaction is decided.
    pub(crate) fn replay(&mut self, origin: Origin, key: &OffsetCommitKey, value: &OffsetCommitValue) {
        let committed = Committed {
            offset: Offset(value.offset),
            leader_epoch: LeaderEpoch(value.leader_epoch),
            metadata: Box::from(&*value.metadata),
            committed_at: Timestamp(value.commit_timestamp),
            expires_at: (value.expire_timestamp != -1).then_some(Timestamp(value.expire_timestamp)),
            topic_id: value.topic_id,
            written_at: origin.offset,
        };
        let Some((producer, _)) = origin.producer else {
            put(&mut self.committed, &mut self.names, &key.group, &key.topic, key.partition, committed);
            return;
        };
        let pending = self.pending.entry(producer).or_default();
        put(pending, &mut self.names, &key.group, &key.topic, key.partition, committed);
        let topic = name(&mut self.names, &key.topic);
        let open = self.open.entry(owned(&key.group)).or_default().entry(topic).or_default();
        open.entry(key.partition).or_default().insert(producer);
    }

    /// Forgets the offset of a partition, also what transactions have not decided yet.
    pub(crate) fn replay_tombstone(&mut self, key: &OffsetCommitKey) {
        remove(&mut self.committed, &key.group, &key.topic, key.partition);
        for producer in self.close(&key.group, &key.topic, key.partition) {
            if let Some(pending) = self.pending.get_mut(&producer) {
                remove(pending, &key.group, &key.topic, key.partition);
                if pending.is_empty() {
                    self.pending.remove(&producer);
                }
            }
        }
        self.forget_name(&key.topic);
    }

    /// Applies what the transaction of `producer` holds, or forgets it.
    pub(crate) fn replay_end_of_transaction(&mut self, producer: ProducerId, committed: bool) {
        for (group, topics) in self.pending.remove(&producer).unwrap_or_default() {
            for (topic, partitions) in topics {
                for (partition, pending) in partitions {
                    self.close_for(&group, &topic, partition, producer);
                    // The newest record counts: one that was written in between, without the transaction, stays.
                    let before = self.get(&group, &topic, partition);
                    if committed && before.is_none_or(|before| before.written_at < pending.written_at) {
                        put(&mut self.committed, &mut self.names, &group, &topic, partition, *pending);
                    }
                }
                self.forget_name(&topic);
            }
        }
    }

    /// Takes away the producers with an undecided offset for a partition.
    fn close(&mut self, group: &str, topic: &str, partition: i32) -> BTreeSet<ProducerId> {
        let Some(topics) = self.open.get_mut(group) else { return BTreeSet::new() };
        let Some(partitions) = topics.get_mut(topic) else { return BTreeSet::new() };
        let producers = partitions.remove(&partition).unwrap_or_default();
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.open.remove(group);
        }
        producers
    }

    /// Takes away one producer with an undecided offset for a partition.
    fn close_for(&mut self, group: &str, topic: &str, partition: i32, producer: ProducerId) {
        let topics = self.open.get_mut(group);
        let producers = topics.and_then(|topics| topics.get_mut(topic)).and_then(|open| open.get_mut(&partition));
        let Some(producers) = producers else { return };
        producers.remove(&producer);
        if producers.is_empty() {
            self.close(group, topic, partition);
        }
    }

    /// Drops a topic's name when nothing is left that has it.
    fn forget_name(&mut self, topic: &str) {
        if self.names.get(topic).is_some_and(|name| Arc::strong_count(name) == 1) {
            self.names.remove(topic);
        }
    }
}

/// The one copy of a topic's name.
fn name(names: &mut BTreeSet<Arc<str>>, topic: &str) -> Arc<str> {
    if let Some(name) = names.get(topic) {
        return name.clone();
    }
    let name: Arc<str> = topic.into();
    names.insert(name.clone());
    name
}

fn put(
    groups: &mut BTreeMap<ByteString, ByTopic>,
    names: &mut BTreeSet<Arc<str>>,
    group: &str,
    topic: &str,
    partition: i32,
    committed: Committed,
) {
    // Looked up before they are made: nearly always they are there.
    if !groups.contains_key(group) {
        groups.insert(owned(group), ByTopic::new());
    }
    let Some(topics) = groups.get_mut(group) else { return };
    if !topics.contains_key(topic) {
        topics.insert(name(names, topic), BTreeMap::new());
    }
    let Some(partitions) = topics.get_mut(topic) else { return };
    partitions.insert(partition, Box::new(committed));
}

fn remove(groups: &mut BTreeMap<ByteString, ByTopic>, group: &str, topic: &str, partition: i32) {
    let Some(topics) = groups.get_mut(group) else { return };
    let Some(partitions) = topics.get_mut(topic) else { return };
    partitions.remove(&partition);
    if partitions.is_empty() {
        topics.remove(topic);
    }
    if topics.is_empty() {
        groups.remove(group);
    }
}

#[cfg(test)]
mod tests;
