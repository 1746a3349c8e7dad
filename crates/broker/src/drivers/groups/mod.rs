//! The group coordinators of this node: one for each partition of `__consumer_offsets` that it leads.

mod active;
mod coordinator;
mod load;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use thalweg_base::{LeaderEpoch, Moment, NodeId, Timestamp, Uuid};
use thalweg_groups::{Caller, Now, Request};
use thalweg_metadata::topic_name::CONSUMER_OFFSETS;
use thalweg_metadata::{Changes, MetadataImage};
use thalweg_replica::TopicRef;
use thalweg_sys::time::{Instant, wall_clock_ms};
use thalweg_wire::ErrorCode;

pub(crate) use active::Outcome;
pub(crate) use coordinator::{Asked, Coordinator};
pub(crate) use view::GroupsView;
use view::History;

use super::partitions::Partitions;
use crate::config::GroupsConfig;

/// What all coordinators of the node share.
#[derive(Debug)]
struct Surroundings {
    config: GroupsConfig,
    started: Instant,
    history: History,
    /// The cluster as this node acts upon it.
    image: RwLock<Arc<MetadataImage>>,
}

impl Surroundings {
    fn now(&self) -> Now {
        let moment = Moment(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX));
        Now { moment, timestamp: Timestamp(wall_clock_ms()) }
    }

    fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(&self.image.read())
    }
}

/// Which coordinators there are.
#[derive(Debug, Default)]
struct Table {
    /// The topic's id, and how many partitions it had when it was first seen: groups keep their partitions when others
    /// are added, until the node starts anew, as in Kafka.
    topic: Option<(Uuid, i32)>,
    led: BTreeMap<i32, (LeaderEpoch, Arc<Coordinator>)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Groups {
    node_id: NodeId,
    partitions: Arc<Partitions>,
    surroundings: Arc<Surroundings>,
    table: RwLock<Table>,
    /// Whether the logs were opened.
    begun: Mutex<bool>,
}

impl Groups {
    pub(crate) fn new(
        node_id: NodeId,
        config: GroupsConfig,
        partitions: Arc<Partitions>,
        started: Instant,
    ) -> Arc<Self> {
        let surroundings =
            Arc::new(Surroundings { config, started, history: History::default(), image: RwLock::default() });
        Arc::new(Self { node_id, partitions, surroundings, table: RwLock::default(), begun: Mutex::new(false) })
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
        if changes.partitions_changed.iter().any(|diff| &*diff.topic.name == CONSUMER_OFFSETS) {
            self.take_sides(&after);
        }
        for coordinator in self.all() {
            coordinator.metadata_changed(&changes);
        }
    }

    /// Begins and ends coordinators, so that there is one for each partition that this node leads.
    fn take_sides(&self, image: &MetadataImage) {
        let mut table = self.table.write();
        let topic = image.topics().by_name(CONSUMER_OFFSETS);
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

    /// The partition of `__consumer_offsets` in which a group is kept, on every node the same.
    pub(crate) fn partition_of(&self, group: &str) -> i32 {
        let configured = self.surroundings.config.offsets_topic_num_partitions;
        let count = self.table.read().topic.map_or(configured, |(_, count)| count);
        partition_of(group, count)
    }

    /// Asks the coordinator of a group.
    pub(crate) fn ask(&self, group: &str, caller: &Caller, request: Request) -> Asked {
        let index = self.partition_of(group);
        let coordinator = self.table.read().led.get(&index).map(|(_, coordinator)| Arc::clone(coordinator));
        match coordinator {
            Some(coordinator) => coordinator.ask(caller, request),
            None => Asked::Now(Err(ErrorCode::NotCoordinator)),
        }
    }

    /// Every coordinator of this node, by partition.
    pub(crate) fn all(&self) -> Vec<Arc<Coordinator>> {
        self.table.read().led.values().map(|(_, coordinator)| Arc::clone(coordinator)).collect()
    }

    /// What those who watch are told: as many steps as there are groups.
    pub(crate) fn view(&self) -> GroupsView {
        let mut view = self.surroundings.history.view();
        self.all().iter().for_each(|coordinator| coordinator.count(&mut view));
        view
    }

    /// The node goes down: nobody coordinates here any more.
    pub(crate) fn close(&self) {
        for (_, coordinator) in std::mem::take(&mut self.table.write().led).into_values() {
            coordinator.retire();
        }
    }
}

/// Kafka's choice: Java's hash of the group's id, without its sign.
fn partition_of(group: &str, count: i32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
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
