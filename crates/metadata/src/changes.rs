//! What differs between two images: what a broker has to act upon.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use thalweg_base::NodeId;

use crate::image::{ConfigResource, MetadataImage, PartitionRegistration, TopicImage};

/// A partition that began, changed or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDiff {
    /// Its topic: as it is now, or as it was if it is gone.
    pub topic: Arc<TopicImage>,
    /// Its index.
    pub partition: i32,
    /// What it was; `None` if it is new.
    pub before: Option<Arc<PartitionRegistration>>,
    /// What it is; `None` if it is gone.
    pub after: Option<Arc<PartitionRegistration>>,
}

/// Everything that differs between two images.
///
/// A topic that was deleted and created again under the same name has another id: it is in `topics_deleted` with its
/// old id and in `topics_created` with its new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The topics that are new.
    pub topics_created: Vec<Arc<TopicImage>>,
    /// The topics that are gone.
    pub topics_deleted: Vec<Arc<TopicImage>>,
    /// The partitions that are new, changed or gone, those of created and deleted topics included.
    pub partitions_changed: Vec<PartitionDiff>,
    /// The resources whose dynamic configurations differ; for a deleted topic too, if it had some.
    pub configs_changed: Vec<ConfigResource>,
    /// The brokers that registered, changed or left.
    pub brokers_changed: Vec<NodeId>,
    /// The controllers that registered, changed or left.
    pub controllers_changed: Vec<NodeId>,
    /// Whether some feature has another level.
    pub features_changed: bool,
    /// Whether some client quota differs.
    pub client_quotas_changed: bool,
    /// Whether some ACL differs.
    pub acls_changed: bool,
    /// Whether some SCRAM credential differs.
    pub scram_changed: bool,
    /// Whether some delegation token differs.
    pub delegation_tokens_changed: bool,
}

impl Changes {
    /// What one must do to get from one image to another.
    ///
    /// When `after` grew out of `before` by replay, the time is proportional to what was replayed, since what they
    /// share is skipped. It works between any two images, for instance after loading a snapshot.
    #[must_use]
    pub fn between(before: &MetadataImage, after: &MetadataImage) -> Self {
        let mut changes = Self {
            configs_changed: changed_keys(before.configs().map(), after.configs().map()),
            brokers_changed: changed_keys(before.cluster().broker_map(), after.cluster().broker_map()),
            controllers_changed: changed_keys(before.cluster().controller_map(), after.cluster().controller_map()),
            features_changed: before.features() != after.features(),
            client_quotas_changed: before.client_quotas() != after.client_quotas(),
            acls_changed: before.acls() != after.acls(),
            scram_changed: before.scram() != after.scram(),
            delegation_tokens_changed: before.delegation_tokens() != after.delegation_tokens(),
            ..Self::default()
        };
        for item in before.topics().by_id_map().diff(after.topics().by_id_map()) {
            match item {
                DiffItem::Add(_, topic) => changes.created(topic),
                DiffItem::Remove(_, topic) => changes.deleted(topic),
                DiffItem::Update { old: (_, old), new: (_, new) } => changes.altered(old, new),
            }
        }
        changes
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn created(&mut self, topic: &Arc<TopicImage>) {
        self.topics_created.push(topic.clone());
        for (&partition, now) in &topic.partitions {
            self.push(topic, partition, None, Some(now));
        }
    }

    fn deleted(&mut self, topic: &Arc<TopicImage>) {
        self.topics_deleted.push(topic.clone());
        for (&partition, was) in &topic.partitions {
            self.push(topic, partition, Some(was), None);
        }
    }

    fn altered(&mut self, old: &Arc<TopicImage>, new: &Arc<TopicImage>) {
        if old.name != new.name {
            // No Kafka renames topics, but a damaged log may.
            self.deleted(old);
            self.created(new);
            return;
        }
        for item in old.partitions.diff(&new.partitions) {
            match item {
                DiffItem::Add(&partition, now) => self.push(new, partition, None, Some(now)),
                DiffItem::Remove(&partition, was) => self.push(new, partition, Some(was), None),
                DiffItem::Update { old: (&partition, was), new: (_, now) } => {
                    self.push(new, partition, Some(was), Some(now));
                }
            }
        }
    }

    fn push(
        &mut self,
        topic: &Arc<TopicImage>,
        partition: i32,
        before: Option<&Arc<PartitionRegistration>>,
        after: Option<&Arc<PartitionRegistration>>,
    ) {
        let (topic, before, after) = (topic.clone(), before.cloned(), after.cloned());
        self.partitions_changed.push(PartitionDiff { topic, partition, before, after });
    }
}

fn changed_keys<K: Ord + Clone, V: PartialEq>(before: &OrdMap<K, V>, after: &OrdMap<K, V>) -> Vec<K> {
    let key = |item: DiffItem<'_, '_, K, V>| match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => key.clone(),
    };
    before.diff(after).map(key).collect()
}

#[cfg(test)]
mod tests;
