//! One look at everything that is counted when it is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use thalweg_base::NodeId;
use thalweg_metadata::MetadataImage;
use thalweg_metadata::image::PartitionRegistration;

use crate::broker::Broker;
use crate::drivers::groups::GroupsView;
use crate::drivers::partition::View;
use crate::drivers::transactions::TransactionsView;
use crate::metrics::Total;

/// See the module.
pub(super) struct Survey {
    pub(super) image: Arc<MetadataImage>,
    /// The partitions of this node, in the order of their names.
    pub(super) partitions: Vec<(View, Replication)>,
    /// What topics have taken and given, by name.
    pub(super) topics: BTreeMap<Arc<str>, Total>,
    /// The same of all topics, those that are gone included.
    pub(super) all: Total,
    /// Log directories and whether they are offline.
    pub(super) dirs: Vec<(PathBuf, bool)>,
    pub(super) cluster: Cluster,
    pub(super) groups: GroupsView,
    pub(super) transactions: TransactionsView,
}

/// How a partition of this node is replicated; no number is known while another node leads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Replication {
    pub(super) is_leader: bool,
    pub(super) replicas: usize,
    pub(super) in_sync: usize,
    /// `min.insync.replicas`, or the number of replicas where that is less.
    pub(super) min_in_sync: usize,
    pub(super) is_reassigning: bool,
    /// Another node leads it, and this one has a replica.
    pub(super) is_follower: bool,
}

impl Replication {
    pub(super) fn is_under_replicated(&self) -> bool {
        self.in_sync < self.replicas
    }

    pub(super) fn is_under_min(&self) -> bool {
        self.in_sync < self.min_in_sync
    }

    pub(super) fn is_at_min(&self) -> bool {
        self.is_leader && self.in_sync == self.min_in_sync
    }
}

/// What the controller counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) partitions: usize,
    pub(super) leaderless: usize,
    pub(super) led_by_others_than_preferred: usize,
    pub(super) active_brokers: usize,
    pub(super) fenced_brokers: usize,
}

impl Survey {
    /// Walks over all partitions: what takes long.
    pub(super) fn take(broker: &Broker) -> Self {
        let image = broker.image();
        let node = broker.config.node_id;
        let (views, mut all) = broker.partitions.views();
        let mut topics: BTreeMap<Arc<str>, Total> = BTreeMap::new();
        for view in &views {
            all += view.traffic;
            match topics.get_mut(&view.id.topic) {
                Some(topic) => *topic += view.traffic,
                None => drop(topics.insert(Arc::clone(&view.id.topic), view.traffic)),
            }
        }
        let replicated = |view: View| {
            let registration = image.topics().partition(view.topic_id, view.id.partition);
            let replication = registration.map(|r| replication(r, node, view.min_in_sync));
            (view, replication.unwrap_or_default())
        };
        Self {
            partitions: views.into_iter().map(replicated).collect(),
            dirs: broker.partitions.dir_states(),
            cluster: cluster(&image),
            groups: broker.groups.view(),
            transactions: broker.transactions.view(),
            topics,
            all,
            image,
        }
    }

    /// How many partitions of this node are so.
    pub(super) fn count(&self, is_so: impl Fn(&View, &Replication) -> bool) -> usize {
        self.partitions.iter().filter(|(view, replication)| is_so(view, replication)).count()
    }
}

fn replication(registration: &PartitionRegistration, node: NodeId, min_in_sync: usize) -> Replication {
    if registration.leader != node {
        return Replication { is_follower: registration.replicas.contains(&node), ..Replication::default() };
    }
    let replicas = registration.replicas.len();
    Replication {
        is_leader: true,
        replicas,
        in_sync: registration.isr.len(),
        min_in_sync: min_in_sync.min(replicas),
        is_reassigning: registration.is_reassigning(),
        is_follower: false,
    }
}

fn cluster(image: &MetadataImage) -> Cluster {
    let mut cluster = Cluster::default();
    for partition in image.topics().iter().flat_map(|topic| topic.partitions.values()) {
        cluster.partitions += 1;
        if !partition.has_leader() {
            cluster.leaderless += 1;
        }
        if partition.leader != partition.preferred_replica() {
            cluster.led_by_others_than_preferred += 1;
        }
    }
    for broker in image.cluster().brokers() {
        if broker.fenced {
            cluster.fenced_brokers += 1;
        } else {
            cluster.active_brokers += 1;
        }
    }
    cluster
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_of_one_replica_is_at_its_minimum_and_never_below() {
        let alone = Replication { is_leader: true, replicas: 1, in_sync: 1, min_in_sync: 1, ..Replication::default() };
        assert!(alone.is_at_min() && !alone.is_under_min() && !alone.is_under_replicated());
        let short = Replication { replicas: 3, in_sync: 1, min_in_sync: 2, ..alone };
        assert!(short.is_under_replicated() && short.is_under_min() && !short.is_at_min());
        let elsewhere = Replication::default();
        assert!(!elsewhere.is_at_min() && !elsewhere.is_under_min());
    }
}
