//! The topics of the cluster, by id and by name.

use std::sync::Arc;

use imbl::OrdMap;
use thalweg_base::Uuid;
use thalweg_wire::messages::{PartitionChangeRecord, PartitionRecord, TopicRecord};

use super::partition::PartitionRegistration;
use crate::{MetadataRecord, MetadataVersion, topic_name};

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// The topic's id: unlike its name, no other topic ever has it.
    pub id: Uuid,
    /// The topic's name.
    pub name: Arc<str>,
    /// The partitions by index.
    pub partitions: OrdMap<i32, Arc<PartitionRegistration>>,
}

impl TopicImage {
    /// How many partitions the topic has.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// One partition.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<&Arc<PartitionRegistration>> {
        self.partitions.get(&index)
    }
}

/// Every topic.
///
/// Invariant: a name leads to an id exactly if the topic of that id has that name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicsImage {
    by_id: OrdMap<Uuid, Arc<TopicImage>>,
    by_name: OrdMap<Arc<str>, Uuid>,
    /// The names that hold a `.` or `_`, by their name in metrics and then by themselves.
    unified: OrdMap<(Arc<str>, Arc<str>), ()>,
}

impl TopicsImage {
    /// How many topics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no topic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The topic of that id.
    #[must_use]
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    /// The topic of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// Every topic, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_id.values()
    }

    /// Every topic whose name is `from` or comes after it, ordered by name.
    pub fn iter_by_name<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a Arc<TopicImage>> {
        let first: Arc<str> = from.into();
        self.by_name.range(first..).filter_map(|(_, id)| self.by_id.get(id))
    }

    /// One partition of the topic of that id.
    #[must_use]
    pub fn partition(&self, topic: Uuid, index: i32) -> Option<&Arc<PartitionRegistration>> {
        self.by_id(topic)?.partition(index)
    }

    /// A topic that would have the same name in metrics: one that differs at most in `.` and `_`.
    #[must_use]
    pub fn colliding_with(&self, name: &str) -> Option<&str> {
        if !topic_name::has_collision_chars(name) {
            return None;
        }
        let unified: Arc<str> = topic_name::unified(name).into();
        let from = (unified.clone(), Arc::from(""));
        let ((found, other), ()) = self.unified.range(from..).next()?;
        (*found == unified).then_some(&**other)
    }

    pub(crate) fn by_id_map(&self) -> &OrdMap<Uuid, Arc<TopicImage>> {
        &self.by_id
    }

    pub(super) fn replay_topic(&mut self, record: &TopicRecord) {
        let name: Arc<str> = Arc::from(&*record.name);
        if let Some(&id) = self.by_name.get(&name) {
            self.remove(id);
        }
        self.remove(record.topic_id);
        self.by_name.insert(name.clone(), record.topic_id);
        if topic_name::has_collision_chars(&name) {
            self.unified.insert((topic_name::unified(&name).into(), name.clone()), ());
        }
        let topic = TopicImage { id: record.topic_id, name, partitions: OrdMap::new() };
        self.by_id.insert(topic.id, Arc::new(topic));
        assert_eq!(self.by_id.len(), self.by_name.len(), "each topic has one name");
    }

    pub(super) fn replay_partition(&mut self, record: &PartitionRecord) {
        if let Some(topic) = self.by_id.get_mut(&record.topic_id) {
            let partition = Arc::new(PartitionRegistration::from_record(record));
            Arc::make_mut(topic).partitions.insert(record.partition_id, partition);
        }
    }

    pub(super) fn replay_partition_change(&mut self, record: &PartitionChangeRecord) {
        if let Some(old) = self.partition(record.topic_id, record.partition_id) {
            let new = old.changed(record);
            self.put(record.topic_id, record.partition_id, new);
        }
    }

    /// Forgets the eligible leader replicas of one topic, or of every topic when the name is empty.
    pub(super) fn replay_clear_elr(&mut self, name: &str) {
        let topics: Vec<Arc<TopicImage>> = match name {
            "" => self.iter().cloned().collect(),
            _ => self.by_name(name).cloned().into_iter().collect(),
        };
        for topic in topics {
            for (&index, partition) in &topic.partitions {
                if let Some(cleared) = partition.without_elr() {
                    self.put(topic.id, index, cleared);
                }
            }
        }
    }

    fn put(&mut self, topic: Uuid, index: i32, partition: PartitionRegistration) {
        if let Some(topic) = self.by_id.get_mut(&topic) {
            Arc::make_mut(topic).partitions.insert(index, Arc::new(partition));
        }
    }

    /// Removes a topic and tells its name; `None` if there is no such topic.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<Arc<str>> {
        let topic = self.by_id.remove(&id)?;
        self.by_name.remove(&topic.name);
        self.unified.remove(&(topic_name::unified(&topic.name).into(), topic.name.clone()));
        assert_eq!(self.by_id.len(), self.by_name.len(), "each topic has one name");
        Some(topic.name.clone())
    }

    pub(super) fn write(&self, version: MetadataVersion, out: &mut Vec<MetadataRecord>) {
        for topic in self.iter() {
            let record = TopicRecord { name: (&*topic.name).into(), topic_id: topic.id };
            out.push(record.into());
            for (&index, partition) in &topic.partitions {
                out.push(partition.to_record(topic.id, index, version).into());
            }
        }
    }
}
