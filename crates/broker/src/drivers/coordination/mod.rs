//! What the coordinators of this node have in common, whatever they coordinate: one for each partition of an internal topic
//! that the node leads.

mod active;
mod coordinator;
mod load;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_base::{LeaderEpoch, Moment, NodeId, Uuid};
use thalweg_coordinator::{Machine, Now};
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_records::Codec;
use thalweg_replica::{Acks, TopicRef};
use thalweg_sys::time::{Duration, Instant};
use thalweg_wire::ErrorCode;

pub(crate) use active::Outcome;
pub(crate) use coordinator::{Asked, Coordinator, Seen};

use super::partitions::Partitions;
use crate::drivers::clock::timestamp;

/// What a kind of coordinator does: where its state is kept, and what its errands are.
pub(crate) trait Role: Debug + Sized + Send + Sync + 'static {
    /// One partition's state.
    type Shard: Machine<Answer: Debug + Send, Errand: Debug + Send> + Debug + Send;

    /// The topic that the state is kept in.
    const TOPIC: &'static str;

    /// How its records are written and read.
    fn storage(&self) -> Storage;

    /// How many partitions the topic gets when it is created.
    fn partitions_default(&self) -> i32;

    /// A shard of which nothing is loaded.
    fn shard(&self, epoch: LeaderEpoch) -> Self::Shard;

    /// Carries out an errand. The coordinator is not locked meanwhile.
    fn carry_out(&self, coordinator: &Arc<Coordinator<Self>>, errand: <Self::Shard as Machine>::Errand);

    /// A shard was loaded, and how long that took.
    fn loaded(&self, _shard: &Self::Shard, _took: Duration) {}

    /// A shard is coordinated here no more.
    fn ended(&self, _shard: &Self::Shard) {}
}

/// How a coordinator's records are written and read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage {
    /// How records are compressed.
    pub(crate) codec: Codec,
    /// The sequence number that batches carry; nobody reads it.
    pub(crate) base_sequence: i32,
    /// How many bytes are read at once when a partition is loaded.
    pub(crate) load_buffer_bytes: i32,
    /// How long a write may wait for the replicas.
    pub(crate) commit_timeout: Duration,
    /// Whether a write is refused while too few replicas are in sync.
    pub(crate) acks: Acks,
}

/// What all coordinators of one kind share.
#[derive(Debug)]
struct Surroundings<R> {
    role: R,
    started: Instant,
    /// The cluster as this node acts upon it.
    image: RwLock<Arc<MetadataImage>>,
}

impl<R> Surroundings<R> {
    fn now(&self) -> Now {
        let moment = Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX));
        Now { moment, timestamp: timestamp() }
    }

    fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.read())
    }
}

/// Which coordinators there are.
#[derive(Debug)]
struct Table<R: Role> {
    /// The topic's id, and how many partitions it had when it was first seen: what is kept there keeps its partition when
    /// others are added, until the node starts anew, as in Kafka.
    topic: Option<(Uuid, i32)>,
    led: BTreeMap<i32, (LeaderEpoch, Arc<Coordinator<R>>)>,
}

/// All coordinators of one kind.
#[derive(Debug)]
pub(crate) struct Coordinators<R: Role> {
    node_id: NodeId,
    partitions: Arc<Partitions>,
    surroundings: Arc<Surroundings<R>>,
    table: RwLock<Table<R>>,
    /// Whether the logs were opened.
    begun: Mutex<bool>,
}

impl<R: Role> Coordinators<R> {
    pub(super) fn of(role: R, node_id: NodeId, partitions: Arc<Partitions>, started: Instant) -> Arc<Self> {
        let surroundings = Arc::new(Surroundings { role, started, image: RwLock::default() });
        let table = RwLock::new(Table { topic: None, led: BTreeMap::new() });
        Arc::new(Self { node_id, partitions, surroundings, table, begun: Mutex::new(false) })
    }

    pub(super) fn role(&self) -> &R {
        &self.surroundings.role
    }

    /// The cluster as this node acts upon it.
    pub(super) fn image(&self) -> Arc<MetadataImage> {
        self.surroundings.image()
    }

    /// This node.
    pub(super) fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The logs were opened: the coordinators are loaded.
    pub(crate) fn begin(&self, image: Arc<MetadataImage>) {
        let mut begun = self.begun.lock();
        let newest = self.surroundings.image();
        let image = if newest.provenance().offset > image.provenance().offset { newest } else { image };
        *begun = true;
        self.act(&MetadataImage::default(), image);
    }

    /// Does what a new image asks for: begins and ends coordinators, and tells the others what has changed. The node's
    /// partitions must have been told before.
    pub(crate) fn apply(&self, image: Arc<MetadataImage>) {
        let begun = self.begun.lock();
        if *begun {
            let before = self.surroundings.image();
            self.act(&before, image);
        } else {
            *self.surroundings.image.write() = image;
        }
    }

    fn act(&self, before: &MetadataImage, after: Arc<MetadataImage>) {
        let changes = Changes::between(before, &after);
        *self.surroundings.image.write() = Arc::clone(&after);
        if changes.partitions_changed.iter().any(|diff| &*diff.topic.name == R::TOPIC)
            || changes.topics_deleted.iter().any(|topic| &*topic.name == R::TOPIC)
        {
            self.take_sides(&after);
        }
        for coordinator in self.all() {
            coordinator.metadata_changed(&changes);
        }
    }

    /// Begins and ends coordinators, so that there is one for each partition that this node leads.
    fn take_sides(&self, image: &MetadataImage) {
        let mut table = self.table.write();
        let topic = image.topics().by_name(R::TOPIC);
        if topic.map(|topic| topic.id) != table.topic.map(|(id, _)| id) {
            for (_, coordinator) in std::mem::take(&mut table.led).into_values() {
                coordinator.retire();
            }
            table.topic = topic.map(|topic| (topic.id, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)));
        }
        let Some(topic) = topic else { return };
        for (&index, registration) in &topic.partitions {
            let leads = registration.leader == self.node_id;
            let known = table.led.get(&index).map(|(epoch, _)| *epoch);
            if leads && known == Some(registration.leader_epoch) {
                continue;
            }
            // What another leader may have written in between is found by loading anew.
            if let Some((_, coordinator)) = table.led.remove(&index) {
                coordinator.retire();
            }
            if !leads {
                continue;
            }
            if let Ok(partition) = self.partitions.find(TopicRef::Id(topic.id), index) {
                let epoch = registration.leader_epoch;
                let coordinator = Coordinator::begin(Arc::clone(&self.surroundings), partition, epoch);
                table.led.insert(index, (epoch, coordinator));
            }
        }
    }

    /// The partition of the topic in which something with this name is kept, on every node the same.
    pub(crate) fn partition_of(&self, name: &str) -> i32 {
        let count = self.table.read().topic.map_or_else(|| self.role().partitions_default(), |(_, count)| count);
        partition_of(name, count)
    }

    /// The node that coordinates a partition; `None` while it has no leader, or the topic is not there.
    pub(super) fn leader_of(&self, index: i32) -> Option<NodeId> {
        leader(&self.image(), R::TOPIC, index)
    }

    /// The coordinator of a partition.
    pub(super) fn at(&self, index: i32) -> Result<Arc<Coordinator<R>>, ErrorCode> {
        let led = &self.table.read().led;
        led.get(&index).map(|(_, coordinator)| Arc::clone(coordinator)).ok_or(ErrorCode::NotCoordinator)
    }

    /// Every coordinator of this node, by partition.
    pub(crate) fn all(&self) -> Vec<Arc<Coordinator<R>>> {
        self.table.read().led.values().map(|(_, coordinator)| Arc::clone(coordinator)).collect()
    }

    /// The node goes down: nobody coordinates here any more.
    pub(crate) fn close(&self) {
        for (_, coordinator) in std::mem::take(&mut self.table.write().led).into_values() {
            coordinator.retire();
        }
    }
}

/// The leader of a partition, if it has one.
pub(super) fn leader(image: &MetadataImage, topic: &str, index: i32) -> Option<NodeId> {
    let partition = image.topics().by_name(topic)?.partition(index)?;
    partition.has_leader().then_some(partition.leader)
}

/// Kafka's choice: Java's hash of the name, without its sign.
fn partition_of(name: &str, count: i32) -> i32 {
    let hash = name.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    /// The numbers are those of `Utils.abs("...".hashCode()) % n` in Java.
    #[test]
    fn groups_live_where_java_puts_them() {
        assert_eq!(partition_of("", 50), 0);
        assert_eq!(partition_of("test", 50), 48);
        assert_eq!(partition_of("my-group", 50), 12);
        // Its hash is the smallest integer, which has no absolute value.
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("\u{1F600}", 50), 49);
    }
}
